import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { measureDisk } from '../../../src/kb/disk-use.js';

const MIB = 1024 * 1024;
let gitDir: string;

beforeEach(() => {
  gitDir = mkdtempSync(join(tmpdir(), 'kb-disk-'));
});
afterEach(() => rmSync(gitDir, { recursive: true }));

function withVolume(bavail: number, bsize: number, over: Partial<Disk> = {}): Disk {
  return { ...nodeDisk, statfsSync: (() => ({ bavail, bsize })) as unknown as Disk['statfsSync'], ...over };
}

it('adds up the files of all folders, and follows no link', () => {
  mkdirSync(join(gitDir, 'objects/pack'), { recursive: true });
  writeFileSync(join(gitDir, 'HEAD'), 'x'.repeat(10));
  writeFileSync(join(gitDir, 'objects/pack/p'), 'x'.repeat(1000));
  symlinkSync('/', join(gitDir, 'root'));
  expect(measureDisk(withVolume(3, 4096), gitDir, gitDir)).toEqual({
    repoBytes: 1011, // the link counts with the length of its target
    freeBytes: 3 * 4096,
    headroom: 16 * MIB,
  });
});

it('wants room for one more copy of a large repository', () => {
  writeFileSync(join(gitDir, 'pack'), '');
  nodeDisk.ftruncateSync(nodeDisk.openSync(join(gitDir, 'pack'), 'r+'), 20 * MIB);
  expect(measureDisk(withVolume(1, 1), gitDir, gitDir).headroom).toBe(20 * MIB);
});

it('passes over a file that goes while it looks', () => {
  writeFileSync(join(gitDir, 'gone'), 'xxx');
  linkSync(join(gitDir, 'gone'), join(gitDir, 'here'));
  const lstatSync = ((path: string) => {
    if (path.endsWith('gone')) rmSync(path);
    return nodeDisk.lstatSync(path);
  }) as typeof nodeDisk.lstatSync;
  expect(measureDisk(withVolume(1, 1, { lstatSync }), gitDir, gitDir).repoBytes).toBe(3);
});
