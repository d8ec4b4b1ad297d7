import { kMaxLength } from 'node:buffer';
import { constants, createInflate, inflateSync } from 'node:zlib';
import { KbError } from '../../errors.js';

/**
 * Inflates one zlib stream after the other, each of a known size, from input that comes in pieces and goes on
 * after the stream (in a pack nothing says where a stream ends).
 */
export interface Inflater {
  /**
   * Begins a stream.
   * @param size bytes it must inflate to; Infinity where only the stream itself knows (then with a sink, which
   *   counts and throws when it has had enough)
   * @param sink takes the bytes piece by piece (each piece is only valid during the call); without it they
   *   are gathered and `take` gives them
   * @param into where they may be gathered, from `at` on, with room for one byte more than `size`; `take` then may give
   *   a part of it
   */
  begin(size: number, sink?: (piece: Buffer) => void, into?: Buffer, at?: number): void;
  /**
   * Feeds `input[from, to)`. A stream's end is noticed when a byte after it was offered. Input that was not
   * consumed although the stream is not done must be offered again with more behind it.
   * @param final no more input will come: what is offered must be enough
   * @returns how many bytes were consumed
   * @throws KbError E_CORRUPT
   */
  push(input: Buffer, from: number, to: number, final?: boolean): number;
  readonly done: boolean;
  /** The inflated bytes; the caller owns them (or `into` is). */
  take(): Buffer;
  /** Instead of `take`: puts them there; nothing needs to be done where that is where they were gathered. */
  takeInto(into: Buffer, at: number): void;
}

/** The part of zlib's engine that Node's own streams drive; stable from Node 12 to 24, but not documented. */
interface RawHandle {
  writeSync(
    flush: number,
    input: Buffer,
    inputAt: number,
    inputLength: number,
    output: Buffer,
    outputAt: number,
    outputLength: number,
  ): void;
  reset(): void;
  onerror: (message: string, errno: number, code: string) => void;
}

const PIECE_BYTES = 64 * 1024;

/**
 * One zlib handle, reset for each stream: 6 µs for an object of 2 KB where `inflateSync` (which makes and
 * frees an engine of 40 KB each time) takes 54. It leans on Node's internals, so `createInflater` tries it out
 * first and falls back to `PublicInflater`.
 */
class ReusedInflater implements Inflater {
  done = false;
  private output: Buffer = EMPTY;
  /** In the output: where the stream's bytes begin, where the next one goes, and how far there is room. */
  private start = 0;
  private at = 0;
  private end = 0;
  private size = 0;
  private total = 0;
  private sink: ((piece: Buffer) => void) | undefined;
  private failure: string | undefined;
  private piece: Buffer | undefined;
  // the handle works only as long as the stream object that made it lives
  private readonly engine = createInflate();
  private readonly handle: RawHandle;
  private readonly state: Uint32Array;

  constructor() {
    const inner = this.engine as unknown as { _handle: RawHandle; _writeState: Uint32Array };
    this.handle = inner._handle;
    this.state = inner._writeState;
    this.handle.onerror = (message) => {
      this.failure = message;
    };
  }

  begin(size: number, sink?: (piece: Buffer) => void, into?: Buffer, at = 0): void {
    this.handle.reset();
    this.done = false;
    this.size = size;
    this.total = 0;
    this.start = at;
    this.at = at;
    this.sink = sink;
    // One byte more than must come: zlib then reaches the stream's end, and a longer stream shows itself.
    this.output =
      sink === undefined
        ? (into ?? Buffer.allocUnsafe(size + 1))
        : (this.piece ??= Buffer.allocUnsafeSlow(PIECE_BYTES));
    this.end = sink === undefined ? at + size + 1 : this.output.length;
  }

  push(input: Buffer, from: number, to: number): number {
    let at = from;
    while (!this.done) {
      const room = this.end - this.at;
      const offered = to - at;
      this.handle.writeSync(constants.Z_NO_FLUSH, input, at, offered, this.output, this.at, room);
      const failure = this.takeFailure();
      if (failure !== undefined) throw damaged(failure);
      const roomLeft = this.state[0] as number;
      const inputLeft = this.state[1] as number;
      at = to - inputLeft;
      this.at += room - roomLeft;
      this.total += room - roomLeft;
      if (this.total > this.size) throw damaged('it is longer than its header says');
      if (this.sink !== undefined && this.at > 0) {
        this.sink(this.output.subarray(0, this.at));
        this.at = 0;
      }
      // zlib stops with room and input left only at the end of the stream
      if (roomLeft > 0 && inputLeft > 0) this.done = true;
      else if (inputLeft === 0 && roomLeft > 0) break;
    }
    if (this.done && this.total !== this.size && this.size !== Infinity)
      throw damaged('it is shorter than its header says');
    return at - from;
  }

  private takeFailure(): string | undefined {
    const { failure } = this;
    this.failure = undefined;
    return failure;
  }

  take(): Buffer {
    const data = this.output.subarray(this.start, this.start + this.size);
    this.output = EMPTY;
    return data;
  }

  takeInto(into: Buffer, at: number): void {
    if (this.output !== into || this.start !== at) this.take().copy(into, at);
    else this.output = EMPTY;
  }
}

/**
 * The documented way: `inflateSync` over all input there is, which tells how much it used. Slower, and holds a
 * whole object in memory even with a sink.
 */
export class PublicInflater implements Inflater {
  done = false;
  private size = 0;
  private sink: ((piece: Buffer) => void) | undefined;
  private data: Buffer = EMPTY;
  private triedBytes = 0;

  begin(size: number, sink?: (piece: Buffer) => void): void {
    this.done = false;
    this.size = size;
    this.sink = sink;
    this.triedBytes = 0;
    this.data = EMPTY;
  }

  push(input: Buffer, from: number, to: number, final = false): number {
    if (this.done) return 0;
    // Doubling keeps the sum of the tries in proportion to the input.
    if (!final && to - from < 2 * this.triedBytes) return 0;
    let result: { buffer: Buffer; engine: { bytesWritten: number } };
    try {
      // with `info` Node gives the engine too; its types do not say so
      result = inflateSync(input.subarray(from, to), {
        info: true,
        maxOutputLength: Math.min(this.size + 1, kMaxLength),
      }) as unknown as typeof result;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'Z_BUF_ERROR') throw damaged((error as Error).message);
      if (final) throw damaged('it is cut off');
      this.triedBytes = to - from;
      return 0;
    }
    if (result.buffer.length !== this.size && this.size !== Infinity)
      throw damaged('its length is not what its header says');
    this.done = true;
    if (this.sink === undefined) this.data = result.buffer;
    else this.sink(result.buffer);
    return result.engine.bytesWritten;
  }

  take(): Buffer {
    const { data } = this;
    this.data = EMPTY;
    return data;
  }

  takeInto(into: Buffer, at: number): void {
    this.take().copy(into, at);
  }
}

const EMPTY = Buffer.alloc(0);

let reusable: boolean | undefined;

/** A fast inflater where this Node has the parts for it, else one over the public interface. */
export function createInflater(): Inflater {
  reusable ??= canReuse();
  return reusable ? new ReusedInflater() : new PublicInflater();
}

// `hello`, as zlib writes it without compression, and one byte that belongs to something else
const SAMPLE = Buffer.from('789ccb48cdc9c90700062c0215ff', 'hex');

function canReuse(): boolean {
  try {
    const inflater = new ReusedInflater();
    for (let round = 0; round < 2; round++) {
      inflater.begin(5);
      const used = inflater.push(SAMPLE, 0, 4) + inflater.push(SAMPLE, 4, SAMPLE.length);
      if (!inflater.done || used !== SAMPLE.length - 1 || inflater.take().toString('latin1') !== 'hello') return false;
    }
    return true;
  } catch {
    return false;
  }
}

function damaged(why: string): KbError {
  return new KbError('E_CORRUPT', `compressed data is damaged: ${why}`);
}
