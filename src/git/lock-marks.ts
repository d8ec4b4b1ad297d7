import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { isErrno, removeFile } from '../disk/durable.js';
import type { Disk } from '../disk/disk.js';

/**
 * Git's lock files say nothing about who made them, so one that a killed process left would block native git
 * and kb for good. Therefore kb makes its own as a second name of a mark: `.git/kb/locks/WORD~RANDOM`, where
 * WORD names the process. A lock file that is the same file as the mark of a dead process is nobody's.
 *
 * Invariant: the mark exists before the lock file does, and goes after it. So no lock file of kb's is ever
 * without a mark, and a mark alone means nothing. (Broken by: test/unit/git/lock-marks.test.ts)
 */
export interface LockMarks {
  /** `.git/kb/locks` of the repository. */
  readonly directory: string;
  /** Names this process, provably for others on the same machine; without `~`. */
  readonly word: string;
}

export function lockMarksOf(gitDir: string, word: string): LockMarks {
  return { directory: join(gitDir, 'kb', 'locks'), word };
}

/** A name in the marks' directory that no other lock uses. */
export function newMark({ directory, word }: LockMarks): string {
  return join(directory, `${word}~${randomBytes(8).toString('hex')}`);
}

/**
 * Removes the lock files that dead processes of kb left in a repository.
 * @param isDead whether the process of that word has provably ended
 * @returns their paths, relative to `gitDir`
 */
export function sweepDeadLocks(disk: Disk, gitDir: string, isDead: (word: string) => boolean): string[] {
  const { directory } = lockMarksOf(gitDir, '');
  const dead = namesIn(disk, directory).filter((name) => isDead(name.slice(0, name.lastIndexOf('~'))));
  if (dead.length === 0) return [];
  const marks = new Map(dead.map((name) => [inodeOf(disk, join(directory, name)), join(directory, name)]));
  const removed: string[] = [];
  for (const name of lockFilesIn(disk, gitDir)) {
    const inode = inodeOf(disk, join(gitDir, name));
    if (inode === undefined || !marks.has(inode)) continue;
    removeFile(disk, join(gitDir, name));
    removed.push(name);
  }
  for (const mark of marks.values()) removeFile(disk, mark);
  return removed;
}

/** Every lock file that git's own rules allow, relative to `gitDir`. */
export function lockFilesIn(disk: Disk, gitDir: string): string[] {
  const top = namesIn(disk, gitDir).filter((name) => name.endsWith('.lock'));
  return [...top, ...lockFilesBelow(disk, gitDir, 'refs')];
}

function lockFilesBelow(disk: Disk, gitDir: string, folder: string): string[] {
  return disk.readdirSync(join(gitDir, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return lockFilesBelow(disk, gitDir, path);
    return entry.name.endsWith('.lock') ? [path] : [];
  });
}

function namesIn(disk: Disk, directory: string): string[] {
  try {
    return disk.readdirSync(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

function inodeOf(disk: Disk, path: string): bigint | undefined {
  try {
    return disk.lstatSync(path, { bigint: true }).ino;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
