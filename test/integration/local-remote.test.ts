import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { KbError } from '../../src/errors.js';
import { asOid, branchRef, type Oid, type RefName } from '../../src/git/ids.js';
import { initRepository } from '../../src/git/init-repository.js';
import { serializeCommit } from '../../src/git/objects/commit.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import { parseTree, serializeTree } from '../../src/git/objects/tree.js';
import { Refs } from '../../src/git/refs/refs.js';
import { openLocalRemote } from '../../src/remote/local/local-remote.js';
import type { RemoteOptions } from '../../src/remote/open.js';
import type { FetchRequest, FetchResult, PushOutcome, Remote } from '../../src/remote/remote.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const MAIN = branchRef('main');
const WHO = 'Ann <ann@example.com> 1700000000 +0000';
const OPTIONS: RemoteOptions = { disk: nodeDisk, env: process.env, timeoutMs: 60_000 };
const NONE: ReadonlySet<Oid> = new Set();

/** A repository on our side: just a store that a remote fills and pushes from. */
class OurSide {
  readonly gitDir: string;
  readonly store: ObjectStore;

  constructor(root: string, name: string) {
    this.gitDir = join(root, name);
    initRepository(nodeDisk, this.gitDir, { bare: true, branch: 'main' });
    this.store = ObjectStore.open(nodeDisk, this.gitDir);
  }

  async fetch(
    remote: Remote,
    wants: readonly Oid[],
    request: Partial<FetchRequest> = {},
  ): Promise<FetchResult & { objects: number }> {
    const receiver = this.store.receivePack();
    const result = await remote.fetch({ wants, haves: [], shallow: NONE, sink: receiver, ...request });
    if (result.empty) {
      receiver.abort();
      return { ...result, objects: 0 };
    }
    return { ...result, objects: receiver.finish().objectCount };
  }

  /** A commit that adds one file to its parent's tree, and all objects that are new with it. */
  commit(parent: Oid | undefined, name: string, content = name): { commit: Oid; oids: Oid[] } {
    const blob = this.store.writeLoose('blob', Buffer.from(content));
    const before = parent === undefined ? [] : parseTree(this.store.readTyped(treeOf(this.store, parent), 'tree'));
    const tree = this.store.writeLoose(
      'tree',
      serializeTree([...before.filter((entry) => entry.name !== name), { mode: 0o100644, name, oid: blob }]),
    );
    const who = { name: 'Ann', email: 'ann@example.com', timestamp: 1_700_000_000, timezone: '+0000' };
    const data = serializeCommit({
      tree,
      parents: parent === undefined ? [] : [parent],
      author: who,
      committer: who,
      message: `add ${name}\n`,
    });
    const commit = this.store.writeLoose('commit', data);
    return { commit, oids: [commit, tree, blob] };
  }

  async push(
    remote: Remote,
    from: Oid | null,
    pushed: { commit: Oid; oids: Oid[] },
    more: { ref?: RefName; fence?: () => void } = {},
  ): Promise<PushOutcome> {
    return remote.push({
      ref: MAIN,
      from,
      to: pushed.commit,
      objects: this.store,
      oids: pushed.oids,
      shallow: NONE,
      who: WHO,
      ...more,
    });
  }

  /** Lets native git judge what arrived: `tip` and everything below it must be whole. */
  check(tip: Oid, shallow: readonly Oid[] = []): void {
    if (shallow.length > 0) writeFileSync(join(this.gitDir, 'shallow'), shallow.map((oid) => `${oid}\n`).join(''));
    else rmSync(join(this.gitDir, 'shallow'), { force: true });
    Refs.open(nodeDisk, this.gitDir).update({ name: MAIN, to: tip, message: 'test', who: WHO });
    expect(git(this.gitDir, ['fsck', '--strict', '--no-dangling'])).toBe('');
  }
}

function treeOf(store: ObjectStore, commit: Oid): Oid {
  return asOid(store.readTyped(commit, 'commit').toString('latin1').slice(5, 45));
}

describe.skipIf(!nativeGit.available)('LocalRemote (needs native git)', () => {
  let root: string;
  let bare: string;
  let work: string;
  let remote: Remote;

  const nativeCommit = (name: string, content = name): Oid => {
    mkdirSync(join(work, name, '..'), { recursive: true });
    writeFileSync(join(work, name), content);
    git(work, ['add', '.']);
    git(work, ['commit', '-q', '-m', `add ${name}`]);
    git(work, ['push', '-q', 'origin', 'HEAD:main']);
    return asOid(git(work, ['rev-parse', 'HEAD']).trim());
  };
  const remoteMain = (): string => git(bare, ['rev-parse', 'refs/heads/main']).trim();
  const fsckRemote = (): void => expect(git(bare, ['fsck', '--strict', '--no-dangling'])).toBe('');
  const open = async (options: Partial<RemoteOptions> = {}, path = bare): Promise<Remote> => {
    remote = await openLocalRemote(path, { ...OPTIONS, ...options });
    return remote;
  };

  beforeEach(async () => {
    root = makeTemporaryDirectory();
    bare = join(root, 'remote.git');
    work = join(root, 'work');
    git(root, ['init', '-q', '--bare', bare]);
    git(root, ['clone', '-q', bare, work]);
    await open();
  });
  afterEach(() => {
    vi.restoreAllMocks();
    void remote.close();
  });

  describe('discover', () => {
    it('says that a remote is empty, and which branch it expects', async () => {
      expect(await remote.discover('read', [])).toEqual({ refs: new Map(), head: MAIN, empty: true });
    });

    it('lists loose and packed refs under the prefixes', async () => {
      const first = nativeCommit('a.md');
      git(work, ['push', '-q', 'origin', 'HEAD:refs/heads/topic/one', 'HEAD:refs/tags/v1']);
      git(bare, ['pack-refs', '--all']);
      const second = nativeCommit('b.md');
      expect((await remote.discover('read', [])).refs).toEqual(
        new Map([
          [MAIN, second],
          ['refs/heads/topic/one', first],
          ['refs/tags/v1', first],
        ]),
      );
      expect((await remote.discover('write', ['refs/heads/topic/'])).refs).toEqual(
        new Map([['refs/heads/topic/one', first]]),
      );
      expect(await remote.discover('read', ['refs/heads/none'])).toEqual({ refs: new Map(), head: MAIN, empty: false });
    });

    it('tells where the default branch is when HEAD is asked for', async () => {
      const tip = nativeCommit('a.md');
      git(bare, ['branch', '-m', 'main', 'trunk']);
      expect(await remote.discover('read', ['HEAD'])).toEqual({
        refs: new Map([['refs/heads/trunk', tip]]),
        head: 'refs/heads/trunk',
        empty: false,
      });
    });
  });

  describe('fetch', () => {
    it('gets everything, then only what is new, then nothing', async () => {
      nativeCommit('a.md');
      const first = nativeCommit('folder/b.md');
      const ours = new OurSide(root, 'ours.git');
      expect(await ours.fetch(remote, [first])).toEqual({ shallow: [], unshallow: [], empty: false, objects: 7 });
      ours.check(first);
      const second = nativeCommit('folder/c.md');
      expect((await ours.fetch(remote, [second], { haves: [first] })).objects).toBe(4);
      ours.check(second);
      expect(await ours.fetch(remote, [second], { haves: [second] })).toMatchObject({ empty: true, objects: 0 });
      expect(git(ours.gitDir, ['rev-list', '--objects', 'main'])).toBe(git(bare, ['rev-list', '--objects', 'main']));
    });

    it('gets merges, executable files, symlinks, submodule entries and annotated tags', async () => {
      nativeCommit('a.md');
      git(work, ['checkout', '-q', '-b', 'side', 'HEAD']);
      writeFileSync(join(work, 'run.sh'), 'x');
      chmodSync(join(work, 'run.sh'), 0o755);
      git(work, ['add', '.']);
      git(work, ['update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(40)},module`]);
      git(work, ['commit', '-q', '-m', 'side']);
      git(work, ['checkout', '-q', '-B', 'main', 'HEAD~1']);
      nativeCommit('b.md');
      git(work, ['merge', '-q', '--no-ff', '-m', 'merge', 'side']);
      git(work, ['tag', '-a', '-m', 'release', 'v1']);
      git(work, ['push', '-q', 'origin', 'main', 'v1']);
      const tag = asOid(git(bare, ['rev-parse', 'v1']).trim());
      const ours = new OurSide(root, 'ours.git');
      await ours.fetch(remote, [tag]);
      ours.check(asOid(remoteMain()));
      expect(git(ours.gitDir, ['cat-file', '-t', tag])).toBe('tag\n');
    });

    it('gets one commit of a long history (depth 1), goes on from it, deepens and becomes whole', async () => {
      const commits: Oid[] = [];
      for (let index = 0; index < 6; index++) commits.push(nativeCommit(`note${index}.md`));
      const [c0, , c2, c3, c4, c5] = commits as [Oid, Oid, Oid, Oid, Oid, Oid];
      const ours = new OurSide(root, 'ours.git');
      expect(await ours.fetch(remote, [c4], { depth: 1 })).toMatchObject({ shallow: [c4], objects: 1 + 1 + 5 });
      ours.check(c4, [c4]);
      expect(await ours.fetch(remote, [c5], { haves: [c4], shallow: new Set([c4]) })).toEqual({
        shallow: [],
        unshallow: [],
        empty: false,
        objects: 3,
      });
      ours.check(c5, [c4]);
      expect(await ours.fetch(remote, [c5], { haves: [c5], shallow: new Set([c4]), depth: 4 })).toMatchObject({
        shallow: [c2],
        unshallow: [c4],
      });
      ours.check(c5, [c2]);
      expect(git(ours.gitDir, ['rev-list', 'main']).trim().split('\n')).toEqual([c5, c4, c3, c2]);
      expect(await ours.fetch(remote, [c5], { haves: [c5], shallow: new Set([c2]), deepenTo: 'full' })).toMatchObject({
        shallow: [],
        unshallow: [c2],
      });
      ours.check(c5);
      expect(git(ours.gitDir, ['rev-list', 'main']).trim().split('\n').at(-1)).toBe(c0);
    });

    it('at depth 1 sends only what differs from the commit that is there', async () => {
      for (let index = 0; index < 5; index++) nativeCommit(`note${index}.md`);
      const ours = new OurSide(root, 'ours.git');
      const first = asOid(remoteMain());
      await ours.fetch(remote, [first], { depth: 1 });
      nativeCommit('x.md');
      const last = nativeCommit('y.md');
      expect(await ours.fetch(remote, [last], { haves: [first], shallow: new Set([first]), depth: 1 })).toMatchObject({
        shallow: [last],
        objects: 4,
      });
      ours.check(last, [first, last]);
    });

    it('works from a shallow remote', async () => {
      for (let index = 0; index < 4; index++) nativeCommit(`note${index}.md`);
      const tip = asOid(remoteMain());
      const shallowRemote = join(root, 'shallow.git');
      git(root, ['clone', '-q', '--bare', '--depth', '2', `file://${bare}`, shallowRemote]);
      await open({}, shallowRemote);
      const ours = new OurSide(root, 'ours.git');
      const result = await ours.fetch(remote, [tip]);
      expect(result.shallow).toEqual([git(bare, ['rev-parse', 'main~1']).trim()]);
      ours.check(tip, result.shallow);
      const next = ours.commit(tip, 'ours.md');
      expect(await ours.push(remote, tip, next)).toEqual({ kind: 'landed' });
      expect(git(shallowRemote, ['fsck', '--strict'])).toBe('');
      expect(git(shallowRemote, ['rev-parse', 'main']).trim()).toBe(next.commit);
    });

    it('of one commit in a KB of 2,000 files reads as few objects as lie on its paths', async () => {
      for (let index = 0; index < 2000; index++) {
        const folder = join(work, `folder${index % 40}`);
        mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, `note${index}.md`), `note ${index}\n`);
      }
      const first = nativeCommit('index.md');
      git(bare, ['gc', '-q']);
      const ours = new OurSide(root, 'ours.git');
      expect((await ours.fetch(remote, [first])).objects).toBe(2001 + 41 + 1);
      ours.check(first);
      const second = nativeCommit('folder7/new.md');
      const reads = vi.spyOn(ObjectStore.prototype, 'find');
      const sink = { write: (): void => undefined };
      await remote.fetch({ wants: [second], haves: [first], shallow: NONE, sink });
      // commits 2 (read for the walk and for their trees), trees of both on the path 4, the 4 that are sent
      expect(reads.mock.calls.length).toBeLessThanOrEqual(14);
    });

    it('says that the remote no longer has a wanted commit', async () => {
      nativeCommit('a.md');
      await expect(new OurSide(root, 'ours.git').fetch(remote, [asOid('12'.repeat(20))])).rejects.toMatchObject({
        code: 'E_NETWORK',
        retryable: true,
      });
    });

    it('passes on what the sink throws, and stops on a signal and on its deadline', async () => {
      const tip = nativeCommit('a.md');
      const full = new KbError('E_STORAGE', 'full');
      const request = { wants: [tip], haves: [], shallow: NONE };
      const sink = {
        write: (): void => {
          throw full;
        },
      };
      await expect(remote.fetch({ ...request, sink })).rejects.toBe(full);
      const controller = new AbortController();
      await open({ signal: controller.signal });
      controller.abort(new KbError('E_INTERRUPTED', 'stop'));
      await expect(remote.fetch({ ...request, sink })).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
      let now = 0;
      await open({ timeoutMs: 100, clock: { now: () => now, sleep: () => Promise.resolve() } });
      now = 101;
      await expect(remote.fetch({ ...request, sink })).rejects.toMatchObject({ code: 'E_NETWORK' });
    });
  });

  describe('push', () => {
    it('makes the first branch of an empty remote, and native git goes on', async () => {
      const ours = new OurSide(root, 'ours.git');
      const first = ours.commit(undefined, 'a.md');
      expect(await ours.push(remote, null, first)).toEqual({ kind: 'landed' });
      fsckRemote();
      git(work, ['pull', '-q', 'origin', 'main']);
      const second = nativeCommit('b.md');
      await ours.fetch(remote, [second], { haves: [first.commit] });
      expect(await ours.push(remote, second, ours.commit(second, 'c.md'))).toEqual({ kind: 'landed' });
      fsckRemote();
      const clone = join(root, 'clone');
      git(root, ['clone', '-q', bare, clone]);
      expect(git(clone, ['log', '--format=%s'])).toBe('add c.md\nadd b.md\nadd a.md\n');
      expect(git(clone, ['status', '--porcelain'])).toBe('');
    });

    it('stores a large push as a pack', async () => {
      const ours = new OurSide(root, 'ours.git');
      const oids: Oid[] = [];
      let tip: Oid | undefined;
      for (let index = 0; index < 60; index++) {
        const next = ours.commit(tip, `note${index}.md`);
        oids.push(...next.oids);
        tip = next.commit;
      }
      expect(await ours.push(remote, null, { commit: tip as Oid, oids })).toEqual({ kind: 'landed' });
      fsckRemote();
      expect(git(bare, ['count-objects', '-v'])).toMatch(/^count: 0\n[^]*\nin-pack: 180\n/);
    });

    it('loses the race when the ref moved, was made or is locked, and changes nothing', async () => {
      const ours = new OurSide(root, 'ours.git');
      const first = nativeCommit('a.md');
      await ours.fetch(remote, [first]);
      const mine = ours.commit(first, 'mine.md');
      const second = nativeCommit('b.md');
      expect(await ours.push(remote, first, mine)).toEqual({ kind: 'race' });
      expect(await ours.push(remote, null, mine)).toEqual({ kind: 'race' });
      await ours.fetch(remote, [second], { haves: [first] });
      const next = ours.commit(second, 'mine.md');
      writeFileSync(join(bare, 'refs/heads/main.lock'), '');
      expect(await ours.push(remote, second, next)).toEqual({ kind: 'race' });
      rmSync(join(bare, 'refs/heads/main.lock'));
      expect(remoteMain()).toBe(second);
      expect(await ours.push(remote, second, next)).toEqual({ kind: 'landed' });
      fsckRemote();
    });

    it('loses the race when somebody moves the ref at the last instant', async () => {
      const ours = new OurSide(root, 'ours.git');
      const first = nativeCommit('a.md');
      await ours.fetch(remote, [first]);
      mkdirSync(join(bare, 'hooks'), { recursive: true });
      // the hook stands for another writer: it moves the ref after the first look
      const other = ours.commit(first, 'other.md');
      await ours.push(remote, null, other, { ref: branchRef('other') });
      writeFileSync(join(bare, 'hooks/update'), `#!/bin/sh\ngit update-ref refs/heads/main ${other.commit}\n`, {
        mode: 0o755,
      });
      expect(await ours.push(remote, first, ours.commit(first, 'mine.md'))).toEqual({ kind: 'race' });
      expect(remoteMain()).toBe(other.commit);
    });

    it('stops at the fence without moving the ref', async () => {
      const ours = new OurSide(root, 'ours.git');
      const lost = new KbError('E_LOCK_LOST', 'lost');
      const fence = (): void => {
        throw lost;
      };
      await expect(ours.push(remote, null, ours.commit(undefined, 'a.md'), { fence })).rejects.toBe(lost);
      expect(git(bare, ['for-each-ref'])).toBe('');
      expect(existsSync(join(bare, 'refs/heads/main.lock'))).toBe(false);
      fsckRemote();
    });

    it('refuses to make a history that is not whole', async () => {
      const ours = new OurSide(root, 'ours.git');
      const first = nativeCommit('a.md');
      await ours.fetch(remote, [first]);
      const one = ours.commit(first, 'one.md');
      const two = ours.commit(one.commit, 'two.md');
      await expect(ours.push(remote, first, two)).rejects.toMatchObject({
        code: 'E_UNSAFE_STATE',
        details: { oid: one.commit },
      });
      const [commit, tree] = two.oids as [Oid, Oid];
      const withoutBlob = { commit, oids: [...one.oids, commit, tree] };
      await expect(ours.push(remote, first, withoutBlob)).rejects.toMatchObject({ code: 'E_UNSAFE_STATE' });
      expect(remoteMain()).toBe(first);
      fsckRemote();
    });

    it('refuses a branch that is a folder of another one', async () => {
      const ours = new OurSide(root, 'ours.git');
      const first = ours.commit(undefined, 'a.md');
      expect(await ours.push(remote, null, first)).toEqual({ kind: 'landed' });
      expect(await ours.push(remote, null, first, { ref: branchRef('main/sub') })).toMatchObject({
        kind: 'refused',
        message: expect.stringContaining('main') as string,
      });
    });

    it('leaves a sound remote wherever the disk fails', async () => {
      const ours = new OurSide(root, 'ours.git');
      const first = nativeCommit('a.md');
      await ours.fetch(remote, [first]);
      let from = first;
      let failed = 0;
      for (let step = 1; step < 200; step++) {
        await open({ disk: diskThatFailsAt(step) });
        const next = ours.commit(from, `note${step}.md`);
        try {
          const outcome = await ours.push(remote, from, next);
          expect(outcome).toEqual({ kind: 'landed' });
          from = next.commit;
          if (!failing.happened) break;
        } catch (error) {
          expect(error).toMatchObject({ code: 'E_STORAGE' });
          failed++;
        }
        expect(remoteMain()).toBe(from);
        fsckRemote();
      }
      expect(failed).toBeGreaterThan(5);
    });
  });

  describe('hooks', () => {
    const hook = (name: string, script: string, directory = join(bare, 'hooks')): void => {
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    };

    it("get what git gives them, in git's order", async () => {
      for (const name of ['pre-receive', 'update', 'post-receive', 'post-update']) {
        hook(name, `{ echo "${name} $* dir=$GIT_DIR"; cat; git rev-parse --is-bare-repository; } >> log`);
      }
      const ours = new OurSide(root, 'ours.git');
      const first = ours.commit(undefined, 'a.md');
      expect(await ours.push(remote, null, first)).toEqual({ kind: 'landed' });
      const zero = '0'.repeat(40);
      expect(readFileSync(join(bare, 'log'), 'utf8').trim().split('\n')).toEqual([
        'pre-receive  dir=.',
        `${zero} ${first.commit} refs/heads/main`,
        'true',
        `update refs/heads/main ${zero} ${first.commit} dir=.`,
        'true',
        'post-receive  dir=.',
        `${zero} ${first.commit} refs/heads/main`,
        'true',
        'post-update refs/heads/main dir=.',
        'true',
      ]);
    });

    for (const name of ['pre-receive', 'update']) {
      it(`${name} can decline, and its words are made safe`, async () => {
        hook(name, 'printf "no \\033[31mnotes\\n" >&2; echo today; exit 1');
        const ours = new OurSide(root, 'ours.git');
        const outcome = await ours.push(remote, null, ours.commit(undefined, 'a.md'));
        expect(outcome.kind).toBe('refused');
        expect(outcome).toMatchObject({
          message: expect.stringMatching(new RegExp(`^the remote's ${name} hook declined: `)) as string,
        });
        expect(outcome).toMatchObject({ message: expect.stringContaining('no \\x1b[31mnotes') as string });
        expect(outcome).toMatchObject({ message: expect.stringContaining('today') as string });
        expect(git(bare, ['for-each-ref'])).toBe('');
        fsckRemote();
      });
    }

    it('see the new objects', async () => {
      hook('pre-receive', 'read old new ref; git cat-file -e "$new:a.md"');
      const ours = new OurSide(root, 'ours.git');
      expect(await ours.push(remote, null, ours.commit(undefined, 'a.md'))).toEqual({ kind: 'landed' });
    });

    it('that fail after the push change nothing', async () => {
      hook('post-receive', 'exit 1');
      hook('post-update', 'kill -9 $$');
      const ours = new OurSide(root, 'ours.git');
      expect(await ours.push(remote, null, ours.commit(undefined, 'a.md'))).toEqual({ kind: 'landed' });
    });

    it('that are not executable do not run; that cannot be run refuse', async () => {
      hook('pre-receive', 'exit 1');
      chmodSync(join(bare, 'hooks/pre-receive'), 0o644);
      const ours = new OurSide(root, 'ours.git');
      const first = ours.commit(undefined, 'a.md');
      expect(await ours.push(remote, null, first)).toEqual({ kind: 'landed' });
      writeFileSync(join(bare, 'hooks/update'), '#!/no/such/interpreter\n', { mode: 0o755 });
      expect(await ours.push(remote, first.commit, ours.commit(first.commit, 'b.md'))).toMatchObject({
        kind: 'refused',
        message: expect.stringContaining('cannot be run') as string,
      });
    });

    it("are looked for where the remote's core.hooksPath says", async () => {
      git(bare, ['config', 'core.hooksPath', 'team-hooks']);
      hook('pre-receive', 'echo elsewhere; exit 1', join(bare, 'team-hooks'));
      await open();
      const ours = new OurSide(root, 'ours.git');
      expect(await ours.push(remote, null, ours.commit(undefined, 'a.md'))).toMatchObject({
        kind: 'refused',
        message: expect.stringContaining('elsewhere') as string,
      });
    });

    it('do not see tokens', async () => {
      hook('update', 'env > seen');
      await open({
        env: { ...process.env, KB_GIT_AUTH_TOKEN: 'secret-one', GITHUB_TOKEN: 'secret-two', GH_TOKEN: 'secret-three' },
      });
      const ours = new OurSide(root, 'ours.git');
      expect(await ours.push(remote, null, ours.commit(undefined, 'a.md'))).toEqual({ kind: 'landed' });
      expect(readFileSync(join(bare, 'seen'), 'utf8')).not.toContain('secret');
    });

    it('that do not end are ended with all they started, and nothing has moved', async () => {
      hook('pre-receive', 'sleep 60 & echo $! > child; sleep 60');
      await open({ timeoutMs: 1500 });
      const ours = new OurSide(root, 'ours.git');
      await expect(ours.push(remote, null, ours.commit(undefined, 'a.md'))).rejects.toMatchObject({
        code: 'E_NETWORK',
      });
      expect(git(bare, ['for-each-ref'])).toBe('');
      const child = Number(readFileSync(join(bare, 'child'), 'utf8'));
      await vi.waitFor(() => expect(isRunning(child)).toBe(false), { timeout: 5000 });
    });

    for (const name of ['pre-receive', 'post-update']) {
      it(`of another user do not run, and nothing is pushed past them (${name})`, async () => {
        hook(name, 'exit 0');
        await open({ disk: diskOwnedBy((process.geteuid?.() ?? 0) + 1, join(bare, 'hooks', name)) });
        const ours = new OurSide(root, 'ours.git');
        await expect(ours.push(remote, null, ours.commit(undefined, 'a.md'))).rejects.toMatchObject({
          code: 'E_UNSAFE_STATE',
        });
        expect(git(bare, ['for-each-ref'])).toBe('');
        expect(git(bare, ['count-objects'])).toContain('0 objects');
      });
    }
  });

  describe('repositories with a work tree', () => {
    it('are found by their root and their .git, and their branch is not moved', async () => {
      const first = nativeCommit('a.md');
      const ours = new OurSide(root, 'ours.git');
      for (const path of [work, join(work, '.git')]) {
        await open({}, path);
        expect((await remote.discover('read', ['refs/heads/'])).refs.get(MAIN)).toBe(first);
        await ours.fetch(remote, [first]);
        expect(await ours.push(remote, first, ours.commit(first, 'b.md'))).toMatchObject({
          kind: 'refused',
          message: expect.stringContaining('main is checked out') as string,
        });
        void remote.close();
      }
      await open({}, work);
      expect(await ours.push(remote, null, ours.commit(first, 'b.md'), { ref: branchRef('topic') })).toEqual({
        kind: 'landed',
      });
      expect(git(work, ['status', '--porcelain'])).toBe('');
    });

    it('let their branch be moved when they say so', async () => {
      const first = nativeCommit('a.md');
      git(work, ['config', 'receive.denyCurrentBranch', 'ignore']);
      await open({}, work);
      const ours = new OurSide(root, 'ours.git');
      await ours.fetch(remote, [first]);
      expect(await ours.push(remote, first, ours.commit(first, 'b.md'))).toEqual({ kind: 'landed' });
      expect(git(work, ['fsck', '--strict', '--no-dangling'])).toBe('');
    });

    it('are respected when they are linked to a bare repository', async () => {
      const first = nativeCommit('a.md');
      git(bare, ['worktree', 'add', '-q', join(root, 'linked'), 'main']);
      const ours = new OurSide(root, 'ours.git');
      await ours.fetch(remote, [first]);
      expect(await ours.push(remote, first, ours.commit(first, 'b.md'))).toMatchObject({ kind: 'refused' });
    });
  });

  describe('what is no remote', () => {
    const refused = (path: string, options: Partial<RemoteOptions> = {}): Promise<unknown> =>
      openLocalRemote(path, { ...OPTIONS, ...options }).then(
        () => undefined,
        (error: unknown) => error,
      );

    it('a path without a repository', async () => {
      for (const path of [join(root, 'none'), root]) {
        expect(await refused(path)).toMatchObject({ code: 'E_USAGE', message: `no git repository at ${path}` });
      }
    });

    it('a SHA-256 repository', async () => {
      git(root, ['init', '-q', '--bare', '--object-format=sha256', 'sha256.git']);
      expect(await refused(join(root, 'sha256.git'))).toMatchObject({
        code: 'E_UNSAFE_STATE',
        message: expect.stringContaining('objectformat=sha256') as string,
      });
    });

    it('a format or extension from the future, reftable, alternates', async () => {
      writeFileSync(join(bare, 'config'), '[core]\n\trepositoryformatversion = 2\n');
      expect(await refused(bare)).toMatchObject({ code: 'E_UNSAFE_STATE' });
      writeFileSync(
        join(bare, 'config'),
        '[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefstorage = reftable\n',
      );
      expect(await refused(bare)).toMatchObject({ code: 'E_UNSAFE_STATE' });
      writeFileSync(join(bare, 'config'), '[core]\n\tbare = true\n');
      writeFileSync(join(bare, 'objects/info/alternates'), '/elsewhere/objects\n');
      expect(await refused(bare)).toMatchObject({ code: 'E_UNSAFE_STATE' });
    });

    it('a repository of another user, unless safe.directory lists it', async () => {
      const disk = diskOwnedBy((process.geteuid?.() ?? 0) + 1, bare);
      expect(await refused(bare, { disk })).toMatchObject({
        code: 'E_UNSAFE_STATE',
        hint: expect.stringContaining('safe.directory') as string,
      });
      expect(await refused(bare, { disk, safeDirectories: () => ['/other', bare, ''] })).toMatchObject({
        code: 'E_UNSAFE_STATE',
      });
      for (const entry of [bare, '*', `${root}/*`])
        expect(await refused(bare, { disk, safeDirectories: () => [entry] })).toBeUndefined();
    });
  });
});

const failing = { happened: false };

/** A disk that is full from its n-th change on. */
function diskThatFailsAt(step: number): Disk {
  failing.happened = false;
  let done = 0;
  const changing = new Set<string>(['writeSync', 'fsyncSync', 'renameSync', 'linkSync', 'mkdirSync']);
  return new Proxy(nodeDisk, {
    get(target, name: keyof Disk) {
      const call = target[name] as (...parameters: unknown[]) => unknown;
      if (!changing.has(name)) return call;
      return (...parameters: unknown[]): unknown => {
        if (++done < step) return call(...parameters);
        failing.happened = true;
        throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      };
    },
  });
}

/** A disk on which one path belongs to somebody else. */
function diskOwnedBy(uid: number, path: string): Disk {
  const lie =
    (call: (...parameters: unknown[]) => object) =>
    (asked: unknown, ...rest: unknown[]): object => {
      const stat = call(asked, ...rest);
      return asked === path ? Object.assign(Object.create(stat) as object, { uid }) : stat;
    };
  return {
    ...nodeDisk,
    statSync: lie(nodeDisk.statSync as never) as never,
    lstatSync: lie(nodeDisk.lstatSync as never) as never,
  };
}

function isRunning(pid: number): boolean {
  try {
    // a killed process that nobody has waited for yet counts as gone
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
