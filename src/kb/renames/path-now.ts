import type { Oid } from '../../git/ids.js';
import type { StagedObjects } from '../../git/objects/staged.js';
import type { Leaf } from '../../git/objects/tree.js';
import { editTree } from '../../git/objects/tree-edit.js';
import type { RepoPath } from '../../git/paths.js';
import type { MergeContents } from '../merge-contents.js';
import type { CarryRenames } from './carry.js';

/** A file that somebody works on, who knows it by an old name perhaps. */
export interface KnownFile {
  readonly path: RepoPath;
  /** As it was when the work began. */
  readonly before: Leaf;
  readonly after: Leaf;
  /** The tree that it was in. */
  readonly base: Oid;
}

/** The name that a file has now that is no longer there: its own one, unless others have renamed it. */
export function pathNow(
  staged: StagedObjects,
  now: Oid,
  { path, before, after, base }: KnownFile,
  carry: CarryRenames,
  merge: MergeContents,
): RepoPath {
  const local = editTree(staged, base, new Map([[path, after]]));
  const changes = [{ path, before, after }];
  const met = { staged, base, local, onto: now, cleared: now, changes, goneHere: [], goneThere: [path], merge };
  for (const [name, { from }] of carry(met)?.told ?? []) if (from === path) return name;
  return path;
}
