/**
 * Both sides wrote the same lines (one of them had the other's from somewhere, or both made a change that was due), and
 * either of them more. What they agree on is no contradiction, wherever a comparison with the base puts it: the rest is
 * merged as if both had started from it.
 */
import type { LineChange } from '../diff.js';
import { isBlank } from '../line-text.js';
import { likeness } from '../words.js';

/** Shorter lines (a brace, a heading of a template) may be written twice without anybody having seen the other's. */
const TELLING_LENGTH = 20;

/** Lines compared by their words. */
const MOST_COMPARISONS = 50_000;
/** From here on, a line may be a new version of another one. */
const SOMEWHAT_ALIKE = 0.4;

/**
 * The base as it would be had it held what both sides have now, and else what either of them has left of it.
 * undefined: they wrote nothing alike that the base has not, or moved lines, which this cannot tell from deleting them.
 *
 * @param between from ours to theirs
 */
export function agreedBase(
  base: readonly string[],
  ours: readonly string[],
  theirs: readonly string[],
  byUs: readonly LineChange[],
  byThem: readonly LineChange[],
  between: readonly LineChange[],
): readonly string[] | undefined {
  const known = new Set(base);
  const left = leftBetween(base, ours, theirs, byUs, byThem, between);
  if (left === undefined) return undefined;
  const agreed: string[] = [];
  let [done, isNew] = [0, false];
  const takeAlike = (until: number): void => {
    for (; done < until; done++) {
      const line = ours[done] ?? '';
      agreed.push(line);
      isNew ||= line.trim().length >= TELLING_LENGTH && !known.has(line);
    }
  };
  between.forEach(({ oldStart, oldCount }, stretch) => {
    takeAlike(oldStart);
    for (const line of left[stretch] ?? []) agreed.push(line);
    done = oldStart + oldCount;
  });
  takeAlike(ours.length);
  return isNew ? agreed : undefined;
}

/**
 * By stretch in which the sides differ: the lines of the base that either of them has left there, or that both of them
 * seem to have rewritten there: two ways to say one thing are no two additions.
 */
function leftBetween(
  base: readonly string[],
  ours: readonly string[],
  theirs: readonly string[],
  byUs: readonly LineChange[],
  byThem: readonly LineChange[],
  between: readonly LineChange[],
): string[][] | undefined {
  const [inOurs, inTheirs] = [placesOf(base.length, byUs), placesOf(base.length, byThem)];
  const stretches = { ours: new Int32Array(ours.length).fill(-1), theirs: new Int32Array(theirs.length).fill(-1) };
  between.forEach(({ oldStart, oldCount, newStart, newCount }, stretch) => {
    stretches.ours.fill(stretch, oldStart, oldStart + oldCount);
    stretches.theirs.fill(stretch, newStart, newStart + newCount);
  });
  const left: string[][] = between.map(() => []);
  const rivals = between.map(({ oldStart, oldCount, newStart, newCount }) =>
    oldCount === 0 || newCount === 0
      ? []
      : [...ours.slice(oldStart, oldStart + oldCount), ...theirs.slice(newStart, newStart + newCount)],
  );
  let effort = MOST_COMPARISONS;
  for (const [at, line] of base.entries()) {
    const [mine, their] = [inOurs[at] ?? -1, inTheirs[at] ?? -1];
    const ourStretch = mine < 0 ? undefined : stretches.ours[mine];
    const theirStretch = their < 0 ? undefined : stretches.theirs[their];
    if (ourStretch !== undefined && theirStretch !== undefined && ourStretch !== theirStretch) {
      if (/[\p{L}\p{N}]/u.test(line)) return undefined;
      continue; // a blank line or a mark is no line that was moved
    }
    let stretch = ourStretch ?? theirStretch ?? -1;
    if (mine < 0 && their < 0 && !isBlank(line)) {
      for (const lines of rivals) effort -= lines.length;
      if (effort < 0) return undefined;
      stretch = rivals.findIndex((lines) => lines.some((other) => likeness(line, other) >= SOMEWHAT_ALIKE));
    }
    if (stretch >= 0) left[stretch]?.push(line);
  }
  return left;
}

/** Where each line of the base is on a side; -1: nowhere. */
function placesOf(count: number, changes: readonly LineChange[]): Int32Array {
  const places = new Int32Array(count).fill(-1);
  let at = { old: 0, now: 0 };
  const keep = (until: number): void => {
    for (let line = at.old; line < until; line++) places[line] = at.now + line - at.old;
  };
  for (const { oldStart, oldCount, newStart, newCount } of changes) {
    keep(oldStart);
    at = { old: oldStart + oldCount, now: newStart + newCount };
  }
  keep(count);
  return places;
}
