/**
 * Both sides added entries to a list that is sorted: each goes to its place. A list counts as sorted when both sides
 * kept it so: every entry around the place, with the new ones, is in one and the same order on either side.
 */
import type { Added, AdditionRule, BlockOrder } from '../additions.js';
import type { Version } from '../chunk.js';
import type { LineRange } from '../diff3.js';
import { isBlank } from '../line-text.js';
import { indentOf, isItem, isReference, isRow, type Block } from '../markdown/blocks.js';

/** Fewer entries are sorted by chance. */
const FEWEST_ENTRIES = 4;
/** Between two neighbours that are in order, and both sides' entries with them: that is no chance. */
const FEWEST_NEARBY = 3;
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

/** Making one takes milliseconds, and most merges sort nothing. */
let collators: { readonly plain: Intl.Collator; readonly natural: Intl.Collator } | undefined;
function collator(kind: 'plain' | 'natural'): Intl.Collator {
  collators ??= {
    plain: new Intl.Collator('en', { sensitivity: 'base' }),
    natural: new Intl.Collator('en', { sensitivity: 'base', numeric: true }),
  };
  return collators[kind];
}

/** Ways in which people sort, from the plainest on. */
const ORDERS: readonly { readonly keys: 'bare' | 'letters'; readonly compare: Compare }[] = [
  { keys: 'bare', compare: (a, b) => collator('plain').compare(a, b) },
  { keys: 'bare', compare: (a, b) => (a < b ? -1 : a > b ? 1 : 0) },
  { keys: 'letters', compare: (a, b) => (a < b ? -1 : a > b ? 1 : 0) },
  { keys: 'bare', compare: (a, b) => collator('natural').compare(a, b) },
];
const KEYS = { bare, letters };

function order({ chunk, ours, theirs }: Added): BlockOrder | undefined {
  const first = ours.blocks[0] ?? theirs.blocks[0];
  if (first === undefined) return undefined;
  const lists = (['ours', 'theirs'] as const).map((side) => entriesAround(chunk.versions[side], chunk.at[side], first));
  return orderOf(lists, FEWEST_ENTRIES) ?? orderOf(lists.map(nearby), FEWEST_NEARBY);
}

function orderOf(lists: readonly Entries[], fewest: number): BlockOrder | undefined {
  if (lists.some(({ entries }) => entries.length < fewest)) return undefined;
  for (const [number, { keys, compare }] of ORDERS.entries()) {
    for (const direction of [1, -1] as const) {
      if (!lists.every((list) => isSorted(list, number, direction))) continue;
      const keyOf = KEYS[keys];
      return (a, b) => direction * compare(keyOf(a.lines[0] ?? ''), keyOf(b.lines[0] ?? ''));
    }
  }
  return undefined;
}

/** A list that is not sorted throughout may be so where the new entries are: from the neighbour above to the one below. */
function nearby({ list, entries, near }: Entries): Entries {
  const isBetween = near.from > 0 && near.to < entries.length;
  if (!isBetween) return { list, entries: [], near };
  return { list, entries: entries.slice(near.from - 1, near.to + 1), near: { from: 1, to: near.to - near.from + 1 } };
}

/** Of a long list a few entries may be out of order, as long as none of them is near. */
function isSorted({ list, entries, near }: Entries, order: number, direction: 1 | -1): boolean {
  const step = (at: number): number => direction * list.step(order, entries[at - 1] ?? 0, entries[at] ?? 0);
  for (let at = Math.max(1, near.from); at <= near.to && at < entries.length; at++) if (step(at) > 0) return false;
  let [ups, downs] = [0, 0];
  for (let at = 1; at < entries.length; at++) {
    const way = step(at);
    if (way > 0) {
      downs++;
      if (downs > (entries.length - downs) * MOST_DISORDER) return false; // were all the others steps up
    } else if (way < 0) ups++;
  }
  return ups > 0 && downs <= ups * MOST_DISORDER;
}

const NOT_COMPARED = 2;

/**
 * What is known of a version's lines as entries of a sorted list. Places stand close to each other and look at the same
 * lines around them; what each line is sorted by, and which of two comes first, is found out once.
 */
class SortedLines {
  private readonly keys: Record<'bare' | 'letters', (string | undefined)[]>;
  private readonly verdicts = new Map<string, Uint8Array>();
  private readonly steps = new Map<number, { readonly from: Int32Array; readonly way: Int8Array }>();

  constructor(private readonly lines: readonly string[]) {
    this.keys = {
      bare: new Array<string | undefined>(lines.length),
      letters: new Array<string | undefined>(lines.length),
    };
  }

  /** Whether the first of two lines comes before the second one (below 0) or behind it. */
  step(order: number, from: number, to: number): number {
    let known = this.steps.get(order);
    if (known === undefined) {
      known = { from: new Int32Array(this.lines.length), way: new Int8Array(this.lines.length).fill(NOT_COMPARED) };
      this.steps.set(order, known);
    }
    if (known.way[to] !== NOT_COMPARED && known.from[to] === from) return known.way[to] ?? 0;
    const { keys, compare } = ORDERS[order] as (typeof ORDERS)[number];
    const way = Math.sign(compare(this.key(keys, from), this.key(keys, to)));
    known.from[to] = from;
    known.way[to] = way;
    return way;
  }

  /** Says of a line whether it is an entry of the list that this block belongs to. */
  verdictsFor(like: Block): (line: number) => Verdict {
    const name = `${like.kind} ${like.indent}`;
    let known = this.verdicts.get(name);
    if (known === undefined) this.verdicts.set(name, (known = new Uint8Array(this.lines.length)));
    const verdicts = known;
    return (line) => {
      if (verdicts[line] === 0) verdicts[line] = verdictOn(this.lines[line] ?? '', like);
      return verdicts[line] as Verdict;
    };
  }

  private key(kind: 'bare' | 'letters', line: number): string {
    return (this.keys[kind][line] ??= KEYS[kind](this.lines[line] ?? ''));
  }
}

const sortedLines = new WeakMap<Version, SortedLines>();

function linesAsEntries(version: Version): SortedLines {
  let known = sortedLines.get(version);
  if (known === undefined) sortedLines.set(version, (known = new SortedLines(version.lines)));
  return known;
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
  readonly list: SortedLines;
  /** The first lines of the entries of the list that the place belongs to, the new ones among them. */
  readonly entries: readonly number[];
  /** Which of them are new, with the neighbours. */
  readonly near: { readonly from: number; readonly to: number };
}

function entriesAround(version: Version, { start, count }: LineRange, like: Block): Entries {
  const list = linesAsEntries(version);
  const verdictOf = list.verdictsFor(like);
  const entries: number[] = [];
  for (let at = start - 1; at >= Math.max(0, start - NEIGHBOURHOOD); at--) {
    const verdict = verdictOf(at);
    if (verdict === END) break;
    if (verdict === ENTRY) entries.push(at);
  }
  entries.reverse();
  const from = entries.length;
  let fresh = 0;
  for (let at = start; at < Math.min(version.lines.length, start + count + NEIGHBOURHOOD); at++) {
    const verdict = verdictOf(at);
    if (verdict === END) break;
    if (verdict !== ENTRY) continue;
    entries.push(at);
    if (at < start + count) fresh++;
  }
  return { list, entries, near: { from, to: from + fresh } };
}

const ENTRY = 1;
/** Belongs to the entry above it. */
const WITHIN = 2;
const END = 3;
type Verdict = typeof ENTRY | typeof WITHIN | typeof END;

function verdictOn(line: string, { kind, indent }: Block): Verdict {
  if (kind === 'row') return /^\|[\s:|-]+\|$/.test(line.trim()) || !isRow(line) ? END : ENTRY;
  if (kind === 'reference') return isReference(line) ? ENTRY : END;
  if (kind === 'line') return isBlank(line) ? END : ENTRY;
  if (isBlank(line)) return WITHIN;
  if (isItem(line)) return indentOf(line) === indent ? ENTRY : indentOf(line) > indent ? WITHIN : END;
  return indentOf(line) > indent ? WITHIN : END;
}
