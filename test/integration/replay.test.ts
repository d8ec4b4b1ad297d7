import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { isKbError, type KbError } from '../../src/errors.js';
import { asOid, type Oid } from '../../src/git/ids.js';
import { readCommit } from '../../src/git/objects/commit.js';
import { walkTree } from '../../src/git/objects/tree.js';
import { StagedObjects } from '../../src/git/objects/staged.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import type { Conflict } from '../../src/kb/apply-changes.js';
import { integrate, type Integrated } from '../../src/kb/integrate.js';
import { problemsOf } from '../support/crash-invariants.js';
import {
  LINES,
  pushFromElsewhere,
  siteAt,
  startKb,
  syncOnce,
  worldOf,
  write,
  type Site,
} from '../support/crash-site.js';
import { mergeByLines } from '../../src/kb/merge-contents.js';
import { currentProcess } from '../../src/lock/owner.js';
import { Killed } from '../support/failing-disk.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const COMMITTER = { name: 'Kb', email: 'kb@example.com', timestamp: 1_700_000_000, timezone: '+0000' };

type Files = ReadonlyMap<string, { readonly mode: '100644' | '100755'; readonly lines: readonly string[] }>;
type Edit = (files: Files) => Files;

const text = (lines: number, tag = 'line'): string[] => Array.from({ length: lines }, (_, at) => `${tag} ${at}`);
const BASE: Files = new Map([
  ['a.md', { mode: '100644', lines: text(9) }],
  ['folder/b.md', { mode: '100644', lines: text(5, 'b') }],
  ['folder/c.md', { mode: '100755', lines: text(3, 'c') }],
  ['place', { mode: '100644', lines: text(2, 'place') }],
  ['other/inside.md', { mode: '100644', lines: text(2, 'inside') }],
]);
/** `place` is a file and may become a folder, `other` the other way round. */
const PATHS = ['a.md', 'folder/b.md', 'folder/c.md', 'place', 'place/in.md', 'other', 'other/inside.md', 'new.md'];

/** As a file system would have it: a file takes the place of a folder and the other way round. */
function put(files: Files, path: string, file: { mode: '100644' | '100755'; lines: readonly string[] }): Files {
  const others = [...files].filter(([name]) => !name.startsWith(`${path}/`) && !path.startsWith(`${name}/`));
  return new Map([...others, [path, file]]);
}

const path = fc.constantFrom(...PATHS);
const word = fc.constantFrom('red', 'green', 'blue');
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(path, fc.nat(8), word).map(([name, line, value]): Edit => (files) => {
    const file = files.get(name) ?? { mode: '100644' as const, lines: text(3, 'fresh') };
    return put(files, name, {
      ...file,
      lines: file.lines.map((old, at) => (at === line % file.lines.length ? value : old)),
    });
  }),
  fc.tuple(path, fc.nat(9), word).map(([name, line, value]): Edit => (files) => {
    const file = files.get(name);
    return file === undefined
      ? files
      : put(files, name, { ...file, lines: [...file.lines.slice(0, line), value, ...file.lines.slice(line)] });
  }),
  path.map(
    (name): Edit =>
      (files) =>
        new Map([...files].filter(([other]) => other !== name)),
  ),
  path.map((name): Edit => (files) => {
    const file = files.get(name);
    return file === undefined
      ? files
      : put(files, name, { ...file, mode: file.mode === '100644' ? '100755' : '100644' });
  }),
  fc.tuple(path, word).map(
    ([name, value]): Edit =>
      (files) =>
        put(files, name, { mode: '100644', lines: [value] }),
  ),
);
const commits = (most: number): fc.Arbitrary<Edit[][]> =>
  fc.array(fc.array(edit, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: most });

/** Histories of native git, and what kb and `git rebase` make of them. */
class Histories {
  readonly root = makeTemporaryDirectory();
  readonly objects: ObjectStore;

  constructor() {
    git(this.root, ['init', '-q']);
    for (const [key, value] of [
      ['merge.directoryRenames', 'false'],
      ['merge.renames', 'false'],
      ['advice.mergeConflict', 'false'],
    ] as const) {
      git(this.root, ['config', key, value]);
    }
    this.objects = ObjectStore.open(nodeDisk, join(this.root, '.git'));
  }

  /** Commits each state on top of the one before; gives the last one's id. */
  grow(parent: string | undefined, states: readonly Files[]): Oid {
    const stream = states.map((files, at) => {
      const from = at > 0 || parent === undefined ? '' : `from ${parent}\n`;
      const body = [...files]
        .map(([name, { mode, lines }]) => [name, mode, `${lines.join('\n')}\n`] as const)
        .map(([name, mode, data]) => `M ${mode} inline ${name}\ndata ${Buffer.byteLength(data)}\n${data}\n`);
      return `commit refs/heads/grown\ncommitter A <a@b> ${1_600_000_000 + at} +0000\ndata 5\nstate\n${from}deleteall\n${body.join('')}\n`;
    });
    git(this.root, ['fast-import', '--quiet', '--force'], { input: `reset refs/heads/grown\n${stream.join('')}` });
    const tip = asOid(git(this.root, ['rev-parse', 'grown']).trim());
    this.objects.refresh();
    return tip;
  }

  async replay(base: Oid, local: Oid, remote: Oid): Promise<{ tree: Oid } | { conflicts: readonly Conflict[] }> {
    const staged = new StagedObjects(this.objects);
    try {
      const { tip } = await integrate({
        staged,
        shallow: new Set(),
        local,
        remote,
        tracking: base,
        committer: COMMITTER,
        merge: mergeByLines, // what the rules make of a conflict, git has nothing to compare with
      });
      return { tree: readCommit(staged, tip!).tree };
    } catch (error) {
      if (!isKbError(error, 'E_CONFLICT')) throw error;
      return { conflicts: (error as KbError & { details: { conflicts: Conflict[] } }).details.conflicts };
    }
  }

  /** Removes what a rebase that stopped has left. */
  rebase(base: Oid, local: Oid, remote: Oid): { tree: Oid } | { unmerged: string[] } {
    git(this.root, ['checkout', '-q', '--force', '--detach', local]);
    git(this.root, ['rebase', '-q', '--onto', remote, base], { allowFailure: true });
    const unmerged = git(this.root, ['diff', '--name-only', '--diff-filter=U']).split('\n').filter(Boolean);
    if (existsSync(join(this.root, '.git/rebase-merge'))) {
      git(this.root, ['rebase', '--abort']);
      git(this.root, ['clean', '-fdq']);
      return { unmerged };
    }
    return { tree: asOid(git(this.root, ['rev-parse', 'HEAD^{tree}']).trim()) };
  }
}

const touchesPlace = (name: string): boolean => /^(place|other)/.test(name);

describe.skipIf(!nativeGit.available)('replay, against git rebase (needs native git)', () => {
  let histories: Histories;
  let base: Oid;

  beforeAll(() => {
    histories = new Histories();
    base = histories.grow(undefined, [BASE]);
  });
  afterAll(() => histories.objects.close());

  function states(steps: readonly Edit[][]): Files[] {
    let files = BASE;
    return steps.map((edits) => (files = edits.reduce((now, change) => change(now), files)));
  }

  it('gives the same tree, or names the same files', async () => {
    const seen = { clean: 0, conflict: 0 };
    const property = fc.asyncProperty(commits(3), commits(2), async (ours, theirs) => {
      const local = histories.grow(base, states(ours));
      const remote = histories.grow(base, states(theirs));
      const expected = histories.rebase(base, local, remote);
      const actual = await histories.replay(base, local, remote);
      if ('tree' in expected) {
        seen.clean += 1;
        expect(actual).toEqual(expected);
        return;
      }
      seen.conflict += 1;
      expect(actual).toHaveProperty('conflicts');
      if (!('conflicts' in actual)) return;
      // Where a file and a folder meet, git makes up names; for all others it is the same list.
      if ([...expected.unmerged, ...actual.conflicts.map(({ path }) => path)].some(touchesPlace)) return;
      expect(actual.conflicts.map(({ path }) => path).sort()).toEqual(expected.unmerged.sort());
    });
    await fc.assert(property, { numRuns: 60, seed: 20_260_102, endOnFailure: false });
    expect(seen.clean).toBeGreaterThan(10);
    expect(seen.conflict).toBeGreaterThan(10);
  });

  const set =
    (name: string, lines: readonly string[], mode: '100644' | '100755' = '100644'): Edit =>
    (files) =>
      put(files, name, { mode, lines });
  const remove =
    (name: string): Edit =>
    (files) =>
      new Map([...files].filter(([other]) => other !== name));

  it.each<[string, Edit[], Edit[], readonly { path: string; reason: Conflict['reason'] }[] | 'clean']>([
    ['both delete a file', [remove('a.md')], [remove('a.md')], 'clean'],
    ['both make the same file', [set('new.md', ['same'])], [set('new.md', ['same'])], 'clean'],
    ['both make the same edit', [set('a.md', ['same'])], [set('a.md', ['same'])], 'clean'],
    ['a mode here, a line there', [set('a.md', text(9), '100755')], [set('a.md', ['first', ...text(9)])], 'clean'],
    [
      'both make different files',
      [set('new.md', ['mine'])],
      [set('new.md', ['theirs'])],
      [{ path: 'new.md', reason: 'overlap' }],
    ],
    [
      'deleted here, edited there',
      [remove('a.md')],
      [set('a.md', ['theirs'])],
      [{ path: 'a.md', reason: 'deleted_locally' }],
    ],
    [
      'edited here, deleted there',
      [set('a.md', ['mine'])],
      [remove('a.md')],
      [{ path: 'a.md', reason: 'deleted_remotely' }],
    ],
    [
      'a folder here, the file edited there',
      [set('place/in.md', ['mine'])],
      [set('place', ['theirs'])],
      [
        { path: 'place', reason: 'deleted_locally' },
        { path: 'place/in.md', reason: 'file_and_folder' },
      ],
    ],
    [
      'a file here, the folder grown there',
      [set('other', ['mine'])],
      [set('other/two.md', ['theirs'])],
      [{ path: 'other', reason: 'file_and_folder' }],
    ],
    ['a folder in the place of a file', [set('place/in.md', ['mine'])], [set('new.md', ['theirs'])], 'clean'],
    ['a file in the place of a folder', [set('other', ['mine'])], [set('new.md', ['theirs'])], 'clean'],
  ])('%s', async (_what, ours, theirs, expected) => {
    const local = histories.grow(base, states([ours]));
    const remote = histories.grow(base, states([theirs]));
    const actual = await histories.replay(base, local, remote);
    const native = histories.rebase(base, local, remote);
    if (expected === 'clean') expect(actual).toEqual(native);
    else {
      expect(native).toHaveProperty('unmerged');
      const named = 'conflicts' in actual ? actual.conflicts.map(({ path, reason }) => ({ path, reason })) : [];
      expect(named).toEqual(expected);
    }
  });

  it('keeps author, message and date of a replayed commit, and drops its signature', async () => {
    const signed = git(histories.root, [
      'cat-file',
      'commit',
      histories.grow(base, states([[set('new.md', ['mine'])]])),
    ])
      .replace('\n\n', '\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----\n\n')
      .replace('author A <a@b>', 'author Eve Ä <eve@example.com>')
      .replace('state', 'A subject\n\nand a body');
    const local = asOid(
      git(histories.root, ['hash-object', '-t', 'commit', '-w', '--stdin'], { input: signed }).trim(),
    );
    const remote = histories.grow(base, states([[set('a.md', ['theirs'])]]));
    const staged = new StagedObjects(histories.objects);
    const { tip } = await integrate({
      staged,
      shallow: new Set(),
      local,
      remote,
      tracking: base,
      committer: COMMITTER,
    });
    const commit = readCommit(staged, tip!);
    expect(commit).toMatchObject({ parents: [remote], committer: COMMITTER });
    expect(commit.extraHeaders ?? []).toEqual([]);
    expect(commit.author).toMatchObject({ name: 'Eve Ä', email: 'eve@example.com', timestamp: 1_600_000_000 });
    expect(commit.message.trim()).toBe('A subject\n\nand a body');
  });

  it('drops a commit whose change the remote has already', async () => {
    const both = set('new.md', ['same']);
    const local = histories.grow(base, states([[both], [set('a.md', ['mine'])]]));
    const remote = histories.grow(base, states([[both]]));
    const staged = new StagedObjects(histories.objects);
    const { tip } = await integrate({
      staged,
      shallow: new Set(),
      local,
      remote,
      tracking: base,
      committer: COMMITTER,
    });
    expect(readCommit(staged, tip!).parents).toEqual([remote]);
  });

  describe('integrate, where the local commits cannot be replayed and somebody has decided', () => {
    /** Of the two local commits the first one has landed under another id, and its file under another name. */
    const meet = async (second: Edit[]): Promise<Map<string, string>> => {
      const local = histories.grow(base, states([[set('saved.md', ['note'])], second]));
      const [saved] = readCommit(histories.objects, local).parents;
      const remote = histories.grow(base, states([[set('saved-2.md', ['note']), set('line.md', ['theirs'])]]));
      const staged = new StagedObjects(histories.objects);
      const { tip } = await integrate({
        staged,
        shallow: new Set(),
        local,
        remote,
        tracking: base,
        committer: COMMITTER,
        merge: mergeByLines,
        conflicts: { policy: 'fail', mark: 'mark', decide: () => ({ kind: 'policy', policy: 'ours' }) },
        hasLanded: (oid) => oid === saved,
      });
      const { tree, parents } = readCommit(staged, tip!);
      expect(parents).toEqual([local, remote]);
      const files = new Map<string, string>();
      walkTree(staged, tree, (path, { oid }) => files.set(path, staged.find(oid)?.data.toString() ?? ''));
      return files;
    };

    it('what has landed already does not come a second time', async () => {
      const files = await meet([set('line.md', ['ours'])]);
      expect(files.get('line.md')).toContain('ours');
      expect(files.get('saved-2.md')).toContain('note');
      expect(files.has('saved.md')).toBe(false);
    });

    it('what was built upon it keeps it: it cannot be taken out', async () => {
      const files = await meet([set('line.md', ['ours']), set('saved.md', ['note, edited'])]);
      expect(files.get('saved.md')).toContain('note, edited');
    });
  });

  describe('integrate, without anything to replay', () => {
    const run = (sides: { local: Oid | undefined; remote: Oid | undefined; tracking?: Oid }): Promise<Integrated> =>
      integrate({
        tracking: undefined,
        staged: new StagedObjects(histories.objects),
        shallow: new Set(),
        committer: COMMITTER,
        ...sides,
      });

    it('knows who is ahead, and by how much', async () => {
      const next = histories.grow(base, states([[set('a.md', ['one'])], [set('a.md', ['two'])]]));
      const nothing = { merged: [], rewritten: false };
      expect(await run({ local: undefined, remote: undefined })).toMatchObject({
        ...nothing,
        tip: undefined,
        pulled: 0,
      });
      expect(await run({ local: base, remote: undefined })).toMatchObject({ ...nothing, tip: base, pulled: 0 });
      expect(await run({ local: undefined, remote: next })).toMatchObject({ ...nothing, tip: next, pulled: 3 });
      expect(await run({ local: base, remote: base })).toMatchObject({ ...nothing, tip: base, pulled: 0 });
      expect(await run({ local: next, remote: base, tracking: base })).toMatchObject({
        ...nothing,
        tip: next,
        pulled: 0,
      });
      expect(await run({ local: base, remote: next, tracking: base })).toMatchObject({
        ...nothing,
        tip: next,
        pulled: 2,
      });
    });

    it('replays onto a remote that shares no history', async () => {
      const alien = histories.grow(undefined, [new Map([['alien.md', { mode: '100644', lines: ['alien'] }]])]);
      const staged = new StagedObjects(histories.objects);
      const { tip } = await integrate({
        staged,
        shallow: new Set(),
        local: base,
        remote: alien,
        tracking: undefined,
        committer: COMMITTER,
      });
      const commit = readCommit(staged, tip!);
      expect(commit.parents).toEqual([alien]);
    });
  });
});

describe.skipIf(!nativeGit.available)('a remote whose history was rewritten (needs native git)', () => {
  let site: Site;

  /** A KB and its remote, two commits after the first. */
  beforeEach(async () => {
    site = siteAt(join(makeTemporaryDirectory(), 'site'));
    mkdirSync(site.root);
    await startKb(site);
    pushFromElsewhere(site, (work) => write(work, { 'second.md': 'second\n' }));
    pushFromElsewhere(site, (work) => write(work, { 'third.md': 'third\n' }));
    await syncOnce(worldOf(site));
  });

  function rewrite(change: (work: string) => void): void {
    const work = join(site.root, 'rewriting');
    git(site.root, ['clone', '-q', site.remote, work]);
    change(work);
    git(work, ['push', '-q', '--force', 'origin', 'HEAD']);
    rmSync(work, { recursive: true });
  }

  const backward = (work: string): void => void git(work, ['reset', '-q', '--hard', 'HEAD~1']);
  const sideways = (work: string): void => {
    backward(work);
    write(work, { 'instead.md': 'instead\n' });
    git(work, ['add', '-A']);
    git(work, ['commit', '-q', '-m', 'Instead']);
  };
  const remoteFiles = (): string[] => git(site.remote, ['ls-tree', '-r', '--name-only', 'main']).trim().split('\n');
  const backups = (): string[] =>
    git(site.kb, ['for-each-ref', '--format=%(objectname)', 'refs/kb/backup']).split('\n').filter(Boolean);

  it.each([
    ['backward', backward],
    ['sideways', sideways],
  ])('%s, without local work: it is followed', async (_way, change) => {
    rewrite(change);
    const native = join(site.root, 'native');
    cpSync(site.kb, native, { recursive: true });
    git(native, ['pull', '-q', '--rebase']);
    const expected = git(native, ['rev-parse', 'main']);
    await syncOnce(worldOf(site));
    expect(git(site.kb, ['rev-parse', 'main'])).toBe(expected);
    expect(git(site.remote, ['rev-parse', 'main'])).toBe(expected);
    expect(existsSync(join(site.kb, 'third.md'))).toBe(false);
    expect(problemsOf(site)).toEqual([]);
  });

  it.each([
    ['backward', backward],
    ['sideways', sideways],
  ])('%s, with local work: only that is brought back, and the old state has a name', async (_way, change) => {
    rewrite(change);
    write(site.kb, { 'mine.md': 'mine\n' });
    const before = git(site.kb, ['rev-parse', 'main']).trim();
    await syncOnce(worldOf(site));
    expect(remoteFiles()).toContain('mine.md');
    expect(remoteFiles()).not.toContain('third.md');
    expect(backups()).toEqual([before]);
    expect(problemsOf(site)).toEqual([]);
  });

  it('with local commits of native git on top, some already pushed elsewhere', async () => {
    write(site.kb, { 'mine.md': 'mine\n' });
    git(site.kb, ['add', '-A']);
    git(site.kb, ['commit', '-q', '-m', 'Mine']);
    rewrite(sideways);
    await syncOnce(worldOf(site));
    expect(git(site.remote, ['log', '--format=%s', 'main']).trim().split('\n').slice(0, 2)).toEqual([
      'Mine',
      'Instead',
    ]);
    expect(problemsOf(site)).toEqual([]);
  });

  it('local history with a merge commit is merged, not flattened', async () => {
    git(site.kb, ['switch', '-q', '-c', 'side', 'HEAD']);
    write(site.kb, { 'side.md': 'side\n' });
    git(site.kb, ['add', '-A']);
    git(site.kb, ['commit', '-q', '-m', 'Side']);
    git(site.kb, ['switch', '-q', 'main']);
    write(site.kb, { 'diary.md': LINES.replace('line 9\n', 'line 9, here\n') });
    git(site.kb, ['commit', '-q', '-a', '-m', 'Here']);
    git(site.kb, ['merge', '-q', '--no-edit', 'side']);
    const local = git(site.kb, ['rev-parse', 'main']).trim();
    pushFromElsewhere(site, (work) => write(work, { 'diary.md': LINES.replace('line 1\n', 'line 1, there\n') }));
    const remote = git(site.remote, ['rev-parse', 'main']).trim();
    await syncOnce(worldOf(site));
    expect(git(site.remote, ['log', '-1', '--format=%P', 'main']).trim()).toBe(`${local} ${remote}`);
    const merged = LINES.replace('line 1\n', 'line 1, there\n').replace('line 9\n', 'line 9, here\n');
    expect(readFileSync(join(site.kb, 'diary.md'), 'utf8')).toBe(merged);
    expect(problemsOf(site)).toEqual([]);
  });

  it.each<[string, () => void]>([
    [
      'of a branch of its own',
      () => {
        git(site.kb, ['switch', '-q', '-c', 'side', 'HEAD']);
        write(site.kb, { 'side.md': 'side\n' });
        git(site.kb, ['add', '-A']);
        git(site.kb, ['commit', '-q', '-m', 'Side']);
        git(site.kb, ['switch', '-q', 'main']);
        write(site.kb, { 'diary.md': LINES.replace('line 9\n', 'line 9, here\n') });
        git(site.kb, ['commit', '-q', '-a', '-m', 'Here']);
        git(site.kb, ['merge', '-q', '--no-edit', 'side']);
      },
    ],
    [
      'of the very commits that were dropped since',
      () => {
        git(site.kb, ['reset', '-q', '--hard', 'HEAD~1']);
        write(site.kb, { 'side.md': 'side\n', 'diary.md': LINES.replace('line 9\n', 'line 9, here\n') });
        git(site.kb, ['add', '-A']);
        git(site.kb, ['commit', '-q', '-m', 'Side']);
        git(site.kb, ['merge', '-q', '--no-edit', 'origin/main']);
      },
    ],
  ])('local history with a merge commit %s brings back nothing that was dropped', async (_name, mergeHere) => {
    mergeHere();
    const local = git(site.kb, ['rev-parse', 'main']).trim();
    rewrite((work) => {
      sideways(work);
      write(work, { 'diary.md': LINES.replace('line 1\n', 'line 1, there\n') });
      git(work, ['commit', '-q', '-a', '-m', 'There']);
    });
    const [dropped, remote] = [git(site.kb, ['rev-parse', 'origin/main']), git(site.remote, ['rev-parse', 'main'])];
    const native = join(site.root, 'native');
    cpSync(site.kb, native, { recursive: true });
    git(native, ['pull', '-q', '--rebase=merges']);
    await syncOnce(worldOf(site));
    expect(remoteFiles()).not.toContain('third.md');
    expect(git(site.remote, ['rev-parse', 'main^{tree}'])).toBe(git(native, ['rev-parse', 'main^{tree}']));
    expect(git(site.remote, ['log', '-1', '--format=%P', 'main'])).toBe(remote);
    expect(git(site.remote, ['rev-list', 'main'])).not.toContain(dropped.trim());
    expect(backups()).toEqual([local]);
    expect(problemsOf(site)).toEqual([]);
  });

  it('a conflict changes nothing on either side', async () => {
    pushFromElsewhere(site, (work) => write(work, { 'diary.md': LINES.replace('line 3\n', 'line 3, there\n') }));
    write(site.kb, { 'diary.md': LINES.replace('line 3\n', 'line 3, here\n'), 'second.md': null });
    chmodSync(join(site.kb, 'third.md'), 0o755);
    const state = (): string[] => [
      git(site.kb, ['status', '--porcelain']),
      git(site.kb, ['rev-parse', 'main']),
      git(site.kb, ['ls-files', '-s']),
      git(site.remote, ['rev-parse', 'main']),
      readFileSync(join(site.kb, 'diary.md'), 'utf8'),
    ];
    const before = state();
    await expect(syncOnce(worldOf(site))).rejects.toMatchObject({
      code: 'E_CONFLICT',
      details: { conflicts: [{ path: 'diary.md', reason: 'overlap' }] },
    });
    expect(state()).toEqual(before);
  });

  describe('edited again after a push whose process was killed', () => {
    /** `kb sync` that ends as by SIGKILL when its push has landed and nothing is followed yet. */
    async function syncKilledAfterPush(): Promise<void> {
      let isDead = false;
      let journals = 0; // the first one is written before the push, the second one when it has landed
      const disk = new Proxy(nodeDisk, {
        get: (target, name: keyof Disk) => {
          const call = target[name] as ((...args: unknown[]) => unknown) | undefined;
          if (call === undefined) return undefined; // not every disk roams
          return (...args: unknown[]): unknown => {
            if (name === 'openSync' && String(args[0]).includes('advance.json_')) journals += 1;
            isDead ||= journals === 2;
            if (isDead && name !== 'closeSync') throw new Killed();
            return call.apply(target, args);
          };
        },
      });
      const identity = { ...currentProcess(nodeDisk), startTime: '1' };
      await syncOnce(worldOf(site, { disk, identity })).catch(() => undefined);
      expect(isDead).toBe(true);
    }

    beforeEach(async () => {
      write(site.kb, { 'diary.md': LINES.replace('line 3\n', 'line 3, once\n') });
      await syncKilledAfterPush();
      expect(git(site.remote, ['show', 'main:diary.md'])).toContain('line 3, once');
    });

    it('is an edit of what was pushed, not a conflict with it', async () => {
      write(site.kb, { 'diary.md': LINES.replace('line 3\n', 'line 3, twice\n') });
      await syncOnce(worldOf(site));
      expect(git(site.remote, ['show', 'main:diary.md'])).toBe(LINES.replace('line 3\n', 'line 3, twice\n'));
      expect(problemsOf(site)).toEqual([]);
    });

    it('also when others have edited it since', async () => {
      pushFromElsewhere(site, (work) =>
        write(work, { 'diary.md': LINES.replace('line 3\n', 'line 3, once\n').replace('line 9\n', 'line 9, there\n') }),
      );
      write(site.kb, { 'diary.md': LINES.replace('line 3\n', 'line 3, twice\n') });
      await syncOnce(worldOf(site));
      const expected = LINES.replace('line 3\n', 'line 3, twice\n').replace('line 9\n', 'line 9, there\n');
      expect(git(site.remote, ['show', 'main:diary.md'])).toBe(expected);
      expect(problemsOf(site)).toEqual([]);
    });

    it('twice, and each time it was replayed upon what others had written', async () => {
      pushFromElsewhere(site, (work) => write(work, { 'other 1.md': 'other\n' }));
      write(site.kb, { 'diary.md': LINES.replace('line 3\n', 'line 3, twice\n') });
      await syncKilledAfterPush();
      pushFromElsewhere(site, (work) => write(work, { 'other 2.md': 'other\n' }));
      write(site.kb, { 'diary.md': LINES.replace('line 3\n', 'line 3, three times\n') });
      await syncKilledAfterPush();
      write(site.kb, { 'diary.md': LINES.replace('line 3\n', 'line 3, four times\n') });
      await syncOnce(worldOf(site));
      expect(git(site.remote, ['show', 'main:diary.md'])).toBe(LINES.replace('line 3\n', 'line 3, four times\n'));
      expect(problemsOf(site)).toEqual([]);
    });

    it('needs no second commit when nothing was edited', async () => {
      const landed = git(site.remote, ['rev-parse', 'main']);
      await syncOnce(worldOf(site));
      expect(git(site.remote, ['rev-parse', 'main'])).toBe(landed);
      expect(problemsOf(site)).toEqual([]);
    });
  });
});
