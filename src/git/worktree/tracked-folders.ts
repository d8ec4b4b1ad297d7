import type { Stats } from 'node:fs';
import type { Disk } from '../../disk/disk.js';
import { toDiskPath } from '../paths.js';
import { folderOf } from './folders.js';

/** A folder at some moment. */
export type FolderState = Pick<Stats, 'dev' | 'ino' | 'mtimeMs' | 'ctimeMs'>;

export interface TrackedFolder {
  /** As it was found; undefined: no real folder is there. */
  readonly state: FolderState | undefined;
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
    const found: TrackedFolder = { state: stateOf(this.look(folder)), own: 0 };
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
    if (this.at(folderOf(folder)).state === undefined) return undefined;
    const stats = this.disk.lstatSync(toDiskPath(this.root, folder), options);
    return stats?.isDirectory() === true ? stats : undefined;
  }
}

/** Without the rest of it: what is kept of thousands of folders has to be copied by each collection of garbage. */
function stateOf(stats: Stats | undefined): FolderState | undefined {
  if (stats === undefined) return undefined;
  const { dev, ino, mtimeMs, ctimeMs } = stats;
  return { dev, ino, mtimeMs, ctimeMs };
}
