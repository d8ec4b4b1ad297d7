/** What kinds of bytes a content has: by this git tells text from binary, and which line ends a text has. */
export interface TextStats {
  readonly crlf: number;
  readonly loneCr: number;
  readonly loneLf: number;
  readonly isBinary: boolean;
}

const CR = 0x0d;
const LF = 0x0a;
const DEL = 0x7f;
/** Control characters that occur in texts: backspace, tab, escape, form feed. */
const PRINTABLE_CONTROLS: ReadonlySet<number> = new Set([0x08, 0x09, 0x1b, 0x0c]);
/** The mark at the end of a text of CP/M and DOS. */
const END_OF_FILE = 0x1a;

/**
 * Counts as git does when it decides on `text=auto`. Binary is: a CR without LF, a NUL, or more than one byte in 128
 * that is not printable. Other than its guess for merges and diffs, this one looks at the whole content.
 */
export function textStatsOf(data: Buffer): TextStats {
  let crlf = 0;
  let loneCr = 0;
  let loneLf = 0;
  let printable = 0;
  let unprintable = 0;
  let hasNul = false;
  const { length } = data;
  for (let at = 0; at < length; at += 1) {
    const byte = data[at] as number;
    if (byte >= 0x20) {
      if (byte === DEL) unprintable += 1;
      else printable += 1;
    } else if (byte === LF) loneLf += 1;
    else if (byte === CR) {
      if (data[at + 1] === LF) {
        crlf += 1;
        at += 1;
      } else loneCr += 1;
    } else if (PRINTABLE_CONTROLS.has(byte)) printable += 1;
    else {
      unprintable += 1;
      hasNul ||= byte === 0;
    }
  }
  if (data[length - 1] === END_OF_FILE) unprintable -= 1;
  return { crlf, loneCr, loneLf, isBinary: loneCr > 0 || hasNul || Math.floor(printable / 128) < unprintable };
}
