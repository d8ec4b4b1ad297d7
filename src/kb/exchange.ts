import { KbError } from '../errors.js';
import { branchRef, type Oid } from '../git/ids.js';
import { commitsSince, isAncestor } from '../git/objects/history.js';
import type { ObjectSource } from '../git/objects/object.js';
import { objectsToSend } from '../git/objects/objects-to-send.js';
import type { FetchRequest, Remote } from '../remote/remote.js';
import { retryDelays } from '../remote/retry.js';
import type { FirstQuestion } from './ask-ahead.js';
import { connect } from './connect.js';
import { lfsRemoteOf } from './lfs/kb-remote.js';
import { sendLargeFiles } from './lfs/send.js';
import type { LfsOid } from '../lfs/pointer.js';
import { deepenUntil, type DeepeningSteps } from './deepen.js';
import { fetchObjects } from './fetch-objects.js';
import type { Kb } from './open.js';
import type { Upstream } from './upstream.js';
import { untilSent } from './until-sent.js';
import { fetchPromised, onlyHere } from './promised-objects.js';

export interface ExchangeRules {
  readonly operation: string;
  /** Bring in what the remote has; without it a remote that has moved is an error. */
  readonly mayPull: boolean;
  /** Formatted committer, for reflogs. */
  readonly who: string;
  /** Throws when the KB's lock is no longer ours; called before each ref write and push. */
  readonly fence: () => void;
  /** What a look brings in is stored, and remembered, by `settle`: before anything names it. Default: at once. */
  readonly storesLate?: boolean;
}

/** Where the remote branch is. */
export interface Sight {
  /** undefined: the branch does not exist there */
  readonly tip: Oid | undefined;
  /** Where it was when last seen before. */
  readonly seen: Oid | undefined;
}

/** Only this many times in a row may a push end with its reply lost before the edit is kept locally. */
const MAX_LOST_REPLIES = 3;
/** So many branches of the remote are looked at for where a new branch begins. */
const MOST_KNOWN = 8;

/**
 * One conversation with the remote, over one connection, limited by the settings' deadline.
 *
 * Invariant: a commit whose push got no reply is in doubt until the branch itself was looked at, and no
 * commit in doubt is ever made again under another id once it is found there. So "accepted, reply lost"
 * cannot land an edit twice. (Broken by: test/e2e/bad-input.test.ts, "a push whose reply is lost")
 */
export class Exchange {
  private readonly doubtful: Oid[] = [];
  /** Commits of the remote's branches that are here too, as the last look found them. */
  private there: readonly Oid[] = [];
  /** Large files that are known to be on the remote. */
  private readonly sent = new Set<LfsOid>();
  private lfsRequests = 0;
  /** Where the remote branch was seen last, and no ref says so yet. */
  private sighted: Oid | undefined;
  private readonly delays: Generator<number>;

  private constructor(
    private readonly kb: Kb,
    private readonly upstream: Upstream,
    private readonly rules: ExchangeRules,
    private readonly remote: Remote,
  ) {
    const { clock, random } = kb.surroundings;
    const deadline = clock.monotonic() + kb.settings.gitTimeoutMs;
    this.delays = retryDelays(random, { remainingMs: () => deadline - clock.monotonic() });
  }

  /** @param question what was asked ahead; goes on with it where it is about the same */
  static async open(kb: Kb, upstream: Upstream, rules: ExchangeRules, question?: FirstQuestion): Promise<Exchange> {
    const remote = question?.take(upstream, kb.surroundings) ?? (await connect(kb, upstream));
    return new Exchange(kb, upstream, rules, remote);
  }

  get requests(): number {
    return this.remote.requests + this.lfsRequests;
  }

  /** The last commit whose push got no reply. */
  get lastInDoubt(): Oid | undefined {
    return this.doubtful.at(-1);
  }

  /**
   * Asks where the branch is (one request) and brings in what is new there (one more).
   * @param own what the local branch holds; `push`: there is something to push, so the advertisement for
   *   pushers is asked for, which needs push rights; a reader must not need them
   */
  async look(own: { readonly commit: Oid | undefined; readonly push: boolean }): Promise<Sight> {
    const { kb, remote, upstream } = this;
    kb.surroundings.report({ kind: 'step', text: `asking ${remote.displayUrl}` });
    const seen = kb.refs.resolve(upstream.tracking);
    // Whoever makes a branch must know what is there already, so as not to send it again.
    const prefixes = own.push && seen === undefined ? [upstream.ref, 'refs/heads/'] : [upstream.ref];
    const { refs } = await remote.discover(own.push ? 'write' : 'read', prefixes);
    this.there = [...new Set(refs.values())].filter((oid) => kb.objects.has(oid)).slice(0, MOST_KNOWN);
    const tip = refs.get(upstream.ref);
    if (tip !== undefined && tip !== seen) await this.bring(tip, seen, own.commit);
    return { tip, seen };
  }

  /** As `untilSent`, for what was asked of this exchange just now. */
  async hasLeft(asked: Promise<unknown>): Promise<void> {
    await untilSent(this.remote, asked, this.kb.surroundings.clock);
  }

  /** Of the commits in doubt the one that the branch holds. */
  findLanded(tip: Oid | undefined): Oid | undefined {
    if (tip === undefined || this.doubtful.length === 0) return undefined;
    const shallow = this.kb.shallow();
    return this.doubtful.find((commit) => isAncestor(this.kb.objects, commit, tip, shallow));
  }

  /**
   * One compare-and-swap of the remote branch (one request), after the large files that the commits name.
   * @param objects those of the new commits; they need not be stored yet
   * @param meanwhile work for the time in which the server is busy; must not change anything
   * @returns how many commits landed; undefined: look again, somebody was faster or no reply came
   * @throws KbError E_REFUSED, E_AUTH, E_NETWORK (the last reply that may be lost was lost), E_LOCK_LOST
   */
  async push(
    from: Oid | undefined,
    to: Oid,
    objects: ObjectSource,
    meanwhile: () => void,
  ): Promise<number | undefined> {
    const { kb, remote, upstream, rules } = this;
    const shallow = kb.shallow();
    const since = (base: Oid | undefined): Oid[] => commitsSince(objects, base, to, shallow).commits;
    const commits =
      from === undefined ? shortest((this.there.length === 0 ? [undefined] : this.there).map(since)) : since(from);
    const newestFirst = [...commits].reverse();
    this.lfsRequests += await sendLargeFiles(kb, {
      commits,
      newest: to,
      ref: upstream.ref,
      objects,
      shallow,
      sent: this.sent,
      remote: () => lfsRemoteOf(kb, upstream, 'upload'),
    });
    kb.surroundings.report({
      kind: 'step',
      text: `pushing ${commits.length} ${commits.length === 1 ? 'commit' : 'commits'}`,
    });
    rules.fence();
    const pushing = remote.push({
      ref: upstream.ref,
      from: from ?? null,
      to,
      objects,
      oids: onlyHere(kb, objects, [...objectsToSend(objects, { commits: newestFirst, known: kb.objects }, [])]),
      shallow,
      fence: rules.fence,
      who: rules.who,
    });
    pushing.catch(() => undefined); // awaited below; a failure that comes earlier is not unhandled
    await this.hasLeft(pushing);
    try {
      meanwhile();
    } catch {
      // What is wrong is found again when it matters; it must not hide what becomes of the push.
    }
    const outcome = await pushing;
    switch (outcome.kind) {
      case 'landed':
        return commits.length;
      case 'race':
        return undefined;
      case 'refused':
        throw new KbError('E_REFUSED', `the remote refused the push: ${outcome.message}`, {
          details: { remoteMessage: outcome.message },
          ...(/^shallow update not allowed/.test(outcome.message)
            ? {
                hint: 'this KB has only the newest commits, and the remote wants all: clone it with kb clone --depth full',
              }
            : {}),
        });
      case 'unknown':
        this.doubtful.push(to);
        if (this.doubtful.length >= MAX_LOST_REPLIES) throw outcome.cause;
        return undefined;
    }
  }

  /** Fetches what a partial clone left with the remote (one request; none where all of it is here). */
  async bringPromised(oids: Iterable<Oid>): Promise<void> {
    if (this.kb.promisor !== undefined) await fetchPromised(this.kb, this.remote, oids);
  }

  /** Waits before the next try. @throws KbError E_NETWORK when the time is up; E_UNSAFE_STATE when pulling is off */
  async pause(): Promise<void> {
    const { kb } = this;
    if (!this.rules.mayPull) throw this.movedWithoutPull();
    const next = this.delays.next();
    if (next.done === true) {
      throw new KbError('E_NETWORK', `other writers were faster for ${kb.settings.gitTimeoutMs / 1000} s`);
    }
    if (next.value > 0) await kb.surroundings.clock.sleep(next.value, kb.surroundings.signal);
  }

  /**
   * Stores what the last look brought in, and moves the remote-tracking branch there.
   * @throws KbError E_STORAGE, E_LOCK_LOST, E_UNSAFE_STATE; it can be called again then
   */
  settle(): void {
    this.kb.objects.storeHeld();
    if (this.sighted !== undefined) this.remember(this.sighted);
    this.sighted = undefined;
  }

  /** Moves the remote-tracking branch. */
  remember(commit: Oid): void {
    const { kb, upstream, rules } = this;
    if (kb.refs.resolve(upstream.tracking) === commit) return;
    kb.refs.update({
      name: upstream.tracking,
      to: commit,
      message: `kb ${rules.operation}`,
      who: rules.who,
      fence: rules.fence,
    });
  }

  /**
   * Waits until the remote has ended its reply to the push that landed: its hooks run until then, and some servers end
   * them with the connection.
   */
  async heardOut(): Promise<void> {
    await this.remote.heardOut?.();
  }

  close(): Promise<void> {
    return this.remote.close();
  }

  /**
   * Brings in more of the remote branch's history, until there is enough of it.
   * @see deepenUntil
   */
  deepen(tip: Oid, why: string, isEnough: () => boolean, steps?: DeepeningSteps): Promise<boolean> {
    return deepenUntil(this.kb, this.remote, { tip, why, isEnough, steps });
  }

  /**
   * The tip of the remote's default branch, fetched where it is not here (at most two requests).
   * @returns undefined where it has none
   */
  async bringDefault(): Promise<Oid | undefined> {
    const { kb, remote } = this;
    const { refs, head } = await remote.discover('read', ['HEAD', 'refs/heads/main', 'refs/heads/master']);
    const names = [head, branchRef('main'), branchRef('master')];
    const tip = names.map((name) => (name === undefined ? undefined : refs.get(name))).find((oid) => oid !== undefined);
    if (tip === undefined) return undefined;
    const known = knownTips(kb);
    if (!known.includes(tip)) await fetchObjects(kb, remote, { wants: [tip], ...fromNothing(kb, known) });
    this.there = [...this.there, tip];
    return tip;
  }

  /** Objects are stored and verified before any ref names them: a fetch that is cut leaves nothing behind. */
  private async bring(tip: Oid, seen: Oid | undefined, own: Oid | undefined): Promise<void> {
    const { kb } = this;
    if (!this.rules.mayPull) throw this.movedWithoutPull();
    const haves = [...new Set([seen, own].filter((oid) => oid !== undefined))];
    const how = haves.length === 0 ? fromNothing(kb, knownTips(kb)) : { haves, shallow: kb.shallow() };
    const storesLate = this.rules.storesLate === true;
    if (tip !== own) await fetchObjects(kb, this.remote, { wants: [tip], ...how }, { storesLate });
    this.sighted = tip;
    if (!storesLate) this.settle();
  }

  private movedWithoutPull(): KbError {
    return new KbError(
      'E_UNSAFE_STATE',
      `the remote branch ${this.upstream.ref} has commits that are not here, and pulling was switched off`,
      {
        hint: 'kb sync',
      },
    );
  }
}

/** Most tips that a fetch of another branch names as what is here. */
const MOST_HAVES = 64;

/** Of the branches here, and of the remote's as last seen: their history is here, as far as it is meant to be. */
function knownTips(kb: Kb): Oid[] {
  const tips = [...kb.refs.list('refs/remotes/').values(), ...kb.refs.list('refs/heads/').values()];
  return [...new Set(tips)].slice(0, MOST_HAVES);
}

/**
 * A branch of which nothing is here yet. In a shallow KB only its newest state comes, as with the first branch: all that
 * lies beneath the end of history could come otherwise.
 */
function fromNothing(kb: Kb, haves: readonly Oid[]): Pick<FetchRequest, 'haves' | 'shallow' | 'depth'> {
  const shallow = kb.shallow();
  return shallow.size === 0 ? { haves, shallow } : { haves, shallow, depth: 1 };
}

function shortest(lists: readonly (readonly Oid[])[]): readonly Oid[] {
  return lists.reduce((best, list) => (list.length < best.length ? list : best));
}
