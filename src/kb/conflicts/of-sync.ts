import { asStorageError } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import type { Signature } from '../../git/objects/commit.js';
import type { StagedObjects } from '../../git/objects/staged.js';
import type { RefName } from '../../git/ids.js';
import type { Unmerged } from '../integrate.js';
import type { MergeContents } from '../merge-contents.js';
import type { Kb } from '../open.js';
import { sameLeaf } from '../run/snapshot.js';
import type { Verdict } from './decide.js';
import {
  nameOfVersion,
  readRecord,
  removeRecord,
  sameVersions,
  syncConflictRef,
  writeRecord,
  type ConflictedFile,
  type Sides,
} from './record.js';

/** What people have decided about the conflicts of local work with the remote's. */
export interface Decisions {
  verdict(staged: StagedObjects, versions: Sides): Verdict | undefined;
}

/** Loaded with the merge engine where there is something to carry out; else there is nothing but a look at one ref. */
export async function openDecisions(kb: Kb, branch: RefName): Promise<Decisions> {
  const record = readRecord(kb, syncConflictRef(branch));
  const decided = new Map(
    (record?.files ?? []).flatMap((file) => (file.decided === undefined ? [] : [[file.path as string, file] as const])),
  );
  if (decided.size === 0) return { verdict: () => undefined };
  const { carryOut } = await import('./decide.js');
  const { mergeFile } = await import('../../merge/merge-file.js');
  const merge: MergeContents = mergeFile;
  return {
    verdict: (staged, versions) => {
      const file = decided.get(versions.path);
      return file === undefined ? undefined : carryOut(staged, file, versions, merge);
    },
  };
}

/**
 * Writes down what a cycle could not bring together. What was decided about the same versions stays decided.
 * @returns the error that says where both versions are
 */
export function recordSyncConflict(
  kb: Kb,
  { branch, who, committer }: { readonly branch: RefName; readonly who: string; readonly committer: Signature },
  error: Unmerged,
): KbError {
  const ref = syncConflictRef(branch);
  try {
    const before = readRecord(kb, ref);
    const files = error.versions.map((versions, at): ConflictedFile => {
      const known = before?.files.find((file) => sameVersions(file, versions));
      const { reason = 'overlap', from, remotePath } = error.conflicts[at] ?? {};
      const names = { ...(from === undefined ? {} : { from }), ...(remotePath === undefined ? {} : { remotePath }) };
      return { ...versions, reason, ...names, ...(known?.decided === undefined ? {} : { decided: known.decided }) };
    });
    const isKnown =
      before?.files.length === files.length &&
      files.every((file, at) => sameVersions(file, before.files[at] ?? file) && sameDecision(file, before.files[at]));
    if (!isKnown) {
      // Of a file that is in conflict still, it is as old as it was.
      const isOld = before?.files.some(({ path }) => files.some((file) => file.path === path)) === true;
      const since = isOld ? before.since : new Date(kb.surroundings.clock.wall()).toISOString();
      const expected = kb.refs.resolve(ref) ?? null;
      writeRecord(kb, { ref, kind: 'sync', branch, since, files, committer, who, expected });
    }
    const [first] = error.versions;
    const where =
      first === undefined
        ? ''
        : `; theirs is kept as ${nameOfVersion(ref, 'theirs', first.path)}, yours as ${nameOfVersion(ref, 'ours', first.path)}`;
    const { code, message, hint, details } = error;
    return new KbError(code, `${message}${where}`, { hint, details: { ...details, ref }, cause: error });
  } catch (failure) {
    const known = asStorageError(failure, 'write the conflict down');
    if (!(known instanceof KbError)) throw known;
    const text = `the conflict could not be written down, so kb resolve does not know it: ${known.message}`;
    kb.surroundings.report({ kind: 'warning', text });
    return error;
  }
}

function sameDecision(a: ConflictedFile, b: ConflictedFile | undefined): boolean {
  return a.decided?.choice === b?.decided?.choice && sameLeaf(a.decided?.result ?? null, b?.decided?.result ?? null);
}

/** All local work is together with the remote's: there is nothing left to decide. It is no failure if the name stays. */
export function forgetSyncConflict(kb: Kb, branch: RefName, who: string): void {
  const ref = syncConflictRef(branch);
  try {
    const commit = kb.refs.resolve(ref);
    if (commit !== undefined) removeRecord(kb, { ref, commit }, who);
  } catch (error) {
    const known = asStorageError(error, 'remove a conflict that is settled');
    if (!(known instanceof KbError)) throw known;
    kb.surroundings.report({ kind: 'warning', text: `a conflict that is settled stays listed: ${known.message}` });
  }
}
