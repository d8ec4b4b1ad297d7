import { KbError } from '../../errors.js';
import { asOid, isOid, type Oid } from '../ids.js';

/**
 * The error for an object that is needed and not here, in a repository whose remote has promised to give what it left
 * out (partial clone). Source: Documentation/technical/partial-clone.txt of git.
 * @param gone the remote was asked, or cannot be asked now: nobody needs to try to fetch it
 */
export function promisedObject(oid: Oid, promisor: string, gone: boolean): KbError {
  return new KbError(
    'E_NETWORK',
    `object ${oid} is not here: it is left with the remote "${promisor}" until it is needed, and could not be fetched`,
    {
      hint: 'try again when the remote can be reached; to have all that the last commit holds: git sparse-checkout disable',
      details: gone ? { oid } : { oid, promised: true },
    },
  );
}

/** The object that an error speaks of, if fetching it may help. */
export function promisedIn(error: unknown): Oid | undefined {
  if (!(error instanceof KbError)) return undefined;
  const { promised, oid } = error.details;
  if (promised === true && typeof oid === 'string' && isOid(oid)) return asOid(oid);
  return promisedIn(error.cause);
}
