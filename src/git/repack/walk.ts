import { KbError } from '../../errors.js';
import { EMPTY_TREE, ZERO_OID, type Oid } from '../ids.js';
import { readCommitLinks } from '../objects/commit.js';
import type { GitObject, ObjectType } from '../objects/object.js';
import { TreeScanner } from '../objects/tree.js';
import { LOOSE } from './object-table.js';
import { changedMeanwhile, type StoredObjects } from './stored-objects.js';

/** A ref leads to it. */
export const REACHABLE = 1;
/** Nothing leads to it but an object that is young itself. */
export const NEEDED_BY_YOUNG = 2;

const GITLINK = 0o160000;
const TREE_BITS = 0o170000;
const TREE = 0o040000;

/** Lets timers and signals in between the steps of long work. @throws what the signal was aborted with */
export type Breathe = (done: number) => Promise<void>;

/**
 * What was reached, in the order in which a pack should hold it: what one reads together lies together, the newest
 * first.
 */
export interface ReachedObjects {
  readonly commits: number[];
  readonly tags: number[];
  readonly trees: number[];
  readonly blobs: number[];
}

/** Walks from roots over everything that they lead to, each object once. */
export class Walk {
  readonly reached: ReachedObjects = { commits: [], tags: [], trees: [], blobs: [] };
  /**
   * For a file or folder what stood at the same path in the nearest newer commit; for a loose one that is the newest
   * itself, what stood there in an older one that is packed; −1: nothing.
   */
  readonly otherVersions: Int32Array;
  /** A root is not here. */
  hasMissed = false;
  private readonly newestAt = new Map<number, number>();
  private done = 0;

  /**
   * @param shallow commits whose parents are not here
   * @param isPartial what is missing was promised by the remote
   */
  constructor(
    private readonly objects: StoredObjects,
    private readonly shallow: ReadonlySet<Oid>,
    private readonly isPartial: boolean,
    private readonly breathe: Breathe,
  ) {
    this.otherVersions = new Int32Array(objects.table.count).fill(-1);
  }

  /**
   * @param mark what the objects are marked with; those that carry a mark already are not visited again
   * @param mayMiss what is not here is passed over
   * @throws KbError E_CORRUPT when an object is missing or damaged
   */
  async from(roots: Iterable<Oid>, mark: number, mayMiss: boolean): Promise<void> {
    const { table } = this.objects;
    const id = Buffer.alloc(20);
    const numbers: number[] = [];
    for (const root of roots) {
      id.write(root, 'hex');
      const number = table.find(id);
      if (number >= 0) numbers.push(number);
      else if (!mayMiss) this.missing(root);
      else if (root !== ZERO_OID) this.hasMissed = true;
    }
    await this.fromNumbers(numbers, mark, mayMiss);
  }

  /** As `from`, for objects of the table. */
  async fromNumbers(roots: readonly number[], mark: number, mayMiss: boolean): Promise<void> {
    const { table } = this.objects;
    const queue: number[] = [];
    const trees: number[] = [];
    for (const root of roots) this.enter(root, this.typeOf(root, mayMiss), mark, queue, trees);
    const follow = (id: Buffer, at: number, expected?: ObjectType): void => {
      const number = table.find(id, at);
      if (number < 0) {
        if (!mayMiss) this.missing(id.toString('hex', at, at + 20) as Oid);
      } else if (table.marks[number] === 0) {
        this.enter(number, expected ?? this.typeOf(number, mayMiss), mark, queue, trees);
      }
    };
    const id = Buffer.alloc(20);
    // The queue grows while it is gone through: by parents, so that newer commits come first.
    for (let at = 0; at < queue.length; at += 1) {
      const number = queue[at] as number;
      await this.step();
      const object = this.read(number, mayMiss);
      if (object?.type === 'commit') {
        const oid = table.oid(number);
        const { parents } = readCommitLinks({ read: () => object, find: () => object, has: () => true }, oid);
        // readCommitLinks has seen that the first line is `tree ID`
        id.write(object.data.toString('latin1', 5, 45), 'hex');
        const tree = table.find(id);
        if (tree >= 0) trees.push(tree);
        else if (!mayMiss) this.missing(id.toString('hex') as Oid);
        if (this.shallow.has(oid)) continue;
        for (const parent of parents) {
          id.write(parent, 'hex');
          follow(id, 0, 'commit');
        }
      } else if (object?.type === 'tag') {
        id.write(object.data.toString('latin1', 7, 47), 'hex');
        follow(id, 0);
      }
    }
    for (const tree of trees) {
      await this.step();
      if (table.marks[tree] === 0) this.enterTree(tree, mark, mayMiss);
    }
  }

  private enter(number: number, type: ObjectType | undefined, mark: number, queue: number[], trees: number[]): void {
    const { marks } = this.objects.table;
    if (marks[number] !== 0 || type === undefined) return;
    if (type === 'tree') {
      trees.push(number);
      return;
    }
    marks[number] = mark;
    if (type === 'blob') {
      this.reached.blobs.push(number);
      return;
    }
    (type === 'commit' ? this.reached.commits : this.reached.tags).push(number);
    queue.push(number);
  }

  /**
   * A tree and all below it. However deep they are nested: what a remote has sent once may be named by a reflog for
   * months, and the rest is to be packed all the same. So without recursion, and of the trees that wait nothing is in
   * memory but their number. (Broken by: test/e2e/bombs.test.ts)
   */
  private enterTree(root: number, mark: number, mayMiss: boolean): void {
    const { table } = this.objects;
    table.marks[root] = mark;
    // each with a number that stands for the folder's path
    const waiting = [{ tree: root, path: 0 }];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { tree, path } = next;
      this.reached.trees.push(tree);
      this.pair(tree, path);
      const object = this.read(tree, mayMiss);
      if (object === undefined) continue;
      if (object.type !== 'tree')
        throw new KbError('E_CORRUPT', `object ${table.oid(tree)} is a ${object.type} where a tree belongs`);
      const scanner = new TreeScanner(object.data);
      while (scanner.next()) {
        const kind = scanner.mode & TREE_BITS;
        if (kind === GITLINK) continue;
        const entry = table.find(object.data, scanner.end - 20);
        if (entry < 0) {
          if (!mayMiss) this.missing(scanner.oid);
          continue;
        }
        if (table.marks[entry] !== 0) continue;
        const inner = hashName(path, object.data, scanner.nameStart, scanner.nameEnd);
        this.done += 1;
        table.marks[entry] = mark;
        if (kind === TREE) {
          waiting.push({ tree: entry, path: inner });
        } else {
          this.reached.blobs.push(entry);
          this.pair(entry, inner);
        }
      }
    }
  }

  private pair(number: number, path: number): void {
    const newest = this.newestAt.get(path);
    const { sources } = this.objects.table;
    if (newest !== undefined && newest !== number) {
      this.otherVersions[number] = newest;
      const isFirstPacked = sources[newest] === LOOSE && sources[number] !== LOOSE;
      if (isFirstPacked && this.otherVersions[newest] === -1) this.otherVersions[newest] = number;
    }
    this.newestAt.set(path, number);
  }

  private typeOf(number: number, mayMiss: boolean): ObjectType | undefined {
    try {
      return this.objects.header(number).type;
    } catch (error) {
      // What only might be of use and is damaged leads nowhere; it stays where it is all the same.
      if (mayMiss && error instanceof KbError && error.code === 'E_CORRUPT') return undefined;
      throw error;
    }
  }

  private read(number: number, mayMiss: boolean): GitObject | undefined {
    try {
      return this.objects.read(number);
    } catch (error) {
      if (mayMiss && error instanceof KbError && error.code === 'E_CORRUPT') return undefined;
      throw error;
    }
  }

  private missing(oid: Oid): void {
    if (this.isPartial || oid === EMPTY_TREE) return;
    // Packed by somebody in the instant between two listings: it is there, but not where it was.
    if (this.objects.appearedSince(oid)) throw changedMeanwhile();
    throw new KbError('E_CORRUPT', `object ${oid} is missing from ${this.objects.objectsDirectory}`, {
      details: { oid },
    });
  }

  private async step(): Promise<void> {
    this.done += 1;
    await this.breathe(this.done);
  }
}

/** FNV-1a over the names on the way; two paths with the same number only make a poor pair. */
function hashName(path: number, bytes: Buffer, from: number, to: number): number {
  let hash = path ^ 0x811c9dc5;
  for (let at = from; at < to; at += 1) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  return Math.imul(hash ^ 0x2f, 0x01000193);
}
