import { join } from 'node:path';
import { namesIn } from '../disk/durable.js';
import type { Kb } from './open.js';

/** Git's own defaults. */
const MOST_LOOSE = 6700;
const MOST_PACKS = 50;
/** Of 256 folders one is counted, as git does: ids are spread evenly. */
const SAMPLE = 'objects/17';
const FOLDERS = 256;

/** In `.git/kb`: a gc that kb started by itself and that has not succeeded. */
export const RECORD = 'auto-gc.json';
/** After a gc that failed, or did not help, the next one waits so long, as git's `gc.logExpiry`; ms. */
const AGAIN_AFTER_MS = 24 * 3600 * 1000;

/**
 * Whether there is enough to pack for a gc in the background: more loose objects than `gc.auto` (6700, estimated), or
 * more packs than `gc.autoPackLimit` (50). Costs two listings of folders.
 *
 * Never in CI, where the clone is thrown away; with KB_NO_AUTO_GC; with `gc.auto` 0, or `gc.autoDetach` false, since
 * nobody waits for a gc of kb; and inside a `kb run`, which has a look at its own end.
 * @throws KbError E_STORAGE
 */
export function isGcDue(kb: Kb): boolean {
  const { env, disk, clock } = kb.surroundings;
  if (env['KB_NO_AUTO_GC'] || env['KB_LOCK_TOKEN'] || (env['CI'] && env['CI'] !== 'false')) return false;
  if (!kb.gitConfig.getBoolean('gc.autodetach', true)) return false;
  const mostLoose = numberOf(kb, 'gc.auto', MOST_LOOSE);
  if (mostLoose <= 0) return false;
  if (!hasManyLoose(kb, mostLoose) && !hasManyPacks(kb, numberOf(kb, 'gc.autopacklimit', MOST_PACKS))) return false;
  const last = disk.lstatSync(join(kb.gitDir, 'kb', RECORD), { throwIfNoEntry: false });
  return last === undefined || Math.abs(clock.wall() - last.mtimeMs) > AGAIN_AFTER_MS;
}

function hasManyLoose({ surroundings: { disk }, gitDir }: Kb, most: number): boolean {
  const names = namesIn(disk, join(gitDir, SAMPLE)).filter((name) => /^[0-9a-f]{38}$/.test(name));
  return names.length > Math.ceil(most / FOLDERS);
}

function hasManyPacks({ surroundings: { disk }, gitDir }: Kb, most: number): boolean {
  if (most <= 0) return false;
  const names = namesIn(disk, join(gitDir, 'objects/pack'));
  if (names.length <= most) return false;
  const known = new Set(names);
  const counts = (name: string): boolean =>
    name.endsWith('.pack') &&
    !known.has(name.replace(/pack$/, 'keep')) &&
    !known.has(name.replace(/pack$/, 'promisor'));
  return names.filter(counts).length > most;
}

/** What git would refuse is not ours to refuse at the end of a note: the default counts. */
function numberOf(kb: Kb, key: string, fallback: number): number {
  const text = kb.gitConfig.get(key)?.trim() ?? '';
  return /^-?\d{1,12}$/.test(text) ? Number(text) : fallback;
}
