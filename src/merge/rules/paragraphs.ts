/**
 * Both sides added text at one place: ours, then theirs, unless one seems to be a version of the other. Where both
 * added the whole file, a likeness says more (they may have written about one thing without knowing of each other), and
 * a field that both filled in, each in its way, tells two files of one template that only happen to have one name.
 */
import type { Added, AdditionRule } from '../additions.js';
import type { Blocks } from '../markdown/blocks.js';
import { likeness } from '../words.js';

/** Texts of one place in two new files that have more in common are two ways to say the same. */
const SAME_TEXT = 0.3;
const MOST_COMPARISONS = 400;

export const paragraphs: AdditionRule = {
  name: 'paragraphs',
  fits: (added) => !added.chunk.isAddAdd || !areRivals(added),
};

const FIELD = /^\s*(?:[-*+]\s+)?[*_]{0,2}(\p{L}[\p{L}\p{N} _-]{0,40}?)[*_]{0,2}:[*_]{0,2}\s/u;

function areRivals({ ours, theirs }: Added): boolean {
  const texts = ({ blocks }: Blocks): string[] =>
    blocks.filter(({ kind }) => kind === 'paragraph').map(({ lines }) => lines.join(''));
  if ([ours, theirs].some(({ blocks }) => blocks.some(({ kind }) => kind === 'fence'))) return true;
  const [mine, their] = [texts(ours), texts(theirs)];
  if (mine.length * their.length > MOST_COMPARISONS) return true;
  const fields = ({ blocks }: Blocks): string[] =>
    blocks.flatMap(({ lines }) => lines.flatMap((line) => FIELD.exec(line)?.[1]?.toLowerCase() ?? []));
  const named = new Set(fields(ours));
  if (fields(theirs).some((name) => named.has(name))) return true;
  return mine.some((one) => their.some((other) => likeness(one, other) >= SAME_TEXT));
}
