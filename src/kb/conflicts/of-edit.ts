import { resolveIdentity } from '../../config/identity.js';
import type { RefName } from '../../git/ids.js';
import { formatSignature } from '../../git/objects/commit.js';
import { RefMoved } from '../../git/refs/refs.js';
import type { Kb } from '../open.js';
import { editConflictRef, writeRecord, type ConflictedFile } from './record.js';

/**
 * Keeps a text that could not be brought in, with what it met. The same one again keeps the name that it has.
 * @throws KbError E_STORAGE
 */
export function recordEditConflict(kb: Kb, branch: RefName, file: ConflictedFile): RefName {
  const { env, clock } = kb.surroundings;
  const nowMs = clock.wall();
  const offsetMinutes = clock.offsetMinutes(nowMs);
  const { committer } = resolveIdentity({ settings: kb.settings, env, nowMs, offsetMinutes });
  const ref = editConflictRef(file);
  const since = new Date(nowMs).toISOString();
  const record = {
    ref,
    kind: 'edit',
    branch,
    since,
    files: [file],
    committer,
    who: formatSignature(committer),
  } as const;
  try {
    writeRecord(kb, { ...record, expected: kb.refs.resolve(ref) ?? null });
  } catch (error) {
    // Whoever was faster has written down the same.
    if (!(error instanceof RefMoved) || kb.refs.resolve(ref) === undefined) throw error;
  }
  return ref;
}
