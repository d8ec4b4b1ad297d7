import { closed, trimmedEnd } from '../line-text.js';
import { mergeByLines } from '../merge-lines.js';
import { orderedUnion } from '../ordered-union.js';
import { settled, type MergedPiece } from '../pieces.js';
import type { RuleChoice, RuleName } from '../rule-names.js';
import { entriesOf, indentOf, valueOf, type Entries, type Entry } from './entries.js';
import { underOldNames } from './edited-items.js';
import { mergeFlow } from './flow.js';
import { withItemNames } from './item-names.js';
import { inOneLayout } from './layout.js';
import { mergeLine, mixesLatest } from './merge-line.js';
import { withRenamedKeys } from './renamed-keys.js';
import { valueKey } from './scalar.js';
import { isSetKey, mergeSets } from './value-lists.js';

export interface EntriesContext {
  readonly rule: RuleName;
  readonly choice: RuleChoice;
  readonly ending: string;
}

/** Deeper nesting is merged as a whole. */
const DEEPEST = 40;

/**
 * Merges block YAML entry by entry: a key or list item that one side changed, added or took away is so in the
 * result; where both changed one, what is below it is looked at in turn. Undefined where the lines are not
 * understood, or both sides put the entries into another order.
 */
export function mergeYamlLines(
  base: readonly string[] | undefined,
  ours: readonly string[],
  theirs: readonly string[],
  context: EntriesContext,
  depth = 0,
): MergedPiece[] | undefined {
  if (depth > DEEPEST) return undefined;
  const read = [base === undefined ? { entries: [], tail: [] } : entriesOf(base), entriesOf(ours), entriesOf(theirs)];
  if (read[0] === undefined || read[1] === undefined || read[2] === undefined) return undefined;
  const alike = inOneLayout(read[0], read[1], read[2]);
  if (alike === undefined) return undefined;
  const [was, mine, their] = withItemNames([alike.base, alike.ours, alike.theirs] as const);
  const { base: b, ours: o, theirs: t } = withRenamedKeys(was, underOldNames(was, mine), underOldNames(was, their));
  const table = { base: byName(b), ours: byName(o), theirs: byName(t) };
  if (replacesAlike(table.base, table.ours, table.theirs)) return undefined;
  const names = orderedUnion([...table.base.keys()], [...table.ours.keys()], [...table.theirs.keys()]);
  if (names === undefined) return undefined;
  const versionsOf = (name: string): Versions => ({
    base: table.base.get(name),
    ours: table.ours.get(name),
    theirs: table.theirs.get(name),
  });
  if (mixesLatest(names, versionsOf, context.choice, depth)) return undefined;
  const pieces: MergedPiece[] = [];
  for (const name of names) {
    const entry = versionsOf(name);
    const merged = mergeEntry(name, entry, context, depth);
    if (merged === undefined) return undefined;
    pieces.push(...merged);
  }
  const tail = pick(b.tail, o.tail, t.tail) ?? blanks(o.tail, t.tail);
  if (tail === undefined) return undefined;
  return tail.length === 0 ? pieces : [...pieces, settled(tail.join(''))];
}

/** List items of one text are told apart by their number: two equal ones are two items. */
type Table = ReadonlyMap<string, Entry>;

function byName({ entries }: Entries): Table {
  const map = new Map<string, Entry>();
  const counts = new Map<string, number>();
  for (const entry of entries) {
    const number = (counts.get(entry.name) ?? 0) + 1;
    counts.set(entry.name, number);
    map.set(number === 1 ? entry.name : `${entry.name}\n${number}`, entry);
  }
  return map;
}

/** Whether both sides put something in place of the same entries, or one did where the other edited: a renaming, perhaps. */
function replacesAlike(base: Table, ours: Table, theirs: Table): boolean {
  const isNew = (side: Table, other: Table): boolean =>
    [...side.keys()].some((name) => !base.has(name) && !other.has(name));
  const [oursAdds, theirsAdds] = [isNew(ours, theirs), isNew(theirs, ours)];
  return [...base].some(([name, was]) => {
    const [mine, their] = [ours.get(name), theirs.get(name)];
    if (mine === undefined && their === undefined) return was.kind === 'item' && oursAdds && theirsAdds;
    if (mine === undefined) return oursAdds && !same(was, their);
    return their === undefined && theirsAdds && !same(was, mine);
  });
}

interface Versions {
  readonly base: Entry | undefined;
  readonly ours: Entry | undefined;
  readonly theirs: Entry | undefined;
}

function mergeEntry(
  name: string,
  { base, ours, theirs }: Versions,
  context: EntriesContext,
  depth: number,
): MergedPiece[] | undefined {
  const { choice, rule, ending } = context;
  if (ours === undefined && theirs === undefined) return [];
  const mine = same(base, ours) ? theirs : same(base, theirs) || same(ours, theirs) ? ours : null;
  if (mine !== null)
    return mine === undefined ? [] : [settled(textOf(mine, ending), ours === theirs ? undefined : rule)];
  if (ours === undefined || theirs === undefined) {
    const kept = ours ?? theirs;
    if (kept !== undefined && choice.allows('delete-modify')) return [settled(textOf(kept, ending), 'delete-modify')];
    return [conflict(base, ours, theirs)];
  }
  const lead =
    pick(base?.lead ?? [], ours.lead, theirs.lead) ??
    blanks(ours.lead, theirs.lead) ??
    lineByLine(base?.lead ?? [], ours.lead, theirs.lead);
  if (lead === undefined) return [conflict(base, ours, theirs)]; // comments that both rewrote
  const above = lead.length === 0 ? [] : [settled(lead.join(''))];
  if (linesKey(ours) === linesKey(theirs)) return [...above, settled(closed(ours.lines, ending).join(''), rule)];
  if (base !== undefined && linesKey(base) === linesKey(ours))
    return [...above, settled(closed(theirs.lines, ending).join(''), rule)];
  if (base !== undefined && linesKey(base) === linesKey(theirs))
    return [...above, settled(closed(ours.lines, ending).join(''), rule)];
  const line = mergeLine({ base, ours, theirs }, context, depth);
  if (line !== undefined) return [...above, settled(closed([line.text], ending).join(''), line.rule)];
  if (isSetKey(name)) {
    const set = mergeSets(base, ours, theirs, ending);
    if (set !== undefined) return [...above, settled(set.join(''), rule)];
  }
  const flow = mergeFlowLine(base, ours, theirs);
  if (flow !== undefined) return [...above, settled(closed([flow], ending).join(''), rule)];
  return [...above, ...(mergeBelow(base, ours, theirs, context, depth) ?? [conflict(base, ours, theirs)])];
}

/** A list or map in brackets, all on the line of its key. */
function mergeFlowLine(base: Entry | undefined, ours: Entry, theirs: Entry): string | undefined {
  if ([base, ours, theirs].some((entry) => entry !== undefined && (entry.kind !== 'key' || entry.lines.length !== 1)))
    return undefined;
  const { inline } = valueOf(ours);
  const merged = mergeFlow(base === undefined ? undefined : valueOf(base).inline, inline, valueOf(theirs).inline);
  const [line = ''] = ours.lines;
  const end = line.trimEnd().length;
  return merged === undefined ? undefined : line.slice(0, end - inline.length) + merged + line.slice(end);
}

/** Looks into an entry that both changed, where its own line is the same on both sides. */
function mergeBelow(
  base: Entry | undefined,
  ours: Entry,
  theirs: Entry,
  context: EntriesContext,
  depth: number,
): MergedPiece[] | undefined {
  if (base !== undefined && ours.kind === 'key') {
    const text = mergeBlockText(base, ours, theirs, context);
    if (text !== undefined) return text;
  }
  const inner = (entry: Entry): string[] | undefined =>
    entry.kind === 'item' ? itemAsLines(entry) : keyAsLines(entry);
  const [b, o, t] = [base === undefined ? [] : inner(base), inner(ours), inner(theirs)];
  if (b === undefined || o === undefined || t === undefined) return undefined;
  const pieces = mergeYamlLines(base === undefined ? undefined : b, o, t, context, depth + 1);
  if (pieces === undefined) return undefined;
  if (ours.kind === 'key') return [settled(closed(ours.lines.slice(0, 1), context.ending).join('')), ...pieces];
  // the item's own mark goes back to the front of what is now its first line
  const [first, ...rest] = pieces;
  if (first?.kind !== 'settled') return undefined;
  const mark = /^ *-/.exec(ours.lines[0] ?? '')?.[0] ?? '-';
  if (!/^ *$/.test(first.text.slice(0, mark.length))) return undefined;
  return [{ ...first, text: mark + first.text.slice(mark.length) }, ...rest];
}

/** A text below a key (`|`, `>`: YAML 1.2.2, section 8.1) is merged by lines as git does, for it may be code. */
function mergeBlockText(
  base: Entry,
  ours: Entry,
  theirs: Entry,
  { choice, ending }: EntriesContext,
): MergedPiece[] | undefined {
  const texts = [base, ours, theirs].map(valueOf);
  const [b, o, t] = texts.map(({ below }) => below);
  if (b === undefined || o === undefined || t === undefined || !/^[|>][-+]?$/.test(texts[0]?.inline ?? ''))
    return undefined;
  const isOneForm = texts.every(({ inline }) => inline === texts[0]?.inline);
  const depths = texts.map(({ below }) => indentOf(below.find((line) => line.trim() !== '') ?? ''));
  if (!isOneForm || new Set(depths).size > 1) return undefined;
  const [head = ''] = ours.lines;
  return [settled(head), ...mergeByLines({ kind: 'other', base: b, ours: o, theirs: t, ending, choice })];
}

function keyAsLines(entry: Entry): string[] | undefined {
  const { inline, below } = valueOf(entry);
  return inline === '' && below.length > 0 ? [...below] : undefined;
}

/** `- name: x` with its lines below is a group of keys that are indented by the width of the mark. */
function itemAsLines(entry: Entry): string[] | undefined {
  const first = entry.lines[0] ?? '';
  const mark = /^( *)-( +)/.exec(first);
  if (!mark) return undefined;
  const lines = [' '.repeat(mark[0].length) + first.slice(mark[0].length), ...entry.lines.slice(1)];
  const deep = lines.slice(1).find((line) => line.trim() !== '');
  return deep === undefined || indentOf(deep) === mark[0].length ? lines : undefined;
}

function textOf(entry: Entry, ending: string): string {
  return [...entry.lead, ...closed(entry.lines, ending)].join('');
}

/** Equal for entries that say the same; quotes around a value on one line say nothing. */
function linesKey(entry: Entry): string {
  const [line] = entry.lines;
  if (entry.lines.length === 1 && line !== undefined && entry.kind === 'key') {
    return `${' '.repeat(entry.indent)}${entry.name}: ${valueKey(valueOf(entry).inline)}`.trimEnd();
  }
  return entry.lines.map(trimmedEnd).join('\n');
}

function same(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return linesKey(a) === linesKey(b) && leadKey(a.lead) === leadKey(b.lead);
}

/** How far comments are indented says nothing. */
function leadKey(lead: readonly string[]): string {
  return lead.map((line) => `${line.trim()}\n`).join('');
}

function pick(
  base: readonly string[],
  ours: readonly string[],
  theirs: readonly string[],
): readonly string[] | undefined {
  const [b, o, t] = [leadKey(base), leadKey(ours), leadKey(theirs)];
  if (o === t || t === b) return ours;
  return o === b ? theirs : undefined;
}

/** Comments of several lines, of which either side changed others: each line is a remark of its own. */
function lineByLine(
  base: readonly string[],
  ours: readonly string[],
  theirs: readonly string[],
): readonly string[] | undefined {
  if (base.length !== ours.length || base.length !== theirs.length) return undefined;
  const lines = base.map((line, at) => pick([line], ours.slice(at, at + 1), theirs.slice(at, at + 1))?.[0]);
  return lines.every((line) => line !== undefined) ? lines : undefined;
}

/** Blank lines are no reason for a conflict. */
function blanks(ours: readonly string[], theirs: readonly string[]): readonly string[] | undefined {
  const text = (lines: readonly string[]): string =>
    lines
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .join('\n');
  const [mine, their] = [text(ours), text(theirs)];
  return mine === their || their === '' ? ours : mine === '' ? theirs : undefined;
}

function conflict(base: Entry | undefined, ours: Entry | undefined, theirs: Entry | undefined): MergedPiece {
  const text = (entry: Entry | undefined): string => [...(entry?.lead ?? []), ...(entry?.lines ?? [])].join('');
  return { kind: 'conflict', base: text(base), ours: text(ours), theirs: text(theirs) };
}
