import { diffLines, type LineChange } from './diff.js';

export interface LineRange {
  readonly start: number;
  readonly count: number;
}

/** The merged file in order: stretches taken from one side, and stretches that only a person can decide. */
export type Piece =
  | { readonly kind: 'ours' | 'theirs'; readonly lines: LineRange }
  | { readonly kind: 'conflict'; readonly ours: LineRange; readonly theirs: LineRange };

/** A place where at least one side changed the base, in the line numbers of all three files. */
export interface Region {
  readonly changedBy: 'ours' | 'theirs' | 'both';
  readonly base: LineRange;
  readonly ours: LineRange;
  readonly theirs: LineRange;
}

/**
 * Three-way merge of line numbers from one `LineIds`. Changes that overlap or touch belong together; they
 * are a conflict unless both sides made the same change. A conflict is cut down to the lines in which the
 * sides really differ. Stretches that all three share, or that both sides changed alike, come as `ours`.
 *
 * Source of the rules: git-merge-file(1) at its default level ("zealous"); results equal native git's,
 * which `test/unit/merge/merge-text.native.test.ts` checks.
 */
export function merge3(base: Int32Array, ours: Int32Array, theirs: Int32Array): Piece[] {
  const pieces: Piece[] = [];
  let done = 0; // lines of ours that are in the pieces already
  const takeOurs = (until: number): void => {
    if (until > done) pieces.push({ kind: 'ours', lines: { start: done, count: until - done } });
    done = until;
  };
  for (const region of changedRegions(diffLines(base, ours), diffLines(base, theirs))) {
    if (region.changedBy === 'ours') continue; // comes with the next stretch of ours
    if (region.changedBy === 'theirs') {
      takeOurs(region.ours.start);
      pieces.push({ kind: 'theirs', lines: region.theirs });
      done = endOf(region.ours);
      continue;
    }
    for (const difference of differences(ours, theirs, region)) {
      takeOurs(difference.ours.start);
      pieces.push({ kind: 'conflict', ...difference });
      done = endOf(difference.ours);
    }
  }
  takeOurs(ours.length);
  return pieces;
}

/** Where the sides differ within a region that both changed; nothing if they made the same change. */
function differences(ours: Int32Array, theirs: Int32Array, region: Region): { ours: LineRange; theirs: LineRange }[] {
  return diffLines(within(ours, region.ours), within(theirs, region.theirs)).map((change) => ({
    ours: { start: region.ours.start + change.oldStart, count: change.oldCount },
    theirs: { start: region.theirs.start + change.newStart, count: change.newCount },
  }));
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

function within(lines: Int32Array, range: LineRange): Int32Array {
  return lines.subarray(range.start, endOf(range));
}

function endOf(range: LineRange): number {
  return range.start + range.count;
}
