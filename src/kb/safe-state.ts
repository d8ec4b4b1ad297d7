import { isErrno } from '../disk/durable.js';
import { systemTiming, type LockTiming } from '../disk/lock-file.js';
import { KbError } from '../errors.js';
import type { IndexEntry } from '../git/index/entry.js';
import { GitIndex, type NewEntry } from '../git/index/index-file.js';
import type { TreeChange } from '../git/objects/tree-diff.js';
import type { RepoPath } from '../git/paths.js';
import type { Obstacle } from '../git/worktree/obstacles.js';
import { operationInProgress } from '../git/worktree/unsafe-state.js';
import { join } from 'node:path';
import type { Kb } from './open.js';

/**
 * Refuses to start a cycle where native git is in the middle of something, or where the KB's content
 * claims the lock's own path.
 * @throws KbError E_UNSAFE_STATE; nothing was changed
 */
export function requireSafeState(kb: Kb, index: GitIndex): void {
  const operation = operationInProgress(kb.surroundings.disk, kb.gitDir, index);
  if (operation !== undefined) {
    throw new KbError('E_UNSAFE_STATE', `not finished here: ${operation.what}`, { hint: operation.hint });
  }
  const lockPath = '.kb_operations.lock' as RepoPath;
  if (index.get(lockPath) !== undefined || index.hasUnder(lockPath)) {
    throw new KbError('E_UNSAFE_STATE', 'this repository tracks .kb_operations.lock, the path of the lock itself', {
      hint: 'take it out of the repository: git rm -r --cached .kb_operations.lock, commit and push',
    });
  }
  requireFreeIndex(kb);
}

/** As long as kb waits for the lock itself before it writes the index, in milliseconds. */
const INDEX_WAIT_MS = 1000;
const PAUSE_MS = 20;

/**
 * index.lock is native git's own lock on index and work tree; it is respected before anything leaves for the remote. A
 * `git status` of an editor holds it for some milliseconds, again and again: that is waited for.
 * @throws KbError E_UNSAFE_STATE when it is held for longer
 */
export function requireFreeIndex(kb: Kb, timing: Pick<LockTiming, 'now' | 'sleep'> = systemTiming): void {
  const lock = join(kb.gitDir, 'index.lock');
  for (const deadline = timing.now() + INDEX_WAIT_MS; timing.now() <= deadline; timing.sleep(PAUSE_MS)) {
    try {
      kb.surroundings.disk.lstatSync(lock);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return;
      throw error;
    }
  }
  throw new KbError('E_UNSAFE_STATE', `another git process holds ${lock}`, {
    hint: 'wait until it is done; if it crashed: kb unlock',
  });
}

/**
 * Refuses edits that were looked for while native git was changing files. It takes files away before the index says that
 * they are to be gone (`git sparse-checkout set`, `git checkout`), under its lock on the index: what is half done then
 * looks like somebody's edits, and would be shared as such.
 * @param index as read before the files were looked at
 * @throws KbError E_UNSAFE_STATE (retryable)
 */
export function requireSameIndex(kb: Kb, index: GitIndex): void {
  const { disk } = kb.surroundings;
  requireFreeIndex(kb);
  if (index.isStillThere(disk, kb.gitDir) || holdSame(index, GitIndex.read(disk, kb.gitDir))) return;
  throw new KbError('E_UNSAFE_STATE', 'another git process changed files here while kb looked for edits', {
    hint: 'run the same command again',
    retryable: true,
  });
}

/** `git status` writes the index anew with what it has learned of the files alone. */
function holdSame(one: GitIndex, other: GitIndex): boolean {
  if (one.entryCount !== other.entryCount) return false;
  const others = other.entries();
  for (const { path, oid, mode, stage, skipWorktree } of one.entries()) {
    const { value } = others.next() as { value: IndexEntry | undefined };
    if (value?.path !== path || value.oid !== oid || value.mode !== mode) return false;
    if (value.stage !== stage || value.skipWorktree !== skipWorktree) return false;
  }
  return true;
}

/**
 * @param collected index entries of edits that are in a commit already; null: deleted. What the index holds of a file
 *   that was deleted on purpose is in nobody's way.
 * @throws KbError E_UNSAFE_STATE when files that are in no commit stand where the changes go
 */
export function requireNothingInTheWay(
  kb: Kb,
  changes: readonly TreeChange[],
  index: GitIndex,
  collected?: ReadonlyMap<RepoPath, NewEntry | null>,
): void {
  const isCollected = ({ path, reason }: Obstacle): boolean => reason === 'staged' && collected?.get(path) === null;
  const obstacles = kb.worktree.obstacles(changes, index).filter((obstacle) => !isCollected(obstacle));
  if (obstacles.length === 0) return;
  const named = obstacles.slice(0, 3).map(({ path, reason }) => `${path} (${reason})`);
  const more = obstacles.length > 3 ? ` and ${obstacles.length - 3} more` : '';
  throw new KbError(
    'E_UNSAFE_STATE',
    `uncommitted files are in the way: ${named.join(', ')}${more}; nothing was changed`,
    {
      hint: 'commit and merge them with: kb sync',
      details: { obstacles },
    },
  );
}
