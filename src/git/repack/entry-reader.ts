import { KbError } from '../../errors.js';
import { EntryHead, MAX_ENTRY_HEAD, OFS_DELTA, REF_DELTA } from '../objects/pack-entry.js';
import { readAt } from '../objects/pack-index.js';
import { crc32 } from '../objects/crc32.js';
import type { StoredObjects, StoredPack } from './stored-objects.js';

const WINDOW_BYTES = 256 * 1024;

/** One entry as it lies in its pack. */
export interface RawEntry {
  readonly pack: number;
  readonly offset: number;
  /** Behind its last byte. */
  readonly end: number;
  readonly head: EntryHead;
  /** Number of the object that it is a delta against, or −1. */
  readonly base: number;
}

/** Reads entries of packs without inflating them, through one window: most are read in the order in which they lie. */
export class EntryReader {
  private readonly window = Buffer.allocUnsafe(WINDOW_BYTES);
  private windowPack = -1;
  private windowAt = 0;
  private windowBytes = 0;

  constructor(private readonly objects: StoredObjects) {}

  /** @throws KbError E_CORRUPT, E_UNSAFE_STATE */
  open(number: number): RawEntry {
    const { table } = this.objects;
    const pack = table.sources[number] as number;
    const { rows, bytes } = this.pack(pack);
    const offset = this.objects.offsetOf(number);
    const end = rows.endOf(offset, bytes);
    const head = new EntryHead();
    if (
      end <= offset ||
      end > bytes - 20 ||
      !head.read(this.bytesAt(pack, offset, Math.min(MAX_ENTRY_HEAD, end - offset)), 0)
    )
      throw this.damaged(pack, 'an entry begins outside');
    return { pack, offset, end, head, base: this.baseOf(pack, offset, head) };
  }

  /**
   * The entry's data behind its head, in pieces that are only valid until the next one; checked against the CRC of
   * the pack's index, so that damage on the disk is not carried over into the new pack.
   * @throws KbError E_CORRUPT, E_UNSAFE_STATE
   */
  *body({ pack, offset, end, head }: RawEntry, place: number): Generator<Buffer> {
    let crc = 0;
    for (let at = offset; at < end;) {
      const piece = this.bytesAt(pack, at, Math.min(WINDOW_BYTES, end - at));
      crc = crc32(piece, crc);
      yield at === offset ? piece.subarray(head.length) : piece;
      at += piece.length;
    }
    if (crc !== this.pack(pack).rows.crc(place)) throw this.damaged(pack, 'the checksum of an entry does not fit');
  }

  private baseOf(pack: number, offset: number, head: EntryHead): number {
    const { table } = this.objects;
    if (head.type === REF_DELTA) return table.find(head.base as Buffer);
    if (head.type !== OFS_DELTA) return -1;
    const { rows } = this.pack(pack);
    const place = rows.placeAt(offset - head.distance);
    if (head.distance === 0 || place < 0) throw this.damaged(pack, 'a delta names a base outside the pack');
    return table.find(rows.ids, rows.idAt(place));
  }

  /** Exactly `length` bytes, at most a window of them. */
  private bytesAt(pack: number, at: number, length: number): Buffer {
    const from = at - this.windowAt;
    if (pack !== this.windowPack || from < 0 || from + length > this.windowBytes) {
      this.windowPack = -1;
      const read = readAt(this.objects.disk, this.objects.descriptor(pack), at, WINDOW_BYTES, this.window);
      if (read.length < length) throw this.damaged(pack, 'it is cut off');
      this.windowPack = pack;
      this.windowAt = at;
      this.windowBytes = read.length;
      return this.window.subarray(0, length);
    }
    return this.window.subarray(from, from + length);
  }

  private pack(pack: number): StoredPack {
    return this.objects.packs[pack] as StoredPack;
  }

  private damaged(pack: number, why: string): KbError {
    const path = `${this.pack(pack).path}.pack`;
    return new KbError('E_CORRUPT', `pack ${path} is damaged: ${why}`, { details: { path } });
  }
}
