import { KbError } from '../errors.js';
import { branchRef, type RefName } from '../git/ids.js';

/**
 * A branch's name as a person gave it.
 * Source of the rules: git-check-ref-format(1), `--branch`; git-switch(1).
 * @throws KbError E_USAGE
 */
export function requireBranchName(name: string): RefName {
  if (name !== '@' && name !== 'HEAD' && name !== '') return branchRef(name);
  throw new KbError('E_USAGE', `${JSON.stringify(name)} cannot be a branch's name`, { hint: 'for example: main' });
}
