export interface RetryOptions {
  /** Upper bound of the second retry's delay, milliseconds; it doubles from there. Default 250. */
  readonly baseMs?: number;
  /** No delay is longer, milliseconds, unless the server asked for it. Default 8,000. */
  readonly capMs?: number;
  /** Milliseconds left until the deadline; without it the delays never end. */
  readonly remainingMs?: () => number;
  /** What the server last named as time to come back (`Retry-After`), milliseconds: no delay is shorter. */
  readonly retryAfterMs?: () => number | undefined;
}

/**
 * The delays, in milliseconds, before each retry: the first at once (most races are over by then), then
 * full jitter, which spreads writers that collided best (AWS Architecture Blog, "Exponential Backoff And
 * Jitter"). Ends when the deadline has come or would come within the delay: time bounds retries, no count.
 * @param random uniform in [0, 1)
 */
export function* retryDelays(random: () => number, options: RetryOptions = {}): Generator<number> {
  const base = options.baseMs ?? 250;
  const cap = options.capMs ?? 8_000;
  for (let retry = 0; ; retry += 1) {
    const jitter = retry === 0 ? 0 : random() * Math.min(cap, base * 2 ** Math.min(retry - 1, 30));
    const delay = Math.max(jitter, options.retryAfterMs?.() ?? 0);
    if (options.remainingMs !== undefined && delay >= options.remainingMs()) return;
    yield delay;
  }
}
