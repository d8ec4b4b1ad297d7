import { KbError } from '../errors.js';
import { isOid, type Oid } from '../git/ids.js';
import { printable } from '../printable.js';
import type { Kb } from './open.js';

/** A KB that was cloned at a tag or a commit, and is there still. */
export interface Pin {
  /** The tag or the commit, as it was asked for. */
  readonly name: string;
  readonly commit: Oid;
}

/** @returns undefined where a branch is checked out, or somebody has gone elsewhere since */
export function pinOf(kb: Pick<Kb, 'gitConfig' | 'refs'>): Pin | undefined {
  const name = kb.gitConfig.get('kb.pinned');
  const commit = kb.gitConfig.get('kb.pinnedcommit');
  if (name === undefined || commit === undefined || !isOid(commit)) return undefined;
  const head = kb.refs.head();
  return head.branch === undefined && head.oid === commit ? { name, commit } : undefined;
}

/** The error for whoever wants to commit where no branch is checked out. */
export function noBranch(kb: Pick<Kb, 'gitConfig' | 'refs' | 'root'>): KbError {
  const pin = pinOf(kb);
  if (pin === undefined) {
    return new KbError('E_UNSAFE_STATE', `HEAD of ${kb.root} is detached: a commit would belong to no branch`, {
      hint: 'check out a branch first, for example: kb switch main',
    });
  }
  const what = isOid(pin.name) ? `commit ${pin.name.slice(0, 10)}` : `tag ${printable(pin.name)}`;
  return new KbError('E_UNSAFE_STATE', `${kb.root} was cloned at ${what} and is read-only; nothing was changed`, {
    hint: 'to write, check out a branch, for example: kb switch main',
    details: { pinned: pin.name, commit: pin.commit },
  });
}
