import { join } from 'node:path';
import { namesIn, readFileIfExists } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { shortName, type RefName } from '../../git/ids.js';
import type { LocalRepository } from './repository.js';

/**
 * Why the branch must not be moved from outside, or undefined. Moving a branch that is checked out
 * somewhere would make its work tree look as if all that is new had been deleted there.
 * Source of the rule: git-config(1), receive.denyCurrentBranch.
 */
export function checkedOutRefusal(disk: Disk, repository: LocalRepository, ref: RefName): string | undefined {
  if (!isCheckedOut(disk, repository, ref)) return undefined;
  const rule = (repository.config.get('receive.denycurrentbranch') ?? 'refuse').toLowerCase();
  if (['ignore', 'warn', 'false', 'no', 'off', '0'].includes(rule)) return undefined;
  const branch = shortName(ref);
  if (rule === 'updateinstead') {
    return `the branch ${branch} is checked out in ${repository.gitDir}, and kb does not update another work tree (receive.denyCurrentBranch=updateInstead)`;
  }
  return `the branch ${branch} is checked out in ${repository.gitDir}: share a bare repository instead, or check out another branch there`;
}

function isCheckedOut(disk: Disk, repository: LocalRepository, ref: RefName): boolean {
  const heads = repository.bare ? [] : [join(repository.gitDir, 'HEAD')];
  // linked work trees (git worktree add) belong to bare repositories, too
  for (const name of namesIn(disk, join(repository.gitDir, 'worktrees'))) {
    heads.push(join(repository.gitDir, 'worktrees', name, 'HEAD'));
  }
  return heads.some((head) => readFileIfExists(disk, head)?.toString('utf8').trim() === `ref: ${ref}`);
}
