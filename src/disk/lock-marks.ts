import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { isErrno, namesIn, removeFile } from './durable.js';
import type { Disk } from './disk.js';

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

/** @param word gives the process's word; asked for with the first lock: who takes none need not know it */
export function lockMarksOf(gitDir: string, word: () => string): LockMarks {
  let known: string | undefined;
  return {
    directory: join(gitDir, 'kb', 'locks'),
    get word() {
      return (known ??= word());
    },
  };
}

/** A name in the marks' directory that no other lock uses. */
export function newMark({ directory, word }: LockMarks): string {
  return join(directory, `${word}~${randomBytes(8).toString('hex')}`);
}

/**
 * Removes the lock files that dead processes of kb left in a repository.
 *
 * A mark is claimed first, by a rename to one of our own: of two that sweep at once only one can, so nobody
 * removes a lock that a third has got in the meantime; and should the claimant die, its claim is a dead mark.
 * @param isDead whether the process of that word has provably ended
 * @param word names this process, as in `LockMarks`
 * @returns their paths, relative to `gitDir`
 */
export function sweepDeadLocks(disk: Disk, gitDir: string, isDead: (word: string) => boolean, word: string): string[] {
  const mine = lockMarksOf(gitDir, () => word);
  const dead = namesIn(disk, mine.directory).filter((name) => isDead(name.slice(0, name.lastIndexOf('~'))));
  const claimed = dead
    .map((name) => claim(disk, join(mine.directory, name), mine))
    .filter((mark) => mark !== undefined);
  if (claimed.length === 0) return [];
  const inodes = new Set(claimed.map((mark) => inodeOf(disk, mark)));
  const removed = lockFilesIn(disk, gitDir).filter((name) => {
    const inode = inodeOf(disk, join(gitDir, name));
    if (inode === undefined || !inodes.has(inode)) return false;
    removeFile(disk, join(gitDir, name));
    return true;
  });
  for (const mark of claimed) removeFile(disk, mark);
  return removed;
}

function claim(disk: Disk, mark: string, mine: LockMarks): string | undefined {
  const claimed = newMark(mine);
  try {
    disk.renameSync(mark, claimed);
    return claimed;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined; // another one was faster
    throw error;
  }
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

function inodeOf(disk: Disk, path: string): bigint | undefined {
  try {
    return disk.lstatSync(path, { bigint: true }).ino;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
