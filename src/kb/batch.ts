import { resolveIdentity, type Identity } from '../config/identity.js';
import { asStorageError } from '../disk/durable.js';
import { isKbError, KbError, unforeseen } from '../errors.js';
import type { Oid, RefName } from '../git/ids.js';
import { shortName } from '../git/ids.js';
import { readCommit } from '../git/objects/commit.js';
import { promisedIn } from '../git/objects/promised.js';
import type { RepoPath } from '../git/paths.js';
import type { EntryQueue, QueuedEntry } from '../lock/entry-queue.js';
import { placesInLine, type PlaceName } from '../lock/lock.js';
import { deadWordProbe } from '../lock/process-word.js';
import type { Tip } from './cycle.js';
import type { Hold } from './hold.js';
import { encodeAnswer, type NoteAnswer } from './note-answer.js';
import { findNoteById } from './note-id.js';
import { parseEntry, type NoteEntry } from './note-entry.js';
import type { Kb } from './open.js';
import { encodePushRecords, parsePushRecords, type PushRecord } from './push-record.js';
import { writeNote } from './write-note.js';

/** One note of a batch. */
export interface BatchItem {
  readonly entry: NoteEntry;
  /** Where it lies in the queue; undefined: it is the holder's own and never was in it. */
  readonly queued: QueuedEntry | undefined;
}

/** Refuses a path at which the work tree holds what is in no commit. @throws KbError E_UNSAFE_STATE */
export type RoomCheck = (path: RepoPath, tree: Oid) => void;

/** What is beyond goes out with the next batch: planning has an end, and so has memory. */
const MOST_ITEMS = 500;
const MOST_BYTES = 32 * 1024 * 1024;

/**
 * The notes that one holder brings out together: its own, what dead holders left half done, and what waits in the
 * queue ahead of the next turn.
 *
 * Invariants (docs/group-commit.md; broken by test/integration/group-commit.test.ts and the crash sweep):
 * 1. Before a push that holds an entry's edit, a plan on disk names the commit. Whoever finds the entry claimed by a
 *    dead holder looks first whether that commit is in the branch, so no edit lands twice.
 * 2. An entry is removed only after its ack is durable, so no waiter is left without an answer.
 * 3. While a recorded push may still land, its entries stay claimed: nobody can withdraw them, and they are made
 *    again only in a push that the remote accepts in place of the recorded one (same `from`, compare-and-swap).
 */
export class Batch {
  private items: BatchItem[] = [];
  /** Notes for other branches than the present one. */
  private elsewhere: BatchItem[] = [];
  private readonly planned = new Map<BatchItem, NoteAnswer>();
  private readonly answers = new Map<BatchItem, NoteAnswer>();
  /** Pushes of dead holders that may have landed, by the holder that recorded them. */
  private readonly inherited = new Map<string, PushRecord[]>();
  private readonly own: PushRecord[] = [];
  /** By the pushed commit: what the batch was then, for the case that its reply was lost. */
  private readonly pushedAs = new Map<Oid, ReadonlyMap<BatchItem, NoteAnswer>>();
  private acknowledged = new Set<PlaceName>();
  private bytes = 0;
  /** Entries that were taken out of the batch, but lie in the queue without an answer: the plans that name them are still needed. */
  private readonly heldBack = new Set<PlaceName>();
  private isClosed = false;

  private constructor(
    private readonly kb: Kb,
    private readonly queue: EntryQueue,
    private readonly hold: Hold,
    private current: RefName,
    private readonly ownPlace: PlaceName | undefined,
  ) {}

  /** @param own the holder's own note, or where it is in the queue; undefined: it has none */
  static open(kb: Kb, queue: EntryQueue, hold: Hold, branch: RefName, own: NoteEntry | PlaceName | undefined): Batch {
    const batch = new Batch(kb, queue, hold, branch, typeof own === 'string' ? own : undefined);
    batch.recover();
    if (typeof own === 'object') batch.place({ entry: own, queued: undefined });
    return batch;
  }

  /** One note alone, that leaves the queue as it is. */
  static alone(kb: Kb, queue: EntryQueue, hold: Hold, own: NoteEntry): Batch {
    const batch = new Batch(kb, queue, hold, own.branch, undefined);
    batch.isClosed = true;
    batch.items.push({ entry: own, queued: undefined });
    return batch;
  }

  /** The branch that `items` are for: what is brought out now goes there and nowhere else. */
  get branch(): RefName {
    return this.current;
  }

  /** Whose notes come after those of the present branch. */
  get branchesElsewhere(): RefName[] {
    return [...new Set(this.elsewhere.map(({ entry }) => entry.branch))];
  }

  /** Where the holder's own note goes, while it has no answer. */
  get ownBranch(): RefName | undefined {
    return [...this.items, ...this.elsewhere].find((item) => this.isOwn(item))?.entry.branch;
  }

  /** The holder's own note is among those that go out now. */
  get hasOwn(): boolean {
    return this.items.some((item) => this.isOwn(item));
  }

  /**
   * Turns to the notes for another branch, and takes nothing more along.
   *
   * Invariant: a note is planned only upon the branch that it names; those of other branches wait their turn in here,
   * claimed. (Broken by: test/integration/session-branch.test.ts, "notes for several branches")
   */
  turnTo(branch: RefName): void {
    this.isClosed = true;
    const all = [...this.items, ...this.elsewhere];
    this.current = branch;
    this.planned.clear();
    this.items = all.filter(({ entry }) => entry.branch === branch);
    this.elsewhere = all.filter(({ entry }) => entry.branch !== branch);
  }

  /** What is left for other branches goes back into the queue; without the lock it is the next holder's. */
  releaseElsewhere(): void {
    const left = this.elsewhere.splice(0).filter((item) => !this.answers.has(item));
    if (left.length === 0) return;
    try {
      this.hold.assertHeld();
    } catch (error) {
      if (isKbError(error, 'E_LOCK_LOST')) return;
      throw error;
    }
    this.release(left);
  }

  /** Notes that have no answer yet. */
  get size(): number {
    return this.items.length;
  }

  get open(): readonly BatchItem[] {
    return this.items;
  }

  /** Pushes of dead holders are in doubt: a note in them must not be kept in another way than by that remote. */
  get isInDoubt(): boolean {
    return [...this.inherited.values()].some((records) => records.some((record) => this.concerns(record)));
  }

  /** Some note has a key that the history, as far as it is here, does not hold. */
  missesKeys(tip: Tip): boolean {
    return this.items.some(
      ({ entry: { id, note } }) => id !== undefined && findNoteById(this.kb, tip, id, note) === undefined,
    );
  }

  /** How many notes have been answered so far, for the record of waits. */
  get answered(): number {
    return this.answers.size;
  }

  /** The holder's own note is an entry of the queue. */
  get isOwnQueued(): boolean {
    return this.ownPlace !== undefined;
  }

  /** What became of the holder's own note; undefined: it has none, or no answer yet. */
  get ownAnswer(): NoteAnswer | undefined {
    for (const [item, answer] of this.answers) if (this.isOwn(item)) return answer;
    return undefined;
  }

  /** Works on these alone until all are answered; nothing more is taken along. */
  narrow(items: readonly BatchItem[]): void {
    this.isClosed = true;
    this.items = items.filter((item) => !this.answers.has(item));
  }

  /**
   * Takes what waits: entries whose waiter has left the line, and of the line those ahead of the next turn, so that
   * nobody overtakes a turn. @returns whether there was anything new
   */
  takeWaiting(): boolean {
    if (this.isClosed) return false;
    const { queue, kb, hold } = this;
    const { waiting } = queue.look();
    if (waiting.length === 0) return false;
    const line = placesInLine(kb.surroundings.disk, kb.root);
    const byPlace = new Map(waiting.map((entry) => [entry.place, entry]));
    const inLine = new Set(line);
    const next = waiting.filter(({ place }) => !inLine.has(place));
    for (const place of line) {
      const entry = byPlace.get(place);
      if (entry === undefined) break; // a turn of its own
      next.push(entry);
    }
    const count = (): number => this.items.length + this.elsewhere.length;
    const before = this.items.length;
    for (const entry of next) {
      if (count() >= MOST_ITEMS || this.bytes >= MOST_BYTES) break;
      hold.assertHeld();
      const { place } = entry;
      const claimed = queue.claim(entry, hold.id);
      // A turn of its own, then; one whose waiter has gone stays until somebody comes who signs.
      if (claimed !== undefined && !this.take(claimed) && inLine.has(place)) break;
    }
    return this.items.length > before;
  }

  /**
   * Puts the notes upon the tip, each as its own commit, in order. One that fails is left out and gets its error.
   * @param which `new`: only those that came since the last call, whose result the tip is
   * @returns the new tip; the same when nothing was added
   * @throws KbError E_STORAGE
   */
  async plan(tip: Tip, which: 'all' | 'new', room: RoomCheck): Promise<Oid | undefined> {
    if (which === 'all') this.planned.clear();
    let { commit, tree } = tip;
    for (const item of this.items) {
      if (this.planned.has(item)) continue;
      const answer = await this.planOne(item, { ...tip, commit, tree }, room);
      this.planned.set(item, answer);
      if (answer.kind !== 'kept' || answer.change === 'none') continue;
      commit = answer.commit;
      tree = readCommit(tip.staged, commit).tree;
    }
    return commit;
  }

  private async planOne(item: BatchItem, tip: Tip, room: RoomCheck): Promise<NoteAnswer> {
    const { entry } = item;
    try {
      if (entry.branch !== this.current) throw switchedAway(entry.branch, this.current);
      const { path, commit, kind } = await writeNote(this.kb, tip, entry, this.committerFor(item));
      if (kind !== 'none') room(path, readCommit(tip.staged, commit).tree);
      const branch = shortName(this.current);
      return { kind: 'kept', path, commit, change: kind, branch, landed: false, batch: 0 };
    } catch (error) {
      if (promisedIn(error) !== undefined) throw error; // it is fetched, and all is planned again
      const known = asStorageError(error, 'write the note');
      if (isKbError(known, 'E_STORAGE') || isKbError(known, 'E_LOCK_LOST')) throw known;
      // It is the holder's key that failed, and the next holder has another one.
      if (isKbError(known) && known.details['signing'] !== undefined) throw known;
      // Whatever is wrong with one note must not stop the others, nor every later holder that finds it in the queue.
      return { kind: 'failed', error: known instanceof KbError ? known : unforeseen(known) };
    }
  }

  /** Whoever signs a commit is its committer; its author stays who wrote the note. undefined: as the entry says. */
  private committerFor(item: BatchItem): Identity | undefined {
    const { signer, settings, surroundings } = this.kb;
    if (signer === undefined || this.isOwn(item)) return undefined;
    const { env, clock } = surroundings;
    const nowMs = clock.wall();
    return resolveIdentity({ settings, env, nowMs, offsetMinutes: clock.offsetMinutes(nowMs) }).committer;
  }

  /** Whether `record` has something to write down: a note that stands in the queue. */
  get isRecorded(): boolean {
    return [...this.planned].some(([{ queued }, { kind }]) => queued !== undefined && kind === 'kept');
  }

  /** Writes down, durably, what is about to become the branch's next state. Costs nothing without entries. */
  record(from: PushRecord['from'], to: Oid): void {
    const kept = new Map([...this.planned].filter(([, answer]) => answer.kind === 'kept'));
    this.pushedAs.set(to, this.withBatch(kept));
    const answers = new Map<PlaceName, NoteAnswer>();
    for (const [{ queued }, answer] of this.withBatch(kept))
      if (queued !== undefined) answers.set(queued.place, answer);
    if (answers.size === 0) return;
    this.hold.assertHeld();
    this.own.push({ from, to, answers });
    this.queue.writePlan(this.hold.id, encodePushRecords(this.own));
  }

  /**
   * Looks what became of the pushes that dead holders have recorded, and answers the notes in those that succeeded.
   * @param at where the remote branch is; undefined when it does not exist, or nobody could ask
   * @param isLanded whether a commit is in the remote branch
   * @param isLocal whether a commit is in the local branch: kept when the remote could not be reached
   */
  settleInherited(
    at: { readonly tip: Oid | undefined } | undefined,
    isLanded: (commit: Oid) => boolean,
    isLocal: (commit: Oid) => boolean,
  ): void {
    for (const [holder, records] of this.inherited) {
      const doubtful = records.filter((record) => {
        // Of another branch nothing is known here: whoever brings out its notes looks there.
        if (!this.concerns(record)) return true;
        if (isLanded(record.to)) this.settleAs(record, (answer) => ({ ...answer, landed: true }));
        else if (isLocal(record.to)) this.settleAs(record, (answer) => this.keptLocally(answer));
        // A compare-and-swap from elsewhere can't succeed any more.
        else return record.from !== 'local' && (at === undefined || at.tip === record.from);
        return false;
      });
      this.inherited.set(holder, doubtful);
      if (doubtful.length === 0) this.forgetInherited(holder);
    }
  }

  /** The planned state is reachable from the remote branch now; or, in a KB without a remote, from the local one. */
  settle(isLanded: boolean): void {
    this.answerAll(this.withBatch(this.planned), isLanded);
  }

  /** The state that was pushed as `to` turned out to have landed. What was planned after it has no answer yet. */
  settlePushed(to: Oid): void {
    this.answerAll(this.pushedAs.get(to) ?? new Map<BatchItem, NoteAnswer>(), true);
  }

  /** The planned state, or the one that was pushed as `pushed`, was kept as local commits: the error says so. */
  settleSaved(saved: (commit: Oid) => KbError, pushed: Oid | undefined): void {
    const state = pushed === undefined ? this.planned : this.pushedAs.get(pushed);
    const answers = new Map<BatchItem, NoteAnswer>();
    for (const [item, answer] of state ?? []) {
      if (!this.items.includes(item)) continue; // held back
      answers.set(item, answer.kind === 'failed' ? answer : { kind: 'failed', error: saved(answer.commit) });
    }
    this.acknowledge(answers);
  }

  /** The notes of the planned state, or of the one that was pushed as `pushed`, by the commits that they became. */
  notesOf(pushed: Oid | undefined): Map<Oid, NoteEntry> {
    const state = pushed === undefined ? this.planned : this.pushedAs.get(pushed);
    const notes = new Map<Oid, NoteEntry>();
    for (const [{ entry }, answer] of state ?? []) {
      if (answer.kind === 'kept' && answer.change !== 'none') notes.set(answer.commit, entry);
    }
    return notes;
  }

  /**
   * Where a dead holder's push is still in doubt: the commits of what was pushed as `pushed`, each with the commit of
   * the same note in that other push, which may land instead.
   */
  inheritedTwins(pushed: Oid): [Oid, Oid][] {
    const records = [...this.inherited.values()].flat();
    return [...(this.pushedAs.get(pushed) ?? [])].flatMap(([{ queued }, answer]) =>
      records.flatMap((record): [Oid, Oid][] => {
        const twin = queued === undefined ? undefined : record.answers.get(queued.place);
        return twin?.kind === 'kept' && answer.kind === 'kept' ? [[answer.commit, twin.commit]] : [];
      }),
    );
  }

  fail(item: BatchItem, error: KbError): void {
    this.acknowledge(new Map([[item, { kind: 'failed', error }]]));
  }

  /** Only the holder's own note is left in the batch, unless it is in doubt itself: entries go back into the queue. */
  holdBackEntries(): void {
    this.isClosed = true;
    const doubtful = this.placesInDoubt();
    const own = this.items.filter(
      (item) => this.isOwn(item) && (item.queued === undefined || !doubtful.has(item.queued.place)),
    );
    this.release(this.items.filter((item) => !own.includes(item)));
    for (const { queued } of this.items) if (queued !== undefined) this.heldBack.add(queued.place);
    this.items = own;
    for (const item of [...this.planned.keys()]) if (!own.includes(item)) this.planned.delete(item);
  }

  /** A cycle failed before anything came of these notes: another holder may do better. */
  abandon(error: unknown, items: readonly BatchItem[] = this.items): void {
    if (isKbError(error, 'E_LOCK_LOST')) return; // the next holder answers for them
    this.release(items.filter((item) => !this.answers.has(item)));
  }

  /**
   * The lock is lost: takes the holder's own entry out of the queue, if no push can have brought it out and nobody
   * else has claimed it yet. @returns whether that is so, and the note is nowhere now
   */
  takeBackOwn(): boolean {
    const queued = [...this.items, ...this.elsewhere].find((item) => this.isOwn(item))?.queued;
    const isRecorded = this.own.some(({ answers }) => queued !== undefined && answers.has(queued.place));
    return queued !== undefined && !isRecorded && this.queue.remove(queued);
  }

  private isOwn({ queued }: BatchItem): boolean {
    return queued === undefined || queued.place === this.ownPlace;
  }

  /** But for those that a recorded push may still bring to the remote: nobody may withdraw them. */
  private release(items: readonly BatchItem[]): void {
    const doubtful = this.placesInDoubt();
    for (const { queued } of items) {
      if (queued !== undefined && !doubtful.has(queued.place)) this.queue.release(queued);
    }
  }

  private placesInDoubt(): Set<PlaceName> {
    const open = [...this.own, ...[...this.inherited.values()].flat()];
    return new Set(open.flatMap(({ answers }) => [...answers.keys()]));
  }

  private recover(): void {
    const { queue, hold, kb } = this;
    const sight = queue.look();
    if (sight.acks.length > 0 || sight.claimed.length > 0) this.acknowledged = queue.acknowledged();
    for (const entry of sight.claimed) {
      hold.assertHeld();
      if (this.acknowledged.has(entry.place)) queue.remove(entry);
      else {
        const claimed = queue.claim(entry, hold.id);
        if (claimed !== undefined) this.add(claimed);
      }
    }
    for (const holder of sight.plans) {
      const records = parsePushRecords(queue.readPlan(holder) ?? Buffer.alloc(0));
      this.inherited.set(holder, records);
      if (records.length === 0 || this.items.length + this.elsewhere.length === 0) this.forgetInherited(holder);
    }
    const { disk, identity, clock } = kb.surroundings;
    if (sight.acks.length > 0 || sight.hasTemporaries) queue.sweep(deadWordProbe(disk, identity), clock.wall());
  }

  /** @returns whether it is in the batch; a note that is to be signed is left to those who sign */
  private take(queued: QueuedEntry): boolean {
    const data = this.kb.signer === undefined ? this.queue.read(queued) : undefined;
    const isLeft = data !== undefined && parseEntry(data)?.signed === true;
    if (isLeft) this.queue.release(queued);
    else this.add(queued);
    return !isLeft;
  }

  private add(queued: QueuedEntry): void {
    const { queue, kb, hold } = this;
    const data = queue.read(queued);
    const entry = data === undefined ? undefined : parseEntry(data);
    if (entry !== undefined && !this.acknowledged.has(queued.place)) {
      this.place({ entry, queued });
      this.bytes += data?.length ?? 0;
      return;
    }
    // Damaged, or of another version: whoever still waits for it must not take it for saved.
    const isWaitedFor = (): boolean =>
      queued.place === this.ownPlace || placesInLine(kb.surroundings.disk, kb.root).includes(queued.place);
    if (entry === undefined && isWaitedFor()) {
      hold.assertHeld();
      queue.acknowledge(hold.id, new Map([[queued.place, { waiter: '', value: encodeAnswer(unreadable()) }]]));
    }
    queue.remove(queued);
  }

  private place(item: BatchItem): void {
    (item.entry.branch === this.current ? this.items : this.elsewhere).push(item);
  }

  /** A push goes to one branch, which all answers in its record name. */
  private concerns({ answers }: PushRecord): boolean {
    const branch = shortName(this.current);
    return [...answers.values()].every((answer) => answer.kind === 'failed' || answer.branch === branch);
  }

  private forgetInherited(holder: string): void {
    this.hold.assertHeld();
    this.queue.removePlan(holder);
    this.inherited.delete(holder);
  }

  private settleAs(record: PushRecord, how: (answer: NoteAnswer) => NoteAnswer): void {
    const answers = new Map<BatchItem, NoteAnswer>();
    for (const item of this.items) {
      const answer = item.queued === undefined ? undefined : record.answers.get(item.queued.place);
      if (answer !== undefined) answers.set(item, how(answer));
    }
    this.acknowledge(answers);
  }

  private keptLocally(answer: NoteAnswer): NoteAnswer {
    if (answer.kind === 'failed' || this.kb.gitConfig.get(`remote.${this.kb.settings.remote}.url`) === undefined)
      return answer;
    const error = new KbError(
      'E_NETWORK',
      `the remote could not be reached; the edit is saved locally as ${answer.commit.slice(0, 10)}`,
      { hint: goesOutWith(this.kb, this.current), details: { saved: answer.commit } },
    );
    return { kind: 'failed', error };
  }

  private answerAll(state: ReadonlyMap<BatchItem, NoteAnswer>, landed: boolean): void {
    const answers = new Map<BatchItem, NoteAnswer>();
    for (const [item, answer] of state) answers.set(item, answer.kind === 'kept' ? { ...answer, landed } : answer);
    this.acknowledge(answers);
  }

  private withBatch(state: ReadonlyMap<BatchItem, NoteAnswer>): Map<BatchItem, NoteAnswer> {
    const added = [...state.values()].filter((answer) => answer.kind === 'kept' && answer.change !== 'none').length;
    const result = new Map<BatchItem, NoteAnswer>();
    for (const [item, answer] of state) {
      const isAdded = answer.kind === 'kept' && answer.change !== 'none';
      result.set(item, isAdded ? { ...answer, batch: added } : answer);
    }
    return result;
  }

  /** Acks are durable before entries go, and entries go before the plan that could recover them. */
  private acknowledge(answers: ReadonlyMap<BatchItem, NoteAnswer>): void {
    if (answers.size === 0) return;
    const { queue, hold } = this;
    for (const [item, answer] of answers) this.answers.set(item, answer);
    this.items = this.items.filter((item) => !answers.has(item));
    const queued = [...answers].flatMap(([item, answer]) =>
      item.queued === undefined ? [] : [{ item, answer, entry: item.queued }],
    );
    if (queued.length === 0) return;
    hold.assertHeld();
    // The holder's own note is answered in this process; nobody else waits for it.
    const acks = queued
      .filter(({ item }) => !this.isOwn(item))
      .map(({ item, answer, entry }) => {
        return [entry.place, { waiter: item.entry.waiter.word, value: encodeAnswer(answer) }] as const;
      });
    // Until its ack is on disk and it is gone, an entry's plan is the only word of its landing: should the disk refuse
    // that, answers to other notes must not take the plan along. (Broken by: crash-points.test.ts, "answers that cannot
    // be written leave their plan in place")
    for (const { entry } of queued) this.heldBack.add(entry.place);
    if (acks.length > 0) queue.acknowledge(hold.id, new Map(acks));
    for (const { entry } of queued) {
      queue.remove(entry);
      this.heldBack.delete(entry.place);
    }
    this.dropSettledRecords();
  }

  /** A plan is needed as long as an entry in it has no answer. */
  private dropSettledRecords(): void {
    const unanswered = [...this.items, ...this.elsewhere].map(({ queued }) => queued?.place);
    const open = new Set([...this.heldBack, ...unanswered]);
    const isNeeded = ({ answers }: PushRecord): boolean => [...answers.keys()].some((place) => open.has(place));
    for (const [holder, records] of this.inherited) if (!records.some(isNeeded)) this.forgetInherited(holder);
    if (this.own.length === 0 || this.own.some(isNeeded)) return;
    this.own.length = 0;
    this.queue.removePlan(this.hold.id);
  }
}

/**
 * What brings out commits that are only here.
 * @param cause why they are; one that lasts until somebody does something says first what
 */
export function goesOutWith(kb: Kb, branch: RefName, cause?: KbError): string {
  const isHere = kb.refs.head().branch === branch;
  const next = `it goes out with the next: kb sync${isHere ? '' : ` --branch ${shortName(branch)}`}`;
  return cause === undefined || cause.retryable ? next : `${cause.hint}; then ${next}`;
}

function unreadable(): NoteAnswer {
  const error = new KbError('E_UNSAFE_STATE', 'the holder of the lock could not read the note in the queue', {
    hint: 'nothing was written; run the same command again, with the same version of kb everywhere',
  });
  return { kind: 'failed', error };
}

export function switchedAway(from: RefName, to: RefName | undefined): KbError {
  const now = to === undefined ? 'no branch' : `"${shortName(to)}"`;
  return new KbError(
    'E_UNSAFE_STATE',
    `this was meant for branch "${shortName(from)}", but the KB has been switched to ${now}`,
    { hint: 'run the same command again; it then goes to the branch that is checked out' },
  );
}
