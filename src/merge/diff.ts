import { powerOfTwoNearSqrt, unmatched } from './myers.js';
import { slideGroups } from './slide.js';

/** `oldCount` lines from `oldStart` on were replaced by `newCount` lines from `newStart` on; one of the counts may be 0. */
export interface LineChange {
  readonly oldStart: number;
  readonly oldCount: number;
  readonly newStart: number;
  readonly newCount: number;
}

/** A line with this many partners or more says little about where it belongs. */
const MOST_PARTNERS = 1024;
/** How far around a frequent line its neighbours are looked at. */
const NEIGHBOURHOOD = 100;
const NO_PARTNER = 0;
const FEW_PARTNERS = 1;
const MANY_PARTNERS = 2;

/** The changes from `before` to `after`, both given as line numbers from one `LineIds`, in order of their lines. */
export function diffLines(before: Int32Array, after: Int32Array): LineChange[] {
  const changed = { before: new Uint8Array(before.length), after: new Uint8Array(after.length) };
  const shortest = Math.min(before.length, after.length);
  let head = 0;
  while (head < shortest && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shortest - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;

  const isOneForOne = before.length === after.length && head + tail === shortest - 1;
  if (head + tail === shortest || isOneForOne) {
    // one is the other with lines put in, or with one line replaced: there is nothing to search for
    changed.before.fill(1, head, before.length - tail);
    changed.after.fill(1, head, after.length - tail);
  } else {
    const worth = {
      before: worthComparing(before, after, head, tail, changed.before),
      after: worthComparing(after, before, head, tail, changed.after),
    };
    const marks = unmatched(pick(before, worth.before), pick(after, worth.after));
    putBack(marks.a, worth.before, changed.before);
    putBack(marks.b, worth.after, changed.after);
  }

  slideGroups(before, changed.before, changed.after);
  slideGroups(after, changed.after, changed.before);
  return toChanges(changed.before, changed.after);
}

/**
 * The lines between the common head and tail that the search needs to look at; all others are marked as
 * changed. A line without partner in the other file can match nothing. A very frequent line (blank, `}`)
 * amid lines without partner would only anchor noise. This keeps a file that was rewritten from costing
 * the square of its length.
 */
function worthComparing(
  lines: Int32Array,
  others: Int32Array,
  head: number,
  tail: number,
  changed: Uint8Array,
): Int32Array {
  const partners = countById(others);
  const many = Math.min(powerOfTwoNearSqrt(lines.length), MOST_PARTNERS);
  const end = lines.length - tail;
  const kinds = new Uint8Array(lines.length);
  for (let line = head; line < end; line++) {
    const count = partners(lines[line] as number);
    kinds[line] = count === 0 ? NO_PARTNER : count >= many ? MANY_PARTNERS : FEW_PARTNERS;
  }
  const kept = new Int32Array(Math.max(0, end - head));
  let count = 0;
  for (let line = head; line < end; line++) {
    const kind = kinds[line];
    if (kind === FEW_PARTNERS || (kind === MANY_PARTNERS && !isAmidUnmatched(kinds, line, head, end - 1)))
      kept[count++] = line;
    else changed[line] = 1;
  }
  return kept.subarray(0, count);
}

/** Whether the run of frequent and partnerless lines around this one is for more than three quarters partnerless. */
function isAmidUnmatched(kinds: Uint8Array, line: number, first: number, last: number): boolean {
  const before = countRun(kinds, line, -1, Math.max(first, line - NEIGHBOURHOOD));
  if (before.partnerless === 0) return false;
  const after = countRun(kinds, line, 1, Math.min(last, line + NEIGHBOURHOOD));
  if (after.partnerless === 0) return false;
  const frequent = before.frequent + after.frequent + 2; // the line itself is counted on either side
  const partnerless = before.partnerless + after.partnerless;
  return frequent * 4 < frequent + partnerless;
}

function countRun(
  kinds: Uint8Array,
  from: number,
  step: 1 | -1,
  limit: number,
): { partnerless: number; frequent: number } {
  const run = { partnerless: 0, frequent: 0 };
  for (let at = from + step; step > 0 ? at <= limit : at >= limit; at += step) {
    if (kinds[at] === NO_PARTNER) run.partnerless++;
    else if (kinds[at] === MANY_PARTNERS) run.frequent++;
    else break;
  }
  return run;
}

/** A list of counts by line number may have so many empty places; beyond it (a few lines of a long file) a map is smaller. */
const MOST_EMPTY = 4;

/** How often each line number occurs. */
function countById(lines: Int32Array): (id: number) => number {
  let highest = -1;
  for (let at = 0; at < lines.length; at++) highest = Math.max(highest, lines[at] as number);
  if (highest < lines.length * MOST_EMPTY) {
    const counts = new Int32Array(highest + 1);
    for (let at = 0; at < lines.length; at++) (counts[lines[at] as number] as number)++;
    return (id) => counts[id] ?? 0;
  }
  const counts = new Map<number, number>();
  for (const id of lines) counts.set(id, (counts.get(id) ?? 0) + 1);
  return (id) => counts.get(id) ?? 0;
}

function pick(lines: Int32Array, positions: Int32Array): Int32Array {
  const picked = new Int32Array(positions.length);
  for (let at = 0; at < picked.length; at++) picked[at] = lines[positions[at] as number] as number;
  return picked;
}

function putBack(marks: Uint8Array, positions: Int32Array, changed: Uint8Array): void {
  for (let at = 0; at < positions.length; at++) changed[positions[at] as number] = marks[at] as number;
}

function toChanges(removed: Uint8Array, added: Uint8Array): LineChange[] {
  const changes: LineChange[] = [];
  for (let old = 0, now = 0; old < removed.length || now < added.length; old++, now++) {
    const [oldStart, newStart] = [old, now];
    while (removed[old] === 1) old++;
    while (added[now] === 1) now++;
    if (old > oldStart || now > newStart) {
      changes.push({ oldStart, oldCount: old - oldStart, newStart, newCount: now - newStart });
    }
  }
  return changes;
}
