import { join } from 'node:path';
import { parseExpiry } from '../config/git-expiry.js';
import { asStorageError, removeFile } from '../disk/durable.js';
import { sweepDeadLocks } from '../disk/lock-marks.js';
import { isKbError, KbError } from '../errors.js';
import type { Oid } from '../git/ids.js';
import { measureObjects, type ObjectStatistics } from '../git/repack/measure.js';
import {
  bytesNeeded,
  leadsToDropped,
  planRepack,
  removeDoubles,
  removeDropped,
  writePacks,
  type NewPacks,
  type RepackPhase,
  type RepackPlan,
} from '../git/repack/repack.js';
import { findRoots, type Roots } from '../git/repack/roots.js';
import { StoredObjects } from '../git/repack/stored-objects.js';
import { findAbandoned, findAbandonedOwn, removeAbandoned } from '../git/repack/sweep-temporary.js';
import type { Breathe } from '../git/repack/walk.js';
import { deadWordProbe } from '../lock/process-word.js';
import { lockForGc } from './gc-lock.js';
import { holdKb } from './hold.js';
import type { Kb } from './open.js';
import { findOldSavedRefs, removeSavedRefs } from './sweep-saved.js';

export interface GcRequest {
  /** Says what would be done, and changes nothing. */
  readonly dryRun?: boolean;
  /** Leaves saved states (`refs/kb/backup/`, `refs/kb/stash/`), however old. */
  readonly keepSaved?: boolean;
}

export interface GcResult {
  readonly dryRun: boolean;
  readonly before: ObjectStatistics;
  /** In a dry run the same as `before`. */
  readonly after: ObjectStatistics;
  readonly removed: {
    /** Files of processes that were killed. */
    readonly temporary: number;
    readonly backupRefs: number;
    readonly stashRefs: number;
  };
  /** Objects that nothing led to, and that were old enough. */
  readonly prunedObjects: number;
  readonly durationMs: number;
}

/** A temporary file that nobody has written to for so long is abandoned: no write of kb or git pauses for a day. */
const ABANDONED_MS = 24 * 3600 * 1000;
/** Left free on the volume when packs are written, bytes. */
const ROOM_LEFT = 16 * 1024 * 1024;

/**
 * Puts the objects of a KB into one pack, and sweeps what is abandoned.
 *
 * Everybody may go on reading and writing meanwhile. What is kept is only moved: the new pack is there, durable, before
 * the first old file goes. The KB's lock is taken for one thing, the removal of what nothing leads to, because a writer
 * may be about to refer to it again.
 * @throws KbError E_UNSAFE_STATE (another gc, or somebody repacks), E_CORRUPT (something that must be here is missing;
 *   nothing was removed), E_STORAGE (no room for the new pack), E_USAGE (gc.pruneExpire, kb.savedExpire)
 */
export async function collectGarbage(kb: Kb, request: GcRequest = {}): Promise<GcResult> {
  const { disk, clock, identity } = kb.surroundings;
  const start = clock.monotonic();
  let lock: { release(): void } | undefined;
  try {
    if (request.dryRun !== true) {
      if (kb.gitConfig.getBoolean('extensions.preciousobjects', false)) throw preciousObjects();
      sweepDeadLocks(disk, kb.gitDir, deadWordProbe(disk, identity), kb.lockMarks.word);
      lock = lockForGc(kb);
    }
    const result = await collect(kb, request);
    return { ...result, durationMs: Math.round(clock.monotonic() - start) };
  } catch (error) {
    throw asStorageError(error, 'finish kb gc');
  } finally {
    lock?.release();
    kb.objects.refresh();
  }
}

/** Others borrow objects from here, and nobody can tell which: git neither prunes nor repacks such a repository. */
function preciousObjects(): KbError {
  return new KbError('E_UNSAFE_STATE', 'no object of this repository may be removed (extensions.preciousObjects)', {
    hint: 'where nobody borrows from it any more: git config --unset extensions.preciousObjects',
  });
}

async function collect(
  kb: Kb,
  { dryRun = false, keepSaved = false }: GcRequest,
): Promise<Omit<GcResult, 'durationMs'>> {
  const { disk, clock } = kb.surroundings;
  const objectsDirectory = join(kb.gitDir, 'objects');
  const nowMs = clock.wall();
  const pruneBefore = parseExpiry(kb.gitConfig.get('gc.pruneexpire') ?? '2.weeks.ago', 'gc.pruneExpire', nowMs);
  const savedExpiry = keepSaved ? 'never' : (kb.gitConfig.get('kb.savedexpire') ?? '90.days.ago');
  const before = measureObjects(disk, objectsDirectory);

  const saved = findOldSavedRefs(kb, parseExpiry(savedExpiry, 'kb.savedExpire', nowMs));
  // Roots before objects: what a root leads to when it is read is there when objects are listed.
  const roots = findRoots(disk, kb.gitDir, new Set([...saved.backup.keys(), ...saved.stash.keys()]));
  if (roots.unreadable !== undefined) {
    const text = `nothing is dropped, because what it leads to is not known: ${roots.unreadable}`;
    kb.surroundings.report({ kind: 'warning', text });
  }
  const objects = StoredObjects.survey(disk, objectsDirectory);
  let prunedObjects: number;
  let temporary: number;
  try {
    const breathe = breatheFor(kb, objects.table.count);
    const plan = await planRepack(objects, { roots, shallow: kb.shallow(), pruneBefore, breathe });
    // Not before all that is in use was found: what looks abandoned may be all that is left of a damaged KB.
    temporary = sweepFiles(kb, plan, nowMs - ABANDONED_MS, dryRun);
    if (!dryRun) removeSavedRefs(kb, saved);
    prunedObjects = dryRun ? plan.dropped.length : await carryOut(kb, plan, breathe);
  } finally {
    objects.close();
  }
  return {
    dryRun,
    before,
    after: dryRun ? before : measureObjects(disk, objectsDirectory),
    removed: {
      temporary,
      backupRefs: saved.backup.size,
      stashRefs: saved.stash.size,
    },
    prunedObjects,
  };
}

/** @returns how many files of killed processes are gone, or would be */
function sweepFiles(kb: Kb, { isComplete }: RepackPlan, beforeMs: number, dryRun: boolean): number {
  const { disk } = kb.surroundings;
  const objectsDirectory = join(kb.gitDir, 'objects');
  const { temporary, hiddenPacks } = findAbandoned(disk, objectsDirectory, beforeMs);
  const abandoned = isComplete ? [...temporary, ...hiddenPacks] : temporary;
  const ownFolders = ['', 'kb', 'kb/saved', 'kb/queue', 'objects/info'].map((folder) => join(kb.gitDir, folder));
  const own = findAbandonedOwn(disk, ownFolders, beforeMs);
  if (!dryRun) {
    removeAbandoned(disk, objectsDirectory, abandoned);
    for (const path of own) removeFile(disk, path);
  }
  return abandoned.length + own.length;
}

/** @returns how many objects were dropped */
async function carryOut(kb: Kb, plan: RepackPlan, breathe: (phase: RepackPhase) => Breathe): Promise<number> {
  requireRoom(kb, bytesNeeded(plan));
  const packs = await writePacks(plan, breathe);
  removeDoubles(plan, packs);
  return plan.dropped.length === 0 ? 0 : drop(kb, plan, packs, breathe('looking'));
}

/**
 * Invariant: while something is dropped nobody of kb is between looking for an object and referring to it: each does
 * both under the KB's lock. Native git, which knows no such lock, touches what it finds: see `removeDropped`.
 * (Broken by: test/integration/gc.test.ts, "what is referred to again meanwhile stays")
 */
async function drop(kb: Kb, plan: RepackPlan, packs: NewPacks, breathe: Breathe): Promise<number> {
  const postponed = (why: string): number => {
    kb.surroundings.report({
      kind: 'warning',
      text: `${plan.dropped.length} old objects stay until the next gc: ${why}`,
    });
    return 0;
  };
  try {
    return await holdKb(kb, 'gc', async (hold) => {
      const roots: Roots = findRoots(kb.surroundings.disk, kb.gitDir);
      const shallow: ReadonlySet<Oid> = kb.shallow();
      if (await leadsToDropped(plan, roots, shallow, breathe)) return postponed('they came into use meanwhile');
      hold.assertHeld();
      return removeDropped(plan, packs);
    });
  } catch (error) {
    if (isKbError(error, 'E_LOCK_TIMEOUT')) return postponed(error.message);
    throw error;
  }
}

/** @throws KbError E_STORAGE */
function requireRoom(kb: Kb, bytes: number): void {
  const volume = kb.surroundings.disk.statfsSync(kb.gitDir);
  const free = volume.bavail * volume.bsize;
  if (bytes + ROOM_LEFT <= free) return;
  throw new KbError('E_STORAGE', `there is no room for the new pack: it needs ${bytes} bytes, and ${free} are free`, {
    hint: 'make room on the volume, then run the same command again',
    details: { neededBytes: bytes, freeBytes: free },
  });
}

/** How long kb works without a look at signals, ms. */
const BREATH_MS = 50;
const PHASES: Readonly<Record<RepackPhase, string>> = { looking: 'looking at objects', packing: 'packing objects' };

function breatheFor(kb: Kb, total: number): (phase: RepackPhase) => Breathe {
  const { clock, signal, report } = kb.surroundings;
  return (phase) => {
    let last = clock.monotonic();
    return async (done) => {
      if (clock.monotonic() - last < BREATH_MS) return;
      await new Promise(setImmediate);
      signal?.throwIfAborted();
      report({ kind: 'progress', phase: PHASES[phase], done, total });
      last = clock.monotonic();
    };
  };
}
