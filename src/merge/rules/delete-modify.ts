/**
 * One side deleted lines, the other one edited them: the edit is kept, and said. A deletion can be made again in a
 * moment; an edit that is gone must be written again by someone who remembers it. It is done only where the
 * deletion is nothing but that: where the side has put the lines elsewhere, or something like them in their
 * place, keeping the edit would say the same thing twice.
 */
import { countLines, cutsFence, touchesCode, type Chunk } from '../chunk.js';
import type { FileKind } from '../file-kind.js';
import { closed, isBlank, squashed } from '../line-text.js';
import { blocksOf, isItem, isReference, textKey, type Block } from '../markdown/blocks.js';
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
  const isCuttable = isProse(versions.ours.kind) && !cutsFence(chunk) && !kept.some((line) => ENCLOSING.test(line));
  const edited = isCuttable ? editedParts(base, kept, chunk.ending) : kept;
  if (isGone(instead)) return edited;
  if (!isNoteOnIt && saysTwice(base, instead, edited)) return undefined;
  if (isGone(edited)) return instead;
  const parts = deleting === 'ours' ? [instead, edited] : [edited, instead];
  return joined(parts, chunk.ending);
}

/** HTML that encloses the parts of a text: to take some of them out would leave it empty or open. */
const ENCLOSING = /^\s*<\/?(?:details|div|table|tbody|tr|ul|ol|dl|section|article|blockquote|p|center|pre)\b/i;

/**
 * Of what the other side kept: the parts in which it wrote something, with the headings that they stand below, and what
 * their links are defined by. What nobody has touched stays deleted; but text between two edited paragraphs of one section
 * belongs to what was edited.
 */
function editedParts(base: readonly string[], kept: readonly string[], ending: string): readonly string[] {
  const known = new Map<string, number>();
  learn(base, known);
  const picked = pickEdited(kept, known);
  const labels = new Set(picked.flatMap((line) => [...line.matchAll(LABEL)].map(([, label = '']) => label)));
  const missing = new Set(kept.filter((line) => isReference(line) && labels.has(labelOf(line))));
  for (const line of picked) missing.delete(line);
  if (missing.size === 0) return picked;
  let end = picked.length;
  while (isBlank(picked[end - 1] ?? '.')) end--;
  const gap = isReference(picked[end - 1] ?? '') ? [] : [ending];
  return [...closed(picked.slice(0, end), ending), ...gap, ...missing, ...picked.slice(end)];
}

const LABEL = /\[([^[\]]{1,200})\](?!\(|:)/g;
const labelOf = (line: string): string => /^ {0,3}\*?\[([^[\]]{1,200})\]:/.exec(line)?.[1] ?? '';
const keyOf = (block: Block): string => (block.kind === 'section' ? squashed(block.lines[0] ?? '') : textKey(block));

/** Counts the parts of a text: a heading is one by itself. */
function learn(lines: readonly string[], known: Map<string, number>): void {
  for (const block of blocksOf(lines).blocks) {
    known.set(keyOf(block), (known.get(keyOf(block)) ?? 0) + 1);
    if (block.kind === 'section') learn(block.lines.slice(1), known);
  }
}

function pickEdited(lines: readonly string[], known: Map<string, number>): string[] {
  const { blocks, tail } = blocksOf(lines);
  const isEdited = blocks.map((block) => {
    const left = known.get(keyOf(block)) ?? 0;
    known.set(keyOf(block), left - 1);
    return left <= 0;
  });
  const isText = (at: number): boolean => ['paragraph', 'fence'].includes(blocks[at]?.kind ?? '');
  const edited = blocks.map((_, at) => at).filter((at) => isText(at) && isEdited[at] === true);
  const [first, last] = [edited[0] ?? Infinity, edited.at(-1) ?? -1];
  const picked: string[] = [];
  let table: number | undefined;
  blocks.forEach((block, at) => {
    const { kind, lead } = block;
    if (kind !== 'row') table = undefined;
    else if (table === undefined || lead.length > 0) table = at;
    const within = kind === 'section' ? pickEdited(block.lines.slice(1), known) : [];
    const isHead = table !== undefined && isHeadOf(blocks, table, at, isEdited);
    if (kind === 'section') {
      if (isEdited[at] === true || within.length > 0) picked.push(...lead, ...block.lines.slice(0, 1), ...within);
    } else if (isEdited[at] === true || isHead || (at > first && at < last)) picked.push(...lead, ...block.lines);
  });
  return picked.length > 0 ? [...picked, ...tail] : picked;
}

/** Whether this row is the head of a table of which a row was edited: without it nobody knows what the row means. */
function isHeadOf(blocks: readonly Block[], table: number, at: number, isEdited: readonly boolean[]): boolean {
  const isRuler = /^[ |:-]+$/.test(blocks[table + 1]?.lines[0]?.trim() ?? '.');
  if (!isRuler || at > table + 1) return false;
  for (let row = table; blocks[row]?.kind === 'row' && (row === table || blocks[row]?.lead.length === 0); row++) {
    if (isEdited[row] === true) return true;
  }
  return false;
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
    // equal lines first: most of a long text that was kept is told by them, and costs nothing
    const same = new Set(side.map(squashed));
    if (own.filter((line) => same.has(squashed(line))).length > own.length * MOST_ALIKE) return true;
    versions.effort.left -= side.length * own.length;
    if (side.length * own.length > MOST_COMPARISONS || versions.effort.left < 0) return !isGone(side);
    const found = own.filter((line) => side.some((other) => likeness(line, other) >= SOMEWHAT_ALIKE));
    return found.length > own.length * MOST_ALIKE;
  };
  // lines that are simply gone were deleted, whatever the other side made of them
  if (isGone(ours) !== isGone(theirs)) return isGone(ours) ? 'ours' : 'theirs';
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
