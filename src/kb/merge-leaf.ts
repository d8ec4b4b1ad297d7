import type { Oid } from '../git/ids.js';
import type { StagedObjects } from '../git/objects/staged.js';
import { findEntry, TREE_MODE, type Leaf, type TreeEntry } from '../git/objects/tree.js';
import type { RepoPath } from '../git/paths.js';
import type { MergeContents } from './merge-contents.js';

/** The versions of one file, and the path that it has in the end. */
export interface LeafVersions {
  readonly path: RepoPath;
  readonly before: Leaf | undefined;
  readonly remote: Leaf | undefined;
  readonly local: Leaf;
}

export type LeafMerge =
  | { readonly leaf: Leaf; readonly rules: readonly string[] }
  | { readonly reason: 'deleted_remotely' | 'type' | 'overlap' | 'binary' | 'encoding' };

/** @param onto its attributes say how the file is merged */
export function mergeLeaf(
  staged: StagedObjects,
  onto: Oid,
  { path, before, remote, local }: LeafVersions,
  merge: MergeContents,
): LeafMerge {
  if (remote === undefined) return { reason: 'deleted_remotely' };
  if (!isFile(remote) || !isFile(local) || (before !== undefined && !isFile(before))) return { reason: 'type' };
  const mode = local.mode === before?.mode ? remote.mode : local.mode;
  if (remote.oid === local.oid || before?.oid === remote.oid) return { leaf: { mode, oid: local.oid }, rules: [] };
  if (before?.oid === local.oid) return { leaf: { mode, oid: remote.oid }, rules: [] };
  const bytes = (oid: Oid): Buffer => staged.read(oid).data;
  const base = before === undefined ? undefined : bytes(before.oid);
  const versions = { base, ours: bytes(remote.oid), theirs: bytes(local.oid) };
  const result = merge({ ...versions, path, onto: { objects: staged, tree: onto } });
  if (result.kind === 'conflict') return { reason: result.reason };
  return { leaf: { mode, oid: staged.add('blob', result.data) }, rules: result.rules };
}

export function hasFileAbove(staged: StagedObjects, tree: Oid, path: RepoPath): boolean {
  const slash = path.lastIndexOf('/');
  if (slash < 0) return false;
  const parent = path.slice(0, slash) as RepoPath;
  const entry = findEntry(staged, tree, parent);
  return entry === undefined ? hasFileAbove(staged, tree, parent) : isNoFolder(entry);
}

/** A file, link or submodule. */
export function isNoFolder(entry: TreeEntry | undefined): entry is TreeEntry {
  return entry !== undefined && entry.mode !== TREE_MODE;
}

export function isFile({ mode }: Pick<Leaf, 'mode'>): boolean {
  return mode === 0o100644 || mode === 0o100755;
}
