import { closed } from '../line-text.js';
import { entriesOf, valueOf, type Entry } from './entries.js';
import { scalarOf, unquoted } from './scalar.js';

/** Keys whose value is a set: the order means nothing, and no value contradicts another one. */
const SETS = new Set([
  'tags',
  'tag',
  'aliases',
  'alias',
  'cssclasses',
  'cssclass',
  'categories',
  'keywords',
  'labels',
  'authors',
  'contributors',
]);

export function isSetKey(key: string): boolean {
  return SETS.has(key.toLowerCase());
}

/**
 * The set of both sides' values: what one side took away and the other kept is gone, what either added is there, ours
 * first. In the form in which ours is written. Undefined where a value is no plain list.
 */
export function mergeSets(base: Entry | undefined, ours: Entry, theirs: Entry, ending: string): string[] | undefined {
  const isInLine = [ours, theirs].some(isCommaList);
  const [b, o, t] = [base, ours, theirs].map((side) => (side === undefined ? [] : valuesOf(side, isInLine)));
  if (b === undefined || o === undefined || t === undefined) return undefined;
  const was = new Map(b.map((value) => [plain(value), value]));
  const [mine, their] = [new Set(o.map(plain)), new Set(t.map(plain))];
  const stays = (value: string): boolean =>
    !was.has(plain(value)) || (mine.has(plain(value)) && their.has(plain(value)));
  const values = [...o.filter(stays), ...t.filter((value) => !mine.has(plain(value)) && stays(value))];
  return write(ours, o, values, ending) ?? write(theirs, t, values, ending);
}

const plain = unquoted;

/** `tags: one, two`: no list to YAML, but one to whoever reads these keys. */
function isCommaList(entry: Entry): boolean {
  const { inline, below } = valueOf(entry);
  const value = scalarOf(inline);
  return below.length === 0 && value !== undefined && value.comment === '' && value.value.includes(',');
}

function membersOf(text: string): string[] {
  return text
    .split(',')
    .map((value) => value.trim())
    .filter((value) => value !== '');
}

/** @param isInLine a value without brackets is a list whose members commas set apart */
function valuesOf(entry: Entry, isInLine: boolean): string[] | undefined {
  const { inline, below } = valueOf(entry);
  if (below.length === 0) {
    if (inline === '') return [];
    const scalar = isInLine ? scalarOf(inline) : undefined;
    if (scalar?.comment === '') return membersOf(plain(scalar.value));
    const flow = /^\[(.*)\]$/.exec(inline)?.[1];
    if (flow === undefined) return undefined;
    if (flow.trim() === '') return [];
    const parts = flow.match(/"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,]+/g) ?? [];
    const values = parts.map((part) => part.trim()).filter((part) => part !== '');
    return values.some((value) => /^[[{&*!|>]|[\]}]$/.test(value)) ? undefined : values;
  }
  if (inline !== '') return undefined;
  const list = entriesOf(below);
  if (list === undefined || list.tail.length > 0) return undefined;
  const isPlain = list.entries.every(
    ({ kind, lines, lead }) => kind === 'item' && lines.length === 1 && lead.length === 0,
  );
  return isPlain ? list.entries.map((item) => valueOf(item).inline) : undefined;
}

/** A list without brackets, written as it was; quoted where it was. */
function inLineList(line: string, value: string, values: readonly string[]): string | undefined {
  if (!value.includes(',') || scalarOf(value) === undefined) return undefined;
  const quote = /^["']/.exec(value)?.[0] ?? '';
  const separator = /,\s/.test(value) ? ', ' : ',';
  const text = values.join(separator);
  if (quote === '' ? /^["']|: | #/.test(text) : text.includes(quote)) return undefined;
  const at = line.lastIndexOf(value);
  return line.slice(0, at) + quote + text + quote + line.slice(at + value.length);
}

function write(entry: Entry, own: readonly string[], values: readonly string[], ending: string): string[] | undefined {
  const first = entry.lines[0] ?? '';
  const known = new Set(own);
  if (entry.lines.length === 1) {
    const inLine = inLineList(first, valueOf(entry).inline, values);
    if (inLine !== undefined) return [inLine];
    const open = first.indexOf('[');
    const close = first.lastIndexOf(']');
    if (open < 0) return own.length === 0 && values.length === 0 ? [...entry.lines] : undefined;
    const inner = first.slice(open + 1, close);
    const padding = /^\s*/.exec(inner)?.[0] ?? '';
    const quote = own.length > 0 && own.every((value) => /^".*"$/.test(value)) ? '"' : '';
    const written = values.map((value) => (known.has(value) || quote === '' ? value : `"${plain(value)}"`));
    return [`${first.slice(0, open + 1)}${padding}${written.join(', ')}${padding}${first.slice(close)}`];
  }
  const items = entry.lines.slice(1);
  const marker = /^ *- */.exec(items[0] ?? '')?.[0];
  if (marker === undefined) return undefined;
  const lines = values.map((value) => items[own.indexOf(value)] ?? `${marker}${value}${ending}`);
  return [
    first,
    ...closed(lines, ending).map((line, at, all) => (at < all.length - 1 || line.endsWith('\n') ? line : line)),
  ];
}
