import { KbError } from '../../errors.js';
import type { Oid } from '../../git/ids.js';
import type { GitObject, ObjectSource } from '../../git/objects/object.js';
import { commitsToSend } from './commits-to-send.js';
import { objectsToSend } from '../../git/objects/objects-to-send.js';

export interface ConnectivityRequest {
  readonly to: Oid;
  /** What the remote's refs lead to; everything reachable from there is taken as whole. */
  readonly tips: readonly Oid[];
  readonly pushed: ObjectSource;
  readonly pushedOids: ReadonlySet<Oid>;
  readonly remote: ObjectSource;
  readonly remoteShallow: ReadonlySet<Oid>;
}

/**
 * Invariant: a ref of the remote never leads to an object that the remote lacks. So before a ref moves,
 * everything between its new commit and what was there is looked for among the pushed objects and the
 * remote's own, as `git receive-pack` does. A shallow clone that pushes onto a history that the remote
 * no longer has is found out here.
 * @throws KbError E_UNSAFE_STATE
 */
export function requireConnected(request: ConnectivityRequest): void {
  const { pushed, pushedOids, remote } = request;
  const both: ObjectSource = {
    find: (oid): GitObject | undefined => (pushedOids.has(oid) ? pushed.find(oid) : remote.find(oid)),
    has: (oid): boolean => pushedOids.has(oid) || remote.has(oid),
    read: (oid): GitObject => both.find(oid) ?? missing(oid),
  };
  const nothing: ReadonlySet<Oid> = new Set();
  const history = commitsToSend(both, {
    wants: [request.to],
    haves: request.tips,
    receiverShallow: request.remoteShallow,
    sourceShallow: nothing,
  });
  for (const oid of objectsToSend(both, history, request.tips)) if (!both.has(oid)) missing(oid);
}

function missing(oid: Oid): never {
  throw new KbError(
    'E_UNSAFE_STATE',
    `the remote lacks object ${oid}, on which this push builds; nothing was changed there`,
    {
      hint: 'fetch again and retry: kb sync',
      details: { oid },
    },
  );
}
