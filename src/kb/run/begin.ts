import type { Oid } from '../../git/ids.js';
import { GitIndex } from '../../git/index/index-file.js';
import { checkedOutBranch, type CheckedOutBranch } from '../open.js';
import { requireSafeState } from '../safe-state.js';
import { trackedTip, type RunContext } from './context.js';
import { ownId, removeJournal, writeJournal, type FailurePolicy, type RunJournal } from './journal.js';
import { dropSnapshot } from './recover.js';
import { readSnapshot, snapshotRef, takeSnapshot, type DirtyFiles } from './snapshot.js';
import { stashRef } from './stash.js';

/** The KB when the command is about to start. */
export interface Before {
  readonly branch: CheckedOutBranch;
  /** The remote branch as last seen. */
  readonly tracking: Oid | undefined;
  readonly dirty: DirtyFiles;
  readonly journal: RunJournal;
}

/**
 * Keeps what is uncommitted, and writes the journal: from here on a crash is mended.
 * @throws KbError E_UNSAFE_STATE, E_STORAGE, E_LOCK_LOST
 */
export function beginRun(context: RunContext, policy: FailurePolicy): Before {
  const { kb, hold, who, fence, identities, program } = context;
  const { clock, disk } = kb.surroundings;
  const branch = checkedOutBranch(kb);
  const index = GitIndex.read(disk, kb.gitDir);
  requireSafeState(kb, index);
  const snapshot = takeSnapshot(kb, { head: branch.commit, index, identities });
  const nowMs = clock.wall();
  const journal: RunJournal = {
    token: hold.token,
    branch: branch.ref,
    base: branch.commit ?? null,
    snapshot: snapshot ?? null,
    stash: stashRef(nowMs, ownId(hold.token)),
    policy,
    program,
    startedAt: new Date(nowMs).toISOString(),
  };
  writeJournal(kb, journal);
  const name = snapshotRef(ownId(hold.token));
  if (snapshot !== undefined)
    kb.refs.update({ name, to: snapshot, message: 'kb run: uncommitted before it', who, fence });
  const dirty = readSnapshot(kb, branch.commit, journal.snapshot);
  return { branch, tracking: trackedTip(kb, branch.name), dirty, journal };
}

/** Nothing of the run is left that would have to be put back. The journal goes last, so that no snapshot stays without one. */
export function closeRun({ kb, who, fence }: RunContext, { journal }: Before): void {
  dropSnapshot(kb, journal.token, { who, fence });
  removeJournal(kb, journal.token);
}
