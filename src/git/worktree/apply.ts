import type { BigIntStats } from 'node:fs';
import { isErrno, removeFile, syncDirectory, temporaryName, writeFully } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import type { PathRules, RecordedBlobs } from '../convert/conversions.js';
import { changesFiles, convertToFile, PLAIN } from '../convert/path-conversion.js';
import type { Oid } from '../ids.js';
import { type FileStat, type GitIndex, type NewEntry, fileStatOf } from '../index/index-file.js';
import type { BlobCopier, ObjectSource } from '../objects/object.js';
import type { Leaf } from '../objects/tree.js';
import type { TreeChange } from '../objects/tree-diff.js';
import { type RepoPath, toDiskPath } from '../paths.js';
import type { Steps } from '../steps.js';
import { findCollisions } from './collisions.js';
import { Folders, folderOf } from './folders.js';
import { requirePossibleTarget } from './link-target.js';
import { EXECUTABLE, GITLINK, SYMLINK, UNKNOWN_STAT } from './modes.js';
import { namesTemporaryFile, pathProblem } from './path-rules.js';
import { refuseUnsafePaths } from './plan-check.js';
import type { SparseCone } from './sparse-cone.js';
import type { Worktree } from './worktree.js';

export interface ApplyOptions {
  /** Leave a file alone that holds neither `before` nor `after`; its index entry then shows it as changed. */
  readonly keepOthers?: boolean;
  /** fsync each file and folder, so that the work tree survives a power cut. Default true. */
  readonly durable?: boolean;
  /**
   * Write also files outside of a sparse checkout's cone that are not here: what was taken away is put back. Default
   * false: they are left out, and their index entries say so.
   */
  readonly alsoLeftOut?: boolean;
  /** As it was before the change; where it is not given it is read when it is needed. */
  readonly index?: GitIndex;
  /** After each path: how many are done, of how many, and the bytes written so far. What it throws ends the work. */
  readonly onFile?: (done: number, total: number, bytes: number) => void;
  readonly signal?: AbortSignal;
}

/** One write call moves at most this much, so that no limit of a system or of Node on a single write is met. */
const PIECE_BYTES = 64 * 1024 * 1024;

/**
 * Makes the files on disk follow `changes`: what goes away first (so that a file can take a folder's
 * place and the other way round), then what comes. Each file is written beside its place and renamed onto
 * it: a reader sees the old note or the new one.
 */
export function* applyChanges(
  worktree: Worktree,
  changes: readonly TreeChange[],
  objects: BlobSource,
  options: ApplyOptions,
): Steps<Map<RepoPath, NewEntry | null>> {
  refuseUnsafePaths(changes);
  const isWanted = options.alsoLeftOut === true ? undefined : worktree.settings.cone?.();
  const inside = isWanted === undefined ? changes : changes.filter(({ path }) => isWanted.has(path));
  if (worktree.settings.ignoreCase) refuseCollisions(inside);
  refuseBadTargets(inside, objects);
  return yield* new Application(worktree, changes, objects, options, isWanted).run();
}

/** Invariant: on a volume that folds names, no two files of one change overwrite each other (test: "refuses a tree whose names are one file here"). */
function refuseCollisions(changes: readonly TreeChange[]): void {
  const written = changes.flatMap(({ path, after }) => (after === undefined ? [] : [path]));
  const [group] = findCollisions(written);
  if (group === undefined) return;
  const names = group.map((path) => JSON.stringify(path)).join(' and ');
  throw new KbError('E_UNSAFE_STATE', `this volume takes ${names} for one file, so they cannot all be written`, {
    hint: 'rename all but one of them in the remote repository, from a system whose file names are case-sensitive',
    details: { paths: group },
  });
}

/** A link that no system can make is found before the first write, not in the middle. */
function refuseBadTargets(changes: readonly TreeChange[], objects: ObjectSource): void {
  for (const { path, after } of changes) {
    if (after?.mode !== SYMLINK) continue;
    requirePossibleTarget(path, objects.read(after.oid).data);
  }
}

/** Where the content of files comes from. */
export interface BlobSource extends ObjectSource {
  /**
   * A large blob as a way to copy it, so that it is never in memory as a whole; any other as its bytes.
   * @throws KbError E_CORRUPT when missing or damaged
   */
  readBlob?(oid: Oid): Buffer | BlobCopier;
}

class Application {
  private folders: Folders;
  private readonly entries = new Map<RepoPath, NewEntry | null>();
  /** Folders that lost a file, now or before a crash: they go where nothing else is in them. */
  private readonly emptied = new Set<string>();
  /** Folders whose names changed, to be made durable. */
  private readonly touched = new Set<string>();
  private readonly durable: boolean;
  private readonly temporaryBase = temporaryName('file');
  private temporaryCount = 0;
  private done = 0;
  private bytes = 0;
  /** By the tree that the change leads to; undefined: files hold what blobs hold. */
  private readonly rules: PathRules | undefined;
  /** By the tree that the change comes from: what lies here was written by these. Put together when asked for. */
  private oldRules: PathRules | undefined;

  constructor(
    private readonly worktree: Worktree,
    private readonly changes: readonly TreeChange[],
    private readonly objects: BlobSource,
    private readonly options: ApplyOptions,
    /** undefined: every file is to be here */
    private readonly cone: SparseCone | undefined,
  ) {
    this.folders = new Folders(worktree.disk, worktree.root);
    this.durable = options.durable ?? true;
    this.rules = this.rulesOf('after');
  }

  private rulesOf(side: 'before' | 'after'): PathRules | undefined {
    const { conversions } = this.worktree.settings;
    const { index } = this.options;
    const blob = (oid: Oid): Buffer | undefined => this.objects.find(oid)?.data;
    const recorded = (): RecordedBlobs => index ?? conversions?.recorded.index() ?? NO_INDEX;
    return conversions?.rulesOfTree(this.changes, side, blob, recorded);
  }

  *run(): Steps<Map<RepoPath, NewEntry | null>> {
    const removals = this.changes.filter(({ after }) => after === undefined);
    // from the last to the first: what is in a folder comes after the folder
    for (let at = removals.length - 1; at >= 0; at -= 1) {
      const change = removals[at];
      if (change === undefined) continue;
      this.step(change.path, () => this.remove(change));
      yield;
    }
    this.removeEmptied();
    this.folders = new Folders(this.worktree.disk, this.worktree.root); // a link or file may have left a folder's place
    for (const { path, before, after } of this.changes) {
      if (after === undefined) continue;
      this.step(path, () => this.write(path, before, after));
      yield;
    }
    for (const folder of this.folders.newFolders()) this.touched.add(folderOf(folder));
    if (this.durable) for (const folder of this.touched) syncDirectory(this.worktree.disk, this.onDisk(folder));
    return this.entries;
  }

  private step(path: RepoPath, work: () => NewEntry | null): void {
    if (this.options.signal?.aborted === true) {
      const reason: unknown = this.options.signal.reason;
      throw reason instanceof KbError
        ? reason
        : new KbError('E_INTERRUPTED', 'interrupted while the work tree was written', { cause: reason });
    }
    this.entries.set(path, work());
    this.done += 1;
    this.options.onFile?.(this.done, this.changes.length, this.bytes);
  }

  private remove({ path, before }: TreeChange): null {
    if (pathProblem(path) !== undefined) return null; // never written by kb, so never kb's to remove
    const folder = folderOf(path);
    this.emptied.add(folder);
    if (this.folders.state(folder).kind !== 'folder') return null; // gone with its folder, or behind a link: not ours
    const stats = this.worktree.lstat(path);
    if (stats?.isDirectory() === true) {
      if (before?.mode === GITLINK) this.removeFolderIfEmpty(path);
    } else if (stats !== undefined && !this.mustKeep(path, stats, before, undefined)) {
      removeFile(this.worktree.disk, this.onDisk(path));
      this.touched.add(folder);
    }
    return null;
  }

  /** Invariant: a folder goes only when it is empty, and the root never (test: "keeps a folder that holds other files"). */
  private removeEmptied(): void {
    for (let folders = this.emptied; folders.size > 0;) {
      const above = new Set<string>();
      for (const folder of folders) {
        if (folder === '') continue;
        const { kind } = this.folders.state(folder);
        // one that went just before a crash may have left its own folder empty
        if (kind === 'absent' || (kind === 'folder' && this.removeFolderIfEmpty(folder))) above.add(folderOf(folder));
      }
      folders = above;
    }
  }

  private removeFolderIfEmpty(folder: string): boolean {
    try {
      this.worktree.disk.rmdirSync(this.onDisk(folder));
    } catch {
      return false; // not empty, a mount point, someone's current directory: an empty folder harms nobody
    }
    this.touched.delete(folder);
    this.touched.add(folderOf(folder));
    return true;
  }

  private write(path: RepoPath, before: Leaf | undefined, after: Leaf): NewEntry {
    if (this.cone?.has(path) === false && !this.worktree.isThere(path, this.folders))
      return { mode: after.mode, oid: after.oid, stat: UNKNOWN_STAT, skipWorktree: true };
    const folder = folderOf(path);
    const parent = this.folders.make(folder);
    if (parent.kind === 'symlink' || parent.kind === 'file') return this.blocked(path, after, parent.at);

    const isSurelyAbsent = this.folders.isNew(folder) && this.options.keepOthers !== true;
    const stats = isSurelyAbsent ? undefined : this.worktree.lstat(path);
    if (after.mode === GITLINK) return this.writeGitlink(path, stats, before, after);
    if (stats?.isDirectory() === true) {
      this.removeEmptyFolders(path);
      if (this.worktree.lstat(path) !== undefined) return this.blocked(path, after, path);
    } else if (stats !== undefined && this.options.keepOthers === true && !this.isAsRecorded(path, stats, before)) {
      if (this.isWritten(path, stats, after)) return { mode: after.mode, oid: after.oid, stat: fileStatOf(stats) };
      if (this.mustKeep(path, stats, before, after)) return unknown(after);
    }
    this.replace(path, folder, after);
    const written = this.worktree.lstat(path);
    if (written === undefined) return unknown(after); // someone removed it at once: that is an edit like any other
    return { mode: after.mode, oid: after.oid, stat: fileStatOf(written) };
  }

  /** Whether the file is to the byte what would be written. */
  private isWritten(path: RepoPath, stats: BigIntStats, after: Leaf): boolean {
    const { worktree } = this;
    const conversion = after.mode === SYMLINK ? PLAIN : (this.rules?.of(path) ?? PLAIN);
    if (!changesFiles(conversion) && conversion.filter === undefined) {
      if (worktree.modeOf(stats, after.mode) !== after.mode) return false;
      return this.rules === undefined
        ? worktree.holds(path, stats, after)
        : worktree.isByteForByte(path, stats, after.oid);
    }
    if (!worktree.holds(path, stats, after, this.rules)) return false;
    const content = this.contentOf(path, after);
    return typeof content === 'function' || worktree.rawContent(path, stats)?.equals(content) === true;
  }

  private writeGitlink(
    path: RepoPath,
    stats: BigIntStats | undefined,
    before: Leaf | undefined,
    after: Leaf,
  ): NewEntry {
    if (stats !== undefined && !stats.isDirectory()) {
      if (this.mustKeep(path, stats, before, after)) return unknown(after);
      removeFile(this.worktree.disk, this.onDisk(path));
    }
    const state = this.folders.make(path);
    if (state.kind !== 'folder') return this.blocked(path, after, path);
    this.touched.add(folderOf(path));
    return unknown(after); // git keeps no stat data of another repository's folder
  }

  /** Only with `keepOthers`: the file holds something that is in neither version. */
  private mustKeep(path: RepoPath, stats: BigIntStats, before: Leaf | undefined, after: Leaf | undefined): boolean {
    if (this.options.keepOthers !== true || this.isAsRecorded(path, stats, before)) return false;
    const { rules } = this;
    if (rules === undefined)
      return ![before, after].some((leaf) => leaf !== undefined && this.worktree.holds(path, stats, leaf));
    const oldRules = (this.oldRules ??= this.rulesOf('before'));
    const holds = (leaf: Leaf | undefined): boolean =>
      leaf !== undefined &&
      (this.worktree.holds(path, stats, leaf, rules) || this.worktree.holds(path, stats, leaf, oldRules));
    return !holds(before) && !holds(after);
  }

  /**
   * Git has noted the file as the one that `before` was written to, and nobody has touched it since: it need not be read.
   * All that can be known of one whose content kb cannot compare, as its filter is another program's.
   */
  private isAsRecorded(path: RepoPath, stats: BigIntStats, before: Leaf | undefined): boolean {
    const { index } = this.options;
    const { settings } = this.worktree;
    if (before === undefined || index === undefined) return false;
    const entry = index.get(path);
    if (entry?.oid !== before.oid || entry.mode !== before.mode) return false;
    return index.isUnchanged(entry, fileStatOf(stats), { ctime: settings.trustCtime, fileMode: settings.fileMode });
  }

  private blocked(path: RepoPath, after: Leaf, by: string): NewEntry {
    if (this.options.keepOthers === true) return unknown(after);
    throw new KbError(
      'E_UNSAFE_STATE',
      `cannot write ${JSON.stringify(path)}: ${JSON.stringify(by)} is in the way and is not in git`,
      {
        hint: `move ${JSON.stringify(by)} out of the KB, then run the same command again`,
        details: { path, obstacle: by },
      },
    );
  }

  /** Empty folders below a path hold no work; with anything else in it the folder stays. */
  private removeEmptyFolders(folder: string): void {
    for (const name of this.worktree.namesIn(folder)) {
      const path = `${folder}/${name}`;
      if (this.worktree.lstat(path)?.isDirectory() === true) this.removeEmptyFolders(path);
    }
    this.removeFolderIfEmpty(folder);
  }

  /** Temporary file and rename: nobody reads half a note, and a full disk leaves the old one. */
  private replace(path: RepoPath, folder: string, after: Leaf): void {
    const { disk, settings } = this.worktree;
    this.temporaryCount += 1;
    const name = `${this.temporaryBase}_${this.temporaryCount}`;
    const temporary = this.onDisk(folder === '' ? name : `${folder}/${name}`);
    try {
      if (after.mode === SYMLINK && settings.symlinks) disk.symlinkSync(this.objects.read(after.oid).data, temporary);
      else this.writeFile(path, temporary, after);
      disk.renameSync(temporary, this.onDisk(path));
    } catch (error) {
      removeFile(disk, temporary);
      throw error;
    }
    this.touched.add(folder);
  }

  /** @param place where nothing is yet @returns what the file looks like before it is closed */
  private writeFile(path: RepoPath, place: string, leaf: Leaf): FileStat {
    const { disk } = this.worktree;
    // Read before the file is made: a blob that is missing leaves no empty file.
    const blob = this.contentOf(path, leaf);
    const descriptor = disk.openSync(place, 'wx', leaf.mode === EXECUTABLE ? 0o777 : 0o666);
    try {
      const write = (piece: Buffer): void => {
        writeFully(disk, descriptor, piece);
        this.bytes += piece.length;
      };
      if (typeof blob === 'function') blob(write);
      else for (let at = 0; at < blob.length; at += PIECE_BYTES) write(blob.subarray(at, at + PIECE_BYTES));
      if (this.durable) disk.fsyncSync(descriptor);
      return fileStatOf(disk.fstatSync(descriptor, { bigint: true }));
    } finally {
      disk.closeSync(descriptor);
    }
  }

  /** What the file of this blob holds. */
  private contentOf(path: RepoPath, { mode, oid }: Leaf): Buffer | BlobCopier {
    const conversion = mode === SYMLINK ? PLAIN : (this.rules?.of(path) ?? PLAIN);
    if (conversion.problem !== undefined) this.worktree.settings.conversions?.tellUnconverted(path, conversion.problem);
    else if (changesFiles(conversion) || conversion.filter !== undefined) {
      const data = convertToFile(conversion, this.objects.read(oid).data);
      return conversion.filter?.toFile(path, data) ?? data;
    }
    return this.objects.readBlob?.(oid) ?? this.objects.read(oid).data;
  }

  /** Raw bytes where the name is no UTF-8: Node takes both everywhere, only the types of `durable.ts` name text alone. */
  private onDisk(path: string): string {
    return toDiskPath(this.worktree.root, path) as string;
  }
}

const NO_INDEX: RecordedBlobs = { get: () => undefined };

function unknown(leaf: Leaf): NewEntry {
  return { mode: leaf.mode, oid: leaf.oid, stat: UNKNOWN_STAT };
}

/**
 * Removes the temporary files that a killed `apply` of these changes left beside their places. To be
 * called by who holds the KB's lock, before the same changes are applied again: then no living process
 * can own one of them.
 */
export function sweepTemporaryFiles(worktree: Worktree, changes: readonly TreeChange[]): void {
  const folders = new Folders(worktree.disk, worktree.root);
  for (const folder of new Set(changes.map(({ path }) => folderOf(path)))) {
    if (folders.state(folder).kind !== 'folder') continue;
    for (const name of worktree.disk.readdirSync(toDiskPath(worktree.root, folder))) {
      if (!namesTemporaryFile(name)) continue;
      try {
        worktree.disk.unlinkSync(toDiskPath(worktree.root, folder === '' ? name : `${folder}/${name}`));
      } catch (error) {
        if (!isErrno(error, 'ENOENT', 'EISDIR', 'EPERM')) throw error;
      }
    }
  }
}
