import { isUtf8 } from 'node:buffer';
import { isPointer, LARGEST_TEXT_BYTES } from './content-kind.js';

export type LineEnds = 'lf' | 'crlf' | 'mixed' | 'none';

/** A file as text that can be turned back into the very bytes it came from. */
export interface TextForm {
  readonly text: string;
  readonly ends: LineEnds;
  readonly hasMark: boolean;
}

export type Encoding = 'utf8' | 'latin1';

const BYTE_ORDER_MARK = '\uFEFF';

/**
 * How the bytes of all versions may be read as one kind of text. `binary`: a NUL anywhere, too large, or Git LFS's. `utf8`: all
 * of them are. `latin1`: none of those with bytes above 0x7f is UTF-8, so that each byte stands for itself; the lines
 * of such files can be told apart, their words cannot. `encoding`: one is UTF-8 and another one is not, or they are
 * marked as UTF-16: a merge would mix two encodings in one file.
 */
export function commonEncoding(versions: readonly Buffer[]): Encoding | 'binary' | 'encoding' {
  if (versions.some((data) => data.length > LARGEST_TEXT_BYTES || data.includes(0) || isPointer(data))) return 'binary';
  if (versions.every((data) => isUtf8(data))) return 'utf8';
  if (versions.some(isMarkedUtf16)) return 'encoding';
  const isMixed = versions.some((data) => isUtf8(data) && data.some((byte) => byte > 0x7f));
  return isMixed ? 'encoding' : 'latin1';
}

function isMarkedUtf16(data: Buffer): boolean {
  const mark = data.length >= 2 ? data.readUInt16BE(0) : 0;
  return mark === 0xfeff || mark === 0xfffe;
}

/** Neither form loses a byte: valid UTF-8 has one text and back, and latin1 gives each byte its own character. */
export function readText(data: Buffer, encoding: Encoding): TextForm {
  const whole = data.toString(encoding);
  const hasMark = encoding === 'utf8' && whole.startsWith(BYTE_ORDER_MARK);
  const text = hasMark ? whole.slice(1) : whole;
  return { text, ends: lineEndsOf(text), hasMark };
}

function lineEndsOf(text: string): LineEnds {
  let [crlf, lf] = [0, 0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
    if (text.charCodeAt(at - 1) === 13) crlf++;
    else lf++;
    if (crlf > 0 && lf > 0) return 'mixed';
  }
  return crlf > 0 ? 'crlf' : lf > 0 ? 'lf' : 'none';
}

/** What two sides make of a value that the base had: the change of the one that changed it, ours if both did. */
export function three<T>(base: T | undefined, ours: T, theirs: T): T {
  return ours === base ? theirs : ours;
}

export function withEnds(text: string, ends: LineEnds): string {
  return ends === 'crlf' ? text.replace(/\r?\n/g, '\r\n') : text;
}

export function withoutCarriageReturns(text: string): string {
  return text.replace(/\r\n/g, '\n');
}

export function writeText(text: string, encoding: Encoding, hasMark: boolean): Buffer {
  return Buffer.from((hasMark ? BYTE_ORDER_MARK : '') + text, encoding);
}
