import type { Oid } from '../git/ids.js';
import { readCommit } from '../git/objects/commit.js';
import { commitsSince } from '../git/objects/history.js';
import type { ObjectSource } from '../git/objects/object.js';
import { parseTree } from '../git/objects/tree.js';
import { EMPTY_TREE } from '../git/ids.js';

const TREE_MODE = 0o040000;
const GITLINK_MODE = 0o160000;

/**
 * The objects of the commits after `from` that its history does not hold: commits oldest first, then
 * trees and blobs. Only folders that a commit changed are looked into, so the cost follows the change.
 */
export function objectsToPush(source: ObjectSource, from: Oid | undefined, to: Oid, shallow: ReadonlySet<Oid>): Oid[] {
  const { commits } = commitsSince(source, from, to, shallow);
  const found = new Set<Oid>(commits);
  const known = new Set<Oid>([EMPTY_TREE]);
  for (const oid of commits) {
    const commit = readCommit(source, oid);
    const parents = shallow.has(oid) ? [] : commit.parents;
    addNew(source, commit.tree, parents.map((parent) => readCommit(source, parent).tree), found, known);
  }
  return [...found];
}

/** Adds the tree and all below it that stands in none of the parents' trees at the same place. */
function addNew(source: ObjectSource, tree: Oid, parents: readonly Oid[], found: Set<Oid>, known: Set<Oid>): void {
  if (parents.includes(tree) || known.has(tree)) return;
  known.add(tree);
  found.add(tree);
  const before = parents.map((parent) => new Map(parseTree(source.read(parent).data).map((entry) => [entry.name, entry])));
  for (const entry of parseTree(source.read(tree).data)) {
    if (entry.mode === GITLINK_MODE) continue;
    const same = before.map((names) => names.get(entry.name)).filter((other) => other !== undefined);
    if (same.some((other) => other.oid === entry.oid)) continue;
    if (entry.mode === TREE_MODE) {
      addNew(source, entry.oid, same.filter((other) => other.mode === TREE_MODE).map((other) => other.oid), found, known);
    } else found.add(entry.oid);
  }
}
