import { valueOf, type Entries, type Entry } from './entries.js';
import { scalarOf, unquoted } from './scalar.js';

/** A shorter value (`true`, `10`) stands under many keys; it does not tell that one of them is another one renamed. */
const TELLING_VALUE = 4;

/**
 * A key that one side gave another name, and whose value the other side changed (`release: 2024-01-02` became
 * `releaseDate: 2024-01-02`): base and the other side with the new name, so that the value is merged under it. Told by
 * the value alone: it must be the only one of its kind among the keys that went and those that came.
 */
export function withRenamedKeys(
  base: Entries,
  ours: Entries,
  theirs: Entries,
): { readonly base: Entries; readonly ours: Entries; readonly theirs: Entries } {
  const byOurs = renames(base, ours, theirs);
  const byTheirs = renames(base, theirs, ours);
  const byBoth = renamedByBoth(base, ours, theirs);
  return {
    base: renamed(base, new Map([...byOurs, ...byTheirs, ...byBoth])),
    ours: renamed(ours, byTheirs),
    theirs: renamed(theirs, byOurs),
  };
}

/** New names by old ones, of keys that the other side edited. */
function renames(base: Entries, renaming: Entries, other: Entries): Map<string, Entry> {
  const [was, now, their] = [table(base), table(renaming), table(other)];
  const gone = [...was.values()].filter(({ name }) => !now.has(name) && their.has(name));
  const fresh = [...now.values()].filter(({ name }) => !was.has(name) && !their.has(name));
  const found = new Map<string, Entry>();
  for (const entry of gone) {
    const edited = their.get(entry.name);
    if (edited === undefined || valueText(edited) === valueText(entry)) continue; // nothing to carry over
    const values = [valueText(entry), valueText(edited)].filter((value) => value !== undefined);
    const heirs = fresh.filter((candidate) => values.includes(valueText(candidate) ?? ''));
    const [heir] = heirs;
    const rivals = gone.filter((rival) => rival !== entry && values.includes(valueText(rival) ?? ''));
    if (heir !== undefined && heirs.length === 1 && rivals.length === 0) found.set(entry.name, heir);
  }
  return found;
}

/** Keys that both sides gave the same new name, and whose value one of them then changed. */
function renamedByBoth(base: Entries, ours: Entries, theirs: Entries): Map<string, Entry> {
  const [was, mine, their] = [table(base), table(ours), table(theirs)];
  const gone = [...was.values()].filter(({ name }) => !mine.has(name) && !their.has(name));
  const found = new Map<string, Entry>();
  for (const [name, heir] of mine) {
    const other = their.get(name);
    if (was.has(name) || other === undefined) continue;
    const values = [valueText(heir), valueText(other)].filter((value) => value !== undefined);
    const old = gone.filter((entry) => values.includes(valueText(entry) ?? ''));
    const [only] = old;
    if (only !== undefined && old.length === 1 && !found.has(only.name)) found.set(only.name, heir);
  }
  return found;
}

function table({ entries }: Entries): Map<string, Entry> {
  return new Map(entries.filter(({ kind }) => kind === 'key').map((entry) => [entry.name, entry]));
}

function valueText(entry: Entry): string | undefined {
  const { inline, below } = valueOf(entry);
  const scalar = below.length === 0 ? scalarOf(inline) : undefined;
  const value = scalar === undefined ? undefined : unquoted(scalar.value);
  return value !== undefined && value.length >= TELLING_VALUE && !/^(?:true|false|null)$/i.test(value)
    ? value
    : undefined;
}

function renamed(side: Entries, names: ReadonlyMap<string, Entry>): Entries {
  if (names.size === 0) return side;
  return {
    ...side,
    entries: side.entries.map((entry) => {
      const heir = names.get(entry.name);
      if (heir === undefined) return entry;
      const [first = '', ...rest] = entry.lines;
      const head = (line: string, of: Entry): string =>
        line.slice(0, line.trimEnd().length - valueOf(of).inline.length);
      const line = head(heir.lines[0] ?? '', heir) + first.slice(head(first, entry).length);
      return { ...entry, name: heir.name, lines: [line, ...rest] };
    }),
  };
}
