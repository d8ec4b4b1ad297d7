import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import type { Oid } from '../ids.js';
import { readCommit } from './commit.js';
import { makeBlobDelta, makeTreeDelta } from './delta-writer.js';
import type { GitObject, ObjectSource } from './object.js';
import { encodeDeltaHead, encodeEntryHead } from './pack-entry.js';
import { compareEntries, skipAlike } from './tree-diff.js';
import { assertDepth, readTree, TreeScanner } from './tree.js';

export interface WritePackOptions {
  /**
   * A commit that the receiver has, with all that it stands for. New versions of its folders and files then go
   * as deltas against it: adding a note to a folder of 3,000 sends a few hundred bytes in place of 80 KB. The
   * receiver must take thin packs (git's receive-pack does, unless it advertises `no-thin`).
   */
  readonly against?: Oid;
}

/** Small objects are gathered to pieces of about this size: one write a piece, not one an object. */
const PIECE_BYTES = 64 * 1024;
/** Under this a delta saves less than the search for it costs; over the other one both versions would be held. */
const MIN_DELTA_BYTES = 1024;
const MAX_DELTA_BYTES = 8 * 1024 * 1024;

/**
 * The bytes of a pack (version 2) of these objects. One object and one piece are held at a time.
 * Source of the format: gitformat-pack, "pack-*.pack files have the following format".
 * @throws KbError E_CORRUPT when an object is missing or damaged
 */
export function* writePack(
  source: ObjectSource,
  oids: readonly Oid[],
  options: WritePackOptions = {},
): Generator<Buffer> {
  const bases = options.against === undefined ? new Map<Oid, Oid>() : findBases(source, oids, options.against);
  const checksum = createHash('sha1');
  const header = Buffer.alloc(12);
  header.write('PACK', 'latin1');
  header.writeUInt32BE(2, 4);
  header.writeUInt32BE(oids.length, 8);
  let parts: Buffer[] = [header];
  let bytes = header.length;
  for (const oid of oids) {
    const object = source.read(oid);
    const base = bases.get(oid);
    const [head, body] = (base === undefined ? undefined : deltaEntry(source, base, object)) ?? wholeEntry(object);
    parts.push(head, body);
    bytes += head.length + body.length;
    if (bytes < PIECE_BYTES) continue;
    const piece = Buffer.concat(parts);
    checksum.update(piece);
    yield piece;
    parts = [];
    bytes = 0;
  }
  const rest = Buffer.concat(parts);
  checksum.update(rest);
  yield Buffer.concat([rest, checksum.digest()]);
}

function wholeEntry({ type, data }: GitObject): [Buffer, Buffer] {
  return [encodeEntryHead(type, data.length), deflateSync(data)];
}

function deltaEntry(source: ObjectSource, base: Oid, { type, data }: GitObject): [Buffer, Buffer] | undefined {
  if (data.length < MIN_DELTA_BYTES || data.length > MAX_DELTA_BYTES) return undefined;
  const old = source.find(base);
  if (old?.type !== type || old.data.length > MAX_DELTA_BYTES) return undefined;
  const delta = type === 'tree' ? makeTreeDelta(old.data, data) : makeBlobDelta(old.data, data);
  return delta.length > data.length / 2 ? undefined : [encodeDeltaHead(base, delta.length), deflateSync(delta)];
}

/** For new folders and files: what stands at the same path in the commit that the receiver has. */
function findBases(source: ObjectSource, oids: readonly Oid[], against: Oid): Map<Oid, Oid> {
  const sent = new Set(oids);
  const bases = new Map<Oid, Oid>();
  const known = source.find(against);
  if (known?.type !== 'commit') return bases;
  const root = readCommit(source, against).tree;
  const pair = (before: Oid, after: Oid, depth: number): void => {
    // sent too: then the receiver need not have it
    if (!sent.has(after) || sent.has(before) || bases.has(after)) return;
    assertDepth(depth);
    bases.set(after, before);
    const old = new TreeScanner(readTree(source, before));
    const fresh = new TreeScanner(readTree(source, after));
    skipAlike(old, fresh);
    for (let hasOld = old.next(), hasFresh = fresh.next(); hasOld && hasFresh;) {
      const order = compareEntries(old, fresh);
      if (order === 0) {
        if (old.isTree) pair(old.oid, fresh.oid, depth + 1);
        else if (sent.has(fresh.oid) && !sent.has(old.oid) && !bases.has(fresh.oid)) bases.set(fresh.oid, old.oid);
        skipAlike(old, fresh);
      }
      if (order <= 0) hasOld = old.next();
      if (order >= 0) hasFresh = fresh.next();
    }
  };
  for (const oid of oids) {
    const object = source.read(oid);
    if (object.type === 'commit') pair(root, readCommit(source, oid).tree, 0);
  }
  return bases;
}
