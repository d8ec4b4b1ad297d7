import { describe, expect, it } from 'vitest';
import { editDistance, nearest } from '../../../src/cli/nearest.js';

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['note', 'note', 0],
    ['', 'sync', 4],
    ['nte', 'note', 1],
    ['noote', 'note', 1],
    ['nite', 'note', 1],
    ['ntoe', 'note', 1],
    ['stauts', 'status', 1],
    ['clone', 'clean', 3],
  ])('%s → %s: %i', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });
});

describe('nearest', () => {
  const commands = ['clone', 'config', 'init', 'list', 'note', 'status', 'sync', 'unlock'];
  it.each([
    ['stauts', 'status'],
    ['snyc', 'sync'],
    ['confg', 'config'],
    ['unlokc', 'unlock'],
    ['push', undefined],
    ['ls', undefined],
    ['', undefined],
  ])('%s → %s', (typed, meant) => {
    expect(nearest(typed, commands)).toBe(meant);
  });
});
