import { describe, expect, it } from 'vitest';
import { Observer } from '../../../src/lock/observer.js';
import { FakeClock, fates, madeUpOwner } from '../../support/lock-fixtures.js';

function setUp() {
  const clock = new FakeClock();
  const observer = new Observer(fates({ ann: 'alive', dan: 'dead' }), clock, 120_000);
  /** Looks every 500 ms for so long; the verdict of the last look. */
  const watch = (ms: number, trace: string, user: string | null = 'far'): boolean => {
    let verdict = observer.isDead('lock', user === null ? undefined : madeUpOwner(user), trace);
    for (let passed = 0; passed < ms; passed += 500) {
      clock.nowMs += 500;
      verdict = observer.isDead('lock', user === null ? undefined : madeUpOwner(user), trace);
    }
    return verdict;
  };
  return { clock, observer, watch };
}

describe('Observer', () => {
  it('believes proof at once', () => {
    const { watch } = setUp();
    expect(watch(0, 'x', 'dan')).toBe(true);
    expect(watch(500_000, 'x', 'ann')).toBe(false);
  });

  it('passes over an owner of unknown fate, or without a record, after 120 s without a change', () => {
    for (const user of ['far', null]) {
      const { watch } = setUp();
      expect(watch(119_500, 'x', user)).toBe(false);
      expect(watch(500, 'x', user)).toBe(true);
    }
  });

  it('starts again with every change', () => {
    const { watch } = setUp();
    expect(watch(119_500, 'x')).toBe(false);
    expect(watch(119_500, 'y')).toBe(false);
    expect(watch(119_500, 'x')).toBe(false);
  });

  it('does not count the time during which it was suspended itself', () => {
    const { clock, watch } = setUp();
    watch(100_000, 'x');
    clock.nowMs += 3_600_000;
    expect(watch(0, 'x')).toBe(false);
    expect(watch(18_000, 'x')).toBe(false);
    expect(watch(1_000, 'x')).toBe(true);
  });

  it('watches each subject by itself', () => {
    const { observer, watch } = setUp();
    watch(200_000, 'x');
    expect(observer.isDead('ticket', undefined, 'x')).toBe(false);
  });

  it('forgets what it saw when the owner turns out to live', () => {
    const { watch } = setUp();
    watch(100_000, 'x');
    watch(0, 'x', 'ann');
    expect(watch(100_000, 'x')).toBe(false);
  });
});
