import type { Stats } from 'node:fs';
import { decodePath, type RepoPath } from '../paths.js';
import {
  EXTENDED_SKIP_WORKTREE,
  FIELD,
  FIXED_LENGTH,
  FLAG_ASSUME_VALID,
  FLAG_EXTENDED,
  FLAG_STAGE,
  GITLINK,
  NAME_MASK,
  RawEntry,
  isIntentToAdd,
  nameEnd,
  stageOf,
  type IndexEntry,
} from './entry.js';
import type { EntryTable } from './entry-table.js';

const SLASH = 0x2f;
const EMPTY_BLOB = Buffer.from('e69de29bb2d1d6434b8b29ae775ad8c2e48c5391', 'hex');

/** Seconds and nanoseconds of the index's own mtime; undefined: there was no file. */
export type WrittenAt = readonly [seconds: number, nanoseconds: number] | undefined;

/** What lstat says of a file, without bigint, as far as it is needed to tell whether the file is as it was. */
export type LookedAt = Pick<Stats, 'mode' | 'size' | 'ino' | 'uid' | 'gid' | 'mtimeMs' | 'ctimeMs'>;

/**
 * One pass over all entries in their order, on the bytes of the index: no object and no string is made for an
 * entry unless it is asked for. Of 100,000 files that are as they were that is all there is to do beside lstat.
 */
export class EntryWalk {
  private readonly bytes: Buffer;
  /** Of the entry that the walk is at. */
  ordinal = -1;
  private start = 0;
  private flags = 0;
  private name = 0;
  private end = 0;
  /** Bytes of the folder with its final slash. */
  private folderLength = 0;
  /** All bytes of the last part of the path, one over the other: below 0x80 it is plain ASCII. */
  private allOfName = 0;

  /** The entry lies in another folder than the one before it. */
  entersFolder = false;
  /** The same path again: a further stage of a conflict. */
  isSamePath = false;

  constructor(
    private readonly table: EntryTable,
    private readonly writtenAt: WrittenAt,
  ) {
    this.bytes = table.bytes;
  }

  /** @returns false behind the last entry */
  next(): boolean {
    // Plain variables, and one look at each byte, as in EntryTable.scan: this runs once for each file of the KB.
    const { bytes } = this;
    const ordinal = this.ordinal + 1;
    if (ordinal >= this.table.count) return false;
    const start = this.table.startOf(ordinal);
    const flags = ((bytes[start + FIELD.flags] ?? 0) << 8) | (bytes[start + FIELD.flags + 1] ?? 0);
    const name = start + ((flags & FLAG_EXTENDED) === 0 ? FIXED_LENGTH : FIXED_LENGTH + 2);
    const length = flags & NAME_MASK;
    const end = length === NAME_MASK ? nameEnd(bytes, start) : name + length;
    let before = end - 1;
    let all = 0;
    for (; before >= name; before -= 1) {
      const byte = bytes[before] ?? 0;
      if (byte === SLASH) break;
      all |= byte;
    }
    const folderLength = before + 1 - name;
    const lastName = this.name;
    const lastLength = this.end - lastName;
    this.entersFolder =
      ordinal === 0 || folderLength !== this.folderLength || !hasSame(bytes, name, lastName, folderLength);
    this.isSamePath =
      (flags & FLAG_STAGE) !== 0 &&
      ordinal > 0 &&
      end - name === lastLength &&
      hasSame(bytes, name, lastName, lastLength);
    this.ordinal = ordinal;
    this.start = start;
    this.flags = flags;
    this.name = name;
    this.end = end;
    this.folderLength = folderLength;
    this.allOfName = all;
    return true;
  }

  /** Without a slash at its end; '' is the root. */
  get folder(): string {
    if (this.folderLength === 0) return '';
    const { bytes, name } = this;
    const end = name + this.folderLength - 1;
    let all = 0;
    for (let at = name; at < end; at += 1) all |= bytes[at] ?? 0;
    // of a short name the decoder costs a multiple of this
    return all < 0x80 ? bytes.toString('latin1', name, end) : decodePath(bytes.subarray(name, end));
  }

  get path(): RepoPath {
    return this.entry.path;
  }

  get entry(): IndexEntry {
    return new RawEntry(this.bytes, this.start, this.table.endOf(this.ordinal));
  }

  get stage(): number {
    return stageOf(this.bytes, this.start);
  }

  get mode(): number {
    return readUInt32(this.bytes, this.start + FIELD.mode);
  }

  /** Nothing is marked: no conflict, not left out, not to be passed over, more than only intended to be added. */
  get isOrdinary(): boolean {
    return (this.flags & (FLAG_ASSUME_VALID | FLAG_EXTENDED | FLAG_STAGE)) === 0;
  }

  /** `--assume-unchanged`: not to be looked at. */
  get isAssumedValid(): boolean {
    return (this.flags & FLAG_ASSUME_VALID) !== 0;
  }

  /** `--skip-worktree`: not in the work tree on purpose. */
  get isSkipped(): boolean {
    const { bytes, start, flags } = this;
    return (
      (flags & FLAG_EXTENDED) !== 0 && ((bytes[start + FIELD.extended] ?? 0) & (EXTENDED_SKIP_WORKTREE >> 8)) !== 0
    );
  }

  /** The last part of the path, where that is plain ASCII; undefined where it is not. */
  get plainName(): string | undefined {
    return this.allOfName < 0x80 ? this.bytes.toString('latin1', this.name + this.folderLength, this.end) : undefined;
  }

  /**
   * Copies the last part of the path.
   * @returns where it ends in `target`; -1 when it is no plain ASCII or has no room
   */
  copyName(target: Buffer, at: number): number {
    const { bytes, end } = this;
    let to = at;
    let all = 0;
    for (let from = this.name + this.folderLength; from < end; from += 1, to += 1) {
      const byte = bytes[from] ?? 0;
      all |= byte;
      target[to] = byte;
    }
    return all < 0x80 && to <= target.length ? to : -1;
  }

  /**
   * As GitIndex.isUnchanged with ctime trusted, from an lstat without bigint, which costs a sixth less time. False
   * wherever it can't be told so; the caller then asks with exact numbers.
   *
   * Times come as milliseconds in a double, which tells instants apart that are a quarter of a microsecond from
   * each other. Both mtime and ctime must be the same, and nobody sets ctime by hand: a change that is taken for none
   * would have to follow the one before it within that time, with the look that git recorded in between, and
   * whoever records looks first and reads the content after.
   */
  isUnchanged(stats: LookedAt): boolean {
    const { bytes, start } = this;
    const mtime = readUInt32(bytes, start + FIELD.mtime);
    const mtimeNs = readUInt32(bytes, start + FIELD.mtime + 4);
    const size = readUInt32(bytes, start + FIELD.size);
    const ino = readUInt32(bytes, start + FIELD.ino);
    return (
      stats.mtimeMs === milliseconds(mtime, mtimeNs) &&
      stats.ctimeMs ===
        milliseconds(readUInt32(bytes, start + FIELD.ctime), readUInt32(bytes, start + FIELD.ctime + 4)) &&
      size === stats.size >>> 0 &&
      readUInt32(bytes, start + FIELD.uid) === stats.uid >>> 0 &&
      readUInt32(bytes, start + FIELD.gid) === stats.gid >>> 0 &&
      (ino === 0 || ino === stats.ino >>> 0) &&
      (size !== 0 ||
        this.mode === GITLINK ||
        EMPTY_BLOB.compare(bytes, start + FIELD.oid, start + FIELD.oid + 20) === 0) &&
      !isIntentToAdd(bytes, start) &&
      !isRacy(mtime, mtimeNs, this.writtenAt)
    );
  }
}

function hasSame(bytes: Buffer, a: number, b: number, length: number): boolean {
  for (let at = 0; at < length; at += 1) if (bytes[a + at] !== bytes[b + at]) return false;
  return true;
}

/**
 * A file that was modified in or after the instant in which the index was written may hide a later change of the
 * same size. Where one of the two has no nanoseconds, the whole second counts.
 * Source: Documentation/technical/racy-git.txt.
 */
export function isRacy(seconds: number, nanoseconds: number, writtenAt: WrittenAt): boolean {
  if (writtenAt === undefined) return false;
  const [writtenSeconds, writtenNanoseconds] = writtenAt;
  if (seconds !== writtenSeconds) return seconds > writtenSeconds;
  return nanoseconds === 0 || writtenNanoseconds === 0 || nanoseconds >= writtenNanoseconds;
}

/** As Node makes its milliseconds of the two; were it to do so otherwise, nothing would be found unchanged here. */
function milliseconds(seconds: number, nanoseconds: number): number {
  return seconds * 1000 + nanoseconds / 1_000_000;
}

function readUInt32(bytes: Buffer, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0
  );
}
