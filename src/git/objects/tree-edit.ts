import { KbError } from '../../errors.js';
import { EMPTY_TREE, type Oid } from '../ids.js';
import type { RepoPath } from '../paths.js';
import type { StagedObjects } from './staged.js';
import {
  assertDepth,
  compareNames,
  encodeEntry,
  encodeName,
  readTree,
  TREE_MODE,
  TreeScanner,
  type FileMode,
  type Leaf,
} from './tree.js';

/** What happens to one name in one folder. */
interface Edit {
  readonly name: Buffer;
  /** The path from the root, for messages. */
  readonly path: string;
  /** undefined: nothing is said about a file of this name. */
  leaf: Leaf | null | undefined;
  /** What happens below it. */
  below: Edits | undefined;
}

/** By the name's bytes as latin-1: a key that needs no decoding. */
type Edits = Map<string, Edit>;

interface NewEntry {
  readonly name: Buffer;
  readonly mode: FileMode;
  readonly oid: Oid;
}

/**
 * The tree after these changes: a leaf is put at its path, null takes the leaf there away (no matter if there
 * is none). Only the trees on the changed paths are rewritten, and of them only the changed bytes; folders
 * that become empty go away. A file makes room for a folder of its name, and a folder for a file, only when the changes
 * take away all that was there: nothing disappears that nobody named.
 * @throws KbError E_USAGE when a path leads through a file, or stands for a folder; E_CORRUPT on damaged trees
 */
export function editTree(staged: StagedObjects, root: Oid, changes: ReadonlyMap<RepoPath, Leaf | null>): Oid {
  if (changes.size === 0) return root;
  return editFolder(staged, root, plan(changes), 0) ?? staged.add('tree', Buffer.alloc(0));
}

function plan(changes: ReadonlyMap<RepoPath, Leaf | null>): Edits {
  const root: Edits = new Map();
  for (const [path, leaf] of changes) {
    const parts = path.split('/');
    assertDepth(parts.length);
    let edits = root;
    let before = '';
    for (const [index, part] of parts.entries()) {
      const name = encodeName(part);
      const key = name.toString('latin1');
      let edit = edits.get(key);
      if (edit === undefined) edits.set(key, (edit = { name, path: before + part, leaf: undefined, below: undefined }));
      if (index === parts.length - 1) edit.leaf = leaf;
      else edits = edit.below ??= new Map<string, Edit>();
      before += `${part}/`;
    }
  }
  return root;
}

/** @returns undefined when nothing is left */
function editFolder(staged: StagedObjects, folder: Oid, edits: Edits, depth: number): Oid | undefined {
  assertDepth(depth);
  const data = readTree(staged, folder);
  const { starts, present } = scanFolder(data, edits);
  const fresh: NewEntry[] = [];
  for (const [key, edit] of edits) {
    const entry = editedEntry(staged, edit, present.get(key), depth);
    if (entry !== undefined) fresh.push(entry);
  }
  const edited = splice(data, starts, [...present.values()], fresh);
  return edited.length === 0 ? undefined : staged.add('tree', edited);
}

interface Present {
  readonly mode: FileMode;
  readonly oid: Oid;
  readonly start: number;
  readonly end: number;
}

/** Where each entry begins, and the entries that the edits name. */
function scanFolder(data: Buffer, edits: Edits): { starts: number[]; present: Map<string, Present> } {
  const starts: number[] = [];
  const present = new Map<string, Present>();
  // cheap for the thousands of entries that no edit names: most differ in length already
  const lengths = new Set<number>();
  for (const { name } of edits.values()) lengths.add(name.length);
  const scanner = new TreeScanner(data);
  while (scanner.next()) {
    const { start, nameStart, nameEnd, end } = scanner;
    starts.push(start);
    if (!lengths.has(nameEnd - nameStart)) continue;
    const key = data.toString('latin1', nameStart, nameEnd);
    if (edits.has(key)) present.set(key, { mode: scanner.fileMode, oid: scanner.oid, start, end });
  }
  return { starts, present };
}

/** What stands under the name afterwards. */
function editedEntry(
  staged: StagedObjects,
  edit: Edit,
  present: Present | undefined,
  depth: number,
): NewEntry | undefined {
  const { name, path, leaf, below } = edit;
  const wasFolder = present?.mode === TREE_MODE;
  let kept: { readonly mode: FileMode; readonly oid: Oid } | undefined;
  if (wasFolder) {
    const oid = below === undefined ? present.oid : editFolder(staged, present.oid, below, depth + 1);
    if (oid !== undefined) kept = { mode: TREE_MODE, oid };
  } else {
    const oid = below === undefined ? undefined : editFolder(staged, EMPTY_TREE, below, depth + 1);
    if (oid !== undefined) {
      const fileStays = leaf === undefined ? present !== undefined : leaf !== null;
      if (fileStays)
        throw new KbError('E_USAGE', `${JSON.stringify(path)} is a file: nothing can be put below it`, {
          details: { path },
        });
      return { name, mode: TREE_MODE, oid };
    }
    if (leaf === undefined) kept = present;
  }
  if (leaf === undefined || leaf === null)
    return kept === undefined ? undefined : { name, mode: kept.mode, oid: kept.oid };
  if (kept !== undefined)
    throw new KbError('E_USAGE', `${JSON.stringify(path)} is a folder: no file can take its place`, {
      details: { path },
    });
  if (leaf.mode === TREE_MODE) throw new KbError('E_INTERNAL', `${JSON.stringify(path)}: a folder is no leaf`);
  return { name, mode: leaf.mode, oid: leaf.oid };
}

/** The folder's bytes with some entries cut out and the fresh ones put where they belong. */
function splice(data: Buffer, starts: readonly number[], gone: readonly Present[], fresh: readonly NewEntry[]): Buffer {
  const cuts: { at: number; until: number; entry?: NewEntry }[] = gone.map(({ start, end }) => ({
    at: start,
    until: end,
  }));
  const ordered = [...fresh].sort((a, b) => compareNames(a.name, a.mode === TREE_MODE, b.name, b.mode === TREE_MODE));
  for (const entry of ordered) {
    const at = placeOf(data, starts, entry);
    cuts.push({ at, until: at, entry });
  }
  // Stable: fresh entries for one place stay in order. One that takes the place of an entry cut out there
  // may stand before or behind the cut alike.
  cuts.sort((a, b) => a.at - b.at);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const { at, until, entry } of cuts) {
    if (at > from) pieces.push(data.subarray(from, at));
    if (entry !== undefined) pieces.push(encodeEntry(entry.mode, entry.name, entry.oid));
    from = Math.max(from, until);
  }
  pieces.push(data.subarray(from));
  return Buffer.concat(pieces);
}

/** Where the first entry begins that does not come before this one. */
function placeOf(data: Buffer, starts: readonly number[], entry: NewEntry): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const scanner = new TreeScanner(data, starts[middle]);
    scanner.next();
    const name = data.subarray(scanner.nameStart, scanner.nameEnd);
    if (compareNames(name, scanner.isTree, entry.name, entry.mode === TREE_MODE) < 0) low = middle + 1;
    else high = middle;
  }
  return starts[low] ?? data.length;
}
