import { resolveIdentity, type Identities } from '../config/identity.js';
import { asStorageError } from '../disk/durable.js';
import { isKbError, KbError } from '../errors.js';
import { asRefName, EMPTY_TREE, type Oid, type RefName } from '../git/ids.js';
import { GitIndex, type NewEntry } from '../git/index/index-file.js';
import { formatSignature, readCommit } from '../git/objects/commit.js';
import { isAncestor } from '../git/objects/history.js';
import type { ObjectSource } from '../git/objects/object.js';
import { StagedObjects } from '../git/objects/staged.js';
import { findEntry, type Leaf } from '../git/objects/tree.js';
import { diffTrees, type TreeChange } from '../git/objects/tree-diff.js';
import { RefMoved } from '../git/refs/refs.js';
import type { RepoPath } from '../git/paths.js';
import { turns } from '../git/steps.js';
import { advance, removeJournal, treeOf, writeJournal } from './advance.js';
import type { ConflictPolicy, MergedFile, Settled } from './apply-changes.js';
import type { FirstQuestion } from './ask-ahead.js';
import { branchAside, startAsLastSeen } from './branch-aside.js';
import { goesOutWith, switchedAway, type Batch } from './batch.js';
import { ALL_AT_ONCE } from './deepen.js';
import { Exchange, type Sight } from './exchange.js';
import { hasRoomToSpare } from './free-space.js';
import type { Hold } from './hold.js';
import { forgetSyncConflict, openDecisions, recordSyncConflict, type Decisions } from './conflicts/of-sync.js';
import { integrate, Unmerged, type Integrated } from './integrate.js';
import { blobsToIntegrate, filesInSight, withPromised } from './promised-objects.js';
import { recordSync } from './last-sync.js';
import type { NoteEntry } from './note-entry.js';
import { carriesKey } from './note-id.js';
import { findSavedNote, forgetSavedNotes, recordRemade, remadeAs, saveNotes } from './saved-notes.js';
import { sealCommit } from './seal-commit.js';
import { trackUpstream } from './track-upstream.js';
import { writeNote } from './write-note.js';
import { bringChangedLargeFiles, type LfsRemote } from './lfs/bring.js';
import { leftOutFiles } from './lfs/left-out.js';
import { lfsRemoteOf } from './lfs/kb-remote.js';
import { mend } from './mend.js';
import { checkedOutBranch, optional, type CheckedOutBranch, type Kb } from './open.js';
import { upstreamOf, type Upstream } from './upstream.js';
import { requireFreeIndex, requireNothingInTheWay, requireSafeState, requireSameIndex } from './safe-state.js';

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
  /**
   * The branch that all of it is for. Another one than that which is checked out is moved without a look at files or
   * index; where it is neither here nor on the remote, an edit makes it from the default branch. Default: the one that is
   * checked out.
   */
  readonly branch?: RefName;
  /** What becomes of files that cannot be merged. Default: the cycle stops. */
  readonly onConflict?: ConflictPolicy;
  /** What `collect` gave is put away by the caller where the cycle fails. */
  readonly putsEditsAway?: boolean;
  /** Makes a commit of local edits; undefined: there are none. Called once. */
  readonly collect?: (under: {
    branch: CheckedOutBranch;
    identities: Identities;
    index: GitIndex;
  }) => CollectedEdits | undefined;
  /**
   * Adds the cycle's own edit on top of the tip and gives the new commit; undefined: nothing to add.
   * Called again, from scratch, whenever the remote turns out to have moved: an append stays an append.
   */
  readonly edit?: (tip: Tip, identities: Identities) => Promise<Oid | undefined>;
  /** Where the remote branch is, asked before the cycle began. */
  readonly question?: FirstQuestion | undefined;
  /** Notes that go out with this cycle, each as its own commit upon its edit. */
  readonly batch?: Batch;
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
  readonly merged: readonly MergedFile[];
  readonly settled: readonly Settled[];
  readonly createdBranch: boolean;
  /** From the work tree as it was to the new one. */
  readonly changes: readonly TreeChange[];
  readonly requests: number;
  readonly waitedMs: number;
}

/** @returns undefined where the tree holds no file */
function leafAt(source: ObjectSource, tree: Oid, path: RepoPath): Leaf | undefined {
  const entry = findEntry(source, tree, path);
  return entry === undefined || entry.mode === 0o040000 ? undefined : { mode: entry.mode, oid: entry.oid };
}

/**
 * The one cycle, for one who holds the lock: recover → discover → integrate → edit → push → advance the work tree.
 *
 * Everything up to the push happens in objects only; a refusal or conflict leaves branch, index and work
 * tree untouched. The push is a compare-and-swap on the remote; losing it starts over from discover.
 * @throws KbError E_UNSAFE_STATE, E_CONFLICT, E_AUTH, E_REFUSED, E_STORAGE, E_LOCK_LOST;
 *   E_NETWORK with details.saved when the edit was kept as a local commit
 */
export async function runCycleUnder(kb: Kb, plan: CyclePlan, hold: Hold): Promise<CycleOutcome> {
  let cycle: Cycle | undefined;
  try {
    cycle = new Cycle(kb, plan, hold);
    return await cycle.run();
  } catch (error) {
    throw asStorageError(error, `finish kb ${plan.operation}`);
  } finally {
    await cycle?.close();
  }
}

/** What the branch should be next, planned in objects and not yet pushed. */
interface Planned {
  /** The plan's objects, in memory until `persist`. */
  readonly staged: StagedObjects;
  readonly together: Integrated;
  readonly edited: Oid | undefined;
  /** undefined: neither side has a commit */
  readonly target: Oid | undefined;
  /** What the cycle's own part means for the work tree. */
  readonly changes: readonly TreeChange[];
}

class Cycle {
  private exchange: Exchange | undefined;
  private readonly identities: Identities;
  private readonly branch: CheckedOutBranch;
  /** The branch is not checked out: files and index are none of this cycle's business. */
  private readonly isAside: boolean;
  /** Where a branch begins that is neither here nor on the remote. */
  private start: Oid | undefined;
  private readonly upstream: Upstream | undefined;
  private readIndex: GitIndex | undefined;
  private lastDiff: { readonly from: Oid; readonly target: Oid; readonly changes: readonly TreeChange[] } | undefined;
  private readonly who: string;
  private readonly fence: () => void;
  private edits: CollectedEdits | undefined;
  private backedUp: Oid | undefined;
  /** What people have decided about files in conflict. */
  private decisions: Decisions | undefined;
  private hasJournal = false;
  /** The objects of what was pushed last: stored while that is under way, or else before anything names them. */
  private inPush: StagedObjects | undefined;
  private readonly batch: Batch | undefined;
  /** Whether the last look prepared for a push: a reader needs no push rights. */
  private mayPush = false;
  /** Saved notes that were made again for the present plan, by their new commits. */
  private readonly remade = new Map<Oid, { readonly saved: Oid; readonly entry: NoteEntry }>();
  /** By the pushed commit: which saved notes are in it. */
  private readonly pushedRemade = new Map<Oid, ReadonlyMap<Oid, NoteEntry>>();
  /** By the pushed commit: the cycle's own edit in it, for the case that the push lands although its reply is lost. */
  private readonly pushed = new Map<Oid, Oid | undefined>();

  constructor(
    private readonly kb: Kb,
    private readonly plan: CyclePlan,
    private readonly held: Hold,
  ) {
    this.batch = plan.batch;
    const { env, clock } = kb.surroundings;
    const nowMs = clock.wall();
    this.identities = resolveIdentity({ settings: kb.settings, env, nowMs, offsetMinutes: clock.offsetMinutes(nowMs) });
    kb.signer?.check();
    this.who = formatSignature(this.identities.committer);
    this.fence = () => held.assertHeld();
    mend(kb, held, this.who);
    this.isAside = plan.branch !== undefined && plan.branch !== kb.refs.head().branch;
    this.branch = plan.branch !== undefined && this.isAside ? branchAside(kb, plan.branch) : checkedOutBranch(kb);
    if (this.batch !== undefined && this.batch.branch !== this.branch.ref)
      throw switchedAway(this.batch.branch, this.branch.ref);
    this.upstream = upstreamOf(kb, this.branch.name);
  }

  async run(): Promise<CycleOutcome> {
    const { kb, plan } = this;
    // The files are those of another branch since somebody switched: they must not be committed to this one.
    if (this.isAside && plan.collect !== undefined) throw switchedAway(this.branch.ref, kb.refs.head().branch);
    this.edits = plan.collect?.({ branch: this.branch, identities: this.identities, index: this.safeIndex() });
    if (this.edits !== undefined) requireSameIndex(kb, this.safeIndex());
    if (this.upstream === undefined || !kb.settings.gitEnabled || (!plan.pull && !plan.push)) return this.keepLocally();
    try {
      const outcome = await this.share(this.upstream);
      await this.catchUp();
      if (!this.isAside) recordSync(kb, undefined);
      forgetSyncConflict(kb, this.branch.ref, this.who);
      return outcome;
    } catch (error) {
      const unmerged = error instanceof Unmerged && this.isOwnConflict() ? this.writeDown(error) : error;
      const known = asStorageError(unmerged, `finish kb ${plan.operation}`);
      if (known instanceof KbError && !this.isAside) recordSync(kb, known);
      this.leaveEditsAsTheyAre(known);
      const isSaved = known instanceof KbError && (this.mustBeSaved(known) || this.isNoteBehindConflict(error));
      throw isSaved ? await this.savedLocally(known) : known;
    }
  }

  /** What the caller puts away when the cycle fails, is to be found there and not in the files. */
  private isOwnConflict(): boolean {
    const hasEdits = this.edits !== undefined && this.edits.commit !== this.branch.commit;
    return !(hasEdits && this.plan.putsEditsAway === true);
  }

  private writeDown(error: Unmerged): KbError {
    const { kb, branch, who, identities } = this;
    return recordSyncConflict(kb, { branch: branch.ref, who, committer: identities.committer }, error);
  }

  /**
   * Also what was interrupted while its push was under way: it may land yet, and whoever repeats it doubles it. A
   * note in the queue stays there instead, with its plan, and is the next holder's.
   */
  private mustBeSaved({ code }: KbError): boolean {
    if (code === 'E_NETWORK') return true;
    const isStopped = code === 'E_INTERRUPTED' || code === 'E_TERMINATED';
    return isStopped && this.exchange?.lastInDoubt !== undefined && this.batch?.isOwnQueued !== true;
  }

  /**
   * Local commits of before contradict the remote. That is not the note's fault, and whoever wrote it may be gone (cron)
   * when somebody decides: it is kept as a local commit, and goes out with the others.
   * (Broken by: test/integration/conflicts.test.ts, "a note behind a conflict")
   */
  private isNoteBehindConflict(error: unknown): boolean {
    const { plan, batch } = this;
    return error instanceof Unmerged && plan.edit === undefined && plan.collect === undefined && batch?.hasOwn === true;
  }

  /** @throws KbError E_UNSAFE_STATE when native git is in the middle of something */
  private safeIndex(): GitIndex {
    if (this.readIndex === undefined) {
      const index = GitIndex.read(this.kb.surroundings.disk, this.kb.gitDir);
      requireSafeState(this.kb, index);
      this.readIndex = index;
    }
    return this.readIndex;
  }

  /** What can be done for the local copy while the server is busy: nothing of it is written. */
  private prepareAdvance(staged: StagedObjects, target: Oid): void {
    if (this.isAside) return;
    const entries = new Map<RepoPath, Pick<NewEntry, 'mode' | 'oid'> | null>(this.edits?.entries ?? []);
    for (const { path, after } of this.changesTo(staged, target)) entries.set(path, after ?? null);
    this.safeIndex().prepare(entries, { source: this.kb.objects, root: readCommit(staged, target).tree });
  }

  /** From the files as they lie there to the target. Asked for again when the push has landed, and when files follow. */
  private changesTo(source: ObjectSource, target: Oid): readonly TreeChange[] {
    const from = this.worktreeTree();
    if (this.lastDiff?.from !== from || this.lastDiff.target !== target)
      this.lastDiff = { from, target, changes: diffTrees(source, from, readCommit(source, target).tree) };
    return this.lastDiff.changes;
  }

  async close(): Promise<void> {
    await this.exchange?.close();
  }

  /** @param remote the remote branch */
  private isNowhere(remote: Oid | undefined): boolean {
    return this.isAside && remote === undefined && this.branch.commit === undefined;
  }

  /** @throws KbError E_USAGE where there is no edit to make the branch for */
  private async findStart(exchange: Exchange): Promise<Oid | undefined> {
    if (this.hasOwn()) return exchange.bringDefault();
    throw new KbError('E_USAGE', `there is no branch "${this.branch.name}" here or on the remote`, {
      hint: 'see what there is: kb branch',
    });
  }

  /** The local side of it all: local commits, with uncommitted edits upon them where the cycle takes them along. */
  private get localTip(): Oid | undefined {
    return this.edits?.commit ?? this.branch.commit ?? this.start;
  }

  private async share(upstream: Upstream): Promise<CycleOutcome> {
    const { kb, plan, who, fence } = this;
    const exchange = await Exchange.open(
      kb,
      upstream,
      {
        ...{ operation: plan.operation, mayPull: plan.pull, who, fence },
        storesLate: true,
      },
      plan.question,
    );
    this.exchange = exchange;
    try {
      return await this.shareThrough(exchange, upstream);
    } catch (error) {
      this.settleAfter(error, exchange);
      throw error;
    }
  }

  private async shareThrough(exchange: Exchange, upstream: Upstream): Promise<CycleOutcome> {
    const { kb, plan, batch } = this;
    // What the remote held when this cycle began tells local work from what a rewritten remote has dropped.
    const known = kb.refs.resolve(upstream.tracking);
    for (;;) {
      const { sight, guess } = await this.lookWhilePlanning(exchange, upstream);
      const landed = exchange.findLanded(sight.tip);
      if (landed !== undefined && sight.tip !== undefined) {
        exchange.settle();
        await this.bringFiles(exchange, sight.tip, kb.objects);
        return this.adopt(exchange, landed, sight.tip);
      }
      if (this.isNowhere(sight.tip)) this.start ??= await this.findStart(exchange);
      const next = await this.planWithBatch(exchange, sight, guess, known);
      await this.bringFiles(exchange, next.target, next.staged);
      if (next.target === undefined || !plan.push || next.target === sight.tip) {
        exchange.settle();
        next.staged.persist();
        const isLanded = next.target === sight.tip;
        if (!isLanded) this.saveNotes();
        if (next.target !== undefined) this.advanceTo(next.target);
        if (isLanded) forgetSavedNotes(kb, this.branch.ref);
        batch?.settle(isLanded);
        return this.outcome(next, { landed: isLanded });
      }
      if (!this.isAside) requireFreeIndex(kb);
      if (!this.canStoreDuringPush(next.staged)) {
        exchange.settle();
        next.staged.persist();
      }
      this.commitEditsAfterCrash();
      batch?.record(sight.tip, next.target);
      this.pushed.set(next.target, next.edited);
      for (const [commit, { saved }] of this.remade) recordRemade(kb, saved, commit);
      this.pushedRemade.set(next.target, this.remadeNotes());
      this.inPush = next.staged;
      const { staged, target } = next;
      const pushed = await exchange.push(sight.tip, target, staged, () => {
        exchange.settle();
        staged.persist();
        this.prepareAdvance(staged, target);
      });
      if (pushed !== undefined) {
        const createdBranch = sight.tip === undefined;
        // A session's branch is made on purpose; of any other it should be known.
        const kind = this.isAside || this.branch.name === kb.settings.sessionBranch ? 'step' : 'warning';
        if (createdBranch) kb.surroundings.report({ kind, text: `created branch ${upstream.ref} on the remote` });
        this.followLanding(exchange, next.target, () => batch?.settle(true));
        await exchange.heardOut();
        return this.outcome(next, { landed: true, pushed, createdBranch });
      }
      // The push may have landed all the same, and is looked for by its commit.
      exchange.settle();
      next.staged.persist();
      await exchange.pause();
    }
  }

  /**
   * What a journal or a plan is about to name is durable before. A plain note is named by nothing until its push has
   * landed: it is stored while the server is at work, and so is what the remote had in addition, unless the volume is so
   * full that this could fail: then nothing must land. (Broken by: test/e2e/bad-input.test.ts, "a full disk")
   */
  private canStoreDuringPush(staged: StagedObjects): boolean {
    const isNamed = this.edits !== undefined || this.remade.size > 0 || this.batch?.isRecorded === true;
    return (
      !isNamed &&
      hasRoomToSpare(this.kb.surroundings.disk, this.kb.gitDir, staged.unstoredBytes + this.kb.objects.heldBytes)
    );
  }

  /**
   * What was fetched need not be fetched again. What is written down of a conflict names it, so there it must be stored;
   * any other failure must not be hidden by one of this.
   */
  private settleAfter(error: unknown, exchange: Exchange): void {
    try {
      exchange.settle();
    } catch (another) {
      if (error instanceof Unmerged) throw another;
    }
  }

  /** The plan upon what the remote really holds, with all that waits by now. */
  private async planWithBatch(
    exchange: Exchange,
    sight: Sight,
    guess: Planned | undefined,
    known: Oid | undefined,
  ): Promise<Planned> {
    const { kb, batch } = this;
    const planAnew = async (): Promise<Planned> => {
      if (kb.promisor !== undefined && sight.tip !== undefined)
        await exchange.bringPromised(blobsToIntegrate(kb, this.localTip, sight.tip));
      return withPromised(kb, () => this.planUpon(sight.tip, known, exchange), bring);
    };
    const bring = (oid: Oid): Promise<void> => exchange.bringPromised([oid]);
    if (batch === undefined) return guess ?? planAnew();
    const wasInDoubt = batch.isInDoubt;
    if (wasInDoubt) this.settleInherited(batch, { tip: sight.tip });
    const isNew = this.mayPush && batch.takeWaiting();
    const isBlind = sight.tip !== undefined && kb.shallow().size > 0 && batch.missesKeys(this.tipAt(sight.tip));
    if (isBlind) {
      // A new key is in no commit: only the whole history can say so.
      const isWhole = (): boolean => kb.shallow().size === 0;
      await exchange.deepen(sight.tip, 'to look for the key', isWhole, ALL_AT_ONCE);
    }
    if (guess === undefined || wasInDoubt || isBlind) return planAnew();
    return isNew ? withPromised(kb, () => this.planRiders(guess, 'new'), bring) : guess;
  }

  /** The files that the target brings into sight must be here before anything moves. */
  private async bringFiles(exchange: Exchange, target: Oid | undefined, source: ObjectSource): Promise<void> {
    const { kb } = this;
    if (target === undefined || this.isAside) return;
    const changes = this.changesTo(source, target);
    if (kb.promisor !== undefined) {
      const wanted = filesInSight(kb, changes).filter((oid) => !source.has(oid));
      await exchange.bringPromised(wanted);
      for (const oid of wanted) if (!kb.objects.has(oid)) throw kb.objects.missing(oid);
    }
    await bringChangedLargeFiles(kb, changes, {
      tree: readCommit(source, target).tree,
      objects: source,
      index: () => this.safeIndex(),
      from: () => this.lfsRemote(),
    });
  }

  private lfsRemote(): LfsRemote | undefined {
    return this.upstream === undefined ? undefined : lfsRemoteOf(this.kb, this.upstream, 'download');
  }

  /** What an earlier cycle could not get; whatever becomes of it, this cycle is done. */
  private async catchUp(): Promise<void> {
    const { kb } = this;
    if (this.plan.operation !== 'sync' || !this.plan.pull || this.isAside) return;
    if (leftOutFiles(kb.surroundings.disk, kb.gitDir).length === 0) return;
    const { catchUpLargeFiles } = await import('./lfs/catch-up.js');
    try {
      await catchUpLargeFiles(kb, () => this.lfsRemote(), this.fence);
    } catch (error) {
      const known = asStorageError(error, 'put large files in their places');
      if (!(known instanceof KbError) || known.code === 'E_LOCK_LOST') throw known;
      kb.surroundings.report({ kind: 'warning', text: `${known.message}; next: kb sync` });
    }
  }

  /** @param at where the remote branch is; undefined: nobody can ask, and what was last seen there must do */
  private settleInherited(batch: Batch, at: { readonly tip: Oid | undefined } | undefined): void {
    const { kb, upstream } = this;
    const remote = at !== undefined || upstream === undefined ? at?.tip : kb.refs.resolve(upstream.tracking);
    const isIn =
      (commit: Oid | undefined) =>
      (oid: Oid): boolean =>
        commit !== undefined && kb.objects.has(oid) && isAncestor(kb.objects, oid, commit, kb.shallow());
    batch.settleInherited(at, isIn(remote), isIn(this.branch.commit));
  }

  private tipAt(commit: Oid | undefined, staged = new StagedObjects(this.kb.objects)): Tip {
    return { commit, tree: commit === undefined ? EMPTY_TREE : readCommit(staged, commit).tree, staged };
  }

  /**
   * While the question is on its way, the answer is guessed: mostly the remote has not moved, and then the plan
   * is ready when the reply is. Nothing of a guess is stored, and what goes wrong in it is found out again.
   */
  private async lookWhilePlanning(
    exchange: Exchange,
    upstream: Upstream,
  ): Promise<{ sight: Sight; guess: Planned | undefined }> {
    const seen = this.kb.refs.resolve(upstream.tracking);
    this.batch?.takeWaiting();
    const looking = this.look(exchange, upstream);
    looking.catch(() => undefined); // awaited below; a failure that comes earlier is not unhandled
    await exchange.hasLeft(looking);
    if (!this.isAside) this.safeIndex();
    // What was asked before this program was loaded may be answered by now.
    const isAnswered = await Promise.race([looking.then(() => true), turns(3).then(() => false)]);
    const isWorthGuessing = !isAnswered && exchange.lastInDoubt === undefined && this.hasOwn() && !this.isNowhere(seen);
    const guess = isWorthGuessing ? await this.planUpon(seen, seen, undefined).catch(() => undefined) : undefined;
    const sight = await looking;
    return { sight, guess: sight.tip === seen ? guess : undefined };
  }

  private hasOwn(): boolean {
    return this.plan.edit !== undefined || this.edits !== undefined || (this.batch?.size ?? 0) > 0;
  }

  private async look(exchange: Exchange, upstream: Upstream): Promise<Sight> {
    const { kb, plan, branch } = this;
    const seen = kb.refs.resolve(upstream.tracking);
    const hasOwn = this.hasOwn() || branch.commit !== seen;
    const own = { commit: branch.commit, push: plan.push && hasOwn };
    this.mayPush = own.push;
    const sight = await exchange.look(own);
    // A branch that vanished from the remote is made again, which needs the other advertisement.
    if (sight.tip !== undefined || !plan.push || own.push || branch.commit === undefined) return sight;
    this.mayPush = true;
    return exchange.look({ ...own, push: true });
  }

  /** A push whose reply was lost did land: the remote's tip holds all that this cycle brought. */
  private adopt(exchange: Exchange, landed: Oid, tip: Oid): CycleOutcome {
    const { objects } = this.kb;
    const changes = this.changesTo(objects, tip);
    this.followLanding(exchange, tip, () => this.batch?.settlePushed(landed));
    const together = { tip, pulled: 0, merged: [], settled: [], rewritten: false, keepsLocal: true };
    const edited = this.pushed.get(landed);
    const done = { staged: new StagedObjects(objects), together, edited, target: tip, changes };
    return this.outcome(done, { landed: true, pushed: 1 });
  }

  /**
   * @param remote the remote branch as it is
   * @param known as it was when this cycle began
   * @param exchange asks for more history where the two sides do not meet in what is here; undefined: that fails
   */
  private async planUpon(
    remote: Oid | undefined,
    known: Oid | undefined,
    exchange: Exchange | undefined,
  ): Promise<Planned> {
    const { kb } = this;
    const staged = new StagedObjects(kb.objects);
    this.remade.clear();
    this.decisions = (this.plan.onConflict ?? 'fail') === 'fail' ? await openDecisions(kb, this.branch.ref) : undefined;
    const together = await integrate({
      kb,
      staged,
      shallow: kb.shallow(),
      ...(exchange === undefined || remote === undefined
        ? {}
        : {
            deepen: async (isEnough): Promise<ReadonlySet<Oid>> => {
              const why = 'to find where local and remote history meet';
              await exchange.deepen(remote, why, () => isEnough(kb.shallow()));
              return kb.shallow();
            },
          }),
      local: this.localTip,
      remote,
      tracking: known,
      committer: this.identities.committer,
      seal: (commit) => sealCommit(kb, commit),
      conflicts: {
        policy: this.plan.onConflict ?? 'fail',
        mark: this.conflictMark(),
        decide: (versions) => this.decisions?.verdict(staged, versions),
      },
      onReplayGivenUp: () => this.remade.clear(),
      hasLanded: (commit, theirs) => this.hasLandedRemade(commit, remote) || this.isAmong(theirs, commit),
      onReplayed: (commit, as) => this.noteReplayed(commit, as),
      remake: (commit, tip) => this.remakeSaved(commit, tip),
    });
    if (together.rewritten && this.branch.commit !== undefined) {
      this.backUp(this.branch.commit, 'the remote branch was rewritten');
    }
    // What gave way to the remote's version is in no history any more: it gets a name.
    const local = this.edits?.commit ?? this.branch.commit;
    const isGone = !together.keepsLocal && together.settled.some(({ kept }) => kept === 'theirs');
    if (local !== undefined && isGone) {
      this.backUp(local, "local edits gave way to the remote's");
    }
    return this.planEdit(staged, together);
  }

  /** A note that was saved locally is written again, as within a batch that lost the race. */
  private async remakeSaved(commit: Oid, tip: Tip): Promise<Oid | undefined> {
    const entry = findSavedNote(this.kb, commit);
    if (entry === undefined) return undefined;
    try {
      const written = await writeNote(this.kb, tip, entry, this.kb.signer && this.identities.committer);
      if (written.kind === 'none') return tip.commit;
      this.remade.set(written.commit, { saved: commit, entry });
      return written.commit;
    } catch (error) {
      if (isKbError(error, 'E_USAGE') || isKbError(error, 'E_CONFLICT')) return undefined; // merged as text then
      throw error;
    }
  }

  /** Also where its text could be merged, a saved note goes on as one, and must not be made again once it has landed. */
  private noteReplayed(saved: Oid, as: Oid): void {
    const entry = findSavedNote(this.kb, saved);
    if (entry !== undefined) this.remade.set(as, { saved, entry });
  }

  private hasLandedRemade(commit: Oid, tip: Oid | undefined): boolean {
    const { kb } = this;
    if (tip === undefined) return false;
    return remadeAs(kb, commit).some((oid) => kb.objects.has(oid) && isAncestor(kb.objects, oid, tip, kb.shallow()));
  }

  /**
   * A saved note whose key somebody else's commit brings already: the same command on another machine, or on this one
   * before the network broke. Merged as text, a second note would come of it wherever the two do not overlap.
   * (Broken by: test/integration/note-keys.test.ts, "that is saved here and landed from elsewhere")
   */
  private isAmong(theirs: readonly Oid[], commit: Oid): boolean {
    const id = findSavedNote(this.kb, commit)?.id;
    return id !== undefined && carriesKey(this.kb.objects, theirs, id);
  }

  /** Notes that stay local commits for now, of the plan or of what was pushed, can be made again when they go out. */
  private saveNotes(pushed?: Oid): void {
    if (this.upstream === undefined) return;
    const again = pushed === undefined ? this.remadeNotes() : (this.pushedRemade.get(pushed) ?? []);
    saveNotes(this.kb, new Map([...again, ...(this.batch?.notesOf(pushed) ?? [])]));
  }

  private remadeNotes(): Map<Oid, NoteEntry> {
    return new Map([...this.remade].map(([commit, { entry }]) => [commit, entry]));
  }

  /** `conflict 2026-11-20 HOST`, in the user's own time. */
  private conflictMark(): string {
    const { clock, identity } = this.kb.surroundings;
    const nowMs = clock.wall();
    const day = new Date(nowMs + clock.offsetMinutes(nowMs) * 60_000).toISOString().slice(0, 10);
    return `conflict ${day} ${identity.host.replace(/[^\p{L}\p{N}._-]/gu, '-').slice(0, 40)}`;
  }

  private async planEdit(staged: StagedObjects, together: Integrated): Promise<Planned> {
    const { tip } = together;
    const edited = await this.plan.edit?.(this.tipAt(tip, staged), this.identities);
    const own = edited ?? tip;
    const changes = own === undefined ? [] : this.requireRoom(staged, own);
    return this.planRiders({ staged, together, edited, target: own, changes }, 'all');
  }

  /** Puts the batch's notes upon a plan; `new`: those that came since. */
  private async planRiders(plan: Planned, which: 'all' | 'new'): Promise<Planned> {
    const { staged } = plan;
    const before = this.worktreeTree();
    const target = await this.batch?.plan(this.tipAt(plan.target, staged), which, (path, tree) => {
      const change = {
        path,
        ...optional('before', leafAt(staged, before, path)),
        ...optional('after', leafAt(staged, tree, path)),
      };
      if (!this.isAside) requireNothingInTheWay(this.kb, [change], this.safeIndex());
    });
    return { ...plan, target: target ?? plan.target };
  }

  /** What is about to leave the branch's history stays reachable by name. */
  private backUp(commit: Oid, why: string): void {
    if (this.backedUp === commit) return;
    this.backedUp = commit;
    const { kb, who, fence } = this;
    const moment = new Date(kb.surroundings.clock.wall()).toISOString().replace(/[:.]/g, '-');
    const name = asRefName(`refs/kb/backup/${moment}`);
    kb.refs.update({ name, to: commit, message: `kb: ${why}`, who, fence });
    kb.surroundings.report({
      kind: 'warning',
      text: `${why}; what you had is kept as ${name}`,
    });
  }

  /** The changes to the work tree that the target means. @throws KbError E_UNSAFE_STATE when something is in their way */
  private requireRoom(staged: StagedObjects, target: Oid): readonly TreeChange[] {
    const changes = this.changesTo(staged, target);
    if (!this.isAside) requireNothingInTheWay(this.kb, changes, this.safeIndex(), this.edits?.entries);
    return changes;
  }

  private worktreeTree(): Oid {
    return this.edits?.tree ?? treeOf(this.kb, this.branch.commit ?? this.start);
  }

  /**
   * Once the push has landed, nothing that goes wrong on this side may make the edit look failed: the
   * caller would repeat it. The branch then simply stays behind, and the next sync brings it up.
   */
  private followLanding(exchange: Exchange, target: Oid, settle: () => void): void {
    const { kb } = this;
    const follow = (what: string, work: () => void): void => {
      try {
        work();
      } catch (error) {
        const known = asStorageError(error, 'update the local copy');
        if (!(known instanceof KbError)) throw known;
        const text = `it landed on the remote as ${target.slice(0, 10)}, but ${what}: ${known.message}; next: kb sync`;
        kb.surroundings.report({ kind: 'warning', text });
      }
    };
    follow('the local copy could not follow', () => {
      exchange.settle();
      this.inPush?.persist();
      exchange.remember(target);
      // A file may have been edited while the push was under way.
      this.requireRoom(new StagedObjects(kb.objects), target);
      this.advanceTo(target);
      forgetSavedNotes(kb, this.branch.ref);
    });
    follow('those who wait for it could not be told', settle);
  }

  private advanceTo(target: Oid): void {
    const { kb, branch, who, fence, edits } = this;
    if (target === branch.commit && edits === undefined) return;
    if (this.isAside) return this.moveAside(target);
    const step = { branch: branch.ref, from: branch.commit ?? null, to: target, fromTree: this.worktreeTree() };
    this.hasJournal = false; // from here on it is the advance's
    advance(kb, step, {
      who,
      message: this.reflogMessage(target),
      fence,
      index: this.safeIndex(),
      changes: this.changesTo(kb.objects, target),
      ...(edits === undefined ? {} : { entries: edits.entries }),
    });
  }

  /** As git's own: what was done, and with what there is of one's own also the commit's first line. */
  private reflogMessage(target: Oid): string {
    const done = `kb ${this.plan.operation}`;
    if (!this.hasOwn()) return done;
    return `${done}: ${readCommit(this.kb.objects, target).message.trimStart().split('\n', 1)[0] ?? ''}`;
  }

  /** A branch that is not checked out is a name and nothing more. */
  private moveAside(target: Oid): void {
    const { kb, branch, upstream, who, fence } = this;
    const { ref: name, commit } = branch;
    if (kb.refs.head().branch === name) throw new RefMoved(name, commit ?? null, 'checked out meanwhile');
    if (commit === undefined && upstream !== undefined) trackUpstream(kb, branch.name, upstream);
    kb.refs.update({ name, to: target, expected: commit ?? null, message: this.reflogMessage(target), who, fence });
  }

  /**
   * Local edits that are about to be pushed become the branch's next commit if this process dies now: the remote may
   * have them then, and what the user changes in the same files afterwards is an edit of that commit, not a conflict
   * with it. (Broken by: test/integration/replay.test.ts, "edited again after a push whose process was killed")
   */
  private commitEditsAfterCrash(): void {
    const { kb, branch, edits, fence } = this;
    if (edits === undefined) return;
    fence();
    writeJournal(kb, { branch: branch.ref, from: branch.commit ?? null, to: edits.commit, fromTree: edits.tree });
    this.hasJournal = true;
  }

  /** The push failed for sure: the edits stay as they lie in the files. */
  private leaveEditsAsTheyAre(error: unknown): void {
    if (!this.hasJournal || isKbError(error, 'E_LOCK_LOST') || this.exchange?.lastInDoubt !== undefined) return;
    removeJournal(this.kb);
  }

  /** No remote, or the command asked for none: the edit becomes a local commit and nothing else. */
  private async keepLocally(): Promise<CycleOutcome> {
    const { batch } = this;
    if (batch?.isInDoubt === true) this.settleInherited(batch, undefined);
    batch?.takeWaiting();
    const next = await this.planLocally();
    batch?.settle(false);
    return this.outcome(next, { landed: false });
  }

  /**
   * The plan upon the local branch alone, carried out.
   * @param remote to be asked for what was left with it; undefined: it cannot be, or must not be
   */
  private async planLocally(remote?: Exchange): Promise<Planned> {
    this.remade.clear(); // local commits stay as they are
    if (this.isNowhere(undefined)) this.start ??= startAsLastSeen(this.kb, this.upstream);
    const tip = this.localTip;
    const together = { tip, pulled: 0, merged: [], settled: [], rewritten: false, keepsLocal: true };
    const next = await withPromised(
      this.kb,
      () => this.planEdit(new StagedObjects(this.kb.objects), together),
      async (oid) => (remote === undefined ? this.kb.objects.giveUpOn(oid) : remote.bringPromised([oid])),
    );
    next.staged.persist();
    if (next.target !== undefined) {
      this.batch?.record('local', next.target);
      this.saveNotes();
      this.advanceTo(next.target);
    }
    return next;
  }

  /**
   * The remote could not be reached: the edit is kept as a local commit that the next sync brings along.
   * A commit whose push got no reply is kept as it is, under the same id, so that it can never land twice.
   */
  private async savedLocally(cause: KbError): Promise<KbError> {
    const { batch } = this;
    if (batch?.isInDoubt === true) this.settleInherited(batch, undefined);
    // What a dead holder has pushed may land yet; a second commit of the same note, kept here, would land as well.
    if (batch?.isInDoubt === true) batch.holdBackEntries();
    let kept = this.exchange?.lastInDoubt;
    if (kept !== undefined) {
      this.inPush?.persist();
      this.saveNotes(kept);
      for (const [commit, other] of batch?.inheritedTwins(kept) ?? []) recordRemade(this.kb, commit, other);
      this.advanceTo(kept);
    } else if (this.hasOwn()) {
      const next = await this.planLocally(cause.code === 'E_CONFLICT' ? this.exchange : undefined);
      kept = next.edited ?? next.target;
    }
    if (kept === undefined) return cause;
    const saved = (commit: Oid): KbError =>
      new KbError(cause.code, `${cause.message}; the edit is saved locally as ${commit.slice(0, 10)}`, {
        cause,
        hint: goesOutWith(this.kb, this.branch.ref, cause),
        retryable: cause.retryable,
        details: { ...cause.details, saved: commit },
      });
    // Nobody else was interrupted: their notes stay in the queue, with the plan that tells what became of them.
    if (cause.code !== 'E_NETWORK' && cause.code !== 'E_CONFLICT') batch?.holdBackEntries();
    batch?.settleSaved(saved, this.exchange?.lastInDoubt);
    return saved(kept);
  }

  private outcome(
    { together, edited, target, changes }: Planned,
    end: { readonly landed: boolean; readonly pushed?: number; readonly createdBranch?: boolean },
  ): CycleOutcome {
    return {
      branch: this.branch.name,
      before: this.branch.commit,
      after: target,
      edited,
      landed: end.landed,
      hasRemote: this.upstream !== undefined,
      pulled: together.pulled,
      pushed: end.pushed ?? 0,
      merged: together.merged,
      settled: together.settled,
      createdBranch: end.createdBranch ?? false,
      changes,
      requests: this.exchange?.requests ?? 0,
      waitedMs: Math.round(this.held.waitedMs),
    };
  }
}
