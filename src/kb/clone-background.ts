import { resolve } from 'node:path';
import { parseDuration } from '../config/settings.js';
import { KbError } from '../errors.js';
import { inspectLock } from '../lock/lock.js';
import {
  cloneAsPlanned,
  cloneKb,
  describeClone,
  planClone,
  tellOfSubmodules,
  type ClonePlan,
  type CloneRequest,
  type CloneResult,
} from './clone.js';
import { isCloned } from './clone-stage.js';
import { lookAtClone, type Cloning } from './clone-record.js';
import type { Surroundings } from './surroundings.js';

/** Who waits for a clone in another process looks at it this often, ms. */
const LOOK_EVERY_MS = 200;

/**
 * Starts a process that runs `cloneInBackground` with the request and outlives this one. The request may hold
 * credentials (in its URL), so it must not be handed over in the process's arguments.
 * @returns when that process has called `started`
 * @throws KbError when it ended before that
 */
export type BackgroundStarter = (request: CloneRequest) => Promise<void>;

/**
 * Begins a clone and returns while it goes on in a process of its own; where one into the same directory is under way
 * already, nothing is begun. `lookAtClone` says how far it is, `waitForClone` waits for it.
 * @throws KbError E_USAGE; E_NO_KB when the directory holds something else, or another remote is being cloned into it
 */
export async function detachClone(
  surroundings: Surroundings,
  request: CloneRequest,
  start: BackgroundStarter,
): Promise<CloneResult> {
  const { disk, clock } = surroundings;
  const plan = await planClone(surroundings, request);
  const { directory, url } = plan;
  if (isCloned(disk, directory)) {
    const result = await describeClone(surroundings, directory, url);
    return { ...result, status: 'already_cloned', durationMs: Math.round(clock.monotonic() - plan.startMs) };
  }
  const cloning = lookAtClone(surroundings, directory);
  if (cloning?.state !== 'running') await start({ ...request, directory });
  else if (cloning.url !== url.display) throw cloningAnother(plan, cloning);
  return {
    status: 'cloning',
    dir: directory,
    url: url.display,
    branch: request.branch ?? null,
    head: null,
    shallow: null,
    fileCount: 0,
    lfsMissing: [],
    submodules: [],
    bytes: 0,
    durationMs: Math.round(clock.monotonic() - plan.startMs),
  };
}

/**
 * The work of the process that a `BackgroundStarter` started. How it ends is left in the clone's record.
 * @param started called as soon as others can see that it runs
 * @throws KbError as `cloneKb`
 */
export async function cloneInBackground(
  surroundings: Surroundings,
  request: CloneRequest,
  started: () => void,
): Promise<CloneResult> {
  return cloneAsPlanned(surroundings, request, await planClone(surroundings, request), started);
}

/**
 * Waits for a clone that another process makes, and ends as that ends. With a URL, where no clone is under way or it
 * was killed, makes the clone itself.
 * @param request without URL and directory: the current directory
 * @throws KbError what the clone ended with; E_INTERRUPTED when it was killed; E_NO_KB when there is none;
 *   E_LOCK_TIMEOUT after the request's `timeout`
 */
export async function waitForClone(surroundings: Surroundings, request: CloneRequest): Promise<CloneResult> {
  const { disk, clock, cwd, signal } = surroundings;
  const plan = request.url === undefined ? undefined : await planClone(surroundings, request);
  const directory = plan?.directory ?? resolve(cwd, request.directory ?? '.');
  const timeoutMs = plan?.timeoutMs ?? parseDuration(request.timeout);
  const startMs = clock.monotonic();
  for (let hasSeenIt = false; ; hasSeenIt = true) {
    signal?.throwIfAborted();
    const cloning = lookAtClone(surroundings, directory);
    if (cloning !== undefined && plan !== undefined && cloning.url !== plan.url.display)
      throw cloningAnother(plan, cloning);
    if (cloning?.state === 'failed') throw asThrown(directory, cloning);
    if (cloning?.state === 'running') tell(surroundings, cloning);
    // The record goes a moment before the KB is there; until then the lock says that somebody is at it.
    else if (!isBeingCloned(surroundings, directory)) {
      if (isCloned(disk, directory)) {
        const result = await describeClone(surroundings, directory, plan?.url);
        if (hasSeenIt) tellOfSubmodules(surroundings, result);
        const durationMs = Math.round(clock.monotonic() - startMs);
        return { ...result, status: hasSeenIt ? 'cloned' : 'already_cloned', durationMs };
      }
      if (plan !== undefined) return cloneKb(surroundings, request);
      throw cloning === undefined ? noneUnderWay(directory) : killed(directory, cloning);
    }
    if (clock.monotonic() - startMs > timeoutMs) throw stillCloning(directory, timeoutMs, cloning);
    await clock.sleep(LOOK_EVERY_MS, signal);
  }
}

function isBeingCloned({ disk, identity }: Surroundings, directory: string): boolean {
  try {
    const { held, stale, owner } = inspectLock(directory, { disk, identity });
    return held && !stale && owner?.operation === 'clone';
  } catch (error) {
    // a directory that is not there
    if (error instanceof KbError && error.code === 'E_NO_KB') return false;
    throw error;
  }
}

function tell({ report }: Surroundings, { phase, done, total, bytes }: Cloning): void {
  report({ kind: 'progress', phase, done, total, bytes });
}

/** The error that another process ended with. */
function asThrown(directory: string, { error, url }: Cloning): KbError {
  if (error === null) return noneUnderWay(directory);
  return new KbError(error.code, error.message, {
    hint: `${error.hint}; then again: kb clone ${url} ${directory}`,
    details: { dir: directory, url },
  });
}

function killed(directory: string, { pid, url }: Cloning): KbError {
  return new KbError(
    'E_INTERRUPTED',
    `the clone into ${directory} ended before it was done: its process ${pid} is gone`,
    {
      hint: `start it again: kb clone ${url} ${directory}`,
      details: { dir: directory, url },
    },
  );
}

function noneUnderWay(directory: string): KbError {
  return new KbError('E_NO_KB', `no clone into ${directory} is under way`, {
    hint: `begin one: kb clone URL ${directory}`,
  });
}

function cloningAnother({ directory, url }: ClonePlan, cloning: Cloning): KbError {
  return new KbError('E_NO_KB', `another repository (${cloning.url}) is being cloned into ${directory}`, {
    hint: `name another directory: kb clone ${url.display} DIR`,
  });
}

function stillCloning(directory: string, timeoutMs: number, cloning: Cloning | undefined): KbError {
  const who = cloning === undefined ? '' : ` by process ${cloning.pid} (${cloning.phase})`;
  return new KbError('E_LOCK_TIMEOUT', `${directory} is still being cloned${who} after ${timeoutMs / 1000} s`, {
    hint: 'wait longer with --timeout, or look with: kb status',
    details: { dir: directory },
  });
}
