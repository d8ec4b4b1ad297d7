import { shortName, type Oid } from '../git/ids.js';
import { LockPaths, lookAtLock } from '../lock/layout.js';
import { readShallow } from '../git/objects/history.js';
import type { Remote } from '../remote/remote.js';
import { BegunRemote, type Wanted } from './begun-remote.js';
import { addressOf, connect } from './connect.js';
import type { Ground } from './ground.js';
import type { Ask, Surroundings } from './surroundings.js';
import { untilSent } from './until-sent.js';
import { upstreamOf, type Upstream } from './upstream.js';
import { isContended } from './wait-log.js';

/** Older than this an answer says too little about where the branch is now: most pushes upon it would be lost. */
const FRESH_MS = 1000;

/**
 * Where several writers are at work, all that come at once find the lock free and would ask, and all but one are taken
 * along: for so long after the last of them each waits for its turn to ask, ms.
 */
const CROWDED_MS = 5000;

/** A conversation with a remote that was begun before there was anybody to lead it. */
interface Begun {
  readonly upstream: Upstream;
  readonly remote: Remote;
  /** Ends the conversation at once. */
  readonly abort: AbortController;
  /** To be called with what asks the person at the terminal: only whoever takes the conversation can do that. */
  readonly taken: (ask: Ask | undefined) => void;
  /** What its user would have been told. */
  readonly warnings: readonly string[];
  readonly atMs: number;
}

/**
 * The question where the remote branch is, asked while the program that will need the answer is being loaded, and without
 * the lock. The answer is as good as one under the lock: the push compares and swaps.
 */
export class FirstQuestion {
  private begun: Begun | undefined;

  constructor(begun: Begun) {
    this.begun = begun;
  }

  /**
   * The conversation, for the one who goes on with it under the same signal, and tells its warnings.
   * @returns undefined: better asked again
   */
  take(upstream: Upstream, { clock, signal, report, ask }: Surroundings): Remote | undefined {
    const { begun } = this;
    if (begun === undefined || clock.monotonic() - begun.atMs > FRESH_MS || !isSame(upstream, begun.upstream))
      return undefined;
    this.begun = undefined;
    const { remote, abort, warnings } = begun;
    begun.taken(ask);
    if (signal?.aborted === true) abort.abort(signal.reason);
    signal?.addEventListener('abort', () => abort.abort(signal.reason), { once: true });
    for (const text of warnings) report({ kind: 'warning', text });
    return remote;
  }

  /** Nobody will want to know. */
  async drop(): Promise<void> {
    await this.begun?.remote.close();
    this.begun = undefined;
  }
}

/**
 * Asks where a push of the branch that is checked out would go. Whatever is in the way is found again, and told, by the
 * cycle; it is only not asked ahead then. Nor is it where somebody has the lock: who waits is mostly taken along, and has
 * no question of its own.
 * @param begin gives the ground, in surroundings with these parts
 * @param mayAsk there is a person at the terminal
 * @returns undefined: not asked
 */
export async function askAhead(
  begin: (around: Partial<Surroundings>) => Promise<Ground>,
  mayAsk: boolean,
): Promise<FirstQuestion | undefined> {
  const abort = new AbortController();
  const warnings: string[] = [];
  let taken: Begun['taken'] = () => undefined;
  const taker = new Promise<Ask | undefined>((resolve) => (taken = resolve));
  try {
    const ground = await begin({
      signal: abort.signal,
      ...(mayAsk ? { ask: async (question) => (await taker)?.(question) } : {}),
      report: (event) => event.kind === 'warning' && warnings.push(event.text),
    });
    const { root, refs, settings } = ground;
    const { disk, clock } = ground.surroundings;
    const { branch } = refs.head();
    if (branch === undefined || !settings.gitEnabled || !settings.autoPush) return undefined;
    const name = shortName(branch);
    if (settings.sessionBranch !== undefined || (settings.branch ?? name) !== name) return undefined;
    const upstream = upstreamOf(ground, name);
    if (upstream === undefined || refs.resolve(upstream.tracking) === undefined) return undefined;
    if (addressOf(ground, upstream.remoteName, upstream.url).kind !== 'http') return undefined;
    if (lookAtLock(disk, new LockPaths(root)) !== undefined || isContended(ground, CROWDED_MS)) return undefined;
    const remote = new BegunRemote(await connect(ground, upstream), upstream.ref, (tip) =>
      toFetch(ground, upstream, tip),
    );
    await untilSent(remote, remote.isAnswered, clock);
    return new FirstQuestion({ upstream, remote, abort, taken, warnings, atMs: clock.monotonic() });
  } catch {
    return undefined; // whatever is wrong, the command meets it again, and tells it
  }
}

/** As the cycle will ask for it (Exchange.look). @returns undefined: nothing, or nothing that could be had ahead */
function toFetch({ surroundings, gitDir, refs, promisor }: Ground, upstream: Upstream, tip: Oid): Wanted | undefined {
  const [seen, own] = [refs.resolve(upstream.tracking), refs.head().oid];
  if (promisor !== undefined || seen === undefined || tip === seen || tip === own) return undefined;
  const haves = [...new Set(own === undefined ? [seen] : [seen, own])];
  return { wants: [tip], haves, shallow: readShallow(surroundings.disk, gitDir) };
}

function isSame(a: Upstream, b: Upstream): boolean {
  return a.remoteName === b.remoteName && a.url === b.url && a.pushUrl === b.pushUrl && a.ref === b.ref;
}
