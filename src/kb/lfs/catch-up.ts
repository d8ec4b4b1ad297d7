import { IndexLock, GitIndex } from '../../git/index/index-file.js';
import type { Leaf } from '../../git/objects/tree.js';
import type { RepoPath } from '../../git/paths.js';
import { parsePointer, type Pointer } from '../../lfs/pointer.js';
import { treeOf } from '../advance.js';
import type { Kb } from '../open.js';
import { fetchLargeFiles, type LfsRemote } from './bring.js';
import { leftOutFiles, rememberLeftOut } from './left-out.js';
import { lfsStore } from './place.js';

interface Waiting {
  readonly path: RepoPath;
  readonly leaf: Leaf;
  readonly pointer: Pointer;
}

/**
 * Tries again to get what an earlier command could not, and puts it in the place of the pointers that lie there since.
 * For who holds the KB's lock. Costs one look where nothing is missing.
 * @throws KbError as bringLargeFiles; E_UNSAFE_STATE when native git holds the index
 */
export async function catchUpLargeFiles(kb: Kb, from: () => LfsRemote | undefined, fence: () => void): Promise<void> {
  const { disk } = kb.surroundings;
  const paths = leftOutFiles(disk, kb.gitDir);
  if (paths.length === 0) return;
  const waiting = stillPointers(kb, paths);
  const tree = treeOf(kb, kb.refs.head().oid);
  const missing = new Set(await fetchLargeFiles(kb, waiting, { tree, objects: kb.objects, from }));
  const isHere = lfsStore({ disk, gitDir: kb.gitDir, gitConfig: kb.gitConfig });
  const come = waiting.filter((file) => !missing.has(file) && isHere.has(file.pointer)).map(({ path }) => path);
  if (come.length > 0) replacePointers(kb, come, fence);
  rememberLeftOut(
    disk,
    kb.gitDir,
    [...missing].map(({ path }) => path),
  );
}

/** Those whose file still holds the very pointer; any other is somebody's edit, or was fetched by git-lfs. */
function stillPointers(kb: Kb, paths: readonly RepoPath[]): Waiting[] {
  const index = GitIndex.read(kb.surroundings.disk, kb.gitDir);
  return paths.flatMap((path) => {
    const entry = index.get(path);
    const stats = kb.worktree.stat(path) === undefined ? undefined : kb.worktree.lstat(path);
    if (entry === undefined || stats?.isFile() !== true) return [];
    if (!kb.worktree.isByteForByte(path, stats, entry.oid)) return [];
    const pointer = parsePointer(kb.objects.read(entry.oid).data);
    const leaf = { mode: entry.mode, oid: entry.oid } as Leaf;
    return pointer === undefined ? [] : [{ path, leaf, pointer }];
  });
}

/** Looked at once more and written without a pause in between: an edit of somebody else is not overwritten. */
function replacePointers(kb: Kb, paths: readonly RepoPath[], fence: () => void): void {
  const { disk } = kb.surroundings;
  const lock = IndexLock.acquire(disk, kb.gitDir, {
    fence,
    marks: kb.lockMarks,
    statOf: (path) => kb.worktree.stat(path),
  });
  try {
    const changes = stillPointers(kb, paths).map(({ path, leaf }) => ({ path, before: leaf, after: leaf }));
    const entries = kb.worktree.apply(changes, kb.objects, {});
    fence();
    lock.commit(entries, { source: kb.objects, root: treeOf(kb, kb.refs.head().oid) });
  } finally {
    lock.release();
  }
}
