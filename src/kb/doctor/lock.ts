import { join } from 'node:path';
import { lockFilesIn } from '../../disk/lock-marks.js';
import { inspectLock } from '../../lock/lock.js';
import { describeOwner } from '../../lock/owner.js';
import type { Kb } from '../open.js';
import { readQueue } from '../queue-status.js';
import { ok, problem, warning, type Check, type Result } from './check.js';

/** Who has the lock, who waits, and whose lock files are left. */
export const lockCheck: Check = {
  name: 'lock',
  run({ kb }) {
    return Promise.resolve(kb === undefined ? [] : [kbLock(kb), ...queue(kb), ...gitLocks(kb)]);
  },
};

function kbLock(kb: Kb): Result {
  const { disk, identity, clock } = kb.surroundings;
  const { held, owner, stale } = inspectLock(kb.root, { disk, identity });
  if (!held) return ok('the lock is free');
  if (owner === undefined)
    return problem(
      'the lock is held, and its record cannot be read',
      'look with: kb status; take it away with: kb unlock --force',
    );
  const who = describeOwner(owner, clock.wall());
  if (stale)
    return warning(`the lock was left by ${who}, who is gone`, 'the next command takes it over; or: kb unlock');
  return ok(`the lock is held by ${who}`);
}

function queue(kb: Kb): Result[] {
  const notes = readQueue(kb).filter(({ state }) => state !== 'turn');
  return notes.length === 0
    ? []
    : [warning(`${notes.length} queued notes wait to go out`, 'bring them out with: kb sync')];
}

/** Git's lock files. `index.lock` is looked at with the repository: it stops every command. */
function gitLocks(kb: Kb): Result[] {
  const { disk } = kb.surroundings;
  return lockFilesIn(disk, kb.gitDir)
    .filter((name) => name !== 'index.lock')
    .map((name) =>
      warning(
        `a git command is at work, or was killed: ${join(kb.gitDir, name)} is there`,
        'wait until it is done; if it crashed: kb unlock',
      ),
    );
}
