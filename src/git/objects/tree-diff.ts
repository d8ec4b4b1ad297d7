import type { Oid } from '../ids.js';
import type { RepoPath } from '../paths.js';
import type { ObjectSource } from './object.js';
import { sharedLength } from './shared-length.js';
import {
  assertDepth,
  compareNames,
  countFile,
  readTree,
  TreeScanner,
  walkLeaves,
  type Leaf,
  type WalkCount,
} from './tree.js';

export interface TreeChange {
  readonly path: RepoPath;
  /** Not there: added. */
  readonly before?: Leaf;
  /** Not there: deleted. */
  readonly after?: Leaf;
}

/**
 * All leaves that differ, in the order of git's index. Folders with one id are not opened. A file that became
 * a folder is a delete and adds: as files and folders of one name stand at different places in git's order,
 * they never meet here.
 * @throws KbError E_CORRUPT when a tree is missing, damaged or too deep
 */
export function diffTrees(source: ObjectSource, before: Oid, after: Oid): TreeChange[] {
  const changes: TreeChange[] = [];
  if (before !== after) diffFolders(source, before, after, '', 0, changes, { files: 0 });
  return changes;
}

function diffFolders(
  source: ObjectSource,
  before: Oid,
  after: Oid,
  prefix: string,
  depth: number,
  changes: TreeChange[],
  count: WalkCount,
): void {
  assertDepth(depth);
  const old = new TreeScanner(readTree(source, before));
  const fresh = new TreeScanner(readTree(source, after));
  skipAlike(old, fresh);
  let hasOld = old.next();
  let hasFresh = fresh.next();
  while (hasOld || hasFresh) {
    const order = !hasOld ? 1 : !hasFresh ? -1 : compareEntries(old, fresh);
    if (order < 0) {
      addAll(source, old, prefix, depth, count, (path, leaf) => changes.push({ path, before: leaf }));
      hasOld = old.next();
    } else if (order > 0) {
      addAll(source, fresh, prefix, depth, count, (path, leaf) => changes.push({ path, after: leaf }));
      hasFresh = fresh.next();
    } else {
      if (!sameContent(old, fresh)) {
        const path = prefix + old.name;
        if (old.isTree) diffFolders(source, old.oid, fresh.oid, `${path}/`, depth + 1, changes, count);
        else changes.push({ path: path as RepoPath, before: leafOf(old), after: leafOf(fresh) });
        skipAlike(old, fresh);
      }
      hasOld = old.next();
      hasFresh = fresh.next();
    }
  }
}

/**
 * Steps over the entries that both sides have next in the same bytes. Two versions of a folder of thousands
 * differ in one or two entries; comparing blocks of bytes finds them without looking at the others twice.
 */
export function skipAlike(old: TreeScanner, fresh: TreeScanner): void {
  fresh.end += old.skip(sharedLength(old.data, old.end, fresh.data, fresh.end));
}

function addAll(
  source: ObjectSource,
  entry: TreeScanner,
  prefix: string,
  depth: number,
  count: WalkCount,
  add: (path: RepoPath, leaf: Leaf) => void,
): void {
  const path = prefix + entry.name;
  if (!entry.isTree) {
    countFile(count);
    return add(path as RepoPath, leafOf(entry));
  }
  assertDepth(depth + 1);
  walkLeaves(source, entry.oid, `${path}/`, add, count);
}

function leafOf(entry: TreeScanner): Leaf {
  return { mode: entry.fileMode, oid: entry.oid };
}

function sameContent(a: TreeScanner, b: TreeScanner): boolean {
  return (
    a.data.compare(b.data, b.end - 20, b.end, a.end - 20, a.end) === 0 &&
    (a.mode === b.mode || a.fileMode === b.fileMode)
  );
}

/** The order of the current entries of both. */
export function compareEntries(a: TreeScanner, b: TreeScanner): number {
  // most entries of two versions of a folder have the same name: one comparison settles those
  if (a.isTree === b.isTree && a.data.compare(b.data, b.nameStart, b.nameEnd, a.nameStart, a.nameEnd) === 0) return 0;
  return compareNames(
    a.data.subarray(a.nameStart, a.nameEnd),
    a.isTree,
    b.data.subarray(b.nameStart, b.nameEnd),
    b.isTree,
  );
}
