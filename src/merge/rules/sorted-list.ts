/**
 * Both sides added entries to a list that is sorted: each goes to its place. A list counts as sorted when both sides
 * kept it so: every entry around the place, with the new ones, is in one and the same order on either side.
 */
import type { Added, AdditionRule, BlockOrder } from '../additions.js';
import type { Version } from '../chunk.js';
import type { LineRange } from '../diff3.js';
import { isBlank } from '../line-text.js';
import { indentOf, isItem, isReference, isRow, type Block, type BlockKind } from '../markdown/blocks.js';

/** Fewer entries are sorted by chance. */
const FEWEST_ENTRIES = 4;
/** How many steps down a sorted list may have for each step up. */
const MOST_DISORDER = 0.1;
/** How far around the place entries are looked at. */
const NEIGHBOURHOOD = 200;

export const sortedList: AdditionRule = {
  name: 'sorted-list',
  fits: ({ ours, theirs }) => {
    const all = [...ours.blocks, ...theirs.blocks];
    const kind = all[0]?.kind;
    return (
      kind !== undefined &&
      kind !== 'section' &&
      kind !== 'paragraph' &&
      kind !== 'fence' &&
      all.every((block) => block.kind === kind)
    );
  },
  order,
};

type Compare = (a: string, b: string) => number;

const collator = new Intl.Collator('en', { sensitivity: 'base' });
const natural = new Intl.Collator('en', { sensitivity: 'base', numeric: true });

/** Ways in which people sort, from the plainest on. */
const ORDERS: readonly { readonly keyOf: (line: string) => string; readonly compare: Compare }[] = [
  { keyOf: bare, compare: (a, b) => collator.compare(a, b) },
  { keyOf: bare, compare: (a, b) => (a < b ? -1 : a > b ? 1 : 0) },
  { keyOf: letters, compare: (a, b) => (a < b ? -1 : a > b ? 1 : 0) },
  { keyOf: bare, compare: (a, b) => natural.compare(a, b) },
];

function order({ chunk, ours, theirs }: Added): BlockOrder | undefined {
  const first = ours.blocks[0] ?? theirs.blocks[0];
  if (first === undefined) return undefined;
  const lists = (['ours', 'theirs'] as const).map((side) => entriesAround(chunk.versions[side], chunk.at[side], first));
  if (lists.some(({ entries }) => entries.length < FEWEST_ENTRIES)) return undefined;
  for (const { keyOf, compare } of ORDERS) {
    for (const direction of [1, -1]) {
      const directed: Compare = (a, b) => direction * compare(a, b);
      if (lists.every((list) => isSorted(list, keyOf, directed)))
        return (a, b) => directed(keyOf(a.lines[0] ?? ''), keyOf(b.lines[0] ?? ''));
    }
  }
  return undefined;
}

/** Of a long list a few entries may be out of order, as long as none of them is near. */
function isSorted({ entries, near }: Entries, keyOf: (line: string) => string, compare: Compare): boolean {
  let [ups, downs] = [0, 0];
  const keys = entries.map(keyOf);
  for (let at = 1; at < keys.length; at++) {
    const step = compare(keys[at - 1] ?? '', keys[at] ?? '');
    if (step > 0) {
      if (at >= near.from && at <= near.to) return false;
      downs++;
    } else if (step < 0) ups++;
  }
  return ups > 0 && downs <= ups * MOST_DISORDER;
}

/** What an entry is sorted by: its text as it is read, without list marker, markup and the target of a link. */
function bare(line: string): string {
  return line
    .trim()
    .replace(/^(?:[-*+]|\d+[.)])\s+(?:\[.\]\s+)?/, '')
    .replace(/^\|\s*/, '')
    .replace(/^\[([^\]]*)\]:?(?:\([^)]*\))?/, '$1')
    .replace(/[*_`[\]"]/g, '')
    .trim();
}

function letters(line: string): string {
  return bare(line)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

interface Entries {
  /** The first lines of the entries of the list that the place belongs to, the new ones among them. */
  readonly entries: readonly string[];
  /** Which of them are new, with the neighbours. */
  readonly near: { readonly from: number; readonly to: number };
}

function entriesAround(version: Version, { start, count }: LineRange, like: Block): Entries {
  const above: string[] = [];
  const below: string[] = [];
  const isEntry = entryTest(like.kind, like.indent);
  for (let at = start - 1; at >= Math.max(0, start - NEIGHBOURHOOD); at--) {
    const verdict = isEntry(version.lines[at] ?? '');
    if (verdict === 'end') break;
    if (verdict === 'entry') above.unshift(version.lines[at] ?? '');
  }
  let fresh = 0;
  for (let at = start; at < Math.min(version.lines.length, start + count + NEIGHBOURHOOD); at++) {
    const verdict = isEntry(version.lines[at] ?? '');
    if (verdict === 'end') break;
    if (verdict !== 'entry') continue;
    below.push(version.lines[at] ?? '');
    if (at < start + count) fresh++;
  }
  return { entries: [...above, ...below], near: { from: above.length, to: above.length + fresh } };
}

function entryTest(kind: BlockKind, indent: number): (line: string) => 'entry' | 'within' | 'end' {
  return (line) => {
    if (kind === 'row') return /^\|[\s:|-]+\|$/.test(line.trim()) || !isRow(line) ? 'end' : 'entry';
    if (kind === 'reference') return isReference(line) ? 'entry' : 'end';
    if (kind === 'line') return isBlank(line) ? 'end' : 'entry';
    if (isBlank(line)) return 'within';
    if (isItem(line)) return indentOf(line) === indent ? 'entry' : indentOf(line) > indent ? 'within' : 'end';
    return indentOf(line) > indent ? 'within' : 'end';
  };
}
