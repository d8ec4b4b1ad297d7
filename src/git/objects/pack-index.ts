import crypto from 'node:crypto';
import { KbError } from '../../errors.js';
import type { Disk } from '../../disk/disk.js';

const SIGNATURE = 0xff744f63;
const HEADER_BYTES = 8;
const NAMES_AT = HEADER_BYTES + 1024;
const CACHE_BYTES = 16 * 1024 * 1024;

/**
 * A pack's `.idx` (version 2), looked up by position: the fan-out table is read once, then the names that
 * share a first byte, then one offset. The file is never read whole: at 10^6 objects it has 30 MB, and most
 * commands ask for a dozen.
 * Source of the format: gitformat-pack, "Version 2 pack-*.idx files".
 */
export class PackIndex {
  readonly objectCount: number;
  private readonly buckets: (Buffer | undefined)[] = [];
  private cachedBytes = 0;

  private constructor(
    private readonly disk: Disk,
    private readonly descriptor: number,
    private readonly path: string,
    private readonly fanout: Uint32Array,
    private readonly largeOffsets: number,
  ) {
    this.objectCount = fanout[255] as number;
  }

  /**
   * @throws KbError E_CORRUPT when damaged, E_UNSAFE_STATE on version 1 (git before 2008)
   */
  static open(disk: Disk, path: string): PackIndex {
    const descriptor = disk.openSync(path, 'r');
    try {
      const size = disk.fstatSync(descriptor).size;
      const head = readAt(disk, descriptor, 0, Math.min(NAMES_AT, size));
      if (head.length < NAMES_AT) throw damaged(path, 'it is cut off');
      if (head.readUInt32BE(0) !== SIGNATURE || head.readUInt32BE(4) !== 2) {
        throw new KbError('E_UNSAFE_STATE', `${path} is no pack index of version 2`, {
          hint: 'rewrite the packs with: git repack -a -d',
        });
      }
      const fanout = new Uint32Array(256);
      for (let byte = 0; byte < 256; byte++) {
        fanout[byte] = head.readUInt32BE(HEADER_BYTES + 4 * byte);
        if (byte > 0 && (fanout[byte] as number) < (fanout[byte - 1] as number))
          throw damaged(path, 'its fan-out table is out of order');
      }
      const largeBytes = size - (NAMES_AT + (fanout[255] as number) * 28 + 40);
      if (largeBytes < 0 || largeBytes % 8 !== 0) throw damaged(path, 'its size does not fit its object count');
      return new PackIndex(disk, descriptor, path, fanout, largeBytes / 8);
    } catch (error) {
      disk.closeSync(descriptor);
      throw error;
    }
  }

  /** Where in the pack the object begins, or undefined when the pack does not have it. */
  find(id: Buffer): number | undefined {
    const first = id[0] as number;
    const names = this.bucket(first);
    let low = 0;
    let high = names.length / 20;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = id.compare(names, middle * 20, middle * 20 + 20);
      if (order === 0) return this.offset(this.start(first) + middle);
      if (order < 0) high = middle;
      else low = middle + 1;
    }
    return undefined;
  }

  close(): void {
    this.disk.closeSync(this.descriptor);
  }

  private start(first: number): number {
    return first === 0 ? 0 : (this.fanout[first - 1] as number);
  }

  private bucket(first: number): Buffer {
    const cached = this.buckets[first];
    if (cached !== undefined) return cached;
    const start = this.start(first);
    const names = this.read(NAMES_AT + start * 20, ((this.fanout[first] as number) - start) * 20);
    if (this.cachedBytes + names.length > CACHE_BYTES) {
      this.buckets.length = 0;
      this.cachedBytes = 0;
    }
    this.buckets[first] = names;
    this.cachedBytes += names.length;
    return names;
  }

  private offset(position: number): number {
    const offsetsAt = NAMES_AT + this.objectCount * 24;
    const offset = this.read(offsetsAt + position * 4, 4).readUInt32BE(0);
    if (offset < 0x80000000) return offset;
    const row = offset - 0x80000000;
    if (row >= this.largeOffsets) throw damaged(this.path, 'an offset points outside');
    const wide = this.read(offsetsAt + this.objectCount * 4 + row * 8, 8).readBigUInt64BE(0);
    if (wide > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(this.path, 'an offset is impossible');
    return Number(wide);
  }

  private read(at: number, length: number): Buffer {
    const data = readAt(this.disk, this.descriptor, at, length);
    if (data.length < length) throw damaged(this.path, 'it is cut off');
    return data;
  }
}

/** What an index says of one object; ids are 20 bytes at `20 * position` in `ids`. */
export interface PackedObjects {
  readonly count: number;
  readonly ids: Buffer;
  readonly crcs: Uint32Array;
  readonly offsets: Float64Array;
}

/**
 * The bytes of a pack's `.idx`, the same that `git index-pack` writes.
 * @throws KbError E_CORRUPT when an id comes twice: a pack may hold each object once
 */
export function encodePackIndex(objects: PackedObjects, packChecksum: Buffer): Buffer {
  const { count, ids, crcs, offsets } = objects;
  const order = orderById(ids, count);
  let large = 0;
  for (let position = 0; position < count; position++) if ((offsets[position] as number) >= 0x80000000) large++;
  const bytes = Buffer.alloc(NAMES_AT + count * 28 + large * 8 + 40);
  bytes.writeUInt32BE(SIGNATURE, 0);
  bytes.writeUInt32BE(2, 4);
  const from = wordsOf(ids); // and `bytes`, which `Buffer.alloc` never cuts out of a larger piece
  const to = wordsOf(bytes);
  const crcsAt = NAMES_AT + count * 20;
  const offsetsAt = crcsAt + count * 4;
  let largeAt = offsetsAt + count * 4;
  let row = 0;
  for (let rank = 0; rank < count; rank++) {
    const position = order[rank] as number;
    const nameAt = NAMES_AT + rank * 20;
    // a name is five words, whatever their order of bytes
    let word = nameAt / 4;
    for (let at = position * 5, end = at + 5; at < end; at++) to[word++] = from[at] as number;
    if (
      rank > 0 &&
      to[word - 5] === to[word - 10] &&
      bytes.compare(bytes, nameAt, nameAt + 20, nameAt - 20, nameAt) === 0
    ) {
      throw new KbError('E_CORRUPT', `a pack holds the object ${bytes.toString('hex', nameAt, nameAt + 20)} twice`);
    }
    const fanoutAt = HEADER_BYTES + 4 * (bytes[nameAt] as number);
    bytes.writeUInt32BE(bytes.readUInt32BE(fanoutAt) + 1, fanoutAt);
    bytes.writeUInt32BE(crcs[position] as number, crcsAt + rank * 4);
    const offset = offsets[position] as number;
    if (offset < 0x80000000) {
      bytes.writeUInt32BE(offset, offsetsAt + rank * 4);
    } else {
      bytes.writeUInt32BE(0x80000000 + row++, offsetsAt + rank * 4);
      bytes.writeBigUInt64BE(BigInt(offset), largeAt);
      largeAt += 8;
    }
  }
  for (let byte = 1; byte < 256; byte++) {
    const at = HEADER_BYTES + 4 * byte;
    bytes.writeUInt32BE(bytes.readUInt32BE(at) + bytes.readUInt32BE(at - 4), at);
  }
  packChecksum.copy(bytes, largeAt);
  crypto
    .createHash('sha1')
    .update(bytes.subarray(0, largeAt + 20))
    .digest()
    .copy(bytes, largeAt + 20);
  return bytes;
}

/** The same memory as numbers of 32 bits. Buffers this large begin where such a number may; a copy where one does not. */
function wordsOf(bytes: Buffer): Uint32Array {
  const whole = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
  return new Uint32Array(whole.buffer, whole.byteOffset, whole.length >>> 2);
}

/** Positions below this fit into a number together with the first 32 bits of an id. */
const MAX_POSITIONS = 2 ** 21;

/**
 * The positions of the ids in the order of the ids. Sorted as plain numbers, of which an id's first bytes are the high
 * part: with a comparison in JavaScript 60,000 objects take 80 ms, with numbers 8.
 */
function orderById(ids: Buffer, count: number): Uint32Array {
  const order = new Uint32Array(count);
  const compare = (a: number, b: number): number => ids.compare(ids, b * 20, b * 20 + 20, a * 20, a * 20 + 20);
  if (count > MAX_POSITIONS) {
    for (let position = 0; position < count; position++) order[position] = position;
    return order.sort(compare);
  }
  const keys = new Float64Array(count);
  for (let position = 0; position < count; position++)
    keys[position] = ids.readUInt32BE(position * 20) * MAX_POSITIONS + position;
  keys.sort();
  let before = -1;
  for (let rank = 0; rank < count; rank++) {
    const position = (keys[rank] as number) % MAX_POSITIONS;
    const start = ((keys[rank] as number) - position) / MAX_POSITIONS;
    let place = rank;
    // Ids that begin alike are few, and stand next to each other.
    if (start === before) {
      for (; place > 0 && compare(order[place - 1] as number, position) > 0; place--)
        order[place] = order[place - 1] as number;
    }
    before = start;
    order[place] = position;
  }
  return order;
}

/** Up to `length` bytes at a position; fewer only at the end of the file. */
export function readAt(disk: Disk, descriptor: number, at: number, length: number, into?: Buffer): Buffer {
  const buffer = into ?? Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const got = disk.readSync(descriptor, buffer, done, length - done, at + done);
    if (got === 0) break;
    done += got;
  }
  return buffer.subarray(0, done);
}

function damaged(path: string, why: string): KbError {
  return new KbError('E_CORRUPT', `pack index ${path} is damaged: ${why}`, { details: { path } });
}
