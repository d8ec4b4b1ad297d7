import type { BigIntStats } from 'node:fs';
import type { Oid } from '../ids.js';
import { decodePath, type RepoPath } from '../paths.js';

/** What an index entry keeps of its file's lstat. Compared and stored in 32 bits each, as git does. */
export interface FileStat {
  readonly ctimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly dev: number;
  readonly ino: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
}

export interface IndexEntry {
  readonly path: RepoPath;
  readonly mode: number;
  readonly oid: Oid;
  /** 0: merged; 1, 2, 3: base, ours, theirs of a conflict. */
  readonly stage: 0 | 1 | 2 | 3;
  readonly stat: FileStat;
  readonly skipWorktree: boolean;
  readonly assumeValid: boolean;
  readonly intentToAdd: boolean;
}

export interface NewEntry {
  readonly mode: number;
  readonly oid: Oid;
  readonly stat: FileStat;
  /** The file is not in the work tree on purpose (sparse checkout). Default false. */
  readonly skipWorktree?: boolean;
}

/**
 * The fixed part of an entry, all numbers big-endian. Source: gitformat-index(5), "Index entry":
 * ctime s, ns · mtime s, ns · dev · ino · mode · uid · gid · size · SHA-1 · flags [· extended flags].
 */
export const FIELD = {
  ctime: 0,
  mtime: 8,
  dev: 16,
  ino: 20,
  mode: 24,
  uid: 28,
  gid: 32,
  size: 36,
  oid: 40,
  flags: 60,
  extended: 62,
} as const;
export const FIXED_LENGTH = 62;

export const FLAG_ASSUME_VALID = 0x8000;
export const FLAG_EXTENDED = 0x4000;
export const FLAG_STAGE = 0x3000;
export const NAME_MASK = 0x0fff;
export const EXTENDED_SKIP_WORKTREE = 0x4000;
export const EXTENDED_INTENT_TO_ADD = 0x2000;

export const GITLINK = 0o160000;

/** From `lstatSync(path, { bigint: true })`; ids over 53 bits keep their low 32 bits, the ones git stores. */
export function fileStatOf(stats: BigIntStats): FileStat {
  return {
    ctimeNs: stats.ctimeNs,
    mtimeNs: stats.mtimeNs,
    dev: low32(stats.dev),
    ino: low32(stats.ino),
    uid: low32(stats.uid),
    gid: low32(stats.gid),
    size: Number(stats.size),
  };
}

function low32(value: bigint): number {
  return Number(BigInt.asUintN(32, value));
}

const SECOND = 1_000_000_000n;

/** Seconds (low 32 bits) and nanoseconds; before 1970 the nanoseconds still count forward. */
export function splitTime(ns: bigint): readonly [seconds: number, nanoseconds: number] {
  const rest = ((ns % SECOND) + SECOND) % SECOND;
  return [low32((ns - rest) / SECOND), Number(rest)];
}

/** An entry that decodes a field when it is asked for: a walk over 100,000 entries often needs one of them only. */
export class RawEntry implements IndexEntry {
  constructor(
    private readonly bytes: Buffer,
    private readonly start: number,
    private readonly end: number,
  ) {}

  get path(): RepoPath {
    return decodePath(entryName(this.bytes, this.start, this.end));
  }

  get mode(): number {
    return this.bytes.readUInt32BE(this.start + FIELD.mode);
  }

  get oid(): Oid {
    return this.bytes.toString('hex', this.start + FIELD.oid, this.start + FIELD.oid + 20) as Oid;
  }

  get stage(): 0 | 1 | 2 | 3 {
    return stageOf(this.bytes, this.start);
  }

  get stat(): FileStat {
    const field = (offset: number): number => this.bytes.readUInt32BE(this.start + offset);
    return {
      ctimeNs: BigInt(field(FIELD.ctime)) * SECOND + BigInt(field(FIELD.ctime + 4)),
      mtimeNs: BigInt(field(FIELD.mtime)) * SECOND + BigInt(field(FIELD.mtime + 4)),
      dev: field(FIELD.dev),
      ino: field(FIELD.ino),
      uid: field(FIELD.uid),
      gid: field(FIELD.gid),
      size: field(FIELD.size),
    };
  }

  get skipWorktree(): boolean {
    return (extendedFlags(this.bytes, this.start) & EXTENDED_SKIP_WORKTREE) !== 0;
  }

  get assumeValid(): boolean {
    return (this.bytes.readUInt16BE(this.start + FIELD.flags) & FLAG_ASSUME_VALID) !== 0;
  }

  get intentToAdd(): boolean {
    return isIntentToAdd(this.bytes, this.start);
  }
}

export function stageOf(bytes: Buffer, start: number): 0 | 1 | 2 | 3 {
  return (((bytes[start + FIELD.flags] ?? 0) >> 4) & 3) as 0 | 1 | 2 | 3;
}

export function isIntentToAdd(bytes: Buffer, start: number): boolean {
  return (extendedFlags(bytes, start) & EXTENDED_INTENT_TO_ADD) !== 0;
}

function extendedFlags(bytes: Buffer, start: number): number {
  return isExtended(bytes, start) ? bytes.readUInt16BE(start + FIELD.extended) : 0;
}

export function isExtended(bytes: Buffer, start: number): boolean {
  return ((bytes[start + FIELD.flags] ?? 0) & (FLAG_EXTENDED >> 8)) !== 0;
}

/** Length of an entry of version 2 or 3 whose name has this many bytes: 1 to 8 NUL fill it up to a multiple of 8. */
export function paddedLength(fixed: number, nameLength: number): number {
  return (fixed + nameLength + 8) & ~7;
}

export function nameStart(bytes: Buffer, start: number): number {
  return start + (isExtended(bytes, start) ? FIXED_LENGTH + 2 : FIXED_LENGTH);
}

/** Where the name ends: the flags say it up to 4094 bytes, the first NUL says it for longer ones. */
export function nameEnd(bytes: Buffer, start: number): number {
  const length = ((bytes[start + FIELD.flags] ?? 0) & 0x0f) * 256 + (bytes[start + FIELD.flags + 1] ?? 0);
  const from = nameStart(bytes, start);
  return length === NAME_MASK ? bytes.indexOf(0, from + NAME_MASK) : from + length;
}

function entryName(bytes: Buffer, start: number, end: number): Buffer {
  return bytes.subarray(nameStart(bytes, start), Math.min(nameEnd(bytes, start), end));
}

export function entryLength(name: Uint8Array, entry: NewEntry): number {
  return paddedLength(entry.skipWorktree === true ? FIXED_LENGTH + 2 : FIXED_LENGTH, name.length);
}

/** Writes an entry in the layout of versions 2 and 3 into zeroed bytes. @returns the position after it */
export function encodeEntry(into: Buffer, at: number, name: Uint8Array, entry: NewEntry): number {
  const { stat } = entry;
  const [ctime, ctimeNs] = splitTime(stat.ctimeNs);
  const [mtime, mtimeNs] = splitTime(stat.mtimeNs);
  const fields = [ctime, ctimeNs, mtime, mtimeNs, stat.dev, stat.ino, entry.mode, stat.uid, stat.gid, stat.size];
  let position = at;
  for (const field of fields) position = into.writeUInt32BE(field >>> 0, position);
  position += into.write(entry.oid, position, 20, 'hex');
  const extended = entry.skipWorktree === true;
  position = into.writeUInt16BE((extended ? FLAG_EXTENDED : 0) | Math.min(name.length, NAME_MASK), position);
  if (extended) position = into.writeUInt16BE(EXTENDED_SKIP_WORKTREE, position);
  into.set(name, position);
  return at + entryLength(name, entry);
}
