import type { Disk } from '../disk/disk.js';
import { asStorageError, isErrno } from '../disk/durable.js';
import { isKbError, KbError } from '../errors.js';
import type { LockClock } from './clock.js';
import { lookAtLock, notADirectory, type LockPaths } from './layout.js';
import type { Place } from './line.js';
import { moveAway } from './removal.js';

/**
 * The lock directory while one attempt to hold it lasts, and as proper-lockfile sees it: its `mkdir`, `stat`,
 * `utimes` and `rmdir` (the synchronous four it calls) mean here "take", "is it still mine", "beat", "give back".
 *
 * Held or not is decided by the id in the lock alone. proper-lockfile decides by the directory's mtime, which
 * anybody's `touch` changes; `statSync` therefore answers with the mtime proper-lockfile set last as long as
 * the id is ours, and with ENOENT once it is not.
 *
 * Nothing is written into the directory after the rename: its mtime is the heartbeat.
 */
export class HeldDirectory {
  private readonly abort = new AbortController();
  private heartbeat: Date | undefined;
  private beatAtMs = 0;
  private isReleased = false;

  constructor(
    private readonly disk: Disk,
    private readonly paths: LockPaths,
    private readonly place: Place,
    private readonly clock: LockClock,
    private readonly heartbeatMs: number,
  ) {}

  get id(): string {
    return this.place.owner.id;
  }

  /** Aborted as soon as somebody here knows that the lock was lost; its reason is the E_LOCK_LOST error. */
  get lost(): AbortSignal {
    return this.abort.signal;
  }

  /**
   * Before each ref write and push. Reads the lock itself: a lock that was taken away without a word, while this
   * process was suspended or blocked, is found here and nowhere else.
   * Broken by: test/unit/lock/lock.test.ts "assertHeld".
   * @throws KbError E_LOCK_LOST; E_STORAGE when the lock cannot be read (then nothing may be pushed either)
   */
  assertHeld(): void {
    if (this.isReleased) throw new KbError('E_LOCK_LOST', 'the lock was released already');
    this.abort.signal.throwIfAborted();
    let isOurs: boolean;
    try {
      isOurs = this.isOurs();
    } catch (error) {
      throw asStorageError(error, 'read the lock');
    }
    if (!isOurs) {
      this.markLost();
      this.abort.signal.throwIfAborted();
    }
    this.beatIfOverdue();
  }

  /** Never throws, whatever is wrong: it is called from proper-lockfile's timer. */
  readonly markLost = (): void => {
    if (this.abort.signal.aborted || this.isReleased) return;
    this.abort.abort(
      new KbError('E_LOCK_LOST', `the lock on ${this.paths.directory} was taken away from this process`),
    );
  };

  /** Gives the lock back if it is still ours. @throws the file system's errors */
  release(): void {
    try {
      this.moveOwnAway();
    } finally {
      this.isReleased = true;
    }
  }

  /** Called by proper-lockfile; every method is synchronous. */
  readonly fileSystem = {
    mkdirSync: (): void => this.take(),

    statSync: (path: string): { mtime: Date } => {
      if (this.heartbeat === undefined) return this.disk.lstatSync(path); // somebody else's lock, before ours
      if (!this.isOurs()) throw errno('ENOENT', 'the lock is not ours any more');
      return { mtime: this.heartbeat };
    },

    utimesSync: (path: string, accessed: Date, modified: Date): void => {
      this.disk.utimesSync(path, accessed, modified);
      this.heartbeat = modified;
      this.beatAtMs = this.clock.monotonicMs();
    },

    /** Also called when the process ends. Never removes a lock of somebody else. */
    rmdirSync: (): void => {
      if (!this.isReleased) this.moveOwnAway();
    },
  };

  /**
   * Renames the prepared directory onto the lock's name: it is there at once and whole, or not at all. rename(2)
   * refuses a target directory that is not empty, and ours never are. An empty one is another program's lock
   * (plain mkdir); rename would replace it, so it is looked for first.
   * @throws EEXIST when the KB is locked
   */
  private take(): void {
    let taken: boolean;
    try {
      const sight = lookAtLock(this.disk, this.paths);
      taken = sight === undefined;
      if (taken) this.disk.renameSync(this.place.path, this.paths.lock);
    } catch (error) {
      taken = this.explainRefusal(error);
    }
    if (!taken) throw errno('EEXIST', 'the lock is held');
    this.heartbeat = new Date(this.clock.wallMs());
    this.beatAtMs = this.clock.monotonicMs();
  }

  /** @returns true when the rename took place after all; throws unless the lock is simply held */
  private explainRefusal(error: unknown): boolean {
    if (isErrno(error, 'ENOTDIR')) throw notADirectory(this.paths.lock);
    const sight = lookAtLock(this.disk, this.paths);
    // A network file system may have done the rename and lost the reply; asked again, it says ENOENT.
    if (sight?.key === this.id) return true;
    // POSIX: ENOTEMPTY or EEXIST. Windows: EPERM or EACCES for any existing target.
    if (isErrno(error, 'ENOTEMPTY', 'EEXIST') || (sight !== undefined && isErrno(error, 'EPERM', 'EACCES')))
      return false;
    throw error;
  }

  private isOurs(): boolean {
    try {
      return lookAtLock(this.disk, this.paths)?.key === this.id;
    } catch (error) {
      if (isKbError(error, 'E_UNSAFE_STATE')) return false; // somebody put a file or a link in its place
      throw error;
    }
  }

  private moveOwnAway(): void {
    moveAway(this.disk, this.paths, { key: this.id, owner: this.place.owner, trace: '' });
  }

  /**
   * Long synchronous work starves the heartbeat's timer; the checks between its steps beat instead. Behind
   * proper-lockfile's back: it takes a time that it did not set itself for a lost lock.
   */
  private beatIfOverdue(): void {
    const nowMs = this.clock.monotonicMs();
    if (nowMs - this.beatAtMs < this.heartbeatMs) return;
    const now = new Date(this.clock.wallMs());
    try {
      this.disk.utimesSync(this.paths.lock, now, now);
      this.beatAtMs = nowMs;
    } catch {
      // the next beat or check tells whether the lock is lost
    }
  }
}

function errno(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
