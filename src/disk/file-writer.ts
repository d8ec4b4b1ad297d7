import { isUtf8 } from 'node:buffer';
import type { BigIntStats } from 'node:fs';
import { MessageChannel, receiveMessageOnPort, type MessagePort, type Worker } from 'node:worker_threads';
import { KbError } from '../errors.js';
import { isPlainDisk, type Disk } from './disk.js';
import { ifThereIsAThread, runInThread, type StartThread } from './second-thread.js';

/** What a batch needs of the file system; the second thread has Node's own. */
type FileCalls = Pick<Disk, 'openSync' | 'writeSync' | 'fstatSync' | 'closeSync'>;

/** Where the stat of a written file lies in `FileWriter.words`, from `at` on; each in 32 bits, as git's index keeps it. */
export const STAT = { ctime: 0, ctimeNs: 1, mtime: 2, mtimeNs: 3, dev: 4, ino: 5, uid: 6, gid: 7, size: 8 } as const;
export const STAT_WORDS = 9;

const BATCHES = 24;
const BATCH_BYTES = 128 * 1024;
/** Of one job before its path: id, permission, bytes of the path, bytes of the content, 9 words of stat. */
const HEAD_WORDS = 13;
/** On the number of a path's bytes: it is no UTF-8, so that only raw bytes name it. */
const RAW_PATH = 0x8000_0000;

/** Of a batch. Who changes FILLED to TAKEN, by a compare-and-swap, writes it. */
const FREE = 0;
const FILLED = 1;
const TAKEN = 2;
const WRITTEN = 3;
const FAILED = 4;
/** In the words that both threads look at: counts what there is to do, then tells to stop; states; lengths. */
const SIGNAL = 0;
const STOP = 1;
const STATES = 2;
const LENGTHS = STATES + BATCHES;

interface SharedMemory {
  readonly control: Int32Array;
  readonly memory: Buffer;
  readonly words: Uint32Array;
}

/** What happens to a file that is written. */
export interface FileJob {
  /** The caller's number for it. */
  readonly id: number;
  /** As for open(2), before the umask. */
  readonly permission: number;
  /** Below the writer's directory, with a slash at its end, or empty; it is there. */
  readonly folder: Buffer;
  readonly name: Buffer;
  readonly content: Buffer;
}

/**
 * Makes many new files, each in its place at once and with nothing in its way. They are gathered in batches in memory
 * that is shared with a second thread: making a file costs more than all that goes before it, and that time the
 * caller's thread can use to read the next ones. No batch waits for the second thread: who finds none free, or comes
 * to the end, takes a filled one and writes it itself. So all gets done also where no thread can be had.
 *
 * Invariant: a batch is written by one thread only, the one whose compare-and-swap took it; its memory is filled again
 * only after what was written has been told. A batch that a dead thread had taken is written by nobody: half of its
 * files may be there. That is an error as soon as the death is known, never a wait (test: "a second thread that …").
 */
export class FileWriter {
  private readonly prefix: Buffer;
  private readonly shared: SharedMemory;
  private readonly port: MessagePort;
  private readonly farPort: MessagePort;
  private thread: Worker | undefined;
  /** Why the second thread is gone. */
  private death: Error | undefined;
  private filling = 0;
  private used = 0;
  /** Of the file that was added last: mostly the next one lies there too. */
  private folder: Buffer | undefined;
  private place: Buffer;
  private isRawPlace = false;
  /** Bytes of content that is handed over and not told as written. */
  pendingBytes = 0;
  /** Files that are handed over and not told as written. */
  pendingFiles = 0;

  /**
   * @param directory absolute
   * @param onWritten is told of each file: its id, and where in `words` its stat is (only during the call)
   * @param start for tests
   */
  constructor(
    private readonly disk: Disk,
    directory: string,
    private readonly onWritten: (id: number, words: Uint32Array, at: number) => void,
    private readonly start?: StartThread,
  ) {
    this.prefix = Buffer.from(`${directory}/`);
    this.place = this.prefix;
    const bytes = new SharedArrayBuffer(BATCHES * BATCH_BYTES);
    const control = new Int32Array(new SharedArrayBuffer(4 * (LENGTHS + BATCHES)));
    this.shared = { control, memory: Buffer.from(bytes), words: new Uint32Array(bytes) };
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    this.farPort = port2;
    port1.unref();
  }

  /** Starts the second thread, where there is a processor for it and the disk is the real one. It costs 20 ms of that processor, and 10 MB. */
  speedUp(): void {
    if (this.thread !== undefined || !isPlainDisk(this.disk)) return;
    const { shared, farPort: port } = this;
    const needs = { workerData: { shared, port }, transferList: [port], youngGeneration: 4 };
    this.thread = ifThereIsAThread(() => runInThread(PROGRAM, needs, this.start));
    this.thread?.on('error', (error) => (this.death ??= error));
    this.thread?.on('exit', (code) => (this.death ??= new Error(`it ended with ${code}`)));
  }

  /** @throws what the file system said about this file, or one before it */
  add(job: FileJob): void {
    if (job.folder !== this.folder) this.enter(job.folder);
    const bytes = this.bytesOf(job);
    if (bytes > BATCH_BYTES) return this.writeAlone(job, bytes);
    if (this.used + bytes > BATCH_BYTES || this.used === 0) this.nextBatch();
    this.put(job, this.shared, this.filling * BATCH_BYTES + this.used);
    this.used += bytes;
    this.shared.control[LENGTHS + this.filling] = this.used;
    this.pendingBytes += job.content.length;
    this.pendingFiles += 1;
  }

  /** Passes on what was gathered, also when it is less than a batch. */
  flush(): void {
    if (this.used === 0) return;
    const { control } = this.shared;
    Atomics.store(control, STATES + this.filling, FILLED);
    Atomics.add(control, SIGNAL, 1);
    Atomics.notify(control, SIGNAL);
    this.used = 0;
  }

  /** Until all is written; with pauses where the caller likes. @throws what the file system said */
  *finish(): Generator<undefined, void, undefined> {
    this.flush();
    const { control } = this.shared;
    while (this.pendingFiles > 0) {
      this.collect();
      if (!this.takeOne() && this.pendingFiles > 0) {
        this.requireNoneLost();
        // The rest is in the other thread's hands, for a few milliseconds at most.
        for (let batch = 0; batch < BATCHES; batch++)
          if (Atomics.load(control, STATES + batch) === TAKEN) Atomics.wait(control, STATES + batch, TAKEN, 2);
      }
      yield;
    }
    this.stop();
  }

  /** Ends the second thread, in the middle of its work if need be; after that nothing is written any more. */
  async close(): Promise<void> {
    this.stop();
    // One that has nothing left to write ends by itself, and nobody waits for that.
    if (this.pendingFiles > 0) await this.thread?.terminate();
    this.port.close();
    this.farPort.close();
  }

  /** The second thread ends when it comes by, which takes it some milliseconds that the first one can use. */
  private stop(): void {
    const { control } = this.shared;
    Atomics.store(control, STOP, 1);
    Atomics.add(control, SIGNAL, 1);
    Atomics.notify(control, SIGNAL);
  }

  /** Too large for a batch: written at once. */
  private writeAlone(job: FileJob, bytes: number): void {
    const memory = Buffer.from(new ArrayBuffer(bytes));
    const words = new Uint32Array(memory.buffer);
    this.put(job, { memory, words }, 0);
    writeFiles(this.disk, putStatWords, memory, words, 0, bytes);
    this.onWritten(job.id, words, 4);
  }

  private enter(folder: Buffer): void {
    this.folder = folder;
    this.place = Buffer.concat([this.prefix, folder]);
    this.isRawPlace = !isUtf8(folder);
  }

  private bytesOf({ name, content }: FileJob): number {
    return (4 * HEAD_WORDS + this.place.length + name.length + content.length + 3) & ~3;
  }

  private put(job: FileJob, { memory, words }: Omit<SharedMemory, 'control'>, start: number): void {
    const { name, content } = job;
    const { place } = this;
    const isRaw = this.isRawPlace || !isUtf8(name);
    const word = start >>> 2;
    words[word] = job.id;
    words[word + 1] = job.permission;
    words[word + 2] = place.length + name.length + (isRaw ? RAW_PATH : 0);
    words[word + 3] = content.length;
    let at = start + 4 * HEAD_WORDS;
    memory.set(place, at);
    at += place.length;
    // so few bytes are sooner copied than `set` is called
    for (let byte = 0; byte < name.length; byte++) memory[at++] = name[byte] as number;
    memory.set(content, at);
  }

  private nextBatch(): void {
    this.flush();
    this.requireNoneLost();
    const { control } = this.shared;
    for (;;) {
      for (let step = 1; step <= BATCHES; step++) {
        const batch = (this.filling + step) % BATCHES;
        this.collectBatch(batch);
        if (Atomics.load(control, STATES + batch) !== FREE) continue;
        this.filling = batch;
        return;
      }
      this.takeOne();
    }
  }

  /** Writes a filled batch in this thread. @returns false when there was none */
  private takeOne(): boolean {
    const { control, memory, words } = this.shared;
    for (let step = 1; step <= BATCHES; step++) {
      const batch = (this.filling + step) % BATCHES;
      if (Atomics.compareExchange(control, STATES + batch, FILLED, TAKEN) !== FILLED) continue;
      const start = batch * BATCH_BYTES;
      writeFiles(this.disk, putStatWords, memory, words, start, start + (control[LENGTHS + batch] as number));
      Atomics.store(control, STATES + batch, WRITTEN);
      this.collectBatch(batch);
      return true;
    }
    return false;
  }

  /** A thread that is dead without having taken a batch is not missed: this one writes the rest. */
  private requireNoneLost(): void {
    if (this.death === undefined) return;
    const { control } = this.shared;
    for (let batch = 0; batch < BATCHES; batch++)
      if (Atomics.load(control, STATES + batch) === TAKEN)
        throw new KbError('E_INTERNAL', `the thread that writes files is gone: ${this.death.message}`, {
          hint: 'run the same command again',
          cause: this.death,
        });
  }

  /** Tells of all that is written by now. */
  private collect(): void {
    for (let batch = 0; batch < BATCHES; batch++) this.collectBatch(batch);
  }

  private collectBatch(batch: number): void {
    const { control, words } = this.shared;
    const state = Atomics.load(control, STATES + batch);
    if (state === FAILED) throw this.failure();
    if (state !== WRITTEN) return;
    const end = (batch * BATCH_BYTES + (control[LENGTHS + batch] as number)) >>> 2;
    for (let word = (batch * BATCH_BYTES) >>> 2; word < end;) {
      const pathBytes = (words[word + 2] as number) % RAW_PATH;
      const contentBytes = words[word + 3] as number;
      this.pendingBytes -= contentBytes;
      this.pendingFiles -= 1;
      this.onWritten(words[word] as number, words, word + 4);
      word += HEAD_WORDS + ((pathBytes + contentBytes + 3) >>> 2);
    }
    Atomics.store(control, STATES + batch, FREE);
  }

  /** The file system's error of the other thread, as this one would have got it. */
  private failure(): Error {
    const { message, ...details } = (receiveMessageOnPort(this.port) as { message: { message: string } } | undefined)
      ?.message ?? { message: 'the thread that writes files failed' };
    return Object.assign(new Error(message), details);
  }
}

/**
 * Writes the files of one batch, and the stat of each into its place. Invariant: it refers to nothing but its
 * parameters, because its text is the second thread's program too (test: "writes with a second thread").
 */
function writeFiles(
  fs: FileCalls,
  putStat: typeof putStatWords,
  memory: Buffer,
  words: Uint32Array,
  from: number,
  to: number,
): void {
  for (let at = from; at < to;) {
    const word = at >>> 2;
    const isRaw = (words[word + 2] as number) >= 0x8000_0000;
    const pathAt = at + 52;
    const contentAt = pathAt + ((words[word + 2] as number) & 0x7fff_ffff);
    const end = contentAt + (words[word + 3] as number);
    const path = isRaw ? Buffer.from(memory.subarray(pathAt, contentAt)) : memory.toString('utf8', pathAt, contentAt);
    const descriptor = fs.openSync(path, 'wx', words[word + 1]);
    try {
      for (let done = contentAt; done < end;) done += fs.writeSync(descriptor, memory, done, end - done);
      putStat(words, word + 4, fs.fstatSync(descriptor, { bigint: true }));
    } finally {
      fs.closeSync(descriptor);
    }
    at = (end + 3) & ~3;
  }
}

function putStatWords(words: Uint32Array, at: number, stat: BigIntStats): void {
  const isOneTime = stat.ctimeNs === stat.mtimeNs;
  words[at + 2] = Math.floor(Number(stat.mtimeMs) / 1000);
  words[at + 3] = Number(stat.mtimeNs % 1_000_000_000n);
  words[at] = isOneTime ? (words[at + 2] as number) : Math.floor(Number(stat.ctimeMs) / 1000);
  words[at + 1] = isOneTime ? (words[at + 3] as number) : Number(stat.ctimeNs % 1_000_000_000n);
  words[at + 4] = Number(BigInt.asUintN(32, stat.dev));
  words[at + 5] = Number(BigInt.asUintN(32, stat.ino));
  words[at + 6] = Number(BigInt.asUintN(32, stat.uid));
  words[at + 7] = Number(BigInt.asUintN(32, stat.gid));
  words[at + 8] = Number(BigInt.asUintN(32, stat.size));
}

/** A stat as `FileWriter` tells it. */
export function statWords(stat: BigIntStats): Uint32Array {
  const words = new Uint32Array(STAT_WORDS);
  putStatWords(words, 0, stat);
  return words;
}

/** The second thread: takes filled batches until it is told to stop. Its text is the program, as that of `writeFiles`. */
function serve(
  fs: FileCalls,
  write: typeof writeFiles,
  putStat: typeof putStatWords,
  {
    shared,
    port,
    batches,
    batchBytes,
  }: { shared: SharedMemory; port: MessagePort; batches: number; batchBytes: number },
): void {
  const { control, words } = shared;
  const memory = Buffer.from(words.buffer);
  for (;;) {
    const seen = Atomics.load(control, 0);
    if (Atomics.load(control, 1) !== 0) return;
    let isIdle = true;
    for (let batch = 0; batch < batches; batch++) {
      if (Atomics.compareExchange(control, 2 + batch, 1, 2) !== 1) continue;
      isIdle = false;
      const start = batch * batchBytes;
      try {
        write(fs, putStat, memory, words, start, start + (control[2 + batches + batch] as number));
        Atomics.store(control, 2 + batch, 3);
      } catch (error) {
        const { message, code, errno, syscall, path } = error as NodeJS.ErrnoException;
        port.postMessage({ message, code, errno, syscall, path });
        Atomics.store(control, 2 + batch, 4);
      }
      Atomics.notify(control, 2 + batch);
    }
    if (isIdle) Atomics.wait(control, 0, seen);
  }
}

const PROGRAM = `(${serve.toString()})(require('node:fs'), ${writeFiles.toString()}, ${putStatWords.toString()}, {
  ...require('node:worker_threads').workerData, batches: ${BATCHES}, batchBytes: ${BATCH_BYTES} });`;
