import type { Disk } from '../../disk/disk.js';
import { GitIndex } from '../index/index-file.js';

export interface OperationInProgress {
  /** What is going on, for example `git rebase`. */
  readonly what: string;
  /** The git commands that end it. */
  readonly hint: string;
}

/**
 * Native git's half-done operations, by the marks they leave in its folder. Order matters: a rebase that
 * stopped at a conflict also leaves CHERRY_PICK_HEAD, and must be ended as a rebase.
 * Source: gitrepository-layout(5) and the state shown by git-status(1).
 */
const MARKS: readonly (readonly [file: string, what: string, hint: string])[] = [
  ['rebase-apply/applying', 'git am', 'finish it with: git am --continue, or end it with: git am --abort'],
  ['rebase-apply', 'git rebase', 'finish it with: git rebase --continue, or end it with: git rebase --abort'],
  ['rebase-merge', 'git rebase', 'finish it with: git rebase --continue, or end it with: git rebase --abort'],
  ['MERGE_HEAD', 'git merge', 'finish it with: git merge --continue, or end it with: git merge --abort'],
  [
    'CHERRY_PICK_HEAD',
    'git cherry-pick',
    'finish it with: git cherry-pick --continue, or end it with: git cherry-pick --abort',
  ],
  ['REVERT_HEAD', 'git revert', 'finish it with: git revert --continue, or end it with: git revert --abort'],
  [
    'sequencer/todo',
    'git cherry-pick or git revert',
    'finish it with: git cherry-pick --continue, or end it with: git cherry-pick --abort',
  ],
  ['BISECT_LOG', 'git bisect', 'end it with: git bisect reset'],
];

/**
 * Whether native git is in the middle of something that kb must not write into.
 * @param index saves reading it again where the caller has it
 */
export function operationInProgress(disk: Disk, gitDir: string, index?: GitIndex): OperationInProgress | undefined {
  for (const [file, what, hint] of MARKS) {
    if (disk.lstatSync(`${gitDir}/${file}`, { throwIfNoEntry: false }) !== undefined) return { what, hint };
  }
  const unmerged = (index ?? GitIndex.read(disk, gitDir)).unmergedPaths();
  if (unmerged.length === 0) return undefined;
  return {
    what: `unmerged files (${unmerged.length})`,
    hint: 'resolve them, then: git add FILE and git commit; or give the merge up with: git reset --merge',
  };
}
