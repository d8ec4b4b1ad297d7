import { resolve } from 'node:path';
import { nodeDisk } from '../disk/disk.js';
import { KbError } from '../errors.js';
import { runInside } from '../lock/reentry.js';
import { holdKb } from './hold.js';
import { callBack, callKb, type CallOptions, type HostOptions } from './library-call.js';
import { enclosingKb } from './locate.js';
import { openKb, type Kb } from './open.js';
import { StopSignal } from './stop-signal.js';
import type { Report } from './surroundings.js';

/** What the body of a lock is given. */
export interface LockedKb {
  /** The KB's root directory. */
  readonly root: string;
  /** Aborts when the lock was taken away (its reason is the E_LOCK_LOST error), or when the caller's own signal does. */
  readonly signal: AbortSignal;
  /**
   * One small read of the disk: call it before what must not happen without the lock.
   * @throws KbError E_LOCK_LOST
   */
  assertHeld(): void;
  /** For the variable `KB_LOCK_TOKEN` of a program that is started inside: its kb joins this lock. */
  readonly token: string;
}

/** How a wait goes. */
export type LockWait = Omit<Extract<Report, { kind: 'waiting' }>, 'kind'>;

export interface LockOptions extends HostOptions {
  /** How long to wait, ms; 0 tries once. Default: the setting `lockTimeout`. */
  readonly timeoutMs?: number;
  /** The same, written as `30s` or `5m`. */
  readonly timeout?: string;
  /** Ends the wait; while the lock is held it is passed on to the body, which ends by itself. */
  readonly signal?: AbortSignal;
  /** Called when the wait begins, when holder or place change, and about every second. */
  readonly onWait?: (wait: LockWait) => void;
}

/**
 * Runs a function as the only one that has the KB's lock: in this process, among all processes, on all hosts that
 * share the directory. First come, first served. The lock is given back when the function ends in whatever way.
 *
 * A call inside of the function, for the same KB, joins its lock: another `withLock`, a method of a `KnowledgeBase`. Such
 * calls take turns among themselves.
 * @param path the KB, or a path inside it
 * @param operation what for, in a word; others see it while they wait
 * @throws KbError E_LOCK_TIMEOUT (names the holder), E_INTERRUPTED, E_NO_KB, E_UNSAFE_STATE, E_STORAGE; E_LOCK_LOST when the
 *   lock was taken away before the function ended; and whatever the function throws
 */
export function withLock<T>(
  path: string,
  operation: string,
  fn: (held: LockedKb) => T | Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  // A path, never the name of a registered KB: what is locked must not depend on what else is registered.
  const kb = resolve(options.cwd ?? process.cwd(), path);
  return callKb(
    enclosingKb(nodeDisk, kb) ?? kb,
    options,
    callOptionsOf(options),
    async (surroundings) => openKb(surroundings, { kb, flags: { lockTimeout: lockTimeoutOf(options) } }),
    (opened, signal) => holdFor(opened, operation, fn, signal),
  );
}

/** `withLock` on a KB that is open. */
export function holdFor<T>(
  kb: Kb,
  operation: string,
  fn: (held: LockedKb) => T | Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  if (!/^[\w.-]{1,60}$/.test(operation))
    throw new KbError('E_USAGE', `not a name for an operation: ${JSON.stringify(operation.slice(0, 80))}`, {
      hint: 'name it in a word, such as: rebuild-index',
    });
  return holdKb(kb, operation, async (hold) => {
    const stop = new StopSignal([hold.lost, signal]);
    const held: LockedKb = {
      root: kb.root,
      signal: stop.signal,
      assertHeld: () => hold.assertHeld(),
      token: hold.token,
    };
    try {
      const directory = kb.surroundings.disk.realpathSync(kb.root);
      const result = await runInside(directory, hold, () => callBack(() => fn(held)));
      hold.assertHeld(); // who worked without the lock at the end must hear it
      return result;
    } finally {
      stop.release();
    }
  });
}

/** How the options of a lock are said to a call. */
export function callOptionsOf({ signal, onWait }: LockOptions): CallOptions {
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(onWait === undefined ? {} : { onReport: (event) => reportWait(onWait, event) }),
  };
}

/** @throws KbError E_USAGE when both are given, or the number is none */
export function lockTimeoutOf({ timeoutMs, timeout }: LockOptions): string | undefined {
  if (timeoutMs === undefined) return timeout;
  if (timeout !== undefined) throw new KbError('E_USAGE', 'timeoutMs and timeout say the same: give one of them');
  if (Number.isFinite(timeoutMs) && timeoutMs >= 0) return `${Math.round(timeoutMs)}ms`;
  throw new KbError('E_USAGE', `not a time to wait: ${timeoutMs} ms`);
}

function reportWait(onWait: (wait: LockWait) => void, event: Report): void {
  if (event.kind !== 'waiting') return;
  const { kind: _, ...wait } = event;
  onWait(wait);
}
