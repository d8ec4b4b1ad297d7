import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isKbError, type ErrorCode } from '../../src/errors.js';
import type { NoteRequest } from '../../src/kb/note.js';
import { withLock } from '../../src/lock/lock.js';
import { describe, isDueToKill } from './crash-invariants.js';
import { Ledger, type Promised } from './crash-ledger.js';
import type { Network } from './crash-network.js';
import { SimulatedProcess } from './crash-processes.js';
import { note, type Site } from './crash-site.js';
import type { Failure } from './failing-disk.js';

/** What the KB, its line and its network look like to those who play in it must come about within so many ms. */
const PATIENCE_MS = 20_000;

/** A site, the processes on it, and what they were promised. */
export class Stage {
  readonly ledger: Ledger;
  /** What went wrong on the way, other than what the ledger tells. */
  readonly problems: string[] = [];
  private readonly cast: SimulatedProcess[] = [];
  private lastToken: number;

  constructor(
    readonly site: Site,
    readonly network?: Network,
    before?: Stage,
  ) {
    this.ledger = new Ledger(before?.ledger);
    this.lastToken = before?.lastToken ?? 0;
  }

  /** @param name under which the network knows it; there may be one of each name at a time */
  start(name: string, failure?: Failure): SimulatedProcess {
    const process = new SimulatedProcess(this.site, name, failure);
    const buried = process.failing.onKill;
    process.failing.onKill = () => {
      buried?.();
      this.ledger.keepAllIn(entriesOf(this.site, process));
    };
    this.cast.push(process);
    return process;
  }

  /** Where the remote is asked. */
  get url(): string {
    return this.network?.urlOf('remote.git') ?? this.site.remote;
  }

  /** A word for the next edit. */
  token(): string {
    return Ledger.token((this.lastToken += 1));
  }

  /**
   * Brings a note, and enters into the ledger what its writer is told.
   * @param refusal the code with which it must be refused; undefined: it must not
   */
  async note(
    by: SimulatedProcess,
    over: Partial<NoteRequest> = {},
    refusal?: ErrorCode,
    token = this.token(),
  ): Promise<void> {
    const { ledger } = this;
    const promise = (promised: Promised): void => ledger.promise(token, refusal === undefined ? promised : 'never');
    promise('at most once');
    try {
      await note(by.world, { text: token, ...over });
      promise('once');
      if (refusal !== undefined) this.problems.push(`a note that must be refused was not (${token})`);
    } catch (error) {
      if (by.isKilled && (isDueToKill(error) || isKbError(error, 'E_NETWORK'))) return; // nobody hears what it says
      const promised = promisedBy(error);
      if (promised !== undefined) promise(promised);
      const isAnswer =
        refusal === undefined ? isKbError(error, 'E_NETWORK') && promised === 'once' : isKbError(error, refusal);
      const isItsDisk = by.failing.hasFailed && (isKbError(error, 'E_STORAGE') || promised === 'once');
      if (!isAnswer && !isItsDisk) this.problems.push(`${by.name} was told ${describe(error)}`);
    } finally {
      by.end(); // one command is all that a process is for
    }
  }

  /** Runs `work` while somebody else has the lock: who wants it then waits in line. */
  async whileHeld(work: () => Promise<void>): Promise<void> {
    const { world } = this.start('holder');
    const { disk, identity } = world;
    await withLock({ directory: world.cwd, operation: 'test', timeoutMs: PATIENCE_MS }, work, { disk, identity });
  }

  /** Waits until the process's note lies in the queue, or the process has ended. */
  async untilQueued(process: SimulatedProcess): Promise<void> {
    await until(`the note of ${process.name} is queued`, () => {
      return process.hasEnded || entriesOf(this.site, process) !== '';
    });
  }

  /** Waits until so many stand in line behind the holder, or the process that comes last has ended. */
  async untilWaiting(count: number, last: SimulatedProcess): Promise<void> {
    await until(`${count} wait`, () => last.hasEnded || waitersOf(this.site) >= count);
  }

  /** Leaves a note in the queue whose writer was killed while it waited. Only while the lock is held. */
  async leaveEntry(over: Partial<NoteRequest> = {}, refusal?: ErrorCode): Promise<void> {
    const writer = this.start('writer');
    const told = this.note(writer, over, refusal);
    await this.untilQueued(writer);
    writer.kill();
    await told;
  }

  /** Nobody is left who could still act. */
  end(): void {
    for (const process of this.cast) process.end();
  }
}

/** What an error means for the edit; undefined: nothing that was promised. */
export function promisedBy(error: unknown): Promised | undefined {
  if (isKbError(error, 'E_NETWORK') && typeof error.details['saved'] === 'string') return 'once';
  if (isKbError(error, 'E_QUEUED')) return 'once';
  if (isKbError(error, 'E_LOCK_TIMEOUT')) return 'never';
  // What a command did that failed is put away, or else left in the files, and the error says so.
  if (isKbError(error, 'E_COMMAND')) return error.details['changes'] === null ? 'at most once' : 'never';
  return undefined;
}

/** The whole entries of a process in the queue, as text; '' when there is none. */
export function entriesOf({ kb }: Site, process: SimulatedProcess): string {
  const queue = join(kb, '.git/kb/queue');
  if (!existsSync(queue)) return '';
  return readdirSync(queue)
    .filter((name) => /\.(entry|claimed)$/.test(name))
    .map((name) => readIfThere(join(queue, name)))
    .filter((text) => text.includes(process.word))
    .join('\n');
}

function waitersOf({ kb }: Site): number {
  const side = join(kb, '.kb_tmp_lock');
  if (!existsSync(side)) return 0;
  return readdirSync(side).filter((name) => name.startsWith('wait_')).length;
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // claimed or removed meanwhile
  }
}

export async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`in vain: waited until ${what}`);
    await sleep(2);
  }
}
