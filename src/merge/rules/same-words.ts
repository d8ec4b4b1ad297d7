/**
 * Both sides wrote the same words, set apart by other commas, dashes or quotes: no reason to ask a person. Ours stays. Asked
 * last: what can be had of both punctuations is had by the rules before.
 */
import { touchesCode, type ChunkRule } from '../chunk.js';
import { squashed } from '../line-text.js';

/** Longer texts are not compared by their words. */
const LONGEST_TEXT = 64 * 1024;
/** All but what only sets words apart or stresses them: what means something by itself (`~~`, `?`, `<`, a link, code) is a word. */
const WORD =
  /`[^`\n]*`|\]\([^)\n]*\)|https?:\/\/[^\s)>\]]*[^\s)>\].,;:!]|^ {0,3}#{1,6}(?=\s)|[-+](?=\d)|~~|[\p{L}\p{N}\p{M}]+|[^\s.,;:!…'"“”„‘’‚«»()\-–—*_\\]/gmu;

export const sameWords: ChunkRule = (chunk) => {
  const { versions, ours, theirs } = chunk;
  const { kind } = versions.ours;
  if (kind !== 'markdown' && kind !== 'text') return undefined;
  if (ours.length !== theirs.length || touchesCode(chunk)) return undefined;
  const words = (line: string): string => (line.match(WORD) ?? []).join(' ');
  const isSame = ours.every((line, at) => {
    const other = theirs[at] ?? '';
    return squashed(line) === squashed(other) || (line.length < LONGEST_TEXT && words(line) === words(other));
  });
  return isSame && ours.some((line) => words(line) !== '') ? ours : undefined;
};
