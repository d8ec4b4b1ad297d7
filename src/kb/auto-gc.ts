import { join } from 'node:path';
import { isErrno, removeFile, writeFileAtomic } from '../disk/durable.js';
import { isKbError } from '../errors.js';
import { collectGarbage, type GcResult } from './gc.js';
import { isGcDue, RECORD } from './gc-due.js';
import { kbDirectory } from './kb-directory.js';
import type { Kb } from './open.js';

/**
 * The gc that kb starts by itself. It leaves a record while it has not succeeded, so that a gc that fails is not tried
 * again after every note.
 * @returns undefined when nothing is due, or another gc is at work
 * @throws KbError as collectGarbage
 */
export async function collectGarbageIfDue(kb: Kb): Promise<GcResult | undefined> {
  if (!isGcDue(kb)) return undefined;
  const { disk, clock } = kb.surroundings;
  const record = join(kbDirectory(kb), RECORD);
  const write = (error: string | null): void => {
    const at = new Date(clock.wall()).toISOString();
    writeFileAtomic(disk, record, JSON.stringify({ version: 1, at, error }), { durable: false });
  };
  write(null);
  try {
    const result = await collectGarbage(kb);
    removeFile(disk, record);
    // Still too many, because they are young or kept: tomorrow again.
    if (isGcDue(kb)) write(null);
    return result;
  } catch (error) {
    if (isKbError(error) && error.details['gc'] !== undefined) {
      removeFile(disk, record);
      return undefined;
    }
    try {
      write(error instanceof Error ? error.message : String(error));
    } catch (second) {
      if (!isErrno(second)) throw second; // the first error says what went wrong
    }
    throw error;
  }
}
