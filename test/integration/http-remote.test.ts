import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Oid } from '../../src/git/ids.js';
import type { ObjectSource, ObjectType } from '../../src/git/objects/object.js';
import type { RemoteOptions } from '../../src/remote/open.js';
import type { FetchRequest, FetchResult, PushOutcome, Remote } from '../../src/remote/remote.js';
import type { GitServer, GitServerOptions } from '../support/http-backend.js';
import { nodeDisk } from '../../src/disk/disk.js';
import { KbError } from '../../src/errors.js';
import { asOid, branchRef } from '../../src/git/ids.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import { openRemote } from '../../src/remote/open.js';
import { parseRemoteUrl } from '../../src/remote/url.js';
import { createBareRepository, hasGitHttpBackend, installHook, startGitServer } from '../support/http-backend.js';
import { git, gitBuffer, gitEnvironment, makeTemporaryDirectory } from '../support/native-git.js';

const main = branchRef('main');

/** The objects of a native clone, read by native git: independent of kb's own object store. */
class NativeObjects implements ObjectSource {
  constructor(private readonly directory: string) {}

  find(oid: Oid): { type: ObjectType; data: Buffer } | undefined {
    if (!this.has(oid)) return undefined;
    const type = git(this.directory, ['cat-file', '-t', oid]).trim() as ObjectType;
    return { type, data: gitBuffer(this.directory, ['cat-file', type, oid]) };
  }

  read(oid: Oid): { type: ObjectType; data: Buffer } {
    const found = this.find(oid);
    if (found === undefined) throw new KbError('E_CORRUPT', `no object ${oid}`);
    return found;
  }

  has(oid: Oid): boolean {
    return git(this.directory, ['cat-file', '--batch-check'], { input: `${oid}\n` }).includes(' missing') === false;
  }
}

let root: string;
let bare: string;
let work: string;
let server: GitServer | undefined;
const remotes: Remote[] = [];

/** A served repository with two commits on main, and a native clone to make more. */
async function serve(options: Partial<GitServerOptions> = {}): Promise<GitServer> {
  server = await startGitServer({ root, ...options });
  return server;
}

function commit(name: string, text = `${name}\n`): Oid {
  writeFileSync(join(work, name), text);
  git(work, ['add', '.']);
  git(work, ['commit', '--quiet', '-m', name]);
  return tip(work);
}

function tip(directory: string, rev = 'HEAD'): Oid {
  return asOid(git(directory, ['rev-parse', rev]).trim());
}

/** Native git as a client of the server, which runs in this process. */
async function gitInBackground(cwd: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)('git', args, { cwd, env: gitEnvironment() });
}

/** So that a pack of it is as large. */
function incompressible(size: number): Buffer {
  return randomBytes(size);
}

/** What native git says is new between two commits. */
function objectsBetween(from: string | null, to: string, directory = work): Oid[] {
  const args = ['rev-list', '--objects', to, ...(from === null ? [] : [`^${from}`])];
  return git(directory, args)
    .trim()
    .split('\n')
    .map((line) => asOid(line.slice(0, 40)));
}

function remote(path = 'kb.git', options: Partial<RemoteOptions> & { userinfo?: string } = {}): Promise<Remote> {
  const { userinfo, ...rest } = options;
  const address = `${server?.url ?? ''}/${path}`.replace('://', userinfo === undefined ? '://' : `://${userinfo}@`);
  const url = parseRemoteUrl(address, { cwd: '/' });
  return openRemote(url, { disk: nodeDisk, env: {}, timeoutMs: 60_000, ...rest }).then((opened) => {
    remotes.push(opened);
    return opened;
  });
}

async function fetchPack(from: Remote, request: Partial<FetchRequest>): Promise<FetchResult & { pack: Buffer }> {
  const parts: Buffer[] = [];
  const sink = { write: (chunk: Uint8Array): void => void parts.push(Buffer.from(chunk)) };
  const result = await from.fetch({ wants: [], haves: [], shallow: new Set(), sink, ...request });
  return { ...result, pack: Buffer.concat(parts) };
}

/** Has native git check and keep a fetched pack. */
function keepPack(directory: string, pack: Buffer): void {
  git(directory, ['index-pack', '--stdin', '--fix-thin'], { input: pack });
}

function push(
  to: Remote,
  from: Oid | null,
  oid: Oid,
  options: { directory?: string; fence?: () => void; shallow?: ReadonlySet<Oid>; oids?: Oid[] } = {},
): Promise<PushOutcome> {
  const directory = options.directory ?? work;
  return to.push({
    ref: main,
    from,
    to: oid,
    objects: new NativeObjects(directory),
    oids: options.oids ?? objectsBetween(from, oid, directory),
    shallow: options.shallow ?? new Set(),
    ...(options.fence === undefined ? {} : { fence: options.fence }),
  });
}

async function errorOf(promise: Promise<unknown>): Promise<KbError> {
  const result = await promise.then(
    (value) => new Error(`it worked: ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  if (result instanceof KbError) return result;
  throw result as Error;
}

describe.skipIf(!hasGitHttpBackend())('a remote over HTTP (needs native git with http-backend)', () => {
  beforeEach(() => {
    root = makeTemporaryDirectory();
    bare = createBareRepository(root, 'kb.git');
    work = join(root, 'work');
    git(root, ['clone', '--quiet', bare, work]);
    commit('one.md');
    commit('two.md');
    git(work, ['push', '--quiet', 'origin', 'HEAD:main']);
  });

  afterEach(async () => {
    for (const opened of remotes.splice(0)) void opened.close();
    await server?.close();
    server = undefined;
    rmSync(root, { recursive: true, force: true });
  });

  describe('discover', () => {
    it('to read: one request, refs under the prefixes, the default branch', async () => {
      git(work, ['push', '--quiet', 'origin', 'HEAD:side', 'HEAD:refs/tags/v1']);
      const { requests } = await serve();
      const opened = await remote();
      const found = await opened.discover('read', ['refs/heads/']);
      expect([...found.refs]).toEqual([
        ['refs/heads/main', tip(work)],
        ['refs/heads/side', tip(work)],
      ]);
      expect(found).toMatchObject({ head: 'refs/heads/main', empty: false });
      expect(requests.map((request) => `${request.method} ${request.path}`)).toEqual(['POST /kb.git/git-upload-pack']);
      expect(opened.requests).toBe(1);
    });

    it('to read: everything without prefixes, exactly one ref with its full name', async () => {
      git(work, ['push', '--quiet', 'origin', 'HEAD:main-two']);
      git(work, ['tag', '-a', '-m', 'annotated', 'v1']);
      git(work, ['push', '--quiet', 'origin', 'v1']);
      await serve();
      const opened = await remote();
      expect([...(await opened.discover('read', [])).refs.keys()]).toEqual([
        'refs/heads/main',
        'refs/heads/main-two',
        'refs/tags/v1',
      ]);
    });

    it('to write: one request', async () => {
      const { requests } = await serve();
      const found = await (await remote()).discover('write', [main]);
      expect([...found.refs]).toEqual([[main, tip(work)]]);
      expect(requests.map((request) => `${request.method} ${request.path}`)).toEqual([
        'GET /kb.git/info/refs?service=git-receive-pack',
      ]);
    });

    it.each(['read', 'write'] as const)('an empty repository, to %s', async (intent) => {
      createBareRepository(root, 'empty.git');
      await serve();
      const found = await (await remote('empty.git')).discover(intent, [main]);
      expect(found.empty).toBe(true);
      expect(found.refs.size).toBe(0);
      if (intent === 'read') expect(found.head).toBe('refs/heads/main');
    });

    it('a server that knows only protocol v0', async () => {
      git(work, ['push', '--quiet', 'origin', 'HEAD:side']);
      await serve({ protocolV0Only: true });
      const found = await (await remote()).discover('read', ['refs/heads/main']);
      expect([...found.refs]).toEqual([[main, tip(work)]]);
      expect(found).toMatchObject({ head: 'refs/heads/main', empty: false });
    });

    it('asked again, even a v0 server tells where the branch is now', async () => {
      await serve({ protocolV0Only: true });
      const opened = await remote();
      await opened.discover('read', [main]);
      const third = commit('three.md');
      git(work, ['push', '--quiet', 'origin', 'HEAD:main']);
      expect((await opened.discover('read', [main])).refs.get(main)).toBe(third);
    });

    it('an empty repository on a v0 server', async () => {
      createBareRepository(root, 'empty.git');
      await serve({ protocolV0Only: true });
      expect(await (await remote('empty.git')).discover('read', [])).toMatchObject({ empty: true });
    });

    it.each(['read', 'write'] as const)('SHA-256 is refused by name, to %s', async (intent) => {
      git(root, ['init', '--quiet', '--bare', '--object-format=sha256', 'new.git']);
      await serve();
      const error = await errorOf((await remote('new.git')).discover(intent, []));
      expect(error).toMatchObject({ code: 'E_USAGE', message: expect.stringContaining('sha256') as string });
    });
  });

  describe.each([{ protocolV0Only: false }, { protocolV0Only: true }])(
    'fetch, $protocolV0Only for v0 only',
    (protocol) => {
      it('a whole history', async () => {
        await serve(protocol);
        const fetched = await fetchPack(await remote(), { wants: [tip(work)] });
        expect(fetched).toMatchObject({ shallow: [], unshallow: [], empty: false });
        git(root, ['init', '--quiet', '--bare', 'copy.git']);
        keepPack(join(root, 'copy.git'), fetched.pack);
        git(join(root, 'copy.git'), ['update-ref', main, tip(work)]);
        expect(git(join(root, 'copy.git'), ['fsck', '--strict', '--full'])).toBe('');
      });

      it('depth 1, then only what is new, then the rest', async () => {
        const second = tip(work);
        await serve(protocol);
        const opened = await remote();
        const copy = join(root, 'copy.git');
        git(root, ['init', '--quiet', '--bare', 'copy.git']);

        const shallow = await fetchPack(opened, { wants: [second], depth: 1 });
        expect(shallow).toMatchObject({ shallow: [second], unshallow: [], empty: false });
        keepPack(copy, shallow.pack);
        writeFileSync(join(copy, 'shallow'), `${second}\n`);
        git(copy, ['update-ref', main, second]);
        expect(git(copy, ['rev-list', '--count', main]).trim()).toBe('1');

        const third = commit('three.md');
        git(work, ['push', '--quiet', 'origin', 'HEAD:main']);
        const grown = await fetchPack(opened, { wants: [third], haves: [second], shallow: new Set([second]) });
        expect(grown).toMatchObject({ shallow: [], unshallow: [], empty: false });
        keepPack(copy, grown.pack);
        git(copy, ['update-ref', main, third]);
        expect(git(copy, ['rev-list', '--count', main]).trim()).toBe('2');
        expect(git(copy, ['fsck', '--strict'])).toBe('');

        const rest = await fetchPack(opened, {
          wants: [third],
          haves: [third],
          shallow: new Set([second]),
          deepenTo: 'full',
        });
        expect(rest).toMatchObject({ shallow: [], unshallow: [second], empty: false });
        keepPack(copy, rest.pack);
        rmSync(join(copy, 'shallow'));
        expect(git(copy, ['rev-list', '--count', main]).trim()).toBe('3');
        expect(git(copy, ['fsck', '--strict'])).toBe('');
      });

      it('nothing new: no byte reaches the sink', async () => {
        await serve(protocol);
        const fetched = await fetchPack(await remote(), { wants: [tip(work)], haves: [tip(work)] });
        expect(fetched).toMatchObject({ empty: true });
        expect(fetched.pack).toHaveLength(0);
      });

      it('a commit that is not there', async () => {
        await serve(protocol);
        const error = await errorOf(fetchPack(await remote(), { wants: [asOid('1'.repeat(40))] }));
        expect(error).toMatchObject({ code: 'E_NETWORK' });
      });

      it('many haves travel compressed', async () => {
        const { requests } = await serve(protocol);
        const haves = Array.from({ length: 500 }, (_, index) => asOid(index.toString(16).padStart(40, 'a')));
        const fetched = await fetchPack(await remote(), { wants: [tip(work)], haves: [...haves, tip(work, 'HEAD~1')] });
        expect(fetched.empty).toBe(false);
        const last = requests.at(-1);
        expect(last?.headers['content-encoding']).toBe('gzip');
        expect(last?.bodyBytes).toBeLessThan(500 * 50);
        keepPack(work, fetched.pack); // thin against HEAD~1, which this clone has
      });

      it('progress: phases of the remote and bytes', async () => {
        await serve(protocol);
        const phases = new Set<string>();
        let bytes = 0;
        const fetched = await fetchPack(await remote(), {
          wants: [tip(work)],
          onProgress: (progress) => {
            phases.add(progress.phase);
            bytes = progress.bytes;
          },
        });
        expect(phases).toContain('Counting objects');
        expect(phases).toContain('Receiving objects');
        expect(bytes).toBe(fetched.pack.length);
      });

      it('what the sink throws comes out, and the remote can be used again', async () => {
        await serve(protocol);
        const opened = await remote();
        const failure = new KbError('E_STORAGE', 'the volume is full');
        const sink = {
          write: (): void => {
            throw failure;
          },
        };
        await expect(opened.fetch({ wants: [tip(work)], haves: [], shallow: new Set(), sink })).rejects.toBe(failure);
        expect((await fetchPack(opened, { wants: [tip(work)] })).empty).toBe(false);
      });
    },
  );

  it('a fetch of many megabytes is byte for byte what git sends', async () => {
    for (let file = 0; file < 6; file += 1) {
      writeFileSync(join(work, `large-${file}.bin`), incompressible(1 << 20));
    }
    const large = commit('large.md');
    git(work, ['push', '--quiet', 'origin', 'HEAD:main']);
    await serve();
    const fetched = await fetchPack(await remote(), { wants: [large] });
    expect(fetched.pack.length).toBeGreaterThan(6 << 20);
    git(root, ['init', '--quiet', '--bare', 'copy.git']);
    keepPack(join(root, 'copy.git'), fetched.pack);
  });

  it.each([undefined, 1])("into kb's own object store, depth %s; then what is new, as a thin pack", async (depth) => {
    const second = tip(work);
    await serve();
    const opened = await remote();
    git(root, ['init', '--quiet', '--bare', 'copy.git']);
    const copy = join(root, 'copy.git');
    const store = ObjectStore.open(nodeDisk, copy);
    const take = async (request: Partial<FetchRequest>): Promise<FetchResult> => {
      const sink = store.receivePack({ keepLooseUnder: 0 });
      const result = await opened.fetch({ wants: [], haves: [], shallow: new Set(), ...request, sink });
      if (result.empty) sink.abort();
      else sink.finish();
      return result;
    };
    const first = await take({ wants: [second], ...(depth === undefined ? {} : { depth }) });
    if (first.shallow.length > 0) writeFileSync(join(copy, 'shallow'), `${first.shallow.join('\n')}\n`);
    const third = commit('one.md', 'one.md\nand more\n');
    git(work, ['push', '--quiet', 'origin', 'HEAD:main']);
    await take({ wants: [third], haves: [second], shallow: new Set(first.shallow) });
    git(copy, ['update-ref', main, third]);
    expect(git(copy, ['fsck', '--strict', '--full'])).toBe('');
    expect(git(copy, ['rev-list', '--count', main]).trim()).toBe(depth === 1 ? '2' : '3');
    store.close();
  });

  it('a server that refuses words it does not know is asked for its abilities first', async () => {
    createBareRepository(root, 'empty.git');
    const strict = {
      kind: 'status',
      status: 200,
      headers: { 'Content-Type': 'application/x-git-upload-pack-result' },
      body: '001cERR unexpected: unborn\n\n\n',
    } as const;
    const { requests } = await serve({ faults: (request) => (request.number === 1 ? strict : undefined) });
    const found = await (await remote()).discover('read', [main]);
    expect(found.refs.get(main)).toBe(tip(work));
    expect(requests.map((request) => request.path.split('/').at(-1))).toEqual([
      'git-upload-pack',
      'refs?service=git-upload-pack',
      'git-upload-pack',
    ]);
  });

  it('native git works with the same server (the bench and the oracle rely on it)', async () => {
    const { url, requests } = await serve({ auth: { token: 'the-right-token' }, latencyMs: 1 });
    const address = `${url.replace('://', '://x:the-right-token@')}/kb.git`;
    const clone = join(root, 'native');
    await gitInBackground(root, ['clone', '--quiet', address, clone]);
    writeFileSync(join(clone, 'large.bin'), incompressible(3 << 20));
    git(clone, ['add', '.']);
    git(clone, ['commit', '--quiet', '-m', 'large']);
    await gitInBackground(clone, ['push', '--quiet', 'origin', 'HEAD:main']);
    expect(tip(bare, 'main')).toBe(tip(clone));
    expect(requests.some((request) => request.headers['transfer-encoding'] === 'chunked')).toBe(true);
  });

  describe('push', () => {
    it('a cycle: two requests when nothing moved, three when it did, one connection', async () => {
      const running = await serve();
      const opened = await remote();
      const before = (await opened.discover('write', [main])).refs.get(main) ?? null;
      const third = commit('three.md');
      expect(await push(opened, before, third)).toEqual({ kind: 'landed' });
      expect(opened.requests).toBe(2);
      expect(running.requests).toHaveLength(2);
      expect(running.connections).toBe(1);
      expect(tip(bare, 'main')).toBe(third);
      expect(git(bare, ['fsck', '--strict', '--full'])).toBe('');

      running.reset();
      const moved = await remote();
      const now = (await moved.discover('write', [main])).refs.get(main) ?? null;
      await fetchPack(moved, { wants: [third], haves: [tip(work, 'HEAD~1')] });
      expect(await push(moved, now, commit('four.md'))).toEqual({ kind: 'landed' });
      expect(running.requests).toHaveLength(3);
      expect(running.connections).toBe(1);
    });

    it('creates the branch of an empty repository, and one beside others', async () => {
      createBareRepository(root, 'empty.git');
      await serve();
      const empty = await remote('empty.git');
      await empty.discover('write', [main]);
      expect(await push(empty, null, tip(work))).toEqual({ kind: 'landed' });
      expect(git(join(root, 'empty.git'), ['fsck', '--strict'])).toBe('');
      const opened = await remote();
      const outcome = await opened.push({
        ref: branchRef('session/x'),
        from: null,
        to: tip(work),
        objects: new NativeObjects(work),
        oids: [],
        shallow: new Set(),
      });
      expect(outcome).toEqual({ kind: 'landed' });
      expect(tip(bare, 'session/x')).toBe(tip(work));
    });

    it('a large push is streamed', async () => {
      writeFileSync(join(work, 'large.bin'), incompressible(3 << 20));
      const before = tip(work);
      const large = commit('three.md');
      const { requests } = await serve();
      let fenced = 0;
      expect(await push(await remote(), before, large, { fence: () => (fenced += 1) })).toEqual({ kind: 'landed' });
      expect(fenced).toBe(1);
      expect(requests.at(-1)?.headers).toMatchObject({ 'transfer-encoding': 'chunked' });
      expect(requests.at(-1)?.bodyBytes).toBeGreaterThan(3 << 20);
      expect(git(bare, ['fsck', '--strict'])).toBe('');
    });

    it.each(['small', 'large'])('a %s push that the fence stops changes nothing', async (size) => {
      if (size === 'large') {
        writeFileSync(join(work, 'large.bin'), incompressible(3 << 20));
      }
      const before = tip(work);
      const third = commit('three.md');
      await serve();
      const opened = await remote();
      const lost = new KbError('E_LOCK_LOST', 'the lock was taken away');
      const fence = (): void => {
        throw lost;
      };
      await expect(push(opened, before, third, { fence })).rejects.toBe(lost);
      expect(tip(bare, 'main')).toBe(before);
      // and the connection that it left half used does not block the next request
      expect((await opened.discover('write', [main])).refs.get(main)).toBe(before);
    });

    it('a push that native git won first is a race, and nothing is lost', async () => {
      await serve();
      const opened = await remote();
      const before = (await opened.discover('write', [main])).refs.get(main) ?? null;
      const theirs = commit('theirs.md');
      git(work, ['push', '--quiet', 'origin', 'HEAD:main']);
      git(work, ['reset', '--quiet', '--hard', before ?? '']);
      expect(await push(opened, before, commit('ours.md'))).toEqual({ kind: 'race' });
      expect(tip(bare, 'main')).toBe(theirs);
    });

    it('a branch that somebody else created or deleted meanwhile is a race', async () => {
      await serve();
      expect(
        await push(await remote(), null, commit('three.md'), { oids: objectsBetween(tip(bare, 'main'), tip(work)) }),
      ).toEqual({ kind: 'race' });
      const before = tip(bare, 'main');
      const opened = await remote();
      await opened.discover('write', [main]);
      git(bare, ['update-ref', '-d', main]);
      expect(await push(opened, before, tip(work), { oids: objectsBetween(before, tip(work)) })).toEqual({
        kind: 'race',
      });
    });

    it('a ref that is locked is a race; one that cannot exist is refused', async () => {
      await serve();
      const before = tip(work);
      const opened = await remote();
      await opened.discover('write', [main]);
      writeFileSync(join(bare, `${main}.lock`), '');
      expect(await push(opened, before, commit('three.md'))).toEqual({ kind: 'race' });
      rmSync(join(bare, `${main}.lock`));
      const outcome = await opened.push({
        ref: branchRef('main/below'),
        from: null,
        to: before,
        objects: new NativeObjects(work),
        oids: [],
        shallow: new Set(),
      });
      expect(outcome).toMatchObject({ kind: 'refused' });
    });

    it.each([
      [
        'pre-receive',
        'echo "no\x1b[31mtes \xe2\x80\xaetoday" >&2; exit 1',
        'pre-receive hook declined: no\\x1b[31mtes \\u202etoday',
      ],
      ['update', 'echo "frozen" >&2; exit 1', 'hook declined: frozen | error: hook declined to update refs/heads/main'],
    ])('what a %s hook says is shown safely', async (name, script, message) => {
      installHook(bare, name, Buffer.from(script, 'latin1').toString('utf8'));
      await serve();
      const before = tip(work);
      expect(await push(await remote(), before, commit('three.md'))).toEqual({ kind: 'refused', message });
      expect(tip(bare, 'main')).toBe(before);
    });

    it('a hook that stays silent for longer than 5 s is waited for', async () => {
      installHook(bare, 'pre-receive', 'sleep 6');
      git(bare, ['config', 'receive.keepAlive', '0']);
      await serve();
      expect(await push(await remote(), tip(work), commit('three.md'))).toEqual({ kind: 'landed' });
    });

    it('has landed while the hooks after it still run; they are heard out before the connection ends', async () => {
      const [may, ended] = [join(root, 'may-end'), join(root, 'ended')];
      installHook(bare, 'post-receive', `while [ ! -e '${may}' ]; do sleep 0.02; done; touch '${ended}'`);
      const running = await serve();
      const opened = await remote();
      await opened.discover('write', [main]);
      expect(await push(opened, tip(work), commit('three.md'))).toEqual({ kind: 'landed' });
      expect(existsSync(ended)).toBe(false);
      writeFileSync(may, '');
      await opened.heardOut?.();
      expect(existsSync(ended)).toBe(true);
      await opened.discover('write', [main]);
      expect(running.connections).toBe(1);
    });

    it.each([
      [['receive.denyCurrentBranch', 'refuse', 'core.bare', 'false'], /branch is currently checked out/],
      [['receive.maxInputSize', '10'], /could not take the objects in/],
    ])('policy: %j', async (settings, message) => {
      for (let at = 0; at < settings.length; at += 2) git(bare, ['config', settings[at] ?? '', settings[at + 1] ?? '']);
      await serve();
      const outcome = await push(await remote(), tip(work), commit('three.md'));
      expect(outcome).toMatchObject({ kind: 'refused', message: expect.stringMatching(message) as string });
    });

    it('from a shallow clone', async () => {
      const clone = join(root, 'shallow');
      git(root, ['clone', '--quiet', '--depth', '1', `file://${bare}`, clone]);
      const before = tip(clone);
      writeFileSync(join(clone, 'three.md'), 'three\n');
      git(clone, ['add', '.']);
      git(clone, ['commit', '--quiet', '-m', 'three']);
      await serve();
      const shallow = new Set([before]);
      expect(await push(await remote(), before, tip(clone), { directory: clone, shallow })).toEqual({ kind: 'landed' });
      expect(git(bare, ['rev-list', '--count', 'main']).trim()).toBe('3');
      expect(git(bare, ['fsck', '--strict'])).toBe('');
      expect(existsSync(join(bare, 'shallow'))).toBe(false);
    });

    it('eight at once with native git: every commit lands exactly once', async () => {
      await serve();
      const attempts = Array.from({ length: 4 }, async (_, index) => {
        const clone = join(root, `clone-${index}`);
        git(root, ['clone', '--quiet', bare, clone]);
        writeFileSync(join(clone, `kb-${index}.md`), `${index}\n`);
        git(clone, ['add', '.']);
        git(clone, ['commit', '--quiet', '-m', `kb ${index}`]);
        for (;;) {
          const opened = await remote();
          const from = (await opened.discover('write', [main])).refs.get(main) ?? null;
          git(clone, ['pull', '--quiet', '--rebase']);
          if (tip(clone, 'HEAD~1') !== from) continue;
          const outcome = await push(opened, from, tip(clone), { directory: clone });
          if (outcome.kind === 'landed') return;
          expect(outcome).toEqual({ kind: 'race' });
        }
      });
      for (let index = 0; index < 4; index += 1) {
        git(work, ['pull', '--quiet', '--rebase']);
        commit(`native-${index}.md`);
        await new Promise((resolve) => setImmediate(resolve));
        for (;;) {
          git(work, ['push', '--quiet', 'origin', 'HEAD:main'], { allowFailure: true });
          git(work, ['pull', '--quiet', '--rebase']);
          if (tip(bare, 'main') === tip(work)) break;
        }
      }
      await Promise.all(attempts);
      expect(git(bare, ['log', '--format=%s', 'main']).trim().split('\n').sort()).toEqual([
        'kb 0',
        'kb 1',
        'kb 2',
        'kb 3',
        'native-0.md',
        'native-1.md',
        'native-2.md',
        'native-3.md',
        'one.md',
        'two.md',
      ]);
      expect(git(bare, ['fsck', '--strict', '--no-dangling'])).toBe('');
    });
  });

  it('credentials go out with the first request and stand in no address', async () => {
    const running = await serve({ auth: { username: 'ann', password: 'open-sesame' } });
    const opened = await remote('kb.git', { userinfo: 'ann:open-sesame' });
    await opened.discover('read', []);
    expect(opened.displayUrl).toBe(`${running.url}/kb.git`);
    expect(JSON.stringify(running.requests.map((request) => request.path))).not.toContain('sesame');
    // preemptive: no 401 round trip
    expect(running.requests.map((request) => request.status)).toEqual([200]);
    expect(running.requests[0]?.headers['user-agent']).toBe('git/2.0 (kb)');
  });
});
