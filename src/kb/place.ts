import { posix } from 'node:path';
import type { Oid } from '../git/ids.js';
import type { ObjectSource } from '../git/objects/object.js';
import { findEntry, parseTree } from '../git/objects/tree.js';
import type { RepoPath } from '../git/paths.js';
import { collisionKey } from '../git/worktree/collisions.js';
import { printable } from '../printable.js';
import { folderOf } from './note-path.js';

/** The files of one commit. */
export interface Files {
  readonly objects: ObjectSource;
  readonly tree: Oid;
}

const FOLDER = 0o040000;
const REPOSITORY = 0o160000;

/** What keeps a path from being a file's, as a sentence; undefined: there is a file, or room for one. */
export function findBarrier({ objects, tree }: Files, path: RepoPath): string | undefined {
  for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
    const above = path.slice(0, slash) as RepoPath;
    const mode = findEntry(objects, tree, above)?.mode;
    if (mode !== undefined && mode !== FOLDER) return `${printable(above)} is no folder`;
  }
  const mode = findEntry(objects, tree, path)?.mode;
  if (mode === FOLDER) return `${printable(path)} is a folder`;
  return mode === REPOSITORY ? `${printable(path)} is a repository of its own` : undefined;
}

/** A file or folder that a volume which folds names takes for this one. */
export function findOtherSpelling({ objects, tree }: Files, path: RepoPath): RepoPath | undefined {
  const folder = folderOf(path);
  const parent = folder === '' ? { mode: FOLDER, oid: tree } : findEntry(objects, tree, folder as RepoPath);
  if (parent?.mode !== FOLDER) return undefined;
  const name = posix.basename(path);
  const key = collisionKey(name);
  const other = parseTree(objects.read(parent.oid).data).find(
    (entry) => entry.name !== name && collisionKey(entry.name) === key,
  );
  return other === undefined ? undefined : (posix.join(folder, other.name) as RepoPath);
}
