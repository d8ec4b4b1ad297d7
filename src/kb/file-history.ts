import type { Oid } from '../git/ids.js';
import { readCommit, type Commit } from '../git/objects/commit.js';
import { diffTrees } from '../git/objects/tree-diff.js';
import { findEntry, TREE_MODE, type TreeEntry } from '../git/objects/tree.js';
import type { RepoPath } from '../git/paths.js';
import { comparedText } from './changes.js';
import type { Kb } from './open.js';
import { findRenames } from './renames/find-renames.js';

export interface HistoryItem {
  readonly oid: Oid;
  readonly commit: Commit;
  /** What the file or folder was called after this commit; null: no path was asked for. */
  readonly path: RepoPath | null;
  /** What it was called before, where this commit gave it another name. */
  readonly from?: RepoPath;
}

interface Reached {
  readonly oid: Oid;
  readonly commit: Commit;
  readonly path: RepoPath | null;
}

/** A note that took another name and changed a lot besides is looked for among so many that are gone, squared. */
const MOST_COMPARED = 1000;

/**
 * The commits that a tip leads to, newest first; with a path those that changed it, as `git log -- PATH` tells them, and
 * of a file also those under the names that it had before (`--follow`).
 *
 * Where a merge has the path as one of its parents has it, only that parent's history is looked at. Source: git's
 * `revision.c` (`simplify_history`, `rev_compare_tree`).
 */
export class FileHistory {
  /** Newest last. */
  private readonly queue: Reached[] = [];
  private readonly seen = new Set<Oid>();
  /** The walk has met a commit at which history ends here, and goes on elsewhere. */
  isCut = false;

  constructor(
    private readonly kb: Kb,
    tip: Oid,
    path: RepoPath | null,
    private readonly shallow: ReadonlySet<Oid>,
  ) {
    this.reach(tip, path);
  }

  *items(): Generator<HistoryItem> {
    for (let next = this.queue.pop(); next !== undefined; next = this.queue.pop()) {
      const item = next.path === null ? this.whole(next) : this.ofPath({ ...next, path: next.path });
      if (item !== undefined) yield item;
    }
  }

  private whole(reached: Reached): HistoryItem {
    for (const parent of this.parentsOf(reached)) this.reach(parent, null);
    return reached;
  }

  private ofPath(reached: Reached & { readonly path: RepoPath }): HistoryItem | undefined {
    const { commit, path } = reached;
    const parents = this.parentsOf(reached);
    const own = this.entryOf(commit, path);
    if (parents.length === 0) {
      // Where history is cut, nobody here knows whether this commit or an older one made the file.
      const isFirst = commit.parents.length === 0;
      return own !== undefined && isFirst ? reached : undefined;
    }
    const before = parents.map((oid) => ({ oid, commit: readCommit(this.kb.objects, oid) }));
    const same = before.find((parent) => isSame(this.entryOf(parent.commit, path), own));
    if (same !== undefined) {
      this.reach(same.oid, path);
      return undefined;
    }
    const [only, ...others] = before;
    const isNew = only !== undefined && others.length === 0 && this.entryOf(only.commit, path) === undefined;
    const from = isNew && own !== undefined ? this.oldName(only.commit, commit, path, own) : undefined;
    for (const parent of before) this.reach(parent.oid, from ?? path);
    return from === undefined ? reached : { ...reached, from };
  }

  private parentsOf({ oid, commit }: Reached): readonly Oid[] {
    if (commit.parents.length === 0 || !this.shallow.has(oid)) return commit.parents;
    this.isCut = true;
    return [];
  }

  private entryOf({ tree }: Commit, path: RepoPath): TreeEntry | undefined {
    return findEntry(this.kb.objects, tree, path);
  }

  /** Of a file that came in one commit: which of those that went in it is the same one. */
  private oldName(before: Commit, after: Commit, path: RepoPath, own: TreeEntry): RepoPath | undefined {
    if (own.mode === TREE_MODE) return undefined;
    const { objects } = this.kb;
    const changes = diffTrees(objects, before.tree, after.tree);
    const { renames } = findRenames({
      changes: changes.filter((change) => change.after === undefined || change.path === path),
      read: (oid) => comparedText(objects, oid),
      limit: MOST_COMPARED,
    });
    return [...renames.values()].find(({ to }) => to.path === path)?.from.path;
  }

  /** Of two of one second, the one that was reached first comes first. */
  private reach(oid: Oid, path: RepoPath | null): void {
    if (this.seen.has(oid)) return;
    this.seen.add(oid);
    const commit = readCommit(this.kb.objects, oid);
    const { queue } = this;
    let low = 0;
    for (let high = queue.length; low < high;) {
      const middle = (low + high) >> 1;
      if ((queue[middle] as Reached).commit.committer.timestamp >= commit.committer.timestamp) high = middle;
      else low = middle + 1;
    }
    queue.splice(low, 0, { oid, commit, path });
  }
}

function isSame(a: TreeEntry | undefined, b: TreeEntry | undefined): boolean {
  return a?.oid === b?.oid && a?.mode === b?.mode;
}
