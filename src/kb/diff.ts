import { KbError } from '../errors.js';
import { GitIndex } from '../git/index/index-file.js';
import { asRefName, type Oid } from '../git/ids.js';
import { readCommit } from '../git/objects/commit.js';
import { reachableFrom } from '../git/objects/history.js';
import type { ObjectSource } from '../git/objects/object.js';
import { diffTrees, type TreeChange } from '../git/objects/tree-diff.js';
import { GITLINK } from '../git/worktree/modes.js';
import { printable } from '../printable.js';
import { treeOf } from './advance.js';
import { countChanges, type CountedChange } from './changes.js';
import { scanLocalEdits, stageEdits } from './local-edits.js';
import { MoreHistory } from './more-history.js';
import { pathForms } from './note-path.js';
import type { Kb } from './open.js';
import { patchOf } from './patch.js';
import { lastSeenTip } from './upstream.js';

export interface DiffRequest {
  /** Files and folders, from the root of the KB; none: all. */
  readonly paths: readonly string[];
  /** What this commit changed: its id, or the first digits of it, or a branch or a tag. */
  readonly commit?: string;
  /** What differs between this commit and the files as they are. */
  readonly since?: string;
}

export interface DiffResult {
  /** null: there was nothing before. */
  readonly from: Oid | null;
  /** null: the files as they are on disk. */
  readonly to: Oid | null;
  readonly changes: readonly CountedChange[];
  /** In git's format; bytes that are no UTF-8 are replaced in the JSON. */
  readonly diff: Buffer;
}

/**
 * What differs: by default the files on disk from the last commit, with new files, as the next `kb sync` would commit
 * them. Takes no lock and changes nothing. The remote is asked only for history and files that a KB lacks which does not
 * have everything.
 * @throws KbError E_USAGE: no such commit, or several
 */
export async function readDiff(kb: Kb, request: DiffRequest): Promise<DiffResult> {
  const { from, to } = await endsOf(kb, request);
  const { source, tree } = to === undefined ? filesOnDisk(kb) : { source: kb.objects, tree: treeOf(kb, to) };
  const changes = diffTrees(source, treeOf(kb, from), tree).filter(isWanted(request.paths));
  await bringContents(kb, changes);
  return {
    from: from ?? null,
    to: to ?? null,
    changes: countChanges(source, changes),
    diff: patchOf(changes, (oid) => source.read(oid).data),
  };
}

function isWanted(paths: readonly string[]): (change: TreeChange) => boolean {
  const wanted = paths.flatMap((text) => pathForms(text.replace(/\/+$/, '')));
  return ({ path }) => wanted.length === 0 || wanted.some((one) => path === one || path.startsWith(`${one}/`));
}

/** In one request what a partial clone has left with the remote. */
async function bringContents(kb: Kb, changes: readonly TreeChange[]): Promise<void> {
  if (kb.promisor === undefined) return;
  const leaves = changes.flatMap(({ before, after }) => [before, after]);
  const blobs = leaves.flatMap((leaf) => (leaf === undefined || leaf.mode === GITLINK ? [] : [leaf.oid]));
  const { fetchAlone } = await import('./promised-objects.js');
  await fetchAlone(kb, blobs);
}

function filesOnDisk(kb: Kb): { source: ObjectSource; tree: Oid } {
  const index = GitIndex.read(kb.surroundings.disk, kb.gitDir);
  const { oid: head } = kb.refs.head();
  const edits = scanLocalEdits(kb, index, head).filter(({ committable }) => committable);
  const { staged, tree } = stageEdits(kb, index, head, edits, 'compare');
  return { source: staged, tree };
}

/** The two commits that are compared; `to` undefined: the files on disk, `from` undefined: nothing. */
async function endsOf(kb: Kb, { commit, since }: DiffRequest): Promise<{ from?: Oid; to?: Oid }> {
  const { oid: head } = kb.refs.head();
  const named = commit ?? since;
  if (named === undefined) return head === undefined ? {} : { from: head };
  const more = new MoreHistory(kb, `to look for ${printable(named)}`, [64, 256, 1024]);
  try {
    const tip = lastSeenTip(kb) ?? head;
    let found = findCommit(kb, named, head);
    if (found === undefined && tip !== undefined && looksLikeId(named))
      await more.bring(tip, () => (found = findCommit(kb, named, head)) !== undefined);
    if (found === undefined) throw noSuchCommit(named, more.isLeft);
    const oid = found;
    if (commit === undefined) return { from: oid };
    // The oldest commit that is here has a parent elsewhere: without it, it would seem to have made all files.
    if (tip !== undefined) await more.bring(tip, () => !kb.shallow().has(oid));
    const [parent] = readCommit(kb.objects, oid).parents;
    if (parent !== undefined && kb.shallow().has(oid)) throw noParent(named);
    return { to: oid, ...(parent === undefined ? {} : { from: parent }) };
  } finally {
    await more.close();
  }
}

function looksLikeId(text: string): boolean {
  return /^[0-9a-f]{4,40}$/.test(text);
}

/** @throws KbError E_USAGE when the digits begin several commits */
function findCommit(kb: Kb, text: string, head: Oid | undefined): Oid | undefined {
  if (!looksLikeId(text)) return namedCommit(kb, text);
  if (text.length === 40) return kb.objects.has(text as Oid) ? peeled(kb, text as Oid) : undefined;
  if (head === undefined) return undefined;
  const tips = new Set([head, ...kb.refs.list('refs/remotes/').values()]);
  const shallow = kb.shallow();
  const known = new Set<Oid>();
  for (const tip of tips)
    if (!known.has(tip)) for (const oid of reachableFrom(kb.objects, tip, shallow)) known.add(oid);
  const found = [...known].filter((oid) => oid.startsWith(text));
  if (found.length > 1) {
    throw new KbError('E_USAGE', `${text} begins the ids of ${found.length} commits`, {
      hint: 'give more digits',
      details: { commits: found },
    });
  }
  const [only] = found;
  return only ?? namedCommit(kb, text);
}

function namedCommit(kb: Kb, text: string): Oid | undefined {
  for (const folder of ['refs/heads/', 'refs/tags/', 'refs/remotes/', '']) {
    if (folder === '' && !text.startsWith('refs/')) continue;
    let oid;
    try {
      oid = kb.refs.resolve(asRefName(folder + text));
    } catch {
      continue; // not a name that a ref can have
    }
    if (oid !== undefined) return peeled(kb, oid);
  }
  return undefined;
}

/** The commit that an annotated tag is about. */
function peeled(kb: Kb, oid: Oid): Oid | undefined {
  const { type, data } = kb.objects.read(oid);
  if (type === 'commit') return oid;
  const target = /^object ([0-9a-f]{40})\n/.exec(data.toString('latin1', 0, 48))?.[1];
  return type === 'tag' && target !== undefined ? peeled(kb, target as Oid) : undefined;
}

function noSuchCommit(text: string, isHistoryLeft: boolean): KbError {
  return new KbError(
    'E_USAGE',
    `there is no commit ${printable(text, 80)}${isHistoryLeft ? ', as far as its history is here' : ''}`,
    { hint: 'give an id as `kb log` shows it, or the name of a branch' },
  );
}

function noParent(text: string): KbError {
  return new KbError('E_UNSAFE_STATE', `what came before ${printable(text, 80)} is not in this shallow KB`, {
    hint: 'fetch more history while the remote can be reached: kb log --limit 1000',
  });
}
