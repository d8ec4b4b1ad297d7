import { describe, expect, it } from 'vitest';
import { retryDelays } from '../../../src/remote/retry.js';

function take(count: number, delays: Generator<number>): number[] {
  const taken: number[] = [];
  for (let left = count; left > 0; left -= 1) {
    const next = delays.next();
    if (next.done === true) break;
    taken.push(next.value);
  }
  return taken;
}

describe('retryDelays', () => {
  it('retries at once first, then within a bound that doubles up to the cap', () => {
    expect(
      take(
        9,
        retryDelays(() => 1),
      ),
    ).toEqual([0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
    expect(
      take(
        9,
        retryDelays(() => 0.5),
      ),
    ).toEqual([0, 125, 250, 500, 1000, 2000, 4000, 4000, 4000]);
  });

  it('spreads over the whole range', () => {
    expect(
      take(
        4,
        retryDelays(() => 0),
      ),
    ).toEqual([0, 0, 0, 0]);
  });

  it('takes another base and cap', () => {
    expect(
      take(
        5,
        retryDelays(() => 1, { baseMs: 10, capMs: 25 }),
      ),
    ).toEqual([0, 10, 20, 25, 25]);
  });

  it('ends when the deadline has come or would come within the delay', () => {
    let remaining = 1000;
    const delays = retryDelays(() => 1, { remainingMs: () => remaining });
    expect(take(2, delays)).toEqual([0, 250]);
    remaining = 500;
    expect(take(1, delays)).toEqual([]);
    expect(
      take(
        1,
        retryDelays(() => 1, { remainingMs: () => 0 }),
      ),
    ).toEqual([]);
  });

  it('comes back no sooner than the server asked for, even above the cap and at the first retry', () => {
    let asked: number | undefined = 9000;
    const delays = retryDelays(() => 0, { retryAfterMs: () => asked });
    expect(take(2, delays)).toEqual([9000, 9000]);
    asked = undefined;
    expect(take(1, delays)).toEqual([0]);
  });

  it('does not overflow after very many retries', () => {
    expect(
      take(
        2000,
        retryDelays(() => 1),
      ).at(-1),
    ).toBe(8000);
  });
});
