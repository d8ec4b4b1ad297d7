import { writeFully } from '../../disk/durable.js';
import { FileWriter, STAT, STAT_WORDS, statWords } from '../../disk/file-writer.js';
import { KbError } from '../../errors.js';
import { ATTRIBUTES_FILE } from '../attributes/attributes.js';
import type { PathRules } from '../convert/conversions.js';
import { changesFiles, convertToFile, type PathConversion } from '../convert/path-conversion.js';
import type { Oid } from '../ids.js';
import type { UnfoldedTree } from '../index/cache-tree.js';
import { FreshEntries } from '../index/fresh-entries.js';
import type { BlobCopier, LargeBlob, ObjectSource } from '../objects/object.js';
import { assertDepth, countFile, readTree, TreeScanner } from '../objects/tree.js';
import { encodePath, type RepoPath, toDiskPath } from '../paths.js';
import type { Steps } from '../steps.js';
import type { BlobSource } from './apply.js';
import { findCollisions } from './collisions.js';
import { FreshFiles } from './fresh-files.js';
import { IncomingFile } from './incoming-file.js';
import { requirePossibleTarget } from './link-target.js';
import { EXECUTABLE, GITLINK, REGULAR, SYMLINK } from './modes.js';
import { refuseUnsafePath } from './plan-check.js';
import type { SparseCone } from './sparse-cone.js';
import type { Worktree } from './worktree.js';

/** From so many files on the second thread is worth its start. */
const THREAD_FROM = 1000;
/** A pack of so many objects has as many files, unless every folder holds one: a tree lists several, mostly. */
const OBJECTS_FROM = 2 * THREAD_FROM;
/** Where nothing is received meanwhile: before it is up this one has written as many. */
const THREAD_FROM_AT_END = 2000;
/** Trees that came before the ones they are in, bytes. The rest of them is read from the store. */
const MAX_UNPLACED_BYTES = 16 * 1024 * 1024;

export interface FreshProgress {
  /** Files written so far, links included, and their bytes. */
  readonly done: number;
  /** As far as they are known: all of them while `finish` is under way. */
  readonly total: number;
  readonly bytes: number;
}

/** The files that are still to be written. */
export interface Rest {
  readonly files: number;
  readonly missing: Iterable<{ readonly oid: Oid; readonly mode: number }>;
}

/** A place of a tree: the same tree may have several. */
interface Folder {
  /** With a slash at its end; '' for the root. */
  readonly path: string;
  readonly prefix: Buffer;
  readonly parent: Folder | undefined;
  readonly depth: number;
  readonly oid: Oid;
  /** What follows is known when the tree is here. */
  tree: Buffer;
  /** Its files have so many numbers from here on, its folders are these, both in the tree's order. */
  firstFile: number;
  files: number;
  readonly folders: Folder[];
  isMade: boolean;
  /** The `.gitattributes` that speak of its files, its own and those above. */
  attributes: readonly Oid[];
}

const NOT_HERE = Buffer.alloc(0);
const NONE: readonly Oid[] = [];

/** A file in its place among all files, in the order of git's index. */
interface Named {
  readonly file: number;
  readonly folder: Folder;
  /** Stands on the tree's entry for it; moves on with the next one. */
  readonly entry: TreeScanner;
}

/** Within one folder on the way through all of them. */
interface Walk {
  readonly folder: Folder;
  readonly entry: TreeScanner;
  file: number;
  inside: number;
}

/**
 * Writes all files of one tree where nothing is yet and nobody looks before all is done (a clone's stage): each in its
 * place at once, without looking first and without fsync. Trees and blobs may be offered as a pack brings them
 * (`takeTree`, `takeBlob`): git sends a tree before what it names, so with nearly every blob it is known already where
 * it belongs. What was not offered is read from the store at the end (`rest`, `finish`).
 *
 * Invariant: nothing is made at a path that has not passed the rules, and every folder is made here, once, where
 * nothing was: so no link can lead out (tests: "refuses an unsafe path", "a link in a folder's place").
 */
export class FreshCheckout {
  private readonly writer: FileWriter;
  private readonly files = new FreshFiles();
  private readonly folders: Folder[] = [];
  /** Folders by the tree that has not come yet. */
  private readonly awaited = new Map<Oid, Folder[]>();
  /** Trees that came; also some that nothing has named so far. */
  private readonly trees = new Map<Oid, Buffer>();
  private unplacedBytes = 0;
  /** The last file with this content; `next` leads to the others. */
  private readonly byBlob = new Map<Oid, number>();
  private readonly fileCount = { files: 0 };
  private readonly folderCount = { files: 0 };
  private readonly root: Folder;
  /** undefined: all files are to be here */
  private readonly cone: SparseCone | undefined;
  /** Where names are folded, nothing is made before all of them are known: two could be one file. */
  private readonly isFolding: boolean;
  /** What `.gitattributes` say, as far as they came by: of the tree's own, by path and by blob. */
  private readonly attributesFiles = new Map<RepoPath, Oid>();
  private readonly attributesBlobs = new Map<Oid, Buffer | undefined>();
  /** undefined: nothing is converted */
  private readonly rules: PathRules | undefined;
  /** Also files of which no `.gitattributes` speaks may be converted. */
  private readonly convertsAll: boolean;
  /** The large blob that is on its way. */
  private incoming: IncomingFile | undefined;
  private done = 0;
  private bytes = 0;
  private blockBytes = 0;

  /**
   * @param volumeBlock bytes that the smallest file takes on disk
   * @param expected objects that are about to be offered, trees among them
   */
  constructor(
    private readonly worktree: Worktree,
    root: Oid,
    private readonly volumeBlock: number,
    expected = 0,
  ) {
    const { disk, root: directory, settings } = worktree;
    this.cone = settings.cone?.();
    this.isFolding = settings.ignoreCase || settings.precomposeUnicode;
    this.writer = new FileWriter(disk, directory, (file, words, at) => this.written(file, words, at));
    this.rules = settings.conversions?.rulesOfFreshTree((path) =>
      this.attributesBlobs.get(this.attributesFiles.get(path) as Oid),
    );
    this.convertsAll = settings.conversions?.isSilentOutside === false;
    this.root = this.place(undefined, '', root, []);
    // All trees come first. It is up when the first blob is here.
    if (expected >= OBJECTS_FROM) this.writer.speedUp();
  }

  get progress(): FreshProgress {
    return { done: this.done, total: this.files.count - this.files.leftOut, bytes: this.bytes };
  }

  /** Bytes that files take on disk so far: whole blocks. */
  get writtenBytes(): number {
    return this.blockBytes + (this.incoming?.written ?? 0);
  }

  /** Bytes at most that files handed over will take and do not yet. */
  get soonBytes(): number {
    const { pendingBytes, pendingFiles } = this.writer;
    return pendingBytes + pendingFiles * this.volumeBlock + (this.incoming?.missing ?? 0);
  }

  /**
   * A tree on its way. @param data only read during the call
   * @throws KbError E_UNSAFE_STATE when it holds a path that kb never writes; E_CORRUPT
   */
  takeTree(oid: Oid, data: Buffer): void {
    if (this.trees.has(oid)) return;
    if (!this.awaited.has(oid)) {
      if (this.unplacedBytes + data.length > MAX_UNPLACED_BYTES) return;
      this.unplacedBytes += data.length;
    }
    this.arrive(oid, Buffer.from(data));
  }

  /**
   * A blob on its way: written to wherever a tree that came has it. @param data only read during the call
   * @throws the file system's error
   */
  takeBlob(oid: Oid, data: Buffer): void {
    if (this.attributesBlobs.has(oid)) this.attributesBlobs.set(oid, Buffer.from(data));
    if (this.isFolding) return;
    const { files } = this;
    for (let file = this.byBlob.get(oid) ?? -1; file >= 0; file = files.next(file)) {
      const content = files.isComing(file) ? this.converted(file, data) : undefined;
      if (content !== undefined) this.write(file, content);
    }
  }

  /**
   * A blob on its way that is too large to be held, of so many bytes: it is written beside the files, and gets its place
   * when its name is known. To be ended before the next one.
   * @returns undefined: it is read from the store at the end
   */
  takeLarge(size: number): LargeBlob | undefined {
    // no tree has named it, or its place is not known before all names are
    if (this.byBlob.size === 0 || this.isFolding) return undefined;
    const incoming = (this.incoming = new IncomingFile(this.worktree.disk, this.worktree.root, size));
    return { write: (piece) => incoming.write(piece), end: (oid) => this.putInPlace(incoming, oid) };
  }

  /**
   * Reads the trees that did not come by.
   * @returns the files that are still to be written
   * @throws KbError E_UNSAFE_STATE, E_CORRUPT
   */
  rest(objects: ObjectSource): Rest {
    for (let [oid] = this.awaited.keys(); oid !== undefined; [oid] = this.awaited.keys())
      this.arrive(oid, readTree(objects, oid), THREAD_FROM_AT_END);
    if (this.isFolding) this.requireNoCollisions();
    return { files: this.files.count - this.files.leftOut - this.files.handedOver, missing: this.missing() };
  }

  /**
   * Writes the rest, after `rest`.
   * @param onFile after each file; what it throws ends the work
   * @throws KbError E_CORRUPT when a blob is missing or damaged; the file system's error
   */
  *finish(objects: BlobSource, onFile: (progress: FreshProgress) => void): Steps<void> {
    for (const [oid, content] of this.attributesBlobs)
      if (content === undefined) this.attributesBlobs.set(oid, objects.read(oid).data);
    for (const { file, folder, entry } of this.named()) {
      if (!this.files.isComing(file)) continue;
      this.make(file, folder, entry, objects);
      onFile(this.progress);
      yield;
    }
    for (const _ of this.writer.finish()) {
      onFile(this.progress);
      yield;
    }
    onFile(this.progress);
  }

  /** The index of it all, after `finish`. */
  entries(): FreshEntries {
    const entries = new FreshEntries(128 * this.fileCount.files);
    const { stats } = this.files;
    for (const { file, folder, entry } of this.named())
      entries.add(folder.prefix, entry, { stats, at: file * STAT_WORDS, isLeftOut: this.files.isLeftOut(file) });
    return entries;
  }

  /** What the index was made of, after `entries`. */
  get tree(): UnfoldedTree {
    return this.root;
  }

  /** After that nothing is written any more; to be called in any case. */
  async close(): Promise<void> {
    this.incoming?.discard();
    await this.writer.close();
  }

  /**
   * A folder that a tree names. Its files are known when its own tree is here.
   * @param open gets it when that is so already
   */
  private place(parent: Folder | undefined, path: string, oid: Oid, open: Folder[]): Folder {
    countFile(this.folderCount);
    const depth = parent === undefined ? 0 : parent.depth + 1;
    assertDepth(depth);
    const prefix = encodePath(path);
    const isMade = parent === undefined;
    const folder = {
      path,
      prefix,
      parent,
      depth,
      oid,
      tree: NOT_HERE,
      firstFile: 0,
      folders: [],
      files: 0,
      isMade,
      attributes: NONE,
    };
    const awaited = this.awaited.get(oid);
    if (this.trees.has(oid)) open.push(folder);
    else if (awaited !== undefined) awaited.push(folder);
    else this.awaited.set(oid, [folder]);
    return folder;
  }

  private arrive(oid: Oid, tree: Buffer, threadFrom = THREAD_FROM): void {
    this.trees.set(oid, tree);
    const open = this.awaited.get(oid) ?? [];
    this.awaited.delete(oid);
    // No recursion: a tree may bring 2,000 folders in folders with it that came before it.
    for (let folder = open.pop(); folder !== undefined; folder = open.pop())
      this.open(folder, this.trees.get(folder.oid) as Buffer, open);
    if (this.files.count >= threadFrom) this.writer.speedUp();
  }

  private open(folder: Folder, tree: Buffer, open: Folder[]): void {
    const { files, byBlob } = this;
    folder.tree = tree;
    folder.firstFile = files.count;
    const number = this.folders.push(folder) - 1;
    folder.attributes = folder.parent?.attributes ?? NONE;
    for (const entry = new TreeScanner(tree); entry.next();) {
      const path = folder.path + entry.name;
      if (entry.isTree) {
        folder.folders.push(this.place(folder, `${path}/`, entry.oid, open));
        continue;
      }
      const mode = entry.fileMode;
      refuseUnsafePath(path, mode);
      countFile(this.fileCount);
      const file = files.add(number, entry.start);
      if (this.cone?.has(path as RepoPath) === false) files.leaveOut(file);
      if (mode === GITLINK || mode === SYMLINK || files.isLeftOut(file)) continue;
      const { oid } = entry;
      if (entry.name === ATTRIBUTES_FILE) this.noteAttributes(folder, path as RepoPath, oid);
      files.setNext(file, byBlob.get(oid) ?? -1);
      byBlob.set(oid, file);
    }
    folder.files = files.count - folder.firstFile;
  }

  /** All files in the order of git's index. */
  private *named(): Generator<Named> {
    const start = (folder: Folder): Walk => ({
      folder,
      entry: new TreeScanner(folder.tree),
      file: folder.firstFile,
      inside: 0,
    });
    const above: Walk[] = [];
    for (let walk: Walk | undefined = start(this.root); walk !== undefined;) {
      const { folder, entry } = walk;
      if (!entry.next()) walk = above.pop();
      else if (!entry.isTree) yield { file: walk.file++, folder, entry };
      else {
        above.push(walk);
        walk = start(folder.folders[walk.inside++] as Folder);
      }
    }
  }

  private *missing(): Generator<{ readonly oid: Oid; readonly mode: number }> {
    for (const { file, entry } of this.named())
      if (this.files.isComing(file)) yield { oid: entry.oid, mode: entry.fileMode };
  }

  private make(file: number, folder: Folder, entry: TreeScanner, objects: BlobSource): void {
    const { oid, fileMode: mode } = entry;
    this.makeFolder(folder);
    const place = toDiskPath(this.worktree.root, folder.path + entry.name);
    if (mode === GITLINK) {
      this.files.handOver(file);
      this.worktree.disk.mkdirSync(place);
      this.done += 1; // git keeps no stat of another repository's folder
    } else if (mode === SYMLINK) {
      this.link(file, folder.path + entry.name, place, objects.read(oid).data);
    } else {
      const blob = this.contentOf(folder, entry, objects);
      if (typeof blob === 'function') this.copy(file, place, mode, blob);
      else this.write(file, blob);
    }
  }

  /** Known before a file of the folder is: so what a file needs to be converted is always known, though it may not be here. */
  private noteAttributes(folder: Folder, path: RepoPath, oid: Oid): void {
    if (this.rules === undefined) return;
    this.attributesFiles.set(path, oid);
    if (!this.attributesBlobs.has(oid)) this.attributesBlobs.set(oid, undefined);
    folder.attributes = [...folder.attributes, oid];
  }

  private isConverted(folder: Folder): boolean {
    return this.rules !== undefined && (this.convertsAll || folder.attributes.length > 0);
  }

  /**
   * What a file on its way holds.
   * @returns undefined when that cannot be told yet: it is written in the end, from the store
   */
  private converted(file: number, blob: Buffer): Buffer | undefined {
    const folder = this.folders[this.files.folder(file)] as Folder;
    if (this.rules === undefined || !this.isConverted(folder)) return blob;
    const conversion = this.conversionOf(folder, this.entryOf(file, folder));
    return conversion === undefined ? undefined : convertToFile(conversion, blob);
  }

  private isPlain(folder: Folder, entry: TreeScanner): boolean {
    if (this.rules === undefined || !this.isConverted(folder)) return true;
    const conversion = this.conversionOf(folder, entry);
    return conversion !== undefined && !changesFiles(conversion);
  }

  /** @returns undefined where it is not known yet, or is none that can be made of bytes at hand */
  private conversionOf(folder: Folder, entry: TreeScanner): PathConversion | undefined {
    if (folder.attributes.some((oid) => this.attributesBlobs.get(oid) === undefined)) return undefined;
    const conversion = this.rules?.of((folder.path + entry.name) as RepoPath);
    return conversion?.problem === undefined && conversion?.filter === undefined ? conversion : undefined;
  }

  private entryOf(file: number, folder: Folder): TreeScanner {
    const entry = new TreeScanner(folder.tree, this.files.entry(file));
    entry.next();
    return entry;
  }

  private contentOf(folder: Folder, entry: TreeScanner, objects: BlobSource): Buffer | BlobCopier {
    const { oid } = entry;
    if (this.rules !== undefined && this.isConverted(folder)) {
      const path = (folder.path + entry.name) as RepoPath;
      const conversion = this.rules.of(path);
      if (conversion.problem !== undefined)
        this.worktree.settings.conversions?.tellUnconverted(path, conversion.problem);
      else if (changesFiles(conversion) || conversion.filter !== undefined) {
        const data = convertToFile(conversion, objects.read(oid).data);
        return conversion.filter?.toFile(path, data) ?? data;
      }
    }
    return objects.readBlob?.(oid) ?? objects.read(oid).data;
  }

  /** After `rest`: the files to come that go through this filter. What they stand for is fetched before `finish`. */
  *filtered(name: string, objects: ObjectSource): Generator<{ readonly path: RepoPath; readonly oid: Oid }> {
    for (const [oid, content] of this.attributesBlobs)
      if (content === undefined) this.attributesBlobs.set(oid, objects.read(oid).data);
    for (const { file, folder, entry } of this.named()) {
      if (this.rules === undefined || !this.files.isComing(file) || !this.isConverted(folder)) continue;
      const path = (folder.path + entry.name) as RepoPath;
      if (this.rules.attributesOf(path).get('filter') === name) yield { path, oid: entry.oid };
    }
  }

  private write(file: number, content: Buffer): void {
    const folder = this.folders[this.files.folder(file)] as Folder;
    const entry = this.entryOf(file, folder);
    this.makeFolder(folder);
    this.files.handOver(file);
    const name = folder.tree.subarray(entry.nameStart, entry.nameEnd);
    this.writer.add({ id: file, permission: permissionOf(entry.fileMode), folder: folder.prefix, name, content });
  }

  /** One file is made of it; others with the same content, and one that is not simply its bytes, are left to the end. */
  private putInPlace(incoming: IncomingFile, oid: Oid): void {
    const { files, worktree } = this;
    for (let file = this.byBlob.get(oid) ?? -1; file >= 0; file = files.next(file)) {
      const folder = this.folders[files.folder(file)] as Folder;
      const entry = this.entryOf(file, folder);
      if (!files.isComing(file) || entry.fileMode !== REGULAR || !this.isPlain(folder, entry)) continue;
      this.makeFolder(folder);
      const place = toDiskPath(worktree.root, folder.path + entry.name);
      if (worktree.disk.lstatSync(place, { throwIfNoEntry: false }) !== undefined) break; // nobody's but a stranger's
      files.handOver(file);
      this.written(file, statWords(incoming.moveTo(place)), 0);
      this.incoming = undefined;
      return;
    }
    incoming.discard();
    this.incoming = undefined;
  }

  /** A large one, piece by piece. */
  private copy(file: number, place: string | Buffer, mode: number, copier: BlobCopier): void {
    const { disk } = this.worktree;
    this.files.handOver(file);
    const descriptor = disk.openSync(place, 'wx', permissionOf(mode));
    try {
      copier((piece) => writeFully(disk, descriptor, piece));
      this.written(file, statWords(disk.fstatSync(descriptor, { bigint: true })), 0);
    } finally {
      disk.closeSync(descriptor);
    }
  }

  private link(file: number, path: string, place: string | Buffer, target: Buffer): void {
    const { disk, settings } = this.worktree;
    requirePossibleTarget(path, target);
    if (!settings.symlinks) return this.write(file, target);
    this.files.handOver(file);
    disk.symlinkSync(target, place);
    this.written(file, statWords(disk.lstatSync(place, { bigint: true })), 0);
  }

  /** A folder without files, here or further down, is not made: git does not know it. */
  private makeFolder(folder: Folder): void {
    if (folder.isMade) return;
    if (folder.parent !== undefined) this.makeFolder(folder.parent);
    this.worktree.disk.mkdirSync(toDiskPath(this.worktree.root, folder.path.slice(0, -1)));
    folder.isMade = true;
  }

  private written(file: number, words: Uint32Array, at: number): void {
    this.files.setStat(file, words, at);
    const bytes = words[at + STAT.size] as number;
    this.done += 1;
    this.bytes += bytes;
    const over = bytes % this.volumeBlock;
    this.blockBytes += over === 0 ? bytes : bytes - over + this.volumeBlock;
  }

  /** One of the files would silently take the other's place. */
  private requireNoCollisions(): void {
    const paths: RepoPath[] = [];
    for (const { file, folder, entry } of this.named())
      if (!this.files.isLeftOut(file)) paths.push((folder.path + entry.name) as RepoPath);
    const collisions = findCollisions(paths);
    if (collisions.length === 0) return;
    const named = collisions.slice(0, 3).map((group) => group.join(' and '));
    throw new KbError('E_UNSAFE_STATE', `this volume cannot tell apart: ${named.join('; ')}`, {
      hint: 'clone onto a case-sensitive volume, or rename the files where both are visible',
      details: { collisions: collisions.slice(0, 100) },
    });
  }
}

function permissionOf(mode: number): number {
  return mode === EXECUTABLE ? 0o777 : 0o666;
}
