import { join } from 'node:path';
import { asStorageError, removeFile, writeFileAtomic } from '../disk/durable.js';
import { isKbError } from '../errors.js';
import { asRefName, shortName, type Oid, type RefName } from '../git/ids.js';
import { IndexLock, type GitIndex, type NewEntry } from '../git/index/index-file.js';
import { diffTrees, type TreeChange } from '../git/objects/tree-diff.js';
import type { RepoPath } from '../git/paths.js';
import { UNKNOWN_STAT } from '../git/worktree/modes.js';
import { treeOf } from './advance.js';
import { kbDirectory } from './kb-directory.js';
import type { Kb } from './open.js';

/** HEAD, index and work tree on their way from one branch to another. */
export interface SwitchStep {
  /** What HEAD holds: a branch, or a commit where none is checked out. */
  readonly from: RefName | Oid;
  /** null: no commit yet. */
  readonly fromCommit: Oid | null;
  readonly to: RefName;
  /** null: no commit yet. */
  readonly toCommit: Oid | null;
  /** The branch is made by this step; the reflog says from what. null: it is there already. */
  readonly createdFrom: string | null;
  /** The tree of the files as they lie there, uncommitted ones too. */
  readonly fromFiles: Oid;
  /** The tree of the files as they are to be: of `toCommit`, with the uncommitted edits upon it. */
  readonly toFiles: Oid;
  /** Holds what was uncommitted until the step is done; null: nothing was, or it is to stay saved. */
  readonly saved: RefName | null;
}

export interface SwitchContext {
  /** Formatted committer, for the reflog. */
  readonly who: string;
  /** Throws when the KB's lock is no longer ours. */
  readonly fence: () => void;
  /** The index as it was read before; taken if it is still the same. */
  readonly index?: GitIndex;
}

export const SWITCH_JOURNAL = 'switch.json';

/**
 * Goes to the other branch.
 *
 * Invariant: HEAD moves last, and from the first changed file until then a journal names both states, and a ref holds
 * all that was uncommitted. Whoever has the lock next finishes the same step (recover-switch.ts) before it looks at
 * anything: files of the one branch are never taken for edits of the other. (Broken by: crash-points.test.ts, "a switch
 * with uncommitted work")
 * @throws KbError E_UNSAFE_STATE (index.lock or HEAD.lock held, HEAD moved meanwhile), E_STORAGE, E_LOCK_LOST
 */
export function switchFiles(kb: Kb, step: SwitchStep, context: SwitchContext): void {
  context.fence();
  const journal = JSON.stringify({ version: 1, ...step });
  writeFileAtomic(kb.surroundings.disk, join(kbDirectory(kb), SWITCH_JOURNAL), journal);
  carryOutSwitch(kb, step, context, diffTrees(kb.objects, step.fromFiles, step.toFiles));
  closeSwitch(kb, step, context);
}

/** The steps that a crash may have left undone; the same ones again end in the same state. */
export function carryOutSwitch(kb: Kb, step: SwitchStep, context: SwitchContext, changes: readonly TreeChange[]): void {
  const tree = treeOf(kb, step.toCommit ?? undefined);
  const committed = diffTrees(kb.objects, treeOf(kb, step.fromCommit ?? undefined), tree);
  const lock = IndexLock.acquire(kb.surroundings.disk, kb.gitDir, {
    fence: context.fence,
    marks: kb.lockMarks,
    statOf: (path) => kb.worktree.stat(path),
    ...(context.index === undefined ? {} : { known: context.index }),
  });
  try {
    const applied = kb.worktree.apply(changes, kb.objects, { keepOthers: true, index: lock.index });
    const entries = new Map<RepoPath, NewEntry | null>();
    for (const { path, after } of committed) {
      const file = applied.get(path);
      const isWhole = file !== undefined && file !== null && file.oid === after?.oid && file.mode === after.mode;
      const skipWorktree = isWhole && file.skipWorktree === true;
      const stat = isWhole ? file.stat : UNKNOWN_STAT;
      entries.set(path, after === undefined ? null : { ...after, stat, skipWorktree });
    }
    context.fence();
    lock.commit(entries, { source: kb.objects, root: tree });
  } finally {
    lock.release();
  }
  const { from, to, toCommit, createdFrom } = step;
  const { who, fence } = context;
  if (createdFrom !== null && toCommit !== null && kb.refs.resolve(to) === undefined) {
    const message = `branch: Created from ${createdFrom}`;
    kb.refs.update({ name: to, to: toCommit, expected: null, message, who, fence });
  }
  kb.refs.setSymbolic(asRefName('HEAD'), to, {
    expected: from,
    message: `checkout: moving from ${shortName(from as RefName)} to ${shortName(to)}`,
    who,
    fence,
  });
}

/**
 * The journal goes first: without it nobody needs what was saved, and with it everybody does. From then on the switch is
 * done, and a disk that is full is no failure of it: what came along is just saved once more than needed.
 */
export function closeSwitch(kb: Kb, { saved }: SwitchStep, { who, fence }: SwitchContext): void {
  removeFile(kb.surroundings.disk, join(kb.gitDir, 'kb', SWITCH_JOURNAL));
  if (saved === null || kb.refs.resolve(saved) === undefined) return;
  try {
    kb.refs.update({ name: saved, to: null, message: 'kb switch: restored', who, fence });
  } catch (thrown) {
    const error = asStorageError(thrown, `remove ${saved}`);
    if (!isKbError(error, 'E_STORAGE')) throw error;
    kb.surroundings.report({ kind: 'warning', text: `${error.message}; what came along is saved there as well` });
  }
}
