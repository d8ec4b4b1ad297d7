import { closed } from '../line-text.js';
import { entriesOf, valueOf, type Entry } from './entries.js';

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
  const [b, o, t] = [base === undefined ? [] : valuesOf(base), valuesOf(ours), valuesOf(theirs)];
  if (b === undefined || o === undefined || t === undefined) return undefined;
  const was = new Map(b.map((value) => [plain(value), value]));
  const [mine, their] = [new Set(o.map(plain)), new Set(t.map(plain))];
  const stays = (value: string): boolean =>
    !was.has(plain(value)) || (mine.has(plain(value)) && their.has(plain(value)));
  const values = [...o.filter(stays), ...t.filter((value) => !mine.has(plain(value)) && stays(value))];
  return write(ours, o, values, ending) ?? write(theirs, t, values, ending);
}

function plain(value: string): string {
  return value.trim().replace(/^(["'])(.*)\1$/, '$2');
}

function valuesOf(entry: Entry): string[] | undefined {
  const { inline, below } = valueOf(entry);
  if (below.length === 0) {
    if (inline === '') return [];
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

function write(entry: Entry, own: readonly string[], values: readonly string[], ending: string): string[] | undefined {
  const first = entry.lines[0] ?? '';
  const known = new Set(own);
  if (entry.lines.length === 1) {
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
