import type { JsonNode } from './parse.js';

/** A shorter value (`true`, `10`) stands under many keys; it does not tell that one of them is another one renamed. */
const TELLING_LENGTH = 6;

/**
 * Members that one side gave another name and whose value the other side changed: the new names by the old ones. Told by
 * the value alone: it must be the only one of its kind among the members that went and those that came.
 */
export function renamedMembers(base: JsonNode, renaming: JsonNode, other: JsonNode): ReadonlyMap<string, string> {
  const [was, now, their] = [valuesOf(base), valuesOf(renaming), valuesOf(other)];
  const found = new Map<string, string>();
  const gone = [...was].filter(([key]) => !now.has(key) && their.has(key));
  const fresh = [...now].filter(([key]) => !was.has(key) && !their.has(key));
  for (const [key, value] of gone) {
    const edited = their.get(key);
    if (edited === undefined || edited.id === value.id) continue; // nothing to carry over
    const values = [...(isTelling(value) ? [value.id] : []), edited.id];
    const heirs = fresh.filter(([, candidate]) => values.includes(candidate.id) && isTelling(candidate));
    const rivals = gone.filter(([rival, { id }]) => rival !== key && values.includes(id));
    const [heir] = heirs;
    if (heir !== undefined && heirs.length === 1 && rivals.length === 0) found.set(key, heir[0]);
  }
  return found;
}

/** Members that both sides gave the same new name, and whose value one of them then changed: new names by old ones. */
export function renamedByBoth(base: JsonNode, one: JsonNode, other: JsonNode): ReadonlyMap<string, string> {
  const [was, mine, their] = [valuesOf(base), valuesOf(one), valuesOf(other)];
  const gone = [...was].filter(([key]) => !mine.has(key) && !their.has(key));
  const found = new Map<string, string>();
  for (const [key, value] of mine) {
    const rival = their.get(key);
    if (was.has(key) || rival === undefined || rival.id === value.id) continue;
    const old = gone.filter(([, { id }]) => id === value.id || id === rival.id);
    const [only] = old;
    if (only !== undefined && old.length === 1 && isTelling(only[1]) && !found.has(only[0])) found.set(only[0], key);
  }
  return found;
}

function valuesOf({ members }: JsonNode): ReadonlyMap<string, JsonNode> {
  return new Map(members.flatMap(({ key, value }) => (key === undefined ? [] : [[key, value] as const])));
}

/** Whether the text of a value is long enough to tell it from others. */
function isTelling({ start, end, kind }: JsonNode): boolean {
  return kind !== 'scalar' || end - start >= TELLING_LENGTH;
}
