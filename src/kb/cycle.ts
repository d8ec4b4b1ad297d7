import { KbError, isKbError } from '../errors.js';
import { resolveIdentity, type Identities } from '../config/identity.js';
import { asStorageError } from '../disk/durable.js';
import { asRefName, EMPTY_TREE, type Oid } from '../git/ids.js';
import { GitIndex, type NewEntry } from '../git/index/index-file.js';
import { sweepDeadLocks } from '../git/lock-marks.js';
import { formatSignature, readCommit } from '../git/objects/commit.js';
import { commitsSince, isAncestor, writeShallow } from '../git/objects/history.js';
import { objectsToSend } from '../git/objects/objects-to-send.js';
import { StagedObjects } from '../git/objects/staged.js';
import { diffTrees, type TreeChange } from '../git/objects/tree-diff.js';
import type { RepoPath } from '../git/paths.js';
import { describeOwner } from '../lock/owner.js';
import { withLock, type HeldLock } from '../lock/lock.js';
import { deadWordProbe } from '../lock/process-word.js';
import type { Discovery, Remote } from '../remote/remote.js';
import { retryDelays } from '../remote/retry.js';
import { advance, finishInterruptedAdvance, treeOf } from './advance.js';
import { integrate, type Integrated } from './integrate.js';
import { recordSync } from './last-sync.js';
import { checkedOutBranch, upstreamOf, type CheckedOutBranch, type Kb, type Upstream } from './open.js';
import { connect } from './connect.js';
import { requireFreeIndex, requireNothingInTheWay, requireSafeState } from './safe-state.js';

/** Edits that lie uncommitted in the work tree, made a commit on top of the local branch. */
export interface CollectedEdits {
  readonly commit: Oid;
  readonly tree: Oid;
  /** Index entries with the stat of each file as it was before it was read. */
  readonly entries: ReadonlyMap<RepoPath, NewEntry | null>;
}

/** Where an edit is put: the state that local and remote work come to together. */
export interface Tip {
  readonly commit: Oid | undefined;
  readonly tree: Oid;
  readonly staged: StagedObjects;
}

export interface CyclePlan {
  /** For the lock's record and messages: `note`, `sync`. */
  readonly operation: string;
  readonly pull: boolean;
  readonly push: boolean;
  /** Makes a commit of local edits; undefined: there are none. Called once. */
  readonly collect?: (under: { branch: CheckedOutBranch; identities: Identities; index: GitIndex }) => CollectedEdits | undefined;
  /**
   * Adds the cycle's own edit on top of the tip and gives the new commit; undefined: nothing to add.
   * Called again, from scratch, whenever the remote turns out to have moved: an append stays an append.
   */
  readonly edit?: (tip: Tip, identities: Identities) => Promise<Oid | undefined>;
}

export interface CycleOutcome {
  readonly branch: string;
  readonly before: Oid | undefined;
  readonly after: Oid | undefined;
  /** What `edit` gave, as it landed or was kept. */
  readonly edited: Oid | undefined;
  /** Reachable from the remote branch now. */
  readonly landed: boolean;
  readonly hasRemote: boolean;
  readonly pulled: number;
  readonly pushed: number;
  readonly merged: readonly RepoPath[];
  readonly createdBranch: boolean;
  /** From the local branch as it was (with its edits) to the new one. */
  readonly changes: readonly TreeChange[];
  readonly requests: number;
  readonly waitedMs: number;
}

/**
 * The one cycle: lock → recover → discover → integrate → edit → push → advance the work tree → unlock.
 *
 * Everything up to the push happens in objects only; a refusal or conflict leaves branch, index and work
 * tree untouched. The push is a compare-and-swap on the remote; losing it starts over from discover.
 * @throws KbError E_LOCK_TIMEOUT, E_UNSAFE_STATE, E_CONFLICT, E_AUTH, E_REFUSED, E_STORAGE, E_LOCK_LOST;
 *   E_NETWORK with details.saved when the edit was kept as a local commit
 */
export async function runCycle(kb: Kb, plan: CyclePlan): Promise<CycleOutcome> {
  const { surroundings, settings } = kb;
  const { disk, random, signal } = surroundings;
  return withLock(
    {
      directory: kb.root,
      operation: plan.operation,
      command: `kb ${plan.operation}`,
      timeoutMs: settings.lockTimeoutMs,
      onWait: ({ owner, waitedMs }) =>
        surroundings.report({ kind: 'waiting', holder: owner === undefined ? undefined : describeOwner(owner), waitedMs }),
      ...(signal === undefined ? {} : { signal }),
    },
    async (held) => {
      let cycle: Cycle | undefined;
      try {
        cycle = new Cycle(kb, plan, held);
        return await cycle.run();
      } catch (error) {
        throw asStorageError(error, `finish kb ${plan.operation}`);
      } finally {
        cycle?.close();
      }
    },
    { disk, random, identity: surroundings.identity },
  );
}

/** Only this many times in a row may a push end with its reply lost before the edit is kept locally. */
const MAX_LOST_REPLIES = 3;

class Cycle {
  private remote: Remote | undefined;
  private readonly identities: Identities;
  private readonly branch: CheckedOutBranch;
  private readonly upstream: Upstream | undefined;
  private readonly index: GitIndex;
  private readonly who: string;
  private readonly fence: () => void;
  private edits: CollectedEdits | undefined;
  /** Commits whose push ended without a reply; any of them may have landed, or may still. */
  private readonly inDoubt: Oid[] = [];

  constructor(
    private readonly kb: Kb,
    private readonly plan: CyclePlan,
    private readonly held: HeldLock,
  ) {
    const nowMs = kb.surroundings.clock.wall();
    this.identities = resolveIdentity({
      settings: kb.settings,
      env: kb.surroundings.env,
      nowMs,
      offsetMinutes: kb.surroundings.clock.offsetMinutes(nowMs),
    });
    this.who = formatSignature(this.identities.committer);
    this.fence = () => held.assertHeld();
    sweepDeadLocks(kb.surroundings.disk, kb.gitDir, deadWordProbe(kb.surroundings.disk, kb.surroundings.identity));
    finishInterruptedAdvance(kb, { who: this.who, fence: this.fence });
    this.index = GitIndex.read(kb.surroundings.disk, kb.gitDir);
    requireSafeState(kb, this.index);
    this.branch = checkedOutBranch(kb);
    this.upstream = upstreamOf(kb, this.branch.name);
  }

  async run(): Promise<CycleOutcome> {
    const { plan } = this;
    this.edits = plan.collect?.({ branch: this.branch, identities: this.identities, index: this.index });
    if (this.upstream === undefined || !this.kb.settings.gitEnabled || (!plan.pull && !plan.push)) return this.keepLocally();
    try {
      const outcome = await this.exchange(this.upstream);
      recordSync(this.kb, undefined);
      return outcome;
    } catch (error) {
      const known = asStorageError(error, `finish kb ${plan.operation}`);
      if (known instanceof KbError) recordSync(this.kb, known);
      if (isKbError(known, 'E_NETWORK')) throw await this.savedLocally(known);
      throw known;
    }
  }

  close(): void {
    this.remote?.close();
  }

  private async exchange(upstream: Upstream): Promise<CycleOutcome> {
    const { kb, plan, branch } = this;
    const { clock, random, signal } = kb.surroundings;
    const deadline = clock.monotonic() + kb.settings.gitTimeoutMs;
    const delays = retryDelays(random);
    const remote = (this.remote = await connect(kb, upstream));
    for (;;) {
      const seen = kb.refs.resolve(upstream.tracking);
      const remoteTip = await this.discover(remote, upstream, seen);
      if (remoteTip !== undefined && remoteTip !== seen) await this.bring(remote, upstream, remoteTip, seen);

      const staged = new StagedObjects(kb.objects);
      const landedInDoubt = this.findLanded(remoteTip);
      const together = landedInDoubt === undefined ? this.integrate(staged, remoteTip, seen) : this.adopt(remoteTip);
      const edited = landedInDoubt ?? (await plan.edit?.(tipOf(staged, together.tip), this.identities));
      const target = edited === undefined || landedInDoubt !== undefined ? together.tip : edited;
      if (target === undefined) return this.outcome({ together, edited, target, remoteTip, landed: true, createdBranch: false, pushed: 0 });
      const changes = this.requireRoom(staged, target);
      staged.persist();

      const needsPush = plan.push && target !== remoteTip;
      const shallow = kb.shallow();
      const toPush = needsPush ? commitsSince(kb.objects, remoteTip, target, shallow).commits : [];
      const pushed = toPush.length;
      if (needsPush) {
        requireFreeIndex(kb);
        this.fence();
        kb.surroundings.report({ kind: 'step', text: `pushing ${pushed} ${pushed === 1 ? 'commit' : 'commits'}` });
        const result = await remote.push({
          ref: upstream.ref,
          from: remoteTip ?? null,
          to: target,
          objects: kb.objects,
          oids: [...objectsToSend(kb.objects, { commits: toPush.reverse(), known: kb.objects }, [])],
          shallow,
          fence: this.fence,
          who: this.who,
        });
        if (result.kind === 'refused') {
          throw new KbError('E_REFUSED', `the remote refused the push: ${result.message}`, { details: { remoteMessage: result.message } });
        }
        if (result.kind === 'unknown') {
          this.inDoubt.push(target);
          if (this.inDoubt.length >= MAX_LOST_REPLIES) throw result.cause;
        }
        if (result.kind !== 'landed') {
          if (!plan.pull) throw movedWithoutPull(upstream);
          const delay = delays.next().value ?? 0;
          if (clock.monotonic() + delay > deadline) {
            throw new KbError('E_NETWORK', `other writers were faster for ${kb.settings.gitTimeoutMs / 1000} s`);
          }
          if (delay > 0) await clock.sleep(delay, signal);
          continue;
        }
      }
      const createdBranch = needsPush && remoteTip === undefined;
      if (createdBranch) kb.surroundings.report({ kind: 'warning', text: `created branch ${upstream.ref} on the remote` });
      if (needsPush) this.followLanding(upstream, target);
      else this.advanceTo(target);
      const landed = target === remoteTip || needsPush;
      return this.outcome({ together, edited, target, remoteTip, landed, createdBranch, pushed, changes });
    }
  }

  /** One request. Only who means to push asks for the push advertisement: a reader may have no right to it. */
  private async discover(remote: Remote, upstream: Upstream, seen: Oid | undefined): Promise<Oid | undefined> {
    const { plan, branch, kb } = this;
    const hasOwn = plan.edit !== undefined || this.edits !== undefined || branch.commit !== seen;
    const ask = (intent: 'read' | 'write'): Promise<Discovery> => remote.discover(intent, [upstream.ref]);
    kb.surroundings.report({ kind: 'step', text: `asking ${remote.displayUrl}` });
    const writes = plan.push && hasOwn;
    let discovery = await ask(writes ? 'write' : 'read');
    // A branch that vanished from the remote is made again, which needs the other advertisement.
    if (plan.push && !writes && !discovery.refs.has(upstream.ref) && branch.commit !== undefined) discovery = await ask('write');
    return discovery.refs.get(upstream.ref);
  }

  /** Fetches the remote's tip and remembers it. Objects are stored and verified before any ref names them. */
  private async bring(remote: Remote, upstream: Upstream, remoteTip: Oid, seen: Oid | undefined): Promise<void> {
    const { kb, branch } = this;
    if (!this.plan.pull) throw movedWithoutPull(upstream);
    if (branch.commit !== remoteTip) {
      const receiver = kb.objects.receivePack({});
      try {
        const result = await remote.fetch({
          wants: [remoteTip],
          haves: [...new Set([seen, branch.commit].filter((oid) => oid !== undefined))],
          shallow: kb.shallow(),
          sink: receiver,
          onProgress: (progress) => kb.surroundings.report({ kind: 'progress', ...progress }),
        });
        if (result.empty) receiver.abort();
        else receiver.finish();
        if (result.shallow.length > 0 || result.unshallow.length > 0) {
          const shallow = new Set([...kb.shallow(), ...result.shallow]);
          for (const oid of result.unshallow) shallow.delete(oid);
          writeShallow(kb.surroundings.disk, kb.gitDir, shallow, kb.lockMarks);
        }
      } catch (error) {
        receiver.abort();
        throw error;
      }
    }
    this.remember(upstream, remoteTip);
  }

  private remember(upstream: Upstream, commit: Oid): void {
    const { kb } = this;
    if (kb.refs.resolve(upstream.tracking) === commit) return;
    kb.refs.update({ name: upstream.tracking, to: commit, message: `kb ${this.plan.operation}`, who: this.who, fence: this.fence });
  }

  private findLanded(remoteTip: Oid | undefined): Oid | undefined {
    if (remoteTip === undefined) return undefined;
    const shallow = this.kb.shallow();
    return this.inDoubt.find((commit) => commit === remoteTip || isAncestor(this.kb.objects, commit, remoteTip, shallow));
  }

  /** A push whose reply was lost did land: the remote's tip holds all that this cycle brought. */
  private adopt(remoteTip: Oid | undefined): Integrated {
    return { tip: remoteTip, pulled: 0, merged: [], rewritten: false };
  }

  private integrate(staged: StagedObjects, remoteTip: Oid | undefined, seen: Oid | undefined): Integrated {
    const { kb, branch } = this;
    const together = integrate({
      staged,
      shallow: kb.shallow(),
      local: this.edits?.commit ?? branch.commit,
      remote: remoteTip,
      tracking: seen,
      committer: this.identities.committer,
    });
    if (together.rewritten && branch.commit !== undefined) this.backUp(branch.commit);
    return together;
  }

  /** After the remote's history was rewritten, the old local branch stays reachable by name. */
  private backUp(commit: Oid): void {
    const { kb } = this;
    const moment = new Date(kb.surroundings.clock.wall()).toISOString().replace(/[:.]/g, '-');
    const name = asRefName(`refs/kb/backup/${moment}`);
    kb.refs.update({ name, to: commit, message: 'kb: before following a rewritten remote branch', who: this.who, fence: this.fence });
    kb.surroundings.report({ kind: 'warning', text: `the remote branch was rewritten; what you had is kept as ${name}` });
  }

  /** The changes to the work tree that the target means. @throws KbError E_UNSAFE_STATE when something is in their way */
  private requireRoom(staged: StagedObjects, target: Oid): TreeChange[] {
    const changes = diffTrees(staged, this.worktreeTree(), readCommit(staged, target).tree);
    requireNothingInTheWay(this.kb, changes, this.index);
    return changes;
  }

  private worktreeTree(): Oid {
    return this.edits?.tree ?? treeOf(this.kb, this.branch.commit);
  }

  /**
   * Once the push has landed, nothing that goes wrong on this side may make the edit look failed: the
   * caller would repeat it. The branch then simply stays behind, and the next sync brings it up.
   */
  private followLanding(upstream: Upstream, target: Oid): void {
    const { kb } = this;
    try {
      this.remember(upstream, target);
      // A file may have been edited while the push was under way.
      this.requireRoom(new StagedObjects(kb.objects), target);
      this.advanceTo(target);
    } catch (error) {
      const known = asStorageError(error, 'update the local copy');
      if (!(known instanceof KbError)) throw known;
      const text = `it landed on the remote as ${target.slice(0, 10)}, but the local copy could not follow: ${known.message}; next: kb sync`;
      kb.surroundings.report({ kind: 'warning', text });
    }
  }

  private advanceTo(target: Oid): void {
    const { kb, branch } = this;
    if (target === branch.commit && this.edits === undefined) return;
    advance(
      kb,
      { branch: branch.ref, from: branch.commit ?? null, to: target, fromTree: this.worktreeTree() },
      {
        who: this.who,
        message: `kb ${this.plan.operation}`,
        fence: this.fence,
        ...(this.edits === undefined ? {} : { entries: this.edits.entries }),
      },
    );
  }

  /** No remote, or the command asked for none: the edit becomes a local commit and nothing else. */
  private async keepLocally(): Promise<CycleOutcome> {
    const { kb, branch } = this;
    const staged = new StagedObjects(kb.objects);
    const local = this.edits?.commit ?? branch.commit;
    const together: Integrated = { tip: local, pulled: 0, merged: [], rewritten: false };
    const edited = await this.plan.edit?.(tipOf(staged, local), this.identities);
    const target = edited ?? local;
    if (target === undefined) return this.outcome({ together, edited, target, remoteTip: undefined, landed: false, createdBranch: false, pushed: 0 });
    const changes = this.requireRoom(staged, target);
    staged.persist();
    this.advanceTo(target);
    return this.outcome({ together, edited, target, remoteTip: undefined, landed: false, createdBranch: false, pushed: 0, changes });
  }

  /**
   * The remote could not be reached: the edit is kept as a local commit that the next sync brings along.
   * A commit whose push got no reply is kept as it is, under the same id, so that it can never land twice.
   */
  private async savedLocally(cause: KbError): Promise<KbError> {
    const doubtful = this.inDoubt.at(-1);
    let kept: Oid | undefined;
    if (doubtful !== undefined) {
      this.advanceTo(doubtful);
      kept = doubtful;
    } else if (this.plan.edit !== undefined || this.edits !== undefined) {
      const outcome = await this.keepLocally();
      kept = outcome.edited ?? outcome.after;
    }
    if (kept === undefined) return cause;
    return new KbError('E_NETWORK', `${cause.message}; the edit is saved locally as ${kept.slice(0, 10)}`, {
      cause,
      hint: 'it goes out with the next: kb sync',
      details: { ...cause.details, saved: kept },
    });
  }

  private outcome(at: {
    together: Integrated;
    edited: Oid | undefined;
    target: Oid | undefined;
    remoteTip: Oid | undefined;
    landed: boolean;
    createdBranch: boolean;
    pushed: number;
    changes?: readonly TreeChange[];
  }): CycleOutcome {
    return {
      branch: this.branch.name,
      before: this.branch.commit,
      after: at.target,
      edited: at.edited,
      landed: at.landed,
      hasRemote: this.upstream !== undefined,
      pulled: at.together.pulled,
      pushed: at.pushed,
      merged: at.together.merged,
      createdBranch: at.createdBranch,
      changes: at.changes ?? [],
      requests: this.remote?.requests ?? 0,
      waitedMs: this.held.waitedMs,
    };
  }
}

function tipOf(staged: StagedObjects, commit: Oid | undefined): Tip {
  return { commit, tree: commit === undefined ? EMPTY_TREE : readCommit(staged, commit).tree, staged };
}

function movedWithoutPull(upstream: Upstream): KbError {
  return new KbError('E_UNSAFE_STATE', `the remote branch ${upstream.ref} has commits that are not here, and pulling was switched off`, {
    hint: 'kb sync',
  });
}
