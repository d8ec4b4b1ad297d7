/**
 * Edits of neighbouring lines: git calls them a conflict, because it looks at stretches of lines. Told line by line
 * (a line that was reworded is that line, its neighbours were left alone), most of them do not meet at all, and both
 * stand.
 */
import { diffLines, type LineChange } from '../diff.js';
import { KeyIds, squashed, trimmedEnd } from '../line-text.js';
import type { Effort } from '../chunk.js';
import type { FileKind } from '../file-kind.js';
import { likeness } from '../words.js';

/** Pairs of lines that are compared by their words within one place; beyond it lines are paired by equality only. */
const MOST_COMPARISONS = 10_000;
/** Less alike than this, one line is no edited version of the other. */
const LEAST_LIKENESS = 0.5;

/**
 * What one side did to some lines, told in steps as small as can be: a line that was reworded stands by itself and
 * does not hide that its neighbours were left alone. Lines that differ in white space only are such edits, too.
 */
export function fineChanges(
  base: readonly string[],
  side: readonly string[],
  kind: FileKind,
  effort: Effort,
): LineChange[] {
  if (base.length === 1 && side.length === 1) {
    return base[0] === side[0] ? [] : [{ oldStart: 0, oldCount: 1, newStart: 0, newCount: 1 }];
  }
  // Indentation is structure in YAML and unknown text; in notes a list that was indented anew is still that list.
  const ids = new KeyIds(kind === 'yaml' || kind === 'other' ? trimmedEnd : squashed);
  const changes = diffLines(ids.of(base), ids.of(side));
  const fine: LineChange[] = [];
  let at = { old: 0, now: 0 };
  const comparePaired = (until: number): void => {
    for (; at.old < until; at.old++, at.now++) {
      if (base[at.old] !== side[at.now]) {
        fine.push({ oldStart: at.old, oldCount: 1, newStart: at.now, newCount: 1 });
      }
    }
  };
  for (const change of changes) {
    comparePaired(change.oldStart);
    fine.push(...splitByLikeness(base, side, change, effort));
    at = { old: change.oldStart + change.oldCount, now: change.newStart + change.newCount };
  }
  comparePaired(base.length);
  return fine;
}

/** Cuts a replacement into edits of single lines and what lies between them: the pairing with the most in common. */
function splitByLikeness(
  base: readonly string[],
  side: readonly string[],
  change: LineChange,
  effort: Effort,
): LineChange[] {
  const { oldStart, oldCount, newStart, newCount } = change;
  if (oldCount === 0 || newCount === 0 || oldCount * newCount > MOST_COMPARISONS) return [change];
  if (oldCount === 1 && newCount === 1) return [change];
  effort.left -= oldCount * newCount;
  if (effort.left < 0) return [change];
  const width = newCount + 1;
  const best = new Float64Array((oldCount + 1) * width);
  const like = new Float64Array(oldCount * newCount);
  for (let old = oldCount - 1; old >= 0; old--) {
    for (let now = newCount - 1; now >= 0; now--) {
      const score = likeness(base[oldStart + old] ?? '', side[newStart + now] ?? '');
      like[old * newCount + now] = score;
      const paired = score >= LEAST_LIKENESS ? score + (best[(old + 1) * width + now + 1] ?? 0) : 0;
      const skipped = Math.max(best[(old + 1) * width + now] ?? 0, best[old * width + now + 1] ?? 0);
      best[old * width + now] = Math.max(paired, skipped);
    }
  }
  const parts: LineChange[] = [];
  let gap = { old: 0, now: 0 };
  const closeGap = (old: number, now: number): void => {
    if (old > gap.old || now > gap.now) {
      parts.push({
        oldStart: oldStart + gap.old,
        oldCount: old - gap.old,
        newStart: newStart + gap.now,
        newCount: now - gap.now,
      });
    }
  };
  let [old, now] = [0, 0];
  while (old < oldCount && now < newCount) {
    const score = like[old * newCount + now] ?? 0;
    const here = best[old * width + now] ?? 0;
    if (score >= LEAST_LIKENESS && here === score + (best[(old + 1) * width + now + 1] ?? 0)) {
      closeGap(old, now);
      parts.push({ oldStart: oldStart + old, oldCount: 1, newStart: newStart + now, newCount: 1 });
      old++;
      now++;
      gap = { old, now };
    } else if (here === (best[(old + 1) * width + now] ?? 0)) old++;
    else now++;
  }
  closeGap(oldCount, newCount);
  return parts;
}

/** A stretch of the region in line numbers of all three; `both` only where the steps of the two sides cross. */
export interface FineRegion {
  readonly changedBy: 'nobody' | 'ours' | 'theirs' | 'both';
  readonly base: { readonly start: number; readonly count: number };
  readonly ours: { readonly start: number; readonly count: number };
  readonly theirs: { readonly start: number; readonly count: number };
}

/**
 * Lays the steps of both sides over each other. Steps cross when they share a line of the base, when both insert at
 * the same point, or when one inserts amid what the other replaced. Steps that only touch do not cross.
 */
export function fineRegions(
  baseCount: number,
  byUs: readonly LineChange[],
  byThem: readonly LineChange[],
): FineRegion[] {
  const steps = [
    ...byUs.map((change) => ({ change, side: 'ours' as const })),
    ...byThem.map((change) => ({ change, side: 'theirs' as const })),
  ].sort(
    (a, b) => a.change.oldStart - b.change.oldStart || Math.min(a.change.oldCount, 1) - Math.min(b.change.oldCount, 1),
  );
  const regions: FineRegion[] = [];
  let shift = { ours: 0, theirs: 0 };
  let done = 0;
  for (let at = 0; at < steps.length;) {
    const first = steps[at];
    if (first === undefined) break;
    const start = first.change.oldStart;
    let end = start + first.change.oldCount;
    const grown = { ours: 0, theirs: 0 };
    const touched = { ours: false, theirs: false };
    for (; at < steps.length; at++) {
      const step = steps[at];
      if (step === undefined) break;
      const { change, side } = step;
      const crosses =
        step === first ||
        (change.oldCount === 0
          ? change.oldStart < end || (start === end && change.oldStart === start)
          : change.oldStart < end);
      if (!crosses) break;
      end = Math.max(end, change.oldStart + change.oldCount);
      grown[side] += change.newCount - change.oldCount;
      touched[side] = true;
    }
    if (start > done) regions.push(region('nobody', done, start, shift, { ours: 0, theirs: 0 }));
    const changedBy = touched.ours && touched.theirs ? 'both' : touched.ours ? 'ours' : 'theirs';
    regions.push(region(changedBy, start, end, shift, grown));
    shift = { ours: shift.ours + grown.ours, theirs: shift.theirs + grown.theirs };
    done = end;
  }
  if (done < baseCount) regions.push(region('nobody', done, baseCount, shift, { ours: 0, theirs: 0 }));
  return regions;
}

function region(
  changedBy: FineRegion['changedBy'],
  start: number,
  end: number,
  shift: { ours: number; theirs: number },
  grown: { ours: number; theirs: number },
): FineRegion {
  return {
    changedBy,
    base: { start, count: end - start },
    ours: { start: start + shift.ours, count: end - start + grown.ours },
    theirs: { start: start + shift.theirs, count: end - start + grown.theirs },
  };
}
