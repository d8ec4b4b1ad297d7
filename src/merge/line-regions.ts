import { diffLines } from './diff.js';
import { changedRegions, type Region } from './diff3.js';
import { KeyIds } from './line-text.js';

const known = new WeakMap<
  readonly string[],
  { readonly base: readonly string[]; readonly theirs: readonly string[]; readonly regions: readonly Region[] }
>();

/**
 * The places that a side changed. Asked twice about the same lines (by the merge, then by the law), it looks once: on a
 * long note this is a third of the time. The lists of lines must not change.
 */
export function lineRegions(
  base: readonly string[],
  ours: readonly string[],
  theirs: readonly string[],
): readonly Region[] {
  const seen = known.get(ours);
  if (seen?.base === base && seen.theirs === theirs) return seen.regions;
  const ids = new KeyIds();
  const [b, o, t] = [ids.of(base), ids.of(ours), ids.of(theirs)];
  const regions = changedRegions(diffLines(b, o), diffLines(b, t));
  known.set(ours, { base, theirs, regions });
  return regions;
}
