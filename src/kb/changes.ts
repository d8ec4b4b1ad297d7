import type { TreeChange } from '../git/objects/tree-diff.js';
import type { RepoPath } from '../git/paths.js';

/** A changed file as commands report it. */
export interface FileChange {
  readonly path: RepoPath;
  readonly kind: 'added' | 'modified' | 'deleted';
}

export function describeChanges(changes: readonly TreeChange[]): FileChange[] {
  return changes.map(({ path, before, after }) => ({
    path,
    kind: before === undefined ? 'added' : after === undefined ? 'deleted' : 'modified',
  }));
}
