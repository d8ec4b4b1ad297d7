import type { Identities } from '../../config/identity.js';
import { asRefName, type Oid, type RefName } from '../../git/ids.js';
import type { FileStat, GitIndex } from '../../git/index/index-file.js';
import { readCommit, serializeCommit } from '../../git/objects/commit.js';
import { hashObject, type ObjectSource } from '../../git/objects/object.js';
import { StagedObjects } from '../../git/objects/staged.js';
import { findEntry, TREE_MODE, type FileMode, type Leaf } from '../../git/objects/tree.js';
import { diffTrees } from '../../git/objects/tree-diff.js';
import { editTree } from '../../git/objects/tree-edit.js';
import type { RepoPath } from '../../git/paths.js';
import { UNKNOWN_STAT } from '../../git/worktree/modes.js';
import { pathProblem } from '../../git/worktree/path-rules.js';
import { treeOf } from '../advance.js';
import { scanLocalEdits } from '../local-edits.js';
import type { Kb } from '../open.js';
import { submoduleAt } from '../submodules.js';

/** A file that differed from the last commit before the command started. null: not there. */
export interface DirtyFile {
  readonly work: Leaf | null;
  /** What git's index held. */
  readonly index: Leaf | null;
}

export type DirtyFiles = ReadonlyMap<RepoPath, DirtyFile>;

/** While the run goes on, this keeps native git's housekeeping from what was uncommitted before it. */
export function snapshotRef(runId: string): RefName {
  return asRefName(`refs/kb/run/${runId}`);
}

/**
 * What people have not committed yet, made a commit that no branch knows: its tree is the work tree, its last parent
 * holds the index, as git's own stash has it. The run's commit leaves these edits alone, and a run that failed puts
 * them back.
 * @returns undefined where nothing is uncommitted
 */
export function takeSnapshot(
  kb: Kb,
  { head, index, identities }: { head: Oid | undefined; index: GitIndex; identities: Identities },
  message = 'kb run: uncommitted before it',
): Oid | undefined {
  const edits = scanLocalEdits(kb, index, head).filter(({ path }) => pathProblem(path) === undefined);
  if (edits.length === 0) return undefined;
  const staged = new StagedObjects(kb.objects);
  const work = new Map<RepoPath, Leaf | null>();
  const inIndex = new Map<RepoPath, Leaf | null>();
  for (const { path } of edits) {
    work.set(path, lookAtFile(kb, index, path, staged)?.leaf ?? null);
    inIndex.set(path, leafInIndex(index, path));
  }
  const base = treeOf(kb, head);
  const commit = (tree: Oid, parents: readonly Oid[], message: string): Oid =>
    staged.add('commit', serializeCommit({ tree, parents, ...identities, message }));
  const parents = head === undefined ? [] : [head];
  const indexCommit = commit(editTree(staged, base, inIndex), parents, `${message}: the index\n`);
  const oid = commit(editTree(staged, base, work), [...parents, indexCommit], `${message}\n`);
  staged.persist();
  return oid;
}

/** @param base the branch when the snapshot was taken */
export function readSnapshot(kb: Kb, base: Oid | undefined, snapshot: Oid | null): DirtyFiles {
  const dirty = new Map<RepoPath, DirtyFile>();
  if (snapshot === null) return dirty;
  const { objects } = kb;
  const { tree, parents } = readCommit(objects, snapshot);
  const indexTree = treeOf(kb, parents.at(-1));
  const baseTree = treeOf(kb, base);
  for (const { path } of [...diffTrees(objects, baseTree, tree), ...diffTrees(objects, baseTree, indexTree)])
    dirty.set(path, { work: leafAt(objects, tree, path), index: leafAt(objects, indexTree, path) });
  return dirty;
}

/** A file as it is on disk. */
export interface SeenFile {
  readonly leaf: Leaf;
  /** Taken before the content was read: a write in between then makes an index entry look changed, never clean. */
  readonly stat: FileStat;
}

/** @param staged takes the content; without it only its id is found out */
export function lookAtFile(kb: Kb, index: GitIndex, path: RepoPath, staged?: StagedObjects): SeenFile | undefined {
  const submodule = submoduleAt(kb, index, path);
  if (submodule !== undefined) return { leaf: submodule, stat: UNKNOWN_STAT };
  const recordedMode = index.get(path)?.mode as FileMode | undefined;
  const stat = kb.worktree.stat(path, recordedMode);
  const file =
    stat === undefined
      ? undefined
      : kb.worktree.readFile(path, recordedMode, staged === undefined ? 'compare' : 'keep');
  if (stat === undefined || file === undefined) return undefined;
  const oid = staged === undefined ? hashObject('blob', file.data) : staged.add('blob', file.data);
  return { leaf: { mode: file.mode, oid }, stat };
}

/** What `git add --intent-to-add` leaves is no content yet. */
export function leafInIndex(index: GitIndex, path: RepoPath): Leaf | null {
  const entry = index.get(path);
  return entry === undefined || entry.intentToAdd ? null : { mode: entry.mode as FileMode, oid: entry.oid };
}

export function leafAt(source: ObjectSource, tree: Oid, path: RepoPath): Leaf | null {
  const entry = findEntry(source, tree, path);
  return entry === undefined || entry.mode === TREE_MODE ? null : { mode: entry.mode, oid: entry.oid };
}

/** null, undefined: no file */
export function sameLeaf(a: Leaf | null | undefined, b: Leaf | null | undefined): boolean {
  return a?.oid === b?.oid && a?.mode === b?.mode;
}
