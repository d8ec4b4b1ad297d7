import { join } from 'node:path';
import { isKbError, KbError } from '../errors.js';
import { LockPaths, lookAtLock } from '../lock/layout.js';
import { inspectLock } from '../lock/lock.js';
import type { Kb } from './open.js';

/** Names, in the environment of a command that `kb run` started, the locks that the run holds. */
export const LOCK_TOKEN = 'KB_LOCK_TOKEN';

/** A lock of a `kb run` around this command. */
export interface JoinedLock {
  readonly directory: string;
  readonly id: string;
  /** Where those that run inside of this lock queue among themselves. */
  readonly inside: string;
}

/** Lock ids from the KB's own inwards. */
export function idsOf(token: string | undefined): string[] {
  return (token ?? '').split('.').filter((word) => word !== '');
}

/**
 * The locks, from the KB's own inwards, that the environment's token names and that are really held. A token of
 * another KB, of a run that has ended, or of a lock that was taken away joins nothing: its command then waits like
 * everybody.
 */
export function joinedLocks(kb: Kb): JoinedLock[] {
  const joined: JoinedLock[] = [];
  let directory = kb.root;
  for (const id of idsOf(kb.surroundings.env[LOCK_TOKEN])) {
    if (!isHeld(kb, { directory, id })) break;
    const inside = insideOf(kb, joined.length + 1);
    joined.push({ directory, id, inside });
    directory = inside;
  }
  return joined;
}

/** Where those queue that run inside of so many locks; made on first use. */
export function insideOf(kb: Kb, depth: number): string {
  const directory = pathInside(kb, depth);
  kb.surroundings.disk.mkdirSync(directory, { recursive: true });
  return directory;
}

export function isHeld(kb: Kb, { directory, id }: Pick<JoinedLock, 'directory' | 'id'>): boolean {
  return lookAtLock(kb.surroundings.disk, new LockPaths(directory))?.owner?.id === id;
}

/** @throws KbError E_LOCK_LOST */
export function requireHeld(kb: Kb, locks: readonly JoinedLock[]): void {
  if (locks.every((lock) => isHeld(kb, lock))) return;
  throw new KbError('E_LOCK_LOST', 'the lock of the kb run around this command was taken away');
}

/**
 * Whether the run that a token stands for still goes on: all its locks are held, none by a process that is provably
 * dead. A lock that this command itself runs inside of is alive by that, even where its kb was killed.
 */
export function isRunning(kb: Kb, token: string): boolean {
  const { disk, env, identity } = kb.surroundings;
  const around = idsOf(env[LOCK_TOKEN]);
  return idsOf(token).every((id, depth) => {
    try {
      const state = inspectLock(depth === 0 ? kb.root : pathInside(kb, depth), { disk, identity });
      return state.owner?.id === id && (!state.stale || around.includes(id));
    } catch (error) {
      if (isKbError(error, 'E_NO_KB')) return false; // nobody was ever inside
      throw error;
    }
  });
}

function pathInside(kb: Kb, depth: number): string {
  return join(kb.gitDir, 'kb', 'inside', String(depth));
}
