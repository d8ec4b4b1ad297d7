import { describe, expect, it } from 'vitest';
import { RecentObjects } from '../../../../src/git/objects/recent-objects.js';

const KIB = 1024;

/** Bytes that tell which object they are. */
function bytesOf(index: number, length: number): Buffer {
  return Buffer.alloc(length, `${index},`);
}

describe('RecentObjects', () => {
  it('gives what was kept last, whole, and nothing of what was overwritten', () => {
    const recent = new RecentObjects(1e6, 1024 * KIB, 0);
    const length = (index: number): number => (index * 7919) % (90 * KIB);
    for (let index = 0; index < 200; index++) {
      const data = bytesOf(index, length(index));
      const room = recent.room(data.length + 1);
      expect(room.length).toBeGreaterThanOrEqual(data.length + 1);
      // one in three is made somewhere else
      if (index % 3 === 0) recent.keep(index, data);
      else recent.keep(index, room.subarray(0, data.copy(room)));
      let known = 0;
      for (let other = 0; other <= index; other++) {
        const found = recent.get(other);
        expect(recent.has(other)).toBe(found !== undefined);
        if (found === undefined) continue;
        known += found.length;
        expect(found.equals(bytesOf(other, length(other)))).toBe(true);
      }
      expect(recent.get(index)).toBeDefined();
      expect(known).toBeLessThanOrEqual(1024 * KIB);
    }
    expect(recent.get(0)).toBeUndefined();
    expect(recent.get(195)).toBeDefined();
  });

  it('what was told to have room may be overwritten by the next, and only then', () => {
    const recent = new RecentObjects(1e6, 512 * KIB, 0);
    for (let index = 0; index < 2; index++) recent.keep(index, bytesOf(index, 200 * KIB));
    expect(recent.get(0)?.equals(bytesOf(0, 200 * KIB))).toBe(true);
    recent.room(200 * KIB);
    expect(recent.get(0)).toBeUndefined();
    expect(recent.get(1)?.equals(bytesOf(1, 200 * KIB))).toBe(true);
  });

  it('keeps large ones up to their own bound, and none that would be half of it', () => {
    const recent = new RecentObjects(1e6, 512 * KIB, 2048 * KIB);
    for (let index = 0; index < 6; index++) recent.keep(index, bytesOf(index, 600 * KIB));
    expect([0, 1, 2, 3, 4, 5].filter((index) => recent.get(index) !== undefined)).toEqual([3, 4, 5]);
    recent.keep(6, bytesOf(6, 1100 * KIB));
    expect(recent.get(6)).toBeUndefined();
    expect(recent.get(5)?.equals(bytesOf(5, 600 * KIB))).toBe(true);
  });

  it('forgets an object when its place in the arrays is taken, and all when it is cleared', () => {
    const recent = new RecentObjects(1e6, 4096 * KIB, 0);
    const far = 128 * KIB;
    recent.keep(1, bytesOf(1, 10));
    recent.keep(1 + far, bytesOf(2, 10));
    expect(recent.get(1)).toBeUndefined();
    expect(recent.get(1 + far)?.equals(bytesOf(2, 10))).toBe(true);
    recent.clear();
    expect(recent.get(1 + far)).toBeUndefined();
    recent.keep(3, bytesOf(3, 5));
    expect(recent.get(3)?.equals(bytesOf(3, 5))).toBe(true);
  });
});
