import { KbError } from '../../errors.js';
import { disguised, isDotGitmodules } from '../dot-git-names.js';
import { EMPTY_TREE, type Oid } from '../ids.js';
import { decodePath, encodePath, type RepoPath } from '../paths.js';
import { MAX_TREE_DEPTH, MAX_TREE_ENTRIES, MAX_WALKED_FILES } from './limits.js';
import { expectType, type ObjectSource } from './object.js';

export type FileMode = 0o100644 | 0o100755 | 0o120000 | 0o160000 | 0o040000;

export const TREE_MODE = 0o040000;

export interface TreeEntry {
  readonly mode: FileMode;
  /** One part of a path, decoded as a RepoPath is. */
  readonly name: string;
  readonly oid: Oid;
}

/** A file, link or submodule: whatever stands at the end of a path. */
export interface Leaf {
  /** Never 040000. */
  readonly mode: FileMode;
  readonly oid: Oid;
}

const SPACE = 0x20;
const DOT = 0x2e;
const SLASH = 0x2f;
const ZERO = 0x30;
const BACKSLASH = 0x5c;
const TILDE = 0x7e;
const LINK_MODE = 0o120000;

/**
 * Steps through a tree's bytes without making an object an entry; most users of a tree look at one name.
 * Source of the format: gitformat-pack is silent, git's `tree-walk.c` reads
 * `octal mode, space, name, NUL, 20 bytes of id`, names in the order of `compareNames`.
 */
export class TreeScanner {
  /** Of the current entry, after `next()` returned true. `mode` is as written, not canonical. */
  mode = 0;
  start = 0;
  nameStart = 0;
  nameEnd = 0;
  end = 0;
  private count = 0;
  private nextSlash = -1;

  /** @param from where an entry begins */
  constructor(
    readonly data: Buffer,
    from = 0,
  ) {
    this.end = from;
  }

  /** @throws KbError E_CORRUPT when the bytes are no tree, or have too many entries */
  next(): boolean {
    const { data } = this;
    let at = this.end;
    if (at === data.length) return false;
    if (++this.count > MAX_TREE_ENTRIES) throw malformed(`it has more than ${MAX_TREE_ENTRIES} entries`);
    this.start = at;
    let mode = 0;
    let byte = data[at] as number;
    if (byte === SPACE) throw malformed('an entry has no mode');
    while (byte !== SPACE) {
      // a digit outside 0–7, the end of the data (undefined) and a mode over 24 bits all stop here
      if (!(byte >= ZERO && byte <= ZERO + 7) || mode > 0o7777777) throw malformed('a mode is no octal number');
      mode = mode * 8 + (byte - ZERO);
      byte = data[++at] as number;
    }
    this.mode = mode;
    this.nameStart = at + 1;
    // native search: in a process that has just started, a loop over bytes runs interpreted
    this.nameEnd = data.indexOf(0, this.nameStart);
    this.end = this.nameEnd + 21;
    if (this.nameEnd < 0 || this.end > data.length) throw malformed('it is cut off');
    if (this.nameEnd === this.nameStart) throw malformed('a name is empty');
    if (this.nextSlash < this.nameStart) this.nextSlash = slashFrom(data, this.nameStart);
    if (this.nextSlash < this.nameEnd) throw malformed('a name holds a slash');
    return true;
  }

  /** Steps over the entries that end within the next `bytes` bytes. @returns how many bytes they take */
  skip(bytes: number): number {
    const from = this.end;
    for (let limit = from + bytes; ;) {
      if (this.end === this.data.length) return this.end - from;
      const { start, end } = this;
      this.next();
      if (this.end <= limit) continue;
      this.start = start;
      this.end = end;
      return end - from;
    }
  }

  get isTree(): boolean {
    return (this.mode & 0o170000) === 0o040000;
  }

  get fileMode(): FileMode {
    return canonicalMode(this.mode);
  }

  get name(): string {
    return decodeName(this.data, this.nameStart, this.nameEnd);
  }

  get oid(): Oid {
    return this.data.toString('hex', this.end - 20, this.end) as Oid;
  }

  get entry(): TreeEntry {
    return { mode: this.fileMode, name: this.name, oid: this.oid };
  }
}

/**
 * Old tools wrote modes such as 100664; git reads them as the nearest of its five, and so does kb.
 * @throws KbError E_CORRUPT when the type bits are none that git knows
 */
export function canonicalMode(mode: number): FileMode {
  switch (mode & 0o170000) {
    case 0o100000:
      return (mode & 0o100) === 0 ? 0o100644 : 0o100755;
    case 0o120000:
      return 0o120000;
    case 0o160000:
      return 0o160000;
    case 0o040000:
      return 0o040000;
    default:
      throw malformed(`mode ${mode.toString(8)} is unknown`);
  }
}

/** @throws KbError E_CORRUPT when the bytes are no tree, or have too many entries */
export function parseTree(data: Buffer): TreeEntry[] {
  const scanner = new TreeScanner(data);
  const entries: TreeEntry[] = [];
  while (scanner.next()) entries.push(scanner.entry);
  return entries;
}

/**
 * A tree's bytes, entries in git's order whatever order they come in.
 * @throws KbError E_CORRUPT on a name that is empty, holds a slash or NUL, or comes twice
 */
export function serializeTree(entries: readonly TreeEntry[]): Buffer {
  const encoded = entries.map((entry) => ({ entry, name: encodeName(entry.name) }));
  encoded.sort((a, b) => compareNames(a.name, a.entry.mode === TREE_MODE, b.name, b.entry.mode === TREE_MODE));
  assertNoNameTwice(encoded.map((item) => item.name));
  return Buffer.concat(encoded.map((item) => encodeEntry(item.entry.mode, item.name, item.entry.oid)));
}

export function encodeEntry(mode: FileMode, name: Buffer, oid: Oid): Buffer {
  const head = `${mode.toString(8)} `;
  const bytes = Buffer.allocUnsafe(head.length + name.length + 21);
  bytes.write(head, 0, 'latin1');
  name.copy(bytes, head.length);
  bytes[head.length + name.length] = 0;
  bytes.write(oid, head.length + name.length + 1, 'hex');
  return bytes;
}

/** @throws KbError E_CORRUPT on a name that a tree cannot hold */
export function encodeName(name: string): Buffer {
  const bytes = encodePath(name);
  if (bytes.length === 0 || bytes.includes(0) || bytes.includes(SLASH)) {
    throw new KbError('E_CORRUPT', `a tree cannot hold the name ${JSON.stringify(name.slice(0, 200))}`);
  }
  return bytes;
}

/** Git's order inside a tree: by bytes, a folder as if its name ended in a slash (`base_name_compare`). */
export function compareNames(a: Buffer, aIsTree: boolean, b: Buffer, bIsTree: boolean): number {
  const shared = Math.min(a.length, b.length);
  const order = a.compare(b, 0, shared, 0, shared);
  if (order !== 0) return order;
  const aNext = a.length > shared ? (a[shared] as number) : aIsTree ? SLASH : 0;
  const bNext = b.length > shared ? (b[shared] as number) : bIsTree ? SLASH : 0;
  return aNext - bNext;
}

/**
 * What `git fsck --strict` asks of a tree beyond being readable: strict order, no name twice (also not once
 * as file and once as folder), no padded mode, no null id, no `.`, `..` or `.git`
 * (nor what another file system takes for it), no link in the place of `.gitmodules`. Whatever passes here and is refused
 * only when its files are written has been stored by then, and native git finds the repository damaged.
 * @throws KbError E_CORRUPT
 */
export function verifyTree(data: Buffer): void {
  const scanner = new TreeScanner(data);
  let beforeStart = 0;
  let beforeEnd = 0;
  let beforeIsTree = false;
  // Files whose name could come again as a folder: between `a` and `a/` sort all names that begin with `a`
  // and go on with a byte below the slash.
  let open: { start: number; end: number }[] = [];
  let backslash = data.indexOf(BACKSLASH);
  while (scanner.next()) {
    const { nameStart, nameEnd, isTree } = scanner;
    const mode = canonicalMode(scanner.mode);
    if (data[scanner.start] === ZERO) throw malformed('a mode is padded with zeros');
    if (data[nameStart] === DOT && isReservedName(data, nameStart, nameEnd)) {
      throw malformed(`it names ${JSON.stringify(scanner.name)}`);
    }
    if (backslash !== -1 && backslash < nameStart) backslash = data.indexOf(BACKSLASH, nameStart);
    const hasBackslash = backslash !== -1 && backslash < nameEnd;
    if ((hasBackslash || mode === LINK_MODE || mayBeDisguised(data, nameStart)) && isDisguised(scanner.name, mode)) {
      throw malformed(`some file system takes its ${JSON.stringify(scanner.name)} for git's own`);
    }
    if (isNullId(data, nameEnd + 1)) throw malformed('an entry has a null id');
    if (beforeEnd > 0) {
      const length = beforeEnd - beforeStart;
      let shared = 0;
      while (shared < length && data[beforeStart + shared] === data[nameStart + shared]) shared++;
      // a name ends in NUL where it stands, and a folder counts as if it ended in a slash
      const a = shared === length ? (beforeIsTree ? SLASH : 0) : (data[beforeStart + shared] as number);
      const b = nameStart + shared === nameEnd ? (isTree ? SLASH : 0) : (data[nameStart + shared] as number);
      if (a >= b) throw malformed('its entries are out of order or come twice');
      if (open.length > 0)
        open = open.filter(
          ({ start, end }) =>
            data.compare(data, start, end, nameStart, Math.min(nameEnd, nameStart + end - start)) === 0,
        );
      if (shared === length && !beforeIsTree) open.push({ start: beforeStart, end: beforeEnd });
      if (isTree && open.some(({ start, end }) => end - start === nameEnd - nameStart))
        throw malformed('a name comes twice');
    }
    beforeStart = nameStart;
    beforeEnd = nameEnd;
    beforeIsTree = isTree;
  }
}

function isReservedName(data: Buffer, start: number, end: number): boolean {
  const length = end - start;
  return (
    length === 1 ||
    (length === 2 && data[start + 1] === DOT) ||
    (length === 4 && data.toString('latin1', start, end).toLowerCase() === '.git')
  );
}

/**
 * A quick look at the first bytes of a name, for there are many: a dot, `git~`, or the first byte of a character that
 * HFS+ ignores.
 */
function mayBeDisguised(data: Buffer, start: number): boolean {
  const first = data[start] as number;
  if (first === DOT || first === 0xe2 || first === 0xef) return true;
  return (first | 0x20) === 0x67 && data[start + 3] === TILDE;
}

/** @param name a part of it after a backslash is a name of its own on Windows */
function isDisguised(name: string, mode: FileMode): boolean {
  return name.split('\\').some((part) => {
    const read = disguised(part);
    return read === '.git' || read === 'git~1' || (mode === LINK_MODE && isDotGitmodules(read));
  });
}

function isNullId(data: Buffer, at: number): boolean {
  for (let index = at; index < at + 20; index++) if (data[index] !== 0) return false;
  return true;
}

/** @throws KbError E_CORRUPT when the tree is missing or damaged. The empty tree need not be stored. */
export function readTree(source: ObjectSource, oid: Oid): Buffer {
  if (oid === EMPTY_TREE) return Buffer.alloc(0);
  return expectType(source.read(oid), 'tree', oid);
}

/** Puts the scanner on the entry of that name; false when there is none. */
export function seekName(scanner: TreeScanner, name: Buffer): boolean {
  const { data } = scanner;
  const first = name[0];
  while (scanner.next()) {
    if (data[scanner.nameStart] !== first || scanner.nameEnd - scanner.nameStart !== name.length) continue;
    if (name.compare(data, scanner.nameStart, scanner.nameEnd) === 0) return true;
  }
  return false;
}

/** The file or folder at the path, or undefined. @throws KbError E_CORRUPT */
export function findEntry(source: ObjectSource, tree: Oid, path: RepoPath): TreeEntry | undefined {
  const parts = path.split('/');
  let folder = tree;
  for (const [index, part] of parts.entries()) {
    if (part === '') return undefined;
    const scanner = new TreeScanner(readTree(source, folder));
    if (!seekName(scanner, encodePath(part))) return undefined;
    if (index === parts.length - 1) return scanner.entry;
    if (!scanner.isTree) return undefined;
    folder = scanner.oid;
  }
  return undefined;
}

/**
 * Visits every leaf in the order of git's index.
 * @throws KbError E_CORRUPT on a damaged tree, too many files or folders too deep
 */
export function walkTree(source: ObjectSource, tree: Oid, visit: (path: RepoPath, leaf: Leaf) => void): void {
  walkLeaves(source, tree, '', visit);
}

/** Files visited so far, by all walks that belong together. */
export interface WalkCount {
  files: number;
}

/** @throws KbError E_CORRUPT: trees that name each other can stand for more files than any disk holds */
export function countFile(count: WalkCount): void {
  if (++count.files > MAX_WALKED_FILES)
    throw new KbError('E_CORRUPT', `the tree stands for more than ${MAX_WALKED_FILES} files, kb's limit`);
}

/** As `walkTree`, below `prefix` (empty, or ending in a slash). */
export function walkLeaves(
  source: ObjectSource,
  tree: Oid,
  prefix: string,
  visit: (path: RepoPath, leaf: Leaf) => void,
  count: WalkCount = { files: 0 },
): void {
  const walk = (folder: Oid, before: string, depth: number): void => {
    assertDepth(depth);
    const scanner = new TreeScanner(readTree(source, folder));
    while (scanner.next()) {
      const path = before + scanner.name;
      if (scanner.isTree) {
        walk(scanner.oid, `${path}/`, depth + 1);
      } else {
        countFile(count);
        visit(path as RepoPath, { mode: scanner.fileMode, oid: scanner.oid });
      }
    }
  };
  walk(tree, prefix, 0);
}

/** @throws KbError E_CORRUPT: a chain of folders that never ends would overflow the stack */
export function assertDepth(depth: number): void {
  if (depth > MAX_TREE_DEPTH) throw new KbError('E_CORRUPT', `folders are nested more than ${MAX_TREE_DEPTH} deep`);
}

/** Ids hold bytes that look like slashes too; only one inside a name counts. */
function slashFrom(data: Buffer, from: number): number {
  const at = data.indexOf(SLASH, from);
  return at < 0 ? Infinity : at;
}

function decodeName(data: Buffer, start: number, end: number): string {
  for (let at = start; at < end; at++) {
    if ((data[at] as number) > 0x7f) return decodePath(data.subarray(start, end));
  }
  return data.toString('latin1', start, end);
}

function assertNoNameTwice(names: readonly Buffer[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    const key = name.toString('latin1');
    if (seen.has(key))
      throw new KbError('E_CORRUPT', `a tree cannot hold the name ${JSON.stringify(decodePath(name))} twice`);
    seen.add(key);
  }
}

function malformed(why: string): KbError {
  return new KbError('E_CORRUPT', `a tree is malformed: ${why}`);
}
