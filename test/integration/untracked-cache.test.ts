import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { GitIndex } from '../../src/git/index/index-file.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import { scanChanges } from '../../src/git/worktree/status.js';
import type { UntrackedCacheOptions } from '../../src/git/worktree/untracked-cache.js';
import { Worktree } from '../../src/git/worktree/worktree.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { cacheFile, openCache, settle } from '../support/untracked-cache.js';
import { LINUX } from '../unit/git/worktree/native-worktree.js';

const isUsedHere = openCache(makeTemporaryDirectory()) !== undefined;

function put(root: string, path: string, content = 'x\n'): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

/** Tracked files in a few folders, an ignored one and an untracked one; all has settled. */
function makeVault(): string {
  const root = makeTemporaryDirectory();
  git(root, ['init', '-q']);
  put(root, '.gitignore', '*.log\n');
  for (const name of ['a/1', 'a/2', 'a/b/3', 'c/4', 'top']) put(root, name);
  git(root, ['add', '-A']);
  git(root, ['commit', '-qm', 'start']);
  put(root, 'a/x.log');
  put(root, 'loose/deep/5');
  settle();
  return root;
}

/** Changes entries of the index and leaves its TREE extension as it was; without a checksum, as index.skipHash does. */
function keepingTrees(root: string, change: () => void): void {
  const index = join(root, '.git/index');
  const before = readFileSync(index);
  change();
  const after = readFileSync(index);
  const file = Buffer.concat([after.subarray(0, after.indexOf('TREE')), before.subarray(before.indexOf('TREE'))]);
  writeFileSync(index, file.fill(0, file.length - 20));
}

interface Sight {
  readonly found: string[];
  /** Folders that were listed, relative to the root. */
  readonly listed: string[];
}

function look(root: string, disk: Disk = nodeDisk, over: Partial<UntrackedCacheOptions> = {}): Sight {
  const listed: string[] = [];
  const watching: Disk = {
    ...disk,
    readdirSync: ((path: string, ...rest: [never]) => {
      listed.push(path.slice(root.length + 1));
      return disk.readdirSync(path, ...rest);
    }) as Disk['readdirSync'],
  };
  const gitDir = join(root, '.git');
  const cache = openCache(root, watching, over);
  const worktree = new Worktree(watching, root, gitDir, LINUX);
  const objects = ObjectStore.open(nodeDisk, gitDir);
  const changes = scanChanges(worktree, GitIndex.read(nodeDisk, gitDir), {
    objects,
    ...(cache === undefined ? {} : { cache }),
  });
  cache?.save();
  return { found: changes.map(({ path, kind }) => `${kind} ${path}`), listed: listed.sort() };
}

const LOOSE = 'added loose/deep/5';

describe.skipIf(!nativeGit.available || !isUsedHere)(
  'the cache of untracked files (needs native git, and a temporary folder on a volume of this machine)',
  () => {
    it('lists each folder once, then only those that have changed', () => {
      const root = makeVault();
      expect(look(root)).toEqual({ found: [LOOSE], listed: ['', 'a', 'a/b', 'c', 'loose', 'loose/deep'] });
      expect(look(root)).toEqual({ found: [LOOSE], listed: [] });
      put(root, 'a/b/new');
      put(root, 'loose/deep/new');
      settle();
      const found = ['added a/b/new', LOOSE, 'added loose/deep/new'];
      expect(look(root)).toEqual({ found, listed: ['a/b', 'loose/deep'] });
      expect(look(root)).toEqual({ found, listed: [] });
    });

    it.each<[string, (root: string) => void, string[]]>([
      [
        'a file whose folder got its old mtime back',
        (root) => {
          const reference = join(root, '.git', 'reference');
          writeFileSync(reference, '');
          execFileSync('touch', ['-r', join(root, 'c'), reference]);
          put(root, 'c/new');
          execFileSync('touch', ['-r', reference, join(root, 'c')]);
        },
        ['added c/new', LOOSE],
      ],
      [
        'an ignore file with other rules',
        (root) => put(root, '.gitignore', ''),
        ['modified .gitignore', 'added a/x.log', LOOSE],
      ],
      ['info/exclude', (root) => put(root, '.git/info/exclude', 'loose\n'), []],
      ['a file that is tracked no more', (root) => git(root, ['rm', '-q', '--cached', 'a/2']), ['added a/2', LOOSE]],
      [
        'a file that is in no tree any more',
        (root) => (git(root, ['rm', '-q', '--cached', 'a/2']), git(root, ['write-tree'])),
        ['added a/2', LOOSE],
      ],
      [
        'a file that stands in no tree of the index, which is wrong about it',
        (root) => keepingTrees(root, () => git(root, ['rm', '-q', '--cached', 'a/2'])),
        ['added a/2', LOOSE],
      ],
      [
        'a file that stands in no tree of the index, which is wrong about it and has as many entries as before',
        (root) =>
          keepingTrees(root, () => {
            const [mode, oid] = git(root, ['ls-files', '-s', 'a/2']).split(' ');
            git(root, ['update-index', '--force-remove', 'a/2']);
            git(root, ['update-index', '--add', '--cacheinfo', `${mode},${oid},c/gone`]);
          }),
        ['added a/2', 'deleted c/gone', LOOSE],
      ],
      ['a file that is tracked now', (root) => git(root, ['add', 'loose']), []],
      [
        'a file that took a folder’s place',
        (root) => (rmSync(join(root, 'c'), { recursive: true }), put(root, 'c')),
        ['added c', 'deleted c/4', LOOSE],
      ],
      [
        'a folder that took a file’s place',
        (root) => (rmSync(join(root, 'top')), put(root, 'top/new')),
        [LOOSE, 'deleted top', 'added top/new'],
      ],
      [
        'a folder that took another one’s place',
        (root) => {
          renameSync(join(root, 'a/b'), join(root, 'old'));
          put(root, 'a/b/3', 'x\n');
          put(root, 'a/b/new');
          rmSync(join(root, 'old'), { recursive: true });
        },
        ['added a/b/new', LOOSE],
      ],
      ['a repository of its own', (root) => git(root, ['init', '-q', join(root, 'loose')]), ['added loose']],
    ])('sees %s', (_what, change, found) => {
      const root = makeVault();
      look(root);
      change(root);
      expect(look(root).found).toEqual(found);
      const native = git(root, ['status', '--porcelain', '-uall', '--no-renames'])
        .split('\n')
        .filter((line) => line.startsWith('??'));
      expect(found.filter((line) => line.startsWith('added')).length).toBe(native.length);
    });

    it('keeps no folder that was changed shortly before, on a volume that counts in steps of 2 s', () => {
      const coarse = (stats: Stats): Stats =>
        Object.assign(stats, {
          mtimeMs: Math.floor(stats.mtimeMs / 2000) * 2000,
          ctimeMs: Math.floor(stats.ctimeMs / 2000) * 2000,
        });
      const disk: Disk = {
        ...nodeDisk,
        lstatSync: ((path: string, options: never) => {
          const stats = nodeDisk.lstatSync(path, options) as Stats | undefined;
          return stats === undefined || typeof stats.mtimeMs === 'bigint' ? stats : coarse(stats);
        }) as Disk['lstatSync'],
        statSync: ((path: string, options: never) => coarse(nodeDisk.statSync(path, options))) as Disk['statSync'],
      };
      const root = makeVault();
      look(root, disk, { settledMs: 3000 });
      put(root, 'c/new');
      expect(look(root, disk, { settledMs: 3000 }).found).toContain('added c/new');
    });

    it('counts as none when it is damaged anywhere', () => {
      const root = makeVault();
      look(root);
      const whole = readFileSync(cacheFile(root));
      const isUsed = (): boolean => look(root, nodeDisk, { worthListings: Infinity }).listed.length === 0;
      expect(isUsed()).toBe(true);
      for (let at = 0; at < whole.length; at += 3) {
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
        writeFileSync(cacheFile(root), damaged);
        expect([at, isUsed()]).toEqual([at, false]);
      }
      for (const length of [0, 1, 20, whole.length - 1]) {
        writeFileSync(cacheFile(root), whole.subarray(0, length));
        expect([length, isUsed()]).toEqual([length, false]);
      }
      writeFileSync(cacheFile(root), whole);
      expect(isUsed()).toBe(true);
    });

    it.each<[string, (file: string) => void]>([
      ['is from the future', (file) => utimesSync(file, Date.now() / 1000 + 60, Date.now() / 1000 + 60)],
      ['others may write to', (file) => chmodSync(file, 0o622)],
      ['is a link', (file) => (renameSync(file, `${file}-other`), symlinkSync(`${file}-other`, file))],
      ['is a pipe', (file) => (rmSync(file), execFileSync('mkfifo', [file]))],
      ['is a folder', (file) => (rmSync(file), mkdirSync(file))],
      ['is larger than kb writes any', (file) => truncateSync(file, 65 * 1024 * 1024)],
    ])('counts as none when it %s', (_what, change) => {
      const root = makeVault();
      look(root);
      change(cacheFile(root));
      expect(look(root, nodeDisk, { worthListings: Infinity }).listed).toContain('a');
    });

    it.skipIf(process.getuid?.() !== 0)('counts as none when it is another user’s (needs root)', () => {
      const root = makeVault();
      look(root);
      chownSync(cacheFile(root), 12345, 12345);
      expect(look(root, nodeDisk, { worthListings: Infinity }).listed).toContain('a');
    });

    it('says nothing about a copy of the KB, as it would be on another machine', () => {
      const root = makeVault();
      look(root);
      const copy = join(makeTemporaryDirectory(), 'copy');
      cpSync(root, copy, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
      put(copy, 'c/new');
      utimesSync(join(copy, 'c'), statSync(join(root, 'c')).atime, statSync(join(root, 'c')).mtime);
      expect(existsSync(cacheFile(copy))).toBe(true);
      expect(look(copy)).toEqual({
        found: ['added c/new', LOOSE],
        listed: ['', 'a', 'a/b', 'c', 'loose', 'loose/deep'],
      });
    });

    it('is not used on a volume that other machines write to', () => {
      const root = makeVault();
      const nfs: Disk = {
        ...nodeDisk,
        statfsSync: ((path: string) =>
          Object.assign(nodeDisk.statfsSync(path), { type: 0x6969 })) as Disk['statfsSync'],
      };
      expect(openCache(root, nfs)).toBeUndefined();
    });

    it.each(['EROFS', 'EACCES', 'ENOSPC'])('does without where it cannot be written (%s)', (code) => {
      const root = makeVault();
      const fail = (): never => {
        throw Object.assign(new Error(code), { code, syscall: 'open' });
      };
      const disk: Disk = {
        ...nodeDisk,
        openSync: (path, flags, ...rest) => (flags === 'wx' ? fail() : nodeDisk.openSync(path, flags, ...rest)),
      };
      expect(look(root, disk).found).toEqual([LOOSE]);
      expect(existsSync(cacheFile(root))).toBe(false);
    });

    it('names no object that `kb gc` would keep for it', () => {
      const root = makeVault();
      look(root);
      expect(/[0-9a-f]{40}/.test(readFileSync(cacheFile(root), 'utf8'))).toBe(false);
    });
  },
);
