import { isErrno, namesIn } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';

export interface ObjectStatistics {
  /** Also those that are kept or cruft. */
  readonly packs: number;
  readonly looseObjects: number;
  /** Of packs with all that belongs to them, and of loose objects. */
  readonly bytes: number;
}

export function measureObjects(disk: Disk, objectsDirectory: string): ObjectStatistics {
  let packs = 0;
  let looseObjects = 0;
  let bytes = 0;
  for (const folder of namesIn(disk, objectsDirectory)) {
    const isPack = folder === 'pack';
    if (!isPack && !/^[0-9a-f]{2}$/.test(folder)) continue;
    const names = namesIn(disk, `${objectsDirectory}/${folder}`);
    const known = new Set(names);
    for (const name of names) {
      if (isPack ? !/^pack-.*\./.test(name) : !/^[0-9a-f]{38}$/.test(name)) continue;
      if (!isPack) looseObjects += 1;
      else if (name.endsWith('.idx') && known.has(`${name.slice(0, -4)}.pack`)) packs += 1;
      bytes += sizeOf(disk, `${objectsDirectory}/${folder}/${name}`);
    }
  }
  return { packs, looseObjects, bytes };
}

function sizeOf(disk: Disk, path: string): number {
  try {
    return disk.lstatSync(path).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0;
    throw error;
  }
}
