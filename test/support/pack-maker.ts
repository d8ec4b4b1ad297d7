import { createHash } from 'node:crypto';
import { createDeflate, deflateSync } from 'node:zlib';
import type { Oid } from '../../src/git/ids.js';
import { hashObject, type ObjectType } from '../../src/git/objects/object.js';
import { encodeEntryHead } from '../../src/git/objects/pack-entry.js';

/** One entry of a pack: its head, and its data as it stands in the pack. */
export interface Entry {
  readonly head: (offset: number) => Buffer;
  readonly body: Iterable<Buffer> | AsyncIterable<Buffer>;
}

/** A whole object, honest. */
export function object(type: ObjectType, data: Buffer): Entry & { readonly oid: Oid } {
  return { oid: hashObject(type, data), head: () => encodeEntryHead(type, data.length), body: [deflateSync(data)] };
}

/** A blob of zeros that is made while it is sent. @param claimed what its head says; default: the truth */
export function zeros(bytes: number, claimed = bytes): Entry {
  return { head: () => encodeEntryHead('blob', claimed), body: deflatedZeros(bytes) };
}

async function* deflatedZeros(bytes: number): AsyncGenerator<Buffer> {
  const deflate = createDeflate({ level: 1 });
  const piece = Buffer.alloc(1024 * 1024);
  let left = bytes;
  const feed = (): void => {
    while (left > 0) {
      const next = piece.subarray(0, Math.min(left, piece.length));
      left -= next.length;
      if (!deflate.write(next)) return void deflate.once('drain', feed);
    }
    deflate.end();
  };
  feed();
  for await (const chunk of deflate) yield chunk as Buffer;
}

/** A delta against the entry that begins at `base`. Source of the formats: gitformat-pack, "Deltified representation". */
export function deltaAgainst(base: number, delta: Buffer): Entry {
  return {
    head: (offset) => Buffer.concat([deltaHead(delta.length), encodeDistance(offset - base)]),
    body: [deflateSync(delta)],
  };
}

/** A delta that takes the base so many times, and then the text. */
export function repeating(baseSize: number, times: number, text = ''): Buffer {
  const commands: Buffer[] = [];
  for (let time = 0; time < times; time += 1) {
    for (let from = 0; from < baseSize; from += 0xffffff) {
      const command = Buffer.alloc(8, 0xff);
      command.writeUInt32LE(from, 1);
      command.writeUIntLE(Math.min(0xffffff, baseSize - from), 5, 3);
      commands.push(command);
    }
  }
  const insert = text === '' ? [] : [Buffer.of(text.length), Buffer.from(text)];
  const size = baseSize * times + text.length;
  return Buffer.concat([encodeSize(baseSize), encodeSize(size), ...commands, ...insert]);
}

export function tree(entries: readonly { readonly mode: string; readonly name: string; readonly oid: Oid }[]): Buffer {
  return Buffer.concat(
    entries.map(({ mode, name, oid }) => Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(oid, 'hex')])),
  );
}

export function commit(treeOid: Oid, parent?: Oid): Buffer {
  const who = 'Mallory <m@example.com> 1700000000 +0000';
  const parents = parent === undefined ? '' : `parent ${parent}\n`;
  return Buffer.from(`tree ${treeOid}\n${parents}author ${who}\ncommitter ${who}\n\nbait\n`);
}

/** The bytes of a pack with these entries, one after the other, as they are made. */
export async function* pack(entries: readonly Entry[]): AsyncGenerator<Buffer> {
  const header = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  header.writeUInt32BE(entries.length, 8);
  const hash = createHash('sha1').update(header);
  yield header;
  let offset = header.length;
  for (const { head, body } of entries) {
    const begin = head(offset);
    hash.update(begin);
    offset += begin.length;
    yield begin;
    for await (const piece of body) {
      hash.update(piece);
      offset += piece.length;
      yield piece;
    }
  }
  yield hash.digest();
}

export async function whole(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

function deltaHead(size: number): Buffer {
  const bytes = encodeEntryHead('commit', size);
  // type 1 becomes 6: OFS_DELTA
  bytes[0] = ((bytes[0] as number) & 0x8f) | 0x60;
  return bytes;
}

function encodeDistance(distance: number): Buffer {
  const bytes = [distance & 0x7f];
  for (let rest = Math.floor(distance / 128); rest > 0; rest = Math.floor(rest / 128)) {
    rest -= 1;
    bytes.unshift(0x80 | (rest & 0x7f));
  }
  return Buffer.from(bytes);
}

function encodeSize(size: number): Buffer {
  const bytes: number[] = [];
  let rest = size;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push(0x80 | (rest & 0x7f));
  bytes.push(rest);
  return Buffer.from(bytes);
}
