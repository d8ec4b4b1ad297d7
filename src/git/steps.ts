/**
 * Long synchronous work that can be paused: it yields wherever it may be, and ends with its result. Who runs it
 * decides whether anything else gets a turn meanwhile; a signal, a timer or a lock's heartbeat that has to wait for
 * 100,000 files is no signal.
 */
export type Steps<T> = Generator<undefined, T, undefined>;

/** Runs the work to its end without a pause. @throws what the work throws */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** Longest stretch of work without a pause, ms: short enough that Ctrl-C feels immediate. */
const STRETCH_MS = 20;

/**
 * Runs the work with pauses.
 * @param now ms, of a clock that never jumps
 * @param signal ends the work at the next pause; the work's own `finally` blocks run
 * @throws the signal's reason; what the work throws
 */
export async function withPauses<T>(steps: Steps<T>, now: () => number, signal?: AbortSignal): Promise<T> {
  for (let paused = now(); ;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    if (now() - paused < STRETCH_MS) continue;
    await new Promise(setImmediate);
    if (signal?.aborted === true) {
      steps.return(undefined as T);
      throw signal.reason;
    }
    paused = now();
  }
}

/** Lets the event loop turn so many times: what has arrived is read then. None of the turns waits. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}
