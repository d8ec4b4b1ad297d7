/**
 * One side wrote nothing: it changed marks between words (a comma, quotes, the level of a heading), or took words away.
 * The other side rewrote or deleted the very place, and with it all that the first one took away. Its version stands: no
 * word is lost, and there is no place left for the marks. Asked after `words`, which keeps the marks where their place
 * is still there. Prose only: in code, a mark is a word.
 */
import { cutsFence, touchesCode, type Chunk, type ChunkRule } from '../chunk.js';
import { isBlank, squashed } from '../line-text.js';
import { headingLevel, isItem, isRow } from '../markdown/blocks.js';
import { isIncluded, isPartOf, tellingWords } from '../words.js';

export const wordlessEdits: ChunkRule = (chunk) => {
  const { versions, base, ours, theirs, isAddAdd } = chunk;
  const { kind } = versions.ours;
  if (isAddAdd || (kind !== 'markdown' && kind !== 'text') || touchesCode(chunk) || cutsFence(chunk)) return undefined;
  const [b, o, t] = [base, ours, theirs].map((lines) => tellingWords(lines.join('')));
  if (b === undefined || o === undefined || t === undefined || b.length === 0) return undefined;
  // lines that are gone whole are for `delete-modify`, which asks where they went; where every word is left, each mark has its place
  if (t.length > 0 && isIncluded(t, o, b) && !isPartOf(b, o) && isWhole(chunk, 'theirs'))
    return withPrefixOf(base, theirs, ours);
  return o.length > 0 && isIncluded(o, t, b) && !isPartOf(b, t) && isWhole(chunk, 'ours')
    ? withPrefixOf(base, ours, theirs)
    : undefined;
};

/** Whether all that a side did to this text is seen here: no line of marks added, and no sentence that goes on in a line it added. */
export function isWhole({ versions, at, base, ours, theirs }: Chunk, side: 'ours' | 'theirs'): boolean {
  if (addsMarkLine(base, side === 'ours' ? ours : theirs)) return false;
  const { start, count } = at[side];
  const { lines } = versions[side];
  return [lines[start - 1] ?? '', lines[start + count] ?? ''].every(
    (line) => !isParagraph(line) || versions.base.lines.includes(line),
  );
}

function isParagraph(line: string): boolean {
  return !isBlank(line) && !isItem(line) && !isRow(line) && headingLevel(line) === 0;
}

/** A line of marks alone, a rule between sections for instance, is an addition like any other. */
function addsMarkLine(base: readonly string[], side: readonly string[]): boolean {
  const known = new Set(base.map(squashed));
  return side.some((line) => !isBlank(line) && tellingWords(line).length === 0 && !known.has(squashed(line)));
}

const PREFIX = /^\s*(?:#{1,6}\s+|[-*+]\s+|\d{1,9}[.)]\s+|>\s?)?/;

/** What a line is (a heading of this level, an item) does not go with its words: a new version of it is that, too. */
function withPrefixOf(
  base: readonly string[],
  marked: readonly string[],
  edited: readonly string[],
): readonly string[] {
  if (base.length !== marked.length || base.length !== edited.length) return edited;
  const prefix = (line = ''): string => PREFIX.exec(line)?.[0] ?? '';
  return edited.map((line, at) => {
    const [was, now] = [prefix(base[at]), prefix(marked[at])];
    return was !== now && was !== '' && prefix(line) === was ? now + line.slice(was.length) : line;
  });
}
