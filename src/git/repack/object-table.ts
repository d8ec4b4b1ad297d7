import type { Oid } from '../ids.js';

/** Source of an object that lies in a file of its own. */
export const LOOSE = -1;

/**
 * Every object of a repository once, in flat arrays: 100,000 objects take 6 MB, where a map of strings would take
 * 20. Found by id through open addressing.
 */
export class ObjectTable {
  count = 0;
  readonly ids: Buffer;
  /** Number of the pack that the object is read from, or LOOSE. */
  readonly sources: Int32Array;
  /** Place in that pack's index. */
  readonly places: Uint32Array;
  /** The latest sign of use among all copies, seconds since 1970. */
  readonly seconds: Float64Array;
  /** What is known about it; the bits are the caller's. */
  readonly marks: Uint8Array;
  private readonly slots: Int32Array;
  private readonly mask: number;

  /** @param capacity the most objects that will be added */
  constructor(capacity: number) {
    this.ids = Buffer.alloc(capacity * 20);
    this.sources = new Int32Array(capacity);
    this.places = new Uint32Array(capacity);
    this.seconds = new Float64Array(capacity);
    this.marks = new Uint8Array(capacity);
    let size = 16;
    while (size < capacity * 2) size *= 2;
    this.slots = new Int32Array(size).fill(-1);
    this.mask = size - 1;
  }

  /**
   * Adds a copy of an object; the first copy is the one that is read.
   * @returns its number
   */
  add(id: Buffer, at: number, source: number, place: number, seconds: number): number {
    let slot = id.readUInt32LE(at) & this.mask;
    for (let number = this.slots[slot] as number; number >= 0; number = this.slots[slot] as number) {
      if (this.isAt(number, id, at)) {
        if (seconds > (this.seconds[number] as number)) this.seconds[number] = seconds;
        return number;
      }
      slot = (slot + 1) & this.mask;
    }
    const number = this.count++;
    this.slots[slot] = number;
    id.copy(this.ids, number * 20, at, at + 20);
    this.sources[number] = source;
    this.places[number] = place;
    this.seconds[number] = seconds;
    return number;
  }

  /** The object whose id stands at `at`, or −1. */
  find(id: Buffer, at = 0): number {
    let slot = id.readUInt32LE(at) & this.mask;
    for (let number = this.slots[slot] as number; number >= 0; number = this.slots[slot] as number) {
      if (this.isAt(number, id, at)) return number;
      slot = (slot + 1) & this.mask;
    }
    return -1;
  }

  oid(number: number): Oid {
    return this.ids.toString('hex', number * 20, number * 20 + 20) as Oid;
  }

  private isAt(number: number, id: Buffer, at: number): boolean {
    const own = number * 20;
    return (
      this.ids.readUInt32LE(own + 4) === id.readUInt32LE(at + 4) &&
      this.ids.compare(id, at, at + 20, own, own + 20) === 0
    );
  }
}
