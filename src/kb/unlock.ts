import { join } from 'node:path';
import { isErrno, namesIn, removeFile } from '../disk/durable.js';
import { lockFilesIn, sweepDeadLocks } from '../disk/lock-marks.js';
import { inspectLock, removeStaleLock, takeLockAway, type LockDependencies } from '../lock/lock.js';
import { deadWordProbe } from '../lock/process-word.js';
import type { OwnerRecord } from '../lock/owner.js';
import type { Kb } from './open.js';

export interface UnlockRequest {
  /** Take the lock away from a holder that is alive. */
  readonly force: boolean;
  /** First 8 characters of the lock's id, as `kb status` shows it; must match. */
  readonly id?: string;
}

export interface UnlockResult {
  readonly removed: boolean;
  readonly holder: Pick<OwnerRecord, 'user' | 'host' | 'pid' | 'command' | 'since' | 'id'> | null;
  /** Abandoned lock files of native git that were removed, relative to `.git`. */
  readonly gitLocks: readonly string[];
}

/** Native git holds its lock files for moments; one this old has lost its process. */
const ABANDONED_AFTER_MS = 10 * 60 * 1000;

/**
 * Removes the lock of a holder that is provably gone, and git's abandoned lock files. Queued entries are
 * never touched.
 * @throws KbError E_LOCK_TIMEOUT when the holder is alive and `force` is not given; E_USAGE when the id does not match
 */
export function unlock(kb: Kb, request: UnlockRequest): UnlockResult {
  const { disk, random, identity } = kb.surroundings;
  const dependencies = { disk, random, identity };
  const state = inspectLock(kb.root, dependencies);
  const take = (): OwnerRecord | undefined =>
    request.force ? takeLockAway(kb.root, request.id, dependencies) : removeStaleLock(kb.root, dependencies);
  const owner = state.held ? take() : undefined;
  if (state.held && request.force) takeInsidesAway(kb, dependencies);
  return {
    removed: state.held,
    holder: owner === undefined ? null : shown(owner),
    gitLocks: removeAbandonedGitLocks(kb),
  };
}

/**
 * Whoever works inside of the run that lost its lock, the run itself included, finds that out before it writes
 * anything; the locks in there would only keep the next run from its own. (Broken by: crash-points.test.ts, "a run that
 * hangs")
 */
function takeInsidesAway(kb: Kb, dependencies: Pick<LockDependencies, 'disk' | 'random' | 'identity'>): void {
  const insides = join(kb.gitDir, 'kb', 'inside');
  for (const depth of namesIn(kb.surroundings.disk, insides))
    takeLockAway(join(insides, depth), undefined, dependencies);
}

function shown({ user, host, pid, command, since, id }: OwnerRecord): UnlockResult['holder'] {
  return { user, host, pid, command, since, id: id.slice(0, 8) };
}

function removeAbandonedGitLocks(kb: Kb): string[] {
  const { disk, clock } = kb.surroundings;
  const removed = sweepDeadLocks(disk, kb.gitDir, deadWordProbe(disk, kb.surroundings.identity), kb.lockMarks.word);
  for (const name of lockFilesIn(disk, kb.gitDir)) {
    const path = join(kb.gitDir, name);
    try {
      const age = clock.wall() - disk.lstatSync(path).mtimeMs;
      if (age < ABANDONED_AFTER_MS || isOpenSomewhere(kb, path)) continue;
      removeFile(disk, path);
      removed.push(name);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
  return removed;
}

/** Whether a process of this machine has the file open or works in this KB as `git`; where that can't be seen, age decides. */
function isOpenSomewhere(kb: Kb, path: string): boolean {
  const { disk } = kb.surroundings;
  let processes: string[];
  try {
    processes = disk.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return false;
  }
  return processes.some((pid) => {
    try {
      return (
        disk.readdirSync(`/proc/${pid}/fd`).some((fd) => linkTarget(kb, `/proc/${pid}/fd/${fd}`) === path) ||
        (disk.readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'git' &&
          (linkTarget(kb, `/proc/${pid}/cwd`) ?? '').startsWith(kb.root))
      );
    } catch {
      return false; // another user's process, or one that has just ended
    }
  });
}

function linkTarget(kb: Kb, path: string): string | undefined {
  try {
    return kb.surroundings.disk.readlinkSync(path);
  } catch {
    return undefined;
  }
}
