import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import type { Oid } from '../../src/git/ids.js';
import {
  GitIndex,
  IndexLock,
  fileStatOf,
  updateIndex,
  type IndexLockOptions,
  type KnownTrees,
  type NewEntry,
} from '../../src/git/index/index-file.js';
import type { ObjectSource } from '../../src/git/objects/object.js';
import { comparePaths, type RepoPath } from '../../src/git/paths.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const NO_STAT = { ctimeNs: 0n, mtimeNs: 0n, dev: 0, ino: 0, uid: 0, gid: 0, size: 0 };
const EMPTY_BLOB = 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391' as Oid;
const TRUST = { ctime: true, fileMode: true };

function makeRepository(): string {
  const root = makeTemporaryDirectory();
  git(root, ['init', '-q']);
  return root;
}

function put(root: string, path: string, content: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

/** Stores the file's blob and gives the entry that `git add` would make. */
function entryOf(root: string, path: string): NewEntry {
  const oid = git(root, ['hash-object', '-w', '--no-filters', path]).trim() as Oid;
  const stat = lstatSync(join(root, path), { bigint: true });
  return { mode: (stat.mode & 0o100n) === 0n ? 0o100644 : 0o100755, oid, stat: fileStatOf(stat) };
}

function update(
  root: string,
  changes: Record<string, NewEntry | null>,
  trees?: KnownTrees,
  options?: IndexLockOptions,
): void {
  const map = new Map(Object.entries(changes)) as unknown as Map<RepoPath, NewEntry | null>;
  updateIndex(nodeDisk, join(root, '.git'), () => ({ changes: map, ...(trees && { trees }) }), options);
}

const read = (root: string): GitIndex => GitIndex.read(nodeDisk, join(root, '.git'));
const path = (text: string): RepoPath => text as RepoPath;

/** All objects that git has now. */
function storedObjects(root: string): ObjectSource {
  const all = new Set(git(root, ['cat-file', '--batch-all-objects', '--batch-check=%(objectname)']).split('\n'));
  const none = (): never => {
    throw new Error('only has() is needed for the TREE extension');
  };
  return { has: (oid) => all.has(oid), find: none, read: none };
}

/** What git reads: every field of every entry, as `git ls-files --debug` prints it. */
function listByGit(root: string): string[] {
  const lines = git(root, ['ls-files', '-z', '-s', '--debug']).split('\0');
  // The debug lines of an entry follow its NUL, in front of the next entry.
  return lines.slice(0, -1).map((line, at) => {
    const own = /\d{6} [0-9a-f]{40} \d\t[^]*$/.exec(line)?.[0] ?? '';
    const debug = (lines[at + 1] ?? '').replace(/\d{6} [0-9a-f]{40} \d\t[^]*$/, '');
    const [ctime, mtime, dev, ino, uid, gid, size] = [
      ...debug.matchAll(/(?:ctime|mtime|dev|ino|uid|gid|size): ([\d:]+)/g),
    ].map((match) => match[1]);
    return [own, ctime, mtime, dev, ino, uid, gid, size].join(' ');
  });
}

function listByKb(root: string): string[] {
  const time = (ns: bigint): string => `${ns / 1_000_000_000n}:${ns % 1_000_000_000n}`;
  return [...read(root).entries()].map((entry) => {
    const { stat } = entry;
    const own = `${entry.mode.toString(8)} ${entry.oid} ${entry.stage}\t${entry.path}`;
    return [own, time(stat.ctimeNs), time(stat.mtimeNs), stat.dev, stat.ino, stat.uid, stat.gid, stat.size].join(' ');
  });
}

function indexVersion(root: string): number {
  return readFileSync(join(root, '.git/index')).readUInt32BE(4);
}

/** Git's own check of every valid folder in the TREE extension against the entries; it aborts on a wrong one. */
function verifyCacheTree(root: string): void {
  git(root, ['update-index', '--force-write-index'], { env: { GIT_TEST_CHECK_CACHE_TREE: '1' } });
}

/** The tree of these entries, made by git from an index that has no cache. */
function freshTree(root: string): string {
  const entries = git(root, ['ls-files', '-s', '-z']);
  const env = { GIT_INDEX_FILE: join(root, '.git/fresh-index') };
  rmSync(env.GIT_INDEX_FILE, { force: true });
  git(root, ['update-index', '-z', '--index-info'], { input: entries, env });
  return git(root, ['write-tree'], { env }).trim();
}

describe.skipIf(!nativeGit.available)('the index, with native git as oracle (needs git)', () => {
  describe.each([2, 3, 4])('version %i', (version) => {
    function makeVault(): string {
      const root = makeRepository();
      for (const name of [
        'a.md',
        'a/b.md',
        'a/c/d.md',
        'a-b.md',
        'notes/ünï cödé.md',
        'notes/日本.md',
        'z.md',
        'empty.md',
      ]) {
        put(root, name, name === 'empty.md' ? '' : `# ${name}\n`);
      }
      // Where `a` is a folder there cannot be a file `a`; `a.md` and `a-b.md` sort on both sides of `a/`.
      put(root, 'run.sh', '#!/bin/sh\n');
      chmodSync(join(root, 'run.sh'), 0o755);
      symlinkSync('a.md', join(root, 'link'));
      git(root, ['add', '-A']);
      git(root, ['commit', '-qm', 'start']);
      if (version === 3) git(root, ['update-index', '--skip-worktree', 'z.md']);
      git(root, ['update-index', '--index-version', String(version)]);
      git(root, ['update-index', '--force-write-index']);
      return root;
    }

    it('reads every field as git does', () => {
      const root = makeVault();
      git(root, ['update-index', '--assume-unchanged', 'a.md']);
      expect(indexVersion(root)).toBe(version);
      expect(listByKb(root)).toEqual(listByGit(root));
      const index = read(root);
      expect(index.entryCount).toBe(10);
      expect(index.get(path('a.md'))?.assumeValid).toBe(true);
      expect(index.get(path('z.md'))?.skipWorktree).toBe(version === 3);
      expect(index.get(path('notes/日本.md'))?.path).toBe('notes/日本.md');
      expect(index.get(path('a'))).toBeUndefined();
      expect(index.get(path('zz'))).toBeUndefined();
      expect([
        index.hasUnder(path('a')),
        index.hasUnder(path('a.md')),
        index.hasUnder(path('')),
        index.hasUnder(path('not')),
      ]).toEqual([true, false, true, false]);
    });

    it('adds, replaces and removes so that git sees a clean work tree and the same tree', () => {
      const root = makeVault();
      put(root, 'a/new.md', 'new\n');
      put(root, 'a.md', 'changed\n');
      rmSync(join(root, 'a/c/d.md'));
      rmSync(join(root, 'a/c'), { recursive: true });
      const changes = { 'a/new.md': entryOf(root, 'a/new.md'), 'a.md': entryOf(root, 'a.md'), 'a/c/d.md': null };
      update(root, changes, undefined, { statOf: (name) => fileStatOf(lstatSync(join(root, name), { bigint: true })) });
      expect(indexVersion(root)).toBe(version);
      expect(git(root, ['diff-files'])).toBe('');
      expect(git(root, ['status', '--porcelain'])).toBe('M  a.md\nD  a/c/d.md\nA  a/new.md\n');
      expect(listByKb(root)).toEqual(listByGit(root));
      expect(git(root, ['write-tree']).trim()).toBe(freshTree(root));
      git(root, ['commit', '-qm', 'more']);
      expect(git(root, ['status', '--porcelain'])).toBe('');
      git(root, ['fsck', '--strict']);
      expect(readdirSync(join(root, '.git')).filter((name) => name.endsWith('.lock'))).toEqual([]);
    });

    it('leaves every untouched entry as it was, byte for byte', () => {
      const root = makeVault();
      // Long before the index was written, so that nothing is racy.
      for (const name of ['a.md', 'z.md']) utimesSync(join(root, name), 1_600_000_000, 1_600_000_000);
      git(root, ['update-index', '--no-skip-worktree', 'z.md'], { allowFailure: true });
      git(root, ['update-index', '--refresh']);
      const after = Math.ceil(Date.now() / 1000) + 10;
      utimesSync(join(root, '.git/index'), after, after);
      const before = listByGit(root);
      update(root, { 'm.md': { mode: 0o100644, oid: entryOf(root, 'a.md').oid, stat: NO_STAT } });
      update(root, { 'm.md': null });
      // The second write follows within the second of the first, and may take sizes away again.
      const withoutSize = (lines: string[]): string[] => lines.map((line) => line.replace(/ \d+$/, ''));
      expect(withoutSize(listByGit(root))).toEqual(withoutSize(before));
    });
  });

  it('holds names longer than the 12 bits of the flags can say', () => {
    const root = makeRepository();
    const blob = git(root, ['hash-object', '-w', '--stdin'], { input: 'x' }).trim() as Oid;
    const long = Array.from({ length: 30 }, (_, at) => `${String(at)}${'x'.repeat(200)}`).join('/');
    for (const version of [2, 4]) {
      git(root, ['update-index', '--index-info'], { input: `100644 ${blob}\t${long}\n100644 ${blob}\tzz\n` });
      git(root, ['update-index', '--index-version', String(version)]);
      update(root, {
        [`${long}2`]: { mode: 0o100644, oid: blob, stat: NO_STAT },
        b: { mode: 0o100644, oid: blob, stat: NO_STAT },
      });
      expect(indexVersion(root)).toBe(version);
      expect(git(root, ['ls-files']).split('\n').slice(0, -1)).toEqual([long, `${long}2`, 'b', 'zz']);
      expect(read(root).get(path(`${long}2`))?.oid).toBe(blob);
      rmSync(join(root, '.git/index'));
    }
  });

  it('keeps names that are no UTF-8', () => {
    const root = makeRepository();
    const blob = git(root, ['hash-object', '-w', '--stdin'], { input: 'x' }).trim() as Oid;
    const name = 'caf\udce9.md';
    update(root, { [name]: { mode: 0o100644, oid: blob, stat: NO_STAT } });
    expect(git(root, ['ls-files'])).toBe('"caf\\351.md"\n');
    expect([...read(root).entries()].map((entry) => entry.path)).toEqual([name]);
    expect(read(root).get(path(name))?.oid).toBe(blob);
  });

  it('settles a conflict at a path and lists the others', () => {
    const root = makeRepository();
    for (const name of ['a', 'b', 'c']) put(root, name, 'base\n');
    git(root, ['add', '-A']);
    git(root, ['commit', '-qm', 'base']);
    git(root, ['checkout', '-qb', 'other']);
    for (const name of ['a', 'b']) put(root, name, 'theirs\n');
    git(root, ['commit', '-qam', 'theirs']);
    git(root, ['checkout', '-q', 'main']);
    for (const name of ['a', 'b']) put(root, name, 'ours\n');
    git(root, ['commit', '-qam', 'ours']);
    git(root, ['merge', 'other'], { allowFailure: true });
    expect(read(root).unmergedPaths()).toEqual(['a', 'b']);
    expect(read(root).get(path('a'))).toBeUndefined();
    expect(listByKb(root)).toEqual(listByGit(root));
    put(root, 'a', 'both\n');
    update(root, { a: entryOf(root, 'a') });
    expect(read(root).unmergedPaths()).toEqual(['b']);
    expect(git(root, ['status', '--porcelain'])).toBe('M  a\nUU b\n');
    verifyCacheTree(root);
    update(root, { b: null });
    expect(git(root, ['ls-files', '-u'])).toBe('');
    expect(git(root, ['write-tree']).trim()).toBe(freshTree(root));
  });

  it('never holds a name both as file and folder', () => {
    const root = makeRepository();
    for (const name of ['x/deep/1', 'x/deep/2', 'x-1', 'y']) put(root, name, `${name}\n`);
    git(root, ['add', '-A']);
    const oid = entryOf(root, 'y').oid;
    const entry: NewEntry = { mode: 0o100644, oid, stat: NO_STAT };
    update(root, { x: entry, 'y/under/neath': entry });
    expect(git(root, ['ls-files'])).toBe('x\nx-1\ny/under/neath\n');
    expect(git(root, ['write-tree']).trim()).toBe(freshTree(root));
    verifyCacheTree(root);
    expect(() => update(root, { q: entry, 'q/r': entry })).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
    expect(git(root, ['ls-files'])).toBe('x\nx-1\ny/under/neath\n');
  });

  it('turns to version 3 for what version 2 cannot say', () => {
    const root = makeRepository();
    put(root, 'a', 'a\n');
    git(root, ['add', 'a']);
    update(root, { gone: { ...entryOf(root, 'a'), skipWorktree: true } });
    expect(indexVersion(root)).toBe(3);
    expect(git(root, ['ls-files', '-v'])).toBe('H a\nS gone\n');
    expect(read(root).get(path('gone'))?.skipWorktree).toBe(true);
  });

  it.each([
    ['split index', ['update-index', '--split-index'], 'git update-index --no-split-index'],
    ['file system monitor', ['update-index', '--fsmonitor-valid', 'a'], 'git update-index --no-fsmonitor'],
  ])('refuses a %s and names the command that turns it off', (_what, command, hint) => {
    const root = makeRepository();
    put(root, 'a', 'a\n');
    git(root, ['add', 'a']);
    if (command.includes('--fsmonitor-valid')) {
      git(root, ['config', 'core.fsmonitor', 'true-but-no-program']);
      git(root, ['update-index', '--fsmonitor'], { allowFailure: true });
    }
    git(root, command, { allowFailure: true });
    expect(() => read(root)).toThrow(
      expect.objectContaining({ code: 'E_UNSAFE_STATE', hint: expect.stringContaining(hint) as string }),
    );
    expect(() => update(root, { a: null })).toThrow(expect.objectContaining({ code: 'E_UNSAFE_STATE' }));
    expect(readdirSync(join(root, '.git'))).not.toContain('index.lock');
    for (const step of hint.replace(/^git /, '').split(' && git ')) git(root, step.split(' '));
    git(root, ['config', '--unset', 'core.fsmonitor'], { allowFailure: true });
    update(root, { a: null });
    expect(git(root, ['ls-files'])).toBe('');
  });

  it('refuses a sparse index, and works with it once it is expanded', () => {
    const root = makeRepository();
    for (const name of ['in/a', 'out/b', 'c']) put(root, name, `${name}\n`);
    git(root, ['add', '-A']);
    git(root, ['commit', '-qm', 'x']);
    git(root, ['sparse-checkout', 'set', '--cone', '--sparse-index', 'in']);
    expect(() => read(root)).toThrow(
      expect.objectContaining({
        code: 'E_UNSAFE_STATE',
        hint: 'expand it with: git sparse-checkout reapply --no-sparse-index',
      }),
    );
    git(root, ['sparse-checkout', 'reapply', '--no-sparse-index']);
    expect(read(root).get(path('out/b'))?.skipWorktree).toBe(true);
    update(root, { c: null });
    expect(git(root, ['ls-files', '-v'])).toBe('H in/a\nS out/b\n');
  });

  it('drops the untracked cache and the offset tables, which would be wrong', () => {
    const root = makeRepository();
    for (let at = 0; at < 40; at += 1) put(root, `f${String(at)}`, 'x\n');
    git(root, ['add', '-A'], { env: { GIT_TEST_INDEX_THREADS: '4' } });
    git(root, ['update-index', '--force-untracked-cache']);
    git(root, ['status', '--porcelain']);
    expect(readFileSync(join(root, '.git/index')).includes('UNTR')).toBe(true);
    rmSync(join(root, 'f3'));
    put(root, 'untracked', 'x\n');
    update(root, { f3: null });
    const written = readFileSync(join(root, '.git/index'));
    expect(['UNTR', 'EOIE', 'IEOT'].filter((name) => written.includes(name))).toEqual([]);
    expect(git(root, ['status', '--porcelain'])).toContain('?? untracked');
  });

  describe('racy entries', () => {
    const THEN = 1_600_000_000;

    /** `f` was added and then changed, same size, within the second of its mtime and the index's. */
    function makeRacy(): string {
      const root = makeRepository();
      git(root, ['config', 'core.trustctime', 'false']);
      put(root, 'f', 'aaaa\n');
      put(root, 'other', 'o\n');
      for (const name of ['f', 'other']) utimesSync(join(root, name), THEN, THEN);
      git(root, ['add', '-A']);
      git(root, ['commit', '-qm', 'x']);
      put(root, 'f', 'bbbb\n');
      utimesSync(join(root, 'f'), THEN, THEN);
      utimesSync(join(root, '.git/index'), THEN, THEN);
      return root;
    }

    it('the trap is real: with a newer index git would not see the change', () => {
      const root = makeRacy();
      utimesSync(join(root, '.git/index'), THEN + 10, THEN + 10);
      expect(git(root, ['status', '--porcelain'])).toBe('');
    });

    it('are not trusted, and are still seen after another path was written', () => {
      const root = makeRacy();
      const index = read(root);
      const entry = index.get(path('f'));
      if (entry === undefined) throw new Error('f is not in the index');
      const stat = fileStatOf(lstatSync(join(root, 'f'), { bigint: true }));
      expect(index.isUnchanged(entry, stat, { ctime: false, fileMode: true })).toBe(false);
      update(root, { g: { mode: 0o100644, oid: entry.oid, stat: NO_STAT } });
      update(root, { g: null });
      const again = read(root);
      expect(again.isUnchanged(again.get(path('f')) ?? entry, stat, { ctime: false, fileMode: true })).toBe(false);
      expect(git(root, ['status', '--porcelain'])).toBe(' M f\n');
    });

    it('keep their size where a look shows the file untouched', () => {
      const root = makeRepository();
      put(root, 'f', 'aaaa\n');
      put(root, 'h', 'aaaa\n');
      for (const name of ['f', 'h']) utimesSync(join(root, name), THEN, THEN + 0.25);
      git(root, ['add', '-A']);
      // Same second, later instant: racy for git, not to the nanosecond.
      utimesSync(join(root, '.git/index'), THEN, THEN + 0.5);
      put(root, 'h', 'bbbb\n');
      utimesSync(join(root, 'h'), THEN, THEN + 0.25);
      const oid = entryOf(root, 'f').oid;
      const statOf = (name: RepoPath): ReturnType<typeof fileStatOf> =>
        fileStatOf(lstatSync(join(root, name), { bigint: true }));
      update(root, { g: { mode: 0o100644, oid, stat: NO_STAT } }, undefined, { statOf });
      const index = read(root);
      expect(index.get(path('f'))?.stat.size).toBe(5);
      // h has another ctime now: it is not known to be untouched.
      expect(index.get(path('h'))?.stat.size).toBe(0);
      expect(git(root, ['status', '--porcelain', 'h'])).toBe('AM h\n');
    });

    it('a file that is older than the index is trusted; a changed size, mode, type or time is not', () => {
      const root = makeRepository();
      put(root, 'f', 'aaaa\n');
      utimesSync(join(root, 'f'), THEN, THEN);
      git(root, ['add', '-A']);
      const index = read(root);
      const entry = index.get(path('f'));
      if (entry === undefined) throw new Error('f is not in the index');
      const stats = lstatSync(join(root, 'f'), { bigint: true });
      const stat = { ...fileStatOf(stats), mode: Number(stats.mode) };
      expect(index.isUnchanged(entry, stat, TRUST)).toBe(true);
      expect(index.isUnchanged(entry, { ...stat, size: 4 }, TRUST)).toBe(false);
      expect(index.isUnchanged(entry, { ...stat, mtimeNs: stat.mtimeNs + 1n }, TRUST)).toBe(false);
      expect(index.isUnchanged(entry, { ...stat, ino: stat.ino + 1 }, TRUST)).toBe(false);
      expect(index.isUnchanged(entry, { ...stat, ctimeNs: stat.ctimeNs + 1n }, TRUST)).toBe(false);
      expect(index.isUnchanged(entry, { ...stat, ctimeNs: stat.ctimeNs + 1n }, { ...TRUST, ctime: false })).toBe(true);
      expect(index.isUnchanged(entry, { ...stat, mode: 0o100755 }, TRUST)).toBe(false);
      expect(index.isUnchanged(entry, { ...stat, mode: 0o100755 }, { ...TRUST, fileMode: false })).toBe(true);
      expect(index.isUnchanged(entry, { ...stat, mode: 0o120777 }, { ...TRUST, fileMode: false })).toBe(false);
    });

    it('what is only intended to be added is never unchanged', () => {
      const root = makeRepository();
      put(root, 'f', '');
      git(root, ['add', '-N', 'f']);
      const entry = read(root).get(path('f'));
      expect(entry?.intentToAdd).toBe(true);
      expect(
        entry && read(root).isUnchanged(entry, fileStatOf(lstatSync(join(root, 'f'), { bigint: true })), TRUST),
      ).toBe(false);
    });
  });

  describe('the TREE extension', () => {
    function makeTreeVault(): { root: string; entry: NewEntry } {
      const root = makeRepository();
      for (const name of ['a/b/1', 'a/b/2', 'a/c/1', 'a/1', 'd/e/f/1', 'd/e/f/2', 'top']) put(root, name, `${name}\n`);
      git(root, ['add', '-A']);
      git(root, ['commit', '-qm', 'x']);
      expect(read(root).cachedRootTree).toBe(git(root, ['rev-parse', 'HEAD^{tree}']).trim());
      return {
        root,
        entry: { mode: 0o100644, oid: git(root, ['rev-parse', 'HEAD:top']).trim() as Oid, stat: NO_STAT },
      };
    }

    /** Stores the trees that the index will have after the changes, without touching the index. */
    function storeTrees(root: string, changes: Record<string, NewEntry | null>): KnownTrees {
      const env = { GIT_INDEX_FILE: join(root, '.git/planned-index') };
      writeFileSync(env.GIT_INDEX_FILE, readFileSync(join(root, '.git/index')));
      const lines = Object.entries(changes).map(([name, entry]) =>
        entry ? `${entry.mode.toString(8)} ${entry.oid}\t${name}\0` : `0 ${'0'.repeat(40)}\t${name}\0`,
      );
      git(root, ['update-index', '-z', '--index-info'], { env, input: lines.join('') });
      const tree = git(root, ['write-tree'], { env }).trim() as Oid;
      return { source: storedObjects(root), root: tree };
    }

    it('is invalid on the changed paths only, without trees', () => {
      const { root, entry } = makeTreeVault();
      update(root, { 'a/b/3': entry });
      expect(read(root).cachedRootTree).toBeUndefined();
      const extension = readFileSync(join(root, '.git/index')).toString('latin1').split('TREE')[1] ?? '';
      for (const header of ['\0-1 2\n', 'a\0-1 2\n', 'b\0-1 0\n', 'c\x001 0\n', 'd\x002 1\n', 'e\x002 1\n'])
        expect(extension).toContain(header);
      verifyCacheTree(root);
      expect(git(root, ['write-tree']).trim()).toBe(freshTree(root));
    });

    it('is valid to the root with the trees of the change', () => {
      const { root, entry } = makeTreeVault();
      const changes = { 'a/b/3': entry, 'new/folder/x': entry, 'd/e/f/1': null, 'd/e/f/2': null };
      const trees = storeTrees(root, changes);
      update(root, changes, trees);
      expect(read(root).cachedRootTree).toBe(trees.root);
      verifyCacheTree(root);
      expect(git(root, ['write-tree']).trim()).toBe(trees.root);
      git(root, ['fsck', '--strict']);
    });

    it.each([
      ['the very change that was foreseen', (entry: NewEntry) => ({ 'a/b/3': entry, top: null })],
      ['another file', (entry: NewEntry) => ({ 'a/b/4': entry, top: null })],
      ['another mode', (entry: NewEntry) => ({ 'a/b/3': { ...entry, mode: 0o100755 }, top: null })],
      ['a file that stays', (entry: NewEntry) => ({ 'a/b/3': entry, top: entry })],
      ['one more file', (entry: NewEntry) => ({ 'a/b/3': entry, top: null, 'a/c/1': null })],
    ])('fits what is written after a change was prepared: %s', (_what, changesOf) => {
      const { root, entry } = makeTreeVault();
      const foreseen = { 'a/b/3': entry, top: null };
      const known = read(root);
      known.prepare(
        new Map(Object.entries(foreseen)) as unknown as Map<RepoPath, NewEntry>,
        storeTrees(root, foreseen),
      );
      const changes = changesOf(entry);
      const trees = storeTrees(root, changes);
      const lock = IndexLock.acquire(nodeDisk, join(root, '.git'), { known });
      expect(lock.index).toBe(known);
      lock.commit(new Map(Object.entries(changes)) as unknown as Map<RepoPath, NewEntry | null>, trees);
      verifyCacheTree(root);
      expect(read(root).cachedRootTree).toBe(trees.root);
      expect(git(root, ['write-tree']).trim()).toBe(freshTree(root));
      expect(listByKb(root)).toEqual(listByGit(root));
    });

    it('does not believe a change that was prepared for the same tree and is another', () => {
      const { root, entry } = makeTreeVault();
      const foreseen = { 'a/b/3': entry };
      const trees = storeTrees(root, foreseen);
      const known = read(root);
      known.prepare(new Map(Object.entries(foreseen)) as unknown as Map<RepoPath, NewEntry>, trees);
      const lock = IndexLock.acquire(nodeDisk, join(root, '.git'), { known });
      lock.commit(new Map([[path('a/b/4'), entry]]), trees);
      expect(read(root).cachedRootTree).toBeUndefined();
      verifyCacheTree(root);
      expect(git(root, ['write-tree']).trim()).toBe(freshTree(root));
    });

    it('is made from nothing, as after a clone', () => {
      const { root } = makeTreeVault();
      const tree = git(root, ['rev-parse', 'HEAD^{tree}']).trim() as Oid;
      const all = Object.fromEntries(
        [...read(root).entries()].map((entry) => [entry.path, { mode: entry.mode, oid: entry.oid, stat: entry.stat }]),
      );
      rmSync(join(root, '.git/index'));
      update(root, all, { source: storedObjects(root), root: tree });
      expect(read(root).cachedRootTree).toBe(tree);
      verifyCacheTree(root);
      expect(git(root, ['status', '--porcelain'])).toBe('');
    });

    it('does not believe a tree that is not the one of the entries', () => {
      const { root, entry } = makeTreeVault();
      const lie = git(root, ['rev-parse', 'HEAD^{tree}']).trim() as Oid;
      update(root, { 'a/b/3': entry }, { source: storedObjects(root), root: lie });
      expect(read(root).cachedRootTree).toBeUndefined();
      verifyCacheTree(root);
      expect(git(root, ['write-tree']).trim()).toBe(freshTree(root));
    });

    it.each([
      [
        'something else is staged',
        (root: string): void => void (put(root, 'a/c/1', 'staged\n'), git(root, ['add', 'a/c/1'])),
        false,
      ],
      [
        'something is intended to be added',
        (root: string): void => void (put(root, 'a/c/9', ''), git(root, ['add', '-N', 'a/c/9'])),
        true,
      ],
    ])('does not take the commit for the index where %s', (_what, prepare, isIntended) => {
      const { root, entry } = makeTreeVault();
      const trees = storeTrees(root, { 'd/new': entry });
      prepare(root);
      update(root, { 'd/new': entry }, trees);
      expect(read(root).cachedRootTree).toBeUndefined();
      verifyCacheTree(root);
      // Git leaves what is only intended out of its trees.
      expect(git(root, ['write-tree']).trim()).toBe(isIntended ? trees.root : freshTree(root));
      expect(git(root, ['ls-files', '-s', 'd/new'])).toContain(entry.oid);
    });

    it('leaves out what is only intended to be added, even where a tree with it is stored', () => {
      const { root, entry } = makeTreeVault();
      const trees = storeTrees(root, { 'd/new': entry });
      put(root, 'a/c/9', '');
      git(root, ['add', '-N', 'a/c/9']);
      git(root, ['hash-object', '-w', '--stdin'], { input: '' });
      // The tree in which the intended file stands as an empty one, which git would never commit.
      const wrong = storeTrees(root, { 'd/new': entry, 'a/c/9': { ...entry, oid: EMPTY_BLOB } });
      update(root, { 'd/new': entry }, { source: wrong.source, root: trees.root });
      expect(read(root).cachedRootTree).toBeUndefined();
      verifyCacheTree(root);
      expect(git(root, ['write-tree']).trim()).toBe(trees.root);
    });

    it('is not trusted where its count does not match the entries', () => {
      const { root, entry } = makeTreeVault();
      const file = join(root, '.git/index');
      const bytes = readFileSync(file);
      const at = bytes.indexOf('d\x002 1\n');
      bytes.write('d\x001 1\n', at, 'latin1');
      // No checksum at all (index.skipHash): git accepts that, and so does kb.
      bytes.fill(0, bytes.length - 20);
      writeFileSync(file, bytes);
      const changes = { 'a/b/3': entry };
      update(root, changes, storeTrees(root, changes));
      verifyCacheTree(root);
      expect(git(root, ['write-tree']).trim()).toBe(freshTree(root));
    });

    const names = fc
      .array(fc.constantFrom('a', 'b', 'a-', 'a.md', 'zz'), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join('/'));
    const change = fc.record({
      name: names,
      remove: fc.boolean(),
      withTrees: fc.constantFrom('none', 'right', 'stale'),
    });

    it.each([2, 4])(
      'survives random changes of a version %i index: entries, tree and cache agree with git',
      (version) => {
        const { root, entry } = makeTreeVault();
        const blobs = [entry.oid, git(root, ['hash-object', '-w', '--stdin'], { input: 'other' }).trim() as Oid];
        fc.assert(
          fc.property(
            fc.array(fc.array(change, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
            (batches) => {
              git(root, ['read-tree', 'HEAD']);
              git(root, ['update-index', '--index-version', String(version)]);
              const model = new Map([...read(root).entries()].map((item) => [String(item.path), item.oid]));
              for (const batch of batches) {
                const changes: Record<string, NewEntry | null> = {};
                for (const { name, remove } of batch) {
                  const clashes = Object.entries(changes).some(
                    ([other, item]) => item && (other.startsWith(`${name}/`) || name.startsWith(`${other}/`)),
                  );
                  if (!clashes || remove)
                    changes[name] = remove ? null : { ...entry, oid: blobs[name.length % 2] ?? entry.oid };
                }
                for (const [name, item] of Object.entries(changes)) {
                  if (item === null) model.delete(name);
                }
                for (const [name, item] of Object.entries(changes)) {
                  if (item === null) continue;
                  for (const other of [...model.keys()])
                    if (other.startsWith(`${name}/`) || name.startsWith(`${other}/`)) model.delete(other);
                  model.set(name, item.oid);
                }
                const kind = batch[0]?.withTrees ?? 'none';
                if (kind === 'none') update(root, changes);
                else
                  update(
                    root,
                    changes,
                    kind === 'right'
                      ? storeTrees(root, changes)
                      : { source: storedObjects(root), root: git(root, ['rev-parse', 'HEAD^{tree}']).trim() as Oid },
                  );
                const expected = [...model]
                  .sort(([a], [b]) => comparePaths(a, b))
                  .map(([name, oid]) => `100644 ${oid} 0\t${name}\n`);
                expect(git(root, ['ls-files', '-s'])).toBe(expected.join(''));
                expect(listByKb(root)).toEqual(listByGit(root));
                verifyCacheTree(root);
                expect(git(root, ['write-tree']).trim()).toBe(freshTree(root));
              }
            },
          ),
          { numRuns: 15 },
        );
        git(root, ['fsck', '--strict']);
      },
    );
  });

  it('keeps the permissions of a shared repository', () => {
    const root = makeRepository();
    put(root, 'a', 'a\n');
    git(root, ['add', 'a']);
    chmodSync(join(root, '.git/index'), 0o660);
    update(root, { a: null });
    expect(statSync(join(root, '.git/index')).mode & 0o777).toBe(0o660);
  });
});
