import { isKbError, KbError } from '../errors.js';
import { shortName, type Oid } from '../git/ids.js';
import { commitsSince } from '../git/objects/history.js';
import { diffTrees } from '../git/objects/tree-diff.js';
import { findEntry } from '../git/objects/tree.js';
import type { RepoPath } from '../git/paths.js';
import { printable } from '../printable.js';
import { treeOf } from './advance.js';
import { describeChanges, type FileChange } from './changes.js';
import { describeCommit, timeOf, type CommitFacts } from './commit-facts.js';
import { FileHistory, type HistoryItem } from './file-history.js';
import { MoreHistory } from './more-history.js';
import { pathForms } from './note-path.js';
import type { Kb } from './open.js';
import { lastSeenTip, upstreamOf } from './upstream.js';

export interface LogRequest {
  /** A file or a folder, from the root of the KB; undefined: all of it. */
  readonly path?: string;
  /** Most commits that are told. */
  readonly limit: number;
  /** With the files that each commit changed. */
  readonly files?: boolean;
  /** Ask the remote where a shallow KB lacks history. Default true. */
  readonly fetch?: boolean;
}

export interface LoggedCommit extends CommitFacts {
  readonly parents: readonly Oid[];
  readonly email: string;
  /** RFC 3339; null: the commit's time is none that a calendar has. */
  readonly authoredAt: string | null;
  /** The whole message. */
  readonly message: string;
  /** It is on the remote, as last seen there; null: this KB has no remote, or no branch is checked out. */
  readonly landed: boolean | null;
  /** What the file was called after this commit; null: all of the KB was asked for. */
  readonly path: RepoPath | null;
  /** What it was called before. */
  readonly from?: RepoPath;
  readonly changes?: readonly FileChange[];
}

export interface LogResult {
  /** null: none is checked out. */
  readonly branch: string | null;
  readonly path: RepoPath | null;
  /** Newest first. */
  readonly commits: readonly LoggedCommit[];
  /** There are older ones, or may be: more than were asked for, or history that is not here. */
  readonly more: boolean;
}

/**
 * The commits of the checked-out branch, or those that changed one file or folder. Takes no lock. The remote is asked
 * only where a shallow KB ends before there are as many as were asked for; where that fails, what is here is told.
 * @throws KbError E_USAGE: there never was such a file
 */
export async function readLog(kb: Kb, request: LogRequest): Promise<LogResult> {
  const head = kb.refs.head();
  const path = request.path === undefined ? null : pathIn(kb, head.oid, request.path);
  const read = (): { items: HistoryItem[]; isCut: boolean } => {
    if (head.oid === undefined) return { items: [], isCut: false };
    const history = new FileHistory(kb, head.oid, path, kb.shallow());
    const items: HistoryItem[] = [];
    for (const item of history.items()) {
      items.push(item);
      if (items.length > request.limit) break;
    }
    return { items, isCut: history.isCut };
  };
  let found = read();
  const isEnough = (): boolean => found.items.length >= request.limit || !found.isCut;
  if (!isEnough() && request.fetch !== false) {
    const bringing = await bringMore(kb, request.limit, () => ((found = read()), isEnough()));
    if (bringing !== undefined) kb.surroundings.report({ kind: 'warning', text: bringing });
  }
  const { items, isCut } = found;
  if (items.length === 0 && !isCut && path !== null && !isHere(kb, head.oid, path)) {
    throw new KbError('E_USAGE', `there is no file ${printable(path)}, and there never was one on this branch`, {
      hint: "give its path from the KB's root",
    });
  }
  const unlanded = unlandedOf(kb);
  return {
    branch: head.branch === undefined ? null : shortName(head.branch),
    path,
    commits: items.slice(0, request.limit).map((item) => describe(kb, item, unlanded, request.files === true)),
    more: items.length > request.limit || isCut,
  };
}

/** The form of the name that the last commit has; else the one that was typed, for a file that is gone. */
function pathIn(kb: Kb, head: Oid | undefined, text: string): RepoPath {
  const forms = pathForms(text.replace(/\/+$/, ''));
  const tree = treeOf(kb, head);
  const typed = forms[0] as RepoPath;
  return forms.find((form) => findEntry(kb.objects, tree, form) !== undefined) ?? typed;
}

function isHere(kb: Kb, head: Oid | undefined, path: RepoPath): boolean {
  return findEntry(kb.objects, treeOf(kb, head), path) !== undefined || kb.worktree.lstat(path) !== undefined;
}

/** @returns what kept it from being fetched; undefined: nothing did */
async function bringMore(kb: Kb, limit: number, isEnough: () => boolean): Promise<string | undefined> {
  const tip = lastSeenTip(kb) ?? kb.refs.head().oid;
  if (tip === undefined) return undefined;
  const more = new MoreHistory(kb, 'to show it', [Math.min(1024, Math.max(16, limit)), 256, 1024]);
  try {
    await more.bring(tip, isEnough);
    return undefined;
  } catch (error) {
    if (!isKbError(error, 'E_NETWORK') && !isKbError(error, 'E_AUTH')) throw error;
    return `older history is not here: ${error.message}`;
  } finally {
    await more.close();
  }
}

/** The commits here that the remote's branch lacks, as last seen; undefined: there is none to compare with. */
function unlandedOf(kb: Kb): ReadonlySet<Oid> | undefined {
  const { branch, oid } = kb.refs.head();
  const upstream = branch === undefined ? undefined : upstreamOf(kb, shortName(branch));
  if (upstream === undefined || oid === undefined) return undefined;
  const { commits } = commitsSince(kb.objects, kb.refs.resolve(upstream.tracking), oid, kb.shallow());
  return new Set(commits);
}

function describe(
  kb: Kb,
  { oid, commit, path, from }: HistoryItem,
  unlanded: ReadonlySet<Oid> | undefined,
  withFiles: boolean,
): LoggedCommit {
  const { author, parents, message } = commit;
  return {
    ...describeCommit(oid, commit),
    parents,
    email: author.email,
    authoredAt: timeOf(author),
    message,
    landed: unlanded === undefined ? null : !unlanded.has(oid),
    path,
    ...(from === undefined ? {} : { from }),
    ...(withFiles ? { changes: changesOf(kb, oid, commit) } : {}),
  };
}

/** Against the first parent; at the end of a shallow history there is nothing to compare with. */
function changesOf(kb: Kb, oid: Oid, { tree, parents: [parent] }: HistoryItem['commit']): FileChange[] {
  if (parent !== undefined && kb.shallow().has(oid)) return [];
  return describeChanges(diffTrees(kb.objects, treeOf(kb, parent), tree));
}
