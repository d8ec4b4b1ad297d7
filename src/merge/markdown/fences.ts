const FENCE = /^ {0,3}(?:[-*+] +|\d+[.)] +|> ?)*(`{3,}|~{3,})(.*)$/;

/**
 * Marks the lines of fenced code blocks. A fence is closed by one of the same character that is at least as long
 * and has nothing behind it (CommonMark 0.31, section 4.5); an unclosed one reaches to the end.
 */
export function fencesOf(lines: readonly string[]): Uint8Array {
  const marks = new Uint8Array(lines.length);
  let open: string | undefined;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] as string;
    const fence = mayBeFence(line) ? FENCE.exec(line.trimEnd().replace(/^\s+/, '')) : null;
    const run = fence?.[1] ?? '';
    if (open === undefined) {
      if (run !== '' && !(run.startsWith('`') && fence?.[2]?.includes('`') === true)) {
        open = run;
        marks[at] = 1;
      }
      continue;
    }
    marks[at] = 1;
    if (run.startsWith(open) && fence?.[2]?.trim() === '') open = undefined;
  }
  return marks;
}

/** Nearly no line is one, and of most the first character tells. */
function mayBeFence(line: string): boolean {
  const first = line.charCodeAt(0) | 0x20;
  const isLetter = first >= 0x61 && first <= 0x7a;
  return !isLetter && (line.includes('```') || line.includes('~~~'));
}

/** Marks what is no prose: blocks of code, and the front matter. */
export function literalLines(lines: readonly string[]): Uint8Array {
  const close = /^\uFEFF?---\s*$/.test(lines[0] ?? '')
    ? lines.findIndex((line, at) => at > 0 && /^(---|\.\.\.)\s*$/.test(line))
    : -1;
  const marks = new Uint8Array(lines.length).fill(1, 0, close + 1);
  marks.set(fencesOf(lines.slice(close + 1)), close + 1);
  return marks;
}
