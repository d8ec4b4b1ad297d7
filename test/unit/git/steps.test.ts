import { describe, expect, it } from 'vitest';
import { atOnce, withPauses, type Steps } from '../../../src/git/steps.js';

/** Counts to `end`, a step each; `left` says when it was left early. */
function* counting(end: number, seen: number[], left?: () => void): Steps<string> {
  try {
    for (let step = 1; step <= end; step += 1) {
      seen.push(step);
      yield;
    }
    left = undefined;
    return 'done';
  } finally {
    left?.();
  }
}

it('atOnce runs to the end and gives the result', () => {
  const seen: number[] = [];
  expect(atOnce(counting(3, seen))).toBe('done');
  expect(seen).toEqual([1, 2, 3]);
});

describe('withPauses', () => {
  it('lets others have a turn every 20 ms', async () => {
    let now = 0;
    const seen: number[] = [];
    const turns: number[] = [];
    const timer = setInterval(() => undefined, 0);
    const other = (): void => {
      turns.push(seen.length);
      if (turns.length < 100) setImmediate(other);
    };
    setImmediate(other);
    // 5 ms a step
    expect(await withPauses(counting(17, seen), () => (now += 5))).toBe('done');
    clearInterval(timer);
    expect([...new Set(turns)].filter((steps) => steps < 17).length).toBeGreaterThanOrEqual(3);
  });

  it('stops at the next pause after the signal, and cleans up', async () => {
    let now = 0;
    let wasLeft = false;
    const seen: number[] = [];
    const stop = new AbortController();
    const reason = new Error('stopped');
    setImmediate(() => stop.abort(reason));
    const work = withPauses(
      counting(1000, seen, () => (wasLeft = true)),
      () => (now += 5),
      stop.signal,
    );
    await expect(work).rejects.toBe(reason);
    expect(seen.length).toBeLessThan(20);
    expect(wasLeft).toBe(true);
  });

  it('throws what the work throws', async () => {
    const failing = function* (): Steps<void> {
      yield;
      throw new Error('broken');
    };
    await expect(withPauses(failing(), () => 0)).rejects.toThrow('broken');
  });
});
