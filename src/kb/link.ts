import { KbError } from '../errors.js';
import type { Oid } from '../git/ids.js';
import { readCommit } from '../git/objects/commit.js';
import { commitsSince, isAncestor } from '../git/objects/history.js';
import { findEntry, TREE_MODE, type TreeEntry } from '../git/objects/tree.js';
import type { RepoPath } from '../git/paths.js';
import { GITLINK } from '../git/worktree/modes.js';
import { printable } from '../printable.js';
import { treeOf } from './advance.js';
import type { DeepeningSteps } from './deepen.js';
import { MoreHistory } from './more-history.js';
import { pathForms } from './note-path.js';
import { findHeadings, parseHeadingQuery, splitLines } from './notes/heading.js';
import { optional, type Kb } from './open.js';
import { checkedOutUpstream } from './upstream.js';
import { pinOf } from './pinned.js';
import { permalink, type LineRange } from './permalink.js';

export interface LinkRequest {
  /** From the root of the KB. */
  readonly path: string;
  readonly lines?: LineRange;
  /** Links to the line of this heading, `## Log` or `Log`. */
  readonly heading?: string;
  /** Of a file that is gone, looks through all of the history that a shallow KB lacks. Default: the newest 1,360 commits. */
  readonly deep?: boolean;
}

export interface LinkResult {
  readonly url: string;
  readonly path: RepoPath;
  /** The commit that the link shows. */
  readonly commit: Oid;
  readonly lines: LineRange | null;
  /** The file as it is here differs from what the link shows. */
  readonly changed: boolean;
}

/**
 * Each request of a search for a file that is gone brings four times as many commits. It ends before all of a long
 * history: a mistyped path must not fetch a gigabyte.
 */
const SEARCH_STEPS: DeepeningSteps = [16, 64, 256, 1024];

/**
 * A link to a file as it is in the newest commit on the remote, as far as it is known here, that has it. Takes no lock.
 * The remote is asked only where a shallow KB lacks the history that the answer is in: of a file that is gone, and of a
 * checkout of a commit that no branch is known to lead to.
 * @throws KbError E_USAGE (no such file, line or heading; nobody knows the host's pages), E_UNSAFE_STATE (the file is
 *   here, but in no commit on the remote); E_NETWORK, E_AUTH, E_STORAGE where more history is needed
 */
export async function findLink(kb: Kb, request: LinkRequest): Promise<LinkResult> {
  const why = `to look for ${printable(request.path)}`;
  const more = new MoreHistory(kb, why, request.deep === true ? ['full'] : SEARCH_STEPS);
  try {
    return await linkOf(kb, request, more);
  } finally {
    await more.close();
  }
}

async function linkOf(kb: Kb, request: LinkRequest, more: MoreHistory): Promise<LinkResult> {
  const { tip, url: remoteUrl } = await landedTip(kb, more);
  const found = await findLanded(kb, tip, request.path, more);
  if (found === undefined) throw notLanded(kb, request.path, more.isLeft);
  const { path, commit, entry } = found;
  if (entry.mode === TREE_MODE || entry.mode === GITLINK)
    throw new KbError('E_USAGE', `${printable(path)} is a folder`, { hint: 'name a file in it' });
  const lines = await linesOf(kb, request, found);
  const form = kb.settings.permalink;
  const url = permalink(remoteUrl, commit, path, { form, lines });
  if (url === null)
    throw unknownPages(kb, remoteUrl, lines !== undefined && permalink(remoteUrl, commit, path, { form }));
  const changed = !isAsOnDisk(kb, path, entry);
  if (changed) {
    const text = `${printable(path)} is not here as the link shows it: ${commit === tip ? 'it has local edits, or others wrote to it' : 'it was removed since'}`;
    kb.surroundings.report({ kind: 'warning', text });
  }
  return { url, path, commit, lines: lines ?? null, changed };
}

/** Where the remote branch was when last seen; of a checkout without a branch, its commit if the remote is known to have it. */
async function landedTip(kb: Kb, more: MoreHistory): Promise<{ tip: Oid; url: string }> {
  const head = kb.refs.head();
  const upstream = checkedOutUpstream(kb);
  if (upstream === undefined) {
    throw new KbError('E_USAGE', 'this KB has no remote, so nobody else can see its files', {
      hint: 'links are to a repository on the web; see: kb config',
    });
  }
  const { url } = upstream;
  const tip = head.branch === undefined ? await detachedTip(kb, head.oid, more) : kb.refs.resolve(upstream.tracking);
  if (tip !== undefined) return { tip, url };
  throw new KbError('E_UNSAFE_STATE', 'nothing of this branch is known to be on the remote', { hint: 'kb sync' });
}

async function detachedTip(kb: Kb, head: Oid | undefined, more: MoreHistory): Promise<Oid | undefined> {
  if (head === undefined || pinOf(kb) !== undefined) return head;
  const seen = [...new Set(kb.refs.list('refs/remotes/').values())];
  const isSeen = (): boolean => {
    const shallow = kb.shallow();
    return seen.some((tip) => isAncestor(kb.objects, head, tip, shallow));
  };
  for (const tip of seen) if (!isSeen()) await more.bring(tip, isSeen);
  return isSeen() ? head : undefined;
}

interface Found {
  readonly path: RepoPath;
  readonly commit: Oid;
  readonly entry: TreeEntry;
}

/** The tip that has the file; where it is gone there and not here either, the newest commit that had it. */
async function findLanded(kb: Kb, tip: Oid, text: string, more: MoreHistory): Promise<Found | undefined> {
  const forms = pathForms(text);
  const inCommit = (commit: Oid): Found | undefined => {
    const { tree } = readCommit(kb.objects, commit);
    for (const path of forms) {
      const entry = findEntry(kb.objects, tree, path);
      if (entry !== undefined) return { path, commit, entry };
    }
    return undefined;
  };
  const there = inCommit(tip);
  if (there !== undefined || isHere(kb, forms)) return there;
  const isRead = new Set<Oid>();
  const search = (): Found | undefined => {
    for (const commit of commitsSince(kb.objects, undefined, tip, kb.shallow()).commits.reverse()) {
      const found = isRead.has(commit) ? undefined : inCommit(commit);
      if (found !== undefined) return found;
      isRead.add(commit);
    }
    return undefined;
  };
  let found = search();
  if (found === undefined) await more.bring(tip, () => (found ??= search()) !== undefined);
  return found;
}

function isHere(kb: Kb, forms: readonly RepoPath[]): boolean {
  const tree = treeOf(kb, kb.refs.head().oid);
  return forms.some((path) => kb.worktree.stat(path) !== undefined || findEntry(kb.objects, tree, path) !== undefined);
}

function isAsOnDisk(kb: Kb, path: RepoPath, entry: TreeEntry): boolean {
  if (kb.worktree.isLeftOut(path)) return true; // nobody has changed what is not here
  if (entry.mode === TREE_MODE || kb.worktree.stat(path, entry.mode) === undefined) return false;
  const stats = kb.worktree.lstat(path);
  return stats !== undefined && kb.worktree.holds(path, stats, { mode: entry.mode, oid: entry.oid });
}

/** The lines that are asked for, which the file has in that commit. Without a question about lines it is not read. */
async function linesOf(kb: Kb, request: LinkRequest, { path, entry }: Found): Promise<LineRange | undefined> {
  const { heading, lines: wanted } = request;
  if (heading === undefined && wanted === undefined) return undefined;
  const read = (): Buffer => kb.objects.read(entry.oid).data;
  const data =
    kb.promisor === undefined ? read() : await (await import('./promised-objects.js')).withPromised(kb, read);
  const lines = heading === undefined ? wanted : lineOfHeading(data, heading, path);
  if (lines !== undefined) requireLines(data, lines, path);
  return lines;
}

/** The line that the heading begins on. */
function lineOfHeading(data: Buffer, query: string, path: RepoPath): LineRange {
  const wanted = parseHeadingQuery(query);
  const text = data.toString('latin1');
  const heading = findHeadings(text).find(
    (one) => one.text === wanted.text && (wanted.level === undefined || wanted.level === one.level),
  );
  if (heading === undefined) {
    throw new KbError(
      'E_USAGE',
      `${printable(path)} has no heading "${printable(query)}" in the commit on the remote`,
      {
        hint: 'write it as in the file, for example --heading "## Log"',
      },
    );
  }
  const line = splitLines(text.slice(0, heading.start)).length + 1;
  return { first: line, last: line };
}

function requireLines(data: Buffer, { last }: LineRange, path: RepoPath): void {
  const count = splitLines(data.toString('latin1')).length;
  if (last <= count) return;
  throw new KbError('E_USAGE', `${printable(path)} has ${count} lines in the commit on the remote, not ${last}`, {
    hint: 'name lines that are in it',
    details: { lines: count },
  });
}

function notLanded(kb: Kb, text: string, isHistoryLeft: boolean): KbError {
  const shown = printable(text);
  if (isHere(kb, pathForms(text))) {
    return new KbError('E_UNSAFE_STATE', `${shown} is not on the remote yet, as far as is known here`, {
      hint: 'bring it there with: kb sync',
    });
  }
  const isCut = isHistoryLeft ? ', as far as its history is here' : '';
  return new KbError('E_USAGE', `there is no file ${shown}, and there never was one on the remote${isCut}`, {
    hint: `give its path from the KB's root${isHistoryLeft ? '; or look through the whole history: kb link --deep …' : ''}`,
  });
}

function unknownPages(kb: Kb, remoteUrl: string, onlyWithoutLines: string | null | false): KbError {
  if (typeof onlyWithoutLines === 'string') {
    return new KbError('E_USAGE', 'the address set as `permalink` has no place for a line', {
      hint: 'add it after the path, such as #L{line}-L{end}; or leave out --line and --heading',
      details: { url: onlyWithoutLines },
    });
  }
  const why =
    kb.settings.permalink === 'none'
      ? 'links are switched off (permalink: none)'
      : `kb does not know the web pages of ${printable(remoteUrl.replace(/^([a-z+]+:\/\/)?[^/@]*@/i, '$1'))}`;
  return new KbError('E_USAGE', why, {
    hint: 'say it in kb.yaml, for example permalink: gitlab, or permalink: https://host/{repo}/blob/{commit}/{path}',
    details: optional('permalink', kb.settings.permalink),
  });
}

/** `12`, or `12-20`. @throws KbError E_USAGE */
export function parseLines(text: string): LineRange {
  const match = /^([1-9]\d{0,8})(?:-([1-9]\d{0,8}))?$/.exec(text);
  const [first, last] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
  if (match !== null && first <= last) return { first, last };
  throw new KbError('E_USAGE', `--line must be a line or a range, not ${JSON.stringify(text.slice(0, 40))}`, {
    hint: 'for example --line 12 or --line 12-20',
  });
}
