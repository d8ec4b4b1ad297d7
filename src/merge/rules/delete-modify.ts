/**
 * One side deleted lines, the other one edited them: the edit is kept, and said. A deletion can be made again in a
 * moment; an edit that is gone must be written again by someone who remembers it. It is done only where the
 * deletion is nothing but that: where the side has put the lines elsewhere, or something like them in their
 * place, keeping the edit would say the same thing twice.
 */
import { countLines, cutsFence, touchesCode, type Chunk } from '../chunk.js';
import type { FileKind } from '../file-kind.js';
import { closed, isBlank, squashed } from '../line-text.js';
import { isItem } from '../markdown/blocks.js';
import { bareWords, likeness } from '../words.js';

/** From here on, a line may be a new version of another one. */
const SOMEWHAT_ALIKE = 0.4;
/** So much of a long text may look like lines of the other side by chance. */
const MOST_ALIKE = 0.1;
/** More lines are not compared with each other; then there is no answer. */
const MOST_COMPARISONS = 10_000;
/** Lines that say so little that they stand in many places. */
const SHORT = 12;

/** @param region the place around the chunk that both sides changed */
export function deleteModify(chunk: Chunk, region: Chunk): readonly string[] | undefined {
  const { versions, base, ours, theirs, isAddAdd } = chunk;
  if (base.length === 0 || versions.ours.kind === 'other') return undefined;
  if (isGone(base)) return undefined;
  const deleting = deletingSide(chunk);
  if (deleting === undefined) return undefined;
  const kept = deleting === 'ours' ? theirs : ours;
  const instead = chunk[deleting];
  if (!isGone(instead) && (isAddAdd || !isProse(versions.ours.kind) || cutsFence(chunk))) return undefined;
  const isNoteOnIt = !isGone(instead) && isNote(instead, base);
  if (!isGone(instead) && !isNoteOnIt && (touchesCode(chunk) || touchesCode(region))) return undefined;
  const was = new Set(region.base.map(squashed));
  const fresh = region[deleting].filter((line) => !isBlank(line) && !was.has(squashed(line)));
  const own = [...base, ...kept].filter((line) => !isBlank(line));
  versions.effort.left -= fresh.length * own.length;
  if (fresh.length * own.length > MOST_COMPARISONS || versions.effort.left < 0) return undefined;
  const [before, after] = [new Set(base.map(squashed)), new Set(kept.map(squashed))];
  const again = own.filter((line) => fresh.some((other) => likeness(line, other) >= SOMEWHAT_ALIKE));
  const isEdited = (line: string): boolean => before.has(squashed(line)) !== after.has(squashed(line));
  if (again.some(isEdited) || again.length > own.length * MOST_ELSEWHERE) return undefined;
  if (isElsewhere(chunk, deleting)) return undefined;
  if (isGone(instead)) return kept;
  if (!isNoteOnIt && saysTwice(base, instead, kept)) return undefined;
  const parts = deleting === 'ours' ? [instead, kept] : [kept, instead];
  return joined(parts, chunk.ending);
}

/** Whether what stands instead uses words of what is kept: then it is a new version of it, however it looks. */
function saysTwice(base: readonly string[], instead: readonly string[], kept: readonly string[]): boolean {
  const known = new Set([...base, ...kept].flatMap(bareWords));
  return instead.flatMap(bareWords).some((word) => known.has(word));
}

/** So much smaller is what stands in place of a deleted text and is no new version of it. */
const NOTE_SHARE = 0.25;
/** Of fewer words nobody can say that they were replaced by a note. */
const FEWEST_REPLACED = 40;

/** Whether what stands instead is but a few words on what was there (that it has moved, say), no other way to say it. */
function isNote(instead: readonly string[], base: readonly string[]): boolean {
  const [now, was] = [instead.flatMap(bareWords).length, base.flatMap(bareWords).length];
  return was >= FEWEST_REPLACED && now <= was * NOTE_SHARE;
}

const isGone = (lines: readonly string[]): boolean => lines.every(isBlank);
const isProse = (kind: FileKind): boolean => kind === 'markdown' || kind === 'text';

/** The side of which nothing of the base is left there, while the other one has kept most of it. */
function deletingSide({ versions, base, ours, theirs }: Chunk): 'ours' | 'theirs' | undefined {
  const own = base.filter((line) => !isBlank(line));
  const keeps = (side: readonly string[]): boolean => {
    versions.effort.left -= side.length * own.length;
    if (side.length * own.length > MOST_COMPARISONS || versions.effort.left < 0) return !isGone(side);
    const found = own.filter((line) => side.some((other) => likeness(line, other) >= SOMEWHAT_ALIKE));
    return found.length > own.length * MOST_ALIKE;
  };
  const [mine, their] = [keeps(ours), keeps(theirs)];
  return mine === their ? undefined : mine ? 'theirs' : 'ours';
}

function joined(parts: readonly (readonly string[])[], ending: string): string[] {
  const [first = [], second = []] = parts;
  const above = closed(first, ending);
  const isTight = isItem(above.at(-1) ?? '') && isItem(second[0] ?? '');
  const isApart = isBlank(above.at(-1) ?? '') || isBlank(second[0] ?? '');
  return [...above, ...(isTight || isApart ? [] : [ending]), ...second];
}

/** Of what was deleted, this much may stand in other places, too: a line of markup, a title. */
const MOST_ELSEWHERE = 0.2;

/**
 * Whether the side that deleted the lines has put them in another place, where the base had them not: those that the
 * other side edited, or many of them.
 */
function isElsewhere({ versions, at, base, ours, theirs }: Chunk, side: 'ours' | 'theirs'): boolean {
  const kept = side === 'ours' ? theirs : ours;
  const own = [...base, ...kept].filter((line) => !isBlank(line)).map(squashed);
  const telling = new Set(own.filter((line) => line.length >= SHORT));
  const inVersion = [versions.base.squashedCounts, versions[side].squashedCounts] as const;
  const inPlace = [countLines(base), countLines(versions[side].slice(at[side]))] as const;
  const outside = (which: 0 | 1, line: string): number =>
    (inVersion[which].get(line) ?? 0) - (inPlace[which].get(line) ?? 0);
  const [was, is] = [new Set(base.map(squashed)), new Set(kept.map(squashed))];
  const moved = [...telling].filter((line) => inVersion[1].has(line) && outside(1, line) > outside(0, line));
  return moved.some((line) => was.has(line) !== is.has(line)) || moved.length > telling.size * MOST_ELSEWHERE;
}
