/** The value of each key, equal for equal values; undefined where a value is too common to tell a key by it. */
export type Values = ReadonlyMap<string, string | number | undefined>;

/**
 * Keys that one side gave another name and whose value the other side changed: the new names by the old ones. Told by the
 * value alone: it must be the only one of its kind among the keys that went and those that came.
 */
export function renamedByOne(base: Values, renaming: Values, other: Values): Map<string, string> {
  const gone = pick(base, (key) => !renaming.has(key) && other.has(key));
  const fresh = byValue(pick(renaming, (key) => !base.has(key) && !other.has(key)));
  const rivals = byValue(gone);
  const found = new Map<string, string>();
  for (const [key, value] of gone) {
    const edited = other.get(key);
    if (edited === value) continue; // nothing to carry over
    const keysOf = (places: ReadonlyMap<string | number, readonly string[]>): string[] =>
      [value, edited].flatMap((wanted) => (wanted === undefined ? [] : (places.get(wanted) ?? [])));
    const heirs = keysOf(fresh);
    if (heirs.length === 1 && keysOf(rivals).every((rival) => rival === key)) found.set(key, heirs[0] ?? '');
  }
  return oneToOne(found);
}

/** Keys that both sides gave the same new name, and whose value one of them then changed: new names by old ones. */
export function renamedByBoth(base: Values, ours: Values, theirs: Values): Map<string, string> {
  const gone = byValue(pick(base, (key) => !ours.has(key) && !theirs.has(key)));
  const found = new Map<string, string>();
  if (gone.size === 0) return found;
  for (const [key, mine] of ours) {
    const their = theirs.get(key);
    if (base.has(key) || !theirs.has(key) || mine === their) continue;
    const old = [mine, their].flatMap((value) => (value === undefined ? [] : (gone.get(value) ?? [])));
    const [only] = old;
    if (only === undefined || old.length > 1) continue;
    found.set(only, found.has(only) ? '' : key);
  }
  return oneToOne(found);
}

function pick(values: Values, isWanted: (key: string) => boolean): [string, string | number | undefined][] {
  return [...values].filter(([key]) => isWanted(key));
}

function byValue(members: readonly (readonly [string, string | number | undefined])[]): Map<string | number, string[]> {
  const places = new Map<string | number, string[]>();
  for (const [key, value] of members) {
    if (value === undefined) continue;
    const keys = places.get(value);
    if (keys === undefined) places.set(value, [key]);
    else keys.push(key);
  }
  return places;
}

/** No two keys become one. */
function oneToOne(names: ReadonlyMap<string, string>): Map<string, string> {
  const counts = new Map<string, number>();
  for (const name of names.values()) counts.set(name, (counts.get(name) ?? 0) + 1);
  return new Map([...names].filter(([, name]) => name !== '' && counts.get(name) === 1));
}
