import { join } from 'node:path';
import { readFileIfExists, writeFileAtomic } from '../disk/durable.js';
import type { KbError } from '../errors.js';
import { kbDirectory } from './kb-directory.js';
import type { Kb } from './open.js';

export interface LastSync {
  /** RFC 3339. */
  readonly at: string;
  /** `ok`, or the code of the error. */
  readonly result: string;
  readonly error: string | null;
  /** Paths that a failed sync could not merge. */
  readonly conflicts: readonly string[];
}

const FILE = 'last-sync.json';
const MAX_CONFLICTS = 1000;

/** How the last exchange with the remote ended, for `kb status`. Not durable: it is only ever a report. */
export function recordSync(kb: Kb, error: KbError | undefined): void {
  const conflicts = Array.isArray(error?.details['conflicts'])
    ? (error.details['conflicts'] as { path: string }[])
    : [];
  const record: LastSync = {
    at: new Date(kb.surroundings.clock.wall()).toISOString(),
    result: error?.code ?? 'ok',
    error: error?.message ?? null,
    conflicts: conflicts.slice(0, MAX_CONFLICTS).map(({ path }) => path),
  };
  try {
    writeFileAtomic(kb.surroundings.disk, join(kbDirectory(kb), FILE), JSON.stringify(record), { durable: false });
  } catch {
    // a full or read-only disk: the command itself says so; the report about it must not replace that
  }
}

/** undefined: none yet, or the file is damaged (it is remade by the next sync). */
export function readLastSync(kb: Kb): LastSync | undefined {
  const bytes = readFileIfExists(kb.surroundings.disk, join(kb.gitDir, 'kb', FILE));
  if (bytes === undefined) return undefined;
  try {
    const { at, result, error, conflicts } = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    if (typeof at !== 'string' || typeof result !== 'string') return undefined;
    return {
      at,
      result,
      error: typeof error === 'string' ? error : null,
      conflicts: Array.isArray(conflicts) ? conflicts.filter((path) => typeof path === 'string') : [],
    };
  } catch {
    return undefined;
  }
}
