import { KbError } from '../../errors.js';
import { BOM, findHeadings, parseHeadingQuery, splitLines } from './heading.js';

/**
 * Adds text to a note: at its end, or at the end of a heading's section.
 *
 * Every byte that was there stays where it was relative to its neighbours: the result is the old file with
 * one run of bytes inserted. The added text takes the file's own line ending, begins on a line of its own
 * (exactly one line break at the join) and ends with one. A heading that is missing is made at the end.
 *
 * @param heading `## Log` finds that level, `Log` any; trimmed, upper and lower case differ; the first one counts
 * @throws KbError E_USAGE when the text is empty, the file is not text, or the heading is no single line
 */
export function appendText(file: Buffer, addition: string, options: { readonly heading?: string } = {}): Buffer {
  if (file.includes(0))
    throw new KbError('E_USAGE', 'the note to append to is not a text file', { hint: 'choose a Markdown file' });
  const lines = addition.split(/\r\n|\n|\r/);
  while (lines[0]?.trim() === '') lines.shift();
  while (lines.at(-1)?.trim() === '') lines.pop();
  if (lines.length === 0)
    throw new KbError('E_USAGE', 'there is no text to append', {
      hint: 'give the text as arguments, with --file, or on standard input',
    });

  const text = file.toString('latin1');
  const lineEnd = lineEnding(text);
  const body = lines.join(lineEnd) + lineEnd;
  const place =
    options.heading === undefined ? { at: text.length, lead: '' } : underHeading(text, options.heading, lineEnd);
  const before = text.slice(0, place.at);
  const join = before === '' || before === BOM || before.endsWith('\n') ? '' : lineEnd;
  return Buffer.concat([file.subarray(0, place.at), Buffer.from(join + place.lead + body), file.subarray(place.at)]);
}

/** Where in the file the text goes, and what must stand above it: a heading that is not there yet. */
function underHeading(text: string, heading: string, lineEnd: string): { at: number; lead: string } {
  const wanted = parseHeadingQuery(heading);
  if (wanted.text === '' || /[\r\n]/.test(heading.trim())) {
    throw new KbError('E_USAGE', `not a heading: ${JSON.stringify(heading.slice(0, 80))}`, {
      hint: 'write it as --heading "## Log"',
    });
  }
  const headings = findHeadings(text);
  const index = headings.findIndex(
    (one) => one.text === wanted.text && (wanted.level === undefined || one.level === wanted.level),
  );
  const found = headings[index];
  if (found === undefined) {
    const gap = text === '' || text === BOM || /\n[ \t]*\r?\n$/.test(text) ? '' : lineEnd;
    return { at: text.length, lead: `${gap}${'#'.repeat(wanted.level ?? 2)} ${wanted.text}${lineEnd}` };
  }
  const next = headings.slice(index + 1).find((one) => one.level <= found.level);
  return { at: endOfContent(text, found.end, next?.start ?? text.length), lead: '' };
}

/** Just after the last line with something on it, so that blank lines before the next heading stay there. */
function endOfContent(text: string, from: number, to: number): number {
  const written = splitLines(text.slice(from, to)).filter((line) => line.text.trim() !== '');
  return from + (written.at(-1)?.end ?? 0);
}

/** The ending that most lines have; `\n` when there is none yet. */
export function lineEnding(text: string): '\n' | '\r\n' {
  const all = text.split('\n').length - 1;
  const windows = text.split('\r\n').length - 1;
  return windows * 2 > all ? '\r\n' : '\n';
}
