import { KbError } from '../errors.js';
import { EMPTY_TREE, type Oid } from '../git/ids.js';
import { readCommit, serializeCommit, type Commit, type Signature } from '../git/objects/commit.js';
import { commitsSince, isAncestor, meetingOf } from '../git/objects/history.js';
import type { ObjectSource } from '../git/objects/object.js';
import type { StagedObjects } from '../git/objects/staged.js';
import { diffTrees } from '../git/objects/tree-diff.js';
import type { RepoPath } from '../git/paths.js';
import { applyChanges, type Conflict, type ConflictRules, type MergedFile, type Settled } from './apply-changes.js';
import { loadMerge, type MergeContents } from './merge-contents.js';

export interface IntegrateRequest {
  readonly staged: StagedObjects;
  readonly shallow: ReadonlySet<Oid>;
  /**
   * Brings in history until there is enough, or no more to be had; gives what is shallow then. Without it, histories
   * that do not meet here are an error.
   */
  readonly deepen?: (isEnough: (shallow: ReadonlySet<Oid>) => boolean) => Promise<ReadonlySet<Oid>>;
  /** The local branch, with uncommitted edits as a commit on top where the cycle takes them along. */
  readonly local: Oid | undefined;
  /** The remote branch as just fetched. */
  readonly remote: Oid | undefined;
  /** The remote branch as last seen before that. */
  readonly tracking: Oid | undefined;
  readonly committer: Signature;
  /** The bytes of a new commit, with a signature if there is to be one. Default: without. */
  readonly seal?: (commit: Commit) => Buffer;
  /** How two versions of a file become one. Default: with every rule for notes. */
  readonly merge?: MergeContents;
  /** Default: a conflict stops everything. */
  readonly conflicts?: ConflictRules;
  /**
   * Whether the edit of a local commit is in the remote branch under another id.
   * @param theirs the remote's commits that the local branch does not have, oldest first
   */
  readonly hasLanded?: (commit: Oid, theirs: readonly Oid[]) => boolean;
  /** Told of each local commit that goes on under another id. */
  readonly onReplayed?: (commit: Oid, as: Oid) => void;
  /** Makes the edit of a local commit again upon the tip, where its text can't simply be merged; undefined: unknown. */
  readonly remake?: (commit: Oid, tip: { commit: Oid; tree: Oid; staged: StagedObjects }) => Promise<Oid | undefined>;
}

const STOP: ConflictRules = { policy: 'fail', mark: '' };

export interface Integrated {
  /** What the branch should be next; undefined while neither side has a commit. */
  readonly tip: Oid | undefined;
  /** Commits of the remote that were not in the local branch. */
  readonly pulled: number;
  /** Files that both sides changed and that were merged by content. */
  readonly merged: readonly MergedFile[];
  /** Conflicts that the policy settled. */
  readonly settled: readonly Settled[];
  /** The remote branch no longer holds what it held when last seen: its history was rewritten there. */
  readonly rewritten: boolean;
}

/**
 * Brings local commits and the remote branch together without touching anything on disk: fast-forward
 * where one side has nothing of its own, else local commits replayed onto the remote's tip, or one merge
 * commit where the local history itself holds merges.
 * @throws KbError E_CONFLICT with details.conflicts; nothing was changed
 */
export async function integrate(request: IntegrateRequest): Promise<Integrated> {
  const { staged, shallow, local, remote, tracking } = request;
  const nothing = { pulled: 0, merged: [], settled: [], rewritten: false };
  if (remote === undefined || local === remote) return { ...nothing, tip: local ?? remote };
  if (local === undefined)
    return { ...nothing, tip: remote, pulled: commitsSince(staged, undefined, remote, shallow).commits.length };

  const { bases, shallow: known, isDropped } = await findBases({ ...request, local, remote });
  const within = { ...request, shallow: known };
  const pulled = bases.includes(remote) ? 0 : commitsSince(staged, bases[0], remote, known).commits.length;
  if (bases.includes(local) && !isDropped) return { ...nothing, tip: remote, pulled };

  // Where the remote was rewritten, the commits that it dropped are not ours to bring back: only what
  // came after the last state seen there is local work.
  const knowsTracking = tracking !== undefined && isAncestor(staged, tracking, local, known);
  const rewritten = knowsTracking && !isAncestor(staged, tracking, remote, known);
  if (bases.includes(remote) && !rewritten) return { ...nothing, tip: local };
  const fork = rewritten ? tracking : bases[0];
  if (fork === local) return { ...nothing, tip: remote, pulled, rewritten };
  const own = commitsSince(staged, fork, local, known);
  const done = own.hasMerges
    ? await mergeOnto(within, local, remote, bases[0])
    : await replayOnto(within, own.commits, remote, bases[0]);
  return { ...done, pulled, rewritten };
}

/**
 * Where local and remote history meet.
 *
 * Invariant: bases are only given when the whole history would give the same ones. Where it ends too early, and ends
 * are all there is, a replay would take all files of the oldest commit for a local edit, and bring back what others
 * have deleted. (Broken by: test/integration/deepening.test.ts)
 * @throws KbError E_UNSAFE_STATE when it cannot be found out
 */
async function findBases(
  request: IntegrateRequest & { readonly local: Oid; readonly remote: Oid },
): Promise<{ bases: readonly Oid[]; shallow: ReadonlySet<Oid>; isDropped: boolean }> {
  const { staged, local, remote, tracking } = request;
  let { shallow } = request;
  let meeting = meetingOf(staged, local, remote, shallow);
  if (meeting.openEnds.length > 0 && request.deepen !== undefined) {
    const isEnough = (now: ReadonlySet<Oid>): boolean =>
      (meeting = meetingOf(staged, local, remote, now)).openEnds.length === 0;
    shallow = await request.deepen(isEnough);
    meeting = meetingOf(staged, local, remote, shallow);
  }
  if (meeting.openEnds.length === 0) return { bases: meeting.bases, shallow, isDropped: false };
  // The remote dropped what it held, and has it no more: what came here after it was last seen is local work all the
  // same, and that state is what both sides come from.
  const isRemoteWhole = meeting.openEnds.every(({ of }) => of === 'a');
  if (request.deepen !== undefined && isRemoteWhole && tracking !== undefined) {
    const isDropped = !isAncestor(staged, tracking, remote, shallow);
    if (isDropped && isAncestor(staged, tracking, local, shallow)) return { bases: [tracking], shallow, isDropped };
  }
  const ends = meeting.openEnds.map(({ commit }) => commit);
  throw new KbError(
    'E_UNSAFE_STATE',
    `where local and remote history meet cannot be told: history ends at ${ends[0]?.slice(0, 10) ?? ''} here, and the remote has no more of it`,
    {
      hint: 'save local work elsewhere, and clone anew with: kb clone --depth full',
      details: { ends: ends.slice(0, 100) },
    },
  );
}

async function replayOnto(
  request: IntegrateRequest,
  commits: readonly Oid[],
  onto: Oid,
  base: Oid | undefined,
): Promise<Pick<Integrated, 'tip' | 'merged' | 'settled'>> {
  const { staged, seal = serializeCommit } = request;
  const merge = request.merge ?? (await loadMerge());
  const merged = new MergedFiles();
  const settled: Settled[] = [];
  let tip = onto;
  let tree = readCommit(staged, onto).tree;
  const theirs = commitsSince(staged, base, onto, request.shallow).commits;
  const samePatch = new SamePatch(staged, request.shallow, theirs);
  for (const oid of commits) {
    if (request.hasLanded?.(oid, theirs) === true || samePatch.has(oid)) continue;
    const commit = readCommit(staged, oid);
    const before = parentTree(staged, commit, request.shallow.has(oid));
    const applied = applyChanges(
      staged,
      tree,
      diffTrees(staged, before, commit.tree),
      request.conflicts ?? STOP,
      merge,
    );
    // A note that is known is made again rather than put together by a rule: an append stays an append.
    const isByLines = applied.merged.every(({ rules }) => rules.length === 0);
    const isPlain = applied.conflicts.length + applied.settled.length === 0 && applied.tree !== tree && isByLines;
    const remade = isPlain ? undefined : await request.remake?.(oid, { commit: tip, tree, staged });
    if (remade !== undefined) {
      tip = remade;
      tree = readCommit(staged, tip).tree;
      continue;
    }
    if (applied.conflicts.length > 0) throw conflictError(applied.conflicts, onto, oid);
    merged.add(applied.merged);
    settled.push(...applied.settled);
    if (applied.tree === tree) continue; // the remote has this change already: an empty commit tells nobody anything
    tree = applied.tree;
    tip = staged.add(
      'commit',
      seal({ ...withoutSignature(commit), tree, parents: [tip], committer: request.committer }),
    );
    request.onReplayed?.(oid, tip);
  }
  return { tip, merged: merged.all, settled };
}

/** What several commits came to: each file once, with every rule that was used on it. */
class MergedFiles {
  private readonly rules = new Map<RepoPath, Set<string>>();

  add(files: readonly MergedFile[]): void {
    for (const { path, rules } of files) {
      const known = this.rules.get(path) ?? new Set();
      for (const rule of rules) known.add(rule);
      this.rules.set(path, known);
    }
  }

  get all(): MergedFile[] {
    return [...this.rules].map(([path, rules]) => ({ path, rules: [...rules] }));
  }
}

/**
 * Finds local commits that the remote has already under other ids: replayed by a process that was killed before the
 * branch followed. As `git rebase` does; told by author, message and the very blobs that changed, so that no two edits
 * are ever taken for one. Without it the first of two edits of one line meets the second one as a conflict.
 */
class SamePatch {
  private readonly commits = new Map<string, Oid[]>();

  constructor(
    private readonly source: StagedObjects,
    private readonly shallow: ReadonlySet<Oid>,
    commits: readonly Oid[],
  ) {
    for (const oid of commits) {
      const key = this.keyOf(oid);
      this.commits.set(key, [...(this.commits.get(key) ?? []), oid]);
    }
  }

  has(oid: Oid): boolean {
    const others = this.commits.get(this.keyOf(oid)) ?? [];
    if (others.length === 0) return false;
    const patch = this.patchOf(oid);
    return others.some((other) => this.patchOf(other) === patch);
  }

  private keyOf(oid: Oid): string {
    const { author, message } = readCommit(this.source, oid);
    return JSON.stringify([author.name, author.email, author.timestamp, author.timezone, message]);
  }

  private patchOf(oid: Oid): string {
    const commit = readCommit(this.source, oid);
    const before = parentTree(this.source, commit, this.shallow.has(oid));
    return JSON.stringify(diffTrees(this.source, before, commit.tree));
  }
}

async function mergeOnto(
  request: IntegrateRequest,
  local: Oid,
  remote: Oid,
  base: Oid | undefined,
): Promise<Pick<Integrated, 'tip' | 'merged' | 'settled'>> {
  const { staged, committer } = request;
  const baseTree = base === undefined ? EMPTY_TREE : readCommit(staged, base).tree;
  const changes = diffTrees(staged, baseTree, readCommit(staged, local).tree);
  const applied = applyChanges(
    staged,
    readCommit(staged, remote).tree,
    changes,
    request.conflicts ?? STOP,
    request.merge ?? (await loadMerge()),
  );
  if (applied.conflicts.length > 0) throw conflictError(applied.conflicts, remote, local);
  const message = 'Merge the remote branch into local work\n';
  const commit: Commit = { tree: applied.tree, parents: [local, remote], author: committer, committer, message };
  return {
    tip: staged.add('commit', (request.seal ?? serializeCommit)(commit)),
    merged: applied.merged,
    settled: applied.settled,
  };
}

function parentTree(source: ObjectSource, commit: Commit, isShallow: boolean): Oid {
  const parent = commit.parents[0];
  return parent === undefined || isShallow ? EMPTY_TREE : readCommit(source, parent).tree;
}

/** A signature covers the old parent; on a replayed commit it would be a false one. */
function withoutSignature(commit: Commit): Commit {
  const extraHeaders = (commit.extraHeaders ?? []).filter(
    (header) => !/^(gpgsig|gpgsig-sha256|mergetag) /.test(header),
  );
  return { ...commit, extraHeaders };
}

function conflictError(conflicts: readonly Conflict[], remote: Oid, local: Oid): KbError {
  const names = conflicts.slice(0, 3).map((conflict) => conflict.path);
  const more = conflicts.length > 3 ? ` and ${conflicts.length - 3} more` : '';
  return new KbError(
    'E_CONFLICT',
    `local and remote edits overlap in ${names.join(', ')}${more}; nothing was changed`,
    {
      hint: `keep both with: kb sync --on-conflict copy; or bring the file to the state you want (theirs is in commit ${remote.slice(0, 10)}), then: kb sync --on-conflict ours`,
      details: { conflicts, remote, local },
    },
  );
}
