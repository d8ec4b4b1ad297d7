/**
 * Both sides made the same change, perhaps with other white space: it is made once.
 * Nothing is lost but a choice of white space, and ours is as good as theirs.
 */
import { touchesCode, type Chunk, type ChunkRule } from '../chunk.js';
import { squashed, trimmedEnd } from '../line-text.js';
import { blocksOf, flowKey } from '../markdown/blocks.js';

export const sameChange: ChunkRule = (chunk) => {
  const { versions, base, ours, theirs } = chunk;
  const isLoose = versions.ours.kind === 'markdown' || versions.ours.kind === 'text';
  const key = (lines: readonly string[]): string =>
    lines
      .map(isLoose ? squashed : trimmedEnd)
      .join('\n')
      .trimEnd();
  if (key(ours) !== key(theirs)) return versions.ours.kind === 'markdown' ? wrappedAnew(chunk) : undefined;
  if (ours.length !== theirs.length) return ours;
  const was = new Set(base);
  // where one side tidied the white space of a line, its line is the newer one
  return ours.map((line, at) => (was.has(line) ? (theirs[at] ?? line) : line));
};

/** The same text, whose lines one side broke at other places: a paragraph stays the same paragraph for it. */
function wrappedAnew(chunk: Chunk): readonly string[] | undefined {
  const { ours, theirs } = chunk;
  if (ours.length === theirs.length || touchesCode(chunk)) return undefined;
  const key = (lines: readonly string[]): string => blocksOf(lines).blocks.map(flowKey).join('\n');
  return key(ours) === key(theirs) ? ours : undefined;
}
