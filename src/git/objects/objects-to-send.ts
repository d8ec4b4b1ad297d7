import type { Oid } from '../ids.js';
import { readCommit } from './commit.js';
import type { ObjectSource } from './object.js';
import { assertDepth, readTree, TreeScanner } from './tree.js';

/** Trees that the receiver has anyway, for commits whose own parents it lacks; a few are enough to find what is alike. */
const MOST_FALLBACK_BASES = 4;
/** Bytes of trees kept for comparing: the parent's trees were just read for the commit before. */
const TREE_CACHE_BYTES = 16 * 1024 * 1024;

export interface CommitsToSend {
  /** Commits that the receiver lacks, newest first. */
  readonly commits: readonly Oid[];
  /** Commits that the receiver has; must know every parent of `commits` that it has. */
  readonly known: { has(commit: Oid): boolean };
}

/**
 * The objects of these commits that the receiver lacks: commits first, then trees and blobs, each once.
 *
 * Each commit's tree is compared with those of its parents that the receiver has or gets, folder by folder,
 * and only folders that differ are opened. So the cost follows the change; a fetch of one commit reads as
 * many trees as lie on its changed paths. An object that came back from older history may be sent again,
 * which costs bytes and never correctness.
 *
 * @param haves commits of the receiver to compare with where a commit has no parent that it has (shallow fetches)
 * @throws KbError E_CORRUPT when the source lacks an object that belongs to them
 */
export function* objectsToSend(source: ObjectSource, history: CommitsToSend, haves: readonly Oid[]): Generator<Oid> {
  yield* history.commits;
  const walk = new TreeWalk(source);
  const sent = new Set(history.commits);
  const treeOf = (commit: Oid): Oid => readCommit(source, commit).tree;
  let fallback: readonly Oid[] | undefined;
  // oldest first: a commit's parents have then just been looked at
  for (const commit of [...history.commits].reverse()) {
    const { tree, parents } = readCommit(source, commit);
    let bases = parents.filter((parent) => sent.has(parent) || history.known.has(parent)).map(treeOf);
    if (bases.length === 0) bases = [...(fallback ??= haves.slice(0, MOST_FALLBACK_BASES).map(treeOf))];
    yield* walk.newObjects(tree, bases);
  }
}

/** The objects of one tree, as for a want that is no commit. */
export function objectsOfTree(source: ObjectSource, tree: Oid): Generator<Oid> {
  return new TreeWalk(source).newObjects(tree, []);
}

class TreeWalk {
  private readonly yielded = new Set<Oid>();
  private readonly cache = new Map<Oid, Buffer>();
  private cachedBytes = 0;

  constructor(private readonly source: ObjectSource) {}

  *newObjects(tree: Oid, bases: readonly Oid[], depth = 0): Generator<Oid> {
    if (bases.includes(tree) || this.yielded.has(tree)) return;
    this.yielded.add(tree);
    yield tree;
    assertDepth(depth);
    const there = this.entriesOf(bases);
    const scanner = new TreeScanner(this.read(tree));
    while (scanner.next()) {
      const oid = scanner.oid;
      // a gitlink names a commit of another repository
      if (scanner.fileMode === 0o160000 || there.oids.has(oid) || this.yielded.has(oid)) continue;
      if (scanner.isTree) yield* this.newObjects(oid, there.folders.get(scanner.name) ?? [], depth + 1);
      else {
        this.yielded.add(oid);
        yield oid;
      }
    }
  }

  /** Everything that stands directly in these trees, and their folders by name. */
  private entriesOf(trees: readonly Oid[]): { oids: Set<Oid>; folders: Map<string, Oid[]> } {
    const oids = new Set<Oid>();
    const folders = new Map<string, Oid[]>();
    for (const tree of trees) {
      const scanner = new TreeScanner(this.read(tree));
      while (scanner.next()) {
        oids.add(scanner.oid);
        if (scanner.isTree) folders.set(scanner.name, [...(folders.get(scanner.name) ?? []), scanner.oid]);
      }
    }
    return { oids, folders };
  }

  private read(tree: Oid): Buffer {
    const cached = this.cache.get(tree);
    if (cached !== undefined) return cached;
    const data = readTree(this.source, tree);
    this.cache.set(tree, data);
    this.cachedBytes += data.length;
    for (const [oldest, bytes] of this.cache) {
      if (this.cachedBytes <= TREE_CACHE_BYTES) break;
      this.cache.delete(oldest);
      this.cachedBytes -= bytes.length;
    }
    return data;
  }
}
