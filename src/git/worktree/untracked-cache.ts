import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { OPEN_PLAINLY, type Disk } from '../../disk/disk.js';
import { isErrno, removeFile, temporaryName, writeFully } from '../../disk/durable.js';
import type { FolderItem } from './folder-listing.js';
import type { FolderState } from './tracked-folders.js';
import type { TrackedNames } from './untracked.js';

const FORMAT = 'kb-untracked 2';
/** A larger file was not written by kb, which stops at half of it. */
const MAX_BYTES = 64 * 1024 * 1024;
/** A folder with more than this is listed anew each time. */
const MAX_ITEMS = 1000;
/** A listing of a folder takes about 15 µs, writing the file some milliseconds: fewer are not worth it. */
const WORTH_LISTINGS = 200;
/**
 * How long before the scan a folder must have been changed last, ms. A change after its listing then gets another
 * time, also on a volume that counts in steps of 2 s (FAT), or 4 ms as Linux does where it need not be exact.
 */
const SETTLED_MS = 3000;
/** How far the clock may lie behind the file's own time, ms; beyond it the file is from the future. */
const CLOCK_STEP_MS = 2000;

/**
 * Volumes of this machine's own, on which lstat shows at once what anybody changed; on network volumes it may be a
 * minute old. By the type that statfs(2) gives; the cache is not used on any other.
 */
const LOCAL_VOLUMES: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0x01021994, // tmpfs
  0xf2f52010, // F2FS
  0x2fc12fc1, // ZFS
  0xca451a4e, // bcachefs
  0x794c7630, // overlayfs
]);

/** Of what is in a folder: that which is not tracked, ignored or not. */
interface Record extends FolderState {
  /** '' where nothing is tracked in it. */
  readonly tree: string;
  readonly own: number;
  /** Each a letter for the kind, then the name. */
  readonly items: readonly string[];
}

const LETTERS = { file: 'f', symlink: 'l', folder: 'd' } as const;
const KINDS: Readonly<Partial<{ [letter: string]: FolderItem['kind'] }>> = { f: 'file', l: 'symlink', d: 'folder' };

/** What was read: the tree of the index of then, and a row for each folder. */
interface Known {
  readonly root: string;
  readonly rows: ReadonlyMap<string, readonly unknown[]>;
}

const NONE: Known = { root: '', rows: new Map() };
/** Most folders hold nothing that is not tracked. */
const NOTHING: FolderItem[] = [];
const NO_NAMES: readonly string[] = [];

export interface UntrackedCacheOptions {
  /** Where it is kept; one for each user. */
  readonly file: string;
  /** The work tree. */
  readonly root: string;
  /** Whose file it must be; undefined where there are no user ids. */
  readonly uid: number | undefined;
  /** ms since 1970 */
  readonly wall: () => number;
  /** ms */
  readonly monotonic: () => number;
  /** Default 200. */
  readonly worthListings?: number;
  /** Default 3000, ms. */
  readonly settledMs?: number;
}

/**
 * What the last look through the work tree found in its folders besides the tracked files, so that the next one lists
 * only the folders that have changed. kb's own: git's UNTR extension is for git to keep.
 *
 * Invariant: it never hides a change. What it says of a folder holds for exactly one state of it: device, inode,
 * mtime and ctime of the folder (whatever is made, removed or renamed in a folder changes them, and nobody sets ctime
 * by hand), and the id of the folder's tree in the index, which stands for all tracked names. (Where the tree of the
 * whole index is the one of then, so is each folder's.) Ignore rules are not part of it: they are applied afterwards,
 * each time. A folder that was changed shortly before the scan is not kept, so that every later change has another
 * time. A file that is damaged, somebody else's, or from the future counts as none.
 * (Broken by: test/integration/untracked-cache.test.ts)
 */
export class UntrackedCache {
  private readonly kept = new Map<string, Record>();
  private readonly startedAt: number;
  private listings = 0;
  /** Tree of the index of this scan. */
  private root = '';

  private constructor(
    private readonly disk: Disk,
    private readonly options: UntrackedCacheOptions,
    private readonly device: number,
    private readonly known: Known,
  ) {
    this.startedAt = options.monotonic();
  }

  /**
   * To be called before the scan begins.
   * @returns undefined where the volume's time stamps cannot be relied upon
   */
  static open(disk: Disk, options: UntrackedCacheOptions): UntrackedCache | undefined {
    const root = disk.statSync(options.root);
    if (!LOCAL_VOLUMES.has(disk.statfsSync(options.root).type)) return undefined;
    return new UntrackedCache(disk, options, root.dev, readKnown(disk, options));
  }

  /**
   * @param root id of the tree of the whole index, if it has one
   * @returns whether the cache was written with this one, which stands for the trees of all folders
   */
  isOfTree(root: string | undefined): boolean {
    this.root = broken(root ?? '');
    return this.root !== '' && this.root === this.known.root;
  }

  /**
   * What is in the folder and not tracked, if it is still as it was.
   * @param state of the folder, from before it would be listed
   * @param names what is tracked in it; undefined: nothing
   */
  recall(folder: string, state: FolderState, names: TrackedNames | undefined): FolderItem[] | undefined {
    const row = this.known.rows.get(folder);
    const record = row === undefined ? undefined : parseRow(row);
    if (record === undefined || !isSameState(record, state) || !isOfNames(record, names)) return undefined;
    this.kept.set(folder, record);
    return record.items.length === 0 ? NOTHING : record.items.map(itemOf);
  }

  /** Takes down what a listing has shown. Parameters as of `recall`. */
  keep(folder: string, state: FolderState, names: TrackedNames | undefined, items: readonly FolderItem[]): void {
    this.listings += 1;
    if (state.dev !== this.device || items.length > MAX_ITEMS || !Number.isSafeInteger(state.ino)) return;
    const named = items.flatMap(({ name, kind }) => (kind === 'other' ? [] : [`${LETTERS[kind]}${name}`]));
    const { dev, ino, mtimeMs, ctimeMs } = state;
    const [tree, own] = [broken(names?.tree ?? ''), names?.own ?? 0];
    this.kept.set(folder, { dev, ino, mtimeMs, ctimeMs, tree, own, items: named });
  }

  /**
   * Writes it for the next scan, if this one has listed many folders. Replaced in one step; nobody waits for
   * the disk. Where it can't be written (a read-only volume, a full one) there is none.
   */
  save(): void {
    if (this.listings < (this.options.worthListings ?? WORTH_LISTINGS)) return;
    const { disk } = this;
    const { file, monotonic, settledMs = SETTLED_MS } = this.options;
    const temporary = join(dirname(file), temporaryName('untracked'));
    try {
      disk.mkdirSync(dirname(file), { recursive: true });
      const descriptor = disk.openSync(temporary, 'wx', 0o600);
      try {
        // The volume's own clock, which stamps the folders: it may go differently from ours.
        const now = disk.fstatSync(descriptor);
        const settled = now.mtimeMs - (monotonic() - this.startedAt) - settledMs;
        const bytes = now.dev === this.device ? encode(this.root, this.kept, settled) : undefined;
        if (bytes !== undefined) writeFully(disk, descriptor, bytes);
        else return removeFile(disk, temporary);
      } finally {
        disk.closeSync(descriptor);
      }
      disk.renameSync(temporary, file);
    } catch (error) {
      if (!isErrno(error)) throw error;
      try {
        removeFile(disk, temporary);
      } catch (second) {
        if (!isErrno(second)) throw second; // swept by age, like every temporary file
      }
    }
  }
}

function isSameState(a: FolderState, b: FolderState): boolean {
  return a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs && a.ino === b.ino && a.dev === b.dev;
}

function isOfNames({ tree, own }: Record, names: TrackedNames | undefined): boolean {
  if (names === undefined) return tree === '';
  return own === names.own && (names.tree === undefined ? tree !== '' : tree === broken(names.tree));
}

/** @returns undefined when it is too large to be worth reading */
function encode(root: string, records: ReadonlyMap<string, Record>, settledMs: number): Buffer | undefined {
  const lines: string[] = [JSON.stringify(root)];
  for (const [folder, { dev, ino, mtimeMs, ctimeMs, tree, own, items }] of records) {
    if (mtimeMs < settledMs && ctimeMs < settledMs)
      lines.push(JSON.stringify([folder, dev, ino, mtimeMs, ctimeMs, tree, own, ...items]));
  }
  const body = Buffer.from(`[${lines.join(',\n')}]`);
  if (body.length > MAX_BYTES / 2) return undefined;
  return Buffer.concat([Buffer.from(`${FORMAT} ${checksum(body)}\n`), body]);
}

/** `kb gc` takes words of 40 hex digits for objects that somebody needs; nobody needs these. */
function broken(tree: string): string {
  return tree === '' ? '' : `${tree.slice(0, 20)}-${tree.slice(20)}`;
}

/** Not in hex either. */
function checksum(body: Buffer): string {
  return createHash('sha1').update(body).digest('base64');
}

function readKnown(disk: Disk, options: UntrackedCacheOptions): Known {
  const bytes = readOwn(disk, options);
  const lineEnd = bytes?.indexOf(0x0a) ?? -1;
  if (bytes === undefined || lineEnd === -1) return NONE;
  const body = bytes.subarray(lineEnd + 1);
  if (bytes.toString('latin1', 0, lineEnd) !== `${FORMAT} ${checksum(body)}`) return NONE;
  return parse(body.toString('utf8')) ?? NONE;
}

/** The file's bytes, if it is an ordinary file that nobody else can have written. */
function readOwn(disk: Disk, { file, uid, wall }: UntrackedCacheOptions): Buffer | undefined {
  let descriptor: number;
  try {
    descriptor = disk.openSync(file, OPEN_PLAINLY);
  } catch (error) {
    if (isErrno(error)) return undefined;
    throw error;
  }
  try {
    const stats = disk.fstatSync(descriptor);
    const isOwn = (uid === undefined || stats.uid === uid) && (stats.mode & 0o022) === 0;
    if (!stats.isFile() || !isOwn || stats.size > MAX_BYTES || stats.mtimeMs > wall() + CLOCK_STEP_MS) return undefined;
    return disk.readFileSync(descriptor);
  } catch (error) {
    if (isErrno(error)) return undefined;
    throw error;
  } finally {
    disk.closeSync(descriptor);
  }
}

/** @returns undefined unless it is what `encode` writes; the rows are looked at when they are asked for */
function parse(text: string): Known | undefined {
  let all: unknown;
  try {
    all = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(all)) return undefined;
  const root: unknown = all[0];
  if (typeof root !== 'string') return undefined;
  const rows = new Map<string, readonly unknown[]>();
  for (let at = 1; at < all.length; at += 1) {
    const row: unknown = all[at];
    const folder: unknown = Array.isArray(row) ? row[0] : undefined;
    if (typeof folder !== 'string') return undefined;
    rows.set(folder, row as readonly unknown[]);
  }
  return { root, rows };
}

function parseRow(row: readonly unknown[]): Record | undefined {
  const dev = row[1];
  const ino = row[2];
  const mtimeMs = row[3];
  const ctimeMs = row[4];
  const tree = row[5];
  const own = row[6];
  const items = row.length === 7 ? NO_NAMES : row.slice(7);
  if (typeof tree !== 'string' || !items.every(isItem)) return undefined;
  if (!isNumber(dev) || !isNumber(ino) || !isNumber(mtimeMs) || !isNumber(ctimeMs) || !isNumber(own)) return undefined;
  return { dev, ino, mtimeMs, ctimeMs, tree, own, items };
}

function itemOf(item: string): FolderItem {
  return { name: item.slice(1), kind: KINDS[item[0] ?? ''] ?? 'other' };
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}

function isItem(item: unknown): item is string {
  return typeof item === 'string' && item.length > 1 && KINDS[item[0] ?? ''] !== undefined && !item.includes('/');
}
