import { join } from 'node:path';
import { isErrno, namesIn } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { KbError } from '../../errors.js';
import type { Oid } from '../ids.js';
import { createInflater } from '../objects/inflate.js';
import { DEFAULT_LIMITS } from '../objects/limits.js';
import { LooseObjects } from '../objects/loose.js';
import { hashObject, type GitObject, type ObjectType } from '../objects/object.js';
import { ObjectCache } from '../objects/object-cache.js';
import { PackFile, PackVanished } from '../objects/pack-file.js';
import { readCruftTimes } from './cruft-times.js';
import { IndexRows } from './index-rows.js';
import { LOOSE, ObjectTable } from './object-table.js';

/** A pack as it was when the survey was made. */
export interface StoredPack {
  /** Without an ending. */
  readonly path: string;
  readonly rows: IndexRows;
  /** Of the `.pack`. */
  readonly bytes: number;
  readonly mtimeMs: number;
  /** Not to be touched: it has a `.keep`, or it is promised. */
  readonly isKept: boolean;
  /** Came in a partial clone: the remote has promised what its objects refer to and is not here. */
  readonly isPromised: boolean;
  /** Holds objects that nothing refers to, each with its own age. */
  readonly isCruft: boolean;
}

export interface LooseFile {
  /** Of the object table. */
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
  readonly mtimeMs: number;
}

const BASE_CACHE_BYTES = 64 * 1024 * 1024;
/** Packs held open at once, two descriptors each. */
const MAX_OPEN_PACKS = 100;

/** Every object of one repository at one moment, and how to read it. */
export class StoredObjects {
  readonly table: ObjectTable;
  private readonly inflater = createInflater();
  private readonly looseObjects: LooseObjects;
  private readonly files = new Map<number, PackFile>();
  private readonly descriptors = new Map<number, number>();

  private constructor(
    readonly disk: Disk,
    readonly objectsDirectory: string,
    readonly packs: readonly StoredPack[],
    readonly loose: LooseFile[],
    looseFound: readonly FoundLoose[],
    private readonly cache = new ObjectCache(BASE_CACHE_BYTES),
  ) {
    this.looseObjects = new LooseObjects(disk, objectsDirectory, DEFAULT_LIMITS, this.inflater);
    this.table = new ObjectTable(packs.reduce((sum, { rows }) => sum + rows.count, looseFound.length));
    for (const [pack, { rows, isCruft, mtimeMs, path }] of packs.entries()) {
      const times = isCruft ? readCruftTimes(disk, `${path}.mtimes`, rows.count) : undefined;
      for (let place = 0; place < rows.count; place++) {
        this.table.add(rows.ids, rows.idAt(place), pack, place, times?.(place) ?? mtimeMs / 1000);
      }
    }
    const id = Buffer.alloc(20);
    for (const { oid, ...file } of looseFound) {
      id.write(oid, 'hex');
      loose.push({ ...file, number: this.table.add(id, 0, LOOSE, 0, file.mtimeMs / 1000) });
    }
  }

  /**
   * Loose objects are listed before packs: one that is packed in between is then seen in its pack, not in neither.
   * @throws KbError E_CORRUPT, E_UNSAFE_STATE (packs change at this moment)
   */
  static survey(disk: Disk, objectsDirectory: string): StoredObjects {
    const loose = listLoose(disk, objectsDirectory);
    const packs = listPacks(disk, `${objectsDirectory}/pack`);
    // Kept packs first, for what is in them is not written again; then the largest, which hold the most bases.
    packs.sort(
      (a, b) => Number(b.isKept) - Number(a.isKept) || Number(a.isCruft) - Number(b.isCruft) || b.bytes - a.bytes,
    );
    return new StoredObjects(disk, objectsDirectory, packs, [], loose);
  }

  /** The object, checked against its id. @throws KbError E_CORRUPT, E_UNSAFE_STATE */
  read(number: number): GitObject {
    const { table } = this;
    const source = table.sources[number] as number;
    const oid = table.oid(number);
    if (source === LOOSE) {
      const object = this.looseObjects.find(oid);
      if (object === undefined) throw changedMeanwhile();
      return object;
    }
    const object = this.whileThere(() => this.file(source).read(this.offsetOf(number)));
    if (hashObject(object.type, object.data) === oid) return object;
    throw new KbError('E_CORRUPT', `object ${oid} is damaged: its content has another id`, { details: { oid } });
  }

  /** @throws KbError E_CORRUPT, E_UNSAFE_STATE */
  header(number: number): { readonly type: ObjectType; readonly size: number } {
    const source = this.table.sources[number] as number;
    if (source !== LOOSE) return this.whileThere(() => this.file(source).header(this.offsetOf(number)));
    const header = this.looseObjects.header(this.table.oid(number));
    if (header === undefined) throw changedMeanwhile();
    return header;
  }

  /** Whether an object that the survey did not see is there now. */
  appearedSince(oid: Oid): boolean {
    if (this.looseObjects.has(oid)) return true;
    const id = Buffer.from(oid, 'hex');
    const known = new Set(this.packs.map(({ path }) => path));
    return listPacks(this.disk, `${this.objectsDirectory}/pack`).some(({ path, rows }) => {
      if (known.has(path)) return false;
      for (let place = 0; place < rows.count; place++) {
        if (id.compare(rows.ids, rows.idAt(place), rows.idAt(place) + 20) === 0) return true;
      }
      return false;
    });
  }

  packOf(number: number): StoredPack | undefined {
    return this.packs[this.table.sources[number] as number];
  }

  isKept(number: number): boolean {
    return this.packOf(number)?.isKept === true;
  }

  offsetOf(number: number): number {
    return (this.packOf(number) as StoredPack).rows.offset(this.table.places[number] as number);
  }

  loosePath(number: number): string {
    const oid = this.table.oid(number);
    return `${this.objectsDirectory}/${oid.slice(0, 2)}/${oid.slice(2)}`;
  }

  /** The open `.pack`. @throws KbError E_UNSAFE_STATE when it is gone */
  descriptor(pack: number): number {
    const known = this.descriptors.get(pack);
    if (known !== undefined) return known;
    this.leaveRoom();
    const opened = this.whileThere(() => this.disk.openSync(`${(this.packs[pack] as StoredPack).path}.pack`, 'r'));
    this.descriptors.set(pack, opened);
    return opened;
  }

  close(): void {
    for (const file of this.files.values()) file.close();
    for (const descriptor of this.descriptors.values()) this.disk.closeSync(descriptor);
    this.files.clear();
    this.descriptors.clear();
  }

  private file(pack: number): PackFile {
    let file = this.files.get(pack);
    if (file === undefined) {
      this.leaveRoom();
      const { path } = this.packs[pack] as StoredPack;
      file = new PackFile(this.disk, path, DEFAULT_LIMITS, this.cache, this.inflater);
      this.files.set(pack, file);
    }
    return file;
  }

  private leaveRoom(): void {
    if (this.files.size + this.descriptors.size > MAX_OPEN_PACKS) this.close();
  }

  private whileThere<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof PackVanished || isErrno(error, 'ENOENT')) throw changedMeanwhile(error);
      throw error;
    }
  }
}

/** Somebody else repacks or prunes, without git's own lock for it. */
export function changedMeanwhile(cause?: unknown): KbError {
  return new KbError('E_UNSAFE_STATE', 'the objects changed while they were looked at: another program repacks them', {
    hint: 'run the same command again',
    retryable: true,
    cause,
  });
}

type FoundLoose = Omit<LooseFile, 'number'> & { readonly oid: string };

function listLoose(disk: Disk, objectsDirectory: string): FoundLoose[] {
  const found: FoundLoose[] = [];
  for (const folder of namesIn(disk, objectsDirectory)) {
    if (!/^[0-9a-f]{2}$/.test(folder)) continue;
    for (const name of namesIn(disk, join(objectsDirectory, folder))) {
      if (!/^[0-9a-f]{38}$/.test(name)) continue;
      const path = join(objectsDirectory, folder, name);
      const stat = disk.lstatSync(path, { throwIfNoEntry: false });
      if (stat?.isFile() === true) found.push({ oid: folder + name, path, bytes: stat.size, mtimeMs: stat.mtimeMs });
    }
  }
  return found;
}

function listPacks(disk: Disk, directory: string): StoredPack[] {
  const names = new Set(namesIn(disk, directory));
  const packs: StoredPack[] = [];
  for (const name of names) {
    const base = name.slice(0, -4);
    if (!name.endsWith('.idx') || !names.has(`${base}.pack`)) continue;
    const path = join(directory, base);
    try {
      const stat = disk.statSync(`${path}.pack`);
      packs.push({
        path,
        rows: IndexRows.read(disk, `${path}.idx`),
        bytes: stat.size,
        mtimeMs: stat.mtimeMs,
        isKept: names.has(`${base}.keep`) || names.has(`${base}.promisor`),
        isPromised: names.has(`${base}.promisor`),
        isCruft: names.has(`${base}.mtimes`),
      });
    } catch (error) {
      if (isErrno(error, 'ENOENT')) throw changedMeanwhile(error);
      throw error;
    }
  }
  return packs;
}
