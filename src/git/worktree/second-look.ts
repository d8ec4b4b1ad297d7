import type { Stats } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import { type Disk, isPlainDisk } from '../../disk/disk.js';
import { ifThereIsAThread, runInThread, startThread, type StartThread } from '../../disk/second-thread.js';
import { FIELD, FIXED_LENGTH, FLAG_EXTENDED, NAME_MASK } from '../index/entry.js';
import type { LookedAt, SharedEntries } from '../index/index-file.js';

/** With fewer files the start of a thread (20 ms of a processor) is not made up for. */
const FROM_FILES = 40_000;
/** An answer: mode, size, inode, uid, gid, mtime and ctime in ms. */
const ANSWER_WORDS = 7;
/**
 * In the words that both threads look at: the entry that the first thread is at; the first one that is answered. Far
 * apart, so that the one who writes its own does not slow down the other.
 */
const WANTED = 0;
const ANSWERED = 32;
/** How many entries the first thread goes on until it looks there again. */
const STEP = 64;

/** When a second thread is to look at files too. For tests. */
export interface SecondLookFrom {
  readonly files: number;
  readonly start: StartThread;
}

const AS_MEASURED: SecondLookFrom = { files: FROM_FILES, start: startThread };

/**
 * A second thread that looks at the files of the index from the last one on, while the first thread looks from the first
 * one on, until they meet. It only says what lstat said, through whatever folders; what that means is decided by the
 * first thread, for all files alike.
 *
 * Invariant: nothing depends on this thread but time. Nobody waits for it: what it has no answer to when it is asked,
 * the first thread looks at itself. So one that cannot be had, is late, or is dead is not missed (tests: "a second
 * look that …").
 */
export class SecondLook {
  private readonly control = new Int32Array(new SharedArrayBuffer(256));
  private readonly answers: Float64Array;
  private readonly answer = { mode: 0, size: 0, ino: 0, uid: 0, gid: 0, mtimeMs: 0, ctimeMs: 0 };
  private readonly thread: Worker;
  /** As last seen: it only goes down. */
  private answered: number;
  /** The entry at which to look again. */
  private next = 0;

  private constructor(root: string, entries: SharedEntries, start: StartThread) {
    const count = entries.offsets.length - 1;
    this.answers = new Float64Array(new SharedArrayBuffer(8 * ANSWER_WORDS * count));
    this.answered = count;
    this.control[ANSWERED] = count;
    const workerData = { root, entries, answers: this.answers, control: this.control };
    this.thread = runInThread(PROGRAM, { workerData, youngGeneration: 8 }, start);
    this.thread.on('error', () => undefined); // what it has not answered is not missed
  }

  /** @returns undefined where it would save no time, or there is no thread to be had */
  static start(
    disk: Disk,
    root: string,
    index: { readonly entryCount: number; share(): SharedEntries },
    { files, start } = AS_MEASURED,
  ): SecondLook | undefined {
    if (index.entryCount < files || !isPlainDisk(disk)) return undefined;
    return ifThereIsAThread(() => new SecondLook(root, index.share(), start));
  }

  /**
   * The first thread has come to this entry.
   * @returns what is at its path, until the next call; undefined: to be looked at
   */
  at(ordinal: number): LookedAt | undefined {
    const { answer, answers } = this;
    if (ordinal >= this.next) this.meet(ordinal);
    if (ordinal < this.answered) return undefined;
    const word = ordinal * ANSWER_WORDS;
    answer.mode = answers[word] as number;
    if (answer.mode === 0) return undefined;
    answer.size = answers[word + 1] as number;
    answer.ino = answers[word + 2] as number;
    answer.uid = answers[word + 3] as number;
    answer.gid = answers[word + 4] as number;
    answer.mtimeMs = answers[word + 5] as number;
    answer.ctimeMs = answers[word + 6] as number;
    return answer;
  }

  private meet(ordinal: number): void {
    Atomics.store(this.control, WANTED, ordinal);
    this.answered = Atomics.load(this.control, ANSWERED);
    this.next = ordinal < this.answered ? ordinal + STEP : Infinity;
  }

  /** Ends the thread. */
  close(): void {
    void this.thread.terminate();
  }
}

/**
 * The second thread's program is the text of this. It refers to nothing but its parameters.
 * Invariant: an answer is whole before it is counted as given, by the store that the first thread's load sees.
 */
function lookFromTheEnd(
  lstat: (path: string, options: { throwIfNoEntry: false }) => Stats | undefined,
  {
    root,
    entries,
    answers,
    control,
  }: { root: string; entries: SharedEntries; answers: Float64Array; control: Int32Array },
  format: {
    flags: number;
    nameMask: number;
    extended: number;
    fixedLength: number;
    answerWords: number;
    wanted: number;
    answered: number;
  },
): void {
  const bytes = Buffer.from(entries.bytes);
  const { offsets } = entries;
  const prefix = `${root}/`;
  for (let ordinal = offsets.length - 2; ordinal > Atomics.load(control, format.wanted); ordinal--) {
    const start = offsets[ordinal] as number;
    const flags = bytes.readUInt16BE(start + format.flags);
    const length = flags & format.nameMask;
    const name = start + format.fixedLength + ((flags & format.extended) === 0 ? 0 : 2);
    const path = prefix + bytes.toString('utf8', name, name + length);
    let stats;
    try {
      // A longer name has no length there, and one that is no UTF-8 would be another one's.
      if (length < format.nameMask && !path.includes('\ufffd')) stats = lstat(path, { throwIfNoEntry: false });
    } catch {
      // whoever looks there next finds out why
    }
    if (stats !== undefined) {
      const word = ordinal * format.answerWords;
      answers[word] = stats.mode;
      answers[word + 1] = stats.size;
      answers[word + 2] = stats.ino;
      answers[word + 3] = stats.uid;
      answers[word + 4] = stats.gid;
      answers[word + 5] = stats.mtimeMs;
      answers[word + 6] = stats.ctimeMs;
    }
    Atomics.store(control, format.answered, ordinal);
  }
}

const PROGRAM = `(${lookFromTheEnd.toString()})(require('node:fs').lstatSync, require('node:worker_threads').workerData, ${JSON.stringify(
  {
    flags: FIELD.flags,
    nameMask: NAME_MASK,
    extended: FLAG_EXTENDED,
    fixedLength: FIXED_LENGTH,
    answerWords: ANSWER_WORDS,
    wanted: WANTED,
    answered: ANSWERED,
  },
)});`;
