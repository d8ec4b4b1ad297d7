import { nodeDisk } from '../disk/disk.js';
import { asStorageError } from '../disk/durable.js';
import { KbError, unforeseen } from '../errors.js';
import type { SettingFlags } from '../config/settings.js';
import { joinHeldLock } from '../lock/reentry.js';
import { LOCK_TOKEN } from './joined-locks.js';
import type { Kb } from './open.js';
import { StopSignal } from './stop-signal.js';
import { surroundings, type Report, type Surroundings } from './surroundings.js';

/** What a program may say for a single call, or once for all calls of a `KnowledgeBase`. */
export interface CallOptions {
  /** Ends the call: it rejects with E_INTERRUPTED, the lock is given back and nothing is left half done. */
  readonly signal?: AbortSignal;
  /** Hears what the call does: waiting for the lock, steps, progress, warnings. */
  readonly onReport?: (event: Report) => void;
  /** How long to wait for the lock, such as `30s`; a bare number is seconds. Default: the setting. */
  readonly lockTimeout?: string;
  /** Author of commits, such as `Ann Lee <ann@example.org>`. Default: the settings'. */
  readonly author?: string;
}

/** What stands for the process around a call. */
export interface HostOptions {
  /** Variables instead of the process's own. */
  readonly env?: NodeJS.ProcessEnv;
  /** What relative paths start from. Default: the process's working directory. */
  readonly cwd?: string;
}

/**
 * Makes one call of a program: with its signals, its listener, and nothing of the terminal.
 * @param all for all calls
 * @param one for this one
 * @throws KbError always, but for what the program's own functions throw inside of it
 */
export async function makeCall<T>(
  all: CallOptions & HostOptions,
  one: CallOptions,
  work: (surroundings: Surroundings, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = new StopSignal([all.signal, one.signal]);
  const { signal } = stop;
  const listener = one.onReport ?? all.onReport;
  const { env, cwd } = all;
  const own = surroundings({
    signal,
    ...(env === undefined ? {} : { env }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(listener === undefined ? {} : { report: (event: Report) => tell(listener, event) }),
  });
  try {
    signal.throwIfAborted();
    return await work(own, signal);
  } catch (error) {
    throw asCallError(error, signal);
  } finally {
    stop.release();
  }
}

/**
 * Makes one call to a KB, which is opened for it alone and gives its descriptors back. Inside the body of a lock on the
 * same KB the call joins that lock, in the same way as a command inside a `kb run` does.
 * @param root as far as it is known: what the call joins is decided at once, and not only when the KB is open
 */
export function callKb<T>(
  root: string,
  all: CallOptions & HostOptions,
  one: CallOptions,
  open: (surroundings: Surroundings) => Promise<Kb>,
  work: (kb: Kb, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return joinHeldLock(realPath(root), (token) =>
    makeCall(token === undefined ? all : withToken(all, token), one, async (surroundings, signal) => {
      const kb = await open(surroundings);
      try {
        return await work(kb, signal);
      } finally {
        kb.objects.close();
      }
    }),
  );
}

function withToken<Options extends HostOptions>(options: Options, token: string): Options {
  return { ...options, env: { ...(options.env ?? process.env), [LOCK_TOKEN]: token } };
}

function realPath(root: string): string {
  try {
    return nodeDisk.realpathSync(root);
  } catch {
    return root; // what is wrong with it, opening it tells
  }
}

/** What the options say of settings. */
export function flagsOf(all: CallOptions, one: CallOptions): SettingFlags {
  return { lockTimeout: one.lockTimeout ?? all.lockTimeout, author: one.author ?? all.author };
}

/** An error of the program's own function: it comes out of the call as it went in. */
class OwnError extends Error {
  constructor(readonly own: unknown) {
    super('thrown by the caller', { cause: own });
  }
}

/** Runs a function of the program inside of a call. */
export async function callBack<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new OwnError(error);
  }
}

function asCallError(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof OwnError) return error.own;
  const known = asStorageError(error, 'do that');
  if (known instanceof KbError && (!signal.aborted || saysMoreThanStopped(known))) return known;
  // What was stopped fails in many ways; the signal is the reason for all of them.
  if (signal.aborted) return signal.reason;
  return unforeseen(error);
}

/** It names where the work is, or why it stopped in another way. */
function saysMoreThanStopped(error: KbError): boolean {
  const { code, details } = error;
  const isStop = code === 'E_INTERRUPTED' || code === 'E_TERMINATED';
  return isStop || code === 'E_LOCK_LOST' || 'saved' in details || 'queued' in details;
}

/** A listener that fails must not stop a cycle half-way: its error is the process's, as in any event of Node. */
function tell(listener: (event: Report) => void, event: Report): void {
  try {
    listener(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
