import { KbError } from '../errors.js';

/** Who follows each signal: one listener serves them all, for Node warns of a leak when a signal has eleven. */
const followers = new WeakMap<AbortSignal, Set<StopSignal>>();

function passOn(event: Event): void {
  const source = event.target as AbortSignal;
  for (const follower of followers.get(source) ?? []) follower.stop(source.reason);
}

/**
 * One signal that aborts with the first of several, for a reason that is always a KbError: whatever it stops ends
 * with that. (AbortSignal.any would join them, but Node 20 has it only from 20.3 on, and keeps the reasons.)
 */
export class StopSignal {
  private readonly controller = new AbortController();
  private readonly sources: readonly AbortSignal[];

  constructor(sources: readonly (AbortSignal | undefined)[]) {
    this.sources = sources.filter((source) => source !== undefined);
    for (const source of this.sources) {
      if (source.aborted) this.stop(source.reason);
      else this.follow(source);
    }
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** A caller's signal may live much longer than a call: it must not keep the call's remains. */
  release(): void {
    for (const source of this.sources) {
      const all = followers.get(source);
      all?.delete(this);
      if (all?.size !== 0) continue;
      followers.delete(source);
      source.removeEventListener('abort', passOn);
    }
  }

  stop(reason: unknown): void {
    this.controller.abort(
      reason instanceof KbError
        ? reason
        : new KbError('E_INTERRUPTED', 'stopped by the caller; locks are released and nothing is half done', {
            cause: reason,
          }),
    );
  }

  private follow(source: AbortSignal): void {
    let all = followers.get(source);
    if (all === undefined) {
      followers.set(source, (all = new Set()));
      source.addEventListener('abort', passOn, { once: true });
    }
    all.add(this);
  }
}

/** The work's result, or the signal's reason as soon as it aborts; the work is then on its own. */
export function orStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => undefined); // nobody may be listening by the time it fails
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as KbError);
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
