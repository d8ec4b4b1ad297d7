import { join } from 'node:path';
import { namesIn, removeTemporaryFiles, removeTree } from '../../disk/durable.js';
import { GitIndex } from '../../git/index/index-file.js';
import { StagedObjects } from '../../git/objects/staged.js';
import { sweepTemporaryFiles } from '../../git/worktree/apply.js';
import { inspectLock, readWaiters } from '../../lock/lock.js';
import { livenessProbe } from '../../lock/liveness.js';
import type { OwnerRecord } from '../../lock/owner.js';
import { goneName, isGone } from '../../lock/side.js';
import type { Kb } from '../open.js';
import { requireSafeState } from '../safe-state.js';
import { findInterruptedRuns, ownId, removeJournal, type RunJournal } from './journal.js';
import { findRunEdits } from './run-edits.js';
import { readSnapshot, snapshotRef } from './snapshot.js';

export { hasInterruptedRun } from './journal.js';

export interface RecoveryContext {
  /** Formatted committer. */
  readonly who: string;
  /** Throws when the KB's lock is no longer ours. */
  readonly fence: () => void;
}

/**
 * Ends what a killed `kb run` left open. Must be called under the KB's lock, after an interrupted advance was finished.
 *
 * What its command had changed stays in the files: since the kill others may have edited them, in the same files or
 * other ones, and nothing tells their edits from the command's. Nobody's work is put away because a process died.
 * @throws KbError E_UNSAFE_STATE (native git is in the middle of something: finish that first), E_STORAGE, E_LOCK_LOST
 */
export function recoverInterruptedRun(kb: Kb, context: RecoveryContext): void {
  for (const journal of findInterruptedRuns(kb)) {
    const text = recover(kb, journal);
    dropSnapshot(kb, journal.token, context);
    removeJournal(kb, journal.token);
    if (text !== undefined) kb.surroundings.report({ kind: 'warning', text });
  }
}

/** It is of no use once files and index are as they are to stay. */
export function dropSnapshot(kb: Kb, token: string, { who, fence }: RecoveryContext): void {
  const name = snapshotRef(ownId(token));
  if (kb.refs.resolve(name) !== undefined) kb.refs.update({ name, to: null, message: 'kb run: over', who, fence });
}

/** @returns what to tell the user; undefined: the run had changed nothing */
function recover(kb: Kb, journal: RunJournal): string | undefined {
  const index = GitIndex.read(kb.surroundings.disk, kb.gitDir);
  requireSafeState(kb, index);
  const run = `kb run of ${journal.program}, started ${journal.startedAt}, was interrupted`;
  const { branch, oid: head } = kb.refs.head();
  const { base, snapshot } = journal;
  if (branch !== journal.branch) return `${run} on another branch; its changes are left in the files`;
  const isKnown = [base, snapshot].every((oid) => oid === null || kb.objects.has(oid));
  if (!isKnown) return `${run}, and what was there before is lost; its changes are left in the files`;

  const dirty = readSnapshot(kb, base ?? undefined, snapshot);
  const staged = new StagedObjects(kb.objects);
  const edits = findRunEdits(kb, { head, index, base: base ?? undefined, dirty, staged, ignoreRules: 'before' });
  // What a `putBack` that was killed had begun to write.
  sweepTemporaryFiles(
    kb.worktree,
    edits.map(({ path }) => ({ path })),
  );
  return edits.length === 0 ? undefined : `${run}; its changes are left in the files`;
}

/**
 * Removes what those left that were killed inside of a run. For one who holds the KB's own lock and whose command, if
 * it is a run, has not started or has ended: nobody can be inside then but what such a command left in the
 * background, and whoever of these is not provably dead is let be.
 */
export function sweepInside(kb: Kb): void {
  const { disk, identity } = kb.surroundings;
  const above = join(kb.gitDir, 'kb', 'inside');
  const names = namesIn(disk, above);
  for (const name of names.filter(isGone)) removeTree(disk, join(above, name));
  const isAlive = (owner: OwnerRecord | undefined): boolean =>
    owner === undefined || livenessProbe(disk, identity)(owner) !== 'dead';
  for (const name of names) {
    if (isGone(name)) continue;
    const directory = join(above, name);
    const { held, owner } = inspectLock(directory, { disk, identity });
    if ((held && isAlive(owner)) || readWaiters(disk, directory).some((waiter) => isAlive(waiter.owner))) return;
    // First out of sight as a whole: half removed, its lock has lost its record, and nobody could call its owner dead.
    const gone = join(above, goneName());
    disk.renameSync(directory, gone);
    removeTree(disk, gone);
  }
  removeTemporaryFiles(disk, join(kb.gitDir, 'kb', 'runs'));
}
