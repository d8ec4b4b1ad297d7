import { KbError, isKbError } from '../errors.js';
import { GitIndex } from '../git/index/index-file.js';
import { shortName, type Oid } from '../git/ids.js';
import { inspectLock } from '../lock/lock.js';
import { parseRemoteUrl } from '../remote/url.js';
import { compareWithTracking } from './ahead-behind.js';
import { findConflicts } from './conflicts/list.js';
import { connect } from './connect.js';
import { lookAtClone, type Cloning } from './clone-record.js';
import { readLastSync, type LastSync } from './last-sync.js';
import { leftOutFiles } from './lfs/left-out.js';
import { scanLocalEdits, type LocalEdit } from './local-edits.js';
import { openKb, type Kb } from './open.js';
import { upstreamOf } from './upstream.js';
import type { OpenRequest } from './ground.js';
import { countFilesHere } from './sparse.js';
import { readQueue, type QueueItem } from './queue-status.js';
import { measureDisk, type DiskUse } from './disk-use.js';
import type { Surroundings } from './surroundings.js';

export interface StatusLock {
  readonly held: boolean;
  readonly holder: {
    readonly user: string;
    readonly host: string;
    readonly pid: number;
    readonly command: string;
    readonly since: string;
    readonly id: string;
  } | null;
  readonly stale: boolean;
}

export interface Status {
  readonly initialized: true;
  readonly cloning: null;
  readonly dir: string;
  readonly remote: string | null;
  readonly branch: string | null;
  readonly head: Oid | null;
  readonly upstream: string | null;
  readonly ahead: number | null;
  readonly behind: number | null;
  readonly shallow: boolean;
  /** Of a sparse checkout: the folders whose files are here, with those at the root and in the folders above. */
  readonly sparse: readonly string[] | null;
  readonly changes: readonly LocalEdit[];
  /** The paths that `kb conflicts` lists, each once. */
  readonly conflicts: readonly string[];
  /** Large files (Git LFS) whose content could not be had: the pointer lies there until a sync brings it. */
  readonly lfsMissing: readonly string[];
  /** Files of the last commit that are here; without those that a sparse checkout leaves out. */
  readonly fileCount: number;
  readonly lock: StatusLock;
  readonly queue: readonly QueueItem[];
  /** Local commits that the remote does not have. */
  readonly unpushed: number | null;
  readonly lastSync: LastSync | null;
  readonly disk: DiskUse;
}

/** Of a directory that is being cloned into, or was to be. */
export interface CloningStatus {
  readonly initialized: false;
  readonly cloning: Cloning;
  readonly dir: string;
}

export interface StatusRequest {
  /** Ask the remote where the branch is now (one request), instead of what was last seen. */
  readonly fetch: boolean;
}

/** The state of a KB for a person or a health check. Takes no lock, changes nothing; no network unless asked. */
export async function readStatus(kb: Kb, request: StatusRequest): Promise<Status> {
  const { disk } = kb.surroundings;
  const index = GitIndex.read(disk, kb.gitDir);
  const head = kb.refs.head();
  const branch = head.branch === undefined ? null : shortName(head.branch);
  const upstream = branch === null ? undefined : upstreamOf(kb, branch);
  const tracking = upstream === undefined ? undefined : kb.refs.resolve(upstream.tracking);
  const compared = compareWithTracking(kb, tracking, head.oid);
  const remoteTip = request.fetch && upstream !== undefined ? await askRemote(kb, upstream) : tracking;
  const lastSync = readLastSync(kb) ?? null;
  return {
    initialized: true,
    cloning: null,
    dir: kb.root,
    remote: upstream === undefined ? null : parseRemoteUrl(upstream.url, { cwd: kb.root, insecure: true }).display,
    branch,
    head: head.oid ?? null,
    upstream: upstream === undefined ? null : `${upstream.remoteName}/${shortName(upstream.ref)}`,
    ahead: compared?.ahead ?? null,
    // Commits that were never fetched can't be counted: that the remote moved is all that is known.
    behind: remoteTip === tracking ? (compared?.behind ?? null) : null,
    shallow: kb.shallow().size > 0,
    sparse: kb.worktree.settings.cone?.().folders ?? null,
    changes: scanLocalEdits(kb, index, head.oid),
    conflicts: [...new Set(findConflicts(kb, index).map(({ item }) => item.copy ?? item.path))],
    lfsMissing: leftOutFiles(disk, kb.gitDir),
    fileCount: countFilesHere(kb, index),
    lock: describeLock(kb),
    queue: readQueue(kb),
    unpushed: tracking === undefined ? null : (compared?.ahead ?? null),
    lastSync,
    disk: measureDisk(disk, kb.root, kb.gitDir),
  };
}

/**
 * The state of the KB that a command means, or of the clone that is to become one.
 * @throws KbError as openKb, where there is no clone either
 */
export async function readStatusOf(
  surroundings: Surroundings,
  which: OpenRequest,
  request: StatusRequest,
): Promise<Status | CloningStatus> {
  let kb: Kb;
  try {
    kb = await openKb(surroundings, which);
  } catch (error) {
    const dir = isKbError(error, 'E_NO_KB') ? error.details['cloningInto'] : undefined;
    const cloning = typeof dir === 'string' ? lookAtClone(surroundings, dir) : undefined;
    if (cloning === undefined) throw error;
    return { initialized: false, cloning, dir: dir as string };
  }
  return readStatus(kb, request);
}

/** What makes `kb status --check` fail, as sentences; empty: healthy. */
export function findProblems(status: Status | CloningStatus): string[] {
  if (!status.initialized) return [`there is no KB yet: ${describeCloning(status)}`];
  const problems: string[] = [];
  if (status.lastSync !== null && status.lastSync.result !== 'ok') {
    problems.push(`the last sync failed: ${status.lastSync.error ?? status.lastSync.result}`);
  }
  if (status.conflicts.length > 0)
    problems.push(
      `${status.conflicts.length} files are in conflict: ${status.conflicts.slice(0, 3).join(', ')} (see: kb conflicts)`,
    );
  if (status.disk.freeBytes < status.disk.headroom) {
    problems.push(`the volume has ${status.disk.freeBytes} bytes left, under the headroom of ${status.disk.headroom}`);
  }
  return problems;
}

/** @throws KbError E_UNHEALTHY with details.problems */
export function requireHealthy(status: Status | CloningStatus): void {
  const problems = findProblems(status);
  if (problems.length === 0) return;
  throw new KbError('E_UNHEALTHY', problems.join('; '), { details: { problems, status } });
}

function describeCloning({ dir, cloning }: CloningStatus): string {
  if (cloning.state === 'running') return `${dir} is being cloned`;
  return `the clone into ${dir} ${cloning.error === null ? 'was killed' : `failed: ${cloning.error.message}`}`;
}

/** Is this "no KB here", which a health check reports as unhealthy rather than as a failed command? */
export function isUninitialized(error: unknown): error is KbError {
  return isKbError(error, 'E_NO_KB');
}

function describeLock(kb: Kb): StatusLock {
  const { disk, identity } = kb.surroundings;
  const { held, owner, stale } = inspectLock(kb.root, { disk, identity });
  if (!held || owner === undefined) return { held, holder: null, stale };
  const { user, host, pid, command, since, id } = owner;
  return { held, holder: { user, host, pid, command, since, id: id.slice(0, 8) }, stale };
}

async function askRemote(kb: Kb, upstream: NonNullable<ReturnType<typeof upstreamOf>>): Promise<Oid | undefined> {
  const remote = await connect(kb, upstream);
  try {
    return (await remote.discover('read', [upstream.ref])).refs.get(upstream.ref);
  } finally {
    await remote.close();
  }
}
