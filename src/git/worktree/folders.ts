import type { Disk } from '../../disk/disk.js';
import { toDiskPath } from '../paths.js';

/** What is at a folder's place. `at` names the first part that is no folder. */
export type FolderState =
  | { readonly kind: 'folder' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'symlink' | 'file'; readonly at: string };

const FOLDER: FolderState = { kind: 'folder' };
const ABSENT: FolderState = { kind: 'absent' };

/** The folder that a path is in; '' is the root. */
export function folderOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? '' : path.slice(0, slash);
}

/**
 * Answers whether a path's folders are real folders of the work tree, part by part with lstat and each
 * part once. Invariant: nothing is read or written below a part that is a symbolic link, since the link
 * may lead anywhere (test: "never writes through a symlinked folder").
 *
 * Lives for one operation only: an answer is as old as the object.
 */
export class Folders {
  private readonly states = new Map<string, FolderState>();
  private readonly made = new Set<string>();

  constructor(
    private readonly disk: Disk,
    private readonly root: string,
  ) {}

  state(folder: string): FolderState {
    if (folder === '') return FOLDER;
    const known = this.states.get(folder);
    if (known !== undefined) return known;
    const state = this.look(folder);
    this.states.set(folder, state);
    return state;
  }

  /** Makes a folder and those above it. @returns what stands in the way, as `state` does, or 'folder' */
  make(folder: string): FolderState {
    const state = this.state(folder);
    if (state.kind !== 'absent') return state;
    const parent = this.make(folderOf(folder));
    if (parent.kind !== 'folder') return parent;
    this.disk.mkdirSync(toDiskPath(this.root, folder));
    this.states.set(folder, FOLDER);
    this.made.add(folder);
    return FOLDER;
  }

  /** The folder was made here, so all that is in it was put there since. */
  isNew(folder: string): boolean {
    return this.made.has(folder);
  }

  newFolders(): Iterable<string> {
    return this.made;
  }

  private look(folder: string): FolderState {
    const parent = this.state(folderOf(folder));
    if (parent.kind !== 'folder') return parent;
    const stats = this.disk.lstatSync(toDiskPath(this.root, folder), { throwIfNoEntry: false });
    if (stats === undefined) return ABSENT;
    if (stats.isDirectory()) return FOLDER;
    return { kind: stats.isSymbolicLink() ? 'symlink' : 'file', at: folder };
  }
}
