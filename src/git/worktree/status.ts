import { type Oid, EMPTY_TREE } from '../ids.js';
import type { GitIndex } from '../index/index-file.js';
import type { ObjectSource } from '../objects/object.js';
import { type Leaf, walkTree } from '../objects/tree.js';
import { type RepoPath, comparePaths } from '../paths.js';
import { asStorageError } from '../../disk/durable.js';
import { isSameType } from './modes.js';
import type { SecondLookFrom } from './second-look.js';
import { findTrackedChanges } from './tracked-changes.js';
import { TrackedFolders } from './tracked-folders.js';
import { findUntracked, type UntrackedOptions } from './untracked.js';
import type { Worktree } from './worktree.js';

export interface WorktreeChange {
  readonly path: RepoPath;
  /**
   * `added`: untracked, intent-to-add, or (staged) new in the index · `type`: file, link and folder of
   * another repository exchanged · `unmerged`: left by a merge of native git
   */
  readonly kind: 'added' | 'modified' | 'deleted' | 'type' | 'unmerged';
  /** false: the file against the index; true: the index against HEAD's tree. */
  readonly staged: boolean;
  /** A folder that is a repository of its own, untracked or a submodule that moved on. It is not ours to commit. */
  readonly nestedRepository?: true;
}

export interface ScanOptions extends UntrackedOptions {
  /** HEAD's tree, to report staged changes too. */
  readonly headTree?: Oid;
  /** Where HEAD's tree is. */
  readonly objects: ObjectSource;
  /** For tests. */
  readonly secondLook?: SecondLookFrom;
}

/**
 * What differs between HEAD's tree, the index and the files; agrees with `git status --porcelain
 * --untracked-files=all`. A file is read only where its stat data cannot tell.
 * @returns in the order of paths
 * @throws KbError E_STORAGE
 */
export function scanChanges(worktree: Worktree, index: GitIndex, options: ScanOptions): WorktreeChange[] {
  try {
    const staged = options.headTree === undefined ? [] : findStaged(index, options.headTree, options.objects);
    const folders = new TrackedFolders(worktree.disk, worktree.root);
    const tracked = findTrackedChanges(worktree, index, folders, options.secondLook);
    const found = [...staged, ...tracked, ...findUntracked(worktree, index, folders, options)];
    return found.sort((a, b) => comparePaths(a.path, b.path) || Number(b.staged) - Number(a.staged));
  } catch (error) {
    throw asStorageError(error, 'look through the work tree');
  }
}

/** Index against HEAD's tree. Free where the index knows its own tree and it is that one. */
function findStaged(index: GitIndex, headTree: Oid, objects: ObjectSource): WorktreeChange[] {
  if (index.cachedRootTree === headTree) return [];
  const inHead = new Map<RepoPath, Leaf>();
  if (headTree !== EMPTY_TREE) walkTree(objects, headTree, (path, leaf) => inHead.set(path, leaf));
  const found: WorktreeChange[] = [];
  for (const entry of index.entries()) {
    const { path, stage, mode } = entry;
    if (stage === 0 && entry.intentToAdd) continue;
    const old = inHead.get(path);
    inHead.delete(path);
    if (stage !== 0) continue;
    if (old === undefined) found.push({ path, kind: 'added', staged: true });
    else if (!isSameType(old.mode, mode)) found.push({ path, kind: 'type', staged: true });
    else if (old.mode !== mode || old.oid !== entry.oid) found.push({ path, kind: 'modified', staged: true });
  }
  for (const path of inHead.keys()) found.push({ path, kind: 'deleted', staged: true });
  return found;
}
