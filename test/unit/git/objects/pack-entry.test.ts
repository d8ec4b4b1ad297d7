import { describe, expect, it } from 'vitest';
import {
  encodeEntryHead,
  encodeOffsetDeltaHead,
  EntryHead,
  OFS_DELTA,
  REF_DELTA,
} from '../../../../src/git/objects/pack-entry.js';

describe('EntryHead', () => {
  it.each([0, 15, 16, 127, 2047, 2048, 1 << 20, 2 ** 31, 2 ** 32 + 5, 2 ** 40])('reads back a size of %i', (size) => {
    const bytes = encodeEntryHead('tree', size);
    const head = new EntryHead();
    for (let length = 0; length < bytes.length; length++) expect(head.read(bytes.subarray(0, length), 0)).toBe(false);
    expect(head.read(bytes, 0)).toBe(true);
    expect([head.type, head.size, head.length]).toEqual([2, size, bytes.length]);
  });

  it('reads the distance of an offset delta', () => {
    const head = new EntryHead();
    expect(head.read(Buffer.from([0x65, 0x80, 0x01]), 0)).toBe(true);
    expect([head.type, head.size, head.distance]).toEqual([OFS_DELTA, 5, 129]);
    expect(head.read(Buffer.from([0x65, 0x80]), 0)).toBe(false);
  });

  it.each([1, 127, 128, 129, 16_511, 16_512, 2_113_663, 2_113_664, 2 ** 31, 2 ** 40])(
    'reads back a distance of %i',
    (distance) => {
      const bytes = encodeOffsetDeltaHead(distance, 300);
      const head = new EntryHead();
      expect(head.read(bytes, 0)).toBe(true);
      expect([head.type, head.size, head.distance, head.length]).toEqual([OFS_DELTA, 300, distance, bytes.length]);
    },
  );

  it('reads the base of a delta by id, wherever it begins', () => {
    const head = new EntryHead();
    const data = Buffer.concat([Buffer.from([0xff, 0x75]), Buffer.alloc(20, 7), Buffer.from([1])]);
    expect(head.read(data, 1)).toBe(true);
    expect([head.type, head.base?.equals(Buffer.alloc(20, 7)), head.length]).toEqual([REF_DELTA, true, 21]);
    expect(head.read(data.subarray(0, 21), 1)).toBe(false);
  });

  it.each([0x05, 0x55])('refuses the type of byte %i', (byte) => {
    expect(() => new EntryHead().read(Buffer.from([byte]), 0)).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });

  it.each([0x3f, 0x6f])('refuses numbers that never end', (byte) => {
    expect(() => new EntryHead().read(Buffer.concat([Buffer.from([byte | 0x80]), Buffer.alloc(20, 0xff)]), 0)).toThrow(
      /impossible/,
    );
  });
});
