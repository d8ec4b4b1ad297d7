import { asStorageError, isErrno, readFileIfExists } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { KbError, isKbError } from '../../errors.js';
import { EMPTY_TREE, type Oid } from '../ids.js';
import { createInflater } from './inflate.js';
import { DEFAULT_LIMITS, type ObjectLimits } from './limits.js';
import { LooseObjects } from './loose.js';
import {
  expectType,
  hashObject,
  type BlobCopier,
  type GitObject,
  type ObjectSource,
  type ObjectType,
} from './object.js';
import { ObjectCache } from './object-cache.js';
import { promisedObject } from './promised.js';
import { otherContent, PackFile, PackVanished } from './pack-file.js';
import { receivePack, type PackReceiver, type ReceiveOptions } from './pack-receiver.js';

export type { ObjectLimits } from './limits.js';
export type { PackReceiver, ReceivedPack, ReceiveOptions, ReceiveProgress } from './pack-receiver.js';

const BASE_CACHE_BYTES = 32 * 1024 * 1024;
/** Trees read lately: one edit looks at the root when it finds, edits, compares and sends, and it may lie 50 deltas deep. */
const RECENT_BYTES = 8 * 1024 * 1024;
/** Packs held open at once; a repository that was never repacked has hundreds. */
const MAX_OPEN_PACKS = 64;

/**
 * The objects of one repository. Every read is checked against its id. Native git may repack at any instant:
 * an object that is not found is looked for once more among the packs that are there now.
 */
export class ObjectStore implements ObjectSource {
  private packs: PackFile[] = [];
  private scanned = false;
  private readonly inflater = createInflater();
  private readonly bases = new ObjectCache(BASE_CACHE_BYTES);
  /** Trees and commits: a cycle looks at the same few again and again. */
  private readonly recent = new ObjectCache(RECENT_BYTES);
  private readonly loose: LooseObjects;
  private readonly objectsDirectory: string;
  /** Promised, asked for, and not to be had. */
  private readonly givenUp = new Set<Oid>();

  private constructor(
    private readonly disk: Disk,
    gitDir: string,
    readonly limits: ObjectLimits,
    private readonly promisor: string | undefined,
  ) {
    this.objectsDirectory = `${gitDir}/objects`;
    this.loose = new LooseObjects(disk, this.objectsDirectory, limits, this.inflater);
  }

  /**
   * @param gitDir the directory that holds `objects/`
   * @param promisor the remote that gives what is missing, in a partial clone
   * @throws KbError E_UNSAFE_STATE when objects are borrowed from another repository (alternates)
   */
  static open(disk: Disk, gitDir: string, limits: Partial<ObjectLimits> = {}, promisor?: string): ObjectStore {
    const alternates = readFileIfExists(disk, `${gitDir}/objects/info/alternates`);
    if (
      alternates !== undefined &&
      alternates
        .toString('utf8')
        .split('\n')
        .some((line) => line !== '' && !line.startsWith('#'))
    ) {
      throw new KbError(
        'E_UNSAFE_STATE',
        `the repository ${gitDir} borrows objects from another one (objects/info/alternates)`,
        {
          hint: 'make it stand alone with: git repack -a -d && rm objects/info/alternates (in that directory)',
        },
      );
    }
    return new ObjectStore(disk, gitDir, { ...DEFAULT_LIMITS, ...limits }, promisor);
  }

  read(oid: Oid): GitObject {
    const object = this.find(oid);
    if (object !== undefined) return object;
    throw this.missing(oid);
  }

  /** Nobody needs to try to fetch this one: its absence is an error from now on. */
  giveUpOn(oid: Oid): void {
    this.givenUp.add(oid);
  }

  /** The error for an object that is needed and not there. */
  missing(oid: Oid): KbError {
    if (this.promisor !== undefined) return promisedObject(oid, this.promisor, this.givenUp.has(oid));
    return new KbError('E_CORRUPT', `object ${oid} is missing from ${this.objectsDirectory}`, { details: { oid } });
  }

  /** @throws KbError E_CORRUPT when missing, damaged or of another type */
  readTyped(oid: Oid, type: ObjectType): Buffer {
    return expectType(this.read(oid), type, oid);
  }

  find(oid: Oid): GitObject | undefined {
    const recent = this.recent.get(oid);
    if (recent !== undefined) return recent;
    const object = this.load(oid);
    if (object?.type === 'tree' || object?.type === 'commit') this.recent.put(oid, object);
    return object;
  }

  private load(oid: Oid): GitObject | undefined {
    return this.lookUp(
      oid,
      (pack, offset) => verified(pack, pack.read(offset), oid),
      () => this.loose.find(oid) ?? (oid === EMPTY_TREE ? { type: 'tree', data: Buffer.alloc(0) } : undefined),
    );
  }

  /**
   * A blob for writing it to a file: as its bytes, or where it is large and stands whole in a pack, as a way to copy
   * it: memory then does not follow the size of an attachment.
   * @throws KbError E_CORRUPT when missing or damaged
   */
  readBlob(oid: Oid): Buffer | BlobCopier {
    return this.blobBy(oid, (pack, offset) => {
      return pack.copierOf(offset, oid) ?? verified(pack, pack.read(offset), oid).data;
    });
  }

  /**
   * As `readBlob`, for a pack that this process has verified a moment ago: its content is not hashed once more. What
   * the disk damaged since then is still seen by zlib's own checksum of each entry.
   */
  readBlobJustReceived(oid: Oid): Buffer | BlobCopier {
    return this.blobBy(oid, (pack, offset) => pack.copierOf(offset, undefined) ?? pack.read(offset).data);
  }

  private blobBy(oid: Oid, packed: (pack: PackFile, offset: number) => Buffer | BlobCopier): Buffer | BlobCopier {
    const blob = this.lookUp<Buffer | BlobCopier>(oid, packed, () => this.loose.find(oid)?.data);
    if (blob !== undefined) return blob;
    throw this.missing(oid);
  }

  has(oid: Oid): boolean {
    return (
      this.lookUp(
        oid,
        () => true,
        () => this.loose.has(oid) || oid === EMPTY_TREE || undefined,
      ) ?? false
    );
  }

  /**
   * As `has`, but without a look at the packs that others added meanwhile. For deciding what to write: an
   * object that is there twice does no harm, and most objects asked for are new.
   */
  hasWithoutRescan(oid: Oid): boolean {
    return this.among(this.currentPacks(), oid, () => true) ?? this.loose.has(oid);
  }

  /** Type and size in bytes, without inflating more than the first bytes. @throws KbError E_CORRUPT */
  header(oid: Oid): { type: ObjectType; size: number } | undefined {
    return this.lookUp(
      oid,
      (pack, offset) => pack.header(offset),
      () => this.loose.header(oid) ?? (oid === EMPTY_TREE ? { type: 'tree', size: 0 } : undefined),
    );
  }

  /**
   * Writes one object durably into a file of its own. An intact object is kept, a damaged one replaced.
   * @throws KbError E_STORAGE
   */
  writeLoose(type: ObjectType, data: Uint8Array): Oid {
    const oid = hashObject(type, data);
    this.writeAllLoose([{ oid, type, data }]);
    return oid;
  }

  /** As `writeLoose`; the directories are made durable once for all. @throws KbError E_STORAGE */
  writeAllLoose(objects: Iterable<{ readonly oid: Oid; readonly type: ObjectType; readonly data: Uint8Array }>): void {
    try {
      this.loose.write(objects);
    } catch (error) {
      throw asStorageError(error, 'write an object');
    }
  }

  /**
   * A verified object that is found and read from now on, and stored with `storeHeld`: before anything on disk names it.
   * What is stored upon it through this store is stored after it.
   */
  holdLoose(object: { readonly oid: Oid } & GitObject): void {
    this.loose.hold(object);
  }

  /** Of what is held and not stored yet, bytes. */
  get heldBytes(): number {
    return this.loose.heldBytes;
  }

  /** @throws KbError E_STORAGE; they are held as before then */
  storeHeld(): void {
    try {
      this.loose.storeHeld();
    } catch (error) {
      throw asStorageError(error, 'write an object');
    }
  }

  /** Takes in a pack from elsewhere: verified as it arrives, visible only after `finish()`. */
  receivePack(options: ReceiveOptions = {}): PackReceiver {
    return receivePack(this.disk, this.objectsDirectory, this, options);
  }

  /** Finds the packs that others added or removed. */
  refresh(): void {
    let names: string[];
    try {
      names = this.disk.readdirSync(`${this.objectsDirectory}/pack`);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw asStorageError(error, 'list the packs');
      names = [];
    }
    const there = new Set(names);
    const known = new Map(this.packs.map((pack) => [pack.path, pack]));
    const packs: PackFile[] = [];
    for (const name of names) {
      if (!name.endsWith('.idx') || !there.has(`${name.slice(0, -4)}.pack`)) continue;
      const path = `${this.objectsDirectory}/pack/${name.slice(0, -4)}`;
      packs.push(known.get(path) ?? new PackFile(this.disk, path, this.limits, this.bases, this.inflater));
      known.delete(path);
    }
    for (const gone of known.values()) gone.close();
    this.packs = packs;
    this.scanned = true;
  }

  /** Gives all descriptors back. The store can be used on; it opens what it needs again. */
  close(): void {
    for (const pack of this.packs) pack.close();
    this.packs = [];
    this.scanned = false;
    this.bases.clear();
    this.recent.clear();
  }

  /**
   * Packs, then loose, then (a repack may have moved it in between) the packs that are there now. A damaged
   * copy in one place does not hide an intact one in another.
   */
  private lookUp<T>(
    oid: Oid,
    packed: (pack: PackFile, offset: number) => T,
    loose: () => T | undefined,
  ): T | undefined {
    let damage: KbError | undefined;
    const attempt = (work: () => T | undefined): T | undefined => {
      try {
        return work();
      } catch (error) {
        if (!isKbError(error, 'E_CORRUPT')) throw asStorageError(error, `read object ${oid}`);
        damage ??= error;
        return undefined;
      }
    };
    const found = attempt(() => this.among(this.currentPacks(), oid, packed)) ?? attempt(loose);
    if (found !== undefined) return found;
    this.refresh();
    const again = attempt(() => this.among(this.packs, oid, packed)) ?? attempt(loose);
    if (again === undefined && damage !== undefined) throw damage;
    return again;
  }

  /** The pack that answered last stands first: neighbours in history lie in one pack. */
  private among<T>(packs: readonly PackFile[], oid: Oid, work: (pack: PackFile, offset: number) => T): T | undefined {
    const id = Buffer.from(oid, 'hex');
    let damage: KbError | undefined;
    for (const [place, pack] of packs.entries()) {
      try {
        if (!pack.isOpen) this.leaveRoom(pack);
        const offset = pack.find(id);
        if (offset === undefined) continue;
        const result = work(pack, offset);
        if (place > 0) this.packs = [pack, ...packs.filter((other) => other !== pack)];
        return result;
      } catch (error) {
        // vanished: the rescan after a miss finds where its objects are now
        if (error instanceof PackVanished) pack.close();
        else if (isKbError(error, 'E_CORRUPT')) damage ??= error;
        else throw error;
      }
    }
    if (damage !== undefined) throw damage;
    return undefined;
  }

  private leaveRoom(next: PackFile): void {
    const open = this.packs.filter((pack) => pack.isOpen && pack !== next);
    if (open.length >= MAX_OPEN_PACKS) for (const pack of open.slice(MAX_OPEN_PACKS / 2)) pack.close();
  }

  private currentPacks(): readonly PackFile[] {
    if (!this.scanned) this.refresh();
    return this.packs;
  }
}

function verified(pack: PackFile, object: GitObject, oid: Oid): GitObject {
  if (hashObject(object.type, object.data) === oid) return object;
  throw otherContent(pack.path, oid);
}
