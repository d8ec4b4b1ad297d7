import { describe, expect, it } from 'vitest';
import { applyDelta, deltaSizes } from '../../../../src/git/objects/delta.js';

const base = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyz');
const apply = (...bytes: number[]): string => applyDelta(base, Buffer.from(bytes), 1 << 20).toString();

describe('applyDelta', () => {
  it('copies and inserts', () => {
    expect(apply(36, 7, 0b10010001, 10, 3, 2, 0x2d, 0x2d, 0b10010000, 2)).toBe('abc--01');
  });

  it('copies long stretches', () => {
    expect(apply(36, 30, 0b10010001, 2, 30)).toBe(base.toString('latin1', 2, 32));
  });

  it('takes a copy without size as 65,536 bytes', () => {
    const big = Buffer.alloc(70_000, 'x');
    const delta = Buffer.from([0xf0, 0xa2, 0x04, 0x80, 0x80, 0x04, 0b10000001, 5]);
    expect(deltaSizes(delta)).toEqual({ baseSize: 70_000, resultSize: 65_536, at: 6 });
    expect(applyDelta(big, delta, 1 << 20).length).toBe(65_536);
  });

  it.each([
    ['another base', [35, 1, 1, 0x61]],
    ['a copy beyond the base', [36, 5, 0b10010001, 33, 5]],
    ['a copy beyond the result', [36, 2, 0b10010000, 5]],
    ['an insert beyond the result', [36, 1, 2, 0x61, 0x61]],
    ['a cut insert', [36, 5, 5, 0x61]],
    ['a cut copy', [36, 5, 0b10010001, 3]],
    ['a result that is too short', [36, 5, 1, 0x61]],
    ['a reserved command', [36, 1, 0, 1, 0x61]],
    ['no sizes', []],
    ['a size that never ends', [255, 255, 255, 255, 255, 255, 255, 255, 255, 255]],
  ])('refuses %s', (_, bytes) => {
    expect(() => apply(...bytes)).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });

  it('keeps the limit before it takes memory', () => {
    const delta = Buffer.from([36, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    expect(() => applyDelta(base, delta, 1000)).toThrow(/limit/);
  });
});
