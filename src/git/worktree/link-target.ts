import { KbError } from '../../errors.js';

/** Longest link target that any system takes (PATH_MAX with its end mark). */
const MAX_TARGET_BYTES = 4095;

/** @throws KbError E_UNSAFE_STATE when no system can make a link to there */
export function requirePossibleTarget(path: string, target: Buffer): void {
  if (target.length > 0 && target.length <= MAX_TARGET_BYTES && !target.includes(0)) return;
  throw new KbError('E_UNSAFE_STATE', `the link ${JSON.stringify(path)} has a target that no system can hold`, {
    hint: 'have it removed in the remote repository, then try again',
    details: { path },
  });
}
