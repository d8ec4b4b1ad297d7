/** Splits text into lines, each with its own ending; the concatenation is the text again. */
export function linesOf(text: string): string[] {
  const lines: string[] = [];
  for (let at = 0; at < text.length;) {
    const newline = text.indexOf('\n', at);
    const end = newline < 0 ? text.length : newline + 1;
    lines.push(text.slice(at, end));
    at = end;
  }
  return lines;
}

/** Numbers for lines, equal for lines with the same key, over as many texts as are given to one of them. */
export class KeyIds {
  private readonly known = new Map<string, number>();

  constructor(private readonly keyOf: (line: string) => string = (line) => line) {}

  of(lines: readonly string[]): Int32Array {
    const ids = new Int32Array(lines.length);
    for (let at = 0; at < lines.length; at++) {
      const key = this.keyOf(lines[at] as string);
      let id = this.known.get(key);
      if (id === undefined) {
        id = this.known.size;
        this.known.set(key, id);
      }
      ids[at] = id;
    }
    return ids;
  }
}

/** The line without its ending and without white space at its end. */
export function trimmedEnd(line: string): string {
  return line.trimEnd();
}

/** What is left of a line when white space does not count; the dashes that align a table don't either. */
export function squashed(line: string): string {
  const text = line.trim();
  if (!/[^\S ]|\s\s|\|/.test(text)) return text; // nearly every line
  return squashedWhole(text.replace(/\s+/g, ' '));
}

function squashedWhole(text: string): string {
  const isRuler = text.includes('|') && text.includes('-') && /^[ |:-]+$/.test(text);
  return isRuler ? text.replace(/-{2,}/g, '--').replace(/ /g, '') : text;
}

export function isBlank(line: string): boolean {
  return line.trim() === '';
}

export function endingOf(line: string): string {
  return line.endsWith('\r\n') ? '\r\n' : line.endsWith('\n') ? '\n' : '';
}

/** Gives the last of these lines an ending if it has none, so that another line can follow. */
export function closed(lines: readonly string[], ending: string): string[] {
  const last = lines.at(-1);
  return last === undefined || last.endsWith('\n') ? [...lines] : [...lines.slice(0, -1), last + ending];
}
