import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import type { Oid } from '../ids.js';
import type { ObjectSource } from './object.js';
import { encodeEntryHead } from './pack-entry.js';

/** Small objects are gathered to pieces of about this size: one write a piece, not one an object. */
const PIECE_BYTES = 64 * 1024;

/**
 * The bytes of a pack (version 2) of these objects, each whole. One object and one piece are held at a time.
 * Source of the format: gitformat-pack, "pack-*.pack files have the following format".
 * @throws KbError E_CORRUPT when an object is missing or damaged
 */
export function* writePack(source: ObjectSource, oids: readonly Oid[]): Generator<Buffer> {
  const checksum = createHash('sha1');
  const header = Buffer.alloc(12);
  header.write('PACK', 'latin1');
  header.writeUInt32BE(2, 4);
  header.writeUInt32BE(oids.length, 8);
  let parts: Buffer[] = [header];
  let bytes = header.length;
  for (const oid of oids) {
    const { type, data } = source.read(oid);
    const head = encodeEntryHead(type, data.length);
    const body = deflateSync(data);
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
