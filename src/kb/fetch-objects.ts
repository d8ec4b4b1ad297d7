import { moveShallow } from '../git/objects/history.js';
import type { FetchRequest, FetchResult, Remote } from '../remote/remote.js';
import { watchSpace } from './free-space.js';
import type { Kb } from './open.js';
import { ProgressMeter } from './progress-meter.js';

/**
 * Fetches objects into the KB (one request), and notes where history ends now.
 *
 * Invariant: objects are verified and durable before the list of shallow commits changes, and before any ref names
 * them. A fetch that is cut anywhere, or a kill, leaves objects that nobody names, and history as it was.
 * @throws KbError E_NETWORK, E_AUTH, E_STORAGE, E_CORRUPT; E_UNSAFE_STATE when native git holds `shallow.lock`
 */
export async function fetchObjects(
  kb: Kb,
  remote: Pick<Remote, 'fetch'>,
  request: Omit<FetchRequest, 'sink' | 'onProgress'>,
): Promise<FetchResult> {
  const { disk, clock, report } = kb.surroundings;
  const space = watchSpace(disk, kb.gitDir, `fetch into ${kb.root}`);
  const meter = new ProgressMeter(clock, report);
  const receiver = kb.objects.receivePack({
    beforeWrite: (bytes, received) => space?.follow(received, bytes),
    onProgress: ({ phase, objects: done, total, bytes }) => meter.follow(phase, { done, total, bytes }),
  });
  try {
    const result = await remote.fetch({
      ...request,
      sink: receiver,
      onProgress: ({ phase, done, total, bytes }) => {
        // What is received, the receiver counts itself.
        if (done !== undefined) meter.follow(phase, { done, total: total ?? 0, bytes });
      },
    });
    if (result.empty) receiver.abort();
    else receiver.finish();
    if (result.shallow.length + result.unshallow.length > 0) moveShallow(disk, kb.gitDir, result, kb.lockMarks);
    return result;
  } catch (error) {
    receiver.abort();
    throw error;
  }
}
