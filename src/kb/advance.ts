import { join } from 'node:path';
import { removeFile, writeFileAtomic } from '../disk/durable.js';
import { EMPTY_TREE, type Oid, type RefName } from '../git/ids.js';
import { IndexLock, type GitIndex, type NewEntry } from '../git/index/index-file.js';
import { readCommit } from '../git/objects/commit.js';
import { diffTrees, type TreeChange } from '../git/objects/tree-diff.js';
import type { RepoPath } from '../git/paths.js';
import type { Kb } from './open.js';
import { kbDirectory } from './kb-directory.js';

/** The branch, index and work tree on their way from one state to the next. */
export interface Advance {
  readonly branch: RefName;
  /** What the branch holds now; null: no commit yet. */
  readonly from: Oid | null;
  readonly to: Oid;
  /** The tree whose files lie in the work tree now: of `from`, or of the commit made of local edits. */
  readonly fromTree: Oid;
}

export interface AdvanceContext {
  /** Formatted committer, for the reflog. */
  readonly who: string;
  readonly message: string;
  /** Throws when the KB's lock is no longer ours; called before the index and before the ref is replaced. */
  readonly fence: () => void;
  /** Index entries of local edits that were committed as they lie in the work tree. */
  readonly entries?: ReadonlyMap<RepoPath, NewEntry | null>;
  /** The index as the cycle has read it; taken if it is still the same. */
  readonly index?: GitIndex;
  /** From `fromTree` to the tree of `to`, where that is known already. */
  readonly changes?: readonly TreeChange[];
}

export const JOURNAL = 'advance.json';

/**
 * Moves work tree, index and branch to a commit whose objects are all stored.
 *
 * Invariant: the branch moves last, and from the first changed file until then a journal names both
 * states. A crash in between leaves a work tree that is partly new; the next cycle finishes the same
 * advance (`finishInterruptedAdvance`) before it looks at local edits, so that half an advance is never
 * taken for somebody's edit. (Broken by: test/integration/advance.test.ts)
 * @throws KbError E_UNSAFE_STATE (index.lock or ref lock held, branch moved meanwhile), E_STORAGE, E_LOCK_LOST
 */
export function advance(kb: Kb, step: Advance, context: AdvanceContext): void {
  context.fence();
  writeJournal(kb, step);
  const changes = context.changes ?? diffTrees(kb.objects, step.fromTree, readCommit(kb.objects, step.to).tree);
  carryOut(kb, step, context, changes);
  removeJournal(kb);
}

/** From now on whoever finds this KB after a crash carries the step out. */
export function writeJournal(kb: Kb, step: Advance): void {
  writeFileAtomic(kb.surroundings.disk, join(kbDirectory(kb), JOURNAL), JSON.stringify({ version: 1, ...step }));
}

export function removeJournal(kb: Kb): void {
  removeFile(kb.surroundings.disk, join(kb.gitDir, 'kb', JOURNAL));
}

/** The steps of an advance that a crash may have left undone; the same ones again end in the same state. */
export function carryOut(kb: Kb, step: Advance, context: AdvanceContext, changes: readonly TreeChange[]): void {
  const { disk } = kb.surroundings;
  const tree = readCommit(kb.objects, step.to).tree;
  const lock = IndexLock.acquire(disk, kb.gitDir, {
    fence: context.fence,
    marks: kb.lockMarks,
    statOf: (path) => kb.worktree.stat(path),
    ...(context.index === undefined ? {} : { known: context.index }),
  });
  try {
    const entries = new Map<RepoPath, NewEntry | null>(context.entries ?? []);
    const applied = kb.worktree.apply(changes, kb.objects, { keepOthers: true, index: lock.index });
    for (const [path, entry] of applied) entries.set(path, entry);
    context.fence();
    lock.commit(entries, { source: kb.objects, root: tree });
  } finally {
    lock.release();
  }
  if (step.from === step.to) return;
  if (kb.refs.resolve(step.branch) === step.to) return;
  kb.refs.update({
    name: step.branch,
    to: step.to,
    expected: step.from,
    message: context.message,
    who: context.who,
    fence: context.fence,
  });
}

/** The tree of the branch's commit, or the empty one. */
export function treeOf(kb: Kb, commit: Oid | undefined): Oid {
  return commit === undefined ? EMPTY_TREE : readCommit(kb.objects, commit).tree;
}
