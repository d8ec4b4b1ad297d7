import { expect, it } from 'vitest';
import { ProgressMeter, type ProgressReport } from '../../../src/kb/progress-meter.js';
import { systemClock } from '../../../src/kb/surroundings.js';

function meter(): { meter: ProgressMeter; told: ProgressReport[]; after: (ms: number) => void } {
  let now = 0;
  const told: ProgressReport[] = [];
  const clock = { ...systemClock, monotonic: () => now };
  return { meter: new ProgressMeter(clock, (report) => told.push(report)), told, after: (ms) => (now += ms) };
}

it('tells the first and the last of a phase, and between them ten a second', () => {
  const { meter: it, told, after } = meter();
  for (let done = 1; done <= 1000; done += 1) {
    it.follow('receiving', { done, total: 1000, bytes: done });
    after(1);
  }
  it.follow('checking out', { done: 1, total: 2 });
  expect(told.map(({ phase, done }) => `${phase} ${String(done)}`)).toEqual([
    ...['receiving 1', 'receiving 101', 'receiving 201', 'receiving 301', 'receiving 401', 'receiving 501'],
    ...['receiving 601', 'receiving 701', 'receiving 801', 'receiving 901', 'receiving 1000', 'checking out 1'],
  ]);
});

it('knows the rate and the time that remains, from what was done lately', () => {
  const { meter: it, told, after } = meter();
  const at = (done: number, bytes: number): ProgressReport | undefined => {
    it.follow('receiving', { done, total: 1000, bytes });
    return told.at(-1);
  };
  expect(at(0, 0)).toEqual({ kind: 'progress', phase: 'receiving', done: 0, total: 1000, bytes: 0 });
  after(400);
  expect(at(100, 1e6)).not.toHaveProperty('bytesPerSecond');
  after(600);
  expect(at(250, 2e6)).toMatchObject({ bytesPerSecond: 2e6, remainingMs: 3000 });
  // It gets slower: after five seconds the fast start counts no more.
  for (let second = 1; second <= 6; second += 1) {
    after(1000);
    at(250 + second * 10, 2e6 + second * 1000);
  }
  expect(told.at(-1)).toMatchObject({ bytesPerSecond: 1000, remainingMs: 69_000 });
});

it('begins anew with each phase', () => {
  const { meter: it, told, after } = meter();
  it.follow('receiving', { done: 1, total: 10 });
  after(5000);
  it.follow('checking out', { done: 1, total: 10 });
  expect(told.at(-1)).toEqual({ kind: 'progress', phase: 'checking out', done: 1, total: 10 });
});
