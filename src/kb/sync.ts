import { KbError } from '../errors.js';
import { GitIndex } from '../git/index/index-file.js';
import type { Oid } from '../git/ids.js';
import type { RepoPath } from '../git/paths.js';
import type { MergedFile } from './apply-changes.js';
import { mergeBases } from '../git/objects/history.js';
import { requireBranchName } from './branch-name.js';
import { compareWithTracking } from './ahead-behind.js';
import { describeChanges, type FileChange } from './changes.js';
import type { ConflictPolicy, Settled } from './apply-changes.js';
import { connect } from './connect.js';
import type { CycleOutcome, CyclePlan } from './cycle.js';
import { runCycle } from './group-commit.js';
import { leftOutFiles } from './lfs/left-out.js';
import { collectEdits, scanLocalEdits } from './local-edits.js';
import { checkedOutBranch, optional, type Kb } from './open.js';
import { upstreamOf } from './upstream.js';
import { noBranch, pinOf } from './pinned.js';
import { requireSafeState } from './safe-state.js';

export interface SyncRequest {
  readonly direction: 'both' | 'pull' | 'push';
  /** Commit local edits; without it they make the sync stop with E_UNSAFE_STATE. */
  readonly commit: boolean;
  readonly message?: string;
  /** Default: the one that is checked out. Of another one, commits are brought together; files are not touched. */
  readonly branch?: string;
  /** Default: `fail`. */
  readonly onConflict?: ConflictPolicy;
}

export type SyncResultKind = 'up_to_date' | 'pulled' | 'pushed' | 'merged' | 'created_branch' | 'local_only';

export interface SyncResult {
  readonly result: SyncResultKind;
  readonly branch: string;
  readonly before: Oid | null;
  readonly after: Oid | null;
  /** Commits. */
  readonly pulled: number;
  /** Commits. */
  readonly pushed: number;
  readonly merged: readonly MergedFile[];
  /** Files that could not be merged, and what `onConflict` made of them. */
  readonly conflicts: readonly Settled[];
  readonly changes: readonly FileChange[];
  /** Large files (Git LFS) whose content could not be had: the pointer lies there. */
  readonly lfsMissing: readonly string[];
  readonly requests: number;
  readonly waitedMs: number;
  readonly durationMs: number;
}

/**
 * One cycle without an edit of its own: local edits committed, remote and local work brought together, pushed.
 * @throws KbError as runCycle; E_UNSAFE_STATE with `commit: false` and local edits
 */
export async function sync(kb: Kb, request: SyncRequest): Promise<SyncResult> {
  const { clock } = kb.surroundings;
  const start = clock.monotonic();
  if (request.branch === undefined && pinOf(kb) !== undefined) return stayPinned(kb);
  const branch = request.branch === undefined ? undefined : requireBranchName(request.branch);
  const isElsewhere = branch !== undefined && branch !== kb.refs.head().branch;
  const plan: CyclePlan = {
    operation: 'sync',
    ...optional('branch', branch),
    ...(request.onConflict === undefined ? {} : { onConflict: request.onConflict }),
    pull: request.direction !== 'push',
    push: request.direction !== 'pull' && kb.settings.autoPush,
    // A pull alone commits nothing: local edits stay as they are, or are in the way and say so.
    ...(request.direction === 'pull' || isElsewhere
      ? {}
      : {
          collect: (at) => {
            if (request.commit) return collectEdits(kb, at, request.message);
            const edits = scanLocalEdits(kb, at.index, at.branch.commit).filter(({ committable }) => committable);
            if (edits.length > 0) throw uncommitted(edits.map(({ path }) => path));
            return undefined;
          },
        }),
  };
  const outcome = await runCycle(kb, plan);
  return {
    result: resultOf(outcome),
    branch: outcome.branch,
    before: outcome.before ?? null,
    after: outcome.after ?? null,
    pulled: outcome.pulled,
    pushed: outcome.pushed,
    merged: outcome.merged,
    conflicts: outcome.settled,
    changes: describeChanges(outcome.changes),
    lfsMissing: leftOutFiles(kb.surroundings.disk, kb.gitDir),
    requests: outcome.requests,
    waitedMs: outcome.waitedMs,
    durationMs: Math.round(clock.monotonic() - start),
  };
}

/** A KB at a tag or commit follows nothing: there is nothing to do. @throws KbError E_UNSAFE_STATE with local edits */
function stayPinned(kb: Kb): SyncResult {
  const pin = pinOf(kb);
  const index = GitIndex.read(kb.surroundings.disk, kb.gitDir);
  const edits = scanLocalEdits(kb, index, pin?.commit).filter(({ committable }) => committable);
  if (pin === undefined || edits.length > 0) throw noBranch(kb);
  kb.surroundings.report({ kind: 'warning', text: `this KB stays at ${pin.name}, and follows no branch` });
  const { commit } = pin;
  const nothing = {
    pulled: 0,
    pushed: 0,
    merged: [],
    conflicts: [],
    changes: [],
    lfsMissing: leftOutFiles(kb.surroundings.disk, kb.gitDir),
    requests: 0,
    waitedMs: 0,
    durationMs: 0,
  };
  return { ...nothing, result: 'up_to_date', branch: pin.name, before: commit, after: commit };
}

function resultOf(outcome: CycleOutcome): SyncResultKind {
  if (!outcome.hasRemote || !outcome.landed) return outcome.pulled > 0 ? 'pulled' : 'local_only';
  if (outcome.createdBranch) return 'created_branch';
  if (outcome.pulled > 0 && outcome.pushed > 0) return 'merged';
  if (outcome.pushed > 0) return 'pushed';
  return outcome.pulled > 0 ? 'pulled' : 'up_to_date';
}

function uncommitted(paths: readonly RepoPath[]): KbError {
  return new KbError(
    'E_UNSAFE_STATE',
    `there are local edits: ${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ` and ${paths.length - 3} more` : ''}`,
    {
      hint: 'leave out --no-commit to commit them',
      details: { paths: paths.slice(0, 100) },
    },
  );
}

export interface SyncForecast {
  readonly check: true;
  readonly result: SyncResultKind;
  readonly branch: string;
  /** Local edits that would be committed. */
  readonly changes: readonly FileChange[];
  /** Local commits that the remote does not have; null: the remote's state is not here to compare with. */
  readonly ahead: number | null;
  /** The remote has moved since it was last fetched. */
  readonly remoteMoved: boolean;
  readonly requests: number;
}

/** What a sync would do, found out without the lock and without changing anything: one request. */
export async function forecastSync(kb: Kb): Promise<SyncForecast> {
  const index = GitIndex.read(kb.surroundings.disk, kb.gitDir);
  requireSafeState(kb, index);
  const branch = checkedOutBranch(kb);
  const changes = scanLocalEdits(kb, index, branch.commit)
    .filter(({ committable }) => committable)
    .map(({ path, kind }) => ({ path, kind }));
  const upstream = upstreamOf(kb, branch.name);
  const common = { check: true, branch: branch.name, changes } as const;
  if (upstream === undefined || !kb.settings.gitEnabled) {
    return { ...common, result: 'local_only', ahead: null, remoteMoved: false, requests: 0 };
  }
  const remote = await connect(kb, upstream);
  try {
    const tip = (await remote.discover('read', [upstream.ref])).refs.get(upstream.ref);
    const local = branch.commit;
    const isKnown = tip !== undefined && kb.objects.has(tip);
    const bases = local !== undefined && isKnown ? mergeBases(kb.objects, local, tip, kb.shallow()) : [];
    const hasOwn = changes.length > 0 || (local !== undefined && local !== tip && !bases.includes(local));
    const toPull = tip !== undefined && local !== tip && !bases.includes(tip);
    const result =
      tip === undefined
        ? hasOwn
          ? 'created_branch'
          : 'up_to_date'
        : hasOwn && toPull
          ? 'merged'
          : hasOwn
            ? 'pushed'
            : toPull
              ? 'pulled'
              : 'up_to_date';
    const tracking = kb.refs.resolve(upstream.tracking);
    const ahead = compareWithTracking(kb, tracking, local)?.ahead ?? null;
    return { ...common, result, ahead, remoteMoved: tip !== tracking, requests: remote.requests };
  } finally {
    await remote.close();
  }
}
