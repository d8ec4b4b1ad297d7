import { KbError } from '../errors.js';
import { EMPTY_TREE, type Oid } from '../git/ids.js';
import { readCommit, serializeCommit, type Commit, type Signature } from '../git/objects/commit.js';
import { commitsSince, isAncestor, meetingOf } from '../git/objects/history.js';
import type { ObjectSource } from '../git/objects/object.js';
import type { StagedObjects } from '../git/objects/staged.js';
import { diffTrees } from '../git/objects/tree-diff.js';
import { applyChanges, type Conflict, type ConflictRules, type MergedFile, type Settled } from './apply-changes.js';
import type { Sides } from './conflicts/record.js';
import type { AttributedMerge } from './merge-attribute.js';
import { loadMerge, mergeByLines, type MergeContents } from './merge-contents.js';
import { MergedFiles } from './merged-files.js';
import type { CarryRenames } from './renames/carry.js';
import { virtualBase } from './virtual-base.js';

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
  /** The KB whose attributes say how files are merged, and whose settings how renames are followed. Default: neither. */
  readonly kb?: AttributedMerge;
  /** How files are followed to new names. Default: as the KB's settings say. */
  readonly renames?: CarryRenames | undefined;
  /**
   * Default: a conflict stops everything. With `decide`, local commits of which one cannot be replayed are merged as a
   * whole, so that what has to be decided is the last version of each file and not one version a commit.
   */
  readonly conflicts?: ConflictRules;
  /**
   * Whether the edit of a local commit is in the remote branch under another id.
   * @param theirs the remote's commits that the local branch does not have, oldest first
   */
  readonly hasLanded?: (commit: Oid, theirs: readonly Oid[]) => boolean;
  /** Told of each local commit that goes on under another id. */
  readonly onReplayed?: (commit: Oid, as: Oid) => void;
  /** Told when that was in vain: the local commits go on as they are. */
  readonly onReplayGivenUp?: () => void;
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
  /** The local commits are in the tip's history as they were. */
  readonly keepsLocal: boolean;
}

/** Local and remote work that a person has to bring together. Nothing was changed. */
export class Unmerged extends KbError {
  constructor(
    readonly versions: readonly Sides[],
    readonly conflicts: readonly Conflict[],
    sides: { readonly remote: Oid; readonly local: Oid },
    where = '',
  ) {
    const names = conflicts.slice(0, 3).map((conflict) => conflict.path);
    const shown = conflicts
      .slice(0, 3)
      .map(({ path, remotePath }) => (remotePath === undefined ? path : `${path} (others call it ${remotePath})`));
    const more = conflicts.length > 3 ? ` and ${conflicts.length - 3} more` : '';
    const [first = 'PATH'] = names;
    super('E_CONFLICT', `local and remote edits overlap in ${shown.join(', ')}${more}${where}; nothing was changed`, {
      hint: `see both versions: kb conflicts; decide with: kb resolve ${wordOf(first)} --ours|--theirs|--both|--edit; or keep both: kb sync --on-conflict copy`,
      details: { conflicts, ...sides },
    });
  }
}

/** As a shell takes it for one word. */
function wordOf(path: string): string {
  return /^[\w./@:+,-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

/**
 * Brings local commits and the remote branch together without touching anything on disk: fast-forward
 * where one side has nothing of its own, else local commits replayed onto the remote's tip, or one merge
 * commit where the local history itself holds merges.
 * @throws KbError E_CONFLICT with details.conflicts; nothing was changed
 */
export async function integrate(request: IntegrateRequest): Promise<Integrated> {
  const { staged, shallow, local, remote, tracking } = request;
  const nothing = { pulled: 0, merged: [], settled: [], rewritten: false, keepsLocal: true };
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
  const sides = { local, remote, base: bases[0] };
  const done = !own.hasMerges
    ? await replayOrMerge(within, { ...sides, fork, own: own.commits, rewritten })
    : rewritten
      ? await mergeOnto(within, { ...sides, base: fork }, DROPS_HISTORY)
      : await mergeOnto(within, { ...sides, base: await oneBase(within, bases) });
  return { ...done, pulled, rewritten };
}

/** Local merge commits lead to what the remote has dropped: what came after it goes upon the remote's alone. */
const DROPS_HISTORY = { isAlone: true } as const;

/** The histories may have met more than once, where each side had merged the other. */
async function oneBase(request: IntegrateRequest, bases: readonly Oid[]): Promise<Oid | undefined> {
  if (bases.length < 2) return bases[0];
  const { staged, committer } = request;
  const { merge, renames } = await mergingOf(request);
  const meet = async (a: Oid, b: Oid): Promise<readonly Oid[]> =>
    (await findBases({ ...request, local: a, remote: b, tracking: undefined })).bases;
  return virtualBase({ staged, committer, merge, meet, renames }, bases);
}

/** The merge engine, and what follows renames. */
async function mergingOf(
  request: IntegrateRequest,
): Promise<{ readonly merge: MergeContents; readonly renames: CarryRenames | undefined }> {
  const merge = request.merge ?? (await loadMerge(request.kb));
  if (request.renames !== undefined || request.kb === undefined) return { merge, renames: request.renames };
  const { loadRenames } = await import('./renames/load.js');
  return { merge, renames: await loadRenames(request.kb) };
}

type Done = Pick<Integrated, 'tip' | 'merged' | 'settled' | 'keepsLocal'>;

interface MergeSides {
  readonly local: Oid;
  readonly remote: Oid;
  readonly base: Oid | undefined;
}

/**
 * Local commits go onto the remote's tip one by one. Where one of them cannot, and somebody may decide, all of them go
 * on as they are, in one merge commit: both versions of what was decided stay in the branch's history.
 */
async function replayOrMerge(
  request: IntegrateRequest,
  sides: MergeSides & { readonly fork: Oid | undefined; readonly own: readonly Oid[]; readonly rewritten: boolean },
): Promise<Done> {
  const { local, remote, base, fork, own, rewritten } = sides;
  try {
    return { ...(await replayOnto(request, own, remote, base)), keepsLocal: false };
  } catch (error) {
    if (!(error instanceof Unmerged) || request.conflicts?.decide === undefined) throw error;
    request.onReplayGivenUp?.();
    const at = own.indexOf(error.details['local'] as Oid);
    const where = own.length > 1 ? commitName(request.staged, own[at], at + 1, own.length) : '';
    const theirs = commitsSince(request.staged, base, remote, request.shallow).commits;
    const tree = treeNotLanded(request, own, fork, theirs);
    // What the remote has dropped from its history is not brought back.
    return mergeOnto(request, { local, remote, base: fork }, { where, tree, isAlone: rewritten });
  }
}

/** `, met in the 3rd of 120 local commits …`: of many commits a person must know which. */
function commitName(source: ObjectSource, oid: Oid | undefined, number: number, count: number): string {
  if (oid === undefined) return '';
  const [title = ''] = readCommit(source, oid).message.split('\n');
  return ` (first in local commit ${number} of ${count}, ${oid.slice(0, 10)} ${JSON.stringify(title.slice(0, 60))})`;
}

/** The local tree without the edits that are on the remote under other ids: merged again, they would be there twice. */
function treeNotLanded(
  { staged, shallow, hasLanded }: IntegrateRequest,
  own: readonly Oid[],
  fork: Oid | undefined,
  theirs: readonly Oid[],
): Oid | undefined {
  if (hasLanded === undefined || !own.some((oid) => hasLanded(oid, theirs))) return undefined;
  let tree = fork === undefined ? EMPTY_TREE : readCommit(staged, fork).tree;
  for (const oid of own) {
    if (hasLanded(oid, theirs)) continue;
    const commit = readCommit(staged, oid);
    const changes = diffTrees(staged, parentTree(staged, commit, shallow.has(oid)), commit.tree);
    const applied = applyChanges(staged, tree, changes, STOP, mergeByLines);
    if (applied.conflicts.length > 0) return undefined; // built upon what has landed: it cannot be taken out
    tree = applied.tree;
  }
  return tree;
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
): Promise<Omit<Done, 'keepsLocal'>> {
  const { staged, seal = serializeCommit } = request;
  const { merge, renames } = await mergingOf(request);
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
      // what is decided is decided about the last version of a file
      { ...(request.conflicts ?? STOP), decide: () => undefined },
      merge,
      renames && { carry: renames, base: before, local: commit.tree },
    );
    // A note that is known is made again rather than put together by a rule: an append stays an append.
    const isByLines = applied.merged.every(({ rules }) => rules.length === 0);
    const isPlain = applied.conflicts.length + applied.settled.length === 0 && applied.tree !== tree && isByLines;
    // Made again, it would not know the name that its file has now.
    const isRenamed = applied.merged.some(({ from }) => from !== undefined);
    const remade = isPlain || isRenamed ? undefined : await request.remake?.(oid, { commit: tip, tree, staged });
    if (remade !== undefined) {
      tip = remade;
      tree = readCommit(staged, tip).tree;
      continue;
    }
    if (applied.conflicts.length > 0) {
      const where = commits.length > 1 ? commitName(staged, oid, commits.indexOf(oid) + 1, commits.length) : '';
      throw new Unmerged(applied.versions, applied.conflicts, { remote: onto, local: oid }, where);
    }
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

/**
 * @param how where a replay had to stop; the tree that stands for the local side; and whether the local commits are to
 *   stay out of the branch's history
 */
async function mergeOnto(
  request: IntegrateRequest,
  { local, remote, base }: MergeSides,
  how: { readonly where?: string; readonly tree?: Oid | undefined; readonly isAlone?: boolean } = {},
): Promise<Done> {
  const { staged, committer } = request;
  const baseTree = base === undefined ? EMPTY_TREE : readCommit(staged, base).tree;
  const localTree = how.tree ?? readCommit(staged, local).tree;
  const changes = diffTrees(staged, baseTree, localTree);
  const { merge, renames } = await mergingOf(request);
  const applied = applyChanges(
    staged,
    readCommit(staged, remote).tree,
    changes,
    request.conflicts ?? STOP,
    merge,
    renames && { carry: renames, base: baseTree, local: localTree },
  );
  if (applied.conflicts.length > 0)
    throw new Unmerged(applied.versions, applied.conflicts, { remote, local }, how.where);
  const parents = how.isAlone === true ? [remote] : [local, remote];
  const decided = applied.settled.map(({ path, kept }) => `${path}: ${kept}\n`);
  const message = `Merge the remote branch into local work\n${decided.length === 0 ? '' : `\nConflicts:\n${decided.join('')}`}`;
  const commit: Commit = { tree: applied.tree, parents, author: committer, committer, message };
  const tip = staged.add('commit', (request.seal ?? serializeCommit)(commit));
  return { tip, merged: applied.merged, settled: applied.settled, keepsLocal: parents.length > 1 };
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
