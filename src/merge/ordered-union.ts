/** Fewer names are in order by chance. */
const FEWEST_SORTED = 4;

/** Made when it is needed: that takes milliseconds. */
let collator: Intl.Collator | undefined;

/**
 * The order of what three versions of a list of names come to: who moved names decides where they are; new names of
 * theirs follow the name that they follow there, behind what ours has added at the same place; in a list that both
 * keep sorted every new name goes to its place. Undefined where both moved names, each in another way.
 * Names that one side took away are in it as long as the other side has them; the caller leaves them out.
 */
export function orderedUnion(
  base: readonly string[],
  ours: readonly string[],
  theirs: readonly string[],
): string[] | undefined {
  const sets = { base: new Set(base), ours: new Set(ours), theirs: new Set(theirs) };
  const common = (names: readonly string[], a: ReadonlySet<string>, b: ReadonlySet<string>): string =>
    names.filter((name) => a.has(name) && b.has(name)).join('\0');
  const sorted = sortedUnion(ours, theirs, sets.ours);
  if (sorted !== undefined) return sorted;
  const agree = common(ours, sets.ours, sets.theirs) === common(theirs, sets.ours, sets.theirs);
  let primary = ours;
  if (!agree) {
    const isKept = (names: readonly string[], own: ReadonlySet<string>): boolean =>
      common(names, sets.base, own) === common(base, sets.base, own);
    const oursKept = isKept(ours, sets.ours);
    if (!oursKept && !isKept(theirs, sets.theirs)) return undefined;
    if (oursKept) primary = theirs;
  }
  const [first, second] = primary === ours ? [ours, theirs] : [theirs, ours];
  const inSecond = primary === ours ? sets.theirs : sets.ours;
  const followers = new Map<string, string[]>(); // the names of `second` alone, by the name before them
  let after = ''; // no name is empty: it would be the start of the list
  const inFirst = primary === ours ? sets.ours : sets.theirs;
  for (const name of second) {
    if (inFirst.has(name)) after = name;
    else listAt(followers, after).push(name);
  }
  const order: string[] = [];
  const waiting = [...(followers.get('') ?? [])];
  for (const name of first) {
    // what the first side alone has added stands before what the second one has added there
    const isNew = !sets.base.has(name) && !inSecond.has(name);
    if (!(isNew && primary === ours)) {
      for (const other of waiting.splice(0)) order.push(other);
    }
    order.push(name);
    for (const other of followers.get(name) ?? []) waiting.push(other);
  }
  for (const other of waiting) order.push(other);
  return order;
}

function listAt(lists: Map<string, string[]>, key: string): string[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

function sortedUnion(
  ours: readonly string[],
  theirs: readonly string[],
  inOurs: ReadonlySet<string>,
): string[] | undefined {
  const { compare } = (collator ??= new Intl.Collator('en', { sensitivity: 'base', numeric: true }));
  const isSorted = (names: readonly string[]): boolean =>
    names.length >= FEWEST_SORTED && names.every((name, at) => at === 0 || compare(names[at - 1] ?? '', name) < 0);
  if (!isSorted(ours) || !isSorted(theirs)) return undefined;
  const all = [...ours, ...theirs.filter((name) => !inOurs.has(name))];
  return all.sort(compare);
}
