import { setImmediate } from 'node:timers/promises';
import { KbError } from '../../errors.js';

/** The time that one remote has for everything, and the caller's wish to stop. */
export class Deadline {
  private readonly end: number;

  /** @param timeoutMs counted from now */
  constructor(
    timeoutMs: number,
    readonly signal: AbortSignal | undefined,
    private readonly now: () => number,
  ) {
    this.end = now() + timeoutMs;
  }

  get remainingMs(): number {
    return this.end - this.now();
  }

  /** @throws KbError E_NETWORK when the time is over; the abort reason */
  check(): void {
    this.signal?.throwIfAborted();
    if (this.remainingMs > 0) return;
    throw new KbError('E_NETWORK', 'the remote took longer than it was given', {
      hint: 'give it more time with KB_GIT_TIMEOUT, then: kb sync',
    });
  }

  /** Lets signals and timers in between two pieces of synchronous work. @throws as `check` */
  async pause(): Promise<void> {
    await setImmediate();
    this.check();
  }
}
