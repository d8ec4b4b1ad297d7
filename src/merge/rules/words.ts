/**
 * Both sides reworded the same lines of prose, each in other words of it: both rewordings stand. Words that touch
 * are a conflict, for two halves of one phrase seldom make a phrase. Prose only: in front matter, YAML, JSON and code
 * a word is a name, and a mixture of two names is a third one.
 */
import { touchesCode, type ChunkRule } from '../chunk.js';
import { isBlank, linesOf } from '../line-text.js';
import { isItem, isRow, headingLevel } from '../markdown/blocks.js';
import { mergeWords } from '../words.js';

export const words: ChunkRule = (chunk) => {
  const { versions, base, ours, theirs } = chunk;
  const { kind } = versions.ours;
  if ((kind !== 'markdown' && kind !== 'text') || base.length === 0 || touchesCode(chunk)) return undefined;
  if (base.length === ours.length && base.length === theirs.length) {
    const merged: string[] = [];
    for (const [at, was] of base.entries()) {
      const line = mergeLine(was, ours[at] ?? '', theirs[at] ?? '');
      if (line === undefined) return undefined;
      merged.push(line);
    }
    return merged;
  }
  if (![base, ours, theirs].every(isParagraph)) return undefined;
  const merged = mergeWords(base.join(''), ours.join(''), theirs.join(''));
  return merged === undefined ? undefined : linesOf(merged);
};

function mergeLine(base: string, ours: string, theirs: string): string | undefined {
  if (ours === theirs || base === theirs) return ours;
  if (base === ours) return theirs;
  if (isBlank(base) || isBlank(ours) || isBlank(theirs)) return undefined;
  const merged = mergeWords(base, ours, theirs);
  return merged !== undefined && linesOf(merged).length === 1 ? merged : undefined;
}

/** A paragraph may be wrapped anew by either side; what has markers at the start of its lines may not. */
function isParagraph(lines: readonly string[]): boolean {
  return (
    lines.length > 0 &&
    lines.slice(1).every((line) => !isBlank(line) && !isItem(line) && !isRow(line) && headingLevel(line) === 0) &&
    !isRow(lines[0] ?? '') &&
    headingLevel(lines[0] ?? '') === 0
  );
}
