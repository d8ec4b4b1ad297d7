import { dirname, join } from 'node:path';
import type { Disk } from '../../disk/disk.js';
import { asStorageError, isErrno, removeFile, syncDirectory } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import { asRefName, type Oid, type RefName } from '../ids.js';
import { comparePaths } from '../paths.js';
import { LockFile, type LockFileOptions, type LockTiming } from '../../disk/lock-file.js';
import type { LockMarks } from '../../disk/lock-marks.js';
import { listLooseRefs, readLooseRef, removeEmptyDirectories, removeEmptyParents, type RefValue } from './loose.js';
import { PackedRefs } from './packed-refs.js';
import { appendReflog, reflogPolicyOf, removeReflog, type ReflogPolicy } from './reflog.js';

const HEAD = asRefName('HEAD');
/** As git's SYMREF_MAXDEPTH: deeper is a loop. */
const MAX_SYMREF_DEPTH = 5;
/** How often a directory that others remove at the same moment is made again. */
const MAX_DIRECTORY_RACES = 20;

export interface RefsOptions {
  /** How long to wait for another writer's `.lock`, in milliseconds. Default 1000. */
  readonly lockWaitMs?: number;
  readonly timing?: LockTiming;
  /** Which refs get a new log. Default: what the repository's own config file says, else git's default. */
  readonly reflogs?: ReflogPolicy;
  /** Says whose the lock files are that this object takes. */
  readonly marks?: LockMarks;
}

export interface RefChange {
  /** A symref is followed: the ref it points to changes. */
  readonly name: RefName;
  /** The new value; null deletes the ref and its log. */
  readonly to: Oid | null;
  /** The value it must have now; null: it must not exist; undefined: whatever it has. */
  readonly expected?: Oid | null;
  /** For the reflog; white space is folded. */
  readonly message: string;
  /** Formatted committer signature, for the reflog. */
  readonly who: string;
  /** Called under the lock, before anything can be seen to change; a throw leaves everything as it was. */
  readonly fence?: () => void;
}

export interface SymbolicMove {
  /** The branch that it points to now, or the commit that it holds itself. */
  readonly expected: RefName | Oid;
  readonly message: string;
  /** Formatted committer signature, for the reflog. */
  readonly who: string;
  /** Called under the lock, before anything can be seen to change. */
  readonly fence: () => void;
}

/** Somebody else changed the ref first: nothing was written. `details`: ref, expected, actual (null: none). */
export class RefMoved extends KbError {
  constructor(ref: RefName, expected: string | null, actual: string | null) {
    super('E_UNSAFE_STATE', `${ref} moved meanwhile: ${actual ?? 'it is gone'} instead of ${expected ?? 'no ref'}`, {
      hint: 'run the same command again',
      details: { ref, expected, actual },
      retryable: true,
    });
  }
}

/** The refs of one repository in git's files format: loose files over `packed-refs`. */
export class Refs {
  private policy: ReflogPolicy | undefined;

  private constructor(
    private readonly disk: Disk,
    private readonly gitDir: string,
    private readonly options: RefsOptions,
  ) {
    this.policy = options.reflogs;
  }

  /** @throws KbError E_UNSAFE_STATE where refs are kept in another way: reftable, linked work tree */
  static open(disk: Disk, gitDir: string, options: RefsOptions = {}): Refs {
    if (exists(disk, join(gitDir, 'commondir'))) {
      throw new KbError('E_UNSAFE_STATE', `${gitDir} belongs to a linked work tree (git worktree add)`, {
        hint: 'use kb in the main work tree, or make a clone of its own with: kb clone',
      });
    }
    if (exists(disk, join(gitDir, 'reftable'))) {
      throw new KbError('E_UNSAFE_STATE', `${gitDir} keeps its refs in the reftable format`, {
        hint: 'change it with: git refs migrate --ref-format=files',
      });
    }
    return new Refs(disk, gitDir, options);
  }

  /** @throws KbError E_CORRUPT when a ref on the way is broken or symrefs go in a circle */
  resolve(name: RefName): Oid | undefined {
    return this.follow(name).oid;
  }

  /**
   * What is checked out: the branch (undefined: detached) and its commit (undefined: nothing on it yet).
   * @throws KbError E_CORRUPT
   */
  head(): { readonly branch?: RefName; readonly oid?: Oid } {
    const value = this.read(HEAD);
    if (value === undefined)
      throw new KbError('E_CORRUPT', `HEAD is missing in ${this.gitDir}`, {
        hint: 'set it with: git symbolic-ref HEAD refs/heads/main',
      });
    if (value.target === undefined) return { oid: value.oid };
    const oid = this.resolve(value.target);
    return { branch: value.target, ...(oid && { oid }) };
  }

  /**
   * Every ref whose full name starts with `prefix`, with the object it leads to, sorted by name. Symrefs
   * to nothing are left out, as `git for-each-ref` does.
   * @throws KbError E_CORRUPT when one of them is broken
   */
  list(prefix: string): Map<RefName, Oid> {
    // Loose first: a ref that is packed between the two steps is then seen in the second.
    const loose = listLooseRefs(this.disk, this.gitDir, folderOf(prefix)).filter((name) => name.startsWith(prefix));
    const found = new Map<RefName, Oid | undefined>(PackedRefs.read(this.disk, this.gitDir).entries(prefix));
    for (const name of loose) found.set(name, this.resolve(name));
    const known = [...found].filter((pair): pair is [RefName, Oid] => pair[1] !== undefined);
    return new Map(known.sort(([a], [b]) => comparePaths(a, b)));
  }

  /**
   * Compare-and-swap under the ref's `.lock`, which native git honours too. Locks the ref, then every
   * symref whose log tells of the change (HEAD, when its branch moves), always in this order.
   * @throws RefMoved when `expected` is not what the ref holds
   * @throws KbError E_UNSAFE_STATE when a lock is held, or the name is a folder of another ref or below one
   * @throws KbError E_STORAGE, E_CORRUPT
   */
  update(change: RefChange): void {
    const { chain, name } = this.follow(change.name);
    if (change.to === null && name === HEAD) throw new KbError('E_USAGE', 'HEAD cannot be deleted');
    const symrefs = new Set(chain.slice(0, -1));
    if (name !== HEAD && this.pointsTo(HEAD, name)) symrefs.add(HEAD);

    const locks: LockFile[] = [];
    try {
      const lock = this.lock(name);
      locks.push(lock);
      for (const symref of symrefs) locks.push(this.lock(symref));
      // Only now nobody can change them: what was read before may be out of date.
      const { name: nameNow, oid: actual } = this.follow(change.name);
      if (nameNow !== name) throw new RefMoved(change.name, change.expected ?? null, actual ?? null);
      if (change.expected !== undefined && (change.expected ?? undefined) !== actual) {
        throw new RefMoved(name, change.expected, actual ?? null);
      }
      if ((change.to ?? undefined) === actual) return;
      const logged = [...symrefs].filter((symref) => this.pointsTo(symref, name));
      if (change.to === null) this.delete(change, name, actual, logged);
      else this.write(change, name, change.to, actual, logged, lock);
    } catch (error) {
      throw asStorageError(error, `update the ref ${name}`);
    } finally {
      // The ref's own lock last: whoever waits for it then finds the others free.
      releaseAll(locks.reverse());
    }
    if (change.to === null) removeEmptyParents(this.disk, this.gitDir, name);
  }

  /**
   * Makes `name` a symref; its target need not exist (a branch without commits).
   * @param move of HEAD to another branch: what it must hold now, and the entry of its log
   * @throws RefMoved when it holds something else
   * @throws KbError E_UNSAFE_STATE when its lock is held; E_USAGE when it would point to itself
   */
  setSymbolic(name: RefName, target: RefName, move?: SymbolicMove): void {
    if (target === HEAD || target === name) throw new KbError('E_USAGE', `${name} cannot point to ${target}`);
    const lock = this.lock(name);
    try {
      const value = this.read(name);
      if (name !== HEAD && value === undefined) this.assertNameIsFree(name);
      const held = value?.target ?? value?.oid;
      if (move !== undefined && held !== move.expected) throw new RefMoved(name, move.expected, held ?? null);
      lock.write(Buffer.from(`ref: ${target}\n`));
      if (move !== undefined) {
        lock.close();
        move.fence();
        const before = value?.target === undefined ? value?.oid : this.resolve(value.target);
        const after = this.resolve(target);
        if (after !== undefined)
          this.log({ name, to: null, message: move.message, who: move.who }, [name], before, after);
      }
      this.install(lock, name);
    } catch (error) {
      throw asStorageError(error, `write the ref ${name}`);
    } finally {
      lock.release();
    }
  }

  /** Makes HEAD hold a commit itself: no branch is checked out then. @throws KbError E_UNSAFE_STATE, E_STORAGE */
  detach(commit: Oid, { message, who }: Pick<RefChange, 'message' | 'who'>): void {
    const lock = this.lock(HEAD);
    try {
      const value = this.read(HEAD);
      const before = value?.target === undefined ? value?.oid : this.resolve(value.target);
      lock.write(Buffer.from(`${commit}\n`));
      lock.close();
      this.log({ name: HEAD, to: commit, message, who }, [HEAD], before, commit);
      this.install(lock, HEAD);
    } catch (error) {
      throw asStorageError(error, 'write HEAD');
    } finally {
      lock.release();
    }
  }

  private write(
    change: RefChange,
    name: RefName,
    to: Oid,
    actual: Oid | undefined,
    logged: readonly RefName[],
    lock: LockFile,
  ): void {
    if (actual === undefined) this.assertNameIsFree(name);
    lock.write(Buffer.from(`${to}\n`));
    // All that can fail for lack of space is written before the fence, so that little time is behind it.
    lock.close();
    change.fence?.();
    this.log(change, [...logged, name], actual, to);
    this.install(lock, name);
  }

  /**
   * From packed-refs first, then the loose file: the other way round, a crash in between would bring
   * back the old value that packed-refs still holds.
   */
  private delete(change: RefChange, name: RefName, actual: Oid | undefined, logged: readonly RefName[]): void {
    const packed = LockFile.acquire(this.disk, join(this.gitDir, 'packed-refs'), {
      ...this.lockOptions(),
      followSymlink: true,
    });
    try {
      const rest = PackedRefs.read(this.disk, this.gitDir).without(name);
      if (rest !== undefined) packed.write(rest);
      packed.close();
      change.fence?.();
      this.log(change, logged, actual, undefined);
      // A ref without its log does less harm than a log without its ref, which blocks names below it.
      removeReflog(this.disk, this.gitDir, name);
      if (rest !== undefined) packed.commit();
      const path = join(this.gitDir, name);
      removeFile(this.disk, path);
      syncDirectory(this.disk, dirname(path));
    } finally {
      packed.release();
    }
  }

  private log(change: RefChange, names: readonly RefName[], before: Oid | undefined, after: Oid | undefined): void {
    this.policy ??= reflogPolicyOf(this.disk, this.gitDir);
    const entry = { before, after, who: change.who, message: change.message };
    for (const name of names) appendReflog(this.disk, this.gitDir, name, entry, this.policy);
  }

  private install(lock: LockFile, name: RefName): void {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return lock.commit();
      } catch (error) {
        // Somebody may have made a folder there since it was cleared, to create a ref in it.
        const isFolder =
          isErrno(error, 'EISDIR', 'ENOTEMPTY', 'EEXIST', 'EPERM') && isDirectory(this.disk, join(this.gitDir, name));
        if (!isFolder || attempt >= MAX_DIRECTORY_RACES) throw error;
        this.clearFolder(name);
      }
    }
  }

  /** Makes the folders on the way; they may vanish under it while others delete refs. */
  private lock(name: RefName): LockFile {
    const path = join(this.gitDir, name);
    for (let attempt = 0; ; attempt += 1) {
      try {
        return LockFile.acquire(this.disk, path, this.lockOptions());
      } catch (error) {
        if (attempt >= MAX_DIRECTORY_RACES || !isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
      }
      try {
        this.disk.mkdirSync(dirname(path), { recursive: true });
      } catch (error) {
        if (isErrno(error, 'EEXIST', 'ENOTDIR')) throw nameTaken(name, this.refAbove(name) ?? dirname(name), error);
        if (!isErrno(error, 'ENOENT')) throw asStorageError(error, `make the folder of ${name}`);
      }
    }
  }

  private lockOptions(): LockFileOptions {
    const { lockWaitMs, timing, marks } = this.options;
    return {
      ...(lockWaitMs !== undefined && { waitMs: lockWaitMs }),
      ...(timing && { timing }),
      ...(marks && { marks }),
    };
  }

  /** A ref cannot be a file and a folder: `refs/heads/a` and `refs/heads/a/b` exclude each other, packed or not. */
  private assertNameIsFree(name: RefName): void {
    const above = this.refAbove(name);
    if (above !== undefined) throw nameTaken(name, above);
    const [below] = [...listLooseRefs(this.disk, this.gitDir, name), ...this.packedBelow(name)];
    if (below !== undefined) throw nameTaken(name, below);
    this.clearFolder(name);
  }

  /** Deleted refs `name/…` may have left empty folders where the file must go. */
  private clearFolder(name: RefName): void {
    const path = join(this.gitDir, name);
    if (isDirectory(this.disk, path) && !removeEmptyDirectories(this.disk, path))
      throw nameTaken(name, `a file below ${path}`);
  }

  private refAbove(name: RefName): RefName | undefined {
    const parts = name.split('/');
    for (let length = 2; length < parts.length; length += 1) {
      const above = parts.slice(0, length).join('/') as RefName;
      if (this.read(above) !== undefined) return above;
    }
    return undefined;
  }

  private packedBelow(name: RefName): RefName[] {
    for (const [below] of PackedRefs.read(this.disk, this.gitDir).entries(`${name}/`)) return [below];
    return [];
  }

  private pointsTo(symref: RefName, name: RefName): boolean {
    return symref !== name && this.follow(symref).name === name;
  }

  /** The ref and those it leads to; the last is no symref, and may not exist. */
  private follow(name: RefName): { readonly chain: RefName[]; readonly name: RefName; readonly oid: Oid | undefined } {
    const chain = [name];
    for (let last = name; ;) {
      const value = this.read(last);
      if (value?.target === undefined) return { chain, name: last, oid: value?.oid };
      last = value.target;
      chain.push(last);
      if (chain.length > MAX_SYMREF_DEPTH + 1) {
        throw new KbError('E_CORRUPT', `symbolic refs go in a circle: ${chain.join(' → ')}`, {
          details: { ref: name },
        });
      }
    }
  }

  private read(name: RefName): RefValue | undefined {
    const loose = readLooseRef(this.disk, this.gitDir, name);
    if (loose !== undefined || name === HEAD) return loose;
    const oid = PackedRefs.read(this.disk, this.gitDir).get(name);
    return oid && { oid };
  }
}

/** One that cannot be removed must not keep the others from it. */
function releaseAll([lock, ...rest]: readonly LockFile[]): void {
  if (lock === undefined) return;
  try {
    lock.release();
  } finally {
    releaseAll(rest);
  }
}

/** The deepest folder that holds every name with this prefix. */
function folderOf(prefix: string): string {
  const folder = prefix.slice(0, Math.max(0, prefix.lastIndexOf('/')));
  return folder.startsWith('refs') ? folder : 'refs';
}

function exists(disk: Disk, path: string): boolean {
  try {
    disk.lstatSync(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw asStorageError(error, `look at ${path}`);
  }
}

function isDirectory(disk: Disk, path: string): boolean {
  try {
    return disk.lstatSync(path).isDirectory();
  } catch {
    return false;
  }
}

function nameTaken(name: string, by: string, cause?: unknown): KbError {
  return new KbError('E_UNSAFE_STATE', `${name} cannot be created: ${by} is in the way`, {
    hint: 'choose another name, or delete the other branch first with: git branch -d',
    details: { ref: name, conflictsWith: by },
    cause,
  });
}
