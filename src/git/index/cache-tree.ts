import { createHash } from 'node:crypto';
import type { ObjectSource } from '../objects/object.js';
import type { Oid } from '../ids.js';
import { decodePath } from '../paths.js';
import { FIELD, isIntentToAdd, nameEnd, nameStart, stageOf } from './entry.js';
import type { SplicedEntries } from './splice.js';

const LF = 0x0a;
const SPACE = 0x20;
const MINUS = 0x2d;
const DIGIT_0 = 0x30;
const NO_ASCII = /[\x80-\xff]/;
const SLASH = 0x2f;
const AFTER_SLASH = 0x30;
const OID_BYTES = 20;
/** No real folder is this deep; a crafted extension or index must not exhaust the stack. */
const MAX_DEPTH = 4096;

export interface KnownTrees {
  /** Where the trees of the changed folders are. */
  readonly source: ObjectSource;
  /** The tree that the index should hold now. */
  readonly root: Oid;
}

/**
 * The TREE extension: for each folder the id of its tree, if nothing below it changed since. Git builds
 * the next commit's trees from it without looking at the entries, so a folder marked valid with the
 * wrong id or count corrupts that commit.
 *
 * Invariant: a folder is valid only if (a) it was so in the file that was read and no change lies below
 * it, or (b) its tree, put together from the entries themselves and from valid folders below, has this
 * id and is stored, or (c) the entries were made of that tree. Never because a caller says so. (Broken by: test/integration/git-index.test.ts, "the TREE extension")
 *
 * Format: gitformat-index(5), "Cache tree": name NUL count SP subtrees LF [id], parents first; count -1
 * is invalid and has no id.
 */
export function updateCacheTree(
  extension: Buffer | undefined,
  entries: SplicedEntries,
  touched: ReadonlySet<string>,
  trees: KnownTrees | undefined,
): Buffer | undefined {
  const old = extension && parseWhole(extension);
  if (entries.count === 0 || (old === undefined && trees === undefined)) return undefined;
  const built = new Builder(extension, entries, touched, trees).build('', 0, old, 0);
  return built && Buffer.concat(built.bytes);
}

export interface FolderTree {
  readonly oid: Oid;
  /** Entries in the folder and below. */
  readonly count: number;
  /** Entries in the folder itself. */
  readonly own: number;
}

/** The folders that are valid, by their paths; the root is ''. A malformed extension knows none. */
export function readFolderTrees(extension: Buffer | undefined): Map<string, FolderTree> {
  const trees = new Map<string, FolderTree>();
  /** @returns where the folder ends and how many entries it has; undefined when malformed */
  const read = (above: string, at: number, depth: number): { end: number; count: number } | undefined => {
    const found = extension === undefined || depth > MAX_DEPTH ? undefined : parseFolder(extension, at);
    if (extension === undefined || found === undefined) return undefined;
    const name = NO_ASCII.test(found.name) ? decodePath(Buffer.from(found.name, 'latin1')) : found.name;
    const folder = above === '' ? name : `${above}/${name}`;
    let [own, end] = [found.count, found.inside];
    for (let child = 0; child < found.subtrees; child += 1) {
      const below = read(folder, end, depth + 1);
      if (below === undefined) return undefined;
      // below a valid folder all are valid; were one not, no count would fit
      own -= below.count;
      end = below.end;
    }
    if (found.count >= 0) {
      const oid = extension.toString('hex', found.oid, found.oid + OID_BYTES) as Oid;
      trees.set(folder, { oid, count: found.count, own });
    }
    return { end, count: found.count };
  };
  return read('', 0, 0)?.end === extension?.length ? trees : new Map<string, FolderTree>();
}

/** The root, if it is valid: a look at each folder's header, without putting all of them together. */
export function readRootTree(extension: Buffer | undefined): Omit<FolderTree, 'own'> | undefined {
  const root = extension && parseWhole(extension);
  if (extension === undefined || root === undefined || root.count < 0) return undefined;
  return { oid: extension.toString('hex', root.oid, root.oid + OID_BYTES) as Oid, count: root.count };
}

/** A tree of which the index was made: each of its entries became one of the index, and those of its folders. */
export interface UnfoldedTree {
  readonly oid: Oid;
  /** The path of the folder with its last slash. */
  readonly prefix: Buffer;
  /** Entries that are no folders. */
  readonly files: number;
  readonly folders: readonly UnfoldedTree[];
}

/**
 * The extension of an index that was made of one tree. A folder without any file is not in the index, so no tree above
 * it can be put together from entries: those stay invalid, as git has them.
 */
export function cacheTreeOf(root: UnfoldedTree): Buffer {
  return Buffer.concat(unfold(root, 0, 0)?.bytes ?? []);
}

/** @param from where the folder's own name begins in its prefix. @returns undefined where it is in no index, or too deep */
function unfold(
  { oid, prefix, files, folders }: UnfoldedTree,
  from: number,
  depth: number,
): { readonly name: string; readonly bytes: Buffer[]; readonly count: number; readonly isWhole: boolean } | undefined {
  if (depth > MAX_DEPTH) return undefined;
  const children = folders.map((folder) => unfold(folder, prefix.length, depth + 1));
  const found = children.filter((child) => child !== undefined);
  const isWhole = children.every((child) => child?.isWhole === true);
  const count = found.reduce((sum, child) => sum + child.count, files);
  if (count === 0) return undefined;
  const name = prefix.toString('latin1', from, Math.max(from, prefix.length - 1));
  const header = headerOf(name, isWhole ? count : -1, found);
  const bytes = [header, ...(isWhole ? [Buffer.from(oid, 'hex')] : []), ...found.flatMap((child) => child.bytes)];
  return { name, bytes, count, isWhole };
}

/** @param children are sorted */
function headerOf(name: string, count: number, children: { readonly name: string }[]): Buffer {
  // git searches subtrees by length, then bytes (subtree_name_cmp in its cache-tree.c).
  children.sort((a, b) => a.name.length - b.name.length || (a.name < b.name ? -1 : 1));
  return Buffer.from(`${name}\0${count} ${children.length}\n`, 'latin1');
}

/** Every folder above these paths, each with its final `/`; the root is ''. Names as latin1, byte for byte. */
export function foldersAbove(paths: Iterable<Buffer>): Set<string> {
  const folders = new Set<string>(['']);
  let last = '';
  for (const bytes of paths) {
    const path = bytes.toString('latin1');
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    if (folder === last) continue;
    last = folder;
    for (let end = folder.length; end > 0; end = folder.lastIndexOf('/', end - 2) + 1) {
      const above = folder.slice(0, end);
      if (folders.has(above)) break;
      folders.add(above);
    }
  }
  return folders;
}

/** One folder of the extension that was read. */
interface OldFolder {
  readonly name: string;
  /** Number of entries below it, -1 while invalid. */
  readonly count: number;
  readonly subtrees: number;
  readonly start: number;
  /** Where its id is, if valid. */
  readonly oid: number;
  /** Where its first subtree starts. */
  readonly inside: number;
}

interface NewFolder {
  readonly bytes: Buffer[];
  readonly count: number;
  /** Undefined while invalid. */
  readonly oid: Buffer | undefined;
  /** The first entry behind the folder. */
  readonly end: number;
}

class Builder {
  constructor(
    private readonly extension: Buffer | undefined,
    private readonly entries: SplicedEntries,
    private readonly touched: ReadonlySet<string>,
    private readonly trees: KnownTrees | undefined,
  ) {}

  /**
   * @param folder its path with final `/`, latin1; '' for the root
   * @param first its first entry
   * @returns undefined when the folder is too deep
   */
  build(folder: string, first: number, old: OldFolder | undefined, depth: number): NewFolder | undefined {
    if (depth > MAX_DEPTH) return undefined;
    if (old !== undefined && old.count >= 0 && !this.touched.has(folder) && this.countHolds(folder, first, old.count))
      return this.keep(old, first);
    return this.trees === undefined
      ? this.invalidate(folder, first, old, depth)
      : this.compute(folder, first, old, depth);
  }

  /** A count that does not match the entries would make git skip or repeat some. */
  private countHolds(folder: string, first: number, count: number): boolean {
    const after = first + count;
    return count > 0 && this.isBelow(folder, after - 1) && !this.isBelow(folder, after);
  }

  private keep(old: OldFolder, first: number): NewFolder {
    const extension = this.extension ?? Buffer.alloc(0);
    const whole = extension.subarray(old.start, skipFolder(extension, old.start));
    return {
      bytes: [whole],
      count: old.count,
      oid: extension.subarray(old.oid, old.oid + OID_BYTES),
      end: first + old.count,
    };
  }

  /** What is untouched below stays valid, so that git need not compute it again. */
  private invalidate(folder: string, first: number, old: OldFolder | undefined, depth: number): NewFolder {
    const children: { name: string; bytes: Buffer[] }[] = [];
    for (const child of this.childrenOf(old)) {
      const path = `${folder}${child.name}/`;
      const start = this.entries.lowerBound(Buffer.from(path, 'latin1'), first);
      if (!this.isBelow(path, start)) continue;
      const built = this.build(path, start, child, depth + 1);
      if (built) children.push({ name: child.name, bytes: built.bytes });
    }
    return this.folder(folder, first, -1, undefined, children);
  }

  /** The tree as `git write-tree` would make it from these entries. */
  private compute(folder: string, first: number, old: OldFolder | undefined, depth: number): NewFolder {
    const known = new Map(this.childrenOf(old).map((child) => [child.name, child]));
    const children: { name: string; bytes: Buffer[] }[] = [];
    const tree = new TreeBytes();
    let isWhole = true;
    let at = first;
    while (this.isBelow(folder, at)) {
      const [bytes, start] = [this.entries.bytesOf(at), this.entries.startOf(at)];
      const from = nameStart(bytes, start) + folder.length;
      const end = nameEnd(bytes, start);
      const slash = bytes.subarray(from, end).indexOf(SLASH);
      if (slash === -1) {
        // A conflict has no tree, and what is only intended to be added is in none yet.
        if (stageOf(bytes, start) !== 0 || isIntentToAdd(bytes, start)) isWhole = false;
        tree.add(bytes.readUInt32BE(start + FIELD.mode), bytes, from, end, bytes, start + FIELD.oid);
        at += 1;
        continue;
      }
      const name = bytes.toString('latin1', from, from + slash);
      const child = this.build(`${folder}${name}/`, at, known.get(name), depth + 1);
      if (child?.oid === undefined) isWhole = false;
      else tree.add(0o40000, bytes, from, from + slash, child.oid, 0);
      if (child !== undefined) children.push({ name, bytes: child.bytes });
      at = child?.end ?? this.endOf(`${folder}${name}`, at);
    }
    const oid = isWhole ? this.storedTree(tree) : undefined;
    return { ...this.folder(folder, first, oid === undefined ? -1 : at - first, oid, children), end: at };
  }

  private storedTree(tree: TreeBytes): Buffer | undefined {
    const oid = tree.hash();
    const text = oid.toString('hex') as Oid;
    return text === this.trees?.root || this.trees?.source.has(text) === true ? oid : undefined;
  }

  private folder(
    path: string,
    first: number,
    count: number,
    oid: Buffer | undefined,
    children: { name: string; bytes: Buffer[] }[],
  ): NewFolder {
    const name = path.slice(path.lastIndexOf('/', path.length - 2) + 1, -1);
    const header = headerOf(name, count, children);
    const bytes = [header, ...(oid ? [oid] : []), ...children.flatMap((child) => child.bytes)];
    return { bytes, count, oid, end: this.endOf(path.slice(0, -1), first) };
  }

  private childrenOf(old: OldFolder | undefined): OldFolder[] {
    if (old === undefined || this.extension === undefined) return [];
    const children: OldFolder[] = [];
    for (let at = old.inside; children.length < old.subtrees;) {
      const child = parseFolder(this.extension, at);
      if (child === undefined) break;
      children.push(child);
      at = skipFolder(this.extension, at);
    }
    return children;
  }

  private endOf(folder: string, first: number): number {
    return folder === ''
      ? this.entries.count
      : this.entries.lowerBound(Buffer.from(`${folder}${String.fromCharCode(AFTER_SLASH)}`, 'latin1'), first);
  }

  private isBelow(folder: string, position: number): boolean {
    if (position < 0 || position >= this.entries.count) return false;
    const bytes = this.entries.bytesOf(position);
    const name = nameStart(bytes, this.entries.startOf(position));
    for (let at = 0; at < folder.length; at += 1) if (bytes[name + at] !== folder.charCodeAt(at)) return false;
    return true;
  }
}

/** The content of a tree object, grown as entries come; index order is tree order. */
class TreeBytes {
  private data = Buffer.allocUnsafe(4096);
  private length = 0;

  add(mode: number, name: Buffer, from: number, to: number, oid: Buffer, oidAt: number): void {
    const need = this.length + 8 + (to - from) + OID_BYTES;
    if (need > this.data.length) this.data = Buffer.concat([this.data], need * 2);
    this.length += this.data.write(`${mode.toString(8)} `, this.length, 'latin1');
    this.length += name.copy(this.data, this.length, from, to);
    this.data[this.length] = 0;
    this.length += 1 + oid.copy(this.data, this.length + 1, oidAt, oidAt + OID_BYTES);
  }

  hash(): Buffer {
    return createHash('sha1').update(`tree ${this.length}\0`).update(this.data.subarray(0, this.length)).digest();
  }
}

/** The root, if the extension is well-formed to its end. It is a cache: a malformed one counts as none. */
function parseWhole(extension: Buffer): OldFolder | undefined {
  return skipFolder(extension, 0) === extension.length ? parseFolder(extension, 0) : undefined;
}

function parseFolder(extension: Buffer, start: number): OldFolder | undefined {
  // Runs over the extension's every byte at each status: plain loops, no searches that cross into native code.
  let nameEnds = start;
  while (nameEnds < extension.length && extension[nameEnds] !== 0) nameEnds += 1;
  let space = nameEnds;
  while (space < extension.length && extension[space] !== SPACE) space += 1;
  let line = space;
  while (line < extension.length && extension[line] !== LF) line += 1;
  if (line >= extension.length) return undefined;
  const count = parseNumber(extension, nameEnds + 1, space);
  const subtrees = parseNumber(extension, space + 1, line);
  if (count === undefined || subtrees === undefined || subtrees < 0) return undefined;
  const inside = line + 1 + (count >= 0 ? OID_BYTES : 0);
  if (inside > extension.length) return undefined;
  return { name: extension.toString('latin1', start, nameEnds), count, subtrees, start, oid: line + 1, inside };
}

/** Where the folder and all below it end; -1 when malformed. */
function skipFolder(extension: Buffer, start: number): number {
  let at = start;
  for (let left = 1; left > 0; left -= 1) {
    let nameEnds = at;
    while (nameEnds < extension.length && extension[nameEnds] !== 0) nameEnds += 1;
    const isInvalid = extension[nameEnds + 1] === MINUS;
    let digit = nameEnds + 1;
    while (digit < extension.length && extension[digit] !== SPACE) digit += 1;
    let subtrees = 0;
    for (digit += 1; digit < extension.length && extension[digit] !== LF; digit += 1)
      subtrees = subtrees * 10 + (extension[digit] ?? 0) - 0x30;
    if (!(subtrees >= 0 && subtrees <= extension.length)) return -1;
    left += subtrees;
    at = digit + 1 + (isInvalid ? 0 : OID_BYTES);
    if (at > extension.length) return -1;
  }
  return at;
}

/** 1 to 10 digits, or -1. */
function parseNumber(bytes: Buffer, from: number, to: number): number | undefined {
  if (bytes[from] === MINUS) return to - from === 2 && bytes[from + 1] === DIGIT_0 + 1 ? -1 : undefined;
  if (to <= from || to - from > 10) return undefined;
  let value = 0;
  for (let at = from; at < to; at += 1) {
    const digit = (bytes[at] ?? 0) - DIGIT_0;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value;
}
