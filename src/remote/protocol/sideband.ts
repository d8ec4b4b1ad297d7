import { KbError } from '../../errors.js';
import { printable } from '../../printable.js';
import type { PacketReader } from './pkt-line.js';
import { cutError, protocolError } from './pkt-line.js';

export interface SidebandHandlers {
  /** Band 1. */
  data(chunk: Buffer): void;
  /** Asked after each of these: whether all that is wanted has come. What follows stays unread. */
  enough?(): boolean;
  /** Band 2: one line of the remote's progress or hook output, safe to print. */
  message(line: string): void;
}

/** A line longer than this is shown in pieces: a remote cannot make kb hold an endless one. */
const MAX_LINE = 1_000;

/**
 * Takes the three bands of a reply apart (gitprotocol-pack(5), "Packfile Data") until its flush packet.
 * @param first a packet that was read already
 * @throws KbError E_NETWORK when the reply is cut, or the remote gave up (band 3)
 */
export async function readSideband(packets: PacketReader, handlers: SidebandHandlers, first?: Buffer): Promise<void> {
  const lines = new LineSplitter((line) => handlers.message(line));
  for (let packet = first ?? (await packets.next()); packet !== 'flush'; packet = await packets.next()) {
    if (packet === undefined) throw cutError('the data');
    if (typeof packet === 'string') throw protocolError(`a ${packet} packet among the data`);
    const band = packet[0];
    const content = packet.subarray(1);
    if (band === 1) {
      handlers.data(content);
      if (handlers.enough?.() === true) break;
    } else if (band === 2) lines.write(content);
    else if (band === 3) throw remoteGaveUp(content.toString('utf8'));
    else if (packet.length > 0) throw protocolError(`band ${band} does not exist`);
  }
  lines.end();
}

/** The remote's own words for why it stopped. */
export function remoteGaveUp(text: string): KbError {
  return new KbError('E_NETWORK', `the remote gave up: ${printable(text.trim()) || 'no reason given'}`);
}

/** Cuts text that comes in pieces at LF and CR (progress overwrites its line with CR). */
class LineSplitter {
  #rest = '';
  readonly #decoder = new TextDecoder();

  constructor(private readonly emit: (line: string) => void) {}

  write(bytes: Buffer): void {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    const lines = this.#rest.split(/[\r\n]+/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#show(line);
    if (this.#rest.length > MAX_LINE) this.end();
  }

  end(): void {
    this.#show(this.#rest);
    this.#rest = '';
  }

  #show(line: string): void {
    // Git pads progress with blanks and ends it with "erase to end of line" (ESC [ K).
    // eslint-disable-next-line no-control-regex -- that sequence begins with a control character
    const text = line.replace(/\u001b\[K/g, '').trimEnd();
    if (text !== '') this.emit(printable(text, MAX_LINE));
  }
}

/** `Counting objects:  50% (5/10), done.` taken apart; other lines are a phase by themselves. */
export function parseProgress(line: string): { phase: string; done?: number; total?: number } {
  const match = /^(.{1,60}?):\s+(?:\d{1,3}% \((\d{1,15})\/(\d{1,15})\)|(\d{1,15}))/.exec(line);
  if (match === null) return { phase: line };
  const phase = match[1] ?? line;
  if (match[4] !== undefined) return { phase, done: Number(match[4]) };
  return { phase, done: Number(match[2]), total: Number(match[3]) };
}
