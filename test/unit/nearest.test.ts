import { describe, expect, it } from 'vitest';
import { nearest } from '../../src/nearest.js';

describe('nearest', () => {
  it.each([
    ['nots', ['note', 'sync', 'status'], 'note'],
    ['snyc', ['note', 'sync', 'status'], 'sync'],
    ['STATUS', ['note', 'sync', 'status'], 'status'],
    ['templtes', ['dir', 'templates', 'daily'], 'templates'],
    ['completely-else', ['note', 'sync'], undefined],
    ['x', [], undefined],
  ])('%s among %j is %s', (typed, known, wanted) => expect(nearest(typed, known)).toBe(wanted));

  it('does not take long over a long word', () => {
    expect(nearest('x'.repeat(1_000_000), ['note'])).toBeUndefined();
  });
});
