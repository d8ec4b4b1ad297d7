import { KbError } from '../../errors.js';
import {
  FIELD,
  FIXED_LENGTH,
  FLAG_EXTENDED,
  FLAG_STAGE,
  NAME_MASK,
  nameEnd,
  nameStart,
  paddedLength,
} from './entry.js';

/** What the scan found on its way. */
interface Seen {
  readonly hasStages: boolean;
  readonly isOrdered: boolean;
  readonly suspects: readonly number[];
}

/**
 * Index entries as the bytes they are in the file (layout of versions 2 and 3), with the position of
 * each. Nothing is decoded until it is asked for; a path is found by binary search over the bytes.
 */
export class EntryTable {
  private constructor(
    readonly bytes: Buffer,
    /** Where each entry starts; the last element is the end of the last entry. */
    readonly offsets: Uint32Array,
    private readonly seen: Seen,
  ) {}

  /** Entries that were put together here, in order, with their positions. */
  static laidOut(bytes: Buffer, offsets: Uint32Array): EntryTable {
    return new EntryTable(bytes, offsets, { hasStages: false, isOrdered: true, suspects: [] });
  }

  /**
   * Entries that are already in this layout, laid end to end from `start`. All that a cycle wants to know of every entry
   * is looked at in this one pass: run once and cold, a second loop costs as much as the first.
   *
   * It runs before V8 has compiled it, so what counts is the number of steps: mostly a word of memory at a time, plain
   * variables, no calls. Entries begin at multiples of four, their names two bytes behind one. With so few steps V8 does
   * not even think of optimizing it for 10,000 entries; it did before, for 18 ms of a second core, which a server on the
   * same machine could have used.
   * @param start a multiple of four
   * @param suspectFrom entries whose file was modified in this second or later are taken down as suspects
   */
  static scan(bytes: Buffer, start: number, count: number, limit: number, suspectFrom = Infinity): EntryTable {
    assertRoom(count, limit - start);
    const offsets = new Uint32Array(count + 1);
    const suspects: number[] = [];
    const words = littleEndianWords(bytes);
    let at = start;
    let hasStages = false;
    let isOrdered = true;
    let last = start;
    let lastName = 0;
    let lastLength = 0;
    let lastStage = 0;
    for (let ordinal = 0; ordinal < count; ordinal += 1) {
      offsets[ordinal] = at;
      if (at + FIXED_LENGTH + 2 > limit) throw damagedIndex('an entry is cut off');
      const word = at >>> 2;
      const tail = words[word + 15] as number; // two bytes of flags, two of the name
      const flags = ((tail & 0xff) << 8) | ((tail >>> 8) & 0xff);
      let name = at + FIXED_LENGTH;
      let length = flags & NAME_MASK;
      if ((flags & FLAG_EXTENDED) !== 0) name += 2;
      if (length === NAME_MASK) length = nameEnd(bytes, at) - name;
      const end = name + length;
      const next = at + ((end - at + 8) & ~7); // as paddedLength
      // Without its NUL the next entry would be read from the middle of this name.
      if (length < 0 || next > limit || bytes[end] !== 0) throw damagedIndex('an entry has a malformed name');
      // Up to the first difference to the name before, or to the end of this one.
      let from = name;
      if (name - at === lastName - last && (tail ^ (words[(last >>> 2) + 15] as number)) >>> 16 === 0) {
        let a = word + 16;
        let b = (last >>> 2) + 16;
        const stop = end >>> 2;
        while (a < stop && words[a] === words[b]) {
          a += 1;
          b += 1;
        }
        from = a << 2;
      }
      const distance = name - lastName;
      const shorter = name + (length < lastLength ? length : lastLength);
      while (from < shorter && bytes[from] === bytes[from - distance]) from += 1;
      if (
        from < shorter
          ? (bytes[from] as number) < (bytes[from - distance] as number)
          : ordinal > 0 && length <= lastLength
      ) {
        // The same name twice: only as stages of one conflict, which are 1, 2 and 3.
        const stage = flags & FLAG_STAGE;
        if (from < shorter || length < lastLength || lastStage === 0 || lastStage >= stage) isOrdered = false;
      }
      lastStage = flags & FLAG_STAGE;
      if (lastStage !== 0) hasStages = true;
      const mtime = words[word + 2] as number;
      if (
        (((mtime & 0xff) << 24) | ((mtime & 0xff00) << 8) | ((mtime >>> 8) & 0xff00) | (mtime >>> 24)) >>> 0 >=
        suspectFrom
      )
        suspects.push(ordinal);
      last = at;
      lastName = name;
      lastLength = length;
      at = next;
    }
    offsets[count] = at;
    return new EntryTable(bytes, offsets, { hasStages, isOrdered, suspects });
  }

  /**
   * Version 4 leaves out what a name shares with the one before: entries are written out in full, and
   * from there on are handled as those of the other versions.
   * @returns the entries, and where they end in `packed`
   */
  static expand(
    packed: Buffer,
    start: number,
    count: number,
    limit: number,
    suspectFrom = Infinity,
  ): { table: EntryTable; end: number } {
    assertRoom(count, limit - start);
    const offsets = new Uint32Array(count + 1);
    const sources = new Uint32Array(count);
    const shared = new Uint32Array(count);
    let [at, length, total] = [start, 0, 0];
    for (let ordinal = 0; ordinal < count; ordinal += 1) {
      offsets[ordinal] = total;
      sources[ordinal] = at;
      if (at + FIXED_LENGTH + 2 > limit) throw damagedIndex('an entry is cut off');
      const name = nameStart(packed, at);
      const [strip, suffix] = readVarint(packed, name);
      const end = packed.indexOf(0, suffix);
      if (strip > length || end === -1 || end >= limit) throw damagedIndex('an entry has a malformed name');
      shared[ordinal] = length - strip;
      length = length - strip + end - suffix;
      const stored = packed.readUInt16BE(at + FIELD.flags) & NAME_MASK;
      if (stored !== Math.min(length, NAME_MASK)) throw damagedIndex('an entry has a malformed name');
      total += paddedLength(name - at, length);
      at = end + 1;
    }
    offsets[count] = total;
    const bytes = Buffer.alloc(total);
    for (let ordinal = 0, previousName = 0; ordinal < count; ordinal += 1) {
      const [source, target, keep] = [sources[ordinal] ?? 0, offsets[ordinal] ?? 0, shared[ordinal] ?? 0];
      const fixed = nameStart(packed, source) - source;
      packed.copy(bytes, target, source, source + fixed);
      const name = target + fixed;
      bytes.copyWithin(name, previousName, previousName + keep);
      const [, suffix] = readVarint(packed, source + fixed);
      packed.copy(bytes, name + keep, suffix, packed.indexOf(0, suffix));
      previousName = name;
    }
    return { table: EntryTable.scan(bytes, 0, count, total, suspectFrom), end: at };
  }

  /** Some entry is at another stage than 0. */
  get hasStages(): boolean {
    return this.seen.hasStages;
  }

  /** Entries whose file was modified in the second that the scan was given, or later. */
  get suspects(): readonly number[] {
    return this.seen.suspects;
  }

  get count(): number {
    return this.offsets.length - 1;
  }

  startOf(ordinal: number): number {
    return this.offsets[ordinal] ?? 0;
  }

  endOf(ordinal: number): number {
    return this.offsets[ordinal + 1] ?? 0;
  }

  /** The entries from `first` up to `after` as they are in the file. */
  slice(first: number, after: number): Buffer {
    return this.bytes.subarray(this.startOf(first), this.startOf(after));
  }

  /** The first entry whose name is not before `key`. */
  lowerBound(key: Uint8Array): number {
    return lowerBound(this.count, (ordinal) => compareName(this.bytes, this.startOf(ordinal), key));
  }

  hasName(ordinal: number, key: Uint8Array): boolean {
    return ordinal < this.count && compareName(this.bytes, this.startOf(ordinal), key) === 0;
  }

  /**
   * Entries out of order would not be found, and would be written into wrong trees. Apart from reading
   * them, because only the extensions tell a damaged index from a split one, which has nameless entries.
   */
  assertOrder(): void {
    if (this.count > 0 && this.bytes[nameStart(this.bytes, this.startOf(0))] === 0)
      throw damagedIndex('an entry has no name');
    if (!this.seen.isOrdered) throw damagedIndex('its entries are out of order');
  }
}

/** The bytes as numbers of four, the first byte the lowest, whatever this machine has them like. */
function littleEndianWords(bytes: Buffer): Int32Array {
  const isAligned = bytes.byteOffset % 4 === 0;
  const isLittle = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;
  // A copy of its own begins at a word.
  const own = isAligned && isLittle ? bytes : Buffer.from(new Uint8Array((bytes.length + 3) & ~3).buffer);
  if (own !== bytes) bytes.copy(own);
  if (!isLittle) own.swap32();
  return new Int32Array(own.buffer, own.byteOffset, own.length >>> 2);
}

/** By bytes, as git's base_name_compare sorts the index. */
export function compareName(bytes: Buffer, start: number, key: Uint8Array): number {
  const name = nameStart(bytes, start);
  for (let at = 0; at < key.length; at += 1) {
    const difference = (bytes[name + at] ?? 0) - (key[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return bytes[name + key.length] === 0 ? 0 : 1;
}

/** The first of `count` sorted items for which `compare` is not negative. */
export function lowerBound(count: number, compare: (ordinal: number) => number, from = 0): number {
  let [low, high] = [from, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(middle) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Writes entries in version 4: names without what they share with the one before. The very first, and
 * only it, follows an empty name.
 */
export class NamePacker {
  private name: Buffer = Buffer.alloc(256);
  private length = 0;

  /** @returns the entry packed after the last one given; `bytes` holds it in the layout of version 3 */
  pack(bytes: Buffer, start: number): Buffer {
    const from = nameStart(bytes, start);
    const length = nameEnd(bytes, start) - from;
    let shared = 0;
    while (shared < length && shared < this.length && this.name[shared] === bytes[from + shared]) shared += 1;
    const strip = varint(this.length - shared);
    const packed = Buffer.concat([
      bytes.subarray(start, from),
      strip,
      bytes.subarray(from + shared, from + length),
      NUL,
    ]);
    if (length > this.name.length) this.name = Buffer.concat([this.name], length * 2);
    bytes.copy(this.name, shared, from + shared, from + length);
    this.length = length;
    return packed;
  }
}

const NUL = Buffer.alloc(1);

/** The varint of git's varint.c, as in pack offsets: each further byte adds one, so that no number has two forms. */
function varint(value: number): Buffer {
  const bytes = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) {
    rest -= 1;
    bytes.unshift(0x80 | (rest & 0x7f));
  }
  return Buffer.from(bytes);
}

function readVarint(bytes: Buffer, start: number): [value: number, end: number] {
  let byte = bytes[start] ?? 0;
  let value = byte & 0x7f;
  let at = start + 1;
  for (; (byte & 0x80) !== 0; at += 1) {
    byte = bytes[at] ?? 0;
    value = (value + 1) * 128 + (byte & 0x7f);
    if (value > 0xffff_ffff || at >= bytes.length) throw damagedIndex('an entry has a malformed name');
  }
  return [value, at];
}

/** A count that cannot be true must not become a huge allocation. */
function assertRoom(count: number, room: number): void {
  if (count > 0 && count * FIXED_LENGTH > room) throw damagedIndex('it is shorter than its header says');
}

export function damagedIndex(what: string): KbError {
  return new KbError('E_CORRUPT', `git's index is damaged: ${what}`, {
    hint: 'no file of yours is in it; make it anew with: rm .git/index && git reset, then look with: kb status',
  });
}
