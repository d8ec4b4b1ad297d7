import { KbError } from '../../errors.js';
import { printable } from '../../printable.js';

/** A reply's bytes in order; undefined at its end. @throws KbError E_NETWORK when it was cut */
export interface ByteSource {
  read(): Promise<Buffer | undefined>;
}

/** Data (maybe empty), or one of the markers 0000, 0001, 0002. */
export type Packet = Buffer | 'flush' | 'delimiter' | 'response-end';

/** Largest packet with its four length digits (gitprotocol-common(5), "pkt-line Format"). */
const MAX_PACKET = 65_520;

export const FLUSH = Buffer.from('0000');
export const DELIMITER = Buffer.from('0001');

export function pktLine(text: string): Buffer {
  const data = Buffer.from(text);
  if (data.length + 4 > MAX_PACKET) throw new KbError('E_INTERNAL', `a packet of ${data.length} bytes is too long`);
  return Buffer.concat([Buffer.from((data.length + 4).toString(16).padStart(4, '0')), data]);
}

/** What a packet says, without the line feed that it may end with. */
export function packetText(packet: Buffer): string {
  const end = packet.at(-1) === 0x0a ? packet.length - 1 : packet.length;
  return packet.toString('utf8', 0, end);
}

/** The reply broke the protocol's rules: another kind of server, or a proxy that changed it. */
export function protocolError(what: string): KbError {
  return new KbError('E_NETWORK', `the remote's reply is not what git's protocol says: ${what}`, {
    retryable: false,
    hint: 'check that the URL is that of a git repository and that no proxy changes the reply',
  });
}

/** A reply that ended early. */
export function cutError(where: string): KbError {
  return new KbError('E_NETWORK', `the remote's reply ended in the middle of ${where}`);
}

/**
 * Cuts a reply into packets (gitprotocol-common(5)), as they come in. A length that is none, or a total
 * beyond the limit, ends in an error and never in an allocation: at most one packet is held.
 */
export class PacketReader {
  #parts: Buffer[] = [];
  #held = 0;
  #received = 0;

  /** @param limit most bytes that the whole reply may have; default: any number, for packs */
  constructor(
    private readonly source: ByteSource,
    private readonly limit = Infinity,
  ) {}

  /**
   * The next packet; undefined where the reply ends between two packets.
   * @throws KbError E_NETWORK when it is cut, malformed or too long
   */
  async next(): Promise<Packet | undefined> {
    if (this.#held < 4 && !(await this.#fill(4))) {
      if (this.#held === 0) return undefined;
      throw cutError('a packet');
    }
    const length = parseLength(this.#take(4));
    if (length === 0) return 'flush';
    if (length === 1) return 'delimiter';
    if (length === 2) return 'response-end';
    const size = length - 4;
    if (this.#held < size && !(await this.#fill(size))) throw cutError('a packet');
    return this.#take(size);
  }

  /**
   * Waits for the end of a reply that is over.
   * @throws KbError E_NETWORK when something follows
   */
  async expectEnd(): Promise<void> {
    if ((await this.next()) !== undefined) throw protocolError('something follows the end of the reply');
  }

  async #fill(size: number): Promise<boolean> {
    while (this.#held < size) {
      const chunk = await this.source.read();
      if (chunk === undefined) return false;
      this.#received += chunk.length;
      if (this.#received > this.limit) throw protocolError(`it is longer than ${this.limit} bytes`);
      if (chunk.length === 0) continue;
      this.#parts.push(chunk);
      this.#held += chunk.length;
    }
    return true;
  }

  /** Exactly `size` bytes that are held; copied only where they came in pieces. */
  #take(size: number): Buffer {
    const first = this.#parts[0];
    this.#held -= size;
    if (first !== undefined && first.length > size) {
      this.#parts[0] = first.subarray(size);
      return first.subarray(0, size);
    }
    if (first?.length === size) {
      this.#parts.shift();
      return first;
    }
    const all = Buffer.concat(this.#parts);
    this.#parts = all.length > size ? [all.subarray(size)] : [];
    return all.subarray(0, size);
  }
}

function parseLength(digits: Buffer): number {
  const text = digits.toString('latin1');
  const length = /^[0-9a-fA-F]{4}$/.test(text) ? Number.parseInt(text, 16) : -1;
  if (length < 0 || length === 3 || length > MAX_PACKET) {
    throw protocolError(`${JSON.stringify(printable(text))} stands where a packet's length should be`);
  }
  return length;
}
