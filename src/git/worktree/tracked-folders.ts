import type { Stats } from 'node:fs';
import type { Disk } from '../../disk/disk.js';
import { toDiskPath } from '../paths.js';
import { folderOf } from './folders.js';

export interface TrackedFolder {
  /** As it was found; undefined: no real folder is there. */
  readonly stats: Stats | undefined;
  /** How many entries of the index lie in it, not in folders below. */
  own: number;
}

/** The folders that tracked files are in, with those above them, each looked at once; parents come first. */
export class TrackedFolders {
  private readonly folders = new Map<string, TrackedFolder>();

  constructor(
    private readonly disk: Disk,
    private readonly root: string,
  ) {
    this.at('');
  }

  at(folder: string): TrackedFolder {
    const known = this.folders.get(folder);
    if (known !== undefined) return known;
    const found: TrackedFolder = { stats: this.look(folder), own: 0 };
    this.folders.set(folder, found);
    return found;
  }

  [Symbol.iterator](): Iterator<readonly [string, TrackedFolder]> {
    return this.folders.entries();
  }

  /** Not through links: a folder below one is none of the work tree's. */
  private look(folder: string): Stats | undefined {
    const options = { throwIfNoEntry: false } as const;
    // the root itself may be reached through one
    if (folder === '') return this.disk.statSync(this.root, options);
    if (this.at(folderOf(folder)).stats === undefined) return undefined;
    const stats = this.disk.lstatSync(toDiskPath(this.root, folder), options);
    return stats?.isDirectory() === true ? stats : undefined;
  }
}
