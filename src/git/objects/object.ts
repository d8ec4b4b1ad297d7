import crypto from 'node:crypto';
import { KbError } from '../../errors.js';
import type { Oid } from '../ids.js';

export type ObjectType = 'commit' | 'tree' | 'blob' | 'tag';

export interface GitObject {
  readonly type: ObjectType;
  /** Shared with caches: read it, never write into it. */
  readonly data: Buffer;
}

/** Whatever objects can be read from: the store, or the store with planned objects on top. */
export interface ObjectSource {
  /** @throws KbError E_CORRUPT when missing or damaged */
  read(oid: Oid): GitObject;
  /** @throws KbError E_CORRUPT when damaged */
  find(oid: Oid): GitObject | undefined;
  has(oid: Oid): boolean;
}

/**
 * Passes a blob's bytes on, piece by piece; each is only valid during the call. To be called at once: it reads from a
 * file that is open now.
 * @throws KbError E_CORRUPT, at the end also when the content has another id
 */
export type BlobCopier = (write: (piece: Buffer) => void) => void;

/** Takes a blob that is too large to be held, as it comes. */
export interface LargeBlob {
  /** @param piece only valid during the call */
  write(piece: Buffer): void;
  /** It is whole, and this is its name. Not called where something went wrong. */
  end(oid: Oid): void;
}

export const OBJECT_TYPES: readonly ObjectType[] = ['commit', 'tree', 'blob', 'tag'];

export function isObjectType(text: string): text is ObjectType {
  return (OBJECT_TYPES as readonly string[]).includes(text);
}

/** The bytes that stand before an object's data when it is hashed or stored loose: `blob 12\0`. */
export function objectPrefix(type: ObjectType, size: number): string {
  return `${type} ${size}\0`;
}

const SCRATCH_BYTES = 64 * 1024;
let scratch: Buffer | undefined;
/** The one-call hash is five times faster for small objects, but not in every Node 20. */
let hashAtOnce: typeof crypto.hash | undefined;

/** The id that git gives this object: SHA-1 over `type size\0data`. */
export function hashObject(type: ObjectType, data: Uint8Array): Oid {
  const prefix = objectPrefix(type, data.length);
  hashAtOnce ??= (crypto as { readonly hash?: typeof crypto.hash }).hash;
  if (hashAtOnce !== undefined && prefix.length + data.length <= SCRATCH_BYTES) {
    scratch ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    const length = scratch.write(prefix, 0, 'latin1');
    scratch.set(data, length);
    return hashAtOnce('sha1', scratch.subarray(0, length + data.length)) as Oid;
  }
  return crypto.createHash('sha1').update(prefix).update(data).digest('hex') as Oid;
}

/** @throws KbError E_CORRUPT when the object is of another type */
export function expectType(object: GitObject, type: ObjectType, oid: Oid): Buffer {
  if (object.type === type) return object.data;
  throw new KbError('E_CORRUPT', `object ${oid} is a ${object.type} where a ${type} belongs`, { details: { oid } });
}
