import { KbError } from '../../errors.js';
import { EMPTY_TREE, type Oid } from '../ids.js';
import type { RepoPath } from '../paths.js';
import type { StagedObjects } from './staged.js';
import { assertDepth, compareNames, encodeEntry, encodeName, readTree, TREE_MODE, TreeScanner, type FileMode, type Leaf } from './tree.js';

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
      else edits = edit.below ??= new Map();
      before += `${part}/`;
    }
  }
  return root;
}

/** @returns undefined when nothing is left */
function editFolder(staged: StagedObjects, folder: Oid, edits: Edits, depth: number): Oid | undefined {
  assertDepth(depth);
  const data = readTree(staged, folder);
  const present = findPresent(data, edits);
  const fresh: NewEntry[] = [];
  for (const [key, edit] of edits) {
    const entry = editedEntry(staged, edit, present.get(key), depth);
    if (entry !== undefined) fresh.push(entry);
  }
  fresh.sort((a, b) => compareNames(a.name, a.mode === TREE_MODE, b.name, b.mode === TREE_MODE));
  const edited = splice(data, edits, fresh);
  return edited.length === 0 ? undefined : staged.add('tree', edited);
}

interface Present {
  readonly mode: FileMode;
  readonly oid: Oid;
}

/** The entries of the folder that the edits name. */
function findPresent(data: Buffer, edits: Edits): Map<string, Present> {
  const present = new Map<string, Present>();
  const isNamed = namedBy(edits);
  const scanner = new TreeScanner(data);
  while (scanner.next()) {
    if (isNamed(scanner)) present.set(keyOf(scanner), { mode: scanner.fileMode, oid: scanner.oid });
  }
  return present;
}

/** Cheap for the thousands of entries that no edit names: most differ in length already. */
function namedBy(edits: Edits): (scanner: TreeScanner) => boolean {
  const lengths = new Set<number>();
  for (const { name } of edits.values()) lengths.add(name.length);
  return (scanner) => lengths.has(scanner.nameEnd - scanner.nameStart) && edits.has(keyOf(scanner));
}

function keyOf({ data, nameStart, nameEnd }: TreeScanner): string {
  return data.toString('latin1', nameStart, nameEnd);
}

/** What stands under the name afterwards. */
function editedEntry(staged: StagedObjects, edit: Edit, present: Present | undefined, depth: number): NewEntry | undefined {
  const { name, path, leaf, below } = edit;
  const wasFolder = present?.mode === TREE_MODE;
  let kept: Present | undefined;
  if (wasFolder) {
    const oid = below === undefined ? present.oid : editFolder(staged, present.oid, below, depth + 1);
    if (oid !== undefined) kept = { mode: TREE_MODE, oid };
  } else {
    const oid = below === undefined ? undefined : editFolder(staged, EMPTY_TREE, below, depth + 1);
    if (oid !== undefined) {
      const fileStays = leaf === undefined ? present !== undefined : leaf !== null;
      if (fileStays) throw new KbError('E_USAGE', `${JSON.stringify(path)} is a file: nothing can be put below it`, { details: { path } });
      return { name, mode: TREE_MODE, oid };
    }
    if (leaf === undefined) kept = present;
  }
  if (leaf === undefined || leaf === null) return kept === undefined ? undefined : { name, ...kept };
  if (kept !== undefined) throw new KbError('E_USAGE', `${JSON.stringify(path)} is a folder: no file can take its place`, { details: { path } });
  if (leaf.mode === TREE_MODE) throw new KbError('E_INTERNAL', `${JSON.stringify(path)}: a folder is no leaf`);
  return { name, mode: leaf.mode, oid: leaf.oid };
}

/** The folder's bytes with the named entries taken out and the fresh ones (in order) put where they belong. */
function splice(data: Buffer, edits: Edits, fresh: readonly NewEntry[]): Buffer {
  const isNamed = namedBy(edits);
  const pieces: Buffer[] = [];
  const scanner = new TreeScanner(data);
  let keptFrom = 0;
  let next = 0;
  while (scanner.next()) {
    const upTo = scanner.start;
    const before = next;
    while (next < fresh.length && comesBefore(fresh[next] as NewEntry, scanner)) next++;
    const drop = isNamed(scanner);
    if (before === next && !drop) continue;
    pieces.push(data.subarray(keptFrom, upTo));
    for (const entry of fresh.slice(before, next)) pieces.push(encodeEntry(entry.mode, entry.name, entry.oid));
    keptFrom = drop ? scanner.end : upTo;
  }
  pieces.push(data.subarray(keptFrom));
  for (const entry of fresh.slice(next)) pieces.push(encodeEntry(entry.mode, entry.name, entry.oid));
  return Buffer.concat(pieces);
}

function comesBefore(entry: NewEntry, scanner: TreeScanner): boolean {
  return compareNames(entry.name, entry.mode === TREE_MODE, scanner.data.subarray(scanner.nameStart, scanner.nameEnd), scanner.isTree) < 0;
}
