/**
 * One side moved a block of lines, the other one edited it where it was: the edit goes along to the new place. The
 * move is first made in the base and on the other side, too; then there is nothing left in which the two meet.
 * Blocks only that are surely the same: the very lines, long enough, gone from one place and new in one other.
 */
import type { LineChange } from '../diff.js';
import { isBlank } from '../line-text.js';

/** Less text than this may stand in two places by chance. */
const LEAST_TEXT = 20;

export interface Moved {
  readonly base: readonly string[];
  readonly other: readonly string[];
}

/**
 * The base and the other side with the first move of `mover` made in them, whose lines the other side has edited.
 * undefined: nothing was moved that the other side has edited.
 */
export function carryMove(
  base: readonly string[],
  mover: readonly string[],
  other: readonly string[],
  byMover: readonly LineChange[],
  byOther: readonly LineChange[],
): Moved | undefined {
  const added = new Map<string, LineChange>();
  for (const change of byMover) {
    if (change.newCount === 0) continue;
    added.set(textAt(mover, change.newStart, change.newCount), change);
  }
  for (const gone of byMover) {
    if (gone.oldCount === 0) continue;
    const text = textAt(base, gone.oldStart, gone.oldCount);
    const there = added.get(text);
    if (there === undefined || there === gone || text.length < LEAST_TEXT || there.oldCount > 0 || gone.newCount > 0)
      continue;
    const from = placeIn(byOther, gone.oldStart, gone.oldStart + gone.oldCount);
    const to = placeIn(byOther, there.oldStart, there.oldStart);
    if (from === undefined || to === undefined || !from.isEdited) continue;
    const put = mover.slice(there.newStart, there.newStart + there.newCount);
    const edited = other.slice(from.start, from.end);
    return {
      base: move(base, gone.oldStart, gone.oldStart + gone.oldCount, there.oldStart, put),
      other: move(other, from.start, from.end, to.start, [...blanksBefore(put), ...core(edited), ...blanksAfter(put)]),
    };
  }
  return undefined;
}

/** Text of a block without the blank lines around it: those seldom move along. */
function textAt(lines: readonly string[], start: number, count: number): string {
  return lines
    .slice(start, start + count)
    .join('')
    .trim();
}

/** Where a stretch of the base is on a side; undefined if a change of that side reaches over its border. */
function placeIn(
  changes: readonly LineChange[],
  start: number,
  end: number,
): { start: number; end: number; isEdited: boolean } | undefined {
  let [first, last, isEdited] = [start, end, false];
  for (const { oldStart, oldCount, newCount } of changes) {
    const oldEnd = oldStart + oldCount;
    const grown = newCount - oldCount;
    if (oldEnd <= start && !(oldStart === start && start === end)) first += grown;
    if (oldEnd <= end) last += grown;
    if (oldStart < end && oldEnd > start) {
      if (oldStart < start || oldEnd > end) return undefined;
      isEdited = true;
    }
  }
  return { start: first, end: last, isEdited };
}

/** Takes lines away and puts others in, at a place before or behind them. */
function move(lines: readonly string[], start: number, end: number, to: number, put: readonly string[]): string[] {
  if (to <= start) return [...lines.slice(0, to), ...put, ...lines.slice(to, start), ...lines.slice(end)];
  return [...lines.slice(0, start), ...lines.slice(end, to), ...put, ...lines.slice(to)];
}

function blanksBefore(lines: readonly string[]): readonly string[] {
  const first = lines.findIndex((line) => !isBlank(line));
  return lines.slice(0, Math.max(0, first));
}

function blanksAfter(lines: readonly string[]): readonly string[] {
  let end = lines.length;
  while (end > 0 && isBlank(lines[end - 1] ?? '')) end--;
  return lines.slice(end);
}

function core(lines: readonly string[]): readonly string[] {
  return lines.slice(blanksBefore(lines).length, lines.length - blanksAfter(lines).length);
}
