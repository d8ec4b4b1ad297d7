import { renamedByBoth, renamedByOne, type Values } from '../renamed-keys.js';
import { valueOf, type Entries, type Entry } from './entries.js';
import { scalarOf, unquoted } from './scalar.js';

/** A shorter value (`true`, `10`) stands under many keys; it does not tell that one of them is another one renamed. */
const TELLING_VALUE = 4;

/**
 * A key that got another name, and whose value a side changed (`release: 2024-01-02` became `releaseDate: 2024-01-02`): the
 * versions with the new name, so that the value is merged under it.
 */
export function withRenamedKeys(
  base: Entries,
  ours: Entries,
  theirs: Entries,
): { readonly base: Entries; readonly ours: Entries; readonly theirs: Entries } {
  const [was, mine, their] = [table(base), table(ours), table(theirs)];
  if (was.size === 0) return { base, ours, theirs };
  const [b, o, t] = [was, mine, their].map(
    (entries): Values => new Map([...entries].map(([name, entry]) => [name, valueText(entry)])),
  );
  if (b === undefined || o === undefined || t === undefined) return { base, ours, theirs };
  const heirs = (names: ReadonlyMap<string, string>, side: ReadonlyMap<string, Entry>): [string, Entry][] =>
    [...names].flatMap(([old, name]) => {
      const heir = side.get(name);
      return heir === undefined ? [] : [[old, heir]];
    });
  const byOurs = heirs(renamedByOne(b, o, t), mine);
  const byTheirs = heirs(renamedByOne(b, t, o), their);
  const byBoth = heirs(renamedByBoth(b, o, t), mine);
  return {
    base: renamed(base, new Map([...byOurs, ...byTheirs, ...byBoth])),
    ours: renamed(ours, new Map(byTheirs)),
    theirs: renamed(theirs, new Map(byOurs)),
  };
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
