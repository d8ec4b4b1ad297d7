import { join } from 'node:path';
import { isErrno, removeFile, writeFileAtomic } from '../disk/durable.js';
import type { Disk } from '../disk/disk.js';
import { ERROR_CODES, KbError, type ErrorCode } from '../errors.js';
import { livenessProbe } from '../lock/liveness.js';
import type { ProcessIdentity } from '../lock/owner.js';
import type { ProgressReport } from './progress-meter.js';
import type { Surroundings } from './surroundings.js';

/** Lies in the directory that is being cloned into, until it is a KB. Excluded from git like the stage. */
export const CLONE_RECORD = '.kb_clone_progress.json';

/** A clone that is under way, or that ended without a KB, as others see it. */
export interface Cloning {
  /** `interrupted`: its process is gone without a word. */
  readonly state: 'running' | 'failed' | 'interrupted';
  readonly phase: string;
  readonly done: number;
  readonly total: number;
  readonly bytes: number;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly pid: number;
  /** Without credentials. */
  readonly url: string;
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint: string } | null;
}

interface RecordFile extends Omit<Cloning, 'state' | 'pid'> {
  readonly version: 1;
  readonly process: Omit<ProcessIdentity, 'user'>;
}

/** The record is rewritten at most so often, ms. */
const WRITE_EVERY_MS = 500;
/** Larger files are nobody's record. */
const MOST_BYTES = 64 * 1024;

/**
 * Keeps the record of a clone in this process. Only who holds the directory's lock writes it, but for the first one
 * of a clone in the background, which must be there before its starter says that it runs.
 */
export class CloneRecord {
  private facts: RecordFile;
  private writtenAt = -Infinity;

  /**
   * @param url without credentials
   * @param isUnwatched it goes on in the background
   */
  constructor(
    private readonly surroundings: Surroundings,
    private readonly directory: string,
    url: string,
    private readonly isUnwatched: boolean,
  ) {
    const { pid, startTime, host, bootId, pidNamespace } = surroundings.identity;
    this.facts = {
      version: 1,
      url,
      startedAt: new Date(surroundings.clock.wall()).toISOString(),
      process: { pid, startTime, host, bootId, pidNamespace },
      phase: 'starting',
      done: 0,
      total: 0,
      bytes: 0,
      error: null,
    };
  }

  /** @throws the file system's error */
  write(): void {
    const { disk, clock } = this.surroundings;
    this.writtenAt = clock.monotonic();
    // Not durable: after a power cut there is no process either whose progress it could tell.
    writeFileAtomic(disk, join(this.directory, CLONE_RECORD), JSON.stringify(this.facts), { durable: false });
  }

  follow({ phase, done = 0, total = 0, bytes = 0 }: ProgressReport): void {
    const isNew = phase !== this.facts.phase;
    this.facts = { ...this.facts, phase, done, total, bytes };
    if (!isNew && this.surroundings.clock.monotonic() - this.writtenAt < WRITE_EVERY_MS) return;
    this.tryWrite();
  }

  /** There will be no KB. Of a clone that nobody watched, the word of how it ended stays. */
  end(error: unknown): void {
    if (!this.isUnwatched || !(error instanceof KbError)) {
      removeFile(this.surroundings.disk, join(this.directory, CLONE_RECORD));
      return;
    }
    const { code, message, hint } = error;
    this.facts = { ...this.facts, error: { code, message, hint } };
    this.tryWrite();
  }

  /** What others see of a clone must not make it fail. */
  private tryWrite(): void {
    try {
      this.write();
    } catch {
      // a full or failing volume: the clone itself says so
    }
  }
}

/** @returns undefined where nobody is cloning, nor tried to in the background. @throws the file system's error */
export function lookAtClone(surroundings: Surroundings, directory: string): Cloning | undefined {
  const { disk } = surroundings;
  const record = readRecord(disk, directory);
  if (record === undefined) return undefined;
  const { version: _, process, ...facts } = record;
  const owner = { ...process, user: '', id: '', operation: 'clone', command: 'kb clone', since: facts.startedAt };
  const isDead = livenessProbe(disk, surroundings.identity)(owner) === 'dead';
  return { ...facts, pid: process.pid, state: facts.error !== null ? 'failed' : isDead ? 'interrupted' : 'running' };
}

/** Why there is no KB in a directory, as far as its record says; undefined without a record. */
export function whyNoKbYet(disk: Disk, directory: string, isHere: boolean): KbError | undefined {
  const record = readRecord(disk, directory);
  if (record === undefined) return undefined;
  const details = { cloningInto: directory };
  if (record.error === null) {
    return new KbError('E_NO_KB', `${directory} is being cloned and is no KB yet`, {
      hint: `wait for it: kb clone --wait${isHere ? '' : ` --kb ${directory}`}`,
      details,
    });
  }
  return new KbError('E_NO_KB', `the clone into ${directory} failed: ${record.error.message}`, {
    hint: `mend that, then: kb clone ${record.url} ${directory}`,
    details,
  });
}

/** The file is untrusted: anybody who may write to the directory may have put it there. */
function readRecord(disk: Disk, directory: string): RecordFile | undefined {
  const path = join(directory, CLONE_RECORD);
  let text: string;
  try {
    const stats = disk.lstatSync(path);
    if (!stats.isFile() || stats.size > MOST_BYTES) return undefined;
    text = disk.readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return undefined;
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const record = asFields(value);
  const process = asFields(record?.['process']);
  if (record?.['version'] !== 1 || process === undefined) return undefined;
  const [url, startedAt, phase] = [record['url'], record['startedAt'], record['phase']];
  const [done, total, bytes, pid] = [record['done'], record['total'], record['bytes'], process['pid']];
  if (typeof url !== 'string' || typeof startedAt !== 'string' || typeof phase !== 'string') return undefined;
  if (typeof done !== 'number' || typeof total !== 'number' || typeof bytes !== 'number') return undefined;
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid < 1) return undefined;
  const { startTime, host, bootId, pidNamespace } = process;
  if (typeof startTime !== 'string' || typeof host !== 'string') return undefined;
  if (typeof bootId !== 'string' || typeof pidNamespace !== 'string') return undefined;
  const identity = { pid, startTime, host, bootId, pidNamespace };
  const error = asError(record['error']);
  return { version: 1, url, startedAt, phase, done, total, bytes, process: identity, error };
}

function asError(value: unknown): RecordFile['error'] {
  const fields = asFields(value);
  const code = ERROR_CODES.find((known) => known === fields?.['code']);
  const [message, hint] = [fields?.['message'], fields?.['hint']];
  if (code === undefined || typeof message !== 'string' || typeof hint !== 'string') return null;
  return { code, message, hint };
}

function asFields(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : undefined;
}
