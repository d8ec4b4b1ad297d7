import { KbError } from '../errors.js';
import { shortName } from '../git/ids.js';
import { nearest } from '../nearest.js';
import { printable } from '../printable.js';
import type { Remote } from '../remote/remote.js';

const MOST_NAMED = 5;
const MOST_IN_DETAILS = 100;

/**
 * The error for a branch that the remote does not have; says which ones it has (one request).
 * @throws KbError E_NETWORK, E_AUTH
 */
export async function noSuchBranch(remote: Remote, wanted: string): Promise<KbError> {
  const { refs } = await remote.discover('read', ['refs/heads/']);
  const branches = [...refs.keys()].filter((ref) => ref.startsWith('refs/heads/')).map(shortName);
  const guess = nearest(wanted, branches);
  const named = branches.slice(0, MOST_NAMED).map((name) => printable(name, 80));
  const more = branches.length > named.length ? ` and ${branches.length - named.length} more` : '';
  const there = branches.length === 0 ? 'it has none' : `it has ${named.join(', ')}${more}`;
  return new KbError('E_USAGE', `${remote.displayUrl} has no branch ${printable(wanted, 80)}: ${there}`, {
    hint: `${guess === undefined ? '' : `did you mean --branch ${printable(guess, 80)}? `}Without --branch its default branch is taken`,
    details: { branches: branches.slice(0, MOST_IN_DETAILS) },
  });
}
