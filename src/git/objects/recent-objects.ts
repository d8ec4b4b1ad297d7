const MOST_PLACES = 128 * 1024;
const SLAB_BYTES = 256 * 1024;

/**
 * The objects of a pack that came last, for the deltas that follow: their bytes end to end in a ring of a few large
 * buffers, their places in arrays of numbers. With a buffer of its own for each of 100,000 objects, making and
 * clearing those away cost more than inflating them.
 */
export class RecentObjects {
  private readonly slabs: Buffer[] = [];
  /** Slabs begun so far: slab `n` lies at `n` modulo their number until it is written over. */
  private begun = 0;
  private used = SLAB_BYTES;
  /** Places in the ring. A power of two: a place is cut out of a number by its last bits. */
  private readonly places: number;
  private readonly owners: Int32Array;
  private readonly slabOf: Int32Array;
  private readonly startOf: Int32Array;
  private readonly lengthOf: Int32Array;
  /** Those larger than a slab. */
  private readonly large = new Map<number, Buffer>();
  private largeBytes = 0;
  private readonly maxSlabs: number;

  /**
   * @param objects so many come at most, by the word of whoever sends them: for a few of them there are few places
   * @param maxBytes of objects up to 256 KiB
   * @param maxLargeBytes of larger ones
   */
  constructor(
    objects: number,
    maxBytes: number,
    private readonly maxLargeBytes: number,
  ) {
    this.places = Math.min(MOST_PLACES, 2 ** Math.ceil(Math.log2(Math.max(2, objects))));
    this.owners = new Int32Array(this.places).fill(-1);
    this.slabOf = new Int32Array(this.places);
    this.startOf = new Int32Array(this.places);
    this.lengthOf = new Int32Array(this.places);
    this.maxSlabs = Math.max(2, Math.floor(maxBytes / SLAB_BYTES));
  }

  /**
   * Where the next object can be made, to be told by `keep`. What `get` gave before may be overwritten from here on.
   * @returns at least so many bytes
   */
  room(bytes: number): Buffer {
    if (bytes > SLAB_BYTES) return Buffer.allocUnsafeSlow(bytes);
    if (this.used + bytes > SLAB_BYTES) this.nextSlab();
    return this.slab(this.begun - 1).subarray(this.used, this.used + bytes);
  }

  /** @param data made in the last `room`, or anywhere else @param index not below one that was kept before */
  keep(index: number, data: Buffer): void {
    if (data.length > SLAB_BYTES) return this.keepLarge(index, data);
    if (!this.isInPlace(data)) data.copy(this.room(data.length));
    const place = index % this.places;
    this.owners[place] = index;
    this.slabOf[place] = this.begun - 1;
    this.startOf[place] = this.used;
    this.lengthOf[place] = data.length;
    this.used += data.length;
  }

  has(index: number): boolean {
    return this.isInSlab(index % this.places, index) || this.large.has(index);
  }

  /** Valid until the next `room` or `keep`. */
  get(index: number): Buffer | undefined {
    const place = index % this.places;
    if (!this.isInSlab(place, index)) return this.large.get(index);
    const slab = this.slabOf[place] as number;
    const start = this.startOf[place] as number;
    return this.slab(slab).subarray(start, start + (this.lengthOf[place] as number));
  }

  clear(): void {
    this.slabs.length = 0;
    this.used = SLAB_BYTES;
    this.begun = 0;
    this.owners.fill(-1);
    this.large.clear();
    this.largeBytes = 0;
  }

  private isInSlab(place: number, index: number): boolean {
    return this.owners[place] === index && (this.slabOf[place] as number) >= this.begun - this.slabs.length;
  }

  /** Made where `room` said. */
  private isInPlace(data: Buffer): boolean {
    if (this.begun === 0 || this.used + data.length > SLAB_BYTES) return false;
    const slab = this.slab(this.begun - 1);
    return data.buffer === slab.buffer && data.byteOffset === slab.byteOffset + this.used;
  }

  private slab(number: number): Buffer {
    return this.slabs[number % this.maxSlabs] as Buffer;
  }

  private nextSlab(): void {
    if (this.slabs.length < this.maxSlabs) this.slabs.push(Buffer.allocUnsafeSlow(SLAB_BYTES));
    this.begun += 1;
    this.used = 0;
  }

  private keepLarge(index: number, data: Buffer): void {
    if (data.length > this.maxLargeBytes / 2) return;
    this.large.set(index, data);
    this.largeBytes += data.length;
    for (const [oldest, { length }] of this.large) {
      if (this.largeBytes <= this.maxLargeBytes) return;
      this.large.delete(oldest);
      this.largeBytes -= length;
    }
  }
}
