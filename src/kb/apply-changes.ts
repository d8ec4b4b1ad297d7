import type { Oid } from '../git/ids.js';
import type { StagedObjects } from '../git/objects/staged.js';
import { findEntry, type FileMode, type Leaf, type TreeEntry } from '../git/objects/tree.js';
import type { TreeChange } from '../git/objects/tree-diff.js';
import { editTree } from '../git/objects/tree-edit.js';
import type { RepoPath } from '../git/paths.js';
import { mergeText } from '../merge/merge-text.js';

export interface Conflict {
  readonly path: RepoPath;
  readonly reason:
    'overlap' | 'binary' | 'encoding' | 'deleted_remotely' | 'deleted_locally' | 'type' | 'file_and_folder';
  /** The blob with the local version; null: deleted. */
  readonly local: Oid | null;
  /** The blob with the remote's version; null: deleted. */
  readonly remote: Oid | null;
}

export interface Applied {
  readonly tree: Oid;
  readonly merged: readonly RepoPath[];
  readonly conflicts: readonly Conflict[];
}

const TREE_MODE = 0o040000;

/**
 * Applies changes that were made to one tree onto another, merging file by file where both moved.
 * Deletions go first, so that an addition is judged by what is left: a file may take the place of a
 * folder only when the folder is empty by then.
 */
export function applyChanges(staged: StagedObjects, onto: Oid, changes: readonly TreeChange[]): Applied {
  const conflicts: Conflict[] = [];
  const merged: RepoPath[] = [];

  const removals = new Map<RepoPath, null>();
  for (const change of changes) {
    if (change.after !== undefined) continue;
    const current = findEntry(staged, onto, change.path);
    if (isFile(current) && !sameLeaf(current, change.before)) {
      conflicts.push({ path: change.path, reason: 'deleted_locally', local: null, remote: current.oid });
    } else if (isFile(current)) removals.set(change.path, null);
  }
  const cleared = editTree(staged, onto, removals);

  const additions = new Map<RepoPath, Leaf>();
  for (const change of changes) {
    if (change.after === undefined) continue;
    const { path, before, after } = change;
    const current = findEntry(staged, cleared, path);
    if ((current !== undefined && !isFile(current)) || hasFileAbove(staged, cleared, path)) {
      conflicts.push({ path, reason: 'file_and_folder', local: after.oid, remote: null });
    } else if (sameLeaf(current, before)) additions.set(path, after);
    else if (!sameLeaf(current, after)) {
      const outcome = mergeLeaf(staged, { before, remote: current, local: after });
      if ('reason' in outcome)
        conflicts.push({ path, reason: outcome.reason, local: after.oid, remote: current?.oid ?? null });
      else {
        additions.set(path, outcome);
        merged.push(path);
      }
    }
  }
  if (conflicts.length > 0) return { tree: onto, merged: [], conflicts };
  return { tree: editTree(staged, cleared, additions), merged, conflicts };
}

interface Sides {
  readonly before: Leaf | undefined;
  readonly remote: TreeEntry | undefined;
  readonly local: Leaf;
}

function mergeLeaf(staged: StagedObjects, { before, remote, local }: Sides): Leaf | { reason: Conflict['reason'] } {
  if (remote === undefined) return { reason: 'deleted_remotely' };
  if (!isRegular(remote.mode) || !isRegular(local.mode) || (before !== undefined && !isRegular(before.mode)))
    return { reason: 'type' };
  const mode = local.mode === before?.mode ? remote.mode : local.mode;
  if (remote.oid === local.oid || before?.oid === remote.oid) return { mode, oid: local.oid };
  if (before?.oid === local.oid) return { mode, oid: remote.oid };
  const bytes = (oid: Oid): Buffer => staged.read(oid).data;
  const result = mergeText(before === undefined ? undefined : bytes(before.oid), bytes(remote.oid), bytes(local.oid));
  if (result.kind === 'conflict') return { reason: result.reason };
  return { mode, oid: staged.add('blob', result.data) };
}

function hasFileAbove(staged: StagedObjects, tree: Oid, path: RepoPath): boolean {
  const slash = path.lastIndexOf('/');
  if (slash < 0) return false;
  const parent = path.slice(0, slash) as RepoPath;
  const entry = findEntry(staged, tree, parent);
  return entry === undefined ? hasFileAbove(staged, tree, parent) : isFile(entry);
}

function isFile(entry: TreeEntry | undefined): entry is TreeEntry {
  return entry !== undefined && entry.mode !== TREE_MODE;
}

function sameLeaf(a: Leaf | undefined, b: Leaf | undefined): boolean {
  return a?.oid === b?.oid && a?.mode === b?.mode;
}

function isRegular(mode: FileMode): boolean {
  return mode === 0o100644 || mode === 0o100755;
}
