import { asStorageError, readFileIfExists, removeFile } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { KbError } from '../../errors.js';
import { asOid, type Oid } from '../ids.js';
import { LockFile } from '../../disk/lock-file.js';
import type { LockMarks } from '../../disk/lock-marks.js';
import { readCommitLinks, type CommitLinks } from './commit.js';
import type { ObjectSource } from './object.js';

/**
 * The commits whose parents are not there (`.git/shallow`). Source: gitrepository-layout, "shallow".
 * @throws KbError E_CORRUPT
 */
export function readShallow(disk: Disk, gitDir: string): Set<Oid> {
  const text = readFileIfExists(disk, `${gitDir}/shallow`)?.toString('latin1') ?? '';
  return new Set(
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => asOid(line, 'commit id in .git/shallow')),
  );
}

/**
 * Replaces the list under git's own `shallow.lock`, durably; an empty one removes the file, for git takes a
 * repository for shallow as long as the file is there.
 * @throws KbError E_UNSAFE_STATE when somebody else holds the lock; E_STORAGE
 */
export function writeShallow(disk: Disk, gitDir: string, shallow: ReadonlySet<Oid>, marks?: LockMarks): void {
  replaceShallow(disk, gitDir, () => shallow, marks);
}

/**
 * Adds commits to the list and takes others off, under git's own lock from the reading on: a `git fetch --unshallow`
 * meanwhile would otherwise be undone in the list, and its commits be cut off again.
 * @throws KbError E_UNSAFE_STATE when somebody else holds the lock; E_STORAGE, E_CORRUPT
 */
export function moveShallow(
  disk: Disk,
  gitDir: string,
  change: { readonly shallow: Iterable<Oid>; readonly unshallow: Iterable<Oid> },
  marks?: LockMarks,
): void {
  const changed = (): ReadonlySet<Oid> => {
    const shallow = new Set([...readShallow(disk, gitDir), ...change.shallow]);
    for (const oid of change.unshallow) shallow.delete(oid);
    return shallow;
  };
  replaceShallow(disk, gitDir, changed, marks);
}

function replaceShallow(
  disk: Disk,
  gitDir: string,
  change: () => ReadonlySet<Oid>,
  marks: LockMarks | undefined,
): void {
  const lock = LockFile.acquire(disk, `${gitDir}/shallow`, marks === undefined ? {} : { marks });
  try {
    const shallow = change();
    if (shallow.size === 0) return removeFile(disk, `${gitDir}/shallow`);
    lock.write(
      Buffer.from(
        [...shallow]
          .sort()
          .map((oid) => `${oid}\n`)
          .join(''),
        'latin1',
      ),
    );
    lock.commit();
  } catch (error) {
    throw asStorageError(error, 'write the list of shallow commits');
  } finally {
    lock.release();
  }
}

/** A commit is its own ancestor. @throws KbError E_CORRUPT when a commit is missing */
export function isAncestor(source: ObjectSource, ancestor: Oid, of: Oid, shallow: ReadonlySet<Oid>): boolean {
  if (ancestor === of) return true;
  const commits = new Commits(source, shallow);
  return chainBetween(commits, ancestor, of) !== undefined || paintCommon(commits, ancestor, of).includes(ancestor);
}

export interface CommitRange {
  /** Oldest first: each commit after its parents. */
  readonly commits: Oid[];
  readonly hasMerges: boolean;
}

/**
 * The commits that are reachable from `tip` and not from `base`.
 * @param base undefined: all, down to the roots or where a shallow clone ends
 * @throws KbError E_CORRUPT when a commit is missing
 */
export function commitsSince(
  source: ObjectSource,
  base: Oid | undefined,
  tip: Oid,
  shallow: ReadonlySet<Oid>,
): CommitRange {
  const commits = new Commits(source, shallow);
  const chain = base === undefined ? undefined : chainBetween(commits, base, tip);
  if (chain !== undefined) return { commits: chain, hasMerges: false };
  const wanted = base === undefined ? reachable(commits, tip) : paintBeyond(commits, tip, base);
  const ordered = parentsFirst(commits, tip, wanted);
  return { commits: ordered, hasMerges: ordered.some((oid) => commits.links(oid).parents.length > 1) };
}

/**
 * The best common ancestors: none of them is an ancestor of another. Several where histories cross, none where they
 * do not meet (or the place lies beyond a shallow clone's end: see {@link meetingOf}).
 * @throws KbError E_CORRUPT when a commit is missing
 */
export function mergeBases(source: ObjectSource, a: Oid, b: Oid, shallow: ReadonlySet<Oid>): Oid[] {
  return [...meetingOf(source, a, b, shallow).bases];
}

/** Where two histories meet, as far as they are here. */
export interface Meeting {
  readonly bases: readonly Oid[];
  /**
   * Commits at which one of the two ends here and goes on elsewhere, before it met the other. Where there are any, the
   * whole history could give other bases; without any it would give the same.
   */
  readonly openEnds: readonly { readonly commit: Oid; readonly of: 'a' | 'b' }[];
}

/** @throws KbError E_CORRUPT when a commit is missing */
export function meetingOf(source: ObjectSource, a: Oid, b: Oid, shallow: ReadonlySet<Oid>): Meeting {
  if (a === b) return { bases: [a], openEnds: [] };
  const commits = new Commits(source, shallow);
  if (chainBetween(commits, a, b) !== undefined) return { bases: [a], openEnds: [] };
  if (chainBetween(commits, b, a) !== undefined) return { bases: [b], openEnds: [] };
  const { common, openEnds } = paint(commits, a, b);
  // One that is the other itself is the only best one, whatever lies behind it.
  const itself = common.find((oid) => oid === a || oid === b);
  if (itself !== undefined) return { bases: [itself], openEnds: [] };
  // clocks that went wrong can bring up a base that lies behind another one
  const bases = common.filter(
    (oid) => !common.some((other) => other !== oid && paintCommon(commits, oid, other).includes(oid)),
  );
  return { bases, openEnds };
}

/** Longer chains are left to the general walk. */
const MOST_CHAIN_COMMITS = 64;

/**
 * The commits from `base` (not included) to `tip`, oldest first, where a short line of single parents leads from
 * one to the other: the everyday case, told without looking at anything older than `base`, whatever the clocks say.
 */
function chainBetween(commits: Commits, base: Oid, tip: Oid): Oid[] | undefined {
  const chain: Oid[] = [];
  for (let oid = tip; oid !== base;) {
    const [parent, ...others] = commits.links(oid).parents;
    if (parent === undefined || others.length > 0 || chain.length >= MOST_CHAIN_COMMITS) return undefined;
    chain.push(oid);
    oid = parent;
  }
  return chain.reverse();
}

/** Reads each commit once, and ends history where a shallow clone does. */
class Commits {
  private readonly known = new Map<Oid, CommitLinks>();
  /** The commits at which history ends here and goes on elsewhere, of those that were looked at. */
  readonly cut = new Set<Oid>();

  constructor(
    private readonly source: ObjectSource,
    private readonly shallow: ReadonlySet<Oid>,
  ) {}

  links(oid: Oid): CommitLinks {
    let links = this.known.get(oid);
    if (links === undefined) {
      links = readCommitLinks(this.source, oid);
      if (this.shallow.has(oid)) {
        if (links.parents.length > 0) this.cut.add(oid);
        links = { parents: [], date: links.date };
      }
      this.known.set(oid, links);
    }
    return links;
  }
}

const FROM_A = 1;
const FROM_B = 2;
/** Behind a common ancestor: common too, but of no interest. */
const BEHIND = 4;

/**
 * Walks both histories newest first and paints each commit with the sides that it was reached from; where
 * both colours meet is a common ancestor. Ends when only commits behind those are left.
 * (The same idea as git's `paint_down_to_common`.)
 */
function paintCommon(commits: Commits, a: Oid, b: Oid): Oid[] {
  return paint(commits, a, b).common;
}

function paint(commits: Commits, a: Oid, b: Oid): { common: Oid[]; openEnds: Meeting['openEnds'] } {
  const colours = new Map<Oid, number>();
  const found = new Set<Oid>();
  const queue = new NewestFirst(commits);
  let interesting = 0;
  const reach = (oid: Oid, colour: number): void => {
    const before = colours.get(oid) ?? 0;
    const after = before | colour;
    if (after === before) return;
    colours.set(oid, after);
    if (queue.has(oid)) {
      if ((before & BEHIND) === 0 && (after & BEHIND) !== 0) interesting--;
    } else {
      queue.add(oid);
      if ((after & BEHIND) === 0) interesting++;
    }
  };
  reach(a, FROM_A);
  reach(b, FROM_B);
  const step = (): void => {
    const oid = queue.take();
    let colour = colours.get(oid) ?? 0;
    if ((colour & BEHIND) === 0) interesting--;
    if ((colour & (FROM_A | FROM_B)) === (FROM_A | FROM_B)) {
      if ((colour & BEHIND) === 0) found.add(oid);
      colour |= BEHIND;
    }
    for (const parent of commits.links(oid).parents) reach(parent, colour);
  };
  const isOver = (): boolean => interesting === 0;
  while (!isOver()) step();
  // Reached from both sides it is a base, or behind one: what follows is behind one too.
  const openEnds = (): Meeting['openEnds'] =>
    [...commits.cut].flatMap((commit): Meeting['openEnds'] => {
      const colour = colours.get(commit) ?? 0;
      return colour === FROM_A ? [{ commit, of: 'a' }] : colour === FROM_B ? [{ commit, of: 'b' }] : [];
    });
  // Where clocks are wrong an end may have been reached before the base that it lies behind.
  if (found.size > 0 && openEnds().length > 0) while (!queue.isEmpty) step();
  return { common: [...found].filter((oid) => ((colours.get(oid) ?? 0) & BEHIND) === 0), openEnds: openEnds() };
}

/** All that is reachable from `tip`, itself included. @throws KbError E_CORRUPT when a commit is missing */
export function reachableFrom(source: ObjectSource, tip: Oid, shallow: ReadonlySet<Oid>): ReadonlySet<Oid> {
  return reachable(new Commits(source, shallow), tip);
}

function reachable(commits: Commits, tip: Oid): Set<Oid> {
  const seen = new Set<Oid>([tip]);
  for (const oid of seen) for (const parent of commits.links(oid).parents) seen.add(parent);
  return seen;
}

/** Seconds that the clocks of two writers may differ by without a commit being taken for a new one. */
const CLOCK_SLACK = 24 * 3600;

/** What is reachable from `tip` and not from `base`. */
function paintBeyond(commits: Commits, tip: Oid, base: Oid): Set<Oid> {
  const colours = new Map<Oid, number>();
  const queue = new NewestFirst(commits);
  // painted from the tip alone, so far
  const wanted = new Set<Oid>();
  let open = 0;
  let reachesRoot = false;
  let oldest = Infinity;
  const paint = (oid: Oid, colour: number): void => {
    const before = colours.get(oid) ?? 0;
    const after = before | colour;
    if (after === before) return;
    colours.set(oid, after);
    const inQueue = queue.has(oid);
    if (after === FROM_A) {
      wanted.add(oid);
      open++;
    } else {
      wanted.delete(oid);
      if (before === FROM_A && inQueue) open--;
    }
    if (!inQueue) queue.add(oid);
  };
  paint(tip, FROM_A);
  paint(base, FROM_B);
  // When nothing is left that only the tip reaches, base's side still walks on as far as the oldest wanted
  // commit, and a day further: clocks that went wrong can hide a way from base to it. Where the tip's side came to a root the
  // histories did not meet yet, and then base's side walks to its end.
  while (!queue.isEmpty && (open > 0 || reachesRoot || queue.newestDate >= oldest - CLOCK_SLACK)) {
    const oid = queue.take();
    const colour = colours.get(oid) ?? 0;
    const { parents, date } = commits.links(oid);
    if (colour === FROM_A) {
      open--;
      oldest = Math.min(oldest, date);
      reachesRoot ||= parents.length === 0;
    }
    for (const parent of parents) paint(parent, colour);
  }
  return wanted;
}

function parentsFirst(commits: Commits, tip: Oid, wanted: ReadonlySet<Oid>): Oid[] {
  const ordered: Oid[] = [];
  const seen = new Set<Oid>();
  // no recursion: a history is deeper than a stack
  const path: { oid: Oid; next: number }[] = [];
  const enter = (oid: Oid): void => {
    if (!wanted.has(oid) || seen.has(oid)) return;
    seen.add(oid);
    path.push({ oid, next: 0 });
  };
  enter(tip);
  for (let top = path[0]; top !== undefined; top = path[path.length - 1]) {
    const parent = commits.links(top.oid).parents[top.next++];
    if (parent !== undefined) {
      enter(parent);
    } else {
      ordered.push(top.oid);
      path.pop();
    }
  }
  return ordered;
}

/** A heap of commits, the newest on top. */
class NewestFirst {
  private readonly heap: { oid: Oid; date: number }[] = [];
  private readonly members = new Set<Oid>();

  constructor(private readonly commits: Commits) {}

  get isEmpty(): boolean {
    return this.heap.length === 0;
  }

  get newestDate(): number {
    return this.heap[0]?.date ?? -Infinity;
  }

  has(oid: Oid): boolean {
    return this.members.has(oid);
  }

  add(oid: Oid): void {
    const { heap } = this;
    this.members.add(oid);
    const item = { oid, date: this.commits.links(oid).date };
    let at = heap.length;
    heap.push(item);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const other = heap[above] as { oid: Oid; date: number };
      if (other.date >= item.date) break;
      heap[at] = other;
      at = above;
    }
    heap[at] = item;
  }

  take(): Oid {
    const { heap } = this;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined)
      throw new KbError('E_INTERNAL', 'an empty queue of commits was asked for one');
    this.members.delete(top.oid);
    if (heap.length > 0) {
      let at = 0;
      for (;;) {
        let below = at * 2 + 1;
        const right = heap[below + 1];
        if (right !== undefined && right.date > (heap[below] as { date: number }).date) below++;
        const other = heap[below];
        if (other === undefined || other.date <= last.date) break;
        heap[at] = other;
        at = below;
      }
      heap[at] = last;
    }
    return top.oid;
  }
}
