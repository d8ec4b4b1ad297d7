import { diffLines } from '../diff.js';
import { KeyIds, isBlank } from '../line-text.js';
import type { Entries, Entry } from './entries.js';

/** Items that share less of their lines are two items. */
const SAME_ITEM = 0.5;

/**
 * Items of a list of maps whose first line one side edited (it names them), under the name that they had: where as many
 * items stand between two unchanged ones as did before, and each shares half of its lines with the one in its place,
 * they are the same items.
 */
export function underOldNames(base: Entries, side: Entries): Entries {
  const ids = new KeyIds();
  const names = ({ entries }: Entries): string[] => entries.map(({ name }) => name);
  const old = new Map<number, string>();
  for (const change of diffLines(ids.of(names(base)), ids.of(names(side)))) {
    const { oldStart, oldCount, newStart, newCount } = change;
    if (oldCount !== newCount) continue;
    const places = Array.from({ length: oldCount }, (_, at) => at);
    const isSame = places.every((at) => isAlike(base.entries[oldStart + at], side.entries[newStart + at]));
    if (isSame) for (const at of places) old.set(newStart + at, base.entries[oldStart + at]?.name ?? '');
  }
  if (old.size === 0) return side;
  return { ...side, entries: side.entries.map((entry, at) => ({ ...entry, name: old.get(at) ?? entry.name })) };
}

function isAlike(one: Entry | undefined, other: Entry | undefined): boolean {
  if (one === undefined || other === undefined || one.kind !== 'item' || one.lines.length < 2) return false;
  const texts = (entry: Entry): string[] => entry.lines.filter((line) => !isBlank(line)).map((line) => line.trim());
  const [mine, their] = [new Set(texts(one)), texts(other)];
  const common = their.filter((line) => mine.has(line)).length;
  return common >= SAME_ITEM * Math.max(mine.size, their.length);
}
