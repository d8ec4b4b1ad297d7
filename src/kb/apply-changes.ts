import { posix } from 'node:path';
import type { Oid } from '../git/ids.js';
import type { StagedObjects } from '../git/objects/staged.js';
import { findEntry, type FileMode, type Leaf, type TreeEntry } from '../git/objects/tree.js';
import type { TreeChange } from '../git/objects/tree-diff.js';
import { editTree } from '../git/objects/tree-edit.js';
import type { RepoPath } from '../git/paths.js';
import type { Verdict } from './conflicts/decide.js';
import type { Sides as Versions } from './conflicts/record.js';
import type { MergeContents } from './merge-contents.js';

export interface Conflict {
  readonly path: RepoPath;
  readonly reason:
    'overlap' | 'binary' | 'encoding' | 'deleted_remotely' | 'deleted_locally' | 'type' | 'file_and_folder';
  /** The blob that both sides started from; null: there was none. */
  readonly base: Oid | null;
  /** The blob with the local version; null: deleted. */
  readonly local: Oid | null;
  /** The blob with the remote's version; null: deleted. */
  readonly remote: Oid | null;
}

/** What becomes of a file that cannot be merged. `copy` keeps both, the local one under another name. */
export type ConflictPolicy = 'fail' | 'copy' | 'ours' | 'theirs';

export interface ConflictRules {
  readonly policy: ConflictPolicy;
  /** Marks the copy's name: `NAME (conflict DATE HOST).md`. */
  readonly mark: string;
  /** What a person has decided about a file, with the policy `fail`; undefined: nothing yet. */
  readonly decide?: (versions: Versions) => Verdict | undefined;
}

/** A conflict that was settled by the policy. */
export interface Settled extends Conflict {
  /** `edited`: what a person has made of both. */
  readonly kept: 'ours' | 'theirs' | 'both' | 'edited';
  /** Where the local version went, with `both`. */
  readonly copy?: RepoPath;
}

/** A file that both sides changed and that was merged by content. */
export interface MergedFile {
  readonly path: RepoPath;
  /** What settled the places that a merge by lines leaves to a person; empty: there were none. */
  readonly rules: readonly string[];
}

export interface Applied {
  readonly tree: Oid;
  readonly merged: readonly MergedFile[];
  /** Left open: nothing was applied then. */
  readonly conflicts: readonly Conflict[];
  /** The versions of the same files. */
  readonly versions: readonly Versions[];
  readonly settled: readonly Settled[];
}

const TREE_MODE = 0o040000;

/**
 * Applies changes that were made to one tree onto another, merging file by file where both moved.
 * Deletions go first, so that an addition is judged by what is left: a file may take the place of a
 * folder only when the folder is empty by then.
 */
export function applyChanges(
  staged: StagedObjects,
  onto: Oid,
  changes: readonly TreeChange[],
  rules: ConflictRules,
  merge: MergeContents,
): Applied {
  const open: Open[] = [];
  const meet = (path: RepoPath, reason: Conflict['reason'], [base, local, remote]: (Leaf | undefined)[]): void => {
    const oids = { base: base?.oid ?? null, local: local?.oid ?? null, remote: remote?.oid ?? null };
    const versions = { path, base: asLeaf(base), ours: asLeaf(local), theirs: asLeaf(remote) };
    open.push({ conflict: { path, reason, ...oids }, local, versions });
  };
  const merged: MergedFile[] = [];

  const removals = new Map<RepoPath, null>();
  for (const { path, before, after } of changes) {
    if (after !== undefined) continue;
    const current = findEntry(staged, onto, path);
    if (isFile(current) && !sameLeaf(current, before)) {
      meet(path, 'deleted_locally', [before, undefined, current]);
    } else if (isFile(current)) removals.set(path, null);
  }
  const cleared = editTree(staged, onto, removals);

  const edits = new Map<RepoPath, Leaf | null>();
  for (const { path, before, after } of changes) {
    if (after === undefined) continue;
    const current = findEntry(staged, cleared, path);
    if ((current !== undefined && !isFile(current)) || hasFileAbove(staged, cleared, path)) {
      meet(path, 'file_and_folder', [before, after, undefined]);
    } else if (sameLeaf(current, before)) edits.set(path, after);
    else if (!sameLeaf(current, after)) {
      const outcome = mergeLeaf(staged, onto, { path, before, remote: current, local: after }, merge);
      if ('reason' in outcome) meet(path, outcome.reason, [before, after, current]);
      else {
        edits.set(path, outcome.leaf);
        merged.push({ path, rules: outcome.rules });
      }
    }
  }
  const verdicts = open.map(({ versions }) => (rules.policy === 'fail' ? rules.decide?.(versions) : undefined));
  if (rules.policy === 'fail' && verdicts.includes(undefined)) {
    const [conflicts, versions] = [open.map(({ conflict }) => conflict), open.map((one) => one.versions)];
    return { tree: onto, merged: [], conflicts, versions, settled: [] };
  }
  const isFree = (path: RepoPath): boolean => findEntry(staged, cleared, path) === undefined && !edits.has(path);
  const copyTo = (path: RepoPath): RepoPath => copyPath(path, rules.mark, hasFileAbove(staged, cleared, path), isFree);
  const settled = open.map(({ conflict, local }, at): Settled => {
    const verdict = verdicts[at];
    if (verdict?.kind !== 'put') return settle(conflict, local, verdict?.policy ?? rules.policy, edits, copyTo);
    edits.set(conflict.path, verdict.leaf);
    return { ...conflict, kept: verdict.choice === 'edit' ? 'edited' : verdict.choice };
  });
  return { tree: editTree(staged, cleared, edits), merged, conflicts: [], versions: [], settled };
}

/** A file that could not be merged. */
interface Open {
  readonly conflict: Conflict;
  readonly local: Leaf | undefined;
  readonly versions: Versions;
}

function asLeaf(entry: Leaf | undefined): Leaf | null {
  return entry === undefined ? null : { mode: entry.mode, oid: entry.oid };
}

/**
 * An edit is never given up for a deletion unless the policy names that side, and no version is put where it
 * would take away other files: what has no place of its own becomes a copy.
 */
function settle(
  conflict: Conflict,
  local: Leaf | undefined,
  policy: ConflictPolicy,
  edits: Map<RepoPath, Leaf | null>,
  copyTo: (path: RepoPath) => RepoPath,
): Settled {
  const { path, reason } = conflict;
  if (policy === 'theirs' || (local === undefined && policy === 'copy')) return { ...conflict, kept: 'theirs' };
  const hasPlace = reason !== 'file_and_folder' && (policy === 'ours' || reason === 'deleted_remotely');
  if (local === undefined || hasPlace) {
    edits.set(path, local ?? null);
    return { ...conflict, kept: 'ours' };
  }
  const copy = copyTo(path);
  edits.set(copy, local);
  return { ...conflict, kept: 'both', copy };
}

/** `dir/NAME.md` → `dir/NAME (conflict DATE HOST).md`, numbered while that is taken; at the root where a file bars the way. */
function copyPath(path: RepoPath, mark: string, isBarred: boolean, isFree: (path: RepoPath) => boolean): RepoPath {
  const { dir, name, ext } = posix.parse(path);
  const folder = isBarred || dir === '' ? '' : `${dir}/`;
  for (let number = 1; ; number += 1) {
    const copy = `${folder}${name} (${mark}${number === 1 ? '' : ` ${number}`})${ext}` as RepoPath;
    if (isFree(copy)) return copy;
  }
}

interface Sides {
  readonly path: RepoPath;
  readonly before: Leaf | undefined;
  readonly remote: TreeEntry | undefined;
  readonly local: Leaf;
}

function mergeLeaf(
  staged: StagedObjects,
  onto: Oid,
  { path, before, remote, local }: Sides,
  merge: MergeContents,
): { leaf: Leaf; rules: readonly string[] } | { reason: Conflict['reason'] } {
  if (remote === undefined) return { reason: 'deleted_remotely' };
  if (!isRegular(remote.mode) || !isRegular(local.mode) || (before !== undefined && !isRegular(before.mode)))
    return { reason: 'type' };
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
