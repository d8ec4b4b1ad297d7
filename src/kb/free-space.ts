import { isErrno } from '../disk/durable.js';
import type { Disk } from '../disk/disk.js';
import { KbError } from '../errors.js';

const MIB = 1024 * 1024;
const LEAST_RESERVE = 16 * MIB;
const MOST_RESERVE = 256 * MIB;
/** The volume is asked again after so many bytes, or so many files more that are to be made. */
const LOOK_EVERY = MIB;
const LOOK_EVERY_FILES = 100;

/**
 * Whether a little can be written later for sure: not where the volume is nearly full, and not where it cannot tell.
 * @param bytes under 1 MiB; the rest of the 16 MiB asked for is room for what others write meanwhile
 */
export function hasRoomToSpare(disk: Disk, directory: string, bytes: number): boolean {
  if (bytes > MIB) return false;
  try {
    const { bavail, bsize } = disk.statfsSync(directory);
    return bavail * bsize >= LEAST_RESERVE;
  } catch {
    return false;
  }
}

/**
 * Watches a volume while much is written to it. Invariant: the work ends with an error, and can clean up behind
 * itself, while there is still room: a full volume would also stop everybody else who writes to it (test: "stops
 * before the volume is full").
 *
 * What stays free: 1 % of the volume, within 16 to 256 MiB, and at most a tenth of a small one.
 */
export class FreeSpace {
  readonly reserve: number;
  /** Size of the volume's blocks: a file takes whole ones. */
  readonly blockBytes: number;
  private readonly lookEvery: number;
  private lookedAt = { done: 0, soon: 0, files: 0 };

  /**
   * @param directory on the volume
   * @param doing for messages: `clone into DIR`
   * @throws KbError E_STORAGE when the volume cannot be asked
   */
  constructor(
    private readonly disk: Disk,
    private readonly directory: string,
    private readonly doing: string,
  ) {
    const { blocks, bsize } = disk.statfsSync(directory);
    const volume = blocks * bsize;
    // Node gives a number as for fractions: V8 would compile all that counts in such blocks a second time.
    this.blockBytes = bsize | 0;
    this.reserve = Math.min(Math.max(volume / 100, LEAST_RESERVE), MOST_RESERVE, volume / 10);
    this.lookEvery = Math.min(LOOK_EVERY, this.reserve / 4);
  }

  /** What an ordinary user may still write, bytes. */
  get freeBytes(): number {
    const { bavail, bsize } = this.disk.statfsSync(this.directory);
    return bavail * bsize;
  }

  /**
   * To be called before work whose size is known, and all along as it becomes known.
   * @param bytes still to be written, as far as is known
   * @param files still to be made
   * @throws KbError E_STORAGE when they would not leave the reserve
   */
  require(bytes: number, files = 0): void {
    const { bavail, bsize, files: inodes, ffree } = this.disk.statfsSync(this.directory);
    const freeBytes = bavail * bsize;
    if (freeBytes - bytes < this.reserve) {
      throw this.tooSmall(
        `${mebibytes(freeBytes)} are free, and ${bytes === 0 ? '' : `${mebibytes(bytes)} more are needed; `}${mebibytes(this.reserve)} must stay free`,
        { freeBytes, neededBytes: bytes, reserveBytes: this.reserve },
      );
    }
    // A volume that counts no files (btrfs) says 0 of 0.
    if (inodes > 0 && ffree < files)
      throw this.tooSmall(`it has room for ${ffree} more files, and ${files} are needed`, { files, freeFiles: ffree });
  }

  /**
   * As `require`, for every piece of a stream: looks at the volume only now and then.
   * @param done bytes written so far @param soon bytes known to follow @param files known to follow
   */
  follow(done: number, soon = 0, files = 0): void {
    const { lookedAt, lookEvery } = this;
    const hasMoreFiles = files - lookedAt.files >= LOOK_EVERY_FILES;
    if (done - lookedAt.done < lookEvery && soon - lookedAt.soon < lookEvery && !hasMoreFiles) return;
    this.lookedAt = { done, soon, files };
    this.require(soon, files);
  }

  private tooSmall(why: string, details: Readonly<Record<string, number>>): KbError {
    return new KbError('E_STORAGE', `stopped before the volume was full: could not ${this.doing}: ${why}`, {
      hint: 'make room on the volume, or choose a directory on another one, then run the same command again',
      details,
    });
  }
}

/** @returns undefined where the volume cannot be asked: some network file systems refuse */
export function watchSpace(disk: Disk, directory: string, doing: string): FreeSpace | undefined {
  try {
    return new FreeSpace(disk, directory, doing);
  } catch (error) {
    if (isErrno(error, 'ENOSYS', 'EOPNOTSUPP', 'ENOTSUP', 'EACCES')) return undefined;
    throw error;
  }
}

/** `3.5 MiB` */
export function mebibytes(bytes: number): string {
  return `${(Math.max(0, bytes) / MIB).toFixed(bytes < 10 * MIB ? 1 : 0)} MiB`;
}
