import { posix } from 'node:path';
import { isKbError, KbError } from '../errors.js';
import { GitIndex } from '../git/index/index-file.js';
import { shortName, ZERO_OID, type Oid } from '../git/ids.js';
import type { Leaf } from '../git/objects/tree.js';
import type { RepoPath } from '../git/paths.js';
import { collisionKey } from '../git/worktree/collisions.js';
import { printable } from '../printable.js';
import { treeOf } from './advance.js';
import { runCycleUnder } from './cycle.js';
import { holdKb, type Hold } from './hold.js';
import type { FileVersion } from './merge-edit.js';
import { existingPath, folderOf, requireRegular } from './note-path.js';
import type { Kb } from './open.js';
import { findBarrier, findOtherSpelling } from './place.js';
import { withPromised } from './promised-objects.js';
import { requireNothingInTheWay } from './safe-state.js';
import { openTipView } from './tip-view.js';

/** A file as it was when its edit began: the base of the merge. */
export interface Opened {
  readonly path: RepoPath;
  /** undefined: a new file */
  readonly version: (FileVersion & { readonly blob: Oid }) | undefined;
  /** undefined: the branch has none yet */
  readonly commit: Oid | undefined;
  readonly branch: string;
  /** The remote branch has this commit. */
  readonly landed: boolean;
  readonly waitedMs: number;
}

/**
 * Brings the KB up to date and reads the file, both under one lock: without it another cycle could be in the middle
 * of replacing files, and its half of the work would look like somebody's uncommitted edit.
 * @throws KbError E_USAGE (path), E_UNSAFE_STATE when the file has uncommitted edits; as runCycle, but for E_NETWORK
 */
export function openForEdit(kb: Kb, path: string): Promise<Opened> {
  return holdKb(kb, 'edit', async (hold) => {
    const landed = await pull(kb, hold);
    const { oid: commit, branch } = kb.refs.head();
    return {
      ...(await withPromised(kb, () => readFile(kb, commit, path))),
      commit,
      branch: branch === undefined ? '' : shortName(branch),
      landed,
      waitedMs: Math.round(hold.waitedMs),
    };
  });
}

/** Whoever wants to write is not sent away because the network is gone. @returns whether the remote has it all */
async function pull(kb: Kb, hold: Hold): Promise<boolean> {
  try {
    return (await runCycleUnder(kb, { operation: 'edit', pull: true, push: false }, hold)).landed;
  } catch (error) {
    if (!isKbError(error, 'E_NETWORK')) throw error;
    kb.surroundings.report({ kind: 'warning', text: `${error.message}; this is the version that was pulled last` });
    return false;
  }
}

function readFile(kb: Kb, commit: Oid | undefined, given: string): Pick<Opened, 'path' | 'version'> {
  const files = { objects: kb.objects, tree: treeOf(kb, commit) };
  const view = openTipView(kb, undefined);
  const path = existingPath(view, given);
  const barrier = findBarrier(files, path);
  if (barrier !== undefined)
    throw new KbError('E_USAGE', `there is no file to edit: ${barrier}`, {
      hint: 'name a file, such as inbox/idea.md',
    });
  const found = view.read(path);
  if (found !== undefined) requireRegular(path, found);
  const version = found === undefined ? undefined : { ...found, blob: found.blob as Oid };
  requireCommitted(kb, path, version);
  if (found === undefined && view.isTaken(folderOf(path), collisionKey(posix.basename(path))))
    throw takenBy(findOtherSpelling(files, path), path);
  return { path, version };
}

/** Found out before anybody types a word: the edit could not be put on top of them afterwards. */
function requireCommitted(kb: Kb, path: RepoPath, version: Opened['version']): void {
  const before: Leaf | undefined = version && { mode: version.mode, oid: version.blob };
  // Where there is no file yet, nothing that lies on disk may pass for the one that is to come.
  const after: Leaf = before ?? { mode: 0o100644, oid: ZERO_OID };
  const change = before === undefined ? { path, after } : { path, before, after };
  requireNothingInTheWay(kb, [change], GitIndex.read(kb.surroundings.disk, kb.gitDir));
}

function takenBy(other: RepoPath | undefined, path: RepoPath): KbError {
  const name = printable(other ?? path);
  return new KbError('E_USAGE', `there is a file of that name in another spelling: ${name}`, {
    hint: other === undefined ? 'choose another name' : `edit that one: kb edit ${name}`,
  });
}
