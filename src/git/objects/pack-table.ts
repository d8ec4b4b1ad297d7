import type { Oid } from '../ids.js';
import type { ObjectType } from './object.js';
import { PACK_TYPES } from './pack-entry.js';
import type { PackedObjects } from './pack-index.js';

/**
 * What is known of each object of a pack that is being received, in arrays of numbers: a pack of 10^6
 * objects then takes 45 MB here, not 300. Grows with the objects that really came, not with the count that
 * the pack claims.
 */
export class PackTable implements PackedObjects {
  /** Objects so far. */
  count = 0;
  /** Of them: bases from outside, put behind the received ones. */
  appended = 0;
  unresolved = 0;
  ids = Buffer.alloc(0);
  offsets = new Float64Array(0);
  crcs = new Uint32Array(0);
  private idWords = new Uint32Array(0);
  private types = new Uint8Array(0);
  /** Those that another thread was given. */
  private sent = new Uint8Array(0);
  private depths = new Uint16Array(0);
  private bases = new Int32Array(0);
  private waitingById = new Map<string, number[]>();
  private waitingByBase: Map<number, number[]> | undefined;

  /** An object that begins at the offset, not resolved yet. Offsets only grow. */
  add(offset: number, crc: number): number {
    const index = this.count++;
    if (index >= this.offsets.length) this.grow();
    this.offsets[index] = offset;
    this.crcs[index] = crc;
    this.types[index] = 0;
    this.sent[index] = 0;
    this.depths[index] = 0;
    this.bases[index] = -1;
    this.unresolved++;
    return index;
  }

  /** A base from outside. */
  append(offset: number, crc: number, type: number, oid: Oid): number {
    const index = this.add(offset, crc);
    this.resolve(index, type, oid);
    this.appended++;
    return index;
  }

  resolve(index: number, type: number, oid: Oid): void {
    this.types[index] = type;
    this.ids.write(oid, index * 20, 20, 'hex');
    this.unresolved--;
  }

  /** Another thread was given it, and its name follows (`name`), unless that is taken back (`unresolve`). */
  send(index: number, type: number): void {
    this.sent[index] = 1;
    this.types[index] = type;
    this.unresolved--;
  }

  /** Where its id, which has been put into `ids` by now, and its type are known. */
  resolveNamed(index: number, type: number): void {
    this.types[index] = type;
    this.unresolved--;
  }

  unresolve(index: number): void {
    this.types[index] = 0;
    this.unresolved++;
  }

  isSent(index: number): boolean {
    return this.sent[index] === 1;
  }

  /** @param words holds the id, 5 of them, from `at` on */
  name(index: number, words: Uint32Array, at: number): void {
    const { idWords } = this;
    for (let word = 0; word < 5; word++) idWords[index * 5 + word] = words[at + word] as number;
  }

  isResolved(index: number): boolean {
    return this.types[index] !== 0;
  }

  /** Number as in a pack; 0: not resolved. */
  typeNumber(index: number): number {
    return this.types[index] as number;
  }

  /** Of a resolved object. */
  type(index: number): ObjectType {
    return PACK_TYPES[this.types[index] as number] as ObjectType;
  }

  oid(index: number): Oid {
    return this.ids.toString('hex', index * 20, index * 20 + 20) as Oid;
  }

  offset(index: number): number {
    return this.offsets[index] as number;
  }

  /** The object that begins exactly there, or −1. */
  indexAt(offset: number): number {
    let low = 0;
    let high = this.count - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = this.offsets[middle] as number;
      if (found === offset) return middle;
      if (found < offset) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** The base of a delta, or −1 for a whole object. */
  base(index: number): number {
    return this.bases[index] as number;
  }

  setBase(index: number, base: number): void {
    this.bases[index] = base;
  }

  /** Says how many deltas deep the object lies; its base must be resolved. */
  deepen(index: number): number {
    const depth = (this.depths[this.base(index)] as number) + 1;
    this.depths[index] = Math.min(depth, 0xffff);
    return depth;
  }

  /** The object is a delta against the object with this id, wherever that is. */
  awaitId(index: number, id: Buffer): void {
    const key = id.toString('hex');
    const waiting = this.waitingById.get(key);
    if (waiting === undefined) this.waitingById.set(key, [index]);
    else waiting.push(index);
  }

  /** All resolved objects that others wait for, at the time of the call. */
  basesWaitedFor(): number[] {
    const bases = new Set<number>(this.byBase().keys());
    if (this.waitingById.size > 0) {
      for (let index = 0; index < this.count; index++) {
        if (this.isResolved(index) && this.waitingById.has(this.oid(index))) bases.add(index);
      }
    }
    return [...bases].filter((base) => this.isResolved(base)).sort((a, b) => a - b);
  }

  /** The objects that wait for this one, which is resolved now. They are handed out once. */
  takeWaiting(base: number): readonly number[] {
    const byBase = this.byBase();
    const waiting = byBase.get(base) ?? [];
    byBase.delete(base);
    if (this.waitingById.size === 0) return waiting;
    const oid = this.oid(base);
    const byId = this.waitingById.get(oid);
    if (byId === undefined) return waiting;
    this.waitingById.delete(oid);
    for (const index of byId) this.bases[index] = base;
    return [...waiting, ...byId];
  }

  /** Ids of bases that are not in the pack, or not resolved, in order. */
  idsWaitedFor(): Oid[] {
    return [...this.waitingById.keys()].sort() as Oid[];
  }

  isWaitedFor(id: Oid): boolean {
    return this.waitingById.has(id);
  }

  private byBase(): Map<number, number[]> {
    if (this.waitingByBase === undefined) {
      this.waitingByBase = new Map();
      for (let index = 0; index < this.count; index++) {
        const base = this.base(index);
        if (this.isResolved(index) || base < 0) continue;
        const waiting = this.waitingByBase.get(base);
        if (waiting === undefined) this.waitingByBase.set(base, [index]);
        else waiting.push(index);
      }
    }
    return this.waitingByBase;
  }

  private grow(): void {
    const capacity = Math.max(1024, this.offsets.length * 2);
    const ids = new ArrayBuffer(capacity * 20);
    this.idWords = copied(new Uint32Array(ids), this.idWords);
    this.ids = Buffer.from(ids);
    this.offsets = copied(new Float64Array(capacity), this.offsets);
    this.crcs = copied(new Uint32Array(capacity), this.crcs);
    this.types = copied(new Uint8Array(capacity), this.types);
    this.sent = copied(new Uint8Array(capacity), this.sent);
    this.depths = copied(new Uint16Array(capacity), this.depths);
    this.bases = copied(new Int32Array(capacity), this.bases);
  }
}

function copied<T extends Float64Array | Uint32Array | Uint8Array | Uint16Array | Int32Array>(into: T, from: T): T {
  into.set(from);
  return into;
}
