import { diffLines } from '../diff.js';
import type { JsonNode } from './parse.js';

/** Elements that share less of their members are two elements. */
const SAME_ELEMENT = 0.5;

/**
 * Elements of a list that nothing names, edited in place: which element of `side` each of `base` has become. Where as many
 * elements stand between two unchanged ones as did before, and each shares half of its members with the one in its
 * place, they are the same elements. By their place in `side`, the place in `base`.
 */
export function editedElements(base: JsonNode, side: JsonNode): ReadonlyMap<number, number> {
  const pairs = new Map<number, number>();
  const ids = ({ members }: JsonNode): Int32Array => Int32Array.from(members, ({ value }) => value.id);
  for (const { oldStart, oldCount, newStart, newCount } of diffLines(ids(base), ids(side))) {
    if (oldCount !== newCount) continue;
    const places = Array.from({ length: oldCount }, (_, at) => at);
    const isSame = places.every((at) =>
      isAlike(base.members[oldStart + at]?.value, side.members[newStart + at]?.value),
    );
    if (isSame) for (const at of places) pairs.set(newStart + at, oldStart + at);
  }
  return pairs;
}

function isAlike(one: JsonNode | undefined, other: JsonNode | undefined): boolean {
  if (one?.kind !== 'object' || other?.kind !== 'object') return false;
  const members = new Map(one.members.map(({ key, value }) => [key, value.id]));
  const common = other.members.filter(({ key, value }) => members.get(key) === value.id).length;
  return common >= SAME_ELEMENT * Math.max(one.members.length, other.members.length);
}
