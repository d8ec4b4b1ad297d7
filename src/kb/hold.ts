import { KbError } from '../errors.js';
import { withLock, type HeldLock, type LockRequest, type ServedWaiter, type WaitReport } from '../lock/lock.js';
import { describeOwner } from '../lock/owner.js';
import { idsOf, insideOf, isHeld, joinedLocks, requireHeld, type JoinedLock } from './joined-locks.js';
import type { Kb } from './open.js';
import type { Surroundings } from './surroundings.js';
import { recordHold } from './wait-log.js';

/** The KB's lock while it is held, and what a command inside must know to join it. */
export interface Hold extends HeldLock {
  /** For `KB_LOCK_TOKEN`: the ids of all locks held from the KB's own inwards. */
  readonly token: string;
  /** Inside somebody else's `kb run`: the queue is not ours to serve, its entries wait behind that run. */
  readonly isNested: boolean;
  /** Notes answered so far, for the record of waits. */
  served: number;
}

/**
 * Runs `body` with the KB's lock; inside a `kb run` with the lock that serialises what runs in there.
 * @param waiter may end the wait with a value of its own
 * @throws KbError as withLock
 */
export async function holdKb<T>(
  kb: Kb,
  operation: string,
  body: (hold: Hold) => Promise<T>,
  waiter?: ServedWaiter<T>,
): Promise<T> {
  const { disk, random, identity, clock } = kb.surroundings;
  const start = clock.monotonic();
  for (;;) {
    const outer = joinedLocks(kb);
    const underLock = async (held: HeldLock): Promise<Ended<T>> => {
      // The run around this command may have ended while its turn was awaited: then everybody's line is ours too.
      if (!outer.every((lock) => isHeld(kb, lock))) return 'join again';
      return { value: await bodyUnder(kb, operation, body, { held, outer, waitedMs: clock.monotonic() - start }) };
    };
    const request = lockRequest(kb, operation, outer.at(-1)?.inside ?? kb.root, clock.monotonic() - start);
    const served = outer.length > 0 || waiter === undefined ? undefined : servedWithin(waiter);
    const ended = await withLock(request, underLock, { disk, random, identity }, served);
    if (ended !== 'join again') return ended.value;
  }
}

/**
 * Runs `work` while none of those that have joined the lock does anything: what a command of `kb run` left in the
 * background may still call kb. They wait for their turn inside, and wait like everybody once the lock is given back.
 * @throws KbError E_LOCK_TIMEOUT when one of them does not come to an end
 */
export async function keepOthersOut<T>(kb: Kb, hold: Hold, operation: string, work: () => Promise<T>): Promise<T> {
  const { disk, random, identity } = kb.surroundings;
  // An interrupt that ended the run's command must not keep its changes from being put away.
  const { signal: _, ...request } = lockRequest(kb, operation, insideOf(kb, idsOf(hold.token).length), 0);
  return withLock(request, work, { disk, random, identity });
}

type Ended<T> = { readonly value: T } | 'join again';

async function bodyUnder<T>(
  kb: Kb,
  operation: string,
  body: (hold: Hold) => Promise<T>,
  { held, outer, waitedMs }: { held: HeldLock; outer: readonly JoinedLock[]; waitedMs: number },
): Promise<T> {
  const { clock } = kb.surroundings;
  const start = clock.monotonic();
  const watch = outer.length === 0 ? undefined : watchOuter(kb, held, outer);
  const hold: Hold = {
    id: held.id,
    waitedMs,
    lost: watch?.lost ?? held.lost,
    token: [...outer.map(({ id }) => id), held.id].join('.'),
    isNested: outer.length > 0,
    served: 0,
    assertHeld: () => {
      held.assertHeld();
      requireHeld(kb, outer);
    },
  };
  try {
    return await body(hold);
  } finally {
    watch?.stop();
    const { served } = hold;
    recordHold(kb, { operation, waitedMs, heldMs: clock.monotonic() - start, served });
  }
}

/** How often a command inside a run looks whether the locks around it are still held, ms. */
const WATCH_EVERY_MS = 1000;

/** Aborted when the own lock is lost, or one of those around it. */
function watchOuter(kb: Kb, held: HeldLock, outer: readonly JoinedLock[]): { lost: AbortSignal; stop: () => void } {
  const { clock } = kb.surroundings;
  const lost = new AbortController();
  const over = new AbortController();
  const ownLost = (): void => lost.abort(held.lost.reason);
  held.lost.addEventListener('abort', ownLost, { once: true });
  const watch = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await clock.sleep(WATCH_EVERY_MS, over.signal);
      try {
        requireHeld(kb, outer);
      } catch (error) {
        // Whatever keeps us from looking now is looked at again before the next ref is written.
        if (error instanceof KbError && error.code === 'E_LOCK_LOST') return lost.abort(error);
      }
    }
  };
  watch().catch(() => undefined); // the sleep ends with an error when the watch is over
  return {
    lost: lost.signal,
    stop: () => {
      held.lost.removeEventListener('abort', ownLost);
      over.abort();
    },
  };
}

function lockRequest(kb: Kb, operation: string, directory: string, spentMs: number): LockRequest {
  const { signal } = kb.surroundings;
  return {
    directory,
    operation,
    command: `kb ${operation}`,
    timeoutMs: Math.max(0, kb.settings.lockTimeoutMs - spentMs),
    onWait: reportWait(kb.surroundings),
    ...(signal === undefined ? {} : { signal }),
  };
}

function servedWithin<T>(waiter: ServedWaiter<T>): ServedWaiter<Ended<T>> {
  return {
    enqueue: (place) => waiter.enqueue(place),
    answer: () => {
      const answer = waiter.answer();
      return answer === undefined ? undefined : { value: answer };
    },
  };
}

/** Tells how the wait goes, as `withLock` asks for it. */
export function reportWait({ report }: Surroundings): (wait: WaitReport) => void {
  return ({ owner, waitedMs, place, givesUpInMs }) =>
    report({ kind: 'waiting', holder: owner && describeOwner(owner), waitedMs, place, givesUpInMs });
}
