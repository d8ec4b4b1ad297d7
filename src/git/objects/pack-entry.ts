import { KbError } from '../../errors.js';
import type { Oid } from '../ids.js';
import type { ObjectType } from './object.js';

/** Type numbers in a pack. Source: gitformat-pack, "Object types". */
export const PACK_TYPES: Readonly<Record<number, ObjectType>> = { 1: 'commit', 2: 'tree', 3: 'blob', 4: 'tag' };
export const TYPE_NUMBERS: Readonly<Record<ObjectType, number>> = { commit: 1, tree: 2, blob: 3, tag: 4 };
export const OFS_DELTA = 6;
export const REF_DELTA = 7;

/** Longest head of an entry: size (10 bytes) and a base's id (20). */
export const MAX_ENTRY_HEAD = 32;

/** The head of one entry in a pack. */
export class EntryHead {
  /** 1–4 as in PACK_TYPES, OFS_DELTA or REF_DELTA. */
  type = 0;
  /** Inflated bytes (of the delta, where it is one). */
  size = 0;
  /** OFS_DELTA: how far before this entry the base begins. */
  distance = 0;
  /** REF_DELTA: id of the base. */
  base: Buffer | undefined;
  /** Bytes of the head. */
  length = 0;

  /**
   * Reads the head at `from`.
   * @returns false when `data` ends before the head does
   * @throws KbError E_CORRUPT
   */
  read(data: Buffer, from: number, to = data.length): boolean {
    let at = from;
    if (at >= to) return false;
    let byte = data[at++] as number;
    this.type = (byte >> 4) & 7;
    this.size = byte & 15;
    for (let factor = 16; byte >= 0x80; factor *= 128) {
      if (at >= to) return false;
      byte = data[at++] as number;
      this.size += (byte & 0x7f) * factor;
      if (this.size > Number.MAX_SAFE_INTEGER) throw damaged('a size is impossible');
    }
    this.base = undefined;
    if (this.type === OFS_DELTA) {
      if (at >= to) return false;
      byte = data[at++] as number;
      this.distance = byte & 0x7f;
      while (byte >= 0x80) {
        if (at >= to) return false;
        byte = data[at++] as number;
        this.distance = (this.distance + 1) * 128 + (byte & 0x7f);
        if (this.distance > Number.MAX_SAFE_INTEGER) throw damaged('a distance is impossible');
      }
    } else if (this.type === REF_DELTA) {
      if (at + 20 > to) return false;
      this.base = Buffer.from(data.subarray(at, at + 20));
      at += 20;
    } else if (this.type === 0 || this.type === 5) {
      throw damaged(`type ${this.type} does not exist`);
    }
    this.length = at - from;
    return true;
  }
}

/** The head of an entry that holds a whole object. */
export function encodeEntryHead(type: ObjectType, size: number): Buffer {
  return encodeHead(TYPE_NUMBERS[type], size);
}

/** The head of an entry that holds a delta of `size` bytes against the object `base`. */
export function encodeDeltaHead(base: Oid, size: number): Buffer {
  return Buffer.concat([encodeHead(REF_DELTA, size), Buffer.from(base, 'hex')]);
}

/** The head of an entry that holds a delta of `size` bytes against the entry that begins `distance` bytes before it. */
export function encodeOffsetDeltaHead(distance: number, size: number): Buffer {
  const bytes = [distance % 128];
  // each further byte stands for one more than it says, so that no distance can be written in two ways
  for (let rest = Math.floor(distance / 128); rest > 0; rest = Math.floor(rest / 128)) {
    rest -= 1;
    bytes.unshift(0x80 | (rest % 128));
  }
  return Buffer.concat([encodeHead(OFS_DELTA, size), Buffer.from(bytes)]);
}

function encodeHead(type: number, size: number): Buffer {
  const bytes: number[] = [];
  let byte = (type << 4) | (size & 15);
  for (let rest = Math.floor(size / 16); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push(byte | 0x80);
    byte = rest % 128;
  }
  bytes.push(byte);
  return Buffer.from(bytes);
}

function damaged(why: string): KbError {
  return new KbError('E_CORRUPT', `a pack is damaged: ${why}`);
}
