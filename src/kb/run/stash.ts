import type { Identities } from '../../config/identity.js';
import { asRefName, type Oid, type RefName } from '../../git/ids.js';
import { IndexLock, type NewEntry } from '../../git/index/index-file.js';
import { readCommit, serializeCommit } from '../../git/objects/commit.js';
import type { StagedObjects } from '../../git/objects/staged.js';
import type { RepoPath } from '../../git/paths.js';
import { UNKNOWN_STAT } from '../../git/worktree/modes.js';
import { treeOf } from '../advance.js';
import type { Kb } from '../open.js';
import { optional } from '../open.js';
import { treeWithEdits, type RunEdit } from './run-edits.js';
import { leafAt, sameLeaf, type DirtyFiles } from './snapshot.js';

/** A name for the changes of one run, as it is known before the command starts. */
export function stashRef(startedAtMs: number, runId: string): RefName {
  const moment = new Date(startedAtMs).toISOString().replace(/[:.]/g, '-');
  return asRefName(`refs/kb/stash/${moment}-${runId.slice(0, 8)}`);
}

/** What a person types to get saved changes back. */
export function wayBack(ref: RefName): string {
  return `kb restore ${ref}`;
}

export interface StashRequest {
  readonly ref: RefName;
  readonly head: Oid | undefined;
  readonly edits: readonly RunEdit[];
  readonly dirty: DirtyFiles;
  /** Holds the content of the edits. */
  readonly staged: StagedObjects;
  readonly message: string;
  readonly identities: Identities;
  /** Formatted committer, for the reflog. */
  readonly who: string;
  readonly fence: () => void;
}

/**
 * Saves what the run changed as one commit upon the branch, under a name of its own.
 *
 * Safe to be done again after a crash: what is saved under the name already is not saved twice, and what came since
 * gets a name beside it, so that a later look never takes the place of what an earlier one has saved.
 * @returns every name that holds changes of this run
 * @throws KbError E_STORAGE, E_LOCK_LOST, E_UNSAFE_STATE
 */
export function saveStash(kb: Kb, request: StashRequest): RefName[] {
  const { ref, head, staged, message, identities, who, fence } = request;
  const names: RefName[] = [];
  let unsaved = request.edits.filter(({ now, before }) => !sameLeaf(now, before));
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? ref : asRefName(`${ref}-${number}`);
    const saved = kb.refs.resolve(name);
    if (saved === undefined) {
      if (unsaved.length === 0) return names;
      const tree = treeWithEdits(staged, treeOf(kb, head), unsaved, request.dirty);
      const parents = head === undefined ? [] : [head];
      const commit = staged.add('commit', serializeCommit({ tree, parents, ...identities, message }));
      staged.persist();
      kb.refs.update({ name, to: commit, expected: null, message: 'kb run: changes saved', who, fence });
      return [...names, name];
    }
    names.push(name);
    const { tree } = readCommit(kb.objects, saved);
    unsaved = unsaved.filter(({ path, own }) => !sameLeaf(leafAt(kb.objects, tree, path), own));
  }
}

/**
 * Undoes the run: files and index become what they were before it, all other files stay as they are. A file that was
 * changed again since `edits` were found stays too: what is in it is saved nowhere.
 * @returns the paths that could not be put back
 * @throws KbError E_UNSAFE_STATE (index.lock held: nothing was done), E_STORAGE, E_LOCK_LOST
 */
export function putBack(kb: Kb, edits: readonly RunEdit[], fence: () => void): RepoPath[] {
  if (edits.length === 0) return [];
  fence();
  const lock = IndexLock.acquire(kb.surroundings.disk, kb.gitDir, {
    fence,
    marks: kb.lockMarks,
    statOf: (path) => kb.worktree.stat(path),
  });
  // What a sparse checkout leaves out goes again, once it is what the last commit holds.
  const isLeftOut = ({ path, before, indexBefore }: RunEdit): boolean =>
    before !== null && sameLeaf(before, indexBefore) && lock.index.get(path)?.skipWorktree === true;
  const changes = edits
    .filter((edit) => !sameLeaf(edit.now, edit.before))
    .map((edit) => ({
      path: edit.path,
      ...optional('before', edit.now ?? undefined),
      ...optional('after', isLeftOut(edit) ? undefined : (edit.before ?? undefined)),
    }));
  try {
    const applied = kb.worktree.apply(changes, kb.objects, { keepOthers: true, alsoLeftOut: true, index: lock.index });
    const entries = new Map<RepoPath, NewEntry | null>();
    for (const edit of edits) {
      const { path, before, indexBefore, now, stat } = edit;
      if (isLeftOut(edit) && indexBefore !== null) {
        entries.set(path, { ...indexBefore, stat: UNKNOWN_STAT, skipWorktree: true });
        continue;
      }
      const written = applied.has(path) ? applied.get(path)?.stat : sameLeaf(now, before) ? stat : undefined;
      // Where index and file differ, a look at the content must show it.
      const isFile = sameLeaf(indexBefore, before) && written !== undefined;
      entries.set(path, indexBefore === null ? null : { ...indexBefore, stat: isFile ? written : UNKNOWN_STAT });
    }
    lock.commit(entries);
  } finally {
    lock.release();
  }
  return changes.filter((change) => !isOnDisk(kb, change)).map(({ path }) => path);
}

function isOnDisk(kb: Kb, { path, after }: { path: RepoPath; after?: RunEdit['before'] }): boolean {
  const stats = kb.worktree.stat(path);
  if (stats === undefined || after === undefined || after === null) return stats === undefined && after === undefined;
  const file = kb.worktree.lstat(path);
  return file !== undefined && kb.worktree.holds(path, file, after);
}
