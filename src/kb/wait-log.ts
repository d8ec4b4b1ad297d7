import { join } from 'node:path';
import type { Disk } from '../disk/disk.js';
import { isErrno, writeFully } from '../disk/durable.js';
import { kbDirectory } from './kb-directory.js';
import type { NoteAnswer } from './note-answer.js';
import type { Kb } from './open.js';

/** One line of the log: a hold of the lock, or a note that another holder took along. */
export interface WaitRecord {
  /** RFC 3339, when it ended. */
  readonly at: string;
  readonly operation: string;
  readonly user: string;
  readonly pid: number;
  /** Until the lock came; for a note taken along: until its answer came. */
  readonly waitedMs: number;
  /** How long the lock was held; null for a note taken along. */
  readonly heldMs: number | null;
  /** Notes answered by this hold; for one taken along: the notes in its push. */
  readonly batch: number;
}

const FILE = 'waits.jsonl';
/** At this size the file becomes `waits.jsonl.1`, in place of the one before: two of them are all there ever is. Bytes. */
const TURN_AT_BYTES = 256 * 1024;

/** The log of `kb stats`. Never in the way: what cannot be written is left out. */
export function recordHold(
  kb: Kb,
  hold: { readonly operation: string; readonly waitedMs: number; readonly heldMs: number; readonly served: number },
): void {
  append(kb, { ...hold, batch: hold.served });
}

/** @param answer of a note that another holder took along */
export function recordRide(kb: Kb, answer: NoteAnswer, waitedMs: number): void {
  append(kb, { operation: 'note', waitedMs, heldMs: null, batch: answer.kind === 'kept' ? answer.batch : 0 });
}

/** A record is shorter than this, bytes. */
const LAST_BYTES = 512;
/** Longer than this somebody waits for the lock only where others have it, ms. */
const WAITED_MS = 50;

/**
 * Whether the KB has many writers just now: the last one waited, was taken along, or took others along.
 * @param lately since when the file must not have been touched for it to say nothing, ms
 */
export function isContended({ gitDir, surroundings }: Pick<Kb, 'gitDir' | 'surroundings'>, lately: number): boolean {
  const { disk, clock } = surroundings;
  try {
    const descriptor = disk.openSync(join(gitDir, 'kb', FILE), 'r');
    try {
      const { size, mtimeMs } = disk.fstatSync(descriptor);
      if (Math.abs(clock.wall() - mtimeMs) > lately) return false;
      const bytes = Buffer.alloc(Math.min(size, LAST_BYTES));
      const length = disk.readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
      const line = bytes.toString('utf8', 0, length).trimEnd().split('\n').at(-1) ?? '';
      const { waitedMs, heldMs, batch } = JSON.parse(line) as WaitRecord;
      return heldMs === null || waitedMs > WAITED_MS || batch > 1;
    } finally {
      disk.closeSync(descriptor);
    }
  } catch {
    return false; // no log, or nothing that could be read in it
  }
}

function append(kb: Kb, { operation, waitedMs, heldMs, batch }: Omit<WaitRecord, 'at' | 'user' | 'pid'>): void {
  const { disk, clock, identity } = kb.surroundings;
  const record: WaitRecord = {
    at: new Date(clock.wall()).toISOString(),
    operation,
    user: identity.user,
    pid: identity.pid,
    waitedMs: Math.round(waitedMs),
    heldMs: heldMs === null ? null : Math.round(heldMs),
    batch,
  };
  try {
    const file = join(kbDirectory(kb), FILE);
    const descriptor = disk.openSync(file, 'a');
    try {
      writeFully(disk, descriptor, Buffer.from(`${JSON.stringify(record)}\n`)); // one write: lines of others stay whole
      if (disk.fstatSync(descriptor).size >= TURN_AT_BYTES) turnOver(disk, file);
    } finally {
      disk.closeSync(descriptor);
    }
  } catch {
    // a full or read-only disk: the command itself says so
  }
}

function turnOver(disk: Disk, file: string): void {
  try {
    disk.renameSync(file, `${file}.1`);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error; // another one was faster
  }
}

/** What the log holds, the oldest first; damaged lines are left out. */
export function readWaits(kb: Kb): WaitRecord[] {
  const { disk } = kb.surroundings;
  return [`${FILE}.1`, FILE].flatMap((name) => {
    let text: string;
    try {
      text = disk.readFileSync(join(kb.gitDir, 'kb', name), 'utf8');
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    }
    return text.split('\n').flatMap((line) => {
      try {
        return line === '' ? [] : [JSON.parse(line) as WaitRecord];
      } catch {
        return [];
      }
    });
  });
}
