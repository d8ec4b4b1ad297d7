import { createHash, randomBytes } from 'node:crypto';
import { removeFile, syncDirectory, writeFully } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { crc32 } from '../objects/crc32.js';
import { encodePackIndex } from '../objects/pack-index.js';

/** What a killed gc leaves begins so: nobody else's, and git's own housekeeping removes `tmp_*` too. */
export const GC_TEMPORARY = /^tmp_(pack|idx|mtimes)_kbgc[0-9a-f]{16}$/;

const BUFFER_BYTES = 1024 * 1024;

export interface PublishedPack {
  /** Without an ending. */
  readonly path: string;
  readonly bytes: number;
}

/**
 * A new pack, written under a temporary name and published whole.
 * Source of the format: gitformat-pack, "pack-*.pack files have the following format".
 */
export class PackOutput {
  /** Bytes so far: where the next entry begins. */
  position = 0;
  private count = 0;
  private readonly ids: Buffer;
  private readonly offsets: Float64Array;
  private readonly crcs: Uint32Array;
  private readonly checksum = createHash('sha1');
  private readonly buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  private buffered = 0;
  private crc = 0;
  private readonly temporary: string;
  private descriptor: number | undefined;

  /** @param total how many entries will be written, exactly */
  constructor(
    private readonly disk: Disk,
    private readonly directory: string,
    private readonly total: number,
  ) {
    this.ids = Buffer.alloc(total * 20);
    this.offsets = new Float64Array(total);
    this.crcs = new Uint32Array(total);
    this.temporary = `${directory}/tmp_pack_kbgc${randomBytes(8).toString('hex')}`;
    this.descriptor = disk.openSync(this.temporary, 'wx', 0o444);
    const header = Buffer.alloc(12);
    header.write('PACK', 'latin1');
    header.writeUInt32BE(2, 4);
    header.writeUInt32BE(total, 8);
    this.write(header);
  }

  /** Begins an entry. @returns where it begins */
  begin(ids: Buffer, at: number): number {
    ids.copy(this.ids, this.count * 20, at, at + 20);
    this.offsets[this.count] = this.position;
    this.crc = 0;
    return this.position;
  }

  end(): void {
    this.crcs[this.count] = this.crc;
    this.count += 1;
  }

  write(data: Uint8Array): void {
    this.crc = crc32(data, this.crc);
    this.position += data.length;
    if (this.buffered + data.length > BUFFER_BYTES) this.flush();
    if (data.length > BUFFER_BYTES) return this.put(data);
    this.buffer.set(data, this.buffered);
    this.buffered += data.length;
  }

  /**
   * Makes the pack visible, durably: its index last, for that is what makes readers see it.
   * @param times makes the `.mtimes` of a cruft pack, out of the ids in the order of the index
   */
  publish(times?: (sortedIds: Buffer, packChecksum: Buffer) => Buffer): PublishedPack {
    const { disk, directory } = this;
    if (this.count !== this.total) throw new Error(`a pack of ${this.total} objects got ${this.count}`);
    this.flush();
    const trailer = this.checksum.digest();
    writeFully(disk, this.opened(), trailer);
    disk.fsyncSync(this.opened());
    this.closeFile();
    const { ids, crcs, offsets, count } = this;
    const index = encodePackIndex({ ids, crcs, offsets, count }, trailer);
    const path = `${directory}/pack-${trailer.toString('hex')}`;
    const extra: [string, string][] = [];
    try {
      const temporaryIndex = this.writeBeside('idx', index);
      extra.push([temporaryIndex, `${path}.idx`]);
      if (times !== undefined) {
        const namesAt = 8 + 1024;
        const bytes = times(index.subarray(namesAt, namesAt + count * 20), trailer);
        extra.unshift([this.writeBeside('mtimes', bytes), `${path}.mtimes`]);
      }
      disk.renameSync(this.temporary, `${path}.pack`);
      for (const [from, to] of extra) disk.renameSync(from, to);
    } catch (error) {
      for (const [from] of extra) removeFile(disk, from);
      throw error;
    }
    syncDirectory(disk, directory);
    return { path, bytes: this.position + trailer.length };
  }

  /** Gives up; harmless after `publish`. */
  discard(): void {
    this.closeFile();
    removeFile(this.disk, this.temporary);
  }

  private writeBeside(kind: string, data: Buffer): string {
    const path = `${this.directory}/tmp_${kind}_kbgc${randomBytes(8).toString('hex')}`;
    const descriptor = this.disk.openSync(path, 'wx', 0o444);
    try {
      try {
        writeFully(this.disk, descriptor, data);
        this.disk.fsyncSync(descriptor);
      } finally {
        this.disk.closeSync(descriptor);
      }
    } catch (error) {
      removeFile(this.disk, path);
      throw error;
    }
    return path;
  }

  private flush(): void {
    this.put(this.buffer.subarray(0, this.buffered));
    this.buffered = 0;
  }

  private put(data: Uint8Array): void {
    if (data.length === 0) return;
    this.checksum.update(data);
    writeFully(this.disk, this.opened(), data);
  }

  private opened(): number {
    if (this.descriptor === undefined) throw new Error('a pack was written to after its end');
    return this.descriptor;
  }

  private closeFile(): void {
    if (this.descriptor === undefined) return;
    const { descriptor } = this;
    this.descriptor = undefined;
    this.disk.closeSync(descriptor);
  }
}
