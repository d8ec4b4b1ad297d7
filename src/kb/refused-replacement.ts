import { isKbError, KbError } from '../errors.js';
import { asOid, type Oid } from '../git/ids.js';
import { formatSignature, readCommit } from '../git/objects/commit.js';
import type { RepoPath } from '../git/paths.js';
import { printable } from '../printable.js';
import { treeOf } from './advance.js';
import { recordEditConflict } from './conflicts/of-edit.js';
import { keepRecordAside, nameOfVersion, readRecords, removeRecord } from './conflicts/record.js';
import type { NoteEntry } from './note-entry.js';
import { replacementText } from './note-plan.js';
import type { Kb } from './open.js';
import { leafAt } from './run/snapshot.js';

/** Why the text is kept: the file was not what its writer had seen (`--if-match`). */
const REASON = 'replaced';

/**
 * A text that was to replace only what its writer had seen, and met something else, gets a name before anybody is told:
 * it may have been typed, and be nowhere else.
 * @returns the error to be told; the given one where it says something else
 */
export function keepRefusedReplacement(kb: Kb, { note, branch }: NoteEntry, error: KbError): KbError {
  const { path, actual } = error.details;
  if (!isKbError(error, 'E_CONFLICT') || note.target.kind !== 'replace' || typeof actual !== 'string') return error;
  const file = path as RepoPath;
  const head = kb.refs.resolve(branch);
  const theirs = head === undefined ? null : leafAt(kb.objects, treeOf(kb, head), file);
  const mode = theirs?.mode ?? 0o100644;
  const seen = seenBlob(kb, note.target.ifMatch);
  const ours = { mode, oid: kb.objects.writeLoose('blob', replacementText(note.text)) };
  const base = seen === undefined ? null : { mode, oid: seen };
  const ref = recordEditConflict(kb, branch, { path: file, base, ours, theirs, reason: REASON });
  const { code, message, details } = error;
  return new KbError(code, `${message}; your text is kept as ${nameOfVersion(ref, 'ours', file)}`, {
    hint: `read it again, bring your change in, and use the new blob with --if-match; or: kb resolve ${printable(file)} --edit`,
    details: { ...details, ref },
    cause: error,
  });
}

/** What the file was when it was read, where that is known here and named in full. */
function seenBlob(kb: Kb, ifMatch: string | undefined): Oid | undefined {
  if (ifMatch === undefined || !/^[0-9a-f]{40}$/i.test(ifMatch)) return undefined;
  const oid = asOid(ifMatch.toLowerCase());
  return kb.objects.find(oid)?.type === 'blob' ? oid : undefined;
}

/**
 * Who reads the file again and replaces it has decided what becomes of an earlier text of theirs that was refused: it is
 * no open conflict any more. It stays reachable, as what gives way does.
 */
export function settleRefusedReplacements(kb: Kb, { note, identities }: NoteEntry, path: RepoPath): void {
  if (note.target.kind !== 'replace' || note.target.ifMatch === undefined) return;
  for (const { ref, commit, kind, files } of readRecords(kb)) {
    const [file] = files;
    if (kind !== 'edit' || file?.path !== path || file.reason !== REASON) continue;
    if (readCommit(kb.objects, commit).committer.email !== identities.committer.email) continue;
    const who = formatSignature(identities.committer);
    keepRecordAside(kb, { commit }, { message: 'kb note: replaced again', who });
    removeRecord(kb, { ref, commit }, who);
  }
}
