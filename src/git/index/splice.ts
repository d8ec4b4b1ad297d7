import { KbError } from '../../errors.js';
import { comparePaths, encodePath, type RepoPath } from '../paths.js';
import { encodeEntry, entryLength, isExtended, type NewEntry } from './entry.js';
import { EntryTable, compareName, lowerBound } from './entry-table.js';

const SLASH = 0x2f;
/** The byte after `/`: `folder0` is the first name behind everything in `folder/`. */
const AFTER_SLASH = 0x30;

/**
 * The entries of the index to be written: most are those of the file that was read, in their places
 * between them the new ones. No entry is decoded or moved.
 */
export class SplicedEntries {
  constructor(
    private readonly old: EntryTable,
    private readonly added: EntryTable,
    /** For each entry its ordinal in `old`, or ~ordinal in `added`. */
    private readonly sequence: Int32Array,
  ) {}

  get count(): number {
    return this.sequence.length;
  }

  bytesOf(position: number): Buffer {
    return (this.sequence[position] ?? 0) < 0 ? this.added.bytes : this.old.bytes;
  }

  startOf(position: number): number {
    const ordinal = this.sequence[position] ?? 0;
    return ordinal < 0 ? this.added.startOf(~ordinal) : this.old.startOf(ordinal);
  }

  lowerBound(key: Uint8Array, from = 0): number {
    return lowerBound(this.count, (position) => compareName(this.bytesOf(position), this.startOf(position), key), from);
  }

  /** The bytes of all entries in order, in pieces as long as they come from one place. */
  *pieces(): Generator<Buffer> {
    const { sequence } = this;
    for (let from = 0, to = 1; from < sequence.length; from = to, to += 1) {
      const first = sequence[from] ?? 0;
      const step = first < 0 ? -1 : 1;
      while (
        to < sequence.length &&
        sequence[to] === (sequence[to - 1] ?? 0) + step &&
        (sequence[to] ?? 0) < 0 === first < 0
      )
        to += 1;
      const last = sequence[to - 1] ?? 0;
      yield first < 0 ? this.added.slice(~first, ~last + 1) : this.old.slice(first, last + 1);
    }
  }

  /** An addition says what only versions from 3 on can. */
  get hasExtendedAddition(): boolean {
    for (let ordinal = 0; ordinal < this.added.count; ordinal += 1) {
      if (isExtended(this.added.bytes, this.added.startOf(ordinal))) return true;
    }
    return false;
  }
}

/**
 * Puts changes among the entries. A change settles a conflict at its path: all its stages go. A file
 * that takes a folder's name replaces what is tracked in the folder, and the other way round, as
 * `git add` does: the index must never hold a name both as file and folder.
 */
export function splice(old: EntryTable, changes: ReadonlyMap<RepoPath, NewEntry | null>): SplicedEntries {
  const sorted = sortByPath(changes);
  const removed = new Uint8Array(old.count);
  const insertions: Insertion[] = [];
  let checkedFolder = '';
  for (const [path, entry] of sorted) {
    const key = encodePath(path);
    const before = old.lowerBound(key);
    for (let at = before; old.hasName(at, key); at += 1) removed[at] = 1;
    if (entry === null) continue;
    insertions.push({ before, path, entry });
    removed.fill(1, old.lowerBound(withByte(key, SLASH)), old.lowerBound(withByte(key, AFTER_SLASH)));
    const folder = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    if (folder !== checkedFolder) removeFilesAbove(old, key, path, changes, removed);
    checkedFolder = folder;
  }
  return new SplicedEntries(old, encodeAll(insertions), merge(old.count, removed, insertions));
}

function removeFilesAbove(
  old: EntryTable,
  key: Buffer,
  path: RepoPath,
  changes: ReadonlyMap<RepoPath, NewEntry | null>,
  removed: Uint8Array,
): void {
  for (let slash = key.lastIndexOf(SLASH); slash > 0; slash = key.lastIndexOf(SLASH, slash - 1)) {
    const above = key.subarray(0, slash);
    for (let at = old.lowerBound(above); old.hasName(at, above); at += 1) removed[at] = 1;
  }
  for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
    const above = path.slice(0, slash) as RepoPath;
    if ((changes.get(above) ?? null) !== null) {
      throw new KbError('E_INTERNAL', `an index change adds ${JSON.stringify(above)} both as a file and as a folder`);
    }
  }
}

function sortByPath(changes: ReadonlyMap<RepoPath, NewEntry | null>): [RepoPath, NewEntry | null][] {
  const pairs = [...changes];
  // A whole tree comes in order already; comparing neighbours is then all there is to do.
  const isSorted = pairs.every((pair, at) => at === 0 || comparePaths(pairs[at - 1]?.[0] ?? '', pair[0]) < 0);
  return isSorted ? pairs : pairs.sort(([a], [b]) => comparePaths(a, b));
}

/** A new entry, and the ordinal that it comes before. The path is encoded when it is written: 100,000 buffers weigh. */
interface Insertion {
  readonly before: number;
  readonly path: RepoPath;
  readonly entry: NewEntry;
}

function encodeAll(insertions: readonly Insertion[]): EntryTable {
  const total = insertions.reduce((sum, { path, entry }) => sum + entryLength(encodePath(path), entry), 0);
  const bytes = Buffer.alloc(total);
  let at = 0;
  for (const { path, entry } of insertions) at = encodeEntry(bytes, at, encodePath(path), entry);
  return EntryTable.scan(bytes, 0, insertions.length, total);
}

function merge(oldCount: number, removed: Uint8Array, insertions: readonly { before: number }[]): Int32Array {
  const sequence = new Int32Array(oldCount + insertions.length);
  let length = 0;
  let ordinal = 0;
  const keepUpTo = (limit: number): void => {
    for (; ordinal < limit; ordinal += 1) if (removed[ordinal] === 0) sequence[length++] = ordinal;
  };
  insertions.forEach(({ before }, at) => {
    keepUpTo(before);
    sequence[length++] = ~at;
  });
  keepUpTo(oldCount);
  return sequence.subarray(0, length);
}

function withByte(key: Buffer, byte: number): Buffer {
  return Buffer.concat([key, Buffer.of(byte)]);
}
