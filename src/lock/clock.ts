import { monotonicMs } from '../monotonic.js';
import { setTimeout as delay } from 'node:timers/promises';

/** Time as the lock sees it, injected so that tests need not wait. */
export interface LockClock {
  /** Wall clock, ms since 1970: only ever shown to people, never used to decide who holds the lock. */
  wallMs(): number;
  /** Never goes back and never jumps with the wall clock, ms from any start. */
  monotonicMs(): number;
  /** Resolves after `ms`, or at once when the signal is aborted; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: LockClock = {
  wallMs: () => Date.now(),
  monotonicMs,
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    }
  },
};
