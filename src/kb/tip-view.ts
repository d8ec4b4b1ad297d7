import { namesIn } from '../disk/durable.js';
import type { FileMode } from '../git/objects/tree.js';
import { findEntry, parseTree } from '../git/objects/tree.js';
import type { ObjectSource } from '../git/objects/object.js';
import type { RepoPath } from '../git/paths.js';
import { collisionKey } from '../git/worktree/collisions.js';
import { join } from 'node:path';
import { treeOf } from './advance.js';
import type { Tip } from './cycle.js';
import type { Kb } from './open.js';

/** The KB's files as an edit sees them: those of the tip that it is put upon. */
export interface TipView {
  read(path: RepoPath): { readonly data: Buffer; readonly mode: FileMode; readonly blob: string } | undefined;
  /** Settings of other programs may be kept out of the repository: from the tip, else from the work tree. */
  readSettings(path: RepoPath): Buffer | undefined;
  isFolder(path: RepoPath): boolean;
  /** Whether a new file would meet another one, in the tip or on disk, under the folded name. */
  isTaken(folder: string, key: string): boolean;
}

/**
 * @param tip undefined: the local branch as it is
 * @param isCheckedOut what lies in the work tree is of this branch, and takes names too
 */
export function openTipView(kb: Kb, tip: Tip | undefined, isCheckedOut = true): TipView {
  const source: ObjectSource = tip?.staged ?? kb.objects;
  const tree = tip?.tree ?? treeOf(kb, kb.refs.head().oid);
  const read: TipView['read'] = (path) => {
    const entry = findEntry(source, tree, path);
    if (entry === undefined || entry.mode === 0o040000 || entry.mode === 0o160000) return undefined;
    return { data: source.read(entry.oid).data, mode: entry.mode, blob: entry.oid };
  };
  const taken = new Map<string, Set<string>>();
  const takenIn = (folder: string): Set<string> => {
    let keys = taken.get(folder);
    if (keys === undefined)
      taken.set(
        folder,
        (keys = new Set(
          [
            ...namesInTree(source, tree, folder),
            ...(isCheckedOut ? namesIn(kb.surroundings.disk, join(kb.root, folder)) : []),
          ].map(collisionKey),
        )),
      );
    return keys;
  };
  return {
    read,
    readSettings: (path) => read(path)?.data ?? kb.worktree.readFile(path)?.data,
    isFolder: (path) => findEntry(source, tree, path)?.mode === 0o040000,
    isTaken: (folder, key) => takenIn(folder).has(key),
  };
}

function namesInTree(source: ObjectSource, tree: TipTree, folder: string): string[] {
  const entry = folder === '' ? { mode: 0o040000, oid: tree } : findEntry(source, tree, folder as RepoPath);
  return entry?.mode === 0o040000 ? parseTree(source.read(entry.oid).data).map(({ name }) => name) : [];
}

type TipTree = Tip['tree'];
