import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Disk } from '../disk/disk.js';
import {
  isErrno,
  namesIn,
  readFileIfExists,
  removeFile,
  removeTemporaryFiles,
  syncDirectory,
  writeFileAtomic,
  writeFully,
} from '../disk/durable.js';
import type { PlaceName } from './line.js';

/** A larger file in the queue is nobody's that we know, and is not read. Bytes. */
export const ENTRY_LIMIT = 4 * 1024 * 1024;
/** An ack that nobody can be proved to have read is kept so long, ms. */
const KEEP_ACKS_MS = 24 * 60 * 60 * 1000;

const WAITING = /^(\d{9}_[0-9a-f]{32})\.entry$/;
const CLAIMED = /^(\d{9}_[0-9a-f]{32})\.([0-9a-f]{32})\.claimed$/;
const PLAN = /^([0-9a-f]{32})\.plan$/;
const ACKS = /^[0-9a-f]{32}_[0-9a-f]{8}\.acks$/;

/** Acks that waiters in this process have read: it may live on for long, and they need not be kept for it. */
const readHere = new Set<PlaceName>();

/** An entry as it lies in the queue. */
export interface QueuedEntry {
  /** The place in line of the waiter that made it; entries are served in the order of these. */
  readonly place: PlaceName;
  readonly file: string;
  /** The id of the lock whose holder has taken it; undefined: nobody has. */
  readonly claimer: string | undefined;
}

export interface QueueSight {
  readonly waiting: readonly QueuedEntry[];
  readonly claimed: readonly QueuedEntry[];
  /** Ids of the locks whose holders have recorded a plan. */
  readonly plans: readonly string[];
  readonly acks: readonly string[];
  /** There are files that some writer was killed over. */
  readonly hasTemporaries: boolean;
}

export interface Ack {
  /** Of the process that waits, as `processWord`. */
  readonly waiter: string;
  readonly value: unknown;
}

export type EntryState = 'waiting' | 'claimed' | 'settled';

/**
 * The durable queue of one KB: a folder of files, each whole or not there (format: docs/group-commit.md).
 * What an entry, a plan and an answer say is not known here.
 *
 * Invariant: an entry is in exactly one of three states, told by file names alone, and each change of state is one
 * rename or unlink: waiting (its waiter may withdraw it), claimed (the holder of that lock answers for it), gone
 * (withdrawn, or its ack was durable before). So waiter and holder can never both think that it is theirs.
 * Broken by: test/unit/lock/entry-queue.test.ts.
 */
export class EntryQueue {
  constructor(
    private readonly disk: Disk,
    readonly directory: string,
    /** Names this process, as `processWord`. */
    private readonly word: string,
  ) {}

  /**
   * Adds an entry, durable when this returns.
   * @param data at most `ENTRY_LIMIT` bytes
   * @throws the file system's errors; nothing is queued then
   */
  enqueue(place: PlaceName, data: Uint8Array): void {
    const { disk, directory } = this;
    this.make();
    const temporary = join(directory, `tmp_${this.word}_${randomBytes(6).toString('hex')}`);
    try {
      const descriptor = disk.openSync(temporary, 'wx', 0o666);
      try {
        writeFully(disk, descriptor, data);
        disk.fsyncSync(descriptor);
      } finally {
        disk.closeSync(descriptor);
      }
      disk.renameSync(temporary, this.entryFile(place));
    } catch (error) {
      removeFile(disk, temporary);
      throw error;
    }
    syncDirectory(disk, directory);
  }

  /** Everything that is in the queue now; entries in the order in which they are served. */
  look(): QueueSight {
    const waiting: QueuedEntry[] = [];
    const claimed: QueuedEntry[] = [];
    const plans: string[] = [];
    const acks: string[] = [];
    let hasTemporaries = false;
    for (const name of namesIn(this.disk, this.directory).sort()) {
      const file = join(this.directory, name);
      const entry = WAITING.exec(name);
      const taken = CLAIMED.exec(name);
      const plan = PLAN.exec(name);
      if (entry !== null) waiting.push({ place: entry[1] as PlaceName, file, claimer: undefined });
      else if (taken !== null) claimed.push({ place: taken[1] as PlaceName, file, claimer: taken[2] });
      else if (plan?.[1] !== undefined) plans.push(plan[1]);
      else if (ACKS.test(name)) acks.push(file);
      else hasTemporaries ||= /^(\.kb_)?tmp_/.test(name);
    }
    return { waiting, claimed, plans, acks, hasTemporaries };
  }

  /** The entry's bytes; undefined when it is gone or is no plain file of a sane size. */
  read({ file }: QueuedEntry): Buffer | undefined {
    return this.readSmall(file);
  }

  /** Takes an entry for the holder of the lock `claimer`; undefined when it was withdrawn or taken meanwhile. */
  claim(entry: QueuedEntry, claimer: string): QueuedEntry | undefined {
    return this.move(entry, { ...entry, file: this.claimedFile(entry.place, claimer), claimer });
  }

  /** Puts a claimed entry back, so that another holder may take it. */
  release(entry: QueuedEntry): void {
    this.move(entry, { ...entry, file: this.entryFile(entry.place), claimer: undefined });
  }

  /** Takes the own entry back. @returns false when a holder has it, or has answered it already */
  withdraw(place: PlaceName): boolean {
    return this.unlink(this.entryFile(place));
  }

  /** @returns false when it is not there under this name any more: another holder has it */
  remove({ file }: QueuedEntry): boolean {
    return this.unlink(file);
  }

  stateOf(place: PlaceName): EntryState {
    // A rename inside the folder can hide a file from one listing: only what is missing twice is gone.
    for (let look = 0; look < 3; look += 1) {
      if (this.exists(this.entryFile(place))) return 'waiting';
      if (namesIn(this.disk, this.directory).some((name) => name.startsWith(place) && CLAIMED.test(name)))
        return 'claimed';
    }
    return 'settled';
  }

  /** Writes down what came of entries, durably. Before they are removed: an entry that is gone has its ack. */
  acknowledge(holder: string, acks: ReadonlyMap<PlaceName, Ack>): void {
    this.make();
    const file = join(this.directory, `${holder}_${randomBytes(4).toString('hex')}.acks`);
    writeFileAtomic(this.disk, file, JSON.stringify({ format: 1, acks: Object.fromEntries(acks) }));
  }

  /** What came of the entry, for the one who waits for it; undefined: no ack of it is here. */
  findAck(place: PlaceName): Ack | undefined {
    for (const file of this.look().acks) {
      const ack = this.readAcks(file).get(place);
      if (ack === undefined) continue;
      readHere.add(place);
      return ack;
    }
    return undefined;
  }

  /** All entries that have an ack. */
  acknowledged(): Set<PlaceName> {
    return new Set(this.look().acks.flatMap((file) => [...this.readAcks(file).keys()]));
  }

  /** A holder's own record of what it is about to push; each holder has one. */
  writePlan(holder: string, data: string): void {
    this.make();
    writeFileAtomic(this.disk, this.planFile(holder), data);
  }

  readPlan(holder: string): Buffer | undefined {
    return this.readSmall(this.planFile(holder));
  }

  removePlan(holder: string): void {
    removeFile(this.disk, this.planFile(holder));
  }

  /**
   * Removes acks that every waiter has read or died without reading, and what killed writers left.
   * For the holder of the lock.
   * @param isDead whether the process of that word has provably ended
   * @param nowMs wall clock, ms since 1970: only for acks whose readers cannot be judged from here
   */
  sweep(isDead: (word: string) => boolean, nowMs: number): void {
    removeTemporaryFiles(this.disk, this.directory); // of plans and acks: only holders write those
    for (const name of namesIn(this.disk, this.directory)) {
      const file = join(this.directory, name);
      const temporary = /^tmp_(.+)_[0-9a-f]{12}$/.exec(name);
      if (temporary?.[1] !== undefined && isDead(temporary[1])) removeFile(this.disk, file);
      if (!ACKS.test(name)) continue;
      const acks = [...this.readAcks(file)];
      const isRead = acks.every(([place, { waiter }]) => readHere.has(place) || isDead(waiter));
      if (!isRead && this.ageMs(file, nowMs) <= KEEP_ACKS_MS) continue;
      removeFile(this.disk, file);
      for (const [place] of acks) readHere.delete(place);
    }
  }

  private readAcks(file: string): Map<PlaceName, Ack> {
    const acks = new Map<PlaceName, Ack>();
    try {
      const parsed = Object(JSON.parse(this.readSmall(file)?.toString('utf8') ?? '{}')) as { acks?: unknown };
      for (const [place, ack] of Object.entries(Object(parsed.acks) as Record<string, unknown>)) {
        const { waiter, value } = Object(ack) as Partial<Ack>;
        if (typeof waiter === 'string') acks.set(place as PlaceName, { waiter, value });
      }
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error; // damaged: it answers nobody
    }
    return acks;
  }

  /** Never follows a link and never opens what could block or fill memory. */
  private readSmall(file: string): Buffer | undefined {
    try {
      const stat = this.disk.lstatSync(file);
      return stat.isFile() && stat.size <= ENTRY_LIMIT ? readFileIfExists(this.disk, file) : undefined;
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  private move(from: QueuedEntry, to: QueuedEntry): QueuedEntry | undefined {
    try {
      this.disk.renameSync(from.file, to.file);
      return to;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  private unlink(file: string): boolean {
    try {
      this.disk.unlinkSync(file);
      return true;
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
      throw error;
    }
  }

  private exists(file: string): boolean {
    try {
      this.disk.lstatSync(file);
      return true;
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
      throw error;
    }
  }

  private ageMs(file: string, nowMs: number): number {
    try {
      return nowMs - this.disk.lstatSync(file).mtimeMs;
    } catch {
      return 0;
    }
  }

  private entryFile(place: PlaceName): string {
    return join(this.directory, `${place}.entry`);
  }

  private claimedFile(place: PlaceName, claimer: string): string {
    return join(this.directory, `${place}.${claimer}.claimed`);
  }

  private planFile(holder: string): string {
    return join(this.directory, `${holder}.plan`);
  }

  /** Whoever may write to the KB must be able to serve its queue: in a KB shared by a group it gets the KB's own bits. */
  private make(): void {
    const { disk, directory } = this;
    if (disk.mkdirSync(directory, { recursive: true }) === undefined) return;
    const shared = disk.statSync(join(directory, '..', '..', '..')).mode;
    if ((shared & 0o022) !== 0) disk.chmodSync(directory, shared & 0o2777);
  }
}
