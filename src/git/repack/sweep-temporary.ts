import { join } from 'node:path';
import { isErrno, namesIn, removeFile, removeTree } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { GC_TEMPORARY } from './pack-output.js';

/** Under these names objects and packs are written before they get their own, by kb and by git. */
const TEMPORARY_OBJECT = /^(tmp_|\.tmp-|\.kb_tmp_)/;
const TEMPORARY_FOLDER = /^(tmp_objdir-|incoming-)/;

/** Paths, relative to the folder of the objects. */
export interface AbandonedObjects {
  /** Temporary files. */
  readonly temporary: readonly string[];
  /**
   * Packs whose index is gone, so that nobody can see them. One that somebody has lost the index of looks the same, and
   * `git index-pack` brings it back: they may go only where all that is in use was found without them.
   */
  readonly hiddenPacks: readonly string[];
}

/**
 * What killed processes left below `objects`, and nobody has written to for a while.
 * @param beforeMs what was last written before this moment is abandoned, ms since 1970
 */
export function findAbandoned(disk: Disk, objectsDirectory: string, beforeMs: number): AbandonedObjects {
  const temporary: string[] = [];
  const hiddenPacks: string[] = [];
  const isOld = (path: string): boolean => {
    const stat = disk.lstatSync(path, { throwIfNoEntry: false });
    return stat !== undefined && stat.mtimeMs < beforeMs;
  };
  for (const folder of namesIn(disk, objectsDirectory)) {
    const path = join(objectsDirectory, folder);
    if (TEMPORARY_FOLDER.test(folder)) {
      if (isOld(path)) temporary.push(folder);
      continue;
    }
    if (folder !== 'pack' && !/^[0-9a-f]{2}$/.test(folder)) {
      if (TEMPORARY_OBJECT.test(folder) && isOld(path)) temporary.push(folder);
      continue;
    }
    const names = new Set(namesIn(disk, path));
    for (const name of names) {
      // Only one gc runs at a time: what another one left is nobody's, however young.
      if (isWithoutIndex(folder, name, names)) {
        if (isOld(join(path, name))) hiddenPacks.push(`${folder}/${name}`);
      } else if (TEMPORARY_OBJECT.test(name) && (GC_TEMPORARY.test(name) || isOld(join(path, name)))) {
        temporary.push(`${folder}/${name}`);
      }
    }
  }
  return { temporary, hiddenPacks };
}

/** Also what a removal that was interrupted has left of a pack. */
function isWithoutIndex(folder: string, name: string, names: ReadonlySet<string>): boolean {
  const [, base] = /^(pack-[0-9a-f]{40})\.(pack|rev|bitmap|mtimes)$/.exec(name) ?? [];
  return folder === 'pack' && base !== undefined && !names.has(`${base}.idx`) && !names.has(`${base}.keep`);
}

export function removeAbandoned(disk: Disk, objectsDirectory: string, paths: readonly string[]): void {
  for (const path of paths) {
    if (TEMPORARY_FOLDER.test(path)) removeTree(disk, join(objectsDirectory, path));
    else removeFile(disk, join(objectsDirectory, path));
  }
}

/** kb's own temporary files in these folders that nobody has written to for a while. */
export function findAbandonedOwn(disk: Disk, folders: readonly string[], beforeMs: number): string[] {
  return folders.flatMap((folder) =>
    namesIn(disk, folder)
      .filter((name) => name.startsWith('.kb_tmp_'))
      .map((name) => join(folder, name))
      .filter((path) => {
        try {
          const stat = disk.lstatSync(path);
          return stat.isFile() && stat.mtimeMs < beforeMs;
        } catch (error) {
          if (isErrno(error, 'ENOENT')) return false;
          throw error;
        }
      }),
  );
}
