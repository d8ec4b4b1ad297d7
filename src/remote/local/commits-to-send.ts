import type { Oid } from '../../git/ids.js';
import { readCommitLinks, type CommitLinks } from '../../git/objects/commit.js';
import type { ObjectSource } from '../../git/objects/object.js';

export interface HistoryRequest {
  /** Commits to be had afterwards. */
  readonly wants: readonly Oid[];
  /** Commits that the receiver has; unknown ones are of no use and left out by the caller. */
  readonly haves: readonly Oid[];
  /** Commits whose parents the receiver lacks. */
  readonly receiverShallow: ReadonlySet<Oid>;
  /** Commits whose parents the source lacks. */
  readonly sourceShallow: ReadonlySet<Oid>;
  /** Commits from each want on, 1 = the wants alone; `full` = down to the roots even below `receiverShallow`. */
  readonly depth?: number | 'full' | undefined;
  /** Instead of `depth`: commits to have in addition below each of `receiverShallow`. */
  readonly deepenBy?: number | undefined;
}

export interface HistoryAnswer {
  /** Commits that the receiver lacks, newest first. */
  readonly commits: readonly Oid[];
  /** Commits that the receiver certainly has; holds at least every parent of `commits` that it has. */
  readonly known: ReadonlySet<Oid>;
  readonly shallow: readonly Oid[];
  readonly unshallow: readonly Oid[];
}

const WANTED = 1;
const KNOWN = 2;

/**
 * Which commits must be sent. Walks from both ends, newest commit first, until nothing is left that is
 * wanted and not known; so the cost follows the new commits, not the length of the history.
 *
 * Invariant: a commit counts as known only if a path of parents that the receiver has leads to it from one
 * of its haves. A wrong clock in a commit can therefore make the answer too large, never too small.
 */
export function commitsToSend(source: ObjectSource, request: HistoryRequest): HistoryAnswer {
  const links = new Map<Oid, CommitLinks>();
  const linksOf = (oid: Oid): CommitLinks => {
    let found = links.get(oid);
    if (found === undefined) links.set(oid, (found = readCommitLinks(source, oid)));
    return found;
  };
  const parentsHere = (oid: Oid): readonly Oid[] => (request.sourceShallow.has(oid) ? [] : linksOf(oid).parents);
  const deepening = request.depth !== undefined || request.deepenBy !== undefined;
  const boundary = [...request.receiverShallow].filter((oid) => source.has(oid));
  const limit =
    request.deepenBy === undefined
      ? typeof request.depth === 'number'
        ? { steps: request.depth, from: request.wants }
        : undefined
      : { steps: request.deepenBy + 1, from: boundary };
  const within = limit === undefined ? undefined : commitsWithin(limit.from, limit.steps, parentsHere);

  const isCut = (oid: Oid): boolean => {
    if (request.sourceShallow.has(oid)) return true;
    if (within !== undefined) return within.get(oid) === limit?.steps;
    return !deepening && request.receiverShallow.has(oid);
  };

  const marks = new Map<Oid, number>();
  const queue = new NewestFirst();
  let open = 0; // queued commits whose ancestors may still have to be sent
  // A deepening wants the ancestors even of commits that the receiver has: what lies below its boundary is new to it.
  const isOpen = (mark: number): boolean => (mark & WANTED) !== 0 && (deepening || (mark & KNOWN) === 0);
  const queuedAs = new Map<Oid, number>();
  const mark = (oid: Oid, flag: number): void => {
    const before = marks.get(oid) ?? 0;
    const after = before | flag;
    if (after === before) return;
    marks.set(oid, after);
    const waiting = queuedAs.get(oid);
    if (waiting === undefined) queue.push(oid, linksOf(oid).date);
    else if (isOpen(waiting)) open--;
    queuedAs.set(oid, after);
    if (isOpen(after)) open++;
  };
  for (const oid of request.haves) mark(oid, KNOWN);
  for (const oid of request.wants) mark(oid, WANTED);
  // deeper, or whole, means all of the receiver's history, also branches that it does not ask for now
  if (request.depth === 'full' || request.deepenBy !== undefined) for (const oid of boundary) mark(oid, WANTED);

  while (open > 0) {
    const oid = queue.pop();
    if (oid === undefined) break;
    const flags = queuedAs.get(oid) ?? 0;
    queuedAs.delete(oid);
    if (isOpen(flags)) open--;
    if ((flags & KNOWN) !== 0 && !request.receiverShallow.has(oid))
      for (const parent of parentsHere(oid)) mark(parent, KNOWN);
    if (isOpen(flags) && !isCut(oid)) for (const parent of parentsHere(oid)) mark(parent, WANTED);
  }

  const commits: Oid[] = [];
  const known = new Set<Oid>();
  const shallow: Oid[] = [];
  const unshallow: Oid[] = [];
  for (const [oid, flags] of marks) {
    if ((flags & KNOWN) !== 0) known.add(oid);
    else commits.push(oid);
    if ((flags & WANTED) === 0) continue;
    const lacksParents = isCut(oid) && linksOf(oid).parents.length > 0;
    if (lacksParents && !request.receiverShallow.has(oid) && (deepening || (flags & KNOWN) === 0)) shallow.push(oid);
    if (deepening && !lacksParents && request.receiverShallow.has(oid)) unshallow.push(oid);
  }
  commits.sort((a, b) => linksOf(b).date - linksOf(a).date);
  return { commits, known, shallow, unshallow };
}

/** Commits at most `depth` − 1 steps from a want, each with its distance + 1. */
function commitsWithin(
  wants: readonly Oid[],
  depth: number,
  parentsOf: (oid: Oid) => readonly Oid[],
): Map<Oid, number> {
  const distance = new Map<Oid, number>();
  let level: readonly Oid[] = wants;
  for (let steps = 1; steps <= depth && level.length > 0; steps++) {
    const next: Oid[] = [];
    for (const oid of level) {
      if (distance.has(oid)) continue;
      distance.set(oid, steps);
      if (steps < depth) next.push(...parentsOf(oid));
    }
    level = next;
  }
  return distance;
}

/** A heap of commits by their date. */
class NewestFirst {
  private readonly items: { oid: Oid; date: number }[] = [];

  push(oid: Oid, date: number): void {
    const { items } = this;
    let at = items.push({ oid, date }) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (this.dateAt(above) >= this.dateAt(at)) break;
      this.swap(above, at);
      at = above;
    }
  }

  pop(): Oid | undefined {
    const { items } = this;
    const top = items[0];
    const last = items.pop();
    if (last !== undefined && items.length > 0) {
      items[0] = last;
      for (let at = 0; ;) {
        const left = 2 * at + 1;
        let newest = at;
        if (this.dateAt(left) > this.dateAt(newest)) newest = left;
        if (this.dateAt(left + 1) > this.dateAt(newest)) newest = left + 1;
        if (newest === at) break;
        this.swap(at, newest);
        at = newest;
      }
    }
    return top?.oid;
  }

  private dateAt(at: number): number {
    return this.items[at]?.date ?? -Infinity;
  }

  private swap(a: number, b: number): void {
    const { items } = this;
    [items[a], items[b]] = [items[b] as { oid: Oid; date: number }, items[a] as { oid: Oid; date: number }];
  }
}
