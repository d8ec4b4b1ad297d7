import { KbError } from '../errors.js';
import type { LockClock } from './clock.js';
import { describeDuration, describeOwner, type OwnerRecord } from './owner.js';

/** While nothing changes, how often the waiter is told so, ms. */
const REPORT_EVERY_MS = 1000;

export interface WaitReport {
  /** The holder; undefined while the lock is just free or its owner cannot be read. */
  readonly owner: OwnerRecord | undefined;
  readonly waitedMs: number;
  /** Waiting for another caller in this process, not (yet) for another process. */
  readonly inProcess: boolean;
  /** 1: next. */
  readonly place: number;
  /** Time left until the wait is given up, ms. */
  readonly givesUpInMs: number;
}

/** One caller's wait: how long it took, who is told about it, and when it ends without the lock. */
export class Wait {
  private readonly startMs: number;
  private lastReport: { atMs: number; holder: string | undefined; place: number; inProcess: boolean } | undefined;

  constructor(
    private readonly clock: LockClock,
    private readonly directory: string,
    private readonly timeoutMs: number,
    private readonly signal: AbortSignal | undefined,
    private readonly onWait: ((report: WaitReport) => void) | undefined,
  ) {
    this.startMs = clock.monotonicMs();
  }

  get waitedMs(): number {
    return this.clock.monotonicMs() - this.startMs;
  }

  /** At once when waiting starts, when the holder or the place changes, and every second. */
  report(owner: OwnerRecord | undefined, place: number, inProcess: boolean): void {
    const atMs = this.clock.monotonicMs();
    const last = this.lastReport;
    const isOldNews =
      last !== undefined && last.holder === owner?.id && last.place === place && last.inProcess === inProcess;
    if (isOldNews && atMs - last.atMs < REPORT_EVERY_MS) return;
    this.lastReport = { atMs, holder: owner?.id, place, inProcess };
    const { waitedMs } = this;
    this.onWait?.({ owner, waitedMs, inProcess, place, givesUpInMs: Math.max(0, this.timeoutMs - waitedMs) });
  }

  /**
   * Sleeps, but not past the end of the wait.
   * @throws KbError E_LOCK_TIMEOUT when the time was up before; E_INTERRUPTED when the signal is aborted
   */
  async pause(ms: number, holder: OwnerRecord | undefined, until?: Promise<void>): Promise<void> {
    this.throwIfAborted();
    const left = this.timeoutMs - this.waitedMs;
    if (left <= 0) throw this.timedOut(holder);
    const awake = new AbortController();
    const wake = (): void => awake.abort();
    this.signal?.addEventListener('abort', wake, { once: true });
    try {
      const slept = this.clock.sleep(Math.min(ms, left), awake.signal);
      await (until === undefined ? slept : Promise.race([slept, until]));
    } finally {
      this.signal?.removeEventListener('abort', wake);
      awake.abort(); // no timer outlives the pause
    }
    this.throwIfAborted();
  }

  /** @throws the signal's reason when that is a KbError (E_TERMINATED, E_TIMEOUT), else E_INTERRUPTED */
  throwIfAborted(): void {
    if (this.signal?.aborted !== true) return;
    const reason: unknown = this.signal.reason;
    if (reason instanceof KbError) throw reason;
    throw new KbError('E_INTERRUPTED', `interrupted while waiting for the lock on ${this.directory}`, {
      cause: reason,
    });
  }

  private timedOut(holder: OwnerRecord | undefined): KbError {
    const who =
      holder === undefined ? 'its holder is unknown' : `it is held by ${describeOwner(holder, this.clock.wallMs())}`;
    const { waitedMs } = this;
    return new KbError(
      'E_LOCK_TIMEOUT',
      `waited ${describeDuration(waitedMs)} for the lock on ${this.directory}: ${who}`,
      {
        details: { holder: holder ?? null, waitedMs: Math.round(waitedMs) },
      },
    );
  }
}
