import type { Chunk } from './chunk.js';
import { diffLines } from './diff.js';
import { closed, KeyIds, squashed } from './line-text.js';
import { blocksOf, flowKey, linkTarget, textKey, type Block, type BlockKind, type Blocks } from './markdown/blocks.js';
import { contains } from './rules/superset.js';
import type { RuleName } from './rule-names.js';
import { bareWords, likeness, tokensOf } from './words.js';

/** A rule for what both sides added at one place. */
export interface AdditionRule {
  readonly name: RuleName;
  /** Whether the additions are of the kind that the rule knows. */
  fits(added: Added): boolean;
  /** In which order new parts come; without it ours come first, for somebody has to. undefined: the rule does not fit. */
  order?(added: Added): BlockOrder | undefined;
}

export interface Added {
  readonly chunk: Chunk;
  readonly ours: Blocks;
  readonly theirs: Blocks;
}

export type BlockOrder = (a: Block, b: Block) => number;

/** Pairs of parts whose words are compared; beyond it, only equal parts and equal targets of links are seen. */
const MOST_COMPARISONS = 10_000;
/** From here on two parts are two versions of one thing, which a person must choose from. */
const SAME_ITEM = 0.8;
const SAME_PARAGRAPH = 0.6;
/** In fewer words likeness says little: `- buy milk` and `- buy bread` are two things. */
const FEWEST_WORDS = 5;
const DEEPEST_SECTIONS = 6;

interface Placed {
  readonly block: Block;
  readonly from: 'ours' | 'theirs';
  readonly index: number;
}

/** The parts of a text to which each line is a part of its own. */
export function lineBlocks(lines: readonly string[]): Blocks {
  const blocks: Block[] = [];
  let lead: string[] = [];
  for (const line of lines) {
    if (line.trim() === '') lead.push(line);
    else {
      blocks.push({ kind: 'line', lead, lines: [line], indent: 0 });
      lead = [];
    }
  }
  return { blocks, tail: lead };
}

/**
 * The union of both additions: what both have comes once, what one has comes in the order of that side. Undefined
 * where the two seem to be versions of one thing.
 */
export function unite(added: Added, order?: BlockOrder, depth = 0): string[] | undefined {
  const { ours, theirs, chunk } = added;
  const theirKept = withoutVariants(ours.blocks, theirs.blocks, chunk);
  if (theirKept === undefined) return undefined;
  const placed =
    order === undefined ? inTurn(ours.blocks, theirKept, chunk, depth) : sortIn(ours.blocks, theirKept, order);
  return placed === undefined ? undefined : joined(sectionsLast(placed), added);
}

/** What stands above the first heading of either side belongs to the section above; no heading may take it over. */
function sectionsLast(placed: readonly Placed[]): readonly Placed[] {
  const isSection = ({ block }: Placed): boolean => block.kind === 'section';
  return [...placed.filter((part) => !isSection(part)), ...placed.filter(isSection)];
}

interface TheirPart {
  readonly block: Block;
  readonly index: number;
  /** Ours that this one says again, word for word or with more: it takes that one's place. */
  readonly standsFor?: number;
  readonly isLarger?: boolean;
}

/** Finds for each part of theirs what it is in ours; undefined: two versions of one thing, neither of which has it all. */
function withoutVariants(ours: readonly Block[], theirs: readonly Block[], chunk: Chunk): TheirPart[] | undefined {
  const byText = new EqualParts();
  const byName = new Map<string, number>();
  ours.forEach((block, index) => {
    byText.add(flowKey(block), index);
    const name = nameOf(block);
    if (name !== undefined) byName.set(name, index);
  });
  const parts: TheirPart[] = [];
  const { effort } = chunk.versions;
  effort.left -= ours.length * theirs.length;
  const mayCompare = ours.length * theirs.length <= MOST_COMPARISONS && effort.left >= 0;
  const taken = new Set<number>();
  const open: TheirPart[] = [];
  theirs.forEach((block, index) => {
    const same = byText.take(flowKey(block));
    if (same !== undefined) taken.add(same);
    const part = same === undefined ? { block, index } : { block, index, standsFor: same };
    parts.push(part);
    if (same === undefined) open.push(part);
  });
  for (const part of open) {
    const named = nameOf(part.block);
    const candidate = named === undefined ? undefined : byName.get(named);
    const rivals =
      candidate !== undefined && !taken.has(candidate)
        ? [candidate]
        : mayCompare
          ? ours
              .map((_, index) => index)
              .filter((index) => !taken.has(index) && isVariant(ours[index], part.block, chunk))
          : [];
    const rival = rivals[0];
    if (rival === undefined) continue;
    const mine = ours[rival];
    if (mine === undefined) continue;
    if (mine.kind === 'section' && part.block.kind === 'section') {
      taken.add(rival);
      parts[part.index] = { ...part, standsFor: rival };
      continue; // its contents are united in turn
    }
    const [small, large] = [tokens(mine), tokens(part.block)];
    const isLarger = contains(large, small, []);
    if (!isLarger && !contains(small, large, [])) return undefined;
    taken.add(rival);
    parts[part.index] = { ...part, standsFor: rival, isLarger };
  }
  return parts;
}

/** Each of equal parts stands for one part of the other side, from the first on. */
class EqualParts {
  private readonly places = new Map<string, { readonly indexes: number[]; next: number }>();

  add(key: string, index: number): void {
    const place = this.places.get(key);
    if (place === undefined) this.places.set(key, { indexes: [index], next: 0 });
    else place.indexes.push(index);
  }

  take(key: string): number | undefined {
    const place = this.places.get(key);
    return place?.indexes[place.next++];
  }
}

function tokens(block: Block): string[] {
  return (tokensOf(block.lines.join('')) ?? block.lines.slice()).filter((token) => token.trim() !== '');
}

/** What an entry is about, where it says so. */
function nameOf(block: Block): string | undefined {
  const first = block.lines[0] ?? '';
  if (block.kind === 'section') return `section ${squashed(first).toLowerCase()}`;
  if (block.kind === 'reference') return `reference ${/\[([^\]]+)\]:/.exec(first)?.[1]?.toLowerCase() ?? ''}`;
  if (block.kind === 'fence' || block.kind === 'line') return undefined;
  const target = linkTarget(first);
  return target === undefined ? undefined : `${block.kind} ${target}`;
}

function isVariant(mine: Block | undefined, their: Block, chunk: Chunk): boolean {
  if (mine === undefined || mine.kind !== their.kind || mine.kind === 'section' || mine.kind === 'reference')
    return false;
  const [one, other] = [mine.lines.join(''), their.lines.join('')];
  if (mine.kind === 'row' || (mine.kind === 'line' && chunk.versions.ours.kind === 'csv')) {
    const key = firstCell(one, chunk);
    return key !== '' && key === firstCell(other, chunk) && isKeyColumn(key, chunk);
  }
  if (mine.kind === 'line') return squashed(one).toLowerCase() === squashed(other).toLowerCase();
  if (namesDiffer(mine, their)) return false;
  const few = Math.min(bareWords(one).length, bareWords(other).length);
  if (few < FEWEST_WORDS) return contains(tokens(mine), tokens(their), []) || contains(tokens(their), tokens(mine), []);
  return likeness(one, other) >= (mine.kind === 'item' ? SAME_ITEM : SAME_PARAGRAPH);
}

function namesDiffer(mine: Block, their: Block): boolean {
  const [one, other] = [nameOf(mine), nameOf(their)];
  return one !== undefined && other !== undefined && one !== other;
}

export function firstCell(row: string, chunk: Chunk): string {
  const text = row.trim();
  if (chunk.versions.ours.kind !== 'csv') return squashed(text.replace(/^\|/, '').split('|')[0] ?? '');
  return /^(?:"(?:[^"]|"")*"|[^,;\t]*)/.exec(text)?.[0] ?? '';
}

/** A first column whose values never repeat on either side names the rows. */
function isKeyColumn(key: string, chunk: Chunk): boolean {
  let keys = namingKeys.get(chunk);
  if (keys === undefined) {
    keys = new Map();
    namingKeys.set(chunk, keys);
  }
  const known = keys.get(key);
  if (known !== undefined) return known;
  const isNaming = (['ours', 'theirs'] as const).every(
    (side) =>
      chunk.versions[side].lines.filter((line) => line.includes(key) && firstCell(line, chunk) === key).length <= 1,
  );
  keys.set(key, isNaming);
  return isNaming;
}

const namingKeys = new WeakMap<Chunk, Map<string, boolean>>();

/** What both have stays where it is on both sides; between two such parts ours come first. */
function inTurn(
  ours: readonly Block[],
  theirs: readonly TheirPart[],
  chunk: Chunk,
  depth: number,
): Placed[] | undefined {
  const ids = new KeyIds();
  const ourKeys = ours.map((_, index) => `ours ${index}`);
  const theirKeys = theirs.map((part) =>
    part.standsFor === undefined ? `theirs ${part.index}` : `ours ${part.standsFor}`,
  );
  const replaced = new Map<number, Block>();
  for (const { block, standsFor, isLarger } of theirs) {
    const mine = standsFor === undefined ? undefined : ours[standsFor];
    if (standsFor === undefined || mine === undefined) continue;
    if (isLarger === true) replaced.set(standsFor, { ...block, lead: mine.lead });
    else if (mine.kind === 'section' && textKey(mine) !== textKey(block)) {
      const both = uniteSections(mine, block, chunk, depth);
      if (both === undefined) return undefined;
      replaced.set(standsFor, both);
    }
  }
  const placed: Placed[] = [];
  let at = 0;
  const takeOurs = (until: number): void => {
    for (; at < until; at++) {
      const block = replaced.get(at) ?? ours[at];
      if (block !== undefined) placed.push({ block, from: 'ours', index: at });
    }
  };
  for (const change of diffLines(ids.of(ourKeys), ids.of(theirKeys))) {
    takeOurs(change.oldStart + change.oldCount);
    for (const part of theirs.slice(change.newStart, change.newStart + change.newCount)) {
      if (part.standsFor === undefined) placed.push({ block: part.block, from: 'theirs', index: part.index });
    }
  }
  takeOurs(ours.length);
  return placed;
}

/** Two sections of one name: their contents are additions to one place in turn. */
function uniteSections(ours: Block, theirs: Block, chunk: Chunk, depth: number): Block | undefined {
  if (depth >= DEEPEST_SECTIONS) return undefined;
  const content = { chunk, ours: blocksOf(ours.lines.slice(1)), theirs: blocksOf(theirs.lines.slice(1)) };
  const kinds = new Set([...content.ours.blocks, ...content.theirs.blocks].map(({ kind }) => kind));
  if (kinds.has('paragraph') && !containsAll(content)) return undefined; // two texts below one heading are rivals
  const lines = unite(content, undefined, depth + 1);
  return lines === undefined ? undefined : { ...ours, lines: [...ours.lines.slice(0, 1), ...lines] };
}

/** Whether the paragraphs of one side are all among the other's. */
function containsAll({ ours, theirs }: Added): boolean {
  const texts = ({ blocks }: Blocks): string[] => blocks.filter(({ kind }) => kind === 'paragraph').map(textKey);
  const [o, t] = [texts(ours), texts(theirs)];
  return o.every((text) => t.includes(text)) || t.every((text) => o.includes(text));
}

function sortIn(ours: readonly Block[], theirs: readonly TheirPart[], order: BlockOrder): Placed[] {
  const replaced = new Map(
    theirs.flatMap((part) =>
      part.standsFor !== undefined && part.isLarger === true ? [[part.standsFor, part.block] as const] : [],
    ),
  );
  const placed: Placed[] = [];
  const rest = theirs.filter((part) => part.standsFor === undefined);
  let at = 0;
  ours.forEach((block, index) => {
    for (; at < rest.length; at++) {
      const next = rest[at];
      if (next === undefined || order(next.block, block) >= 0) break;
      placed.push({ block: next.block, from: 'theirs', index: next.index });
    }
    placed.push({ block: replaced.get(index) ?? block, from: 'ours', index });
  });
  for (const { block, index } of rest.slice(at)) placed.push({ block, from: 'theirs', index });
  return placed;
}

const TIGHT = ['item', 'row', 'reference', 'line'];

/** Puts the parts one below the other, with the blank lines that either side had around them. */
function joined(placed: readonly Placed[], added: Added): string[] {
  const { chunk, ours, theirs } = added;
  const sources = { ours, theirs };
  const lines: string[] = [];
  const isGlued = gluedTo(chunk);
  placed.forEach(({ block, from, index }, at) => {
    const previous = placed[at - 1];
    let lead = block.lead;
    if (previous !== undefined && !(previous.from === from && previous.index === index - 1)) {
      const isSameList = TIGHT.includes(block.kind) && block.kind === previous.block.kind;
      if (isSameList) lead = blanksWithin(block.kind, added);
      else {
        const after = blanksAfter(sources[previous.from], previous.index);
        // the blank lines above the first part of an addition belong to what stands above the whole
        if (after.length > lead.length || (index === 0 && isGlued)) lead = after;
        if (lead.length === 0 && !isGlued) lead = [chunk.ending];
      }
    }
    if (previous === undefined) {
      const other = (from === 'ours' ? theirs : ours).blocks[0]?.lead ?? [];
      if (other.length > lead.length && index > 0) lead = other;
    }
    const last = lines.at(-1);
    if (last !== undefined && !last.endsWith('\n')) lines[lines.length - 1] = last + chunk.ending;
    for (const line of lead) lines.push(line);
    for (const line of block.lines) lines.push(line);
  });
  const tail = ours.tail.length >= theirs.tail.length ? ours.tail : theirs.tail;
  const isOpen = [ours, theirs].every((side) => !endsWithNewline(side));
  return [...(isOpen && tail.length === 0 ? lines : closed(lines, chunk.ending)), ...tail];
}

function endsWithNewline({ blocks, tail }: Blocks): boolean {
  return (tail.at(-1) ?? blocks.at(-1)?.lines.at(-1) ?? '\n').endsWith('\n');
}

/** The blank lines between two entries of one list: as the list has them. In a table there are none, for they would end it. */
function blanksWithin(kind: BlockKind, { chunk: { versions, at }, ours, theirs }: Added): readonly string[] {
  if (kind === 'row') return [];
  for (const { blocks } of [ours, theirs]) {
    const second = blocks.find((block, index) => block.kind === kind && blocks[index - 1]?.kind === kind);
    if (second !== undefined) return second.lead;
  }
  const kindOf = (line: string | undefined): BlockKind | undefined =>
    line === undefined ? undefined : blocksOf([line]).blocks[0]?.kind;
  const [above, below] = [versions.base.lines[at.base.start - 1], versions.base.lines[at.base.start + at.base.count]];
  const [first] = ours.blocks;
  if (first?.kind === kind && kindOf(above) === kind) return first.lead;
  const last = ours.blocks.at(-1);
  return last?.kind === kind && kindOf(below) === kind ? ours.tail : [];
}

function blanksAfter(source: Blocks, index: number): readonly string[] {
  return source.blocks[index + 1]?.lead ?? source.tail;
}

/** Whether both sides went on with a paragraph that stands there: then so does the union. */
function gluedTo({ versions, at, ours, theirs, isAddAdd }: Chunk): boolean {
  const above = versions.base.lines[at.base.start - 1];
  if (isAddAdd || above === undefined || above.trim() === '') return false;
  return [ours, theirs].every(
    (lines) => (lines[0] ?? '').trim() !== '' && blocksOf(lines.slice(0, 1)).blocks[0]?.kind === 'paragraph',
  );
}
