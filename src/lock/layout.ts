import { join } from 'node:path';
import type { Disk } from '../disk/disk.js';
import { isErrno } from '../disk/durable.js';
import { KbError } from '../errors.js';
import { OWNER_RECORD_LIMIT, parseOwner, type OwnerRecord } from './owner.js';

/** The lock: a directory in the KB's root. It is there = the KB is locked. */
export const LOCK_NAME = '.kb_operations.lock';
/** Beside it, so on the same volume: waiters, tickets and what is being deleted. Gone when nobody needs it. */
export const SIDE_NAME = '.kb_tmp_lock';
/** The one file in the lock: who holds it. */
export const OWNER_FILE = 'owner.json';

/** Where things are on disk; the format is described in docs/locking.md. */
export class LockPaths {
  readonly lock: string;
  readonly side: string;

  constructor(readonly directory: string) {
    this.lock = join(directory, LOCK_NAME);
    this.side = join(directory, SIDE_NAME);
  }

  inSide(name: string): string {
    return join(this.side, name);
  }
}

/** The lock as one look found it. */
export interface LockSight {
  /** Names this very lock: its owner's id, or for one without a readable record what the file system knows it by. */
  readonly key: string;
  readonly owner: OwnerRecord | undefined;
  /** Changes with every heartbeat. */
  readonly trace: string;
  readonly mtimeMs: number;
}

/**
 * @returns undefined when the KB is not locked
 * @throws KbError E_UNSAFE_STATE when something else than a directory has the lock's name
 */
export function lookAtLock(disk: Disk, paths: LockPaths): LockSight | undefined {
  return lookAtDirectory(disk, paths.lock);
}

/** The same look at a lock that was moved elsewhere. */
export function lookAtDirectory(disk: Disk, path: string): LockSight | undefined {
  let stat;
  try {
    stat = disk.lstatSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
  if (!stat.isDirectory()) throw notADirectory(path);
  const owner = readOwner(disk, join(path, OWNER_FILE));
  const trace = `${owner?.id ?? ''} ${stat.ino} ${stat.mtimeMs}`;
  return { key: owner?.id ?? `unknown-${stat.ino}`, owner, trace, mtimeMs: stat.mtimeMs };
}

/** Never follows a link and never opens what could block (a FIFO) or fill memory. */
export function readOwner(disk: Disk, path: string): OwnerRecord | undefined {
  const data = readSmallFile(disk, path);
  return data === undefined ? undefined : parseOwner(data);
}

function readSmallFile(disk: Disk, path: string): Buffer | undefined {
  try {
    const stat = disk.lstatSync(path);
    if (!stat.isFile() || stat.size > OWNER_RECORD_LIMIT) return undefined;
    const descriptor = disk.openSync(path, 'r');
    try {
      const buffer = Buffer.allocUnsafe(OWNER_RECORD_LIMIT + 1);
      return buffer.subarray(0, disk.readSync(descriptor, buffer, 0, buffer.length, 0));
    } finally {
      disk.closeSync(descriptor);
    }
  } catch (error) {
    // Another user's file that we may not read is an owner we do not know; so is one that was just moved away.
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP')) return undefined;
    throw error;
  }
}

export function notADirectory(path: string): KbError {
  return new KbError('E_UNSAFE_STATE', `${path} should be a directory that kb makes, but something else is there`, {
    hint: `look at it, then move it away: ${path}`,
    details: { path },
  });
}
