import { monotonicMs } from '../monotonic.js';
import type { Disk } from './disk.js';
import { asStorageError, isErrno, removeFile, syncDirectory, writeFully } from './durable.js';
import { KbError } from '../errors.js';
import { dirname } from 'node:path';
import { newMark, type LockMarks } from './lock-marks.js';

/** Time and chance, injected so that tests need not wait. All times in milliseconds. */
export interface LockTiming {
  /** Monotonic. */
  now(): number;
  random(): number;
  sleep(ms: number): void;
}

export interface LockFileOptions {
  /** How long to wait for somebody else's lock, in milliseconds. Default 1000, as git waits for packed-refs. */
  readonly waitMs?: number;
  readonly timing?: LockTiming;
  /**
   * Lock what a symlinked file points to, as git does for index and packed-refs; a ref that is a symlink
   * is replaced itself. Default false.
   */
  readonly followSymlink?: boolean;
  /** Says whose lock it is, so that others can clear it away should this process be killed. */
  readonly marks?: LockMarks;
}

export const systemTiming: LockTiming = {
  now: monotonicMs,
  random: Math.random,
  sleep: (ms) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms),
};

const FIRST_PAUSE_MS = 4;
const LONGEST_PAUSE_MS = 100;

/**
 * Git's own lock on one of its files: `FILE.lock`, created only if it is not there, is the right to
 * replace FILE; the new content is written into it and renamed over FILE. Every git implementation
 * that follows this (Documentation/technical/api-lockfile, now lockfile.h) excludes every other.
 *
 * A lock that looks abandoned is never taken away here: its owner may be a stopped process, and then
 * two would write the same file.
 */
export class LockFile {
  readonly path: string;
  private descriptor: number | undefined;
  private held = true;

  private constructor(
    private readonly disk: Disk,
    readonly target: string,
    descriptor: number,
    private readonly mark: string | undefined,
  ) {
    this.path = `${target}.lock`;
    this.descriptor = descriptor;
  }

  /**
   * @throws KbError E_UNSAFE_STATE (retryable) when somebody else still holds it after `waitMs`
   * @throws NodeJS.ErrnoException ENOENT, ENOTDIR when the directory is not there (refs make it and try again)
   * @throws KbError E_STORAGE
   */
  static acquire(disk: Disk, target: string, options: LockFileOptions = {}): LockFile {
    const timing = options.timing ?? systemTiming;
    const real = options.followSymlink === true ? realTarget(disk, target) : target;
    const path = `${real}.lock`;
    const deadline = timing.now() + (options.waitMs ?? 1000);
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        const { descriptor, mark } = create(disk, path, options.marks);
        return new LockFile(disk, real, descriptor, mark);
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw asStorageError(error, `create ${path}`);
      }
      const left = deadline - timing.now();
      if (left <= 0) throw heldByAnother(path);
      // Jitter, so that several waiters do not meet again at every attempt.
      timing.sleep(Math.min(left, pause * (0.5 + timing.random() / 2)));
    }
  }

  write(data: Uint8Array): void {
    if (this.descriptor === undefined) throw new KbError('E_INTERNAL', `${this.path} is already closed`);
    writeFully(this.disk, this.descriptor, data);
  }

  /**
   * Ends the writing. After it only a rename is missing, so what can fail for lack of space has failed.
   * @param durable the content must survive a power cut: fsync
   */
  close(durable = true): void {
    if (this.descriptor === undefined) return;
    try {
      if (durable) this.disk.fsyncSync(this.descriptor);
    } finally {
      this.disk.closeSync(this.descriptor);
      this.descriptor = undefined;
    }
  }

  /** Puts what was written in the place of the target and gives the lock back. */
  commit(options: { readonly durable?: boolean } = {}): void {
    const durable = options.durable ?? true;
    this.close(durable);
    keepPermissions(this.disk, this.target, this.path);
    this.disk.renameSync(this.path, this.target);
    this.held = false;
    this.removeMark();
    if (durable) syncDirectory(this.disk, dirname(this.target));
  }

  /**
   * Gives the lock back and leaves the target as it is; nothing happens after `commit`.
   * @throws KbError E_STORAGE when the lock file cannot be removed: it then stands in everybody's way
   */
  release(): void {
    if (!this.held) return;
    this.held = false;
    try {
      try {
        this.close(false);
      } finally {
        removeFile(this.disk, this.path);
        this.removeMark();
      }
    } catch (error) {
      throw asStorageError(error, `remove the lock ${this.path}`);
    }
  }

  /** Only after the lock file is gone: until then the mark says whose it is. */
  private removeMark(): void {
    if (this.mark !== undefined) removeFile(this.disk, this.mark);
  }
}

/** Creates the lock file exclusively, as a second name of its mark where marks are kept. */
function create(
  disk: Disk,
  path: string,
  marks: LockMarks | undefined,
): { descriptor: number; mark: string | undefined } {
  if (marks === undefined) return { descriptor: disk.openSync(path, 'wx', 0o666), mark: undefined };
  const mark = newMark(marks);
  disk.mkdirSync(marks.directory, { recursive: true });
  const descriptor = disk.openSync(mark, 'wx', 0o666);
  try {
    disk.linkSync(mark, path);
    return { descriptor, mark };
  } catch (error) {
    disk.closeSync(descriptor);
    removeFile(disk, mark);
    if (!isErrno(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS')) throw error;
    // A volume without hard links: the lock works all the same, only `kb unlock` must clear it after a kill.
    return { descriptor: disk.openSync(path, 'wx', 0o666), mark: undefined };
  }
}

function realTarget(disk: Disk, path: string): string {
  try {
    return disk.lstatSync(path).isSymbolicLink() ? disk.realpathSync(path) : path;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return path;
    throw asStorageError(error, `look at ${path}`);
  }
}

/**
 * In a directory that several users share, a file made under a tighter umask would lock the others out
 * of the repository: the replacement keeps the permissions of what it replaces.
 */
function keepPermissions(disk: Disk, from: string, to: string): void {
  let mode: number;
  try {
    const before = disk.lstatSync(from);
    if (!before.isFile()) return;
    mode = before.mode & 0o777;
    if (mode === (disk.lstatSync(to).mode & 0o777)) return;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return;
    throw error;
  }
  disk.chmodSync(to, mode);
}

function heldByAnother(path: string): KbError {
  return new KbError('E_UNSAFE_STATE', `another git command is at work in this repository: ${path} exists`, {
    hint: 'wait for that command to end and try again; if none is running, clear what it left with: kb unlock',
    details: { lockFile: path },
    retryable: true,
  });
}
