/**
 * Both sides reworded the same lines of prose, each in other words of it: both rewordings stand. Words that touch
 * are a conflict, for two halves of one phrase seldom make a phrase. Prose only: in front matter, YAML, JSON and code
 * a word is a name, and a mixture of two names is a third one.
 */
import { touchesCode, type Chunk, type ChunkRule } from '../chunk.js';
import { isBlank, linesOf } from '../line-text.js';
import { isItem, isRow, headingLevel } from '../markdown/blocks.js';
import { isWhole } from './wordless-edits.js';
import { mergeWords, type WordsRequest } from '../words.js';

export const words: ChunkRule = (chunk) => mergeChunk(chunk, {});

/** As `words`, but words that one side took away and the other one reworded stay: what `delete-modify` is to lines. */
export const keptWords: ChunkRule = (chunk) => mergeChunk(chunk, { keepsEdits: true });

function mergeChunk(chunk: Chunk, request: WordsRequest): readonly string[] | undefined {
  const { versions, base, ours, theirs } = chunk;
  const { kind } = versions.ours;
  if ((kind !== 'markdown' && kind !== 'text') || base.length === 0 || touchesCode(chunk)) return undefined;
  if (base.length === ours.length && base.length === theirs.length) {
    const merged: string[] = [];
    for (const [at, was] of base.entries()) {
      const line = mergeLine(was, ours[at] ?? '', theirs[at] ?? '', request);
      if (line === undefined) return undefined;
      // half a sentence that wrote nothing goes with the line, the other half would stay below it
      if (line === ours[at] && line !== theirs[at] && !isWhole(chunk, 'theirs')) return undefined;
      if (line === theirs[at] && line !== ours[at] && !isWhole(chunk, 'ours')) return undefined;
      merged.push(line);
    }
    return merged;
  }
  if (![base, ours, theirs].every(isParagraph)) return undefined;
  const merged = mergeWords(base.join(''), ours.join(''), theirs.join(''), request);
  return merged === undefined ? undefined : linesOf(merged);
}

function mergeLine(base: string, ours: string, theirs: string, request: WordsRequest): string | undefined {
  if (ours === theirs || base === theirs) return ours;
  if (base === ours) return theirs;
  if (isBlank(base) || isBlank(ours) || isBlank(theirs)) return undefined;
  const merged = mergeWords(base, ours, theirs, request);
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
