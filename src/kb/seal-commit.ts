import { serializeCommit, type Commit } from '../git/objects/commit.js';
import type { Kb } from './open.js';

/**
 * The bytes of a commit that goes into a branch, signed where the user's configuration says so.
 * @throws KbError E_USAGE, E_AUTH when it is to be signed and cannot be
 */
export function sealCommit({ signer }: Pick<Kb, 'signer'>, commit: Commit): Buffer {
  return signer === undefined ? serializeCommit(commit) : signer.seal(commit);
}
