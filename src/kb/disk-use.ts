import { join } from 'node:path';
import { isErrno } from '../disk/durable.js';
import type { Disk } from '../disk/disk.js';

export interface DiskUse {
  /** Size of the repository (`.git`), bytes. */
  readonly repoBytes: number;
  /** What an ordinary user may still write to the volume, bytes. */
  readonly freeBytes: number;
  /** What should be free so that packs can be rewritten once, bytes: the repository's size, at least 16 MiB. */
  readonly headroom: number;
}

const LEAST_HEADROOM = 16 * 1024 * 1024;

export function measureDisk(disk: Disk, root: string, gitDir: string): DiskUse {
  const volume = disk.statfsSync(root);
  const repoBytes = sizeBelow(disk, gitDir);
  return { repoBytes, freeBytes: volume.bavail * volume.bsize, headroom: Math.max(repoBytes, LEAST_HEADROOM) };
}

function sizeBelow(disk: Disk, directory: string): number {
  let bytes = 0;
  for (const entry of disk.readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    try {
      bytes += entry.isDirectory() ? sizeBelow(disk, path) : disk.lstatSync(path).size;
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error; // a temporary file that is gone already
    }
  }
  return bytes;
}
