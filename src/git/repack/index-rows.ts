import type { Disk } from '../../disk/disk.js';
import { KbError } from '../../errors.js';

const SIGNATURE = 0xff744f63;
const NAMES_AT = 8 + 1024;

/**
 * A whole `.idx` (version 2) in memory, 28 bytes an object: whoever rewrites a pack needs every row of it.
 * Source of the format: gitformat-pack, "Version 2 pack-*.idx files".
 */
export class IndexRows {
  readonly count: number;
  private readonly crcsAt: number;
  private readonly offsetsAt: number;
  private readonly wideAt: number;
  private inOrder: Float64Array | undefined;
  private placesInOrder: Uint32Array | undefined;

  private constructor(
    private readonly bytes: Buffer,
    private readonly path: string,
  ) {
    this.count = bytes.readUInt32BE(NAMES_AT - 4);
    this.crcsAt = NAMES_AT + this.count * 20;
    this.offsetsAt = this.crcsAt + this.count * 4;
    this.wideAt = this.offsetsAt + this.count * 4;
  }

  /** @throws KbError E_CORRUPT when damaged, E_UNSAFE_STATE on version 1 (git before 2008) */
  static read(disk: Disk, path: string): IndexRows {
    const bytes = disk.readFileSync(path);
    if (bytes.length < NAMES_AT + 40) throw damaged(path, 'it is cut off');
    if (bytes.readUInt32BE(0) !== SIGNATURE || bytes.readUInt32BE(4) !== 2) {
      throw new KbError('E_UNSAFE_STATE', `${path} is no pack index of version 2`, {
        hint: 'rewrite the packs with: git repack -a -d',
      });
    }
    const rows = new IndexRows(bytes, path);
    const wideBytes = bytes.length - 40 - rows.wideAt;
    if (wideBytes < 0 || wideBytes % 8 !== 0) throw damaged(path, 'its size does not fit its object count');
    return rows;
  }

  /** The ids, 20 bytes at `idAt(place)`. */
  get ids(): Buffer {
    return this.bytes;
  }

  idAt(place: number): number {
    return NAMES_AT + place * 20;
  }

  crc(place: number): number {
    return this.bytes.readUInt32BE(this.crcsAt + place * 4);
  }

  /** @throws KbError E_CORRUPT */
  offset(place: number): number {
    const offset = this.bytes.readUInt32BE(this.offsetsAt + place * 4);
    if (offset < 0x80000000) return offset;
    const at = this.wideAt + (offset - 0x80000000) * 8;
    if (at + 8 > this.bytes.length - 40) throw damaged(this.path, 'an offset points outside');
    const wide = this.bytes.readBigUInt64BE(at);
    if (wide > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(this.path, 'an offset is impossible');
    return Number(wide);
  }

  /** The place of the object that begins exactly at this offset in the pack, or −1. */
  placeAt(offset: number): number {
    const at = this.rankOf(offset);
    return this.offsetsInOrder()[at] === offset ? ((this.placesInOrder as Uint32Array)[at] as number) : -1;
  }

  /** Where the object that begins at `offset` ends: where the next one begins, or where the pack's checksum does. */
  endOf(offset: number, packBytes: number): number {
    return this.offsetsInOrder()[this.rankOf(offset) + 1] ?? packBytes - 20;
  }

  private rankOf(offset: number): number {
    const offsets = this.offsetsInOrder();
    let low = 0;
    let high = offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((offsets[middle] as number) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private offsetsInOrder(): Float64Array {
    if (this.inOrder === undefined) {
      const places = new Uint32Array(this.count);
      for (let place = 0; place < this.count; place++) places[place] = place;
      places.sort((a, b) => this.offset(a) - this.offset(b));
      this.placesInOrder = places;
      this.inOrder = Float64Array.from(places, (place) => this.offset(place));
    }
    return this.inOrder;
  }
}

function damaged(path: string, why: string): KbError {
  return new KbError('E_CORRUPT', `pack index ${path} is damaged: ${why}`, { details: { path } });
}
