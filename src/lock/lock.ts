import { randomBytes } from 'node:crypto';
import { nodeDisk, type Disk } from '../disk/disk.js';
import { asStorageError, isErrno } from '../disk/durable.js';
import { KbError } from '../errors.js';
import { systemClock, type LockClock } from './clock.js';
import { Contender, type Held, type Waiting } from './contender.js';
import { InProcessQueue, type Turn } from './in-process-queue.js';
import { lookAtLock, LockPaths, type LockSight } from './layout.js';
import { Place, readLine, readWaiter, type PlaceName } from './line.js';
import { livenessProbe, type LivenessProbe } from './liveness.js';
import { withOutlivingChildren } from './outliving-child.js';
import { currentProcess, describeOwner, type OwnerRecord, type ProcessIdentity } from './owner.js';
import { removeLock, type Verdict } from './removal.js';
import { listSide } from './side.js';
import { Wait, type WaitReport } from './wait.js';

export { LOCK_NAME, SIDE_NAME } from './layout.js';
export type { PlaceName } from './line.js';
export type { LockClock } from './clock.js';
export type { Liveness, LivenessProbe } from './liveness.js';
export type { WaitReport } from './wait.js';

/** The lock directory's mtime is touched this often, ms. proper-lockfile allows no less than 1000. */
const HEARTBEAT_MS = 5000;
/** Where death cannot be proved: so long without any change, ms, on the observer's own clock. */
const STALE_AFTER_MS = 120_000;

export interface LockRequest {
  /** The KB's root. */
  readonly directory: string;
  /** What for, for people: 'note', 'sync'. */
  readonly operation: string;
  /** The command without its arguments, which could hold a secret: 'kb note'. */
  readonly command?: string;
  /** For the queue in this process and the lock together, ms; 0 tries once. */
  readonly timeoutMs: number;
  /** Called at once when waiting starts, when the holder changes, and about every second. */
  readonly onWait?: (report: WaitReport) => void;
  /** Ends the wait, not the work: that is the body's to do. */
  readonly signal?: AbortSignal;
}

/** A waiter whose work somebody else may do meanwhile: its wait then ends without the lock. */
export interface ServedWaiter<T> {
  /** Called once, before the first pause, with the waiter's place in line. */
  enqueue(place: PlaceName): void;
  /** Asked often, so it must be cheap. @returns undefined: not served yet */
  answer(): { readonly value: T } | undefined;
}

export interface LockDependencies {
  readonly disk: Disk;
  readonly identity: ProcessIdentity;
  readonly clock: LockClock;
  /** 0 ≤ x < 1, for jitter. Ids are always made of real randomness. */
  readonly random: () => number;
  readonly liveness: LivenessProbe;
  readonly heartbeatMs: number;
  readonly staleAfterMs: number;
}

export interface HeldLock {
  readonly id: string;
  readonly waitedMs: number;
  /**
   * Cheap (one small read): call it before each ref write and push.
   * @throws KbError E_LOCK_LOST; E_STORAGE when the lock cannot be read
   */
  assertHeld(): void;
  /** Aborted once the loss is known; the reason is the E_LOCK_LOST error. */
  readonly lost: AbortSignal;
}

export interface LockState {
  readonly held: boolean;
  /** Missing when the lock is free or its owner record cannot be read. */
  readonly owner?: OwnerRecord;
  /** The owner is provably dead. */
  readonly stale: boolean;
  /** Held, but without a record that can be read: made by another program, or damaged. */
  readonly damaged?: boolean;
  /** Since the lock was taken, ms; for a damaged one since it last changed. */
  readonly ageMs?: number;
}

const queue = new InProcessQueue();
/** What is still ours on disk: given back when the process ends. */
const unfinished = new Set<() => void>();
/** Locks that this process has finished with but could not remove: held by nobody, whatever the disk says. */
const finished = new Set<string>();

/**
 * Runs `body` as the only one, of all processes on all hosts that share the directory, that has the KB's lock.
 * The lock is given back when the body ends in whatever way, and when the process exits.
 * @param waiter may end the wait with a value of its own; `body` is then never called
 * @throws KbError E_LOCK_TIMEOUT (names the holder; details `holder`, `waitedMs`), E_INTERRUPTED, E_NO_KB,
 *   E_UNSAFE_STATE, E_STORAGE; and whatever `body` or the waiter throws
 */
export async function withLock<T>(
  request: LockRequest,
  body: (held: HeldLock) => Promise<T>,
  dependencies: Partial<LockDependencies> = {},
  waiter?: ServedWaiter<T>,
): Promise<T> {
  const deps = complete(dependencies);
  if (!(request.timeoutMs >= 0)) throw new KbError('E_USAGE', `not a time to wait: ${request.timeoutMs} ms`);
  const paths = openPaths(deps.disk, request.directory);
  const wait = new Wait(deps.clock, paths.directory, request.timeoutMs, request.signal, request.onWait);
  wait.throwIfAborted();
  const turn = queue.join(paths.directory, waiter !== undefined);
  try {
    await waitForTurn(turn, wait, deps, paths);
    const held = await acquire(request, wait, deps, paths, waiter);
    if ('value' in held) return held.value;
    try {
      const { directory } = held;
      return await body({
        id: directory.id,
        waitedMs: wait.waitedMs,
        assertHeld: () => directory.assertHeld(),
        lost: directory.lost,
      });
    } finally {
      giveBack(held);
    }
  } finally {
    turn.leave();
  }
}

/**
 * Reads only, so it works on read-only volumes.
 * @throws KbError E_UNSAFE_STATE when something else than a directory has the lock's name; E_NO_KB; E_STORAGE
 */
export function inspectLock(directory: string, dependencies: Partial<LockDependencies> = {}): LockState {
  const deps = complete(dependencies);
  return onDisk('look at the lock', () => {
    const sight = lookAtLock(deps.disk, openPaths(deps.disk, directory));
    if (sight === undefined) return { held: false, stale: false };
    const nowMs = deps.clock.wallMs();
    const { owner } = sight;
    if (owner === undefined)
      return { held: true, stale: false, damaged: true, ageMs: Math.max(0, nowMs - sight.mtimeMs) };
    const ageMs = Math.max(0, nowMs - Date.parse(owner.since));
    return { held: true, owner, stale: deps.liveness(owner) === 'dead', ageMs };
  });
}

/**
 * Who waits for the lock, the next one first. Reads only.
 * @returns the owner record each would hold the lock under; undefined where it cannot be read
 */
export function readWaiters(
  disk: Disk,
  directory: string,
): { readonly place: PlaceName; readonly owner: OwnerRecord | undefined }[] {
  return onDisk('look at the line', () => {
    const paths = openPaths(disk, directory);
    return readLine(listSide(disk, paths)).map((waiter) => ({
      place: waiter.place,
      owner: readWaiter(disk, paths, waiter),
    }));
  });
}

/** The places of `readWaiters`, without opening any record. */
export function placesInLine(disk: Disk, directory: string): PlaceName[] {
  return onDisk('look at the line', () =>
    readLine(listSide(disk, openPaths(disk, directory))).map(({ place }) => place),
  );
}

/**
 * Removes the lock of an owner that is provably dead.
 * @returns whose it was; undefined when the KB is not locked
 * @throws KbError E_LOCK_TIMEOUT, naming the holder, when it lives or cannot be proved dead from here;
 *   E_UNSAFE_STATE, E_NO_KB, E_STORAGE
 */
export function removeStaleLock(
  directory: string,
  dependencies: Partial<LockDependencies> = {},
): OwnerRecord | undefined {
  const deps = complete(dependencies);
  const isDead: Verdict = (_subject, owner) => owner !== undefined && deps.liveness(owner) === 'dead';
  return remove(directory, deps, 'unlock', isDead, (sight) => {
    if (isDead('lock', sight.owner, sight.trace)) return;
    throw stillHeld(sight, deps);
  });
}

/**
 * Takes the lock away from whoever has it: its holder's next `assertHeld` throws E_LOCK_LOST.
 * @param id8 the first 8 characters of the lock's id, which must match; undefined takes any lock
 * @returns whose it was; undefined when the KB is not locked, or nobody's record was in the lock
 * @throws KbError E_USAGE when the lock has another id; E_UNSAFE_STATE, E_NO_KB, E_STORAGE
 */
export function takeLockAway(
  directory: string,
  id8: string | undefined,
  dependencies: Partial<LockDependencies> = {},
): OwnerRecord | undefined {
  const deps = complete(dependencies);
  return remove(
    directory,
    deps,
    'unlock --force',
    () => true,
    (sight) => {
      if (id8 === undefined || sight.owner?.id.slice(0, 8) === id8) return;
      const held =
        sight.owner === undefined
          ? 'without an id'
          : `${sight.owner.id.slice(0, 8)} of ${describeOwner(sight.owner, deps.clock.wallMs())}`;
      throw new KbError('E_USAGE', `the lock is not ${id8} but ${held}`, {
        hint: 'look with: kb status',
        details: { holder: sight.owner ?? null },
      });
    },
  );
}

/**
 * Gives back, synchronously, every lock that this process holds and every place in line. It runs by itself when
 * the process exits; a signal handler that does not let the process exit normally calls it. A holder that goes
 * on working afterwards finds its lock lost.
 */
export function releaseAllSync(): void {
  for (const giveBackNow of [...unfinished]) {
    try {
      giveBackNow();
    } catch {
      // the process is ending: others will find it dead
    }
  }
}

async function waitForTurn(turn: Turn, wait: Wait, deps: LockDependencies, paths: LockPaths): Promise<void> {
  while (!turn.hasCome()) {
    const holder = onDisk('look at the lock', () => lookAtLock(deps.disk, paths)?.owner);
    wait.report(holder, turn.place(), true);
    await wait.pause(1000, holder, turn.came);
  }
}

async function acquire<T>(
  request: LockRequest,
  wait: Wait,
  deps: LockDependencies,
  paths: LockPaths,
  waiter: ServedWaiter<T> | undefined,
): Promise<Held | { readonly value: T }> {
  const { lockSync } = (await import('proper-lockfile')).default; // here, so that commands without a lock do not load it
  const contender = new Contender(deps, paths, lockSync, newRecord(deps, request.operation, request.command ?? ''));
  const leave = atExit(() => contender.leave());
  const leaveLine = (): void => {
    leave();
    isOver(leave);
  };
  try {
    onDisk(`lock ${paths.directory}`, () => contender.join());
    for (let isFirstLook = true; ; isFirstLook = false) {
      wait.throwIfAborted();
      const result = onDisk(`lock ${paths.directory}`, () => contender.look());
      if ('directory' in result) {
        atExit(result.release);
        isOver(leave);
        return result;
      }
      if (isFirstLook) onDisk('queue the edit', () => waiter?.enqueue(contender.placeName));
      wait.report(result.owner, result.place, false);
      const answer = await pauseUnlessServed(wait, result, deps.clock, waiter);
      if (answer === undefined) continue;
      leaveLine();
      return answer;
    }
  } catch (error) {
    leaveLine();
    throw error;
  }
}

/**
 * A waiter asks whether it was served after so long, ms, and then after an eighth of the time that it has waited: it
 * waits little longer than it must, and many that wait long leave the processor to those who work.
 */
const FIRST_ASK_MS = 10;
const LAST_ASK_MS = 100;

/** Waits until the next look at the lock is due, or until the waiter was served. */
async function pauseUnlessServed<T>(
  wait: Wait,
  { owner, pauseMs }: Waiting,
  clock: LockClock,
  waiter: ServedWaiter<T> | undefined,
): Promise<{ readonly value: T } | undefined> {
  const answer = (): { readonly value: T } | undefined => onDisk('look for the answer', () => waiter?.answer());
  const dueMs = clock.monotonicMs() + pauseMs;
  for (let left = pauseMs; left > 0; left = dueMs - clock.monotonicMs()) {
    const served = answer();
    if (served !== undefined) return served;
    const askMs = Math.min(Math.max(FIRST_ASK_MS, wait.waitedMs / 8), LAST_ASK_MS);
    await wait.pause(waiter === undefined ? left : Math.min(left, askMs), owner);
    if (waiter === undefined) return undefined;
  }
  return answer();
}

/** The work is done, and its outcome is what the caller must hear, even if the lock cannot be removed now. */
function giveBack(held: Held): void {
  try {
    held.release();
    isOver(held.release);
  } catch {
    // Tried again when the process exits; this process itself passes it over at once, see `complete`.
    finished.add(held.directory.id);
  }
}

function remove(
  directory: string,
  deps: LockDependencies,
  operation: string,
  isDead: Verdict,
  check: (sight: LockSight) => void,
): OwnerRecord | undefined {
  return onDisk('remove the lock', () => {
    const paths = openPaths(deps.disk, directory);
    const first = lookAtLock(deps.disk, paths);
    if (first === undefined) return undefined;
    check(first);
    const place = new Place(deps.disk, paths, newRecord(deps, operation, `kb ${operation}`));
    place.join(); // whoever removes a lock leaves a record while doing so, see removeLock
    try {
      if (removeLock(deps.disk, paths, place, first, isDead)) return first.owner;
    } finally {
      place.leave();
    }
    // Somebody else removed it first, or is about to: the next look tells.
    const now = lookAtLock(deps.disk, paths);
    if (now === undefined || now.key !== first.key) return first.owner;
    throw stillHeld(now, deps);
  });
}

function stillHeld(sight: LockSight, deps: LockDependencies): KbError {
  const { owner } = sight;
  if (owner === undefined) {
    return new KbError('E_LOCK_TIMEOUT', 'the lock is held, but its owner is unknown', {
      hint: 'if nothing works on this KB any more, take the lock away: kb unlock --force',
      details: { holder: null },
    });
  }
  const lives = deps.liveness(owner) === 'alive' ? 'which is running' : 'which cannot be proved gone from here';
  return new KbError('E_LOCK_TIMEOUT', `the lock is held by ${describeOwner(owner, deps.clock.wallMs())}, ${lives}`, {
    hint: `wait for it, or take the lock away: kb unlock --force --id ${owner.id.slice(0, 8)}`,
    details: { holder: owner },
  });
}

function newRecord(deps: LockDependencies, operation: string, command: string): OwnerRecord {
  return {
    ...deps.identity,
    id: randomBytes(16).toString('hex'),
    operation,
    command,
    since: new Date(deps.clock.wallMs()).toISOString(),
  };
}

function complete(given: Partial<LockDependencies>): LockDependencies {
  const disk = given.disk ?? nodeDisk;
  const identity = given.identity ?? currentProcess(disk);
  const probe = given.liveness ?? withOutlivingChildren(livenessProbe(disk, identity), disk, identity);
  return {
    disk,
    identity,
    clock: given.clock ?? systemClock,
    random: given.random ?? Math.random,
    liveness: (owner) => (finished.has(owner.id) ? 'dead' : probe(owner)),
    heartbeatMs: given.heartbeatMs ?? HEARTBEAT_MS,
    staleAfterMs: given.staleAfterMs ?? STALE_AFTER_MS,
  };
}

/** One KB has one path here, whichever links lead to it. */
function openPaths(disk: Disk, directory: string): LockPaths {
  try {
    return new LockPaths(disk.realpathSync(directory));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR'))
      throw new KbError('E_NO_KB', `there is no directory ${directory}`, { cause: error });
    throw asStorageError(error, `look at ${directory}`);
  }
}

function onDisk<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw asStorageError(error, doing);
  }
}

/** The process has a handler only while there is something to give back: a program that uses the library is left as it was. */
function atExit(work: () => void): () => void {
  if (unfinished.size === 0) process.on('exit', releaseAllSync);
  unfinished.add(work);
  return work;
}

function isOver(work: () => void): void {
  unfinished.delete(work);
  if (unfinished.size === 0) process.removeListener('exit', releaseAllSync);
}
