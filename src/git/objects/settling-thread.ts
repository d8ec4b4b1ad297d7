import type { Worker } from 'node:worker_threads';
import { ifThereIsAThread, runInThread, type StartThread } from '../../disk/second-thread.js';
import { monotonicMs } from '../../monotonic.js';
import { makeObjectRing, MADE, type ObjectRing } from './object-ring.js';

const BATCHES = 64;
const BATCH_BYTES = 64 * 1024;
/** Of one job before its data: number, type, number of the base or -1, bytes, what became of it, 5 words of its id. */
const HEAD_WORDS = 10;
const HEAD_BYTES = 4 * HEAD_WORDS;
/** What is larger when it is whole is not made there. */
const MOST_MADE_BYTES = 256 * 1024;
const RING_BYTES = 64 * 1024 * 1024;
/** With fewer batches before it the thread has time for more; with more it is far behind. */
const FEW_BATCHES = 4;
const MANY_BATCHES = 24;
/** Longest wait without a batch being done, which takes 2 ms; ms. */
const PATIENCE_MS = 2000;

/** In the words that both threads look at: batches filled so far; done so far; tells to stop; their lengths. */
const FILLED = 0;
const DONE = 1;
const STOP = 2;
const LENGTHS = 3;

/** Takes what the thread has done, in the order in which it was added. */
export interface SettledObjects {
  /** @param words holds the id, 5 of them, from `at` on */
  named(index: number, words: Uint32Array, at: number): void;
  /** It has its name, and whether it is well-formed is not known. @param data as it was added; only during the call */
  unchecked(index: number, data: Buffer): void;
  /** Nothing came of it. @param data as it was added; only during the call */
  unmade(index: number, data: Buffer): void;
}

/**
 * A second thread that makes objects of a pack whole, names them and looks whether they are well-formed, while the first
 * one receives, inflates, and does the same with others. Objects that are made of each other all go to one thread, so
 * that neither needs what the other one has made. They are inflated right into batches in shared memory, and done in the
 * order in which they were added.
 *
 * Invariant: nothing depends on this thread but time. It says what it is sure of; the rest, and all that it had not done
 * when it died or was too slow, is told as `unmade` or `unchecked`, and the first thread does it with the pack's
 * bytes (tests: "a second thread that …"). So every error is found and told by one piece of code.
 */
export class SettlingThread {
  /** Where what is added is inflated. */
  readonly memory: Buffer;
  private readonly words: Uint32Array;
  private readonly control: Int32Array;
  private thread: Worker | undefined;
  private isDead = false;
  private filled = 0;
  private collected = 0;
  /** Of the batch that is being filled. */
  private used = 0;

  private constructor(
    private readonly settled: SettledObjects,
    start: StartThread | undefined,
  ) {
    const shared = new SharedArrayBuffer(BATCHES * BATCH_BYTES);
    this.memory = Buffer.from(shared);
    this.words = new Uint32Array(shared);
    this.control = new Int32Array(new SharedArrayBuffer(4 * (LENGTHS + BATCHES)));
    this.thread = runInThread(PROGRAM, { workerData: { shared, control: this.control }, youngGeneration: 8 }, start);
    this.thread.on('error', () => (this.isDead = true));
    this.thread.on('exit', () => (this.isDead = true));
  }

  /**
   * It costs 20 ms of another processor, and 50 MB.
   * @param start for tests
   * @returns undefined where there is no processor for it, or no thread to be had
   */
  static start(settled: SettledObjects, start?: StartThread): SettlingThread | undefined {
    return ifThereIsAThread(() => new SettlingThread(settled, start));
  }

  /** It would have nothing to do soon. */
  get hasTime(): boolean {
    return this.filled - Atomics.load(this.control, DONE) < FEW_BATCHES;
  }

  /** It has more before it than is worth waiting for in the end; and what belongs to what it has will come on top. */
  get isFarBehind(): boolean {
    return this.filled - Atomics.load(this.control, DONE) >= MANY_BATCHES;
  }

  get isLost(): boolean {
    return this.thread === undefined;
  }

  /**
   * @param size bytes that are to be put there, at most `MOST_SENT_BYTES`
   * @returns where in the memory there is room for them and one more; -1: the thread is lost
   */
  room(size: number): number {
    if (this.used + jobBytes(size) > BATCH_BYTES) this.flush();
    if (this.used === 0 && !this.isLost) this.waitForFree();
    return this.isLost ? -1 : (this.filled % BATCHES) * BATCH_BYTES + this.used + HEAD_BYTES;
  }

  /** What was put where `room` said: @param base number of the object that it is a delta of; -1: it is whole */
  add(index: number, type: number, base: number, size: number): void {
    const { words } = this;
    const word = ((this.filled % BATCHES) * BATCH_BYTES + this.used) >>> 2;
    words[word] = index;
    words[word + 1] = type;
    words[word + 2] = base;
    words[word + 3] = size;
    this.used += jobBytes(size);
  }

  /** Tells of all that is done by now, and passes on what was added if the thread has nothing to do. */
  turn(): void {
    if (this.isLost) return;
    this.collect();
    if (Atomics.load(this.control, DONE) === this.filled) this.flush();
  }

  /** Until all that was added is told of; with pauses where the caller likes. */
  *finish(): Generator<undefined, void, undefined> {
    this.flush();
    for (let since = monotonicMs(); this.collected < this.filled && !this.isLost;) {
      const before = this.collected;
      this.collect();
      if (this.collected > before) since = monotonicMs();
      else this.waitForOne(since);
      yield;
    }
    this.close();
  }

  /** Ends the thread. Harmless twice. */
  close(): void {
    const { thread } = this;
    this.thread = undefined;
    if (thread === undefined) return;
    Atomics.store(this.control, STOP, 1);
    Atomics.notify(this.control, FILLED);
    void thread.terminate();
  }

  private flush(): void {
    if (this.used === 0) return;
    this.control[LENGTHS + (this.filled % BATCHES)] = this.used;
    this.used = 0;
    Atomics.store(this.control, FILLED, ++this.filled);
    Atomics.notify(this.control, FILLED);
  }

  private waitForFree(): void {
    for (const since = monotonicMs(); this.filled - this.collected === BATCHES && !this.isLost;) {
      this.collect();
      if (this.filled - this.collected === BATCHES) this.waitForOne(since);
    }
  }

  /** @param since when there was nothing to collect for the first time, ms */
  private waitForOne(since: number): void {
    if (this.isDead || monotonicMs() - since > PATIENCE_MS) this.lose();
    else Atomics.wait(this.control, DONE, this.collected, 5);
  }

  /** Does without the thread. What it does from here on is not looked at. */
  private lose(): void {
    this.flush();
    this.close();
    for (; this.collected < this.filled; this.collected++) this.tell(this.collected % BATCHES, true);
  }

  private collect(): void {
    for (const done = Atomics.load(this.control, DONE); this.collected < done; this.collected++)
      this.tell(this.collected % BATCHES, false);
  }

  private tell(batch: number, isLost: boolean): void {
    const { words, memory, settled } = this;
    const start = batch * BATCH_BYTES;
    for (let at = start, end = start + (this.control[LENGTHS + batch] as number); at < end;) {
      const word = at >>> 2;
      const index = words[word] as number;
      const size = words[word + 3] as number;
      const made = isLost ? MADE.unmade : (words[word + 4] as number);
      if (made === MADE.named) {
        settled.named(index, words, word + 5);
      } else {
        const data = memory.subarray(at + HEAD_BYTES, at + HEAD_BYTES + size);
        if (made === MADE.unchecked) {
          settled.named(index, words, word + 5);
          settled.unchecked(index, data);
        } else settled.unmade(index, data);
      }
      at += jobBytes(size);
    }
  }
}

function jobBytes(size: number): number {
  return HEAD_BYTES + ((size + 4) & ~3);
}

/** The second thread: does batches in their order until it is told to stop. Its text is the program. */
function serve(
  ring: ObjectRing,
  shared: SharedArrayBuffer,
  control: Int32Array,
  batches: number,
  batchBytes: number,
): void {
  const memory = Buffer.from(shared);
  const words = new Int32Array(shared);
  for (let done = 0; ;) {
    const filled = Atomics.load(control, 0);
    if (Atomics.load(control, 2) !== 0) return;
    if (filled === done) {
      Atomics.wait(control, 0, filled);
      continue;
    }
    const batch = done % batches;
    const start = batch * batchBytes;
    for (let at = start, end = start + (control[3 + batch] as number); at < end;) {
      const word = at >>> 2;
      const index = words[word] as number;
      const type = words[word + 1] as number;
      const base = words[word + 2] as number;
      const size = words[word + 3] as number;
      words[word + 4] =
        base < 0
          ? ring.whole(index, type, memory, at + 40, size, memory, at + 20)
          : ring.delta(index, type, base, memory, at + 40, size, memory, at + 20);
      at += 40 + ((size + 4) & ~3);
    }
    Atomics.store(control, 1, ++done);
    Atomics.notify(control, 1);
  }
}

const PROGRAM = `{
  const { workerData: { shared, control } } = require('node:worker_threads');
  const ring = (${makeObjectRing.toString()})(require('node:crypto'), ${RING_BYTES}, ${MOST_MADE_BYTES});
  (${serve.toString()})(ring, shared, control, ${BATCHES}, ${BATCH_BYTES});
}`;
