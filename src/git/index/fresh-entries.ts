import { STAT } from '../../disk/file-writer.js';
import type { TreeScanner } from '../objects/tree.js';
import { EXTENDED_SKIP_WORKTREE, FIELD, FIXED_LENGTH, FLAG_EXTENDED, NAME_MASK, paddedLength } from './entry.js';
import { EntryTable } from './entry-table.js';

/** In the order of an entry's fields. */
const STAT_FIELDS = [
  [FIELD.ctime, STAT.ctime],
  [FIELD.ctime + 4, STAT.ctimeNs],
  [FIELD.mtime, STAT.mtime],
  [FIELD.mtime + 4, STAT.mtimeNs],
  [FIELD.dev, STAT.dev],
  [FIELD.ino, STAT.ino],
  [FIELD.uid, STAT.uid],
  [FIELD.gid, STAT.gid],
  [FIELD.size, STAT.size],
] as const;

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
    for (const [field, word] of STAT_FIELDS) bytes.writeUInt32BE(stats[statAt + word] as number, at + field);
    bytes.writeUInt32BE(entry.fileMode, at + FIELD.mode);
    tree.copy(bytes, at + FIELD.oid, to + 1, to + 21);
    bytes.writeUInt16BE((isLeftOut ? FLAG_EXTENDED : 0) | Math.min(length, NAME_MASK), at + FIELD.flags);
    if (isLeftOut) bytes.writeUInt16BE(EXTENDED_SKIP_WORKTREE, at + FIELD.extended);
    bytes.set(folder, at + fixed);
    tree.copy(bytes, at + fixed + folder.length, from, to);
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
