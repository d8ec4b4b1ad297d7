import { createHash } from 'node:crypto';

const BUFFER_BYTES = 256 * 1024;

/**
 * Passes bytes on and keeps their SHA-1, which ends the index file. Small pieces are gathered, large ones
 * go through uncopied: an index of 10 MB is written without a second copy of it in memory.
 */
export class HashedOutput {
  private readonly hash = createHash('sha1');
  private readonly buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  private filled = 0;

  constructor(private readonly sink: (bytes: Uint8Array) => void) {}

  write(bytes: Uint8Array): void {
    if (this.filled + bytes.length > BUFFER_BYTES) this.flush();
    if (bytes.length >= BUFFER_BYTES) return this.pass(bytes);
    this.buffer.set(bytes, this.filled);
    this.filled += bytes.length;
  }

  /** Writes the checksum of everything before it. */
  finish(): void {
    this.flush();
    this.sink(this.hash.digest());
  }

  private flush(): void {
    this.pass(this.buffer.subarray(0, this.filled));
    this.filled = 0;
  }

  private pass(bytes: Uint8Array): void {
    this.hash.update(bytes);
    this.sink(bytes);
  }
}
