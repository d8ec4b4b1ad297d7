import { contentKind } from './content-kind.js';
import { linesOf } from './line-text.js';

export type LineEnds = 'lf' | 'crlf' | 'mixed' | 'none';

/** A file as lines of text that can be turned back into the very bytes it came from. */
export interface TextForm {
  /** A byte order mark is part of the first one. */
  readonly lines: readonly string[];
  readonly ends: LineEnds;
  readonly hasMark: boolean;
}

export type Encoding = 'utf8' | 'latin1';

const BYTE_ORDER_MARK = '\uFEFF';

/**
 * How the bytes of all versions may be read as one kind of text. `binary`: what git takes for it, and text of no known
 * encoding with a NUL anywhere. `utf8`: all of them are. `latin1`: none of those with bytes above 0x7f is UTF-8, so that
 * each byte stands for itself; the lines of such files can be told apart, their words cannot. `encoding`: one is UTF-8 and
 * another one is not, or they are marked as UTF-16: a merge would mix two encodings in one file.
 */
export function commonEncoding(versions: readonly Buffer[]): Encoding | 'binary' | 'encoding' {
  const kinds = versions.map(contentKind);
  if (kinds.includes('binary')) return 'binary';
  if (!kinds.includes('encoding')) return 'utf8';
  if (versions.some(hasNul)) return 'binary';
  if (versions.some(isMarkedUtf16)) return 'encoding';
  const isMixed = versions.some((data, at) => kinds[at] === 'text' && data.some((byte) => byte > 0x7f));
  return isMixed ? 'encoding' : 'latin1';
}

/** Beyond the bytes that git looks at: such a text is merged as git does it, but no rule is asked about it. */
export function hasNul(data: Buffer): boolean {
  return data.includes(0);
}

function isMarkedUtf16(data: Buffer): boolean {
  const mark = data.length >= 2 ? data.readUInt16BE(0) : 0;
  return mark === 0xfeff || mark === 0xfffe;
}

/** Neither form loses a byte: valid UTF-8 has one text and back, and latin1 gives each byte its own character. */
export function readText(data: Buffer, encoding: Encoding): TextForm {
  const text = data.toString(encoding);
  return {
    lines: linesOf(text),
    ends: lineEndsOf(text),
    hasMark: encoding === 'utf8' && text.startsWith(BYTE_ORDER_MARK),
  };
}

function lineEndsOf(text: string): LineEnds {
  if (!text.includes('\r\n')) return text.includes('\n') ? 'lf' : 'none';
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
    if (text.charCodeAt(at - 1) !== 13) return 'mixed';
  }
  return 'crlf';
}

/** The lines of a version as they are compared: without the byte order mark, and all with the same end if so wanted. */
export function bareLines({ lines, hasMark }: TextForm, isUnified: boolean): readonly string[] {
  if (!hasMark && !isUnified) return lines;
  const text = lines.join('').slice(hasMark ? BYTE_ORDER_MARK.length : 0);
  return linesOf(isUnified ? text.replace(/\r\n/g, '\n') : text);
}

/** What two sides make of a value that the base had: the change of the one that changed it, ours if both did. */
export function three<T>(base: T | undefined, ours: T, theirs: T): T {
  return ours === base ? theirs : ours;
}

export function withEnds(text: string, ends: LineEnds): string {
  return ends === 'crlf' ? text.replace(/\r?\n/g, '\r\n') : text;
}

export function writeText(text: string, encoding: Encoding, hasMark: boolean): Buffer {
  return Buffer.from((hasMark ? BYTE_ORDER_MARK : '') + text, encoding);
}
