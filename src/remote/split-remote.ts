import type { Discovery, FetchRequest, FetchResult, PushOutcome, PushRequest, Remote } from './remote.js';

/**
 * One repository with two addresses: one to fetch from, another to push to (git's `pushurl` and `pushInsteadOf`).
 *
 * Invariant: what is fetched comes from where the refs were listed last. A push goes out on what the pushing side
 * listed, and a mirror that is behind it may not have those objects yet.
 */
export class SplitRemote implements Remote {
  #current: Remote;

  constructor(
    private readonly reading: Remote,
    private readonly pushing: Remote,
  ) {
    this.#current = reading;
  }

  get displayUrl(): string {
    return this.#current.displayUrl;
  }

  get requests(): number {
    return this.reading.requests + this.pushing.requests;
  }

  set onSent(listener: (() => void) | undefined) {
    this.reading.onSent = listener;
    this.pushing.onSent = listener;
  }

  discover(intent: 'read' | 'write', prefixes: readonly string[]): Promise<Discovery> {
    this.#current = intent === 'write' ? this.pushing : this.reading;
    return this.#current.discover(intent, prefixes);
  }

  fetch(request: FetchRequest): Promise<FetchResult> {
    return this.#current.fetch(request);
  }

  async canFilter(): Promise<boolean> {
    return (await this.#current.canFilter?.()) ?? false;
  }

  push(request: PushRequest): Promise<PushOutcome> {
    return this.pushing.push(request);
  }

  async heardOut(): Promise<void> {
    await this.pushing.heardOut?.();
  }

  async close(): Promise<void> {
    await Promise.all([this.reading.close(), this.pushing.close()]);
  }
}
