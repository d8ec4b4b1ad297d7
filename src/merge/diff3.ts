import type { LineChange } from './diff.js';

export interface LineRange {
  readonly start: number;
  readonly count: number;
}

/** A place where at least one side changed the base, in the line numbers of all three files. */
export interface Region {
  readonly changedBy: 'ours' | 'theirs' | 'both';
  readonly base: LineRange;
  readonly ours: LineRange;
  readonly theirs: LineRange;
}

/**
 * Walks both lists of changes along the base. The invariant that keeps the line numbers right: outside of
 * changes, a line's distance between base and a side is the sum of what that side added and removed so far.
 */
export function changedRegions(byUs: readonly LineChange[], byThem: readonly LineChange[]): Region[] {
  const regions: Region[] = [];
  let shiftOurs = 0;
  let shiftTheirs = 0;
  for (let us = 0, them = 0; us < byUs.length || them < byThem.length;) {
    const start = Math.min(byUs[us]?.oldStart ?? Infinity, byThem[them]?.oldStart ?? Infinity);
    let end = start;
    const before = { ours: shiftOurs, theirs: shiftTheirs };
    const touched = { byUs: 0, byThem: 0 };
    for (;;) {
      const mine = byUs[us];
      const their = byThem[them];
      if (mine !== undefined && mine.oldStart <= end) {
        end = Math.max(end, mine.oldStart + mine.oldCount);
        shiftOurs += mine.newCount - mine.oldCount;
        touched.byUs++;
        us++;
      } else if (their !== undefined && their.oldStart <= end) {
        end = Math.max(end, their.oldStart + their.oldCount);
        shiftTheirs += their.newCount - their.oldCount;
        touched.byThem++;
        them++;
      } else break;
    }
    regions.push({
      changedBy: touched.byThem === 0 ? 'ours' : touched.byUs === 0 ? 'theirs' : 'both',
      base: { start, count: end - start },
      ours: { start: start + before.ours, count: end - start + shiftOurs - before.ours },
      theirs: { start: start + before.theirs, count: end - start + shiftTheirs - before.theirs },
    });
  }
  return regions;
}

export function endOf(range: LineRange): number {
  return range.start + range.count;
}
