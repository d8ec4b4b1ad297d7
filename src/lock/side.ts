import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Disk } from '../disk/disk.js';
import { isErrno, removeFile, syncDirectory, writeFully } from '../disk/durable.js';
import { KbError } from '../errors.js';
import { notADirectory, OWNER_FILE, type LockPaths } from './layout.js';
import { encodeOwner, type OwnerRecord } from './owner.js';

/** The side folder comes and goes with those who need it: after so many losing races something else is wrong. */
const MOST_ATTEMPTS = 50;

/**
 * Runs `work`, which needs the side folder, again when somebody who was done removed the folder in between.
 * `work` says so by throwing ENOENT.
 */
export function withSide<T>(disk: Disk, paths: LockPaths, work: () => T): T {
  for (let attempt = 1; ; attempt++) {
    makeSide(disk, paths);
    try {
      return work();
    } catch (error) {
      if (!isErrno(error, 'ENOENT') || attempt >= MOST_ATTEMPTS) throw error;
    }
  }
}

function makeSide(disk: Disk, paths: LockPaths): void {
  try {
    disk.mkdirSync(paths.side);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      throw new KbError('E_NO_KB', `there is no directory ${paths.directory}`, { cause: error });
    }
    if (!isErrno(error, 'EEXIST')) throw error;
    // A link planted here (by a commit that other tools checked out) would have us write outside of the KB.
    const stat = lstatIfThere(disk, paths.side);
    if (stat !== undefined && !stat.isDirectory()) throw notADirectory(paths.side);
    return;
  }
  shareAs(disk, paths, paths.side);
}

/** Removes the side folder if nobody uses it. Never fails: an empty folder that stays harms nobody. */
export function removeSideIfEmpty(disk: Disk, paths: LockPaths): void {
  try {
    disk.rmdirSync(paths.side);
  } catch {
    // somebody else's things are in it, or it is gone already
  }
}

/** Names in the side folder; none when there is no such folder. */
export function listSide(disk: Disk, paths: LockPaths): string[] {
  try {
    return disk.readdirSync(paths.side);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    if (isErrno(error, 'ENOTDIR')) throw notADirectory(paths.side);
    throw error;
  }
}

/**
 * Makes a directory that holds the owner file and nothing else, durable before anyone can see it as the lock:
 * after a power cut a lock without a readable record could only be mended by the slow rule.
 * @throws ENOENT when the side folder, or the new directory, was taken away meanwhile: try again
 */
export function makeOwnerDirectory(disk: Disk, paths: LockPaths, path: string, owner: OwnerRecord): void {
  disk.mkdirSync(path);
  try {
    writeOwner(disk, join(path, OWNER_FILE), owner, 'wx');
    shareAs(disk, paths, path);
    syncDirectory(disk, path);
  } catch (error) {
    discard(disk, path);
    throw error;
  }
}

/** @param flag 'wx' for a new file, 'r+' to write over the record of a directory that is not the lock yet */
export function writeOwner(disk: Disk, path: string, owner: OwnerRecord, flag: 'wx' | 'r+'): void {
  const descriptor = disk.openSync(path, flag, 0o644);
  try {
    const data = encodeOwner(owner);
    writeFully(disk, descriptor, data);
    if (flag === 'r+') disk.ftruncateSync(descriptor, data.length);
    disk.fsyncSync(descriptor);
  } finally {
    disk.closeSync(descriptor);
  }
}

/**
 * Whoever may write to the KB must be able to move our lock away once we are dead: in a KB shared by a group,
 * what we make gets the KB's own permission bits, whatever our umask is.
 */
function shareAs(disk: Disk, paths: LockPaths, path: string): void {
  const mode = disk.statSync(paths.directory).mode;
  if ((mode & 0o022) !== 0) disk.chmodSync(path, mode & 0o2777);
}

const GONE = 'gone_';

/** A name for something that is out of the protocol and may be deleted by anybody at any time. */
export function goneName(): string {
  return `${GONE}${randomBytes(8).toString('hex')}`;
}

/** @param name as `goneName` makes it */
export function isGone(name: string): boolean {
  return name.startsWith(GONE);
}

/**
 * Deletes a directory of ours that was moved out of the protocol. What else somebody put into it is not ours
 * to delete: it stays, with its directory. Never fails: what stays is deleted by the next one who gets the lock.
 */
export function discard(disk: Disk, path: string): void {
  try {
    removeFile(disk, join(path, OWNER_FILE));
    disk.rmdirSync(path);
  } catch {
    // left for the next one
  }
}

/** Deletes a file that nobody needs any more. Never fails, as `discard`. */
export function discardFile(disk: Disk, path: string): void {
  try {
    removeFile(disk, path);
  } catch {
    // left for the next one
  }
}

function lstatIfThere(disk: Disk, path: string): ReturnType<Disk['lstatSync']> | undefined {
  try {
    return disk.lstatSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
