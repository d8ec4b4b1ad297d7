import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../../src/disk/disk.js';
import { encodePackIndex, PackIndex } from '../../../../src/git/objects/pack-index.js';
import { makeTemporaryDirectory } from '../../../support/native-git.js';

const COUNT = 3000;
const ids = randomBytes(COUNT * 20);
// every third beyond what 31 bits hold, some beyond 32
const offsets = Float64Array.from({ length: COUNT }, (_, index) =>
  index % 3 === 0 ? 2 ** 31 + index * 2 ** 22 : 12 + index * 100,
);
const crcs = Uint32Array.from({ length: COUNT }, (_, index) => index);
const encoded = encodePackIndex({ count: COUNT, ids, crcs, offsets }, Buffer.alloc(20, 9));

function open(bytes: Buffer): PackIndex {
  const path = join(makeTemporaryDirectory(), 'x.idx');
  writeFileSync(path, bytes);
  return PackIndex.open(nodeDisk, path);
}

describe('PackIndex', () => {
  it('finds every object, also beyond 2 GiB, and nothing else', () => {
    const index = open(encoded);
    expect(index.objectCount).toBe(COUNT);
    for (let position = 0; position < COUNT; position++) {
      expect(index.find(ids.subarray(position * 20, position * 20 + 20))).toBe(offsets[position]);
    }
    for (let tries = 0; tries < 300; tries++) expect(index.find(randomBytes(20))).toBeUndefined();
    index.close();
  });

  it('is empty without objects', () => {
    const empty = encodePackIndex(
      { count: 0, ids: Buffer.alloc(0), crcs: new Uint32Array(0), offsets: new Float64Array(0) },
      Buffer.alloc(20),
    );
    expect(open(empty).find(Buffer.alloc(20))).toBeUndefined();
  });

  it.each<[string, (bytes: Buffer) => Buffer, string]>([
    ['empty', () => Buffer.alloc(0), 'E_CORRUPT'],
    ['cut in the fan-out', (bytes) => bytes.subarray(0, 500), 'E_CORRUPT'],
    ['cut behind it', (bytes) => bytes.subarray(0, bytes.length - 1), 'E_CORRUPT'],
    ['with a fan-out out of order', (bytes) => (bytes.writeUInt32BE(2 ** 31, 8), bytes), 'E_CORRUPT'],
    ['of another version', (bytes) => (bytes.writeUInt32BE(3, 4), bytes), 'E_UNSAFE_STATE'],
  ])('refuses a file that is %s', (_, damage, code) => {
    expect(() => open(damage(Buffer.from(encoded)))).toThrow(expect.objectContaining({ code }));
  });

  it('refuses an offset that points outside', () => {
    const bytes = Buffer.from(encoded);
    const offsetsAt = 8 + 1024 + COUNT * 24;
    for (let position = 0; position < COUNT; position++) bytes.writeUInt32BE(0xffffffff, offsetsAt + position * 4);
    expect(() => open(bytes).find(ids.subarray(0, 20))).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });
});

it.each([2, 40, 64, 65, 3000])('encodePackIndex sorts %i ids that begin alike', (alike) => {
  const begun = Buffer.from(ids);
  for (let position = 0; position < alike; position++) begun.fill(Buffer.of(7, 8, 9), position * 20, position * 20 + 3);
  const bytes = encodePackIndex({ count: COUNT, ids: begun, crcs, offsets }, Buffer.alloc(20));
  const sorted = Array.from({ length: COUNT }, (_, position) => ({
    id: begun.toString('hex', position * 20, position * 20 + 20),
    crc: crcs[position],
  })).sort((a, b) => (a.id < b.id ? -1 : 1));
  for (const [rank, { id, crc }] of sorted.entries()) {
    const at = 8 + 1024 + rank * 20;
    expect(bytes.toString('hex', at, at + 20)).toBe(id);
    expect(bytes.readUInt32BE(8 + 1024 + COUNT * 20 + rank * 4)).toBe(crc);
  }
});

it('encodePackIndex refuses the same object twice', () => {
  const twice = { count: 2, ids: Buffer.alloc(40, 1), crcs: new Uint32Array(2), offsets: new Float64Array([12, 50]) };
  expect(() => encodePackIndex(twice, Buffer.alloc(20))).toThrow(/twice/);
});
