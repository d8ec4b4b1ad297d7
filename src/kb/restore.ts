import { KbError } from '../errors.js';
import type { Oid, RefName } from '../git/ids.js';
import { GitIndex } from '../git/index/index-file.js';
import { readCommit } from '../git/objects/commit.js';
import { StagedObjects } from '../git/objects/staged.js';
import type { Leaf } from '../git/objects/tree.js';
import { diffTrees, type TreeChange } from '../git/objects/tree-diff.js';
import { editTree } from '../git/objects/tree-edit.js';
import type { RepoPath } from '../git/paths.js';
import { pathProblem } from '../git/worktree/path-rules.js';
import { treeOf } from './advance.js';
import { applyChanges, type Applied, type Conflict, type MergedFile } from './apply-changes.js';
import { loadMerge, type MergeContents } from './merge-contents.js';
import { countChanges, type CountedChange } from './changes.js';
import { runCycleUnder } from './cycle.js';
import { holdKb } from './hold.js';
import { bringChangedLargeFiles } from './lfs/bring.js';
import { lfsRemoteOf } from './lfs/kb-remote.js';
import { scanLocalEdits } from './local-edits.js';
import { checkedOutBranch, type Kb } from './open.js';
import { upstreamOf } from './upstream.js';
import { loadRenames } from './renames/load.js';
import { lookAtFile } from './run/snapshot.js';

const SAVED = 'refs/kb/stash/';

/** Changes of a `kb run` that failed, or what a `kb switch` has left behind. */
export interface SavedChanges {
  readonly ref: RefName;
  readonly commit: Oid;
  /** ISO 8601, of the moment when they were saved. */
  readonly savedAt: string;
  /** Why they were not committed. */
  readonly reason: string;
}

export interface RestoreRequest {
  /** A name as `listSaved` gives it, or its last part. */
  readonly ref: string;
  /** What becomes of files that were changed since then in the same place: nothing is restored, or a copy is put beside. */
  readonly onConflict: 'fail' | 'copy';
}

export interface RestoreResult {
  readonly ref: RefName;
  /** What is different in the files now. */
  readonly changes: readonly CountedChange[];
  readonly merged: readonly MergedFile[];
  /** Where versions went that could not be merged. */
  readonly copies: readonly RepoPath[];
}

/** The newest first. */
export function listSaved(kb: Kb): SavedChanges[] {
  return [...kb.refs.list(SAVED)]
    .map(([ref, commit]) => {
      const { committer, message } = readCommit(kb.objects, commit);
      const savedAt = new Date(committer.timestamp * 1000).toISOString();
      return { ref, commit, savedAt, reason: message.replace(/^kb (run|switch): /, '').trim() };
    })
    .reverse();
}

/**
 * Brings changes that a failed `kb run` had saved back into the files, merged with what is in them now, and commits
 * nothing. They stay saved: doing it again changes nothing more.
 * @throws KbError E_USAGE (no such name), E_CONFLICT (details.conflicts; nothing was changed), E_UNSAFE_STATE, E_STORAGE
 */
export async function restoreSaved(kb: Kb, request: RestoreRequest): Promise<RestoreResult> {
  return holdKb(kb, 'restore', async (hold) => {
    // What a dead command left is mended first, as before any other change.
    await runCycleUnder(kb, { operation: 'restore', pull: false, push: false }, hold);
    const { ref, commit } = findSaved(kb, request.ref);
    const { tree, parents } = readCommit(kb.objects, commit);
    const base = treeOf(kb, parents[0]);
    const changes = diffTrees(kb.objects, base, tree);
    const staged = new StagedObjects(kb.objects);
    const now = treeOfFiles(kb, staged, changes);
    const renames = await loadRenames(kb);
    const mark = `saved ${new Date(kb.surroundings.clock.wall()).toISOString().slice(0, 10)}`;
    const applied = applyChanges(
      staged,
      now,
      changes,
      { policy: request.onConflict, mark },
      await loadMergeOfKnown(kb),
      renames && { carry: renames, base, local: tree },
    );
    if (applied.conflicts.length > 0) throw inTheWay(ref, applied.conflicts);
    const difference = diffTrees(staged, now, applied.tree);
    const upstream = upstreamOf(kb, checkedOutBranch(kb).name);
    await bringChangedLargeFiles(kb, difference, {
      tree: applied.tree,
      objects: staged,
      index: () => GitIndex.read(kb.surroundings.disk, kb.gitDir),
      from: () => (upstream === undefined ? undefined : lfsRemoteOf(kb, upstream, 'download')),
    });
    hold.assertHeld();
    kb.worktree.apply(difference, staged, { keepOthers: true, alsoLeftOut: true });
    return {
      ref,
      changes: countChanges(staged, difference),
      merged: applied.merged,
      copies: copiesOf(applied),
    };
  });
}

function findSaved(kb: Kb, name: string): SavedChanges {
  const saved = listSaved(kb);
  const found = saved.find(({ ref }) => ref === name || ref === `${SAVED}${name}`);
  if (found !== undefined) return found;
  throw new KbError('E_USAGE', `nothing is saved as ${name}`, {
    hint: saved.length === 0 ? 'nothing is saved at all' : 'see what there is: kb restore',
  });
}

/**
 * A saved new file is not put into a file that stands in its place meanwhile: that one may be ignored, and its text
 * nowhere but there.
 */
async function loadMergeOfKnown(kb: Kb): Promise<MergeContents> {
  const merge = await loadMerge(kb);
  return (contents) => (contents.base === undefined ? { kind: 'conflict', reason: 'overlap' } : merge(contents));
}

/** A tree of the files as they are: the last commit with all that was edited since, and what is ignored in the changes' places. */
function treeOfFiles(kb: Kb, staged: StagedObjects, changes: readonly TreeChange[]): Oid {
  const index = GitIndex.read(kb.surroundings.disk, kb.gitDir);
  const head = kb.refs.head().oid;
  const paths = [...scanLocalEdits(kb, index, head), ...changes].map(({ path }) => path);
  const leaves = new Map<RepoPath, Leaf | null>();
  for (const path of paths) {
    if (pathProblem(path) === undefined && !kb.worktree.isLeftOut(path))
      leaves.set(path, lookAtFile(kb, index, path, staged)?.leaf ?? null);
  }
  return editTree(staged, treeOf(kb, head), leaves);
}

function copiesOf({ settled }: Applied): RepoPath[] {
  return settled.flatMap(({ copy }) => (copy === undefined ? [] : [copy]));
}

function inTheWay(ref: RefName, conflicts: readonly Conflict[]): KbError {
  const named = conflicts.slice(0, 3).map(({ path }) => path);
  const more = conflicts.length > 3 ? ` and ${conflicts.length - 3} more` : '';
  return new KbError(
    'E_CONFLICT',
    `${named.join(', ')}${more} changed since then in the same place; nothing was restored, the changes stay saved as ${ref}`,
    { hint: `put the saved versions beside them: kb restore ${ref} --on-conflict copy`, details: { conflicts, ref } },
  );
}
