import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../../src/disk/disk.js';
import { KbError } from '../../../../src/errors.js';
import { decodePath, type RepoPath } from '../../../../src/git/paths.js';
import { sweepTemporaryFiles } from '../../../../src/git/worktree/apply.js';
import { UNKNOWN_STAT } from '../../../../src/git/worktree/modes.js';
import { foldingDisk } from './folding-disk.js';
import { WorktreeFolder } from './worktree-folder.js';

const unsafe: unknown = expect.objectContaining({ code: 'E_UNSAFE_STATE' });

/** The real disk, with one call replaced. */
function diskWith(replacement: Partial<Disk>): Disk {
  return { ...nodeDisk, ...replacement };
}

function errno(code: string): Error {
  return Object.assign(new Error(code), { code });
}

describe('apply', () => {
  it.each([
    '.git/config',
    '.GIT/hooks/post-checkout',
    '../escape.md',
    'a/../../escape.md',
    '.kb_operations.lock',
    'git~1/config',
    '/etc/kb-test',
    '.g\u200cit/x',
  ])('writes nothing when one path is unsafe: %s', (path) => {
    const folder = new WorktreeFolder();
    expect(() => folder.apply({ 'a.md': folder.leaf('1'), [path]: folder.leaf('evil') })).toThrow(unsafe);
    expect(folder.listing()).toEqual({});
    expect(readdirSync(folder.outside)).toEqual(['kb']);
    expect(readdirSync(folder.gitDir)).toEqual([]);
  });

  it('lets an unsafe path go out of the tree, without touching the disk there', () => {
    const folder = new WorktreeFolder();
    writeFileSync(join(folder.gitDir, 'config'), 'mine');
    const change = { path: '.git/config' as RepoPath, before: folder.leaf('mine') };
    expect(folder.worktree.apply([change], folder.objects)).toEqual(new Map([['.git/config', null]]));
    expect(readFileSync(join(folder.gitDir, 'config'), 'utf8')).toBe('mine');
    writeFileSync(join(folder.outside, 'theirs'), '1');
    folder.worktree.apply([{ path: '../theirs' as RepoPath, before: folder.leaf('1') }], folder.objects);
    expect(readFileSync(join(folder.outside, 'theirs'), 'utf8')).toBe('1');
  });

  it('never writes through a symlinked folder', () => {
    const folder = new WorktreeFolder();
    symlinkSync(folder.outside, folder.at('link'));
    expect(() => folder.apply({ 'link/evil.md': folder.leaf('1') })).toThrow(unsafe);
    expect(() => folder.apply({ 'link/kb/deep/evil.md': folder.leaf('1') })).toThrow(unsafe);
    folder.apply({ 'link/evil.md': folder.leaf('1') }, { keepOthers: true });
    expect(readdirSync(folder.outside)).toEqual(['kb']);
  });

  it('never removes through a symlinked folder', () => {
    const folder = new WorktreeFolder();
    folder.commit({ 'a/b.md': folder.leaf('1') });
    folder.remove('a');
    writeFileSync(join(folder.outside, 'b.md'), '1');
    symlinkSync(folder.outside, folder.at('a'));
    folder.apply({});
    expect(readFileSync(join(folder.outside, 'b.md'), 'utf8')).toBe('1');
    expect(folder.listing()).toEqual({ a: `-> ${folder.outside}` });
  });

  it('replaces a link, never the file that it leads to', () => {
    const folder = new WorktreeFolder();
    const target = join(folder.outside, 'target');
    writeFileSync(target, 'theirs');
    folder.commit({ a: folder.leaf(target, 0o120000) });
    folder.apply({ a: folder.leaf('now a file') });
    expect(folder.listing()).toEqual({ a: 'now a file' });
    expect(readFileSync(target, 'utf8')).toBe('theirs');
  });

  it('a link in the tree and a file below it, which no tree can hold, writes nothing outside', () => {
    const folder = new WorktreeFolder();
    expect(() => folder.apply({ a: folder.leaf('..', 0o120000), 'a/evil.md': folder.leaf('1') })).toThrow(unsafe);
    expect(readdirSync(folder.outside)).toEqual(['kb']);
  });

  it.each([
    ['empty', ''],
    ['with a NUL', 'a\0b'],
    ['endless', 'x'.repeat(5000)],
  ])('refuses a link target that is %s, before the first write', (_name, target) => {
    const folder = new WorktreeFolder();
    expect(() => folder.apply({ a: folder.leaf('1'), b: folder.leaf(target, 0o120000) })).toThrow(unsafe);
    expect(folder.listing()).toEqual({});
  });

  it('refuses .gitmodules as a link', () => {
    const folder = new WorktreeFolder();
    expect(() => folder.apply({ '.gitmodules': folder.leaf('x', 0o120000) })).toThrow(unsafe);
  });

  it('removes folders that became empty, never the root', () => {
    const folder = new WorktreeFolder();
    folder.commit({ 'a/b/c.md': folder.leaf('1'), 'a/b/d.md': folder.leaf('1') }).commit({});
    expect(folder.listing()).toEqual({});
    expect(existsSync(folder.root)).toBe(true);
    const bare = new WorktreeFolder();
    const change = { path: 'gone.md' as RepoPath, before: bare.leaf('1') };
    nodeDisk.rmdirSync(bare.gitDir);
    bare.worktree.apply([change], bare.objects);
    expect(existsSync(bare.root)).toBe(true);
  });

  it('keeps a folder that holds other files', () => {
    const folder = new WorktreeFolder();
    folder.commit({ 'a/b/c.md': folder.leaf('1') }).write('a/mine.md', 'x');
    folder.commit({});
    expect(folder.listing()).toEqual({ 'a/mine.md': 'x' });
  });

  it('removes the folder that a crash left empty', () => {
    const folder = new WorktreeFolder();
    folder.commit({ 'a/b/c/d.md': folder.leaf('1') });
    folder.remove('a/b');
    folder.apply({});
    expect(folder.listing()).toEqual({});
  });

  it('puts a file in the place of empty folders, and of nothing else', () => {
    const folder = new WorktreeFolder();
    mkdirSync(folder.at('a/b/c'), { recursive: true });
    folder.apply({ a: folder.leaf('1') });
    expect(folder.listing()).toEqual({ a: '1' });
    const other = new WorktreeFolder().write('a/b/mine.md', 'x');
    expect(() => other.apply({ a: other.leaf('1') })).toThrow(unsafe);
    expect(other.listing()).toEqual({ 'a/b/mine.md': 'x' });
  });

  describe('keepOthers', () => {
    it('leaves alone what is in neither version, and says so in the index entry', () => {
      const folder = new WorktreeFolder();
      const before = { 'a.md': folder.leaf('1'), 'gone.md': folder.leaf('1'), b: folder.leaf('1') };
      folder
        .commit(before)
        .write('a.md', 'mine')
        .write('gone.md', 'mine')
        .write('new.md', 'mine')
        .remove('b')
        .write('b/mine.md', 'x');
      const after = {
        'a.md': folder.leaf('2'),
        'new.md': folder.leaf('2'),
        b: folder.leaf('2'),
        'c.md': folder.leaf('2'),
      };
      const entries = folder.apply(after, { keepOthers: true });
      expect(folder.listing()).toEqual({
        'a.md': 'mine',
        'gone.md': 'mine',
        'new.md': 'mine',
        'b/mine.md': 'x',
        'c.md': '2',
      });
      for (const name of ['a.md', 'new.md', 'b'] as const)
        expect(entries.get(name as RepoPath)).toEqual({ ...after[name], stat: UNKNOWN_STAT });
      expect(entries.get('gone.md' as RepoPath)).toBeNull();
    });

    it('does not write again what is there', () => {
      const folder = new WorktreeFolder();
      folder.commit({ 'a.md': folder.leaf('1') }).write('a.md', '2');
      const { ino } = statSync(folder.at('a.md'));
      folder.apply({ 'a.md': folder.leaf('2') }, { keepOthers: true });
      expect(statSync(folder.at('a.md')).ino).toBe(ino);
    });
  });

  describe('a file that is as git has noted it', () => {
    let reads: string[];
    let folder: WorktreeFolder;
    beforeEach(() => {
      reads = [];
      folder = new WorktreeFolder({}, () =>
        diskWith({
          openSync: ((path: string, flags: string | number, mode?: number) => {
            if (flags !== 'wx') reads.push(path);
            return nodeDisk.openSync(path, flags, mode);
          }) as typeof nodeDisk.openSync,
        }),
      );
      folder.commit({ 'a.md': folder.leaf('1'), 'b.md': folder.leaf('1') });
      const later = Date.now() / 1000 + 5; // as if the index had been written well after the files
      utimesSync(join(folder.gitDir, 'index'), later, later);
      reads = [];
    });

    it('is not read before it is written or removed', () => {
      folder.apply({ 'a.md': folder.leaf('2') }, { keepOthers: true, index: folder.index() });
      expect(folder.listing()).toEqual({ 'a.md': '2' });
      expect(reads).toEqual([]);
    });

    it('is read where it has been touched since, or nobody says what git has noted', () => {
      folder.write('b.md', '3');
      folder.apply({ 'a.md': folder.leaf('2') }, { keepOthers: true, index: folder.index() });
      expect(folder.listing()).toEqual({ 'a.md': '2', 'b.md': '3' });
      expect(reads).not.toEqual([]);
    });
  });

  it('a full disk leaves the old note, no temporary file and no other harm', () => {
    let room = 1;
    const folder = new WorktreeFolder({}, () =>
      diskWith({
        writeSync: ((descriptor: number, data: Uint8Array, offset: number, length: number) => {
          if (room <= 0) throw errno('ENOSPC');
          room -= length;
          return nodeDisk.writeSync(descriptor, data, offset, Math.min(length, 3));
        }) as Disk['writeSync'],
      }),
    );
    folder.commit({ 'a.md': folder.leaf('1') });
    room = 3;
    expect(() => folder.apply({ 'a.md': folder.leaf('a longer text') })).toThrow(
      expect.objectContaining({ code: 'E_STORAGE' }),
    );
    expect(folder.listing()).toEqual({ 'a.md': '1' });
  });

  it('a short write is no whole one', () => {
    const folder = new WorktreeFolder({}, () =>
      diskWith({
        writeSync: ((descriptor: number, data: Uint8Array, offset: number) =>
          nodeDisk.writeSync(descriptor, data, offset, 1)) as Disk['writeSync'],
      }),
    );
    folder.apply({ 'a.md': folder.leaf('whole') });
    expect(folder.listing()).toEqual({ 'a.md': 'whole' });
  });

  it('a reader sees the old or the new note at every step', () => {
    const seen = new Set<string>();
    let watched = '';
    const look = <T>(value: T): T => {
      if (watched !== '') seen.add(existsSync(watched) ? readFileSync(watched, 'utf8') : 'nothing');
      return value;
    };
    const disk = new Proxy(nodeDisk, {
      get:
        (target, name: keyof Disk) =>
        (...args: unknown[]) =>
          look((target[name] as (...all: unknown[]) => unknown)(...args)),
    });
    const folder = new WorktreeFolder({}, () => disk);
    folder.commit({ 'a.md': folder.leaf('old') });
    watched = folder.at('a.md');
    folder.apply({ 'a.md': folder.leaf('new') }, { durable: true });
    expect([...seen]).toEqual(['old', 'new']);
  });

  it('durable: each file is synced before its rename, its folder after', () => {
    const calls: string[] = [];
    const folder = new WorktreeFolder({}, () =>
      diskWith({
        fsyncSync: (descriptor) => (
          calls.push(nodeDisk.fstatSync(descriptor).isDirectory() ? 'sync folder' : 'sync file'),
          nodeDisk.fsyncSync(descriptor)
        ),
        renameSync: (from, to) => (calls.push('rename'), nodeDisk.renameSync(from, to)),
      }),
    );
    folder.apply({ 'a/b.md': folder.leaf('1') }, { durable: true });
    expect(calls).toEqual(['sync file', 'rename', 'sync folder', 'sync folder']);
    calls.length = 0;
    folder.apply({ 'a/c.md': folder.leaf('1') }, { durable: false });
    expect(calls).toEqual(['rename']);
  });

  it('follows the executable bit, whatever the file had before', () => {
    const folder = new WorktreeFolder();
    folder.commit({ run: folder.leaf('1'), not: folder.leaf('1', 0o100755) });
    chmodSync(folder.at('run'), 0o600);
    folder.apply({ run: folder.leaf('1', 0o100755), not: folder.leaf('1') });
    expect(lstatSync(folder.at('run')).mode & 0o100).toBe(0o100);
    expect(lstatSync(folder.at('not')).mode & 0o111).toBe(0);
  });

  it('gives index entries with the exact stat data', () => {
    const folder = new WorktreeFolder();
    const entry = folder.apply({ 'a.md': folder.leaf('1') }).get('a.md' as RepoPath);
    const { mtimeNs, ctimeNs, ino } = lstatSync(folder.at('a.md'), { bigint: true });
    expect(entry).toMatchObject({ mode: 0o100644, stat: { mtimeNs, ctimeNs, ino: Number(ino), size: 1 } });
  });

  it('writes names that are no UTF-8', () => {
    const folder = new WorktreeFolder();
    const name = decodePath(Buffer.from([0x63, 0xe9]));
    folder.apply({ [`f/${name}`]: folder.leaf('1') });
    expect(readdirSync(folder.at('f'), { encoding: 'buffer' })).toEqual([Buffer.from([0x63, 0xe9])]);
    expect(folder.worktree.readFile(`f/${name}` as RepoPath)).toEqual({ data: Buffer.from('1'), mode: 0o100644 });
  });

  it('refuses a tree whose names are one file here, before the first write', () => {
    const folder = new WorktreeFolder({ ignoreCase: true }, foldingDisk);
    expect(() => folder.apply({ 'a.md': folder.leaf('1'), 'A.md': folder.leaf('2') })).toThrow(unsafe);
    expect(() => folder.apply({ é: folder.leaf('1'), 'e\u0301/x': folder.leaf('2') })).toThrow(unsafe);
    expect(folder.listing()).toEqual({});
  });

  it('tells how far it is, and stops when told to', () => {
    const folder = new WorktreeFolder();
    const seen: string[] = [];
    const stop = new AbortController();
    const reason = new KbError('E_TERMINATED', 'terminated');
    const onFile = (done: number, total: number): void => {
      seen.push(`${done}/${total}`);
      if (done === 2) stop.abort(reason);
    };
    expect(() =>
      folder.apply({ a: folder.leaf('1'), b: folder.leaf('1'), c: folder.leaf('1') }, { onFile, signal: stop.signal }),
    ).toThrow(reason);
    expect(seen).toEqual(['1/3', '2/3']);
    expect(folder.listing()).toEqual({ a: '1', b: '1' });
  });

  it('a read-only folder is a storage error that names it', () => {
    const folder = new WorktreeFolder({}, () =>
      diskWith({
        openSync: () => {
          throw errno('EROFS');
        },
      }),
    );
    expect(() => folder.apply({ 'a.md': folder.leaf('1') })).toThrow(expect.objectContaining({ code: 'E_STORAGE' }));
  });
});

it('sweeps the temporary files of a killed apply, and nothing else', () => {
  const folder = new WorktreeFolder();
  folder.write('a/.kb_tmp_file_1_abc_1', 'half').write('a/b.md', 'x').write('other/.kb_tmp_file_1_abc_2', 'half');
  mkdirSync(folder.at('.kb_tmp_lock'));
  const change = (path: string): { path: RepoPath; after: ReturnType<WorktreeFolder['leaf']> } => ({
    path: path as RepoPath,
    after: folder.leaf('1'),
  });
  sweepTemporaryFiles(folder.worktree, [change('a/b.md'), change('top.md'), change('nowhere/x.md')]);
  expect(folder.listing()).toEqual({ 'a/b.md': 'x', 'other/.kb_tmp_file_1_abc_2': 'half', '.kb_tmp_lock/': '/' });
});
