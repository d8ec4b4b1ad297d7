const NEWLINE = 0x0a;

/**
 * A file as its lines, each with its own ending (LF, CRLF or, for the last one, none). The bytes are
 * never decoded: `starts` says where each line begins, and one more entry where the last one ends.
 */
export interface Lines {
  readonly data: Buffer;
  readonly count: number;
  readonly starts: Float64Array;
}

export function splitLines(data: Buffer): Lines {
  const starts: number[] = [0];
  for (let at = 0; at < data.length;) {
    const newline = data.indexOf(NEWLINE, at);
    at = newline < 0 ? data.length : newline + 1;
    starts.push(at);
  }
  return { data, count: starts.length - 1, starts: Float64Array.from(starts) };
}

/** The bytes of `count` lines from line `first` on. */
export function sliceLines(lines: Lines, first: number, count: number): Buffer {
  return lines.data.subarray(lines.starts[first] ?? 0, lines.starts[first + count] ?? lines.data.length);
}

/**
 * Gives equal lines equal numbers across several files, so that comparing two lines is comparing two
 * integers. A line is its bytes with its ending: `a` at the end of a file without newline differs from `a\n`.
 */
export class LineIds {
  private readonly known = new Map<string, number>();

  of(lines: Lines): Int32Array {
    const ids = new Int32Array(lines.count);
    for (let line = 0; line < lines.count; line++) {
      // latin1 maps each byte to one character: a cheap key that loses nothing
      const key = lines.data.toString('latin1', lines.starts[line], lines.starts[line + 1]);
      let id = this.known.get(key);
      if (id === undefined) {
        id = this.known.size;
        this.known.set(key, id);
      }
      ids[line] = id;
    }
    return ids;
  }
}
