import { createHash } from 'node:crypto';
import { pipeline, Readable } from 'node:stream';
import { createDeflate, createInflate, deflateSync } from 'node:zlib';
import { isErrno } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import { makeBlobDelta, makeTreeDelta } from '../objects/delta-writer.js';
import { objectPrefix, type GitObject, type ObjectType } from '../objects/object.js';
import { ObjectCache } from '../objects/object-cache.js';
import { encodeEntryHead, encodeOffsetDeltaHead, PACK_TYPES } from '../objects/pack-entry.js';
import { EntryReader, type RawEntry } from './entry-reader.js';
import { LOOSE } from './object-table.js';
import type { PackOutput } from './pack-output.js';
import type { StoredObjects } from './stored-objects.js';
import type { Breathe } from './walk.js';

/** Longer chains make reading slow; as git's own `pack.depth`. */
const MAX_NEW_DEPTH = 50;
/** Against what is packed already: what people look at lies at the end of these. */
const MAX_NEWEST_DEPTH = 10;
/** Chains that are there already are kept, but not joined to ever longer ones. */
const MAX_COPIED_DEPTH = 250;
/** Under this a delta saves nothing; over the other the two versions would weigh too much in memory. */
const MIN_DELTA_BYTES = 128;
const MAX_DELTA_BYTES = 8 * 1024 * 1024;
/** Loose objects over this are packed in pieces. */
const STREAM_BYTES = 8 * 1024 * 1024;
const RECENT_BYTES = 32 * 1024 * 1024;

const READ_BYTES = 256 * 1024;

interface Step {
  readonly number: number;
  /** undefined: loose. */
  readonly raw: RawEntry | undefined;
  /** In its pack. */
  readonly isDelta: boolean;
  /** Number of the object that it is to be a delta against, or −1. */
  base: number;
}

/**
 * Writes objects into a new pack: deltas of packs as they lie there, all others as deltas against what
 * stood at the same path in another commit where that saves half, else as they lie there.
 *
 * Invariant: a delta's base is in the same pack and stands before it, so the pack stands alone and no chain ends in
 * a circle. (Broken by: test/integration/repack.test.ts)
 */
export class ObjectWriter {
  /** Where each object of the table begins in the output; 0: not written. */
  private readonly written: Float64Array;
  private readonly depths: Uint16Array;
  private readonly inSet: Uint8Array;
  private readonly isOpen: Uint8Array;
  private readonly reader: EntryReader;
  private readonly recent = new ObjectCache(RECENT_BYTES);

  /**
   * @param numbers what will be written
   * @param otherVersions as of `Walk`
   */
  constructor(
    private readonly objects: StoredObjects,
    private readonly output: PackOutput,
    numbers: readonly number[],
    private readonly otherVersions: Int32Array,
  ) {
    const { count } = objects.table;
    this.written = new Float64Array(count);
    this.depths = new Uint16Array(count);
    this.inSet = new Uint8Array(count);
    this.isOpen = new Uint8Array(count);
    this.reader = new EntryReader(objects);
    for (const number of numbers) this.inSet[number] = 1;
  }

  /** @throws KbError E_CORRUPT when one of them is damaged; E_UNSAFE_STATE when somebody removes packs meanwhile */
  async writeAll(numbers: readonly number[], breathe: Breathe): Promise<void> {
    for (const [done, number] of numbers.entries()) {
      await breathe(done);
      await this.writeWithBases(number);
    }
  }

  private async writeWithBases(wanted: number): Promise<void> {
    const steps: Step[] = [];
    const enter = (number: number): void => {
      if (this.written[number] !== 0) return;
      this.isOpen[number] = 1;
      steps.push(this.plan(number));
    };
    enter(wanted);
    for (let top = steps.at(-1); top !== undefined; top = steps.at(-1)) {
      if (top.base >= 0 && this.written[top.base] === 0) {
        // Copies in two packs may lean on each other: one of them is written whole.
        if (this.isOpen[top.base] === 1) top.base = -1;
        else enter(top.base);
        continue;
      }
      steps.pop();
      await this.write(top);
      this.isOpen[top.number] = 0;
    }
  }

  private plan(number: number): Step {
    const raw = this.objects.table.sources[number] === LOOSE ? undefined : this.reader.open(number);
    const isDelta = raw !== undefined && PACK_TYPES[raw.head.type] === undefined;
    const base = isDelta ? raw.base : (this.otherVersions[number] as number);
    return { number, raw, isDelta, base: base >= 0 && this.inSet[base] === 1 ? base : -1 };
  }

  private async write({ number, raw, isDelta, base }: Step): Promise<void> {
    const { table } = this.objects;
    const depth = base < 0 ? 0 : (this.depths[base] as number) + 1;
    const at = this.output.begin(table.ids, number * 20);
    if (isDelta && raw !== undefined) {
      if (base >= 0 && depth <= MAX_COPIED_DEPTH) this.copy(raw, number, base);
      else this.writeWhole(this.objects.read(number));
    } else {
      const { size } = raw?.head ?? this.objects.header(number);
      const isDone = size <= MAX_DELTA_BYTES && base >= 0 && this.writeDelta(number, base, depth, size);
      if (isDone) this.depths[number] = depth;
      else if (raw !== undefined) this.copy(raw, number, undefined);
      else if (size > STREAM_BYTES) await this.writeStreamed(number);
      else this.writeWhole(this.readRecent(number));
    }
    this.output.end();
    this.written[number] = at;
  }

  private copy(raw: RawEntry, number: number, base: number | undefined): void {
    let isFirst = true;
    for (const piece of this.reader.body(raw, this.objects.table.places[number] as number)) {
      if (isFirst) this.output.write(this.headOf(raw, number, base));
      isFirst = false;
      this.output.write(piece);
    }
  }

  private headOf({ head }: RawEntry, number: number, base: number | undefined): Buffer {
    if (base === undefined) return encodeEntryHead(PACK_TYPES[head.type] as ObjectType, head.size);
    this.depths[number] = (this.depths[base] as number) + 1;
    return encodeOffsetDeltaHead(this.output.position - (this.written[base] as number), head.size);
  }

  /** @returns false, having written nothing, when a delta would not save half */
  private writeDelta(number: number, base: number, depth: number, size: number): boolean {
    const { sources } = this.objects.table;
    const isNewest = sources[number] === LOOSE && sources[base] !== LOOSE;
    if (size < MIN_DELTA_BYTES || depth > (isNewest ? MAX_NEWEST_DEPTH : MAX_NEW_DEPTH)) return false;
    const before = this.objects.header(base);
    if ((before.type !== 'tree' && before.type !== 'blob') || before.size > MAX_DELTA_BYTES) return false;
    const { type, data } = this.readRecent(number);
    if (type !== before.type) return false;
    const old = this.readRecent(base).data;
    const delta = type === 'tree' ? makeTreeDelta(old, data) : makeBlobDelta(old, data);
    if (delta.length > data.length / 2) return false;
    this.output.write(encodeOffsetDeltaHead(this.output.position - (this.written[base] as number), delta.length));
    this.output.write(deflateSync(delta));
    return true;
  }

  private readRecent(number: number): GitObject {
    const key = String(number);
    const known = this.recent.get(key);
    if (known !== undefined) return known;
    const object = this.objects.read(number);
    this.recent.put(key, object);
    return object;
  }

  private writeWhole({ type, data }: GitObject): void {
    this.output.write(encodeEntryHead(type, data.length));
    this.output.write(deflateSync(data));
  }

  /** A big loose object, inflated and deflated again piece by piece. */
  private async writeStreamed(number: number): Promise<void> {
    const { type, size } = this.objects.header(number);
    const oid = this.objects.table.oid(number);
    const prefix = Buffer.from(objectPrefix(type, size));
    const hash = createHash('sha1');
    let toSkip = prefix.length;
    let seen = 0;
    const inflated = pipeline(this.piecesOf(this.objects.loosePath(number)), createInflate(), ignore);
    const content = async function* (): AsyncGenerator<Buffer> {
      for await (const piece of inflated as AsyncIterable<Buffer>) {
        hash.update(piece);
        seen += piece.length;
        const rest = piece.subarray(Math.min(toSkip, piece.length));
        toSkip -= piece.length - rest.length;
        if (rest.length > 0) yield rest;
      }
    };
    this.output.write(encodeEntryHead(type, size));
    try {
      const deflated = pipeline(Readable.from(content(), { objectMode: false }), createDeflate(), ignore);
      for await (const piece of deflated as AsyncIterable<Buffer>) this.output.write(piece);
    } catch (error) {
      if (isErrno(error, 'Z_DATA_ERROR', 'Z_BUF_ERROR')) throw damagedLoose(oid, error);
      throw error;
    }
    if (seen !== prefix.length + size || hash.digest('hex') !== oid) throw damagedLoose(oid);
  }

  private piecesOf(path: string): Readable {
    const { disk } = this.objects;
    const pieces = function* (): Generator<Buffer> {
      const descriptor = disk.openSync(path, 'r');
      try {
        for (;;) {
          const buffer = Buffer.allocUnsafe(READ_BYTES);
          const got = disk.readSync(descriptor, buffer, 0, READ_BYTES, null);
          if (got === 0) return;
          yield buffer.subarray(0, got);
        }
      } finally {
        disk.closeSync(descriptor);
      }
    };
    return Readable.from(pieces(), { objectMode: false });
  }
}

/** An error reaches whoever reads the last of the streams. */
const ignore = (): void => undefined;

function damagedLoose(oid: string, cause?: unknown): KbError {
  return new KbError('E_CORRUPT', `loose object ${oid} is damaged`, {
    hint: 'fetch it again, or remove the file and restore it from another clone; look with: git fsck',
    details: { oid },
    cause,
  });
}
