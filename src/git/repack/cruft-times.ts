import { createHash } from 'node:crypto';
import type { Disk } from '../../disk/disk.js';
import { readFileIfExists } from '../../disk/durable.js';

const SIGNATURE = 0x4d544d45; // MTME
const VERSION = 1;
const SHA1 = 1;
const HEADER_BYTES = 12;
const TRAILER_BYTES = 40;

/**
 * The `.mtimes` file of a cruft pack: for each object, in the order of the pack's index, when it was last of use.
 * Git knows it from 2.37 on; an older git takes the pack for an ordinary one, which keeps more, never less.
 * Source of the format: gitformat-pack, "pack-*.mtimes files have the following format".
 * @param seconds since 1970, in the order of the index
 */
export function encodeCruftTimes(seconds: readonly number[], packChecksum: Buffer): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + seconds.length * 4 + TRAILER_BYTES);
  bytes.writeUInt32BE(SIGNATURE, 0);
  bytes.writeUInt32BE(VERSION, 4);
  bytes.writeUInt32BE(SHA1, 8);
  for (const [place, second] of seconds.entries()) {
    bytes.writeUInt32BE(Math.min(Math.max(0, Math.trunc(second)), 0xffffffff), HEADER_BYTES + place * 4);
  }
  const end = bytes.length - TRAILER_BYTES;
  packChecksum.copy(bytes, end);
  createHash('sha1')
    .update(bytes.subarray(0, end + 20))
    .digest()
    .copy(bytes, end + 20);
  return bytes;
}

/** The times of a cruft pack; undefined where it is none, or its file cannot be relied upon (its age is the pack's then). */
export function readCruftTimes(disk: Disk, path: string, count: number): ((place: number) => number) | undefined {
  const bytes = readFileIfExists(disk, path);
  if (bytes === undefined || bytes.length !== HEADER_BYTES + count * 4 + TRAILER_BYTES) return undefined;
  if (bytes.readUInt32BE(0) !== SIGNATURE || bytes.readUInt32BE(4) !== VERSION) return undefined;
  return (place) => bytes.readUInt32BE(HEADER_BYTES + place * 4);
}
