import zlib from 'node:zlib';

// zlib.crc32 came with Node 20.15: types and older releases do not have it
const native = (zlib as { readonly crc32?: (data: Uint8Array, value?: number) => number }).crc32;

let table: Uint32Array | undefined;

/** CRC-32 as zlib and pack indexes use it, going on from `value`. */
export const crc32: (data: Uint8Array, value: number) => number = native ?? tableCrc32;

/** The same in plain JavaScript, for Node 20 before 20.15. */
export function tableCrc32(data: Uint8Array, value: number): number {
  table ??= makeTable();
  let crc = ~value;
  for (let at = 0; at < data.length; at++) crc = (crc >>> 8) ^ (table[(crc ^ (data[at] as number)) & 0xff] as number);
  return ~crc >>> 0;
}

function makeTable(): Uint32Array {
  const made = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    made[byte] = crc;
  }
  return made;
}
