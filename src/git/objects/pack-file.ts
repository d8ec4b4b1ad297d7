import { createHash } from 'node:crypto';
import { isErrno } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { KbError } from '../../errors.js';
import type { Oid } from '../ids.js';
import { applyDelta } from './delta.js';
import type { Inflater } from './inflate.js';
import type { ObjectLimits } from './limits.js';
import { objectPrefix, type BlobCopier, type GitObject, type ObjectType } from './object.js';
import type { ObjectCache } from './object-cache.js';
import { PackBytes } from './pack-bytes.js';
import { PACK_TYPES, REF_DELTA, type EntryHead } from './pack-entry.js';
import { PackIndex } from './pack-index.js';

/** The pack's files went away: somebody repacked. The store looks where its objects are now. */
export class PackVanished extends Error {
  override readonly name = 'PackVanished';
}

/** Smaller blobs are read whole: that is faster, and memory has room for one. */
const LARGE_BLOB_BYTES = 512 * 1024;

interface Delta {
  readonly offset: number;
  readonly data: Buffer;
}

/** One pack and its index, both opened when first needed and read by position. */
export class PackFile {
  private index: PackIndex | undefined;
  private bytes: PackBytes | undefined;

  /** @param path the pack's path without `.pack` */
  constructor(
    private readonly disk: Disk,
    readonly path: string,
    private readonly limits: ObjectLimits,
    private readonly cache: ObjectCache,
    private readonly inflater: Inflater,
  ) {}

  get isOpen(): boolean {
    return this.index !== undefined || this.bytes !== undefined;
  }

  /** @throws PackVanished | KbError E_CORRUPT */
  find(id: Buffer): number | undefined {
    this.index ??= this.whileThere(() => PackIndex.open(this.disk, `${this.path}.idx`));
    return this.index.find(id);
  }

  /**
   * The object that begins at the offset. A delta's base must be in the same pack: git completes thin packs,
   * and two packs that lean on each other would never end.
   * @throws PackVanished | KbError E_CORRUPT
   */
  read(offset: number): GitObject {
    const deltas: Delta[] = [];
    let at = offset;
    let object: GitObject | undefined;
    while (object === undefined) {
      const cached = this.cache.get(this.key(at));
      if (cached !== undefined) {
        object = cached;
        break;
      }
      const pack = this.opened();
      const head = pack.head(at);
      const data = pack.inflate(at, head);
      const type = PACK_TYPES[head.type];
      if (type !== undefined) {
        object = { type, data };
        if (deltas.length > 0) this.cache.put(this.key(at), alone(object));
        break;
      }
      deltas.push({ offset: at, data });
      if (deltas.length > this.limits.maxDeltaDepth)
        throw this.damaged(`a delta chain is longer than ${this.limits.maxDeltaDepth}`);
      at = this.baseOffset(at, head);
    }
    for (let step = deltas.length - 1; step >= 0; step--) {
      const delta = deltas[step] as Delta;
      object = { type: object.type, data: applyDelta(object.data, delta.data, this.limits.maxObjectBytes) };
      if (step > 0) this.cache.put(this.key(delta.offset), alone(object));
    }
    return object;
  }

  /**
   * For a large blob that is no delta; undefined for all other objects.
   * @param oid what its content must have; undefined: that is known already
   * @throws PackVanished | KbError E_CORRUPT
   */
  copierOf(offset: number, oid: Oid | undefined): BlobCopier | undefined {
    const pack = this.opened();
    const head = pack.head(offset);
    if (PACK_TYPES[head.type] !== 'blob' || head.size <= LARGE_BLOB_BYTES) return undefined;
    if (oid === undefined) return (write) => pack.inflateTo(offset, head, write);
    return (write) => {
      const hash = createHash('sha1').update(objectPrefix('blob', head.size));
      pack.inflateTo(offset, head, (piece) => {
        hash.update(piece);
        write(piece);
      });
      if (hash.digest('hex') !== oid) throw otherContent(this.path, oid);
    };
  }

  /** Type and size without inflating more than the first bytes of deltas. */
  header(offset: number): { type: ObjectType; size: number } {
    let size: number | undefined;
    let at = offset;
    for (let depth = 0; depth <= this.limits.maxDeltaDepth; depth++) {
      const pack = this.opened();
      const head = pack.head(at);
      const type = PACK_TYPES[head.type];
      if (type !== undefined) return { type, size: size ?? head.size };
      size ??= pack.resultSize(at, head);
      at = this.baseOffset(at, head);
    }
    throw this.damaged(`a delta chain is longer than ${this.limits.maxDeltaDepth}`);
  }

  /** Gives the descriptors back; the next read opens the files again. */
  close(): void {
    this.index?.close();
    this.index = undefined;
    if (this.bytes !== undefined) this.disk.closeSync(this.bytes.descriptor);
    this.bytes = undefined;
  }

  private key(offset: number): string {
    return `${this.path}:${offset}`;
  }

  private baseOffset(offset: number, head: EntryHead): number {
    if (head.type === REF_DELTA) {
      // a ring of bases ends at the depth limit
      const at = this.find(head.base as Buffer);
      if (at === undefined) throw this.damaged('a delta names a base outside the pack');
      return at;
    }
    return offset - head.distance;
  }

  private opened(): PackBytes {
    return (this.bytes ??= this.whileThere(() => {
      const descriptor = this.disk.openSync(`${this.path}.pack`, 'r');
      const size = this.disk.fstatSync(descriptor).size;
      return new PackBytes(this.disk, descriptor, size, `${this.path}.pack`, this.limits, this.inflater);
    }));
  }

  private whileThere<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (isErrno(error, 'ENOENT')) throw new PackVanished(this.path, { cause: error });
      throw error;
    }
  }

  private damaged(why: string): KbError {
    return new KbError('E_CORRUPT', `pack ${this.path}.pack is damaged: ${why}`, {
      details: { path: `${this.path}.pack` },
    });
  }
}

/**
 * Node cuts small buffers out of pieces of 8 KiB, and one that is kept keeps its whole piece: a cache of 32 MB would
 * hold 150. So what is cached between much that is not gets memory of its own.
 */
function alone({ type, data }: GitObject): GitObject {
  if (data.buffer.byteLength < 2 * data.length) return { type, data };
  const own = Buffer.allocUnsafeSlow(data.length);
  data.copy(own);
  return { type, data: own };
}

/** @param path the pack's, without `.pack` */
export function otherContent(path: string, oid: Oid): KbError {
  return new KbError('E_CORRUPT', `object ${oid} in ${path}.pack is damaged: its content has another id`, {
    details: { oid },
  });
}
