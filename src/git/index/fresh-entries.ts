import { STAT, STAT_WORDS } from '../../disk/file-writer.js';
import type { TreeScanner } from '../objects/tree.js';
import { EXTENDED_SKIP_WORKTREE, FIXED_LENGTH, FLAG_EXTENDED, NAME_MASK, paddedLength } from './entry.js';
import { EntryTable } from './entry-table.js';

/**
 * The entries of an index that is made from nothing, as the bytes that it will hold: 100,000 entries take 11 MB so,
 * and 60 as objects.
 */
export class FreshEntries {
  private bytes: Buffer;
  private offsets = new Uint32Array(1024);
  count = 0;

  /** @param expected bytes; it grows where that is too few */
  constructor(expected: number) {
    this.bytes = Buffer.alloc(expected);
  }

  /**
   * Behind the entry that was added last, in the order of git's index.
   * @param folder the path down to it, with its last slash
   * @param entry stands on it in its tree
   * @param known its stat as `FileWriter` tells it, in `stats` from `at` on; whether it is not here on purpose
   */
  add(
    folder: Buffer,
    entry: TreeScanner,
    { stats, at: statAt, isLeftOut }: { readonly stats: Uint32Array; readonly at: number; readonly isLeftOut: boolean },
  ): void {
    const { data: tree, nameStart: from, nameEnd: to } = entry;
    const length = folder.length + to - from;
    const fixed = isLeftOut ? FIXED_LENGTH + 2 : FIXED_LENGTH;
    const at = this.offsets[this.count] as number;
    const end = at + paddedLength(fixed, length);
    if (end > this.bytes.length) this.bytes = Buffer.concat([this.bytes], Math.max(end, 2 * this.bytes.length));
    const { bytes } = this;
    // Ten numbers, the mode behind the first six of the stat: see FIELD, and STAT of the writer.
    let put = at;
    for (let word = 0; word < STAT_WORDS; word += 1) {
      if (word === STAT.uid) put = putUInt32(bytes, put, entry.fileMode);
      put = putUInt32(bytes, put, stats[statAt + word] as number);
    }
    put = putBytes(bytes, put, tree, to + 1, to + 21);
    put = putUInt16(bytes, put, (isLeftOut ? FLAG_EXTENDED : 0) | Math.min(length, NAME_MASK));
    if (isLeftOut) put = putUInt16(bytes, put, EXTENDED_SKIP_WORKTREE);
    put = putBytes(bytes, put, folder, 0, folder.length);
    putBytes(bytes, put, tree, from, to);
    this.count += 1;
    if (this.count >= this.offsets.length) {
      const grown = new Uint32Array(2 * this.offsets.length);
      grown.set(this.offsets);
      this.offsets = grown;
    }
    this.offsets[this.count] = end;
  }

  /** @throws KbError E_CORRUPT when the entries are out of order */
  table(): EntryTable {
    const table = EntryTable.scan(this.bytes, 0, this.count, this.offsets[this.count] as number);
    table.assertOrder();
    return table;
  }
}

// Byte by byte: for so few, a call of Node's own functions costs several times as much.

function putUInt32(into: Buffer, at: number, value: number): number {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
  return at + 4;
}

function putUInt16(into: Buffer, at: number, value: number): number {
  into[at] = value >>> 8;
  into[at + 1] = value;
  return at + 2;
}

function putBytes(into: Buffer, at: number, bytes: Buffer, from: number, to: number): number {
  let put = at;
  for (let byte = from; byte < to; byte += 1) into[put++] = bytes[byte] as number;
  return put;
}
