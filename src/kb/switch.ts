import { resolveIdentity, type Identities } from '../config/identity.js';
import { asStorageError } from '../disk/durable.js';
import { isKbError, KbError } from '../errors.js';
import { asRefName, shortName, type Oid, type RefName } from '../git/ids.js';
import { GitIndex } from '../git/index/index-file.js';
import { formatSignature, readCommit } from '../git/objects/commit.js';
import { StagedObjects } from '../git/objects/staged.js';
import { diffTrees } from '../git/objects/tree-diff.js';
import type { RepoPath } from '../git/paths.js';
import { printable } from '../printable.js';
import { treeOf } from './advance.js';
import { compareWithTracking } from './ahead-behind.js';
import { applyChanges, type Conflict, type MergedFile } from './apply-changes.js';
import type { CarryRenames } from './renames/carry.js';
import { loadRenames } from './renames/load.js';
import { mergeByAttributes } from './merge-attribute.js';
import { mergeByLines } from './merge-contents.js';
import { requireBranchName } from './branch-name.js';
import { describeChanges, type FileChange } from './changes.js';
import { Exchange } from './exchange.js';
import { holdKb, type Hold } from './hold.js';
import { mend } from './mend.js';
import type { Kb } from './open.js';
import { upstreamOf, type Upstream } from './upstream.js';
import { requireNotElsewhere } from './other-worktree.js';
import { bringChangedLargeFiles } from './lfs/bring.js';
import { lfsRemoteOf } from './lfs/kb-remote.js';
import { bringFiles, withPromised } from './promised-objects.js';
import { takeSnapshot } from './run/snapshot.js';
import { requireNothingInTheWay, requireSafeState } from './safe-state.js';
import { switchFiles } from './switch-files.js';
import { trackUpstream } from './track-upstream.js';

export interface SwitchRequest {
  readonly branch: string;
  /** Make the branch, from where the KB is now. */
  readonly create: boolean;
  /** What becomes of uncommitted work: it comes along, or stays behind, saved. */
  readonly uncommitted: 'bring' | 'save';
}

export interface SwitchResult {
  readonly result: 'switched' | 'created' | 'already_there';
  readonly branch: string;
  /** null: no branch was checked out. */
  readonly previous: string | null;
  readonly commit: Oid | null;
  /** Uncommitted files that came along. */
  readonly carried: readonly RepoPath[];
  /** Of these, files in which both the branch and the edits have something new. */
  readonly merged: readonly MergedFile[];
  /** The ref that holds what was left behind; null: nothing was. */
  readonly saved: RefName | null;
  /** How the files differ now. */
  readonly changes: readonly FileChange[];
  /** Commits of the branch left behind that are not on the remote; null: not known. */
  readonly unpushed: number | null;
  readonly waitedMs: number;
  readonly durationMs: number;
}

/**
 * Checks out another branch. A branch that only the remote has is fetched. Uncommitted work comes along, merged with
 * what the other branch has, or stays behind under a name; where neither can be, nothing is switched.
 * @throws KbError E_USAGE (no such branch, one of that name), E_CONFLICT (uncommitted work does not fit the branch:
 *   details.conflicts; nothing was changed), E_UNSAFE_STATE, E_NETWORK, E_AUTH, E_STORAGE, E_LOCK_TIMEOUT
 */
export async function switchBranch(kb: Kb, request: SwitchRequest): Promise<SwitchResult> {
  const { clock } = kb.surroundings;
  const start = clock.monotonic();
  const ref = requireBranchName(request.branch);
  const wanted = kb.settings.branch;
  if (wanted !== undefined && wanted !== request.branch && request.branch !== kb.settings.sessionBranch) {
    throw new KbError(
      'E_UNSAFE_STATE',
      `the settings ask for branch "${wanted}", so on another nothing could be done`,
      {
        hint: 'unset the branch setting first (see: kb config)',
      },
    );
  }
  return holdKb(kb, 'switch', async (hold) => {
    try {
      const done = await new Switching(kb, hold, ref, request).run();
      const durationMs = Math.round(clock.monotonic() - start);
      return { ...done, waitedMs: Math.round(hold.waitedMs), durationMs };
    } catch (error) {
      throw asStorageError(error, `switch to ${request.branch}`);
    }
  });
}

type Done = Omit<SwitchResult, 'waitedMs' | 'durationMs'>;

class Switching {
  private readonly identities: Identities;
  private readonly who: string;
  private readonly fence: () => void;

  constructor(
    private readonly kb: Kb,
    private readonly hold: Hold,
    private readonly ref: RefName,
    private readonly request: SwitchRequest,
  ) {
    const { env, clock } = kb.surroundings;
    const nowMs = clock.wall();
    this.identities = resolveIdentity({ settings: kb.settings, env, nowMs, offsetMinutes: clock.offsetMinutes(nowMs) });
    this.who = formatSignature(this.identities.committer);
    this.fence = () => hold.assertHeld();
  }

  async run(): Promise<Done> {
    const { kb, ref, request } = this;
    if (this.hold.isNested) {
      throw new KbError('E_UNSAFE_STATE', 'inside of a kb run the branch stays: what it changes is committed there', {
        hint: `switch before it: kb switch ${request.branch}`,
      });
    }
    mend(kb, this.hold, this.who);
    const index = GitIndex.read(kb.surroundings.disk, kb.gitDir);
    requireSafeState(kb, index);
    const head = kb.refs.head();
    const previous = head.branch === undefined ? null : shortName(head.branch);
    const nothing = { previous, carried: [], merged: [], saved: null, changes: [], unpushed: null };
    if (head.branch === ref) {
      if (request.create) throw alreadyThere(request.branch, 'is checked out');
      return { ...nothing, result: 'already_there', branch: request.branch, commit: head.oid ?? null };
    }
    requireNotElsewhere(kb, ref);
    const { commit, isNew } = await this.findBranch(head.oid);
    await bringFiles(kb, treeOf(kb, head.oid), treeOf(kb, commit));
    const renames = request.uncommitted === 'bring' ? await loadRenames(kb) : undefined;
    const plan = await withPromised(kb, () => this.plan(index, head.oid, commit, renames));
    const upstream = upstreamOf(kb, request.branch);
    await bringChangedLargeFiles(kb, diffTrees(kb.objects, plan.fromFiles, plan.toFiles), {
      tree: plan.toFiles,
      objects: kb.objects,
      index: () => index,
      from: () => (upstream === undefined ? undefined : lfsRemoteOf(kb, upstream, 'download')),
    });
    if (isNew && upstream !== undefined) trackUpstream(kb, request.branch, upstream);
    const createdFrom = request.create || upstream === undefined ? 'HEAD' : shortName(upstream.tracking);
    switchFiles(
      kb,
      {
        from: head.branch ?? (head.oid as Oid),
        fromCommit: head.oid ?? null,
        to: ref,
        toCommit: commit ?? null,
        createdFrom: isNew ? createdFrom : null,
        fromFiles: plan.fromFiles,
        toFiles: plan.toFiles,
        saved: request.uncommitted === 'save' ? null : plan.saved,
      },
      { who: this.who, fence: this.fence, index },
    );
    return {
      result: isNew && request.create ? 'created' : 'switched',
      branch: request.branch,
      previous,
      commit: commit ?? null,
      carried: plan.carried,
      merged: plan.merged,
      saved: request.uncommitted === 'save' ? plan.saved : null,
      changes: plan.changes,
      unpushed: previous === null ? null : this.unpushedOf(previous, head.oid),
    };
  }

  /**
   * The state of the files before and after, all of it in objects that are stored, and what is uncommitted under a
   * name. Nothing in files, index or branches has changed when this is done or has failed.
   */
  private plan(
    index: GitIndex,
    from: Oid | undefined,
    to: Oid | undefined,
    renames: CarryRenames | undefined,
  ): SwitchPlan {
    const { kb, request, identities, who, fence } = this;
    const base = treeOf(kb, from);
    const target = treeOf(kb, to);
    const message = `kb switch: uncommitted when going to ${request.branch}`;
    const snapshot = takeSnapshot(kb, { head: from, index, identities }, message);
    const fromFiles = snapshot === undefined ? base : readCommit(kb.objects, snapshot).tree;
    const edits = diffTrees(kb.objects, base, fromFiles);
    const staged = new StagedObjects(kb.objects);
    const isBrought = request.uncommitted === 'bring';
    const applied = isBrought
      ? applyChanges(
          staged,
          target,
          edits,
          { policy: 'fail', mark: '' },
          mergeByAttributes(kb, mergeByLines),
          renames && { carry: renames, base, local: fromFiles },
        )
      : undefined;
    if (applied !== undefined && applied.conflicts.length > 0) throw doesNotFit(request.branch, applied.conflicts);
    const toFiles = applied?.tree ?? target;
    const changes = diffTrees(staged, fromFiles, toFiles);
    requireNothingInTheWay(kb, changes, index);
    staged.persist();
    let saved: RefName | null = null;
    if (snapshot !== undefined) {
      const moment = new Date(kb.surroundings.clock.wall()).toISOString().replace(/[:.]/g, '-');
      saved = asRefName(`refs/kb/stash/${moment}-${this.hold.id.slice(0, 8)}`);
      kb.refs.update({ name: saved, to: snapshot, expected: null, message: 'kb switch: saved', who, fence });
    }
    const carried = isBrought ? edits.map(({ path }) => path) : [];
    return {
      fromFiles,
      toFiles,
      saved,
      carried,
      merged: applied?.merged ?? [],
      changes: describeChanges(changes),
    };
  }

  /** Where the branch is: here, else on the remote, else where the KB is now. */
  private async findBranch(here: Oid | undefined): Promise<{ commit: Oid | undefined; isNew: boolean }> {
    const { kb, ref, request } = this;
    const { branch: name, create } = request;
    const local = kb.refs.resolve(ref);
    if (local !== undefined && create) throw alreadyThere(name, 'exists');
    if (local !== undefined) return { commit: local, isNew: false };
    const upstream = upstreamOf(kb, name);
    const remote = upstream === undefined ? undefined : await this.askRemote(upstream);
    if (remote !== undefined && create) throw alreadyThere(name, 'exists on the remote');
    if (remote !== undefined) return { commit: remote, isNew: true };
    if (create) return { commit: here, isNew: true };
    const where = upstream === undefined ? 'here' : 'here or on the remote';
    throw new KbError('E_USAGE', `there is no branch "${printable(name)}" ${where}`, {
      hint: `make it with: kb switch --create ${name}; see what there is: kb branch`,
    });
  }

  /** One request, and one more to fetch what is new. Where the remote cannot be reached, what was last seen must do. */
  private async askRemote(upstream: Upstream): Promise<Oid | undefined> {
    const { kb, who, fence, request } = this;
    if (!kb.settings.gitEnabled) return kb.refs.resolve(upstream.tracking);
    const exchange = await Exchange.open(kb, upstream, { operation: 'switch', mayPull: true, who, fence });
    try {
      return (await exchange.look({ commit: undefined, push: false })).tip;
    } catch (error) {
      const seen = kb.refs.resolve(upstream.tracking);
      if (!isKbError(error, 'E_NETWORK') || (seen === undefined && !request.create)) throw error;
      const instead = seen === undefined ? 'made here' : 'taken as it was last seen';
      kb.surroundings.report({ kind: 'warning', text: `${error.message}; the branch is ${instead}` });
      return seen;
    } finally {
      await exchange.close();
    }
  }

  private unpushedOf(branch: string, commit: Oid | undefined): number | null {
    const upstream = upstreamOf(this.kb, branch);
    const tracking = upstream === undefined ? undefined : this.kb.refs.resolve(upstream.tracking);
    return compareWithTracking(this.kb, tracking, commit)?.ahead ?? null;
  }
}

interface SwitchPlan {
  readonly fromFiles: Oid;
  readonly toFiles: Oid;
  readonly saved: RefName | null;
  readonly carried: readonly RepoPath[];
  readonly merged: readonly MergedFile[];
  readonly changes: readonly FileChange[];
}

function alreadyThere(name: string, how: string): KbError {
  return new KbError('E_USAGE', `branch "${printable(name)}" ${how} already`, { hint: `kb switch ${name}` });
}

function doesNotFit(branch: string, conflicts: readonly Conflict[]): KbError {
  const named = conflicts.slice(0, 3).map(({ path }) => path);
  const more = conflicts.length > 3 ? ` and ${conflicts.length - 3} more` : '';
  return new KbError(
    'E_CONFLICT',
    `uncommitted work does not fit branch "${branch}": ${named.join(', ')}${more}; nothing was switched`,
    {
      hint: `commit it here first (kb sync), or leave it behind, saved: kb switch --save ${branch}`,
      details: { conflicts },
    },
  );
}
