import { posix } from 'node:path';
import type { Oid } from '../git/ids.js';
import type { StagedObjects } from '../git/objects/staged.js';
import { findEntry, type Leaf } from '../git/objects/tree.js';
import type { TreeChange } from '../git/objects/tree-diff.js';
import { editTree } from '../git/objects/tree-edit.js';
import type { RepoPath } from '../git/paths.js';
import type { Verdict } from './conflicts/decide.js';
import type { Sides as Versions } from './conflicts/record.js';
import type { MergeContents } from './merge-contents.js';
import { hasFileAbove, isNoFolder, mergeLeaf } from './merge-leaf.js';
import { sameLeaf } from './run/snapshot.js';
import type { Carried, CarryRenames, Contest } from './renames/carry.js';

export interface Conflict {
  readonly path: RepoPath;
  readonly reason:
    | 'overlap'
    | 'binary'
    | 'encoding'
    | 'deleted_remotely'
    | 'deleted_locally'
    | 'type'
    | 'file_and_folder'
    | 'renamed_twice';
  /** The blob that both sides started from; null: there was none. */
  readonly base: Oid | null;
  /** The blob with the local version; null: deleted. */
  readonly local: Oid | null;
  /** The blob with the remote's version; null: deleted. */
  readonly remote: Oid | null;
  /** The name that the file had before it was renamed. */
  readonly from?: RepoPath;
  /** The name that the remote gave it, where both sides renamed it (`renamed_twice`); `path` is the one from here. */
  readonly remotePath?: RepoPath;
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
  /** The name that the file had on the side that did not rename it, with the rule `renamed`. */
  readonly from?: RepoPath;
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

/** How files are followed to the names that one side gave them. */
export interface Following {
  readonly carry: CarryRenames;
  /** The tree that the changes start from, and the one that they lead to. */
  readonly base: Oid;
  readonly local: Oid;
  /** What comes of it is to be a common ancestor of others. */
  readonly isAncestor?: boolean;
}

/**
 * Applies changes that were made to one tree onto another, merging file by file where both moved.
 *
 * Renames are asked for only where they can matter: a file that one side took away while the other one changed or
 * removed it too, or a new file in a folder that the other side has no more. Wherever that is not so, nothing is read for
 * them. (Broken by: test/integration/renames.test.ts, "an ordinary cycle reads nothing for them")
 * @param following default: files are told by their paths alone
 */
export function applyChanges(
  staged: StagedObjects,
  onto: Oid,
  changes: readonly TreeChange[],
  rules: ConflictRules,
  merge: MergeContents,
  following?: Following,
): Applied {
  let met = meetChanges(staged, onto, changes, merge);
  let carried: Carried | undefined;
  if (following !== undefined) {
    const { carry, ...trees } = following;
    const { cleared, goneHere, goneThere } = met;
    carried = carry({ ...trees, staged, onto, cleared, changes, goneHere, goneThere, merge });
    if (carried !== undefined) met = meetChanges(staged, carried.onto, carried.changes, merge);
  }
  const { cleared, edits } = met;
  const open = [...met.open.map((one) => withOrigin(one, carried)), ...(carried?.contests ?? []).map(asOpen)];
  const verdicts = open.map(({ versions }) => (rules.policy === 'fail' ? rules.decide?.(versions) : undefined));
  if (rules.policy === 'fail' && verdicts.includes(undefined)) {
    const [conflicts, versions] = [open.map(({ conflict }) => conflict), open.map((one) => one.versions)];
    return { tree: onto, merged: [], conflicts, versions, settled: [] };
  }
  const isFree = (path: RepoPath): boolean => findEntry(staged, cleared, path) === undefined && !edits.has(path);
  const copyTo = (path: RepoPath): RepoPath => copyPath(path, rules.mark, hasFileAbove(staged, cleared, path), isFree);
  const settled = open.map(({ conflict, local, contest }, at): Settled => {
    const verdict = verdicts[at];
    if (contest !== undefined) return settleContest(conflict, contest, verdict ?? asVerdict(rules.policy), edits);
    if (verdict?.kind !== 'put') return settle(conflict, local, verdict?.policy ?? rules.policy, edits, copyTo);
    edits.set(conflict.path, verdict.leaf);
    return { ...conflict, kept: verdict.choice === 'edit' ? 'edited' : verdict.choice };
  });
  const merged = carried === undefined ? met.merged : withRenames(met.merged, carried, open);
  return { tree: editTree(staged, cleared, edits), merged, conflicts: [], versions: [], settled };
}

interface Met {
  /** The tree without what was deleted. */
  readonly cleared: Oid;
  readonly edits: Map<RepoPath, Leaf | null>;
  readonly merged: readonly MergedFile[];
  readonly open: readonly Open[];
  /** Files that are gone here, and that the other side changed or took away too. */
  readonly goneHere: readonly RepoPath[];
  /** The other way round. */
  readonly goneThere: readonly RepoPath[];
}

/**
 * Deletions go first, so that an addition is judged by what is left: a file may take the place of a
 * folder only when the folder is empty by then.
 */
function meetChanges(staged: StagedObjects, onto: Oid, changes: readonly TreeChange[], merge: MergeContents): Met {
  const open: Open[] = [];
  const meet = (path: RepoPath, reason: Conflict['reason'], [base, local, remote]: (Leaf | undefined)[]): void => {
    open.push(openConflict(path, reason, { base, local, remote }));
  };
  const merged: MergedFile[] = [];
  const goneHere: RepoPath[] = [];
  const goneThere: RepoPath[] = [];

  const removals = new Map<RepoPath, null>();
  for (const { path, before, after } of changes) {
    if (after !== undefined) continue;
    const current = findEntry(staged, onto, path);
    if (isNoFolder(current) && sameLeaf(current, before)) removals.set(path, null);
    else goneHere.push(path);
    if (!isNoFolder(current)) goneThere.push(path);
    else if (!sameLeaf(current, before)) meet(path, 'deleted_locally', [before, undefined, current]);
  }
  const cleared = editTree(staged, onto, removals);

  const edits = new Map<RepoPath, Leaf | null>();
  for (const { path, before, after } of changes) {
    if (after === undefined) continue;
    const current = findEntry(staged, cleared, path);
    if (before !== undefined && !isNoFolder(current)) goneThere.push(path);
    if ((current !== undefined && !isNoFolder(current)) || hasFileAbove(staged, cleared, path)) {
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
  return { cleared, edits, merged, open, goneHere, goneThere };
}

/** A file that could not be merged. */
interface Open {
  readonly conflict: Conflict;
  readonly local: Leaf | undefined;
  readonly versions: Versions;
  /** Which name the file gets is what has to be decided. */
  readonly contest?: Contest;
}

function openConflict(
  path: RepoPath,
  reason: Conflict['reason'],
  { base, local, remote }: Record<'base' | 'local' | 'remote', Leaf | undefined>,
): Open {
  const oids = { base: base?.oid ?? null, local: local?.oid ?? null, remote: remote?.oid ?? null };
  const versions = { path, base: asLeaf(base), ours: asLeaf(local), theirs: asLeaf(remote) };
  return { conflict: { path, reason, ...oids }, local, versions };
}

function withOrigin(open: Open, carried: Carried | undefined): Open {
  const from = carried?.told.get(open.conflict.path)?.from;
  return from === undefined ? open : { ...open, conflict: { ...open.conflict, from } };
}

function asOpen(contest: Contest): Open {
  const { path, remotePath, from, base, local, remote } = contest;
  const open = openConflict(path, 'renamed_twice', { base, local, remote });
  return { ...open, conflict: { ...open.conflict, from, remotePath }, contest };
}

/** What went along with a rename is told also where one side alone had changed the text. */
function withRenames(merged: readonly MergedFile[], { told }: Carried, open: readonly Open[]): MergedFile[] {
  const left = new Map(told);
  for (const { conflict } of open) left.delete(conflict.path);
  const known = merged.map((file): MergedFile => {
    const origin = left.get(file.path);
    left.delete(file.path);
    if (origin === undefined) return file;
    return { ...file, from: origin.from, rules: [...new Set([...origin.rules, ...file.rules])] };
  });
  return [...known, ...[...left].map(([path, { from, rules }]): MergedFile => ({ path, rules, from }))];
}

function asVerdict(policy: ConflictPolicy): Verdict {
  return { kind: 'policy', policy: policy === 'fail' ? 'copy' : policy };
}

/** The file gets one of its two new names, or both; what both sides made of its text is in each of them, where it merges. */
function settleContest(
  conflict: Conflict,
  { path, remotePath, local, remote, merged }: Contest,
  verdict: Verdict,
  edits: Map<RepoPath, Leaf | null>,
): Settled {
  if (verdict.kind === 'put') {
    const isBoth = verdict.choice === 'both';
    edits.set(path, verdict.leaf);
    edits.set(remotePath, isBoth ? verdict.leaf : null);
    return { ...conflict, kept: verdict.choice === 'edit' ? 'edited' : verdict.choice };
  }
  const { policy } = verdict;
  if (policy !== 'theirs') edits.set(path, merged ?? local);
  edits.set(remotePath, policy === 'ours' ? null : (merged ?? remote));
  return policy === 'copy' ? { ...conflict, kept: 'both', copy: path } : { ...conflict, kept: policy };
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
