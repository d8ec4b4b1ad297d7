import { KbError } from '../../errors.js';
import type { Oid } from '../../git/ids.js';
import { GitIndex } from '../../git/index/index-file.js';
import { StagedObjects } from '../../git/objects/staged.js';
import { diffTrees } from '../../git/objects/tree-diff.js';
import type { RepoPath } from '../../git/paths.js';
import { treeOf } from '../advance.js';
import { countChanges, type CountedChange } from '../changes.js';
import { requireSafeState } from '../safe-state.js';
import type { Before } from './begin.js';
import { trackedTip, type RunContext } from './context.js';
import { findRunEdits, treeWithEdits, type RunEdit } from './run-edits.js';
import { sameLeaf } from './snapshot.js';

/** The KB after the command. */
export interface After {
  /** The branch: commands inside the run, and native git, may have moved it. */
  readonly head: Oid | undefined;
  readonly tracking: Oid | undefined;
  readonly edits: readonly RunEdit[];
  readonly staged: StagedObjects;
}

/**
 * What differs now from what was there before the command.
 * @param ignoreRules see EditsRequest
 * @throws KbError E_UNSAFE_STATE when the command left the branch, or something of native git unfinished
 */
export function lookAfter(
  { kb, program, warn }: RunContext,
  { branch, dirty }: Before,
  ignoreRules: 'now' | 'before',
): After {
  const index = GitIndex.read(kb.surroundings.disk, kb.gitDir);
  requireSafeState(kb, index);
  const now = kb.refs.head();
  if (now.branch !== branch.ref) {
    throw new KbError('E_UNSAFE_STATE', `${program} left the branch ${branch.name}`, {
      hint: `commit what it changed with: kb sync; then go back with: kb switch ${branch.name}`,
    });
  }
  const staged = new StagedObjects(kb.objects);
  const onUnusable = (path: RepoPath, why: string): void => warn(`left alone: ${JSON.stringify(path)}: ${why}`);
  const common = { head: now.oid, index, base: branch.commit, dirty, staged, ignoreRules };
  const edits = findRunEdits(kb, { ...common, ...(ignoreRules === 'now' ? { onUnusable } : {}) });
  return { head: now.oid, tracking: trackedTip(kb, branch.name), edits, staged };
}

/** The file itself is not what it was, and not only git's index of it. */
export function isContent({ now, before }: RunEdit): boolean {
  return !sameLeaf(now, before);
}

/** Whether commits were made while the command ran that are not on the remote. */
export function hasOwnCommits({ branch }: Before, { head, tracking }: After): boolean {
  return head !== branch.commit && head !== tracking;
}

/** The run's changes as a person would tell them: these edits, and what it has committed itself. */
export function changesOf(
  { kb }: RunContext,
  before: Before,
  after: After,
  edits: readonly RunEdit[],
): CountedChange[] {
  const { head, staged } = after;
  const tree = treeWithEdits(staged, treeOf(kb, head), edits, before.dirty);
  return countChanges(staged, diffTrees(staged, treeOf(kb, ownCommitsSince(before, after)), tree));
}

/** Every path that the run changed, committed or not. */
export function changedPaths({ kb }: RunContext, before: Before, after: After): RepoPath[] {
  const committed = diffTrees(kb.objects, treeOf(kb, ownCommitsSince(before, after)), treeOf(kb, after.head));
  return [...new Set([...after.edits.filter(isContent), ...committed].map(({ path }) => path))];
}

/**
 * Where commits begin that the command made on the branch. Where the remote was looked at meanwhile, by a kb inside,
 * there is no telling them from those that came in.
 */
function ownCommitsSince({ branch, tracking }: Before, after: After): Oid | undefined {
  return after.tracking === tracking ? branch.commit : after.head;
}
