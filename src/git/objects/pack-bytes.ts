import type { Disk } from '../../disk/disk.js';
import { KbError } from '../../errors.js';
import { deltaSizes } from './delta.js';
import type { Inflater } from './inflate.js';
import type { ObjectLimits } from './limits.js';
import { EntryHead, MAX_ENTRY_HEAD, OFS_DELTA } from './pack-entry.js';
import { readAt } from './pack-index.js';

/** Big enough for most trees in one read, small enough to cost little when it was for one object. */
const WINDOW_BYTES = 16 * 1024;
const BIG_WINDOW_BYTES = 256 * 1024;
const HEADER_BYTES = 12;

/** The entries of an open pack, read by position through a small window: the pack is never in memory. */
export class PackBytes {
  private window: Buffer = Buffer.alloc(0);
  private windowAt = 0;
  private windowBuffer: Buffer | undefined;
  private bigWindowBuffer: Buffer | undefined;

  /** @param size bytes of the file; may be set anew while a pack is being written */
  constructor(
    private readonly disk: Disk,
    readonly descriptor: number,
    public size: number,
    private readonly path: string,
    private readonly limits: ObjectLimits,
    private readonly inflater: Inflater,
  ) {}

  /** @throws KbError E_CORRUPT when no entry can begin there, or it is over the size limit */
  head(offset: number): EntryHead {
    const head = new EntryHead();
    if (offset < HEADER_BYTES || offset >= this.size || !head.read(this.bytesAt(offset, MAX_ENTRY_HEAD), 0)) {
      throw this.damaged('an entry begins outside');
    }
    if (head.type === OFS_DELTA && (head.distance === 0 || head.distance > offset - HEADER_BYTES)) {
      throw this.damaged('a delta names a base outside the pack');
    }
    if (head.size > this.limits.maxObjectBytes) {
      throw new KbError(
        'E_CORRUPT',
        `an object of ${head.size} bytes in ${this.path} is over the limit of ${this.limits.maxObjectBytes}`,
      );
    }
    return head;
  }

  /** The inflated bytes of the entry: of the delta, where it is one. @throws KbError E_CORRUPT */
  inflate(offset: number, head: EntryHead): Buffer {
    this.inflater.begin(head.size);
    this.feed(offset + head.length, head.size);
    return this.inflater.take();
  }

  /** As `inflate`, piece by piece; each piece is only valid during the call. @throws KbError E_CORRUPT */
  inflateTo(offset: number, head: EntryHead, sink: (piece: Buffer) => void): void {
    this.inflater.begin(head.size, sink);
    this.feed(offset + head.length, head.size);
  }

  /** The size of what a delta makes, from its first bytes. @throws KbError E_CORRUPT */
  resultSize(offset: number, head: EntryHead): number {
    // two sizes, at most 8 bytes each
    const wanted = Math.min(16, head.size);
    let start: Buffer = Buffer.alloc(0);
    const enough = new Error('enough');
    try {
      this.inflater.begin(head.size, (piece) => {
        start = Buffer.concat([start, piece.subarray(0, wanted)]);
        if (start.length >= wanted) throw enough;
      });
      this.feed(offset + head.length, Math.min(head.size, 64));
    } catch (error) {
      if (error !== enough) throw error;
    }
    return deltaSizes(start).resultSize;
  }

  private feed(from: number, size: number): void {
    let at = from;
    let least = 1;
    for (;;) {
      // a big object is read in big steps
      const bytes = this.bytesAt(at, Math.max(least, Math.min(size, BIG_WINDOW_BYTES)));
      const final = at + bytes.length >= this.size;
      const used = this.inflater.push(bytes, 0, bytes.length, final);
      at += used;
      if (this.inflater.done) return;
      if (final) throw this.damaged('an entry is cut off');
      // an inflater that wants more at once gets twice as much
      least = used === 0 ? bytes.length * 2 : 1;
    }
  }

  /** At least `length` bytes from the position on, fewer only at the end of the pack. Valid until the next call. */
  private bytesAt(position: number, length: number): Buffer {
    const inWindow = position - this.windowAt;
    if (inWindow >= 0 && inWindow < this.window.length) {
      const rest = this.window.length - inWindow;
      if (rest >= length || position + rest === this.size) return this.window.subarray(inWindow);
    }
    if (length > BIG_WINDOW_BYTES)
      return readAt(this.disk, this.descriptor, position, Math.min(length, this.size - position));
    const buffer =
      length > WINDOW_BYTES
        ? (this.bigWindowBuffer ??= Buffer.allocUnsafeSlow(BIG_WINDOW_BYTES))
        : (this.windowBuffer ??= Buffer.allocUnsafeSlow(WINDOW_BYTES));
    // a read that fails half-way must not leave a window that claims other bytes
    this.window = Buffer.alloc(0);
    this.window = readAt(this.disk, this.descriptor, position, buffer.length, buffer);
    this.windowAt = position;
    return this.window;
  }

  private damaged(why: string): KbError {
    return new KbError('E_CORRUPT', `pack ${this.path} is damaged: ${why}`, { details: { path: this.path } });
  }
}
