import type { BigIntStats } from 'node:fs';
import { join } from 'node:path';
import { removeFile, temporaryName, writeFully } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';

/** A file that is written before it is known where it belongs, under a name that no file of a KB can have. */
export class IncomingFile {
  private readonly temporary: string;
  private descriptor: number | undefined;
  /** Bytes so far. */
  written = 0;

  /** @param size bytes that are to come */
  constructor(
    private readonly disk: Disk,
    directory: string,
    private readonly size: number,
  ) {
    this.temporary = join(directory, temporaryName('incoming'));
    this.descriptor = disk.openSync(this.temporary, 'wx', 0o666);
  }

  get missing(): number {
    return this.size - this.written;
  }

  write(piece: Buffer): void {
    writeFully(this.disk, this.descriptor as number, piece);
    this.written += piece.length;
  }

  /** @param place in the same volume, where nothing is @returns how it looks there */
  moveTo(place: string | Buffer): BigIntStats {
    this.close();
    this.disk.renameSync(this.temporary, place);
    return this.disk.lstatSync(place, { bigint: true });
  }

  discard(): void {
    this.close();
    removeFile(this.disk, this.temporary);
  }

  private close(): void {
    if (this.descriptor === undefined) return;
    const { descriptor } = this;
    this.descriptor = undefined;
    this.disk.closeSync(descriptor);
  }
}
