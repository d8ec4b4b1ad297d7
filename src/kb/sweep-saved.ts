import type { RefName, Oid } from '../git/ids.js';
import { formatSignature } from '../git/objects/commit.js';
import type { Kb } from './open.js';

/** What was saved for people to come back to: the branch before it was rewritten, and the changes of failed runs. */
export interface SavedRefs {
  readonly backup: ReadonlyMap<RefName, Oid>;
  readonly stash: ReadonlyMap<RefName, Oid>;
}

/**
 * The saved states that are older than a moment. Their names say when they were saved; a ref whose name does not is
 * somebody's own, and stays.
 * @param beforeSeconds since 1970
 */
export function findOldSavedRefs(kb: Kb, beforeSeconds: number): SavedRefs {
  const old = (prefix: string): Map<RefName, Oid> =>
    new Map([...kb.refs.list(prefix)].filter(([name]) => momentOf(name.slice(prefix.length)) < beforeSeconds));
  return { backup: old('refs/kb/backup/'), stash: old('refs/kb/stash/') };
}

/** Each only while it still holds what was looked at. @throws KbError E_UNSAFE_STATE, E_STORAGE */
export function removeSavedRefs(kb: Kb, { backup, stash }: SavedRefs): void {
  const { clock, identity } = kb.surroundings;
  const who = formatSignature({
    name: identity.user || 'kb',
    email: identity.host,
    timestamp: Math.floor(clock.wall() / 1000),
    timezone: '+0000',
  });
  for (const [name, oid] of [...backup, ...stash])
    kb.refs.update({ name, to: null, expected: oid, message: 'kb gc: saved long ago', who });
}

/** `2026-11-20T20-30-22-123Z`, perhaps with more behind it, in seconds since 1970; NaN where there is none. */
function momentOf(name: string): number {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)-(\d{3})Z(?:-|$)/.exec(name);
  if (match === null) return NaN;
  const [, day, hour, minute, second, ms] = match;
  return Date.parse(`${day}T${hour}:${minute}:${second}.${ms}Z`) / 1000;
}
