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
  for (const name of NAMES) {
    const named = versions.map((version) => ({
      ...version,
      entries: version.entries.map((item) => nameBy(item, name)),
    }));
    const entries = named.map((version) => version.entries);
    if (entries.every((side) => side.every((entry) => entry !== undefined) && isTelling(side)))
      return named as unknown as Versions;
  }
  return versions;
}

function isTelling(entries: readonly Entry[]): boolean {
  return new Set(entries.map(({ name }) => name)).size === entries.length;
}

function nameBy(item: Entry, name: string): Entry | undefined {
  const mark = /^ *- +/.exec(item.lines[0] ?? '')?.[0];
  if (mark === undefined) return undefined;
  const inner = entriesOf([' '.repeat(mark.length) + (item.lines[0] ?? '').slice(mark.length), ...item.lines.slice(1)]);
  const member = inner?.entries.find((entry) => entry.kind === 'key' && entry.name === name);
  if (member?.lines.length !== 1) return undefined;
  const { inline } = valueOf(member);
  return inline === '' ? undefined : { ...item, name: `${name} ${inline}` };
}
