import { describe, expect, it } from 'vitest';
import { formatAge, formatBytes, formatDuration, plural } from '../../../src/cli/format.js';

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [102_400, '100 KiB'],
    [1024 ** 2, '1.0 MiB'],
    [1024 ** 3, '1.0 GiB'],
    [1024 ** 4, '1.0 TiB'],
    [1024 ** 5, '1024 TiB'],
  ])('%d', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it.each([1024 ** 2 - 1, 1024 ** 3 - 1])('%d is the next unit, not 1024 of the one before', (bytes) => {
    expect(formatBytes(bytes)).not.toMatch(/^1024 /);
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0 ms'],
    [849.6, '850 ms'],
    [1000, '1 s'],
    [12_340, '12.3 s'],
    [119_000, '119 s'],
    [120_000, '2 min'],
    [3_600_000, '60 min'],
  ])('%d', (ms, text) => expect(formatDuration(ms)).toBe(text));

  it.each([999.7, 119_999])('%d does not show a number that its unit never has', (ms) => {
    expect(formatDuration(ms)).not.toMatch(/^(1000 ms|120 s)$/);
  });
});

describe('formatAge', () => {
  it.each([
    [-5000, 'just now'],
    [999, 'just now'],
    [1000, '1 second ago'],
    [59_999, '59 seconds ago'],
    [60_000, '1 minute ago'],
    [3_600_000, '1 hour ago'],
    [86_400_000, '1 day ago'],
    [1e10, '115 days ago'],
    [NaN, 'just now'],
  ])('%d', (ms, text) => expect(formatAge(ms)).toBe(text));
});

it('plural', () => {
  expect([0, 1, 2].map((count) => plural(count, 'file'))).toEqual(['0 files', '1 file', '2 files']);
});
