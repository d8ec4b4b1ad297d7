/**
 * One side did all that the other did, and more: its version is the answer. It holds when every line that the
 * smaller side added is in the larger one in the same order, and the larger one has dropped every line that the
 * smaller one dropped: then there is nothing that taking it could lose or bring back. So with the words of one line.
 */
import type { ChunkRule } from '../chunk.js';
import { isBlank, squashed, trimmedEnd } from '../line-text.js';
import type { FileKind } from '../file-kind.js';
import { largerEdit } from '../words.js';

export const superset: ChunkRule = ({ versions, base, ours, theirs }) => {
  const key = keyFor(versions.ours.kind);
  const count = (lines: readonly string[]): string[] => lines.filter((line) => !isBlank(line)).map(key);
  const [b, o, t] = [count(base), count(ours), count(theirs)];
  // where one side only deleted, the other one must have done nothing else either: an edit is no larger deletion
  const isDeletion = (lines: readonly string[]): boolean => contains([], lines, b);
  if (contains(t, o, b) && (o.length > 0 || isDeletion(t))) return theirs;
  if (contains(o, t, b) && (t.length > 0 || isDeletion(o))) return ours;
  return undefined;
};

/** The same, word by word in one line. Asked after rules that know more about words. */
export const supersetInLine: ChunkRule = ({ base, ours, theirs, isAddAdd }) => {
  if (isAddAdd || base.length !== 1 || ours.length !== 1 || theirs.length !== 1) return undefined;
  const larger = largerEdit(base[0] ?? '', ours[0] ?? '', theirs[0] ?? '');
  return larger === undefined ? undefined : larger === 'ours' ? ours : theirs;
};

function keyFor(kind: FileKind): (line: string) => string {
  return kind === 'yaml' || kind === 'other' ? trimmedEnd : squashed;
}

/** Whether what leads from `base` to `large` includes all that leads to `small`. Works on lines and on words. */
export function contains(large: readonly string[], small: readonly string[], base: readonly string[]): boolean {
  const [b, s, l] = [countOf(base), countOf(small), countOf(large)];
  for (const item of new Set([...b.keys(), ...s.keys()])) {
    const [was, few, many] = [b.get(item) ?? 0, s.get(item) ?? 0, l.get(item) ?? 0];
    if (few > was && many < few) return false;
    if (few < was && many > few) return false;
  }
  // in the same order: what the small side added or kept is found one after the other
  let at = 0;
  for (const item of small) {
    if ((b.get(item) ?? 0) >= (s.get(item) ?? 0)) continue; // kept, the large side may have dropped it
    while (at < large.length && large[at] !== item) at++;
    if (at === large.length) return false;
    at++;
  }
  return true;
}

function countOf(items: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}
