import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { join } from 'node:path';
import type { Disk } from '../../disk/disk.js';
import { asStorageError, isErrno } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import type { Oid } from '../ids.js';
import { decodePath, encodePath, type RepoPath } from '../paths.js';
import { LockFile, type LockTiming } from '../../disk/lock-file.js';
import type { LockMarks } from '../../disk/lock-marks.js';
import {
  cacheTreeOf,
  foldersAbove,
  type FolderTree,
  type KnownTrees,
  readFolderTrees,
  readRootTree,
  type UnfoldedTree,
  updateCacheTree,
} from './cache-tree.js';
import {
  FIELD,
  GITLINK,
  RawEntry,
  nameEnd,
  nameStart,
  splitTime,
  stageOf,
  type FileStat,
  type IndexEntry,
  type NewEntry,
} from './entry.js';
import { EntryTable, NamePacker, damagedIndex } from './entry-table.js';
import { EntryWalk, isRacy, type WrittenAt } from './entry-walk.js';
import { readExtensions } from './extensions.js';
import type { FreshEntries } from './fresh-entries.js';
import { HashedOutput } from './hashed-output.js';
import { splice, SplicedEntries } from './splice.js';

export { fileStatOf } from './entry.js';
export type { FileStat, IndexEntry, NewEntry } from './entry.js';
export type { FolderTree, KnownTrees } from './cache-tree.js';
export type { EntryWalk, LookedAt } from './entry-walk.js';

const HEADER_BYTES = 12;
const CHECKSUM_BYTES = 20;
const SLASH = 0x2f;
/** `folder0` is the first name behind everything in `folder/`. */
const AFTER_SLASH = Buffer.from('0');
/** Node looks for so few bytes several times faster than for more; mostly they are not there. */
const SHORT_NEEDLE = 7;
/** Positions are kept in 31 bits; an index of this size has some ten million entries. */
const MAX_BYTES = 0x7fff_ffff;

/** Of isUnchanged: what in this repository and on this volume can be relied upon. */
export interface StatTrust {
  /** core.trustctime */
  readonly ctime: boolean;
  /** core.fileMode: the executable bit means something. */
  readonly fileMode: boolean;
}

/** Entries in the layout of versions 2 and 3. */
export interface SharedEntries {
  readonly bytes: SharedArrayBuffer;
  /** Where each one starts; the last element is the end of the last one. */
  readonly offsets: Uint32Array;
}

/** A change that `prepare` was told of, and the TREE extension that it leads to. */
interface Foreseen {
  readonly changes: ReadonlyMap<RepoPath, NewEntry | null>;
  readonly root: Oid;
  readonly tree: Buffer | undefined;
}

/** Of files that are not there yet. */
const NO_STAT: FileStat = { ctimeNs: 0n, mtimeNs: 0n, dev: 0, ino: 0, uid: 0, gid: 0, size: 0 };

/** A reading of git's index (gitformat-index(5), versions 2 to 4). It does not change; IndexLock writes the next one. */
export class GitIndex {
  private constructor(
    private readonly file: Buffer,
    private readonly version: number,
    private readonly table: EntryTable,
    private readonly extensions: ReadonlyMap<string, Buffer>,
    /** Of the file that was read; undefined: there was none. */
    private readonly stat: BigIntStats | undefined,
  ) {}

  private isIntact = false;
  private foreseen: Foreseen | undefined;
  private trees: ReadonlyMap<string, FolderTree> | undefined;

  private get writtenAt(): WrittenAt {
    return this.stat === undefined ? undefined : writtenAt(this.stat);
  }

  /**
   * @throws KbError E_CORRUPT when malformed
   * @throws KbError E_UNSAFE_STATE when it uses a feature that kb would break (split, sparse, fsmonitor)
   * @throws KbError E_STORAGE
   */
  static read(disk: Disk, gitDir: string): GitIndex {
    const found = readWithStat(disk, join(gitDir, 'index'));
    return found === undefined ? GitIndex.empty() : GitIndex.parse(found.bytes, found.stat);
  }

  private static empty(): GitIndex {
    return new GitIndex(Buffer.alloc(0), 2, EntryTable.scan(Buffer.alloc(0), 0, 0, 0), new Map(), undefined);
  }

  private static parse(file: Buffer, stat: BigIntStats): GitIndex {
    const limit = file.length - CHECKSUM_BYTES;
    if (limit < HEADER_BYTES || file.toString('latin1', 0, 4) !== 'DIRC')
      throw damagedIndex('it does not begin as an index does');
    const version = file.readUInt32BE(4);
    if (version < 2 || version > 4) {
      throw new KbError('E_UNSAFE_STATE', `git's index has version ${version}, which kb does not know`, {
        hint: 'rewrite it with: git update-index --index-version 2',
      });
    }
    const count = file.readUInt32BE(8);
    const [written] = writtenAt(stat) ?? [Infinity];
    const { table, end } =
      version === 4
        ? EntryTable.expand(file, HEADER_BYTES, count, limit, written)
        : scanInPlace(file, count, limit, written);
    const extensions = readExtensions(file, end, limit);
    table.assertOrder();
    return new GitIndex(file, version, table, extensions, stat);
  }

  /** Whether the file is still the very one that was read: git never writes an index in place. */
  isStillThere(disk: Disk, gitDir: string): boolean {
    const now = disk.statSync(join(gitDir, 'index'), { bigint: true, throwIfNoEntry: false });
    const then = this.stat;
    if (now === undefined || then === undefined) return now === then;
    return (
      now.ino === then.ino &&
      now.dev === then.dev &&
      now.size === then.size &&
      now.mtimeNs === then.mtimeNs &&
      now.ctimeNs === then.ctimeNs
    );
  }

  get entryCount(): number {
    return this.table.count;
  }

  get(path: RepoPath): IndexEntry | undefined {
    const key = encodePath(path);
    const ordinal = this.table.lowerBound(key);
    return this.table.hasName(ordinal, key) && stageOf(this.table.bytes, this.table.startOf(ordinal)) === 0
      ? this.entry(ordinal)
      : undefined;
  }

  /** Whether anything is tracked below the folder ('' is the root), in whatever stage. */
  hasUnder(folder: RepoPath): boolean {
    if (folder === '') return this.entryCount > 0;
    const key = encodePath(`${folder}/`);
    const ordinal = this.table.lowerBound(key);
    if (ordinal >= this.table.count) return false;
    const name = nameStart(this.table.bytes, this.table.startOf(ordinal));
    return this.table.bytes.compare(key, 0, key.length, name, name + key.length) === 0;
  }

  *entries(): Generator<IndexEntry> {
    for (let ordinal = 0; ordinal < this.table.count; ordinal += 1) yield this.entry(ordinal);
  }

  /** Whether an entry may have this mode: free where none has. Other numbers can look the same. */
  mayHold(mode: number): boolean {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(mode);
    return this.table.bytes.includes(bytes);
  }

  /** A copy of all entries that another thread can read, too. */
  share(): SharedEntries {
    const { bytes, offsets } = this.table;
    const shared = new SharedArrayBuffer(bytes.length);
    new Uint8Array(shared).set(bytes);
    const starts = new Uint32Array(new SharedArrayBuffer(offsets.byteLength));
    starts.set(offsets);
    return { bytes: shared, offsets: starts };
  }

  /** All entries in their order, for whoever looks at each file. */
  walk(): EntryWalk {
    return new EntryWalk(this.table, this.writtenAt);
  }

  /** What is tracked directly in a folder ('' is the root), in whatever stage: files, and folders with files below. */
  namesIn(folder: string): { readonly files: ReadonlySet<string>; readonly folders: ReadonlySet<string> } {
    const prefix = folder === '' ? Buffer.alloc(0) : encodePath(`${folder}/`);
    const files = new Set<string>();
    const folders = new Set<string>();
    const { table } = this;
    for (let ordinal = table.lowerBound(prefix); ordinal < table.count;) {
      const start = table.startOf(ordinal);
      const from = nameStart(table.bytes, start);
      const name = table.bytes.subarray(from, nameEnd(table.bytes, start));
      if (!name.subarray(0, prefix.length).equals(prefix)) break;
      const slash = name.indexOf(SLASH, prefix.length);
      if (slash === -1) {
        files.add(decodePath(name.subarray(prefix.length)));
        ordinal += 1;
      } else {
        folders.add(decodePath(name.subarray(prefix.length, slash)));
        ordinal = table.lowerBound(Buffer.concat([name.subarray(0, slash), AFTER_SLASH]));
      }
    }
    return { files, folders };
  }

  /** The folders whose trees the TREE extension knows, by their paths; the root is ''. */
  folderTrees(): ReadonlyMap<string, FolderTree> {
    return (this.trees ??= readFolderTrees(this.extensions.get('TREE')));
  }

  unmergedPaths(): RepoPath[] {
    const paths: RepoPath[] = [];
    if (!this.table.hasStages) return paths;
    for (let ordinal = 0; ordinal < this.table.count; ordinal += 1) {
      if (stageOf(this.table.bytes, this.table.startOf(ordinal)) === 0) continue;
      const { path } = this.entry(ordinal);
      if (paths.at(-1) !== path) paths.push(path);
    }
    return paths;
  }

  /** The versions of files that native git has left unmerged, as git-ls-files(1) numbers them: 1 base, 2 ours, 3 theirs. */
  unmergedVersions(): Map<RepoPath, Map<number, IndexEntry>> {
    const files = new Map<RepoPath, Map<number, IndexEntry>>();
    if (!this.table.hasStages) return files;
    for (let ordinal = 0; ordinal < this.table.count; ordinal += 1) {
      const stage = stageOf(this.table.bytes, this.table.startOf(ordinal));
      if (stage === 0) continue;
      const entry = this.entry(ordinal);
      const versions = files.get(entry.path) ?? new Map<number, IndexEntry>();
      files.set(entry.path, versions.set(stage, entry));
    }
    return files;
  }

  /** The paths that hold a text; where none does, that is told by one look at the bytes. */
  pathsWith(text: string): RepoPath[] {
    const { bytes, count } = this.table;
    const needle = Buffer.from(text);
    if (!bytes.includes(needle.subarray(0, SHORT_NEEDLE)) || !bytes.includes(needle)) return [];
    const paths = Array.from({ length: count }, (_, ordinal) => this.entry(ordinal).path);
    return paths.filter((path) => path.includes(text));
  }

  /**
   * Whether the file's stat alone shows that its content is the entry's. False also where that cannot be
   * told: an entry written in the same instant as the index (racy-git), never refreshed, or only
   * intended to be added. assumeValid and skipWorktree are the caller's to honour.
   * @param stat of the file now; its mode, if given, is compared too
   */
  isUnchanged(entry: IndexEntry, stat: FileStat & { readonly mode?: number }, trust: StatTrust): boolean {
    const stored = entry.stat;
    return (
      !entry.intentToAdd &&
      sameStat(stored, stat, trust.ctime) &&
      (stat.mode === undefined || sameMode(entry.mode, stat.mode, trust.fileMode)) &&
      // Size 0 is also the mark of an entry that must be looked at again; an empty blob is really empty.
      (stored.size !== 0 || entry.oid === EMPTY_BLOB || entry.mode === GITLINK) &&
      !isRacy(...splitTime(stored.mtimeNs), this.writtenAt)
    );
  }

  /** The tree of the whole index, if the TREE extension knows it. */
  get cachedRootTree(): Oid | undefined {
    const root = readRootTree(this.extensions.get('TREE'));
    return root?.count === this.entryCount ? root.oid : undefined;
  }

  /**
   * Does what a write of these changes will need, while whoever writes waits for something anyway. A write of others
   * does it by itself.
   * @param changes without the stat data, which nobody has before the files are there
   * @param trees as of `IndexLock.commit`; what they name is stored
   * @throws KbError E_CORRUPT when the file is not what its writer wrote
   */
  prepare(changes: ReadonlyMap<RepoPath, Pick<NewEntry, 'mode' | 'oid'> | null>, trees: KnownTrees): void {
    this.assertIntact();
    const entries = new Map([...changes].map(([path, leaf]) => [path, leaf && { ...leaf, stat: NO_STAT }]));
    const tree = this.treesAfter(splice(this.table, entries), entries, trees);
    this.foreseen = { changes: entries, root: trees.root, tree };
  }

  /** @throws KbError E_CORRUPT when the file is not what its writer wrote: it must not get a right checksum from here */
  assertIntact(): void {
    if (this.file.length === 0 || this.isIntact) return;
    const end = this.file.length - CHECKSUM_BYTES;
    const stored = this.file.subarray(end);
    // All zero: written with index.skipHash.
    if (stored.every((byte) => byte === 0)) return;
    if (!createHash('sha1').update(this.file.subarray(0, end)).digest().equals(stored))
      throw damagedIndex('its checksum is wrong');
    this.isIntact = true;
  }

  /** Writes the index with these changes. */
  writeChanged(
    write: (bytes: Uint8Array) => void,
    changes: ReadonlyMap<RepoPath, NewEntry | null>,
    trees: KnownTrees | undefined,
    known: KnownOfFiles,
  ): void {
    const spliced = splice(this.table, changes);
    this.smudgeRacy(changes, known);
    const tree = this.isForeseen(changes, trees) ? this.foreseen?.tree : this.treesAfter(spliced, changes, trees);
    this.writeSpliced(write, spliced, { tree, keepResolved: trees === undefined });
  }

  /** Writes an index of these entries in place of an empty one. */
  writeFresh(write: (bytes: Uint8Array) => void, entries: FreshEntries, root: UnfoldedTree): void {
    const spliced = SplicedEntries.allOf(entries.table());
    this.writeSpliced(write, spliced, { tree: cacheTreeOf(root), keepResolved: false });
  }

  private writeSpliced(
    write: (bytes: Uint8Array) => void,
    spliced: SplicedEntries,
    extensions: { readonly tree: Buffer | undefined; readonly keepResolved: boolean },
  ): void {
    const version = this.version === 2 && spliced.hasExtendedAddition ? 3 : this.version;
    const output = new HashedOutput(write);
    const header = Buffer.from('DIRC\0\0\0\0\0\0\0\0', 'latin1');
    header.writeUInt32BE(version, 4);
    header.writeUInt32BE(spliced.count, 8);
    output.write(header);
    if (version === 4) writePacked(output, spliced);
    else for (const piece of spliced.pieces()) output.write(piece);
    this.writeExtensions(output, extensions);
    output.finish();
  }

  /**
   * TREE is brought up to date. REUC (how conflicts were before they were settled) stays until the index
   * is moved to another commit, as git drops it then. Everything else is optional and derived — UNTR,
   * EOIE, IEOT — and would be wrong now: git makes it again when it wants it.
   */
  private writeExtensions(
    output: HashedOutput,
    { tree, keepResolved }: { readonly tree: Buffer | undefined; readonly keepResolved: boolean },
  ): void {
    if (tree !== undefined) writeExtension(output, 'TREE', tree);
    const resolved = this.extensions.get('REUC');
    if (resolved !== undefined && keepResolved) writeExtension(output, 'REUC', resolved);
  }

  private treesAfter(
    spliced: SplicedEntries,
    changes: ReadonlyMap<RepoPath, unknown>,
    trees: KnownTrees | undefined,
  ): Buffer | undefined {
    return updateCacheTree(this.extensions.get('TREE'), spliced, foldersAbove(encodedPaths(changes)), trees);
  }

  /** Trees know names, modes and ids: where all of them are as foreseen, the extension is too. */
  private isForeseen(changes: ReadonlyMap<RepoPath, NewEntry | null>, trees: KnownTrees | undefined): boolean {
    const { foreseen } = this;
    if (foreseen === undefined || foreseen.root !== trees?.root || foreseen.changes.size !== changes.size) return false;
    for (const [path, entry] of changes) {
      const other = foreseen.changes.get(path);
      if (other === undefined || other?.oid !== entry?.oid || other?.mode !== entry?.mode) return false;
    }
    return true;
  }

  /**
   * An entry whose file was modified in or after the instant in which the index was written may hide a
   * later change of the same size. Readers know it by comparing with the index's own mtime — which is
   * about to become newer. So before that the entry loses its size, and everybody looks at the content
   * again. Source: Documentation/technical/racy-git.txt. Git compares whole seconds, so does this.
   */
  private smudgeRacy(changes: ReadonlyMap<RepoPath, unknown>, { statOf, areOwnFiles }: KnownOfFiles): void {
    if (this.writtenAt === undefined) return;
    for (const ordinal of this.table.suspects) {
      const { path, mode, stat } = this.entry(ordinal);
      if (stat.size === 0 || mode === GITLINK || changes.has(path)) continue;
      if (statOf !== undefined && this.isSurelyUnchanged(ordinal, statOf, areOwnFiles === true)) continue;
      this.table.bytes.writeUInt32BE(0, this.table.startOf(ordinal) + FIELD.size);
    }
  }

  /** To the nanosecond the entry is older than the index, or nobody else can have written; not touched since. */
  private isSurelyUnchanged(
    ordinal: number,
    statOf: (path: RepoPath) => FileStat | undefined,
    isOwnFile: boolean,
  ): boolean {
    const entry = this.entry(ordinal);
    const stat = statOf(entry.path);
    return (
      stat !== undefined &&
      (isOwnFile || !isRacy(...splitTime(entry.stat.mtimeNs), this.writtenAt)) &&
      sameStat(entry.stat, stat, true)
    );
  }

  private entry(ordinal: number): RawEntry {
    return new RawEntry(this.table.bytes, this.table.startOf(ordinal), this.table.endOf(ordinal));
  }
}

const EMPTY_BLOB = 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391';

/** What a writer of the index knows of the files of entries that it does not change. */
interface KnownOfFiles {
  /**
   * The stat of a file now. With it, entries written in the same second as the index keep what they
   * know when a look shows the file untouched; without it they lose it, and are read again once.
   */
  readonly statOf?: (path: RepoPath) => FileStat | undefined;
  /**
   * All files and the index were written by this very process, and are in nobody else's sight yet: then `statOf` is
   * believed also of a file as young as the index.
   */
  readonly areOwnFiles?: boolean;
}

export interface IndexLockOptions extends KnownOfFiles {
  /** How long to wait for somebody else's index.lock, in milliseconds. Default 1000. */
  readonly lockWaitMs?: number;
  /** Called under the lock right before the rename; a throw leaves the index as it was. */
  readonly fence?: () => void;
  /** Survive a power cut (fsync). Default true. */
  readonly durable?: boolean;
  readonly timing?: LockTiming;
  /** The index as read before the lock was taken; used again if it is still the same file. For one commit only. */
  readonly known?: GitIndex;
  /** Says whose the lock is. */
  readonly marks?: LockMarks;
}

/** Holds index.lock, so that no `git add` and no other kb changes the index, and writes it once. */
export class IndexLock {
  private constructor(
    private readonly lock: LockFile,
    readonly index: GitIndex,
    private readonly options: IndexLockOptions,
  ) {}

  /**
   * @throws KbError E_UNSAFE_STATE (retryable), naming the file, when somebody else holds the lock
   * @throws KbError as GitIndex.read does
   */
  static acquire(disk: Disk, gitDir: string, options: IndexLockOptions = {}): IndexLock {
    const { lockWaitMs, timing, marks } = options;
    const lock = LockFile.acquire(disk, join(gitDir, 'index'), {
      followSymlink: true,
      ...(lockWaitMs !== undefined && { waitMs: lockWaitMs }),
      ...(timing && { timing }),
      ...(marks && { marks }),
    });
    try {
      const { known } = options;
      const index = known?.isStillThere(disk, gitDir) === true ? known : GitIndex.read(disk, gitDir);
      return new IndexLock(lock, index, options);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /**
   * Puts the changes in (null removes the path) and gives the lock back, also when it fails. Without
   * changes the file stays as it is.
   * @param trees where the changed folders' trees are, to keep the TREE extension valid
   */
  commit(changes: ReadonlyMap<RepoPath, NewEntry | null>, trees?: KnownTrees): void {
    if (changes.size === 0) return this.release();
    this.replace((write) => {
      // A damaged index must not get a right checksum from here.
      this.index.assertIntact();
      this.index.writeChanged(write, changes, trees, this.options);
    });
  }

  /** As `commit`, for all entries of an index that was empty. */
  commitFresh(entries: FreshEntries, root: UnfoldedTree): void {
    if (this.index.entryCount > 0) throw new KbError('E_INTERNAL', 'a fresh index would replace one with entries');
    this.replace((write) => this.index.writeFresh(write, entries, root));
  }

  private replace(work: (write: (bytes: Uint8Array) => void) => void): void {
    const durable = this.options.durable ?? true;
    try {
      work((bytes) => this.lock.write(bytes));
      this.lock.close(durable);
      this.options.fence?.();
      this.lock.commit({ durable });
    } catch (error) {
      throw asStorageError(error, 'write the index');
    } finally {
      this.lock.release();
    }
  }

  release(): void {
    this.lock.release();
  }
}

export interface IndexUpdate {
  readonly changes: ReadonlyMap<RepoPath, NewEntry | null>;
  readonly trees?: KnownTrees;
}

/**
 * One change of the index under its lock: one read and one write of the file, untouched entries copied
 * as they are.
 * @param work sees the current index and says what to change; undefined: nothing
 * @throws as IndexLock.acquire and what `work` throws; the index is then as it was
 */
export function updateIndex(
  disk: Disk,
  gitDir: string,
  work: (index: GitIndex) => IndexUpdate | undefined,
  options: IndexLockOptions = {},
): void {
  const lock = IndexLock.acquire(disk, gitDir, options);
  try {
    const update = work(lock.index);
    if (update !== undefined) lock.commit(update.changes, update.trees);
  } finally {
    lock.release();
  }
}

function sameStat(stored: FileStat, now: FileStat, trustCtime: boolean): boolean {
  return (
    sameTime(stored.mtimeNs, now.mtimeNs) &&
    (!trustCtime || sameTime(stored.ctimeNs, now.ctimeNs)) &&
    stored.size === now.size >>> 0 &&
    stored.uid === now.uid >>> 0 &&
    stored.gid === now.gid >>> 0 &&
    // Git on Windows stores no inode.
    (stored.ino === 0 || stored.ino === now.ino >>> 0)
  );
}

function sameTime(a: bigint, b: bigint): boolean {
  if (a === b) return true;
  const [seconds, nanoseconds] = splitTime(a);
  const [otherSeconds, otherNanoseconds] = splitTime(b);
  return seconds === otherSeconds && nanoseconds === otherNanoseconds;
}

const TYPE_BITS = 0o170000;
const REGULAR = 0o100000;
const OWNER_EXECUTES = 0o100;

function sameMode(stored: number, now: number, trustFileMode: boolean): boolean {
  if (stored === GITLINK) return (now & TYPE_BITS) === 0o040000 || now === GITLINK;
  if ((stored & TYPE_BITS) !== (now & TYPE_BITS)) return false;
  return (stored & TYPE_BITS) !== REGULAR || !trustFileMode || ((stored ^ now) & OWNER_EXECUTES) === 0;
}

/** 0 is what a volume without times says. */
function writtenAt({ mtimeNs }: BigIntStats): WrittenAt {
  return mtimeNs === 0n ? undefined : splitTime(mtimeNs);
}

function scanInPlace(
  file: Buffer,
  count: number,
  limit: number,
  suspectFrom: number,
): { table: EntryTable; end: number } {
  const table = EntryTable.scan(file, HEADER_BYTES, count, limit, suspectFrom);
  return { table, end: table.startOf(count) };
}

function writePacked(output: HashedOutput, spliced: SplicedEntries): void {
  const packer = new NamePacker();
  for (let position = 0; position < spliced.count; position += 1)
    output.write(packer.pack(spliced.bytesOf(position), spliced.startOf(position)));
}

function writeExtension(output: HashedOutput, signature: string, data: Buffer): void {
  const header = Buffer.alloc(8);
  header.write(signature, 'latin1');
  header.writeUInt32BE(data.length, 4);
  output.write(header);
  output.write(data);
}

/** The time is that of the bytes: both from one open file, which a rename cannot exchange in between. */
function readWithStat(disk: Disk, path: string): { bytes: Buffer; stat: BigIntStats } | undefined {
  try {
    const descriptor = disk.openSync(path, 'r');
    try {
      const stat = disk.fstatSync(descriptor, { bigint: true });
      if (stat.size > MAX_BYTES) throw damagedIndex('it is larger than 2 GB');
      return { bytes: disk.readFileSync(descriptor), stat };
    } finally {
      disk.closeSync(descriptor);
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw asStorageError(error, 'read the index');
  }
}

/** One after the other: of a clone there are 100,000, and they need not be there together. */
function* encodedPaths(changes: ReadonlyMap<RepoPath, unknown>): Generator<Buffer> {
  for (const path of changes.keys()) yield encodePath(path);
}
