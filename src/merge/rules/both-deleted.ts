/**
 * Both sides only took words away, and one of them took away all that the other one did, and more: it stands. It is
 * the one edit that a deletion need not keep: nobody wrote anything that could be lost with it. Prose only: a
 * value from which something was taken is another value.
 */
import { touchesCode, type ChunkRule } from '../chunk.js';
import { isPartOf, tokensOf } from '../words.js';

export const bothDeleted: ChunkRule = (chunk) => {
  const { versions, base, ours, theirs, isAddAdd } = chunk;
  const { kind } = versions.ours;
  if (isAddAdd || (kind !== 'markdown' && kind !== 'text') || touchesCode(chunk)) return undefined;
  if (Math.max(letters(ours), letters(theirs)) > letters(base)) return undefined;
  const [b, o, t] = [base, ours, theirs].map((lines) =>
    tokensOf(lines.join(''))?.filter((token) => token.trim() !== ''),
  );
  if (b === undefined || o === undefined || t === undefined) return undefined;
  if (!isPartOf(o, b) || !isPartOf(t, b)) return undefined;
  if (isPartOf(t, o)) return theirs;
  return isPartOf(o, t) ? ours : undefined;
};

/** How many characters lines have but for white space: who only took away has no more of them. */
function letters(lines: readonly string[]): number {
  let count = 0;
  for (const line of lines) count += line.replace(/\s+/g, '').length;
  return count;
}
