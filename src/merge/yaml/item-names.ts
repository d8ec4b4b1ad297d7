import { entriesOf, valueOf, type Entries, type Entry } from './entries.js';

/** Members that tell the items of a list apart, if every item has one and no two of a version share it. */
const NAMES = ['id', 'uuid', 'key', 'name', 'slug', 'title', 'label', 'url', 'link', 'path', 'file', 'href'];

/**
 * Names the items of a list of maps. Mostly their first lines do (`- name: x`); where these repeat (`- type: link`), a
 * member that names them takes their place.
 */
export function withItemNames<Versions extends readonly Entries[]>(versions: Versions): Versions {
  const items = versions.map(({ entries }) => entries);
  if (items.flat().some(({ kind }) => kind !== 'item')) return versions;
  if (items.every(isTelling)) return versions;
  const members = new Map(items.flat().map((item) => [item, membersOf(item)]));
  for (const name of NAMES) {
    const named = items.map((side) =>
      side.flatMap((item) => {
        const value = members.get(item)?.get(name);
        return value === undefined ? [] : [{ ...item, name: `${name} ${value}` }];
      }),
    );
    if (named.every((side, at) => side.length === items[at]?.length && isTelling(side)))
      return versions.map((version, at) => ({ ...version, entries: named[at] ?? [] })) as unknown as Versions;
  }
  return versions;
}

function isTelling(entries: readonly Entry[]): boolean {
  return new Set(entries.map(({ name }) => name)).size === entries.length;
}

/** The values of an item that stand on the line of their key. */
function membersOf(item: Entry): ReadonlyMap<string, string> {
  const [first = '', ...rest] = item.lines;
  const mark = /^ *- +/.exec(first)?.[0];
  if (mark === undefined) return new Map();
  const inner = entriesOf([' '.repeat(mark.length) + first.slice(mark.length), ...rest]);
  return new Map(
    inner?.entries.flatMap((entry) => {
      const { inline, below } = valueOf(entry);
      return entry.kind === 'key' && inline !== '' && below.length === 0 ? [[entry.name, inline] as const] : [];
    }),
  );
}
