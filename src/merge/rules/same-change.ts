/**
 * Both sides made the same change, perhaps with other white space: it is made once.
 * Nothing is lost but a choice of white space, and ours is as good as theirs.
 */
import type { ChunkRule } from '../chunk.js';
import { squashed, trimmedEnd } from '../line-text.js';

export const sameChange: ChunkRule = ({ versions, base, ours, theirs }) => {
  const isLoose = versions.ours.kind === 'markdown' || versions.ours.kind === 'text';
  const key = (lines: readonly string[]): string =>
    lines
      .map(isLoose ? squashed : trimmedEnd)
      .join('\n')
      .trimEnd();
  if (key(ours) !== key(theirs)) return undefined;
  if (ours.length !== theirs.length) return ours;
  const was = new Set(base);
  // where one side tidied the white space of a line, its line is the newer one
  return ours.map((line, at) => (was.has(line) ? (theirs[at] ?? line) : line));
};
