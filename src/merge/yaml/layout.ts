import { isBlank } from '../line-text.js';
import { entriesOf, indentOf, type Entries, type Entry } from './entries.js';

/** How far the entries of one level are indented, and how many characters the mark of a list item takes. */
interface Layout {
  readonly indent: number;
  /** 0 for keys. */
  readonly mark: number;
}

/**
 * The versions of one level in one layout: that of the side that changed it. A tool that indents a list anew touches
 * each of its lines, and none of what they say (YAML 1.2.2, section 6.1: indentation only shows what belongs together).
 * Undefined where a side mixes layouts, or both changed it, each in another way.
 */
export function inOneLayout(
  base: Entries,
  ours: Entries,
  theirs: Entries,
): { readonly base: Entries; readonly ours: Entries; readonly theirs: Entries } | undefined {
  const versions = [base, ours, theirs].filter((side) => !isEmpty(side));
  const kinds = new Set(versions.flatMap(({ entries }) => entries.map(({ kind }) => kind)));
  if (kinds.size > 1) return undefined; // a list is no map in another layout
  const layouts = versions.map(layoutOf);
  const all = layouts.filter((layout) => layout !== undefined);
  if (all.length < versions.length) return undefined;
  const [first] = all;
  if (first === undefined || all.every((layout) => isSame(layout, first))) return { base, ours, theirs };
  const [b, o, t] = [layoutOf(base), layoutOf(ours), layoutOf(theirs)];
  const kept = o === undefined ? t : t === undefined || b === undefined || !isSame(o, b) ? o : t;
  if (kept === undefined) return undefined;
  const [was, mine, their] = [shift(base, kept), shift(ours, kept), shift(theirs, kept)];
  if (was === undefined || mine === undefined || their === undefined) return undefined;
  return { base: was, ours: mine, theirs: their };
}

const isEmpty = ({ entries }: Entries): boolean => entries.length === 0;
const isSame = (one: Layout, other: Layout): boolean => one.indent === other.indent && one.mark === other.mark;

function layoutOf({ entries }: Entries): Layout | undefined {
  const [first] = entries;
  if (first === undefined) return undefined;
  const layout = layoutOfEntry(first);
  return entries.every((entry) => isSame(layoutOfEntry(entry), layout)) ? layout : undefined;
}

function layoutOfEntry({ kind, indent, lines }: Entry): Layout {
  return { indent, mark: kind === 'item' ? (/^ *(- *)/.exec(lines[0] ?? '')?.[1]?.length ?? 0) : 0 };
}

/** The same entries, moved. Read again, for what does not read as it did before may not be moved. */
function shift(side: Entries, to: Layout): Entries | undefined {
  const from = layoutOf(side);
  if (from === undefined || isSame(from, to)) return side;
  const lines: string[] = [];
  for (const entry of side.entries) {
    for (const line of entry.lead) lines.push(by(line, to.indent - from.indent));
    entry.lines.forEach((line, at) => {
      if (at > 0) lines.push(by(line, to.indent + to.mark - from.indent - from.mark));
      else if (to.mark === 0) lines.push(' '.repeat(to.indent) + line.trimStart());
      else lines.push(`${' '.repeat(to.indent)}${'-'.padEnd(to.mark)}${line.slice(from.indent + from.mark)}`);
    });
  }
  const moved = entriesOf([...lines, ...side.tail.map((line) => by(line, to.indent - from.indent))]);
  return moved?.entries.length === side.entries.length ? moved : undefined;
}

function by(line: string, columns: number): string {
  if (isBlank(line)) return line;
  return columns >= 0 ? ' '.repeat(columns) + line : line.slice(Math.min(-columns, indentOf(line)));
}
