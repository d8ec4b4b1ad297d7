import { isKbError, KbError } from '../errors.js';
import { ENTRY_LIMIT } from '../lock/entry-queue.js';
import type { PlaceName, ServedWaiter } from '../lock/lock.js';
import type { MergedFile } from './apply-changes.js';
import type { FirstQuestion } from './ask-ahead.js';
import { Batch } from './batch.js';
import { bringOut, openBatch, openQueue } from './group-commit.js';
import { holdKb, type Hold } from './hold.js';
import { parseAnswer, type NoteAnswer } from './note-answer.js';
import { encodeEntry, type NoteEntry } from './note-entry.js';
import type { Kb } from './open.js';
import { recordRide } from './wait-log.js';

/** The answer, and how long it took until somebody held the lock for it. */
export interface Submitted {
  readonly answer: NoteAnswer;
  readonly waitedMs: number;
  /** Files of local commits that were merged with what came in; none where another holder took the note along: it was told. */
  readonly merged: readonly MergedFile[];
}

/**
 * Brings a note out: as the holder of the lock with all that waits, or, while somebody else has the lock, as a
 * durable entry that the next holder takes along.
 * @throws KbError E_LOCK_TIMEOUT (the entry was withdrawn: nothing happened), E_QUEUED (it is in a holder's hands and
 *   its outcome is open), and as runCycle
 */
export async function submitNote(kb: Kb, entry: NoteEntry, question?: FirstQuestion): Promise<Submitted> {
  const { clock } = kb.surroundings;
  const waiter = new NoteWaiter(kb, entry);
  const start = clock.monotonic();
  try {
    const body = (hold: Hold): Promise<Led> => lead(kb, hold, entry, waiter, question);
    const { answer, waitedMs, merged = [] } = await holdKb(kb, 'note', body, waiter);
    return { answer, merged, waitedMs: waitedMs ?? Math.round(clock.monotonic() - start) };
  } catch (error) {
    const answer = waiter.giveUp(error);
    return { answer, merged: [], waitedMs: Math.round(clock.monotonic() - start) };
  }
}

interface Led {
  readonly answer: NoteAnswer;
  /** undefined: another holder did it. */
  readonly waitedMs?: number;
  readonly merged?: readonly MergedFile[];
}

async function lead(
  kb: Kb,
  hold: Hold,
  entry: NoteEntry,
  waiter: NoteWaiter,
  question: FirstQuestion | undefined,
): Promise<Led> {
  const waitedMs = Math.round(hold.waitedMs);
  const { place } = waiter;
  // The holder before us may have answered after our last look.
  const answered = place === undefined ? undefined : waiter.answer();
  if (answered !== undefined) return answered.value;
  const batch = hold.isNested ? Batch.alone(kb, openQueue(kb), hold, entry) : openBatch(kb, hold, place ?? entry);
  let merged: readonly MergedFile[] = [];
  let failure: Error = new KbError('E_INTERNAL', 'the cycle ended without an answer to its note');
  try {
    ({ merged } = await bringOut(kb, 'note', hold, batch, question));
  } catch (error) {
    failure = error as Error;
    if (isKbError(error, 'E_LOCK_LOST') && batch.takeBackOwn()) waiter.forget();
  }
  const answer = batch.ownAnswer;
  if (answer !== undefined) return { answer, waitedMs, merged };
  throw failure;
}

/** One note's wait for the lock, or for a holder that takes it along. */
class NoteWaiter implements ServedWaiter<Led> {
  private readonly queue;
  private readonly startMs: number;
  private queuedAs: PlaceName | undefined;

  constructor(
    private readonly kb: Kb,
    private readonly entry: NoteEntry,
  ) {
    this.queue = openQueue(kb);
    this.startMs = kb.surroundings.clock.monotonic();
  }

  /** Where the entry is in the queue; undefined: it was never put there. */
  get place(): PlaceName | undefined {
    return this.queuedAs;
  }

  /** The entry was taken back by its own holder. */
  forget(): void {
    this.queuedAs = undefined;
  }

  /** Too large a note is no entry but waits for the lock itself. */
  enqueue(place: PlaceName): void {
    const data = encodeEntry(this.entry);
    if (data.length > ENTRY_LIMIT) return;
    this.queue.enqueue(place, data);
    this.queuedAs = place;
  }

  /** @throws KbError E_QUEUED when the entry is gone and nobody can say what became of it */
  answer(): { readonly value: Led } | undefined {
    const place = this.queuedAs;
    if (place === undefined || this.queue.stateOf(place) !== 'settled') return undefined;
    const ack = this.queue.findAck(place);
    const answer = ack === undefined ? undefined : parseAnswer(ack.value);
    if (answer === undefined) throw outcomeUnknown('its answer is gone', undefined);
    recordRide(this.kb, answer, this.kb.surroundings.clock.monotonic() - this.startMs);
    return { value: { answer } };
  }

  /**
   * The wait, or the cycle, ended with an error. An entry that nobody has claimed is taken back, so that the error
   * tells the truth: nothing happened. Otherwise its outcome is another holder's, known or not.
   * @throws the error; KbError E_QUEUED
   */
  giveUp(error: unknown): NoteAnswer {
    const place = this.queuedAs;
    if (place === undefined || this.queue.withdraw(place)) throw error;
    if (isKbError(error, 'E_QUEUED')) throw error;
    const answered = this.answer();
    if (answered !== undefined) return answered.value.answer;
    if (isKbError(error, 'E_INTERRUPTED') || isKbError(error, 'E_TERMINATED')) {
      throw new KbError(
        error.code,
        'interrupted; the note is with the holder of the lock already and goes out with it',
        {
          cause: error,
          hint: 'look with: kb status',
          details: { queued: place },
        },
      );
    }
    throw outcomeUnknown(error instanceof Error ? error.message : String(error), place, error);
  }
}

function outcomeUnknown(why: string, place: PlaceName | undefined, cause?: unknown): KbError {
  return new KbError('E_QUEUED', `the note is saved in the queue, but its outcome is not known yet: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'the next kb command brings it out; look with: kb status',
    details: { queued: place ?? null },
  });
}
