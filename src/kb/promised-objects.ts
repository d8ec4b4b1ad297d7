import { isKbError } from '../errors.js';
import type { Oid } from '../git/ids.js';
import { readCommit } from '../git/objects/commit.js';
import { mergeBases } from '../git/objects/history.js';
import type { ObjectSource } from '../git/objects/object.js';
import { promisedIn } from '../git/objects/promised.js';
import { diffTrees, type TreeChange } from '../git/objects/tree-diff.js';
import { GITLINK } from '../git/worktree/modes.js';
import type { Remote } from '../remote/remote.js';
import { connect } from './connect.js';
import { fetchObjects, inBatches } from './fetch-objects.js';
import type { Kb } from './open.js';
import { checkedOutUpstream } from './upstream.js';

/**
 * Fetches what was left with the remote, in one request (of more than 20,000 objects in several). What the remote does
 * not have either is not asked for again.
 * @throws KbError E_NETWORK, E_AUTH, E_STORAGE, E_CORRUPT
 */
export async function fetchPromised(kb: Kb, remote: Pick<Remote, 'fetch'>, oids: Iterable<Oid>): Promise<void> {
  const missing = [...new Set(oids)].filter((oid) => !kb.objects.has(oid));
  if (missing.length === 0) return;
  kb.surroundings.report({ kind: 'step', text: `fetching ${missing.length} files that were left with the remote` });
  for (const wants of inBatches(missing)) {
    try {
      await fetchObjects(kb, remote, { wants, haves: [], shallow: new Set() }, { isHistory: false });
    } catch (error) {
      if (!isKbError(error, 'E_NETWORK') || error.details['gone'] !== true) throw error;
    }
    for (const oid of wants) if (!kb.objects.has(oid)) kb.objects.giveUpOn(oid);
  }
}

/**
 * Does work that may need what was left with the remote: then that is fetched, and the work is done again. It must
 * change nothing before it has read all that it needs.
 * @throws KbError E_NETWORK when it cannot be fetched
 */
export async function withPromised<T>(
  kb: Kb,
  work: () => T | Promise<T>,
  bring: (oid: Oid) => Promise<void> = (oid) => fetchAlone(kb, [oid]),
): Promise<T> {
  for (const tried = new Set<Oid>(); ;) {
    try {
      return await work();
    } catch (error) {
      const oid = promisedIn(error);
      if (oid === undefined || tried.has(oid)) throw error;
      tried.add(oid);
      await bring(oid);
    }
  }
}

/** Fetches over a connection of its own the files that a change of the tree brings into sight. */
export async function bringFiles(kb: Kb, from: Oid, to: Oid): Promise<void> {
  if (kb.promisor !== undefined) await fetchAlone(kb, filesInSight(kb, diffTrees(kb.objects, from, to)));
}

/** Fetches over a connection of its own what of these objects was left with the remote. */
export async function fetchAlone(kb: Kb, oids: readonly Oid[]): Promise<void> {
  const missing = oids.filter((oid) => !kb.objects.has(oid));
  if (missing.length === 0) return;
  const upstream = checkedOutUpstream(kb);
  if (upstream === undefined || !kb.settings.gitEnabled) return missing.forEach((oid) => kb.objects.giveUpOn(oid));
  const remote = await connect(kb, upstream);
  try {
    await fetchPromised(kb, remote, missing);
  } finally {
    await remote.close();
  }
}

/** The blobs of files that these changes write to disk. */
export function filesInSight(kb: Pick<Kb, 'worktree'>, changes: readonly TreeChange[]): Oid[] {
  const cone = kb.worktree.settings.cone?.();
  return changes.flatMap(({ path, after }) => {
    if (after === undefined || after.mode === GITLINK) return [];
    return cone === undefined || cone.has(path) || !kb.worktree.isLeftOut(path) ? [after.oid] : [];
  });
}

/**
 * The blobs that are needed to bring the local branch and the remote one together, as far as they can be known before:
 * those that come into sight, and all versions of files that both sides changed, or may have renamed.
 */
export function blobsToIntegrate(kb: Kb, local: Oid | undefined, remote: Oid): Oid[] {
  const { objects } = kb;
  const treeAt = (commit: Oid): Oid => readCommit(objects, commit).tree;
  if (local === undefined || local === remote) return [];
  const inSight = filesInSight(kb, diffTrees(objects, treeAt(local), treeAt(remote)));
  const [base] = mergeBases(objects, local, remote, kb.shallow());
  if (base === undefined || base === local || base === remote) return inSight;
  const theirs = new Map(diffTrees(objects, treeAt(base), treeAt(remote)).map((change) => [change.path, change]));
  const ours = diffTrees(objects, treeAt(base), treeAt(local));
  const both = ours.flatMap(({ path, before, after }) => {
    const other = theirs.get(path);
    if (other === undefined) return [];
    return [before, after, other.after].flatMap((leaf) =>
      leaf === undefined || leaf.mode === GITLINK ? [] : [leaf.oid],
    );
  });
  return [...inSight, ...both, ...perhapsRenamed(ours, [...theirs.values()])];
}

/** Where one side deleted a file that the other one changed, any file that it added may be that one under a new name. */
function perhapsRenamed(...sides: readonly [readonly TreeChange[], readonly TreeChange[]]): Oid[] {
  const changed = sides.map((changes) => new Set(changes.map(({ path }) => path)));
  return sides.flatMap((changes, at) => {
    const others = changed[1 - at];
    if (!changes.some(({ path, after }) => after === undefined && others?.has(path) === true)) return [];
    return changes.flatMap(({ before, after }) =>
      before !== undefined || after === undefined || after.mode === GITLINK ? [] : [after.oid],
    );
  });
}

/** What is here of a list; the rest is with the remote, which needs not be sent it. */
export function onlyHere(kb: Kb, source: Pick<ObjectSource, 'has'>, oids: readonly Oid[]): readonly Oid[] {
  return kb.promisor === undefined ? oids : oids.filter((oid) => source.has(oid));
}
