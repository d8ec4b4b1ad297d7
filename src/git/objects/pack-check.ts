import type { Disk } from '../../disk/disk.js';
import { isErrno } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import { PackIndex, readAt } from './pack-index.js';

const HEADER_BYTES = 12;
const HASH_BYTES = 20;

/**
 * Whether a pack and its index are whole and belong together, by their heads and ends: what was cut, truncated or
 * mixed up is seen without reading the pack. Bits that flipped in the middle are seen when the object is read.
 * Source of the formats: gitformat-pack(5).
 * @param path the pack's, without `.pack`
 * @returns the number of its objects; undefined: it is gone, for somebody repacked
 * @throws KbError E_CORRUPT, E_UNSAFE_STATE (an index of version 1)
 */
export function checkPack(disk: Disk, path: string): number | undefined {
  try {
    return compare(disk, path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function compare(disk: Disk, path: string): number {
  const index = PackIndex.open(disk, `${path}.idx`);
  const { objectCount } = index;
  index.close();
  const inIndex = edges(disk, `${path}.idx`, 2 * HASH_BYTES);
  const inPack = edges(disk, `${path}.pack`, HASH_BYTES);
  const damaged = (why: string): KbError =>
    new KbError('E_CORRUPT', `pack ${path}.pack is damaged: ${why}`, { details: { path: `${path}.pack` } });
  if (inPack.head.toString('latin1', 0, 4) !== 'PACK') throw damaged('it does not begin as a pack does');
  const count = inPack.head.readUInt32BE(8);
  if (count !== objectCount) throw damaged(`it has ${count} objects, and its index names ${objectCount}`);
  if (!inPack.end.equals(inIndex.end.subarray(0, HASH_BYTES)))
    throw damaged('its end is not the one that its index was made for: it was cut off or replaced');
  return objectCount;
}

function edges(disk: Disk, path: string, endBytes: number): { head: Buffer; end: Buffer } {
  const descriptor = disk.openSync(path, 'r');
  try {
    const { size } = disk.fstatSync(descriptor);
    if (size < HEADER_BYTES + endBytes)
      throw new KbError('E_CORRUPT', `${path} is damaged: it is cut off`, { details: { path } });
    return {
      head: readAt(disk, descriptor, 0, HEADER_BYTES),
      end: readAt(disk, descriptor, size - endBytes, endBytes),
    };
  } finally {
    disk.closeSync(descriptor);
  }
}
