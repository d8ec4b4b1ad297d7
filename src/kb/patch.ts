import type { Oid } from '../git/ids.js';
import type { Leaf } from '../git/objects/tree.js';
import type { TreeChange } from '../git/objects/tree-diff.js';
import { encodePath } from '../git/paths.js';
import { GITLINK } from '../git/worktree/modes.js';
import { isBinary } from '../merge/content-kind.js';
import { diffLines, type LineChange } from '../merge/diff.js';
import { LineIds, sliceLines, splitLines, type Lines } from '../merge/lines.js';

/** Lines of context around a change, as git's. */
const CONTEXT = 3;
/** A heading of a hunk is cut to so many bytes. Source: git's `xdiff-interface.c`, `xdiff/xemit.c` (`func_line`). */
const HEADING_BYTES = 80;
const NO_OID = '0'.repeat(40);
const NEWLINE = 0x0a;

/**
 * The changed files as a patch that `git apply` takes: what `git diff --no-renames --full-index` prints. Of a file that
 * is no text it says only that it differs.
 * @param read the content of a blob
 * Source: git-diff(1), "Generating patch text with -p", and git's `diff.c` (`fill_metainfo`, `builtin_diff`).
 */
export function patchOf(changes: readonly TreeChange[], read: (oid: Oid) => Buffer): Buffer {
  return Buffer.concat(changes.flatMap((change) => filePatches(change).flatMap((one) => filePatch(one, read))));
}

/** What changes its kind (a file that became a link) goes, and comes anew. */
function filePatches(change: TreeChange): TreeChange[] {
  const { path, before, after } = change;
  if (before === undefined || after === undefined || kindOf(before) === kindOf(after)) return [change];
  return [
    { path, before },
    { path, after },
  ];
}

function kindOf({ mode }: Leaf): number {
  return mode >> 12;
}

function filePatch({ path, before, after }: TreeChange, read: (oid: Oid) => Buffer): Buffer[] {
  const [oldName, newName] = [quoted(`a/${path}`), quoted(`b/${path}`)];
  const head = [`diff --git ${oldName} ${newName}\n`];
  if (before === undefined) head.push(`new file mode ${modeText(after)}\n`);
  else if (after === undefined) head.push(`deleted file mode ${modeText(before)}\n`);
  else if (before.mode !== after.mode) head.push(`old mode ${modeText(before)}\nnew mode ${modeText(after)}\n`);
  if (before?.oid === after?.oid) return [encodePath(head.join(''))];
  const same = before !== undefined && before.mode === after?.mode ? ` ${modeText(before)}` : '';
  head.push(`index ${before?.oid ?? NO_OID}..${after?.oid ?? NO_OID}${same}\n`);
  const [old, fresh] = [contentOf(before, read), contentOf(after, read)];
  const [oldSide, newSide] = [
    before === undefined ? '/dev/null' : oldName,
    after === undefined ? '/dev/null' : newName,
  ];
  if (isBinary(old) || isBinary(fresh)) {
    head.push(`Binary files ${oldSide} and ${newSide} differ\n`);
    return [encodePath(head.join(''))];
  }
  const hunks = hunksOf(splitLines(old), splitLines(fresh));
  // An empty file that came or went has no lines to name it by.
  if (hunks.length > 0) head.push(`--- ${ended(oldSide)}\n+++ ${ended(newSide)}\n`);
  return [encodePath(head.join('')), ...hunks];
}

function modeText(leaf: Leaf | undefined): string {
  return (leaf?.mode ?? 0).toString(8).padStart(6, '0');
}

function contentOf(leaf: Leaf | undefined, read: (oid: Oid) => Buffer): Buffer {
  if (leaf === undefined) return Buffer.alloc(0);
  if (leaf.mode === GITLINK) return Buffer.from(`Subproject commit ${leaf.oid}\n`);
  return read(leaf.oid);
}

/** A name with blanks gets a tab behind it, so that nobody takes what follows for a part of it. */
function ended(name: string): string {
  return name.includes(' ') ? `${name}\t` : name;
}

/** As git quotes names (core.quotePath): bytes that are no plain characters as octal escapes. */
function quoted(name: string): string {
  const bytes = encodePath(name);
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c)) return name;
  return `"${[...bytes].map(escaped).join('')}"`;
}

const ESCAPES: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
  0x22: '\\"',
  0x5c: '\\\\',
};

function escaped(byte: number): string {
  const known = ESCAPES[byte];
  if (known !== undefined) return known;
  return byte < 0x20 || byte >= 0x7f ? `\\${byte.toString(8).padStart(3, '0')}` : String.fromCharCode(byte);
}

function hunksOf(old: Lines, fresh: Lines): Buffer[] {
  const ids = new LineIds();
  const changes = diffLines(ids.of(old), ids.of(fresh));
  const pieces: Buffer[] = [];
  for (let at = 0; at < changes.length;) {
    const first = changes[at] as LineChange;
    let last = first;
    // Two changes whose contexts touch are one hunk.
    for (at += 1; at < changes.length; at += 1) {
      const next = changes[at] as LineChange;
      if (next.oldStart - (last.oldStart + last.oldCount) > 2 * CONTEXT) break;
      last = next;
    }
    const group = changes.slice(changes.indexOf(first), at);
    pieces.push(...hunkOf(old, fresh, group, first, last));
  }
  return pieces;
}

function hunkOf(old: Lines, fresh: Lines, group: LineChange[], first: LineChange, last: LineChange): Buffer[] {
  const lead = Math.min(CONTEXT, first.oldStart);
  const tail = Math.min(CONTEXT, old.count - (last.oldStart + last.oldCount));
  const oldFirst = first.oldStart - lead;
  const newFirst = first.newStart - lead;
  const oldCount = last.oldStart + last.oldCount + tail - oldFirst;
  const newCount = last.newStart + last.newCount + tail - newFirst;
  const range = `@@ -${rangeText(oldFirst, oldCount)} +${rangeText(newFirst, newCount)} @@`;
  const heading = headingBefore(old, oldFirst);
  const pieces = [Buffer.from(range), ...(heading === undefined ? [] : [Buffer.from(' '), heading]), Buffer.from('\n')];
  let at = oldFirst;
  for (const { oldStart, oldCount: gone, newStart, newCount: come } of group) {
    pieces.push(...marked(' ', old, at, oldStart - at));
    pieces.push(...marked('-', old, oldStart, gone));
    pieces.push(...marked('+', fresh, newStart, come));
    at = oldStart + gone;
  }
  pieces.push(...marked(' ', old, at, tail));
  return pieces;
}

/** Lines count from 1; a range without lines is named by the line before it. */
function rangeText(first: number, count: number): string {
  const start = count === 0 ? first : first + 1;
  return count === 1 ? String(start) : `${start},${count}`;
}

function marked(mark: string, lines: Lines, first: number, count: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let line = first; line < first + count; line += 1) {
    const data = sliceLines(lines, line, 1);
    pieces.push(Buffer.from(mark), data);
    if (data[data.length - 1] !== NEWLINE) pieces.push(Buffer.from('\n\\ No newline at end of file\n'));
  }
  return pieces;
}

/** The nearest line above a hunk that begins with a letter, `_` or `$`: git's guess at what the hunk belongs to. */
function headingBefore(lines: Lines, first: number): Buffer | undefined {
  for (let line = first - 1; line >= 0; line -= 1) {
    const data = sliceLines(lines, line, 1);
    if (/^[A-Za-z_$]/.test(String.fromCharCode(data[0] ?? 0))) {
      const cut = data.subarray(0, HEADING_BYTES).toString('latin1');
      return Buffer.from(cut.replace(/[\t-\r ]+$/, ''), 'latin1');
    }
  }
  return undefined;
}
