import { expect, it } from 'vitest';
import { crc32, tableCrc32 } from '../../../../src/git/objects/crc32.js';

it.each([crc32, tableCrc32])("computes zlib's CRC-32, also in pieces", (compute) => {
  expect(compute(Buffer.from('123456789'), 0)).toBe(0xcbf43926);
  expect(compute(Buffer.from('56789'), compute(Buffer.from('1234'), 0))).toBe(0xcbf43926);
  expect(compute(Buffer.alloc(0), 0)).toBe(0);
});
