import type { GitIndex } from '../git/index/index-file.js';
import type { Leaf } from '../git/objects/tree.js';
import type { RepoPath } from '../git/paths.js';
import { Folders } from '../git/worktree/folders.js';
import { GITLINK } from '../git/worktree/modes.js';
import type { Kb } from './open.js';

/** The folders that belong to other repositories, in the order of paths; kb leaves what is in them alone. */
export function submodulesIn(index: GitIndex): RepoPath[] {
  if (!index.mayHold(GITLINK)) return [];
  const paths: RepoPath[] = [];
  for (const walk = index.walk(); walk.next();) if (walk.mode === GITLINK) paths.push(walk.path);
  return paths;
}

/** @param paths at least one */
export function submodulesLeftAlone(paths: readonly string[]): string {
  const named = `${paths.slice(0, 3).join(', ')}${paths.length > 3 ? `, and ${paths.length - 3} more` : ''}`;
  return paths.length === 1
    ? `the submodule ${named} is left as it is`
    : `${paths.length} submodules are left as they are: ${named}`;
}

/**
 * What the folder of a submodule counts for: the commit that git's index records, whatever is checked out there. So a
 * folder is never taken for a deletion, and another commit is recorded only by who says so (`git add`).
 * @returns undefined where git has no submodule, or its folder is gone
 */
export function submoduleAt(kb: Pick<Kb, 'worktree'>, index: GitIndex, path: RepoPath): Leaf | undefined {
  const entry = index.get(path);
  if (entry?.mode !== GITLINK || entry.intentToAdd) return undefined;
  const { disk, root } = kb.worktree;
  return new Folders(disk, root).state(path).kind === 'folder' ? { mode: GITLINK, oid: entry.oid } : undefined;
}
