import { KbError } from '../../errors.js';
import { comparePaths, encodePath, type RepoPath } from '../paths.js';
import { encodeEntry, entryLength, isExtended, type NewEntry } from './entry.js';
import { EntryTable, compareName, lowerBound } from './entry-table.js';

const SLASH = 0x2f;
/** The byte after `/`: `folder0` is the first name behind everything in `folder/`. */
const AFTER_SLASH = 0x30;

/** Entries that follow one another in one table. */
interface Run {
  readonly table: EntryTable;
  /** The ordinal of the first of them in `table`. */
  readonly first: number;
  /** How many entries of the new index lie before them. */
  readonly at: number;
  /** Grows while runs are put together. */
  count: number;
}

/**
 * The entries of the index to be written: most are those of the file that was read, in their places
 * between them the new ones. No entry is decoded or moved, and one change among 100,000 entries makes three runs.
 */
export class SplicedEntries {
  readonly count: number;
  private readonly runs: readonly Run[];
  /** The run that was asked for last: entries are mostly asked for in their order. */
  private last: Run;

  constructor(
    runs: readonly Run[],
    private readonly added: EntryTable,
  ) {
    this.runs = runs;
    this.last = runs[0] ?? { table: added, first: 0, at: 0, count: 0 };
    const end = runs.at(-1);
    this.count = end === undefined ? 0 : end.at + end.count;
  }

  /** An index of these entries and no others. */
  static allOf(table: EntryTable): SplicedEntries {
    return new SplicedEntries(table.count === 0 ? [] : [{ table, first: 0, at: 0, count: table.count }], table);
  }

  bytesOf(position: number): Buffer {
    return this.runOf(position).table.bytes;
  }

  startOf(position: number): number {
    const { table, first, at } = this.runOf(position);
    return table.startOf(first + position - at);
  }

  lowerBound(key: Uint8Array, from = 0): number {
    return lowerBound(this.count, (position) => compareName(this.bytesOf(position), this.startOf(position), key), from);
  }

  /** The bytes of all entries in order, in pieces as long as they come from one place. */
  *pieces(): Generator<Buffer> {
    for (const { table, first, count } of this.runs) yield table.slice(first, first + count);
  }

  /** An addition says what only versions from 3 on can. */
  get hasExtendedAddition(): boolean {
    for (let ordinal = 0; ordinal < this.added.count; ordinal += 1) {
      if (isExtended(this.added.bytes, this.added.startOf(ordinal))) return true;
    }
    return false;
  }

  private runOf(position: number): Run {
    const { last, runs } = this;
    if (position >= last.at && position < last.at + last.count) return last;
    const after = lowerBound(runs.length, (at) => ((runs[at]?.at ?? 0) <= position ? -1 : 1));
    return (this.last = runs[after - 1] ?? last);
  }
}

/** Ordinals of entries that go: from `first` up to `after`. */
interface Removal {
  readonly first: number;
  readonly after: number;
}

/**
 * Puts changes among the entries. A change settles a conflict at its path: all its stages go. A file
 * that takes a folder's name replaces what is tracked in the folder, and the other way round, as
 * `git add` does: the index must never hold a name both as file and folder.
 */
export function splice(old: EntryTable, changes: ReadonlyMap<RepoPath, NewEntry | null>): SplicedEntries {
  const sorted = sortByPath(changes);
  const removals: Removal[] = [];
  const insertions: Insertion[] = [];
  let checkedFolder = '';
  for (const [path, entry] of sorted) {
    const key = encodePath(path);
    const before = old.lowerBound(key);
    removeAll(removals, old, key, before);
    if (entry === null) continue;
    insertions.push({ before, path, entry });
    const [first, after] = [old.lowerBound(withByte(key, SLASH)), old.lowerBound(withByte(key, AFTER_SLASH))];
    if (first < after) removals.push({ first, after });
    const folder = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    if (folder !== checkedFolder) removeFilesAbove(old, key, path, changes, removals);
    checkedFolder = folder;
  }
  const added = encodeAll(insertions);
  return new SplicedEntries(merge(old, added, removals, insertions), added);
}

/** @param from the first entry that may have the name */
function removeAll(removals: Removal[], old: EntryTable, name: Uint8Array, from: number): void {
  let after = from;
  while (old.hasName(after, name)) after += 1;
  if (after > from) removals.push({ first: from, after });
}

function removeFilesAbove(
  old: EntryTable,
  key: Buffer,
  path: RepoPath,
  changes: ReadonlyMap<RepoPath, NewEntry | null>,
  removals: Removal[],
): void {
  for (let slash = key.lastIndexOf(SLASH); slash > 0; slash = key.lastIndexOf(SLASH, slash - 1)) {
    const above = key.subarray(0, slash);
    removeAll(removals, old, above, old.lowerBound(above));
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
  const offsets = new Uint32Array(insertions.length + 1);
  insertions.forEach(({ path, entry }, ordinal) => {
    offsets[ordinal + 1] = encodeEntry(bytes, offsets[ordinal] as number, encodePath(path), entry);
  });
  return EntryTable.laidOut(bytes, offsets);
}

/** What is kept of `old`, and between it the additions, each before the entry that it was sorted before. */
function merge(
  old: EntryTable,
  added: EntryTable,
  removals: Removal[],
  insertions: readonly { before: number }[],
): Run[] {
  removals.sort((a, b) => a.first - b.first);
  const runs: Run[] = [];
  let count = 0;
  const append = (table: EntryTable, first: number, after: number): void => {
    if (first >= after) return;
    const last = runs.at(-1);
    if (last?.table === table && last.first + last.count === first) last.count += after - first;
    else runs.push({ table, first, at: count, count: after - first });
    count += after - first;
  };
  let ordinal = 0;
  let removal = 0;
  const keepUpTo = (limit: number): void => {
    for (let next = removals[removal]; next !== undefined && next.first < limit; next = removals[removal]) {
      append(old, ordinal, next.first);
      ordinal = Math.max(ordinal, Math.min(next.after, limit));
      // one that reaches beyond the limit goes on behind what is added there
      if (next.after > limit) break;
      removal += 1;
    }
    append(old, ordinal, limit);
    ordinal = Math.max(ordinal, limit);
  };
  insertions.forEach(({ before }, at) => {
    keepUpTo(before);
    append(added, at, at + 1);
  });
  keepUpTo(old.count);
  return runs;
}

function withByte(key: Buffer, byte: number): Buffer {
  return Buffer.concat([key, Buffer.of(byte)]);
}
