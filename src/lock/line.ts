import { join } from 'node:path';
import type { Disk } from '../disk/disk.js';
import { isErrno } from '../disk/durable.js';
import { OWNER_FILE, readOwner, type LockPaths } from './layout.js';
import type { OwnerRecord } from './owner.js';
import {
  discard,
  discardFile,
  goneName,
  isGone,
  listSide,
  makeOwnerDirectory,
  removeSideIfEmpty,
  withSide,
  writeOwner,
} from './side.js';

const WAITER = /^wait_(\d{9})_([0-9a-f]{32})$/;
const HIGHEST_NUMBER = 999_999_999;

/** `NUMBER_ID` with nine digits of number: places in the order of their names. */
export type PlaceName = string & { readonly __brand: 'PlaceName' };

/** A waiter as others see it. */
export interface Waiter {
  readonly name: string;
  readonly place: PlaceName;
  readonly number: number;
}

/**
 * One waiter's place in the line, and at the same time the prepared lock: the directory that is renamed to
 * the lock's name when its turn has come.
 *
 * First come, first served: a newcomer takes the number after the highest it sees (Lamport, "A New Solution of
 * Dijkstra's Concurrent Programming Problem", 1974), equal numbers are told apart by id. The line decides only
 * who tries first. That one alone holds the lock is decided by the rename and nothing else, so a line that is
 * wrong, forged or lost costs fairness, never exclusion.
 */
export class Place {
  private number: number | undefined;

  constructor(
    private readonly disk: Disk,
    private readonly paths: LockPaths,
    private record: OwnerRecord,
  ) {}

  get owner(): OwnerRecord {
    return this.record;
  }

  get placeName(): PlaceName {
    return `${String(this.number ?? 0).padStart(9, '0')}_${this.record.id}` as PlaceName;
  }

  get name(): string {
    return `wait_${this.placeName}`;
  }

  get path(): string {
    return this.paths.inSide(this.name);
  }

  get ownerFile(): string {
    return join(this.path, OWNER_FILE);
  }

  /**
   * Joins the line, or joins it again under the old number after others took this waiter for dead and swept it.
   *
   * The place is made out of the protocol and moved into the line: a waiter without a record, which those behind it
   * could pass over only after a while, is never seen, wherever its process was killed.
   * @throws KbError E_NO_KB, E_UNSAFE_STATE; the file system's errors
   */
  join(): void {
    withSide(this.disk, this.paths, () => {
      const prepared = this.paths.inSide(goneName());
      makeOwnerDirectory(this.disk, this.paths, prepared, this.record);
      try {
        this.number ??= nextNumber(readLine(listSide(this.disk, this.paths)));
        this.disk.renameSync(prepared, this.path);
      } catch (error) {
        discard(this.disk, prepared);
        throw error; // ENOENT: a holder swept it as anybody may; it is made again
      }
    });
  }

  /** Writes the record anew while nobody but us uses it. @throws ENOENT when this place was swept */
  rewrite(record: OwnerRecord): void {
    writeOwner(this.disk, this.ownerFile, record, 'r+');
    this.record = record;
  }

  /** Out of the line first, then deleted: a waiter without a record is never seen in it. Never fails. */
  leave(): void {
    try {
      sweepWaiter(this.disk, this.paths, this);
    } catch {
      // left for the next one, who finds us dead
    }
    removeSideIfEmpty(this.disk, this.paths);
  }
}

/** The waiters among the names of the side folder, first come first. */
export function readLine(names: readonly string[]): Waiter[] {
  const line: Waiter[] = [];
  for (const name of names) {
    const match = WAITER.exec(name);
    if (match === null) continue;
    line.push({ name, place: name.slice('wait_'.length) as PlaceName, number: Number(match[1]) });
  }
  return line.sort((a, b) => (a.name < b.name ? -1 : 1)); // numbers are padded, ids break ties
}

export function readWaiter(disk: Disk, paths: LockPaths, waiter: Waiter): OwnerRecord | undefined {
  return readOwner(disk, join(paths.inSide(waiter.name), OWNER_FILE));
}

/**
 * Takes a waiter out of the line. It moves first and deletes then: a waiter that lives after all finds its
 * directory whole or gone, never emptied, and joins again under its old number.
 */
export function sweepWaiter(disk: Disk, paths: LockPaths, waiter: Pick<Waiter, 'name'>): void {
  const gone = paths.inSide(goneName());
  try {
    disk.renameSync(paths.inSide(waiter.name), gone);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return; // it got the lock, left, or was swept by another
    throw error;
  }
  discard(disk, gone);
}

/**
 * Deletes what the dead left behind. Only for the holder of the lock `ownId`: a ticket is garbage as soon as
 * the lock it is for is not the lock any more, and now the lock is `ownId`'s.
 */
export function sweepLeftovers(disk: Disk, paths: LockPaths, names: readonly string[], ownId: string): void {
  for (const name of names) {
    // Moved first: it may be a place that is just being made, and must come into the line whole or not at all.
    // (Broken by: test/unit/lock/line.test.ts, "a place that is swept while it is made")
    if (isGone(name)) sweepWaiter(disk, paths, { name });
    else if (name.startsWith('ticket_') && !name.startsWith(`ticket_${ownId}_`)) discardFile(disk, paths.inSide(name));
  }
}

function nextNumber(line: readonly Waiter[]): number {
  return Math.min((line.at(-1)?.number ?? 0) + 1, HIGHEST_NUMBER);
}
