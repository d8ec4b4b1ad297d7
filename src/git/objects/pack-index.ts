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
  const { count, ids, offsets } = objects;
  const order = orderById(ids, count);
  let large = 0;
  for (let position = 0; position < count; position++) if ((offsets[position] as number) >= 0x80000000) large++;
  const bytes = Buffer.alloc(NAMES_AT + count * 28 + large * 8 + 40);
  bytes.writeUInt32BE(SIGNATURE, 0);
  bytes.writeUInt32BE(2, 4);
  putNames(bytes, ids, order);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  putFanout(view, ids, count);
  const crcsAt = NAMES_AT + count * 20;
  for (let rank = 0; rank < count; rank++)
    view.setUint32(crcsAt + rank * 4, objects.crcs[order[rank] as number] as number);
  const end = putOffsets(view, offsets, order, crcsAt + count * 4);
  packChecksum.copy(bytes, end);
  crypto
    .createHash('sha1')
    .update(bytes.subarray(0, end + 20))
    .digest()
    .copy(bytes, end + 20);
  return bytes;
}

/** @throws KbError E_CORRUPT when one comes twice */
function putNames(bytes: Buffer, ids: Buffer, order: Uint32Array): void {
  const from = wordsOf(ids); // and `bytes`, which `Buffer.alloc` never cuts out of a larger piece
  const to = wordsOf(bytes);
  let word = NAMES_AT / 4;
  for (const position of order) {
    // a name is five words, whatever their order of bytes
    let isTwice = word > NAMES_AT / 4;
    for (let at = position * 5, end = at + 5; at < end; at++, word++) {
      to[word] = from[at] as number;
      isTwice &&= to[word] === to[word - 5];
    }
    if (isTwice)
      throw new KbError('E_CORRUPT', `a pack holds the object ${bytes.toString('hex', 4 * word - 20, 4 * word)} twice`);
  }
}

function putFanout(view: DataView, ids: Buffer, count: number): void {
  const counts = new Uint32Array(256);
  for (let position = 0; position < count; position++) {
    const first = ids[position * 20] as number;
    counts[first] = (counts[first] as number) + 1;
  }
  let sum = 0;
  for (let byte = 0; byte < 256; byte++) view.setUint32(HEADER_BYTES + 4 * byte, (sum += counts[byte] as number));
}

/** @returns where the table of large ones ends */
function putOffsets(view: DataView, offsets: Float64Array, order: Uint32Array, at: number): number {
  const largeFrom = at + 4 * order.length;
  let largeAt = largeFrom;
  for (const position of order) {
    const offset = offsets[position] as number;
    if (offset < 0x80000000) {
      view.setUint32(at, offset);
    } else {
      view.setUint32(at, 0x80000000 + (largeAt - largeFrom) / 8);
      view.setBigUint64(largeAt, BigInt(offset));
      largeAt += 8;
    }
    at += 4;
  }
  return largeAt;
}

/** The same memory as numbers of 32 bits. Buffers this large begin where such a number may; a copy where one does not. */
function wordsOf(bytes: Buffer): Uint32Array {
  const whole = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
  return new Uint32Array(whole.buffer, whole.byteOffset, whole.length >>> 2);
}

/** Ids that begin with the same two bytes are sorted one by one up to so many; whoever makes more of them means harm. */
const FEW_ALIKE = 64;

/**
 * The positions of the ids in the order of the ids: counted out by their first two bytes, which leaves few to compare.
 * With a comparison for each 120,000 objects take 160 ms, so 5.
 */
function orderById(ids: Buffer, count: number): Uint32Array {
  const order = new Uint32Array(count);
  const ends = countOut(ids, order);
  const compare = (a: number, b: number): number => ids.compare(ids, b * 20, b * 20 + 20, a * 20, a * 20 + 20);
  let start = 0;
  for (const end of ends) {
    if (end - start > FEW_ALIKE) order.subarray(start, end).sort(compare);
    else if (end - start > 1) sortFew(ids, order, start, end);
    start = end;
  }
  return order;
}

/** @returns where the positions of those end that begin with each two bytes */
function countOut(ids: Buffer, order: Uint32Array): Uint32Array {
  const count = order.length;
  const ends = new Uint32Array(0x1_0000);
  for (let position = 0, at = 0; position < count; position++, at += 20) {
    const start = ((ids[at] as number) << 8) | (ids[at + 1] as number);
    ends[start] = (ends[start] as number) + 1;
  }
  let sum = 0;
  for (let start = 0; start < 0x1_0000; start++) {
    const size = ends[start] as number;
    ends[start] = sum;
    sum += size;
  }
  for (let position = 0, at = 0; position < count; position++, at += 20) {
    const start = ((ids[at] as number) << 8) | (ids[at + 1] as number);
    const place = ends[start] as number;
    ends[start] = place + 1;
    order[place] = position;
  }
  return ends;
}

function sortFew(ids: Buffer, order: Uint32Array, start: number, end: number): void {
  for (let next = start + 1; next < end; next++) {
    const position = order[next] as number;
    let place = next;
    for (; place > start && isAfter(ids, order[place - 1] as number, position); place--)
      order[place] = order[place - 1] as number;
    order[place] = position;
  }
}

function isAfter(ids: Buffer, one: number, other: number): boolean {
  for (let a = one * 20 + 2, b = other * 20 + 2, end = a + 18; a < end; a++, b++)
    if (ids[a] !== ids[b]) return (ids[a] as number) > (ids[b] as number);
  return false;
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
