import { createHash } from 'node:crypto';
import type { BigIntStats, Stats } from 'node:fs';
import type { Disk } from '../../disk/disk.js';
import { asStorageError, isErrno } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import type { Oid } from '../ids.js';
import { type FileStat, type GitIndex, type NewEntry, fileStatOf } from '../index/index-file.js';
import type { Conversions, PathRules } from '../convert/conversions.js';
import type { FileOnDisk } from '../convert/content-filter.js';
import {
  changesBlobs,
  convertToBlob,
  convertToFile,
  lineEndsProblem,
  type PathConversion,
  PLAIN,
} from '../convert/path-conversion.js';
import { hashObject } from '../objects/object.js';
import type { FileMode, Leaf } from '../objects/tree.js';
import type { TreeChange } from '../objects/tree-diff.js';
import { type RepoPath, toDiskPath } from '../paths.js';
import { atOnce, type Steps } from '../steps.js';
import { type ApplyOptions, type BlobSource, applyChanges } from './apply.js';
import { Folders, folderOf } from './folders.js';
import { listFolder } from './folder-listing.js';
import { EXECUTABLE, REGULAR, SYMLINK, isSameType } from './modes.js';
import { type Obstacle, findObstacles } from './obstacles.js';
import { namesTemporaryFile, pathProblem } from './path-rules.js';
import type { SparseCone } from './sparse-cone.js';

/** What the volume can do, from git's `core.*` settings. */
export interface WorktreeSettings {
  /** `core.fileMode`: the executable bit on disk means something. */
  readonly fileMode: boolean;
  /** `core.symlinks`: false where a link is kept as a plain file that holds its target. */
  readonly symlinks: boolean;
  /** `core.ignoreCase`: the volume takes `a.md` and `A.md` for one file. */
  readonly ignoreCase: boolean;
  /** `core.trustctime` */
  readonly trustCtime: boolean;
  /** `core.precomposeUnicode`, on macOS only: the volume gives names back decomposed. */
  readonly precomposeUnicode: boolean;
  /** `core.sparseCheckout`: which files are to be here, read anew at each call. Default: all. */
  readonly cone?: () => SparseCone;
  /** `.gitattributes`, `core.autocrlf` and what belongs to them. Default: files hold what blobs hold. */
  readonly conversions?: Conversions;
}

/**
 * What a file is read for. `keep`: what it holds is about to be stored, and its filter must store what it takes out;
 * `commit`: it is also to come back from there as it was, where `core.safecrlf` says so.
 */
export type Purpose = 'compare' | 'keep' | 'commit';

const OWNER_MAY_EXECUTE = 0o100;

/** Larger files are hashed piece by piece, so that memory does not follow the size of an attachment. */
const WHOLE_READ_BYTES = 8n * 1024n * 1024n;
const PIECE_BYTES = 1024 * 1024;
/** Node reads no file as a whole beyond this. */
const MAX_READ_BYTES = 2n * 1024n * 1024n * 1024n - 1n;

/** The files of a KB as a person sees them. All paths are relative to `root`. */
export class Worktree {
  /**
   * @param root absolute path without a slash at its end
   * @param gitDir absolute; never read for more than `info/exclude` and never written
   */
  constructor(
    readonly disk: Disk,
    readonly root: string,
    readonly gitDir: string,
    readonly settings: WorktreeSettings,
  ) {}

  /**
   * One file as a blob would hold it: its bytes as `.gitattributes` has them converted, or a link's target.
   * @param recordedMode the mode git has for it; counts where the volume cannot show it
   * @returns undefined when there is no such file or link
   * @throws KbError E_USAGE for an unsafe path and below a symbolic link; E_UNSAFE_STATE when kb cannot tell what git
   *   would make of the file (`filter=`, an encoding), or `core.safecrlf` keeps it from being committed; E_STORAGE
   */
  readFile(
    path: RepoPath,
    recordedMode?: FileMode,
    purpose: Purpose = 'compare',
  ): { data: Buffer; mode: FileMode } | undefined {
    return this.storage(`read ${JSON.stringify(path)}`, () => {
      const stats = this.lstatSafely(path, 'refuse links');
      const mode = stats === undefined ? undefined : this.modeOf(stats, recordedMode);
      if (stats === undefined || mode === undefined) return undefined;
      if (stats.isSymbolicLink()) {
        const target = this.readLink(path);
        return target === undefined ? undefined : { data: target, mode };
      }
      const conversion = this.settings.conversions?.rulesOnDisk().of(path) ?? PLAIN;
      const data = this.toBlob(path, stats, conversion, () => this.recordedBlob(path), purpose);
      if (typeof data === 'string') throw unconvertible(path, data);
      return data === undefined ? undefined : { data, mode };
    });
  }

  /**
   * The stat data that the index keeps.
   * @returns undefined when there is no such file or link; below a symbolic link there is none
   * @throws KbError E_USAGE for an unsafe path, E_STORAGE
   */
  stat(path: RepoPath, recordedMode?: FileMode): (FileStat & { mode: FileMode }) | undefined {
    return this.storage(`look at ${JSON.stringify(path)}`, () => {
      const stats = this.lstatSafely(path, 'nothing below links');
      const mode = stats === undefined ? undefined : this.modeOf(stats, recordedMode);
      return stats === undefined || mode === undefined ? undefined : { ...fileStatOf(stats), mode };
    });
  }

  /**
   * What applying these changes would destroy: uncommitted work at the paths that change. Looks at no
   * other path, so its cost follows the change.
   * @throws KbError E_UNSAFE_STATE when a path must never be written, E_STORAGE
   */
  obstacles(changes: readonly TreeChange[], index: GitIndex): Obstacle[] {
    return this.storage('look at the work tree', () => findObstacles(this, changes, index));
  }

  /**
   * Makes the work tree follow a change of the tree, and gives the index entries that go with it. Running
   * it again after a crash ends in the same state. Call `obstacles` first: without `keepOthers` it
   * overwrites what is there.
   * @throws KbError E_UNSAFE_STATE before anything is written when a path is unsafe or two would collide;
   *   later when something that is not in git stands in the way; E_STORAGE; E_INTERRUPTED
   */
  apply(
    changes: readonly TreeChange[],
    objects: BlobSource,
    options: ApplyOptions = {},
  ): Map<RepoPath, NewEntry | null> {
    return atOnce(this.applyInSteps(changes, objects, options));
  }

  /** As `apply`, with a pause after each file where the caller likes. */
  *applyInSteps(
    changes: readonly TreeChange[],
    objects: BlobSource,
    options: ApplyOptions = {},
  ): Steps<Map<RepoPath, NewEntry | null>> {
    try {
      return yield* applyChanges(this, changes, objects, options);
    } catch (error) {
      throw asStorageError(error, 'write to the work tree');
    }
  }

  /**
   * Whether the file is not here on purpose (sparse checkout). One outside of the cone that is here all the same is a
   * file like any other, as native git takes it.
   */
  isLeftOut(path: RepoPath): boolean {
    const { cone } = this.settings;
    if (cone === undefined || cone().has(path)) return false;
    return !this.isThere(path, new Folders(this.disk, this.root));
  }

  /** A file or link, in a real folder. */
  isThere(path: string, folders: Folders): boolean {
    if (folders.state(folderOf(path)).kind !== 'folder') return false;
    const stats = this.lstat(path);
    return stats !== undefined && !stats.isDirectory();
  }

  /** As lstat; undefined when nothing is there. The caller has checked the folders above. */
  lstat(path: string): BigIntStats | undefined {
    return this.disk.lstatSync(toDiskPath(this.root, path), { bigint: true, throwIfNoEntry: false });
  }

  /** What is in a folder, as `listFolder`, without kb's own temporary files. */
  namesIn(folder: string): string[] {
    return listFolder(this.disk, toDiskPath(this.root, folder), this.settings)
      .map((item) => item.name)
      .filter((name) => !namesTemporaryFile(name));
  }

  /** @returns undefined for what git does not track: folders, pipes, sockets, devices */
  modeOf(stats: Pick<BigIntStats | Stats, 'mode'>, recordedMode?: number): FileMode | undefined {
    const mode = Number(stats.mode);
    if (isSameType(mode, SYMLINK)) return SYMLINK;
    if (!isSameType(mode, REGULAR)) return undefined;
    if (!this.settings.symlinks && recordedMode === SYMLINK) return SYMLINK;
    if (!this.settings.fileMode) return recordedMode === EXECUTABLE ? EXECUTABLE : REGULAR;
    return (mode & OWNER_MAY_EXECUTE) === 0 ? REGULAR : EXECUTABLE;
  }

  /**
   * Whether the file or link would be committed as this blob; not when it changes or vanishes while it is read.
   * @param rules default: those of the files as they lie here
   */
  hasContent(path: RepoPath, stats: BigIntStats, oid: Oid, rules?: PathRules): boolean {
    const { conversions } = this.settings;
    if (conversions === undefined || stats.isSymbolicLink()) return this.blobId(path, stats) === oid;
    const conversion = (rules ?? conversions.rulesOnDisk()).of(path);
    if (conversion === PLAIN || conversion.problem !== undefined) return this.blobId(path, stats) === oid;
    if (stats.size > WHOLE_READ_BYTES && this.isSurelyBinary(path, stats, conversion))
      return this.blobId(path, stats) === oid;
    const data = this.toBlob(path, stats, conversion, () => conversions.recorded.blob(oid), 'compare');
    return Buffer.isBuffer(data) && hashObject('blob', data) === oid;
  }

  /**
   * Whether the file on disk holds nothing but this blob, byte by byte or as git would commit it: kind, executable bit
   * where it counts, content.
   */
  holds(path: RepoPath, stats: BigIntStats, leaf: Leaf, rules?: PathRules): boolean {
    if (this.modeOf(stats, leaf.mode) !== leaf.mode) return false;
    return this.hasContent(path, stats, leaf.oid, rules) || this.isByteForByte(path, stats, leaf.oid);
  }

  /** Whether the file's own bytes, or the link's target, are the blob's. */
  isByteForByte(path: RepoPath, stats: BigIntStats, oid: Oid): boolean {
    return this.settings.conversions !== undefined && this.blobId(path, stats) === oid;
  }

  /** A file's own bytes as they are; undefined when it changes or vanishes while it is read. */
  rawContent(path: string, stats: BigIntStats): Buffer | undefined {
    return stats.isSymbolicLink() ? this.readLink(path) : this.readWhole(path, stats);
  }

  /** What the file of a blob is to hold, by the rules of the files that lie here. @returns it as it is where a filter is in between */
  toFile(path: RepoPath, blob: Buffer): Buffer {
    const conversion = this.settings.conversions?.rulesOnDisk().of(path) ?? PLAIN;
    const isOwn = conversion.problem === undefined && conversion.filter === undefined;
    return isOwn ? convertToFile(conversion, blob) : blob;
  }

  private recordedBlob(path: RepoPath): Buffer | undefined {
    const recorded = this.settings.conversions?.recorded;
    const entry = recorded?.index().get(path);
    return entry === undefined ? undefined : recorded?.blob(entry.oid);
  }

  /** @returns a string: why it cannot be told what the blob would be; undefined when the file changes or vanishes */
  private toBlob(
    path: RepoPath,
    stats: BigIntStats,
    conversion: PathConversion,
    recorded: () => Buffer | undefined,
    purpose: Purpose,
  ): Buffer | string | undefined {
    const { filter, problem } = conversion;
    let data: Buffer | undefined;
    if (problem !== undefined) {
      // Left as it is, as long as it is what the repository has.
      data = this.readWhole(path, stats);
      const entry = data === undefined ? undefined : this.settings.conversions?.recorded.index().get(path);
      return data === undefined || entry?.oid === hashObject('blob', data) ? data : problem;
    }
    if (filter === undefined) data = this.readWhole(path, stats);
    else {
      const file = {
        size: Number(stats.size),
        copy: (write) => this.copyPieces(path, stats, write),
      } satisfies FileOnDisk;
      data = filter.toBlob(path, file, purpose !== 'compare');
    }
    if (data === undefined || !changesBlobs(conversion)) return data;
    const lost = purpose === 'commit' ? lineEndsProblem(conversion, data, recorded) : undefined;
    return lost ?? convertToBlob(conversion, data, recorded);
  }

  /**
   * The id that the file's own bytes, or the link's target, have as a blob; undefined when it changes or vanishes while
   * it is read.
   */
  blobId(path: string, stats: BigIntStats): Oid | undefined {
    if (!stats.isSymbolicLink() && stats.size > WHOLE_READ_BYTES) return this.blobIdByPieces(path, stats);
    const data = this.rawContent(path, stats);
    return data === undefined ? undefined : hashObject('blob', data);
  }

  private lstatSafely(path: RepoPath, links: 'refuse links' | 'nothing below links'): BigIntStats | undefined {
    const problem = pathProblem(path);
    if (problem !== undefined) throw new KbError('E_USAGE', `cannot use the path ${JSON.stringify(path)}: ${problem}`);
    const state = new Folders(this.disk, this.root).state(folderOf(path));
    if (state.kind === 'symlink' && links === 'refuse links') {
      throw new KbError(
        'E_USAGE',
        `cannot use the path ${JSON.stringify(path)}: ${JSON.stringify(state.at)} is a symbolic link`,
        {
          hint: 'name the file by its real path inside the KB',
        },
      );
    }
    return state.kind === 'folder' ? this.lstat(path) : undefined;
  }

  private readLink(path: string): Buffer | undefined {
    try {
      return this.disk.readlinkSync(toDiskPath(this.root, path), { encoding: 'buffer' });
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EINVAL')) return undefined;
      throw error;
    }
  }

  private readWhole(path: string, stats: BigIntStats): Buffer | undefined {
    if (stats.size > MAX_READ_BYTES) {
      throw new KbError('E_STORAGE', `${JSON.stringify(path)} is too large to be kept in a KB (${stats.size} bytes)`, {
        hint: 'move it out of the KB, or name it in .gitignore',
      });
    }
    return this.withOpen(path, stats, (descriptor) => this.disk.readFileSync(descriptor));
  }

  /** Whether the beginning of a large file tells that `text=auto` leaves it alone: an attachment is not read as a whole then. */
  private isSurelyBinary(
    path: string,
    stats: BigIntStats,
    { lineEnds, ident, encoding, filter }: PathConversion,
  ): boolean {
    if (lineEnds.text !== 'auto' || ident || encoding !== undefined || filter !== undefined) return false;
    return (
      this.withOpen(path, stats, (descriptor) => {
        const piece = Buffer.allocUnsafe(PIECE_BYTES);
        return piece.subarray(0, this.disk.readSync(descriptor, piece, 0, PIECE_BYTES, 0)).includes(0);
      }) === true
    );
  }

  private blobIdByPieces(path: string, stats: BigIntStats): Oid | undefined {
    const hash = createHash('sha1').update(`blob ${stats.size}\0`);
    const isWhole = this.readPieces(path, stats, (piece) => hash.update(piece));
    return isWhole ? (hash.digest('hex') as Oid) : undefined;
  }

  private copyPieces(path: string, stats: BigIntStats, write: (piece: Buffer) => void): void {
    if (this.readPieces(path, stats, write)) return;
    throw new KbError('E_UNSAFE_STATE', `${JSON.stringify(path)} was changed while it was read`, {
      hint: 'run the same command again',
    });
  }

  /** @returns false when the file is another one by now, or of another size */
  private readPieces(path: string, stats: BigIntStats, take: (piece: Buffer) => void): boolean {
    const total = this.withOpen(path, stats, (descriptor) => {
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      let read = 0n;
      for (let count = -1; count !== 0;) {
        count = this.disk.readSync(descriptor, piece, 0, PIECE_BYTES, null);
        take(piece.subarray(0, count));
        read += BigInt(count);
      }
      return read;
    });
    return total === stats.size;
  }

  /** Opens the very file that `stats` speaks of: a link that took its place since then is not followed into. */
  private withOpen<T>(path: string, stats: BigIntStats, read: (descriptor: number) => T): T | undefined {
    let descriptor: number;
    try {
      descriptor = this.disk.openSync(toDiskPath(this.root, path), 'r');
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
      throw error;
    }
    try {
      const opened = this.disk.fstatSync(descriptor, { bigint: true });
      return opened.ino === stats.ino && opened.dev === stats.dev && opened.isFile() ? read(descriptor) : undefined;
    } finally {
      this.disk.closeSync(descriptor);
    }
  }

  private storage<T>(doing: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw asStorageError(error, doing);
    }
  }
}

function unconvertible(path: RepoPath, problem: string): KbError {
  return new KbError('E_UNSAFE_STATE', `${JSON.stringify(path)} cannot be committed by kb: ${problem}`, {
    hint: 'commit it with: git add and git commit, or undo the edit; nothing was changed',
    details: { path },
  });
}
