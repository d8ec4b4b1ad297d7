import { execFileSync } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../../src/disk/disk.js';
import { hashObject } from '../../../../src/git/objects/object.js';
import type { RepoPath } from '../../../../src/git/paths.js';
import { WorktreeFolder } from './worktree-folder.js';

const path = (text: string): RepoPath => text as RepoPath;

describe('readFile', () => {
  it('gives a file, an executable and a link as blobs hold them', () => {
    const folder = new WorktreeFolder();
    folder.commit({
      'a.md': folder.leaf('text'),
      run: folder.leaf('#!', 0o100755),
      link: folder.leaf('a.md', 0o120000),
    });
    expect(folder.worktree.readFile(path('a.md'))).toEqual({ data: Buffer.from('text'), mode: 0o100644 });
    expect(folder.worktree.readFile(path('run'))).toEqual({ data: Buffer.from('#!'), mode: 0o100755 });
    expect(folder.worktree.readFile(path('link'))).toEqual({ data: Buffer.from('a.md'), mode: 0o120000 });
  });

  it.each(['nothing.md', 'nowhere/at/all.md', 'folder', 'folder/a.md/below'])('gives nothing for %s', (name) => {
    const folder = new WorktreeFolder().write('folder/a.md', 'x');
    expect(folder.worktree.readFile(path(name))).toBeUndefined();
    expect(folder.worktree.stat(path(name))).toBeUndefined();
  });

  it('gives nothing for a pipe, and does not wait for a writer', () => {
    const folder = new WorktreeFolder();
    execFileSync('mkfifo', [folder.at('pipe')]);
    expect(folder.worktree.readFile(path('pipe'))).toBeUndefined();
  });

  it.each(['../x', '/etc/passwd', '.git/config', 'a/../../x', '.GIT/config', ''])('refuses the path %s', (name) => {
    const folder = new WorktreeFolder();
    expect(() => folder.worktree.readFile(path(name))).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
    expect(() => folder.worktree.stat(path(name))).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });

  it('never reads through a symlinked folder', () => {
    const folder = new WorktreeFolder();
    writeFileSync(`${folder.outside}/secret`, 'x');
    symlinkSync(folder.outside, folder.at('link'));
    expect(() => folder.worktree.readFile(path('link/secret'))).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
    expect(folder.worktree.stat(path('link/secret'))).toBeUndefined();
  });

  it('does not follow a link that takes the place of the file in between', () => {
    const disk: Disk = {
      ...nodeDisk,
      openSync: (file, ...rest) => {
        nodeDisk.unlinkSync(file);
        nodeDisk.symlinkSync('../secret', file);
        return nodeDisk.openSync(file, ...rest);
      },
    };
    const folder = new WorktreeFolder({}, () => disk).write('a.md', 'x');
    writeFileSync(`${folder.outside}/secret`, 'x');
    expect(folder.worktree.readFile(path('a.md'))).toBeUndefined();
  });

  it('takes the recorded mode where the volume cannot show it', () => {
    const folder = new WorktreeFolder({ fileMode: false, symlinks: false }).write('a', 'x');
    expect(folder.worktree.readFile(path('a'), 0o100755)?.mode).toBe(0o100755);
    expect(folder.worktree.readFile(path('a'), 0o120000)?.mode).toBe(0o120000);
    expect(folder.worktree.readFile(path('a'))?.mode).toBe(0o100644);
  });

  it('a file that must not be read is a storage error', () => {
    const disk: Disk = {
      ...nodeDisk,
      openSync: () => {
        throw Object.assign(new Error('denied'), { code: 'EACCES' });
      },
    };
    const folder = new WorktreeFolder({}, () => disk).write('a.md', 'x');
    expect(() => folder.worktree.readFile(path('a.md'))).toThrow(expect.objectContaining({ code: 'E_STORAGE' }));
  });
});

describe('blobId', () => {
  it.each([0, 1, 1024 * 1024, 9 * 1024 * 1024 + 7])("is git's id of a file of %i bytes", (size) => {
    const folder = new WorktreeFolder();
    const data = Buffer.alloc(size, 'kb ');
    writeFileSync(folder.at('big'), data);
    const stats = folder.worktree.lstat('big');
    expect(stats && folder.worktree.blobId('big', stats)).toBe(hashObject('blob', data));
  });

  it('is none for a large file that grows while it is read', () => {
    const folder = new WorktreeFolder();
    writeFileSync(folder.at('big'), Buffer.alloc(9 * 1024 * 1024));
    const stats = folder.worktree.lstat('big');
    writeFileSync(folder.at('big'), 'more', { flag: 'a' });
    expect(stats && folder.worktree.blobId('big', stats)).toBeUndefined();
  });
});
