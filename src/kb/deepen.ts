import type { Oid } from '../git/ids.js';
import { readCommitLinks } from '../git/objects/commit.js';
import { moveShallow, reachableFrom } from '../git/objects/history.js';
import type { Remote } from '../remote/remote.js';
import { fetchObjects } from './fetch-objects.js';
import type { Kb } from './open.js';

/** How much more history each request asks for: commits in addition, at last all. */
export type DeepeningSteps = readonly (number | 'full')[];

/**
 * Few commits are cheap, and mostly enough; each further request brings four times as many, so that a long way takes
 * few of them.
 */
const STEPS: DeepeningSteps = [16, 64, 256, 1024, 'full'];
/** For a question that only all of the history answers. */
export const ALL_AT_ONCE: DeepeningSteps = ['full'];

export interface Deepening {
  /** What the remote's branch is at, and this KB has. */
  readonly tip: Oid;
  /** What more history is fetched for: ends the sentence "fetching more history, …". */
  readonly why: string;
  /** Asked before each request, and after the last one; reads anew where history ends (`kb.shallow()`). */
  readonly isEnough: () => boolean;
  readonly steps?: DeepeningSteps | undefined;
}

/**
 * Brings in more of a shallow history, step by step, until a question about it has its answer. Everything that needs
 * history asks for it here. Costs nothing where the answer is known, or where history is whole.
 * @returns whether there is enough; false: the remote has no more to give
 * @throws KbError E_NETWORK, E_AUTH, E_STORAGE; E_UNSAFE_STATE when native git holds `shallow.lock`
 */
export async function deepenUntil(kb: Kb, remote: Pick<Remote, 'fetch'>, wanted: Deepening): Promise<boolean> {
  const { tip, why, isEnough, steps = STEPS } = wanted;
  if (isEnough()) return true;
  joinWithHistoryOf(kb, tip);
  let hadNoEffect = false;
  for (const step of steps) {
    if (isEnough()) return true;
    const shallow = kb.shallow();
    if (shallow.size === 0) return false;
    // What ends where no branch of the remote leads to goes deeper only when all is asked for.
    if (hadNoEffect && step !== 'full') continue;
    const amount = step === 'full' ? 'the whole history' : `${step} more commits of history`;
    kb.surroundings.report({ kind: 'step', text: `fetching ${amount}, ${why}` });
    const how = step === 'full' ? { deepenTo: step } : { deepenBy: step };
    const { unshallow } = await fetchObjects(kb, remote, { wants: [tip], haves: [tip], shallow, ...how });
    hadNoEffect = unshallow.length === 0;
  }
  return isEnough();
}

/**
 * Where the remote's branch was rewritten, what was fetched just now brought the commits beneath an old end of history:
 * then the end is one no more, without asking anybody.
 *
 * Invariant: only what the branch leads to counts. A commit that lies here by itself may be all that a killed fetch has
 * left, with nothing beneath it. (Broken by: the crash scenario "a sync that needs more history")
 */
function joinWithHistoryOf(kb: Kb, tip: Oid): void {
  const shallow = kb.shallow();
  const lifted = new Map<Oid, readonly Oid[]>();
  for (const oid of shallow) {
    if (!kb.objects.has(oid)) continue;
    const { parents } = readCommitLinks(kb.objects, oid);
    if (parents.every((parent) => kb.objects.has(parent))) lifted.set(oid, parents);
  }
  if (lifted.size === 0) return;
  const known = reachableFrom(kb.objects, tip, shallow);
  const unshallow = [...lifted].flatMap(([oid, parents]) => (parents.every((one) => known.has(one)) ? [oid] : []));
  if (unshallow.length > 0) moveShallow(kb.surroundings.disk, kb.gitDir, { shallow: [], unshallow }, kb.lockMarks);
}
