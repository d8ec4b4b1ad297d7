import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../../src/disk/disk.js';
import { operationInProgress } from '../../../../src/git/worktree/unsafe-state.js';
import { git, makeTemporaryDirectory, nativeGit } from '../../../support/native-git.js';

describe('operationInProgress', () => {
  it.each([
    [['MERGE_HEAD'], 'git merge', 'git merge --abort'],
    [['rebase-merge/done'], 'git rebase', 'git rebase --abort'],
    [['rebase-apply/rebasing'], 'git rebase', 'git rebase --abort'],
    [['rebase-apply/applying'], 'git am', 'git am --abort'],
    [['rebase-merge/done', 'CHERRY_PICK_HEAD'], 'git rebase', 'git rebase --abort'],
    [['CHERRY_PICK_HEAD'], 'git cherry-pick', 'git cherry-pick --abort'],
    [['REVERT_HEAD'], 'git revert', 'git revert --abort'],
    [['BISECT_LOG'], 'git bisect', 'git bisect reset'],
  ])('%s: %s', (marks, what, command) => {
    const gitDir = makeTemporaryDirectory();
    for (const mark of marks) {
      mkdirSync(dirname(join(gitDir, mark)), { recursive: true });
      writeFileSync(join(gitDir, mark), '');
    }
    const found = operationInProgress(nodeDisk, gitDir);
    expect(found?.what).toBe(what);
    expect(found?.hint).toContain(command);
  });

  it('finds nothing where nothing is going on', () => {
    expect(operationInProgress(nodeDisk, makeTemporaryDirectory())).toBeUndefined();
  });

  it.skipIf(!nativeGit.available)('finds unmerged files without a merge (needs native git)', () => {
    const root = makeTemporaryDirectory();
    git(root, ['init', '-q']);
    const oid = git(root, ['hash-object', '-w', '--stdin'], { input: 'x' }).trim();
    git(root, ['update-index', '--index-info'], { input: `100644 ${oid} 1\ta.md\n100644 ${oid} 2\ta.md\n` });
    expect(operationInProgress(nodeDisk, join(root, '.git'))?.what).toContain('unmerged');
  });
});
