import type { Oid } from '../git/ids.js';
import { moveShallow } from '../git/objects/history.js';
import type { FetchRequest, FetchResult, Remote } from '../remote/remote.js';
import { watchSpace } from './free-space.js';
import type { Kb } from './open.js';
import { ProgressMeter } from './progress-meter.js';

/**
 * Fetches objects into the KB (one request), and notes where history ends now. Into a partial clone comes what is not
 * left out of it, and objects that are asked for by their own ids.
 *
 * Invariant: objects are verified and durable before the list of shallow commits changes, and before any ref names
 * them. A fetch that is cut anywhere, or a kill, leaves objects that nobody names, and history as it was.
 * @param how.isHistory as opposed to single objects, of which nothing is left out
 * @param how.storesLate few objects wait in memory, until `storeHeld` of the KB's objects: the caller keeps the invariant
 * @throws KbError E_NETWORK, E_AUTH, E_STORAGE, E_CORRUPT; E_UNSAFE_STATE when native git holds `shallow.lock`
 */
export async function fetchObjects(
  kb: Kb,
  remote: Pick<Remote, 'fetch'>,
  request: Omit<FetchRequest, 'sink' | 'onProgress' | 'filter'>,
  { isHistory = true, storesLate = false }: { readonly isHistory?: boolean; readonly storesLate?: boolean } = {},
): Promise<FetchResult> {
  const { disk, clock, report } = kb.surroundings;
  const space = watchSpace(disk, kb.gitDir, `fetch into ${kb.root}`);
  const meter = new ProgressMeter(clock, report);
  const { promisor } = kb;
  const receiver = kb.objects.receivePack({
    ...(promisor === undefined ? {} : { promisor: promisorMark(request.wants) }),
    storesLate,
    beforeWrite: (bytes, received) => space?.follow(received, bytes),
    onProgress: ({ phase, objects: done, total, bytes }) => meter.follow(phase, { done, total, bytes }),
  });
  try {
    const result = await remote.fetch({
      ...request,
      ...(promisor === undefined || !isHistory ? {} : { filter: promisor.filter }),
      sink: receiver,
      onProgress: ({ phase, done, total, bytes }) => {
        // What is received, the receiver counts itself.
        if (done !== undefined) meter.follow(phase, { done, total: total ?? 0, bytes });
      },
    });
    if (result.empty) receiver.abort();
    else receiver.finish();
    if (result.shallow.length + result.unshallow.length > 0) {
      kb.objects.storeHeld();
      moveShallow(disk, kb.gitDir, result, kb.lockMarks);
    }
    return result;
  } catch (error) {
    receiver.abort();
    throw error;
  }
}

/** What stands in a pack's `.promisor` file: what it was fetched for. Git does not read it. */
export function promisorMark(wants: readonly Oid[]): string {
  return wants
    .slice(0, 100)
    .map((oid) => `${oid}\n`)
    .join('');
}

/** A request names no more objects than this: 100,000 of them would be 5 MB of request. */
const MOST_WANTS = 20_000;

/** Single objects to be fetched, as many as one request may name. */
export function* inBatches(oids: readonly Oid[]): Generator<readonly Oid[]> {
  for (let at = 0; at < oids.length; at += MOST_WANTS) yield oids.slice(at, at + MOST_WANTS);
}
