import type { Disk } from '../../disk/disk.js';
import { readFileIfExists } from '../../disk/durable.js';
import { EntryTable, damagedIndex } from './entry-table.js';
import { FIELD } from './entry.js';

const HEADER_BYTES = 12;
const CHECKSUM_BYTES = 20;
const ID_BYTES = 20;

/**
 * Every object that an index file names: its entries at all stages, the trees of its TREE extension, and what its
 * REUC extension keeps of conflicts that were resolved. Unlike `GitIndex` it also reads an index that kb would not
 * write: what is only looked at cannot be broken. The two files of a split index are each read by themselves.
 * Source of the format: gitformat-index(5).
 * @param path of the index; nothing is given where there is none
 * @param visit is called with the bytes and the place of each id in them
 * @throws KbError E_CORRUPT when malformed
 */
export function visitIndexObjects(disk: Disk, path: string, visit: (bytes: Buffer, at: number) => void): void {
  const file = readFileIfExists(disk, path);
  if (file === undefined) return;
  const limit = file.length - CHECKSUM_BYTES;
  if (limit < HEADER_BYTES || file.toString('latin1', 0, 4) !== 'DIRC')
    throw damagedIndex('it does not begin as an index does');
  const version = file.readUInt32BE(4);
  if (version < 2 || version > 4) throw damagedIndex(`its version ${version} is unknown`);
  const count = file.readUInt32BE(8);
  let table: EntryTable;
  let end: number;
  if (version === 4) {
    ({ table, end } = EntryTable.expand(file, HEADER_BYTES, count, limit));
  } else {
    table = EntryTable.scan(file, HEADER_BYTES, count, limit);
    end = table.startOf(count);
  }
  for (let ordinal = 0; ordinal < table.count; ordinal += 1) {
    const start = table.startOf(ordinal);
    // a submodule's commit is in another repository
    if ((table.bytes.readUInt32BE(start + FIELD.mode) & 0o170000) !== 0o160000) visit(table.bytes, start + FIELD.oid);
  }
  for (let at = end; at + 8 <= limit;) {
    const signature = file.toString('latin1', at, at + 4);
    const from = at + 8;
    at = from + file.readUInt32BE(at + 4);
    if (at > limit) throw damagedIndex(`its extension ${JSON.stringify(signature)} is cut off`);
    if (signature === 'TREE') visitTrees(file.subarray(from, at), visit);
    if (signature === 'REUC') visitResolved(file.subarray(from, at), visit);
  }
}

/** Name NUL, count of entries (−1: no id follows), space, count of subtrees, LF, id. */
function visitTrees(data: Buffer, visit: (bytes: Buffer, at: number) => void): void {
  for (let at = 0; at < data.length;) {
    const nul = data.indexOf(0, at);
    const line = nul < 0 ? -1 : data.indexOf(0x0a, nul);
    if (line < 0) throw damagedIndex('its TREE extension is cut off');
    at = line + 1;
    if (data[nul + 1] === 0x2d) continue; // −1
    if (at + ID_BYTES > data.length) throw damagedIndex('its TREE extension is cut off');
    visit(data, at);
    at += ID_BYTES;
  }
}

/** Path NUL, three modes as octal text each with its NUL, then an id for each mode that is not 0. */
function visitResolved(data: Buffer, visit: (bytes: Buffer, at: number) => void): void {
  for (let at = 0; at < data.length;) {
    at = afterNul(data, at);
    let ids = 0;
    for (let stage = 0; stage < 3; stage += 1) {
      const next = afterNul(data, at);
      if (data.toString('latin1', at, next - 1) !== '0') ids += 1;
      at = next;
    }
    for (; ids > 0; ids -= 1) {
      if (at + ID_BYTES > data.length) throw damagedIndex('its REUC extension is cut off');
      visit(data, at);
      at += ID_BYTES;
    }
  }
}

function afterNul(data: Buffer, from: number): number {
  const nul = data.indexOf(0, from);
  if (nul < 0) throw damagedIndex('its REUC extension is cut off');
  return nul + 1;
}
