import { createHash, type Hash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { OPEN_PLAINLY, type Disk } from '../disk/disk.js';
import {
  isErrno,
  removeFile,
  removeTemporaryFiles,
  syncDirectory,
  temporaryName,
  writeFully,
} from '../disk/durable.js';
import { KbError } from '../errors.js';
import { isLfsOid, type LfsObject, type LfsOid } from './pointer.js';

/** One read or write call moves so much: the memory for a file of any size, bytes. */
const PIECE_BYTES = 1024 * 1024;
/** In the names of files that are half written. */
const HINT = 'lfs';

/** Looks after the volume while contents come in. */
export interface IncomingWatch {
  /**
   * @param done bytes written so far @param soon bytes that are promised and still to come
   * @throws KbError E_STORAGE when they would fill the volume
   */
  follow(done: number, soon: number): void;
}

/**
 * The large files that are here: `objects/aa/bb/OID` below `.git/lfs`, where git-lfs keeps them too, so both share them.
 *
 * Invariant: a file under its final name holds the content that its name says: it is written beside its place, hashed
 * as it is written, and renamed only when hash and size are right. (test: "a content that is not what was promised")
 */
export class LfsStore {
  /** Of all contents on their way in, together. */
  private readonly coming = { done: 0, soon: 0 };

  constructor(
    private readonly disk: Disk,
    /** `.git/lfs`, or what `lfs.storage` names. Absolute. */
    readonly directory: string,
    /** It is another repository's: nothing that lies there is touched. */
    private readonly isForeign = false,
    private readonly watch?: IncomingWatch,
  ) {}

  /** Nothing was ever stored here. */
  get isAbsent(): boolean {
    return this.disk.lstatSync(join(this.directory, 'objects'), { throwIfNoEntry: false }) === undefined;
  }

  pathOf(oid: LfsOid): string {
    return join(this.directory, 'objects', oid.slice(0, 2), oid.slice(2, 4), oid);
  }

  /** Whether it is here, by its size: what it holds is proved when it is copied. The empty content is everywhere. */
  has({ oid, size }: LfsObject): boolean {
    if (size === 0) return true;
    const stats = this.disk.lstatSync(this.pathOf(oid), { throwIfNoEntry: false });
    return stats?.isFile() === true && stats.size === size;
  }

  /**
   * Passes the content on, piece by piece, each valid only during the call.
   * @throws KbError E_CORRUPT as `proved`
   */
  copy(object: LfsObject, write: (piece: Buffer) => void): void {
    for (const piece of this.proved(object)) write(piece);
  }

  /**
   * The content, piece by piece, proved at its end. The last piece comes before the proof, so that whoever passes it on
   * must hold it back until then.
   * @param isKept each piece is a buffer of its own; otherwise it is valid only until the next
   * @throws KbError E_CORRUPT when it is not here, or another one: then it is put aside (`bad/`, as `git lfs fsck`
   *   does), so that the next look finds it missing and fetches it
   */
  *proved(object: LfsObject, isKept = false): Generator<Buffer> {
    const { oid } = object;
    if (object.size === 0) return;
    let descriptor: number;
    try {
      descriptor = this.disk.openSync(this.pathOf(oid), OPEN_PLAINLY);
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error;
      throw new KbError('E_CORRUPT', `the large file ${oid} is not here`, { cause: error, details: { oid } });
    }
    const hash = createHash('sha256');
    let size = 0;
    try {
      for (const piece of readPieces(this.disk, descriptor, isKept)) {
        hash.update(piece);
        size += piece.length;
        yield piece;
      }
    } finally {
      this.disk.closeSync(descriptor);
    }
    if (size === object.size && hash.digest('hex') === oid) return;
    throw this.damaged(oid);
  }

  /**
   * Takes a content in.
   * @param expected what it must be; undefined: whatever it is
   * @throws KbError E_STORAGE as the watch
   */
  receive(expected?: LfsObject): Incoming {
    const directory = join(this.directory, 'tmp');
    this.disk.mkdirSync(directory, { recursive: true });
    const count = (done: number, soon: number): void => {
      this.coming.done += done;
      this.coming.soon += soon;
      if (done + soon >= 0) this.watch?.follow(this.coming.done, this.coming.soon);
    };
    return new Incoming(this.disk, this, join(directory, temporaryName(HINT)), expected, count);
  }

  /**
   * Removes what killed processes left half written. Only for who holds the KB's lock, so that no other kb is at it;
   * git-lfs names its temporary files otherwise.
   */
  sweep(): void {
    removeTemporaryFiles(this.disk, join(this.directory, 'tmp'), HINT);
  }

  private damaged(oid: LfsOid): KbError {
    if (!this.isForeign) this.putAside(oid);
    const what = `the large file ${oid} in ${this.directory} is damaged`;
    return new KbError('E_CORRUPT', this.isForeign ? what : `${what}; it was put aside`, {
      hint: this.isForeign
        ? 'have it mended there: git lfs fsck'
        : 'run the same command again: it is fetched anew where the remote has it',
      details: { oid },
    });
  }

  private putAside(oid: LfsOid): void {
    const bad = join(this.directory, 'bad');
    this.disk.mkdirSync(bad, { recursive: true });
    try {
      this.disk.renameSync(this.pathOf(oid), join(bad, oid));
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
}

/**
 * The rest of an open file in pieces.
 * @param isKept each is a buffer of its own; otherwise they share one
 */
export function* readPieces(disk: Disk, descriptor: number, isKept = false): Generator<Buffer> {
  let buffer = Buffer.allocUnsafe(PIECE_BYTES);
  for (;;) {
    const count = disk.readSync(descriptor, buffer, 0, PIECE_BYTES, null);
    if (count === 0) return;
    yield buffer.subarray(0, count);
    if (isKept) buffer = Buffer.allocUnsafe(PIECE_BYTES);
  }
}

/** A content on its way into the store. End it with `finish` or `abort`. */
export class Incoming {
  private readonly hash: Hash = createHash('sha256');
  private readonly descriptor: number;
  private size = 0;
  private isOpen = true;
  /** What was counted: bytes written, and bytes that are promised and not here. */
  private written = 0;
  private left: number;

  constructor(
    private readonly disk: Disk,
    private readonly store: LfsStore,
    private readonly temporary: string,
    private readonly expected: LfsObject | undefined,
    /** Told what changes: bytes written, bytes still to come. */
    private readonly count: (done: number, soon: number) => void,
  ) {
    this.left = expected?.size ?? 0;
    this.descriptor = disk.openSync(temporary, 'wx', 0o666);
    try {
      count(0, this.left);
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  /** @throws KbError E_NETWORK when it is longer than what was promised; E_STORAGE as the watch; the file system's error */
  write(piece: Uint8Array): void {
    this.size += piece.length;
    if (this.expected !== undefined && this.size > this.expected.size) throw this.isOther('it is longer');
    this.hash.update(piece);
    writeFully(this.disk, this.descriptor, piece);
    const promised = Math.min(this.left, piece.length);
    this.left -= promised;
    this.written += piece.length;
    this.count(piece.length, -promised);
  }

  /**
   * Gives it its name, durably. One that is there already stays.
   * @throws KbError E_NETWORK when the content is not what was promised
   */
  finish(): LfsObject {
    const oid = this.hash.digest('hex');
    if (!isLfsOid(oid)) throw new KbError('E_INTERNAL', 'SHA-256 gave no id');
    const { expected, disk } = this;
    if (expected !== undefined && this.size !== expected.size) throw this.isOther('it is shorter');
    if (expected !== undefined && oid !== expected.oid) throw this.isOther(`its SHA-256 is ${oid}`);
    const object = { oid, size: this.size };
    if (this.store.has(object)) {
      this.abort();
      return object;
    }
    disk.fsyncSync(this.descriptor);
    this.close();
    const path = this.store.pathOf(oid);
    const directory = dirname(path);
    const first = disk.mkdirSync(directory, { recursive: true });
    disk.renameSync(this.temporary, path);
    for (let at = directory; at.length > this.store.directory.length; at = dirname(at)) {
      syncDirectory(disk, at);
      if (first === undefined) break;
    }
    return object;
  }

  /** Nothing happens after `finish`. */
  abort(): void {
    if (this.isOpen) this.count(-this.written, -this.left);
    this.close();
    removeFile(this.disk, this.temporary);
  }

  private close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.disk.closeSync(this.descriptor);
  }

  private isOther(how: string): KbError {
    const { oid } = this.expected ?? {};
    return new KbError('E_NETWORK', `what came for the large file ${oid ?? ''} is something else: ${how}`, {
      retryable: false,
      details: { oid },
      hint: 'tell whoever runs the LFS server; the file stays a pointer until then',
    });
  }
}
