import type { LockClock } from './clock.js';
import type { LivenessProbe } from './liveness.js';
import type { OwnerRecord } from './owner.js';

/**
 * How much of the time between two looks counts as watched, ms. An observer that was itself suspended (laptop
 * lid, SIGSTOP) saw nothing meanwhile: the holder, suspended with it, must get its chance to beat first.
 */
const LONGEST_BLINK_MS = 1000;

interface Watched {
  readonly trace: string;
  readonly seenAtMs: number;
  readonly stillMs: number;
}

/**
 * Decides who is dead: by proof where there is one, else by having watched for `staleAfterMs` without a blink
 * that nothing moved. One observer a waiter; what it saw is not passed on.
 * Broken by: test/unit/lock/observer.test.ts.
 */
export class Observer {
  private readonly watched = new Map<string, Watched>();

  /** @param staleAfterMs on the observer's own monotonic clock: clocks of other machines are never compared */
  constructor(
    private readonly probe: LivenessProbe,
    private readonly clock: LockClock,
    private readonly staleAfterMs: number,
  ) {}

  /**
   * @param subject what is watched, for example the lock or one ticket
   * @param owner its record, if it has one that can be read
   * @param trace all that a living owner changes: id and heartbeat
   */
  isDead(subject: string, owner: OwnerRecord | undefined, trace: string): boolean {
    const liveness = owner === undefined ? 'unknown' : this.probe(owner);
    if (liveness !== 'unknown') {
      this.watched.delete(subject);
      return liveness === 'dead';
    }
    const nowMs = this.clock.monotonicMs();
    const before = this.watched.get(subject);
    const stillMs = before?.trace === trace ? before.stillMs + Math.min(nowMs - before.seenAtMs, LONGEST_BLINK_MS) : 0;
    this.watched.set(subject, { trace, seenAtMs: nowMs, stillMs });
    return stillMs >= this.staleAfterMs;
  }
}
