import crypto, { createHash, randomBytes, type Hash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { asStorageError, removeFile, syncDirectory, writeFully } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { KbError } from '../../errors.js';
import type { Oid } from '../ids.js';
import { atOnce, type Steps } from '../steps.js';
import { verifyCommit, verifyTag } from './commit.js';
import { crc32 } from './crc32.js';
import { applyDelta, sizeOfResult } from './delta.js';
import { createInflater } from './inflate.js';
import type { ObjectLimits } from './limits.js';
import {
  hashObject,
  objectPrefix,
  type GitObject,
  type LargeBlob,
  type ObjectSource,
  type ObjectType,
} from './object.js';
import { makeObjectRing, MADE, type ObjectRing } from './object-ring.js';
import { PackBytes } from './pack-bytes.js';
import { encodeEntryHead, EntryHead, PACK_TYPES, REF_DELTA, TYPE_NUMBERS } from './pack-entry.js';
import { encodePackIndex, readAt } from './pack-index.js';
import { PackTable } from './pack-table.js';
import { RecentObjects } from './recent-objects.js';
import type { SettledObjects, SettlingThread } from './settling-thread.js';
import { verifyTree } from './tree.js';

export interface ReceiveProgress {
  /** `indexing`: all bytes are here, and deltas whose base came after them are resolved. */
  readonly phase: 'receiving' | 'indexing';
  /** Received; while indexing: resolved. */
  readonly objects: number;
  readonly total: number;
  readonly bytes: number;
  /** What the blobs received so far have inflated, by their own word; without those that came as deltas. Bytes. */
  readonly blobBytes: number;
}

export interface ReceiveOptions {
  /** Before each piece is written: its size, and what was written before, bytes. What it throws ends the reception. */
  readonly beforeWrite?: (bytes: number, received: number) => void;
  /** After each piece. What it throws ends the reception, as any other error does. */
  readonly onProgress?: (progress: ReceiveProgress) => void;
  /**
   * Each object as soon as it is whole, checked and named, in the pack's order but for deltas that had to wait; not
   * blobs over 1 MiB, which are never held. The data is only valid during the call; `total` is what the pack says of
   * itself. What it throws ends the reception.
   */
  readonly onObject?: (oid: Oid, type: ObjectType, data: Buffer, total: number) => void;
  /**
   * Before a blob over 1 MiB comes, of so many bytes by its own word: who takes it. What that one throws ends the
   * reception.
   */
  readonly onLargeBlob?: (size: number) => LargeBlob | undefined;
  /** A pack with fewer objects is unpacked into loose ones, as git does (`fetch.unpackLimit`). Default 100. */
  readonly keepLooseUnder?: number;
  /** Objects that would become loose ones, up to 1 MiB of them, wait in memory until the store's `storeHeld`. */
  readonly storesLate?: boolean;
  /**
   * The pack came from a remote that has promised what its objects refer to and is not here: it is kept as a pack, and
   * marked as git marks it, with this text (`.promisor`).
   */
  readonly promisor?: string;
  /**
   * Starts a second thread for a pack of so many objects that it is worth it. Not together with `onObject`, which is told
   * of each object in its turn.
   */
  readonly secondThread?: {
    readonly fromObjects: number;
    readonly start: (settled: SettledObjects) => SettlingThread | undefined;
  };
}

export interface ReceivedPack {
  readonly objectCount: number;
  /** Bytes of the largest object, inflated. */
  readonly largestBytes: number;
  /** The ids, when there are at most a thousand. */
  readonly oids?: Oid[];
}

/**
 * Takes a pack piece by piece. After any error its temporary file is gone and nothing has become visible.
 */
export interface PackReceiver {
  /** @throws KbError E_CORRUPT | E_STORAGE */
  write(chunk: Uint8Array): void;
  /** @throws KbError E_CORRUPT | E_STORAGE */
  finish(): ReceivedPack;
  /** As `finish`, with pauses where the caller likes. */
  finishInSteps(): Steps<ReceivedPack>;
  /** Gives up; harmless after `finish` and twice. */
  abort(): void;
}

/** What the receiver needs of the store that it fills. */
export interface ReceivingStore extends ObjectSource {
  readonly limits: ObjectLimits;
  header(oid: Oid): { readonly type: ObjectType; readonly size: number } | undefined;
  writeAllLoose(objects: Iterable<{ readonly oid: Oid; readonly type: ObjectType; readonly data: Uint8Array }>): void;
  holdLoose(object: { readonly oid: Oid } & GitObject): void;
  readonly heldBytes: number;
  storeHeld(): void;
  refresh(): void;
}

export function receivePack(
  disk: Disk,
  objectsDirectory: string,
  store: ReceivingStore,
  options: ReceiveOptions,
): PackReceiver {
  return new StreamingReceiver(disk, objectsDirectory, store, options);
}

const HEADER_BYTES = 12;
const CHECKSUM_BYTES = 20;
/** Blobs over this are hashed on the way and not held. */
const STREAM_BYTES = 1024 * 1024;
/** Objects seen lately, as bases of the deltas that follow: most deltas are resolved when they arrive. */
const RECENT_BYTES = 32 * 1024 * 1024;
const RECENT_LARGE_BYTES = 12 * 1024 * 1024;
/** A delta up to this size is inflated into memory that the next one uses again. */
const SMALL_DELTA_BYTES = 64 * 1024;
/** Inflated deltas kept because their base had gone from the recent ones. */
const WAITING_BYTES = 16 * 1024 * 1024;
/** Objects on the way down one delta chain. */
const CHAIN_BYTES = 64 * 1024 * 1024;
/** A pack over this, or with files of more in all, is kept as it is, however few objects it has. */
const LOOSE_PACK_BYTES = 32 * 1024 * 1024;
/** Of a pack that is unpacked, what may wait in memory, inflated. */
const HELD_BYTES = 1024 * 1024;
const FEW_OIDS = 1000;
const TELL_EVERY = 256;
const JOINED_BYTES = 256 * 1024;

/** What is larger in the pack is no job for a second thread, nor what a delta makes over the other limit. */
const MOST_SENT_BYTES = 32 * 1024;
const MOST_MADE_BYTES = 256 * 1024;

type State = 'header' | 'head' | 'data' | 'checksum' | 'complete' | 'closed';

/** One step on the way from a whole object down to the deltas that wait for it. */
interface ChainStep {
  readonly index: number;
  /** Let go when the chain grows too heavy; made again from the steps above when needed. */
  object: GitObject | undefined;
  readonly children: readonly number[];
  next: number;
}

/**
 * Writes the pack into `objects/pack/tmp_pack_…` (a name that `git prune` sweeps) while it parses it:
 * each object is inflated, hashed and checked as it arrives; deltas whose base is no longer at hand wait for
 * `finish`, which reads bases back from the file.
 * Source of the format: gitformat-pack, "pack-*.pack files have the following format".
 */
class StreamingReceiver implements PackReceiver, SettledObjects {
  private state: State = 'header';
  private readonly temporary: string;
  private readonly packDirectory: string;
  private descriptor: number | undefined;
  private readonly limits: ObjectLimits;
  private readonly inflater = createInflater();
  private readonly checksum = createHash('sha1');
  private recent = new RecentObjects(0, RECENT_BYTES, RECENT_LARGE_BYTES);
  private smallDelta: Buffer | undefined;
  private readonly table = new PackTable();
  private readonly waitingDeltas = new Map<number, Buffer>();
  private waitingBytes = 0;
  private blobBytes = 0;
  private largestBytes = 0;

  private total = 0;
  /** Bytes received; and how many of them are parsed. */
  private received = 0;
  private parsed = 0;
  private pending: Buffer = Buffer.alloc(0);
  /** For joining pieces: nearly every one ends within an entry, and a new buffer each time is a second pack of garbage. */
  private joined: Buffer | undefined;
  private readonly head = new EntryHead();
  private entryAt = 0;
  private entryCrc = 0;
  private blobHash: Hash | undefined;
  private largeBlob: LargeBlob | undefined;
  private bytes: PackBytes | undefined;
  private thread: SettlingThread | undefined;
  /** What stays here beside a thread, so that both do the same in the same way; and where it is inflated. */
  private ring: ObjectRing | undefined;
  private smallEntry: Buffer = Buffer.alloc(0);
  private isForRing = false;
  /** Where in the thread's memory the open entry is inflated; -1: it stays here. */
  private sendAt = -1;
  /** Of the open entry, a delta: the number of its base, or -1. */
  private entryBase = -1;
  /** What the thread did not make, of whole objects; and what it did not check, of deltas. */
  private readonly unmadeWholes: number[] = [];
  private readonly uncheckedDeltas: number[] = [];

  constructor(
    private readonly disk: Disk,
    objectsDirectory: string,
    private readonly store: ReceivingStore,
    private readonly options: ReceiveOptions,
  ) {
    this.limits = store.limits;
    this.packDirectory = `${objectsDirectory}/pack`;
    this.temporary = `${this.packDirectory}/tmp_pack_kb${randomBytes(8).toString('hex')}`;
  }

  write(chunk: Uint8Array): void {
    this.orAbort(() => {
      if (this.state === 'closed') throw new KbError('E_INTERNAL', 'a pack was written to after its end');
      const input = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      this.received += input.length;
      if (this.received > this.limits.maxPackBytes)
        throw damaged(`it is over the limit of ${this.limits.maxPackBytes} bytes`);
      this.options.beforeWrite?.(input.length, this.received - input.length);
      writeFully(this.disk, this.open(), input);
      this.parse(this.withPending(input), false);
      if (this.sendAt < 0) this.thread?.turn();
      this.tell('receiving', this.table.count);
    });
  }

  finish(): ReceivedPack {
    return atOnce(this.finishInSteps());
  }

  *finishInSteps(): Steps<ReceivedPack> {
    try {
      return yield* this.complete();
    } catch (error) {
      throw this.aborted(error);
    }
  }

  private *complete(): Steps<ReceivedPack> {
    if (this.state !== 'complete') this.parse(this.pending, true);
    if (this.state !== 'complete') throw damaged(`it is cut off after ${this.received} bytes`);
    const { table } = this;
    const objectCount = table.count;
    const descriptor = this.open();
    this.bytes = new PackBytes(this.disk, descriptor, this.received, this.temporary, this.limits, this.inflater);
    yield* this.finishSent();
    yield* this.resolveWaiting();
    yield* this.completeThin();
    // a pack without objects has nothing to publish
    const loose =
      objectCount === 0 ||
      (this.options.promisor === undefined &&
        objectCount < (this.options.keepLooseUnder ?? 100) &&
        Math.max(this.received, this.blobBytes) <= LOOSE_PACK_BYTES);
    const oids =
      objectCount > FEW_OIDS ? undefined : Array.from({ length: objectCount }, (_, index) => table.oid(index));
    if (loose) {
      this.unpack(objectCount);
      this.abort();
    } else {
      // also refuses a pack in which an object comes twice
      const trailer = this.sealPack(descriptor, objectCount);
      const index = encodePackIndex(table, trailer);
      this.store.storeHeld();
      this.publish(descriptor, trailer, index);
      this.abort();
      this.store.refresh();
    }
    return { objectCount, largestBytes: this.largestBytes, ...(oids === undefined ? {} : { oids }) };
  }

  abort(): void {
    this.state = 'closed';
    this.pending = Buffer.alloc(0);
    this.recent.clear();
    this.thread?.close();
    this.waitingDeltas.clear();
    if (this.descriptor === undefined) return;
    const { descriptor } = this;
    this.descriptor = undefined;
    this.disk.closeSync(descriptor);
    removeFile(this.disk, this.temporary);
  }

  private orAbort<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.aborted(error);
    }
  }

  /** @returns the error to throw: the first one says what went wrong */
  private aborted(error: unknown): unknown {
    try {
      this.abort();
    } catch {
      // what cannot be removed is swept by its name later
    }
    return asStorageError(error, 'store received objects');
  }

  private tell(phase: ReceiveProgress['phase'], objects: number): void {
    const { total, received: bytes, blobBytes } = this;
    this.options.onProgress?.({ phase, objects, total, bytes, blobBytes });
  }

  private open(): number {
    if (this.descriptor === undefined) {
      this.disk.mkdirSync(this.packDirectory, { recursive: true });
      this.descriptor = this.disk.openSync(this.temporary, 'wx+', 0o444);
    }
    return this.descriptor;
  }

  /** What was left over, and the input, in one piece; valid until the next call. */
  private withPending(input: Buffer): Buffer {
    const { pending } = this;
    if (pending.length === 0) return input;
    const length = pending.length + input.length;
    if (length > JOINED_BYTES) return Buffer.concat([pending, input]);
    this.joined ??= Buffer.allocUnsafeSlow(JOINED_BYTES);
    pending.copy(this.joined);
    input.copy(this.joined, pending.length);
    return this.joined.subarray(0, length);
  }

  /** Goes as far as the input allows; what is left of it waits for more. */
  private parse(input: Buffer, final: boolean): void {
    let at = 0;
    // where this input's share of the open entry, and of the checksum, begins
    let crcFrom = 0;
    const end = input.length;
    const { head, inflater } = this;
    parsing: for (;;) {
      switch (this.state) {
        case 'header':
          if (end - at < HEADER_BYTES) break parsing;
          this.total = this.readHeader(input);
          this.recent = new RecentObjects(this.total, RECENT_BYTES, RECENT_LARGE_BYTES);
          at = HEADER_BYTES;
          this.state = this.total === 0 ? 'checksum' : 'head';
          break;
        case 'head':
          if (!head.read(input, at, end)) break parsing;
          crcFrom = at;
          this.entryAt = this.parsed + at;
          this.entryCrc = 0;
          at += head.length;
          this.beginEntry();
          this.state = 'data';
          break;
        case 'data':
          at += inflater.push(input, at, end, final);
          if (!inflater.done) break parsing;
          this.entryCrc = crc32(input.subarray(crcFrom, at), this.entryCrc);
          this.endEntry();
          this.state = this.table.count === this.total ? 'checksum' : 'head';
          break;
        case 'checksum': {
          if (end - at < CHECKSUM_BYTES) break parsing;
          if (end - at > CHECKSUM_BYTES) throw damaged('something stands behind its end');
          this.checksum.update(input.subarray(0, at));
          const trailer = this.checksum.digest();
          if (trailer.compare(input, at, end) !== 0) throw damaged('its checksum does not fit');
          this.pending = Buffer.alloc(0);
          this.state = 'complete';
          return;
        }
        case 'complete':
          if (end > at) throw damaged('something stands behind its end');
          return;
        case 'closed':
          return;
      }
    }
    if (this.state === 'data') this.entryCrc = crc32(input.subarray(crcFrom, at), this.entryCrc);
    this.checksum.update(input.subarray(0, at));
    this.parsed += at;
    // copied: the caller may use its buffer again
    this.pending = Buffer.from(input.subarray(at));
  }

  private readHeader(input: Buffer): number {
    if (input.toString('latin1', 0, 4) !== 'PACK') throw damaged('it does not begin with PACK');
    const version = input.readUInt32BE(4);
    if (version !== 2 && version !== 3) throw damaged(`version ${version} is unknown`);
    const total = input.readUInt32BE(8);
    if (total > this.limits.maxPackObjects)
      throw damaged(`${total} objects are over the limit of ${this.limits.maxPackObjects}`);
    const { secondThread, onObject } = this.options;
    if (secondThread !== undefined && onObject === undefined && total >= secondThread.fromObjects)
      this.shareWith(secondThread.start(this));
    return total;
  }

  private shareWith(thread: SettlingThread | undefined): void {
    if (thread === undefined) return;
    this.thread = thread;
    this.ring = makeObjectRing(crypto, RECENT_BYTES, MOST_MADE_BYTES);
    this.smallEntry = Buffer.allocUnsafeSlow(MOST_SENT_BYTES + 1);
  }

  private beginEntry(): void {
    const { head } = this;
    const type = PACK_TYPES[head.type];
    const { maxDeltaBytes, maxObjectBytes, maxStructuredBytes } = this.limits;
    const limit = type === undefined ? maxDeltaBytes : type === 'blob' ? maxObjectBytes : maxStructuredBytes;
    if (head.size > limit) throw tooLarge(head.size, limit);
    if (type === 'blob') this.blobBytes += head.size;
    if (head.size > this.largestBytes) this.largestBytes = head.size;
    this.blobHash = undefined;
    if (type === undefined) this.entryBase = this.findBase();
    this.sendAt = this.roomToSend(type);
    this.isForRing = this.sendAt < 0 && this.goesToRing(type);
    if (this.sendAt >= 0) {
      this.inflater.begin(head.size, undefined, (this.thread as SettlingThread).memory, this.sendAt);
    } else if (this.isForRing) {
      this.inflater.begin(head.size, undefined, this.smallEntry);
    } else if (type === 'blob' && head.size > STREAM_BYTES) {
      const hash = createHash('sha1').update(objectPrefix('blob', head.size));
      this.blobHash = hash;
      const taker = (this.largeBlob = this.options.onLargeBlob?.(head.size));
      this.inflater.begin(head.size, (piece) => {
        hash.update(piece);
        taker?.write(piece);
      });
    } else {
      this.inflater.begin(head.size, undefined, this.roomFor(type, head.size));
    }
  }

  /** @returns the number of the object that the open entry is a delta of; -1: it is named by its id */
  private findBase(): number {
    const { head, table } = this;
    if (head.type === REF_DELTA) return -1;
    const base =
      head.distance === 0 || head.distance > this.entryAt - HEADER_BYTES
        ? -1
        : table.indexAt(this.entryAt - head.distance);
    if (base < 0) throw damaged('a delta names a base outside the pack');
    return base;
  }

  /**
   * Who gets the open entry: a delta goes where its base went. Commits stay here, where they are done while the thread
   * starts. Trees are sent, unless the thread is far behind; blobs, which come after them, go to whoever has time.
   * @returns where it is to be inflated; -1: it stays here
   */
  private roomToSend(type: ObjectType | undefined): number {
    const { thread, table, head, entryBase } = this;
    if (thread === undefined || thread.isLost || head.size > MOST_SENT_BYTES) return -1;
    const isSent =
      type === undefined
        ? entryBase >= 0 && table.isSent(entryBase) && table.isResolved(entryBase)
        : (type === 'tree' && !thread.isFarBehind) || (type === 'blob' && thread.hasTime);
    return isSent ? thread.room(head.size) : -1;
  }

  private goesToRing(type: ObjectType | undefined): boolean {
    const { ring, table, head, entryBase } = this;
    if (ring === undefined || head.size > MOST_SENT_BYTES) return false;
    if (type !== undefined) return type !== 'tag';
    return entryBase >= 0 && !table.isSent(entryBase) && table.isResolved(entryBase) && !this.recent.has(entryBase);
  }

  /** One byte more than the object: see `Inflater.begin`. */
  private roomFor(type: ObjectType | undefined, size: number): Buffer {
    if (type !== undefined) return this.recent.room(size + 1);
    if (size >= SMALL_DELTA_BYTES) return Buffer.allocUnsafeSlow(size + 1);
    return (this.smallDelta ??= Buffer.allocUnsafeSlow(SMALL_DELTA_BYTES)).subarray(0, size + 1);
  }

  private endEntry(): void {
    const { head, table } = this;
    const index = table.add(this.entryAt, this.entryCrc);
    const type = PACK_TYPES[head.type];
    if (this.sendAt >= 0) {
      this.send(index, type);
    } else if (this.isForRing) {
      this.settleInRing(index, type);
    } else if (this.blobHash !== undefined) {
      const oid = this.blobHash.digest('hex') as Oid;
      table.resolve(index, TYPE_NUMBERS.blob, oid);
      this.largeBlob?.end(oid);
    } else if (type !== undefined) {
      this.settle(index, { type, data: this.inflater.take() });
    } else {
      this.endDelta(index, this.inflater.take());
    }
  }

  private endDelta(index: number, delta: Buffer): void {
    const { head, table, entryBase: base } = this;
    if (head.type === REF_DELTA) {
      table.awaitId(index, head.base as Buffer);
    } else {
      table.setBase(index, base);
      if (table.isResolved(base) && this.recent.has(base) && this.settleOnRecent(index, base, delta)) return;
    }
    this.keepDelta(index, delta);
  }

  /** The head of a delta is checked in any case; its data is read again where there was no room to keep it. */
  private keepDelta(index: number, delta: Buffer): void {
    if (this.waitingBytes + delta.length > WAITING_BYTES) return;
    this.waitingBytes += delta.length;
    this.waitingDeltas.set(index, Buffer.from(delta));
  }

  private send(index: number, type: ObjectType | undefined): void {
    const { head, table, sendAt: at, entryBase: base } = this;
    const thread = this.thread as SettlingThread;
    this.sendAt = -1;
    this.inflater.takeInto(thread.memory, at);
    if (type !== undefined) {
      thread.add(index, head.type, -1, head.size);
      table.send(index, head.type);
      return;
    }
    table.setBase(index, base);
    // Its base may have been taken back while it came in.
    const isMadeThere =
      table.isResolved(base) &&
      this.sizeOfResult(table.type(base), thread.memory, at, at + head.size) <= MOST_MADE_BYTES;
    if (!isMadeThere) return this.keepDelta(index, thread.memory.subarray(at, at + head.size));
    this.deepen(index);
    thread.add(index, table.typeNumber(base), base, head.size);
    table.send(index, table.typeNumber(base));
  }

  private settleInRing(index: number, type: ObjectType | undefined): void {
    const { head, table, entryBase: base, smallEntry: data } = this;
    const ring = this.ring as ObjectRing;
    this.isForRing = false;
    this.inflater.takeInto(data, 0);
    let number = head.type;
    let made: number = MADE.unmade;
    if (type !== undefined) {
      made = ring.whole(index, number, data, 0, head.size, table.ids, index * 20);
    } else {
      number = table.typeNumber(base);
      table.setBase(index, base);
      if (this.sizeOfResult(table.type(base), data, 0, head.size) <= MOST_MADE_BYTES) {
        this.deepen(index);
        made = ring.delta(index, number, base, data, 0, head.size, table.ids, index * 20);
      }
    }
    if (made === MADE.unmade) return this.keepDelta(index, data.subarray(0, head.size));
    table.resolveNamed(index, number);
    if (made === MADE.named) return;
    if (type === undefined) this.uncheckedDeltas.push(index);
    else verify({ type, data: data.subarray(0, head.size) }, table.oid(index));
  }

  named(index: number, words: Uint32Array, at: number): void {
    this.table.name(index, words, at);
  }

  unchecked(index: number, data: Buffer): void {
    const { table } = this;
    if (table.base(index) < 0) verify({ type: table.type(index), data }, table.oid(index));
    else this.uncheckedDeltas.push(index);
  }

  unmade(index: number, data: Buffer): void {
    const { table } = this;
    table.unresolve(index);
    if (table.base(index) < 0) this.unmadeWholes.push(index);
    else this.keepDelta(index, data);
  }

  /** What the second thread was given: all that it did not do is done here, from the pack. */
  private *finishSent(): Steps<void> {
    const { thread, table } = this;
    if (thread === undefined) return;
    yield* thread.finish();
    for (const index of this.unmadeWholes) {
      this.settle(index, this.readEntry(index));
      yield;
    }
    for (const index of this.uncheckedDeltas) {
      verify(this.readEntry(index), table.oid(index));
      yield;
    }
  }

  /** @returns false when the base had to make room for what would be made of it */
  private settleOnRecent(index: number, base: number, delta: Buffer): boolean {
    const type = this.table.type(base);
    const size = this.sizeOfResult(type, delta);
    // Before the base is looked up: making room may overwrite it.
    const room = this.recent.room(size);
    const data = this.recent.get(base);
    if (data === undefined) return false;
    this.settleDelta(index, { type, data }, delta, size, room);
    return true;
  }

  /** @throws KbError E_CORRUPT when it is over the limit */
  private sizeOfResult(type: ObjectType, delta: Buffer, from = 0, to = delta.length): number {
    const limit = type === 'blob' ? this.limits.maxDeltaBytes : this.limits.maxStructuredBytes;
    const resultSize = sizeOfResult(delta, from, to);
    if (resultSize > limit) throw tooLarge(resultSize, limit);
    if (resultSize > this.largestBytes) this.largestBytes = resultSize;
    return resultSize;
  }

  /** @param resultSize from `sizeOfResult` @param room for the object, where there is some */
  private settleDelta(index: number, base: GitObject, delta: Buffer, resultSize: number, room?: Buffer): GitObject {
    const object = { type: base.type, data: applyDelta(base.data, delta, resultSize, room) };
    this.deepen(index);
    this.settle(index, object);
    return object;
  }

  private deepen(index: number): void {
    if (this.table.deepen(index) > this.limits.maxDeltaDepth)
      throw damaged(`a delta chain is longer than ${this.limits.maxDeltaDepth}`);
  }

  /** Checks and names an object, once its bytes are known. */
  private settle(index: number, object: GitObject): void {
    const oid = hashObject(object.type, object.data);
    verify(object, oid);
    this.table.resolve(index, TYPE_NUMBERS[object.type], oid);
    // What was resolved in the end came before these, and its base is held until it is done.
    if (this.bytes === undefined) this.recent.keep(index, object.data);
    this.options.onObject?.(oid, object.type, object.data, this.total);
  }

  /** Resolves what waits for a base that is in the pack, from each such base down. */
  private *resolveWaiting(): Steps<void> {
    const { table } = this;
    for (const base of table.basesWaitedFor()) {
      if (table.isResolved(base)) yield* this.resolveBelow(base, undefined);
    }
  }

  private *resolveBelow(root: number, rootObject: GitObject | undefined): Steps<void> {
    const { table } = this;
    const steps: ChainStep[] = [{ index: root, object: rootObject, children: table.takeWaiting(root), next: 0 }];
    let held = rootObject?.data.length ?? 0;
    while (steps.length > 0) {
      const top = steps[steps.length - 1] as ChainStep;
      const child = top.children[top.next++];
      if (child === undefined) {
        steps.pop();
        held -= top.object?.data.length ?? 0;
        continue;
      }
      const before = top.object;
      const base = this.objectOf(steps, steps.length - 1);
      held += before === undefined ? base.data.length : 0;
      const delta = this.deltaOf(child);
      const object = this.settleDelta(child, base, delta, this.sizeOfResult(base.type, delta));
      if (table.unresolved % TELL_EVERY === 0) this.tell('indexing', table.count - table.unresolved);
      yield;
      const children = table.takeWaiting(child);
      if (children.length === 0) continue;
      steps.push({ index: child, object, children, next: 0 });
      held += object.data.length;
      for (const step of steps) {
        if (held <= CHAIN_BYTES) break;
        if (step.index === child || step.object === undefined) continue;
        held -= step.object.data.length;
        step.object = undefined;
      }
    }
  }

  /** The object of a step; where it was let go, made again from the nearest one above that is still held. */
  private objectOf(steps: readonly ChainStep[], place: number): GitObject {
    const step = steps[place] as ChainStep;
    if (step.object !== undefined) return step.object;
    let from = place;
    while (from > 0 && (steps[from] as ChainStep).object === undefined) from--;
    let object = (steps[from] as ChainStep).object ?? this.readEntry((steps[from] as ChainStep).index);
    for (let next = from + 1; next <= place; next++) {
      const { index } = steps[next] as ChainStep;
      object = { type: object.type, data: applyDelta(object.data, this.deltaOf(index), this.limits.maxObjectBytes) };
    }
    step.object = object;
    return object;
  }

  private deltaOf(index: number): Buffer {
    const kept = this.waitingDeltas.get(index);
    if (kept !== undefined) return kept;
    const pack = this.bytes as PackBytes;
    const offset = this.table.offset(index);
    return pack.inflate(offset, pack.head(offset));
  }

  /** While nothing is received any more, so that its bytes stay what they are. */
  private recentObject(index: number): GitObject | undefined {
    const data = this.recent.get(index);
    return data === undefined ? undefined : { type: this.table.type(index), data };
  }

  /** A resolved object, read back from the file: the base of a delta, or one of a small pack. */
  private readEntry(index: number): GitObject {
    const chain: number[] = [];
    let at = index;
    let object = this.recentObject(at);
    while (object === undefined) {
      const base = this.table.base(at);
      if (base < 0) {
        const pack = this.bytes as PackBytes;
        const head = pack.head(this.table.offset(at));
        if (head.size > this.limits.maxDeltaBytes) throw tooLarge(head.size, this.limits.maxDeltaBytes);
        object = { type: PACK_TYPES[head.type] as ObjectType, data: pack.inflate(this.table.offset(at), head) };
        break;
      }
      chain.push(at);
      at = base;
      object = this.recentObject(at);
    }
    for (const step of chain.reverse()) {
      object = { type: object.type, data: applyDelta(object.data, this.deltaOf(step), this.limits.maxObjectBytes) };
    }
    return object;
  }

  /**
   * A thin pack leans on objects that the store has. They are put behind its own, because a pack on disk must
   * stand alone: whoever repacks the other one would break this one.
   */
  private *completeThin(): Steps<void> {
    const { table } = this;
    for (const id of table.idsWaitedFor()) {
      if (!table.isWaitedFor(id)) continue;
      const size = this.store.header(id)?.size ?? 0;
      if (size > this.limits.maxDeltaBytes) throw tooLarge(size, this.limits.maxDeltaBytes);
      const object = this.store.find(id);
      if (object === undefined) throw damaged(`a delta's base ${id} is neither in it nor here`);
      yield* this.resolveBelow(this.append(id, object), object);
    }
    if (table.unresolved > 0) throw damaged(`${table.unresolved} deltas lead to no whole object`);
  }

  private append(id: Oid, object: GitObject): number {
    const entry = Buffer.concat([encodeEntryHead(object.type, object.data.length), deflateSync(object.data)]);
    // with room for the checksum: an inflater knows the end of an entry by what follows it
    const bytes = Buffer.concat([entry, Buffer.alloc(CHECKSUM_BYTES)]);
    // the first one overwrites the old checksum, which `sealPack` makes anew
    const offset = this.table.appended === 0 ? this.received - CHECKSUM_BYTES : this.received;
    const descriptor = this.open();
    for (let done = 0; done < bytes.length;)
      done += this.disk.writeSync(descriptor, bytes, done, bytes.length - done, offset + done);
    this.received = offset + entry.length;
    (this.bytes as PackBytes).size = offset + bytes.length;
    return this.table.append(offset, crc32(entry, 0), TYPE_NUMBERS[object.type], id);
  }

  /** @returns the pack's checksum, after making it (and the object count) right where objects were appended */
  private sealPack(descriptor: number, objectCount: number): Buffer {
    const { disk, table } = this;
    if (table.appended === 0)
      return Buffer.from(readAt(disk, descriptor, this.received - CHECKSUM_BYTES, CHECKSUM_BYTES));
    const count = Buffer.alloc(4);
    count.writeUInt32BE(objectCount + table.appended);
    disk.writeSync(descriptor, count, 0, 4, 8);
    const hash = createHash('sha1');
    const piece = Buffer.allocUnsafe(256 * 1024);
    for (let at = 0; at < this.received; at += piece.length) {
      hash.update(
        readAt(
          disk,
          descriptor,
          at,
          Math.min(piece.length, this.received - at),
          piece.subarray(0, Math.min(piece.length, this.received - at)),
        ),
      );
    }
    const trailer = hash.digest();
    for (let done = 0; done < trailer.length;) {
      done += disk.writeSync(descriptor, trailer, done, trailer.length - done, this.received + done);
    }
    this.received += CHECKSUM_BYTES;
    return trailer;
  }

  private unpack(objectCount: number): void {
    const { table } = this;
    const seen = new Set<Oid>();
    const read = (index: number): { readonly oid: Oid } & GitObject => {
      const oid = table.oid(index);
      if (seen.has(oid)) throw twice(oid);
      seen.add(oid);
      return { oid, ...this.readEntry(index) };
    };
    const objects = (function* () {
      for (let index = 0; index < objectCount; index++) yield read(index);
    })();
    if (this.options.storesLate !== true) return this.store.writeAllLoose(objects);
    for (const object of objects) {
      this.store.holdLoose(object);
      if (this.store.heldBytes > HELD_BYTES) this.store.storeHeld();
    }
  }

  /** In its place at once: that the file is there is all that counts, and without its pack it means nothing. */
  private mark(path: string, text: string): void {
    const descriptor = this.disk.openSync(path, 'w');
    try {
      writeFully(this.disk, descriptor, Buffer.from(text));
      this.disk.fsyncSync(descriptor);
    } finally {
      this.disk.closeSync(descriptor);
    }
  }

  /** Pack first, index last: an index is what makes a pack visible. */
  private publish(descriptor: number, trailer: Buffer, index: Buffer): void {
    const { disk } = this;
    const name = `${this.packDirectory}/pack-${trailer.toString('hex')}`;
    const temporaryIndex = `${this.packDirectory}/tmp_idx_kb${randomBytes(8).toString('hex')}`;
    disk.fsyncSync(descriptor);
    const indexDescriptor = disk.openSync(temporaryIndex, 'wx', 0o444);
    try {
      try {
        writeFully(disk, indexDescriptor, index);
        disk.fsyncSync(indexDescriptor);
      } finally {
        disk.closeSync(indexDescriptor);
      }
      // Before the pack can be seen: without its mark what it refers to would count as lost.
      const { promisor } = this.options;
      if (promisor !== undefined) this.mark(`${name}.promisor`, promisor);
      disk.renameSync(this.temporary, `${name}.pack`);
      disk.renameSync(temporaryIndex, `${name}.idx`);
    } catch (error) {
      removeFile(disk, temporaryIndex);
      throw error;
    }
    syncDirectory(disk, this.packDirectory);
  }
}

/** @throws KbError E_CORRUPT when native git would find it damaged */
function verify({ type, data }: GitObject, oid: Oid): void {
  try {
    if (type === 'tree') verifyTree(data);
    else if (type === 'commit') verifyCommit(data);
    else if (type === 'tag') verifyTag(data);
  } catch (error) {
    if (!(error instanceof KbError)) throw error;
    throw new KbError('E_CORRUPT', `the pack holds a bad ${type} ${oid}: ${error.message}`, {
      cause: error,
      details: { oid },
    });
  }
}

function tooLarge(bytes: number, limit: number): KbError {
  return new KbError(
    'E_CORRUPT',
    `the pack received is refused: an object of ${bytes} bytes is over kb's limit of ${limit}`,
    {
      hint: 'have the file taken out of the remote, history included: kb holds no files of that size',
      details: { bytes, limit },
    },
  );
}

function twice(oid: Oid): KbError {
  return new KbError('E_CORRUPT', `a pack holds the object ${oid} twice`);
}

function damaged(why: string): KbError {
  return new KbError('E_CORRUPT', `the pack received is damaged: ${why}`, {
    hint: 'run the same command again; if it stays, check the remote with: git fsck',
  });
}
