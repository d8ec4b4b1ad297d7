import type { Disk } from '../disk/disk.js';
import { isErrno, removeFile, writeFully } from '../disk/durable.js';
import { lookAtDirectory, lookAtLock, readOwner, type LockPaths, type LockSight } from './layout.js';
import type { Place } from './line.js';
import { encodeOwner, type OwnerRecord } from './owner.js';
import { discard, goneName, withSide } from './side.js';

/** More makers of tickets than this have not died one after the other: something is forged. */
const MOST_TICKETS = 1000;

/** Decides whether the owner of `subject` can be passed over; see Observer.isDead. */
export type Verdict = (subject: string, owner: OwnerRecord | undefined, trace: string) => boolean;

/**
 * Takes the lock of a dead owner away, on behalf of the waiter at `place`.
 *
 * Invariant: of all who find one owner dead, one removes its lock. A ticket named after the lock's id is made
 * by link(2), which succeeds once; its maker alone may move the lock. A ticket whose maker died is followed by
 * the next number. Tickets go only when the lock they are for has gone, so a contender that was slow makes its
 * ticket, finds another lock than it meant, and stops.
 * Broken by: test/unit/lock/interleaving.test.ts "two contenders at any step".
 *
 * @returns false when another contender is about it, or the lock is another one by now: look again later
 */
export function removeLock(disk: Disk, paths: LockPaths, place: Place, target: LockSight, isDead: Verdict): boolean {
  const tickets = takeTicket(disk, paths, place, target.key, isDead);
  if (tickets === undefined) return false;
  let moved: boolean;
  try {
    moved = moveAway(disk, paths, target);
  } catch (error) {
    removeFile(disk, tickets.at(-1) ?? ''); // ours: a living process must not block all others by it
    throw error;
  }
  // Oldest last: while one is there, nobody starts over at the first number.
  for (const ticket of moved ? tickets.reverse() : tickets.slice(-1)) removeFile(disk, ticket);
  return moved;
}

/** @returns all tickets for this lock, ours the last; undefined when it is not our turn */
function takeTicket(disk: Disk, paths: LockPaths, place: Place, key: string, isDead: Verdict): string[] | undefined {
  const tickets: string[] = [];
  let makerBefore: OwnerRecord | undefined;
  for (let number = 0; number < MOST_TICKETS; number++) {
    const ticket = ticketPath(paths, key, number);
    const before = tickets.at(-1);
    tickets.push(ticket);
    // A network file system may report EEXIST for the link that it made itself (its first reply was lost).
    const isOurs = linkExclusively(disk, place, ticket) || readOwner(disk, ticket)?.id === place.owner.id;
    if (isOurs) {
      // Who passed over a maker that lives after all must not act together with one who started over: of two
      // such, at least one sees the other here.
      const isLast = !exists(disk, ticketPath(paths, key, number + 1));
      const samePredecessor = before === undefined || sameMaker(readOwner(disk, before), makerBefore);
      if (isLast && samePredecessor) return tickets;
      removeFile(disk, ticket);
      return undefined;
    }
    const maker = readOwner(disk, ticket);
    const stat = lookAtTicket(disk, ticket);
    if (stat === undefined || !isDead(ticket, maker, stat)) return undefined;
    makerBefore = maker;
  }
  return undefined;
}

function ticketPath(paths: LockPaths, key: string, number: number): string {
  return paths.inSide(`ticket_${key}_${number}`);
}

/** A link appears with all of its content: there is no instant at which a ticket's maker is not known. */
function linkExclusively(disk: Disk, place: Place, ticket: string): boolean {
  try {
    disk.linkSync(place.ownerFile, ticket);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    if (!isErrno(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK')) throw error;
  }
  // No hard links on this volume (FAT, some network shares). Exclusive all the same; a crash between the two
  // calls leaves a ticket without a maker, which only the slow rule passes over.
  let descriptor: number;
  try {
    descriptor = disk.openSync(ticket, 'wx');
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
  try {
    writeFully(disk, descriptor, encodeOwner(place.owner));
  } finally {
    disk.closeSync(descriptor);
  }
  return true;
}

/**
 * Moves the lock `target` away and deletes it.
 *
 * The check and the rename are two calls. In between the lock can become another one only if its owner was
 * passed over without proof (suspended for minutes, or `kb unlock --force`). Then what was moved is the next
 * owner's, and is put back; that owner's own assertHeld guards the instant meanwhile.
 *
 * @returns false when the lock is not `target`
 */
export function moveAway(disk: Disk, paths: LockPaths, target: Pick<LockSight, 'key' | 'owner' | 'trace'>): boolean {
  const gone = paths.inSide(goneName());
  const isThere = withSide(disk, paths, () => {
    const now = lookAtLock(disk, paths);
    if (now === undefined || now.key !== target.key) return false;
    // A lock without a readable id is told apart from its successor by its time as well.
    if (target.owner === undefined && now.trace !== target.trace) return false;
    disk.renameSync(paths.lock, gone);
    return true;
  });
  if (!isThere) return false;
  if (lookAtDirectory(disk, gone)?.key !== target.key) {
    putBack(disk, paths, gone);
    return false;
  }
  discard(disk, gone);
  return true;
}

function putBack(disk: Disk, paths: LockPaths, gone: string): void {
  try {
    disk.renameSync(gone, paths.lock);
  } catch {
    discard(disk, gone); // somebody else has the lock by now; the owner of this one learns it from assertHeld
  }
}

function sameMaker(a: OwnerRecord | undefined, b: OwnerRecord | undefined): boolean {
  return a?.id === b?.id;
}

function exists(disk: Disk, path: string): boolean {
  return lookAtTicket(disk, path) !== undefined;
}

function lookAtTicket(disk: Disk, path: string): string | undefined {
  try {
    const stat = disk.lstatSync(path);
    return `${stat.ino} ${stat.mtimeMs}`;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
