import { join } from 'node:path';
import { resolveIdentity } from '../config/identity.js';
import { asStorageError } from '../disk/durable.js';
import { isKbError, type KbError } from '../errors.js';
import { formatSignature } from '../git/objects/commit.js';
import { EntryQueue } from '../lock/entry-queue.js';
import type { PlaceName } from '../lock/lock.js';
import { processWord } from '../lock/process-word.js';
import type { FirstQuestion } from './ask-ahead.js';
import { Batch, type BatchItem } from './batch.js';
import { runCycleUnder, type CycleOutcome, type CyclePlan } from './cycle.js';
import { holdKb, type Hold } from './hold.js';
import { mend } from './mend.js';
import type { NoteEntry } from './note-entry.js';
import { checkedOutBranch, optional, type Kb } from './open.js';
import { hasInterruptedSwitch } from './recover-switch.js';

export function openQueue(kb: Kb): EntryQueue {
  const { disk, identity } = kb.surroundings;
  return new EntryQueue(disk, join(kb.gitDir, 'kb', 'queue'), processWord(identity));
}

/**
 * The notes that wait, to go out with the cycles of one hold.
 * @param own the holder's own note, or where it is in the queue
 * @throws KbError E_STORAGE, E_LOCK_LOST
 */
export function openBatch(kb: Kb, hold: Hold, own?: NoteEntry | PlaceName): Batch {
  try {
    // Which branch it is that the notes are for, is known only when no switch is half done.
    if (hasInterruptedSwitch(kb)) mend(kb, hold, committerOf(kb));
    return Batch.open(kb, openQueue(kb), hold, checkedOutBranch(kb).ref, own);
  } catch (error) {
    throw asStorageError(error, 'take over the notes that wait');
  }
}

/** Formatted, for reflogs. @throws KbError E_USAGE when nobody knows who commits */
function committerOf(kb: Kb): string {
  const { env, clock } = kb.surroundings;
  const nowMs = clock.wall();
  const offsetMinutes = clock.offsetMinutes(nowMs);
  return formatSignature(resolveIdentity({ settings: kb.settings, env, nowMs, offsetMinutes }).committer);
}

/** The cycle of a command other than `kb note`, by itself: lock, and the notes that wait right behind it go out with it. */
export async function runCycle(kb: Kb, plan: CyclePlan): Promise<CycleOutcome> {
  return holdKb(kb, plan.operation, (hold) => runTurn(kb, plan, hold));
}

/** `runCycle` for one who holds the lock already, and may run several cycles while holding it. */
export async function runTurn(kb: Kb, plan: CyclePlan, hold: Hold): Promise<CycleOutcome> {
  // What only pulls or only pushes brings nobody else's note out, and inside a kb run the queue waits for that run.
  if (!plan.pull || !plan.push || hold.isNested) return runCycleUnder(kb, plan, hold);
  const batch = openBatch(kb, hold);
  try {
    if (plan.branch !== undefined && plan.branch !== batch.branch) batch.turnTo(plan.branch);
    const outcome = await runCycleWithBatch(kb, plan, hold, batch);
    await bringOutElsewhere(kb, plan.operation, hold, batch);
    return outcome;
  } finally {
    batch.releaseElsewhere();
    hold.served = batch.answered;
  }
}

/**
 * The cycle of a note, for the branch that it names, and then those of what waits for other branches.
 * @param question what was asked ahead for the first of them
 * @returns of the first; what became of the notes, the batch knows
 * @throws KbError as runCycle
 */
export async function bringOut(
  kb: Kb,
  operation: string,
  hold: Hold,
  batch: Batch,
  question?: FirstQuestion,
): Promise<CycleOutcome> {
  try {
    const branch = batch.ownBranch ?? batch.branch;
    if (branch !== batch.branch) {
      batch.takeWaiting();
      batch.turnTo(branch);
    }
    const plan = { operation, pull: true, push: true, branch, question };
    const outcome = await runCycleWithBatch(kb, plan, hold, batch);
    await bringOutElsewhere(kb, operation, hold, batch);
    return outcome;
  } finally {
    batch.releaseElsewhere();
    hold.served = batch.answered;
  }
}

/** Each branch's notes by themselves: what goes wrong with them is nobody else's failure. */
async function bringOutElsewhere(kb: Kb, operation: string, hold: Hold, batch: Batch): Promise<void> {
  for (const branch of batch.branchesElsewhere) {
    batch.turnTo(branch);
    await bringOutRest(kb, { operation, branch }, hold, batch);
  }
}

/** What a part of a batch is brought out with. */
type Part = Pick<CyclePlan, 'operation' | 'branch'>;

/**
 * A cycle that takes waiting notes along. Where the remote refuses what was pushed together, the parts go out one by
 * one, halved again and again, so that what it really refuses fails alone.
 * @returns the cycle's own outcome; what became of the notes, the batch knows
 * @throws KbError as runCycle, for the cycle's own part
 */
export async function runCycleWithBatch(kb: Kb, plan: CyclePlan, hold: Hold, batch: Batch): Promise<CycleOutcome> {
  const hasOwn = plan.edit !== undefined || plan.collect !== undefined;
  try {
    const outcome = await runCycleUnder(kb, { ...plan, batch }, hold);
    // A push whose reply was lost can land without the notes that came after it.
    await bringOutRest(kb, plan, hold, batch);
    return outcome;
  } catch (error) {
    const parts = batch.size + (hasOwn ? 1 : 0);
    if (isOfParts(error) && parts > 1) return runParts(kb, plan, hold, batch, hasOwn, error);
    if (isOfParts(error) && !hasOwn) for (const item of batch.open) batch.fail(item, error);
    batch.abandon(error);
    throw error;
  }
}

/** What is refused for what is in it: an archive refuses every part alike. */
function isOfParts(error: unknown): error is KbError {
  return isKbError(error, 'E_REFUSED') && error.details['wholeRepository'] !== true;
}

async function runParts(
  kb: Kb,
  plan: CyclePlan,
  hold: Hold,
  batch: Batch,
  hasOwn: boolean,
  refusal: KbError,
): Promise<CycleOutcome> {
  if (!hasOwn) {
    const last = await runNotes(kb, plan, hold, batch, batch.open);
    if (last === undefined) throw refusal;
    return last;
  }
  try {
    return await runCycleUnder(kb, plan, hold);
  } finally {
    await bringOutRest(kb, plan, hold, batch);
  }
}

/** The notes that are left, after a part that is done: what goes wrong with them is not that part's failure. */
async function bringOutRest(kb: Kb, part: Part, hold: Hold, batch: Batch): Promise<void> {
  try {
    await runNotes(kb, part, hold, batch, batch.open);
  } catch (error) {
    if (!isKbError(error)) throw error; // the entries are back in the queue
  }
}

/**
 * Brings notes out by themselves, and what is refused by halves.
 * @returns the outcome of the last cycle that ended well
 * @throws KbError as runCycle, but for E_REFUSED, which is the answer to one note alone
 */
async function runNotes(
  kb: Kb,
  part: Part,
  hold: Hold,
  batch: Batch,
  notes: readonly BatchItem[],
): Promise<CycleOutcome | undefined> {
  if (notes.length === 0) return undefined;
  batch.narrow(notes);
  const { operation, branch } = part;
  try {
    return await runCycleUnder(kb, { operation, pull: true, push: true, batch, ...optional('branch', branch) }, hold);
  } catch (error) {
    if (!isOfParts(error)) {
      batch.abandon(error);
      throw error;
    }
    const [only, ...others] = notes;
    if (only !== undefined && others.length === 0) {
      batch.fail(only, error);
      return undefined;
    }
  }
  const half = Math.ceil(notes.length / 2);
  const [first, second] = [notes.slice(0, half), notes.slice(half)];
  let done: CycleOutcome | undefined;
  try {
    done = await runNotes(kb, part, hold, batch, first);
  } catch (error) {
    // Without the network each part becomes local commits; nobody's note may be left out of that.
    if (isKbError(error, 'E_NETWORK')) await runNotes(kb, part, hold, batch, second);
    else batch.abandon(error, second);
    throw error;
  }
  return (await runNotes(kb, part, hold, batch, second)) ?? done;
}
