/**
 * One side put lines elsewhere, one by one perhaps (a list was split in two, sections were sorted), the other one edited
 * them where they were: each edit goes to where its line is now. What was put between two lines follows the one above
 * it. Only lines that are surely the same: the very words, long enough, once in the base and once on that side.
 */
import type { Effort } from '../chunk.js';
import type { LineChange } from '../diff.js';
import type { FileKind } from '../file-kind.js';
import { closed, isBlank, squashed } from '../line-text.js';
import { fineChanges } from './adjacent-edits.js';

/** A line with less text may stand in two places by chance. */
const LEAST_TEXT = 15;

/** What opens or closes a block of code belongs to the whole block, not to the line above it. */
const FENCE = /^\s*(?:`{3}|~{3})/;

export interface Carried {
  /** The side that moved lines, with the edits of the other one in them. */
  readonly mover: readonly string[];
  /** The other side without these edits. */
  readonly other: readonly string[];
}

interface Edits {
  readonly before: string[];
  readonly after: string[];
  /** What stands there instead; undefined: the line itself. */
  instead?: readonly string[];
}

/** undefined: the other side has edited no line that was moved. */
export function carryLines(
  base: readonly string[],
  mover: readonly string[],
  other: readonly string[],
  byMover: readonly LineChange[],
  byOther: readonly LineChange[],
  kind: FileKind,
  effort: Effort,
): Carried | undefined {
  const movedTo = movesOf(base, mover, byMover);
  if (movedTo.size === 0) return undefined;
  const edits = new Map<number, Edits>();
  const rest: string[] = [];
  let done = 0;
  for (const change of byOther) {
    rest.push(...other.slice(done, change.newStart));
    done = change.newStart + change.newCount;
    const was = base.slice(change.oldStart, change.oldStart + change.oldCount);
    const now = other.slice(change.newStart, done);
    const isNear = [...was.keys(), -1, was.length].some((at) => movedTo.has(change.oldStart + at));
    if (!isNear || [...was, ...now].some((line) => FENCE.test(line))) rest.push(...now);
    else rest.push(...carryChange({ was, now, start: change.oldStart }, movedTo, edits, kind, effort));
  }
  rest.push(...other.slice(done));
  return edits.size === 0 ? undefined : { mover: withEdits(mover, edits), other: rest };
}

/** Where lines of the base that a side took away stand on that side, by their number in the base. */
function movesOf(
  base: readonly string[],
  mover: readonly string[],
  byMover: readonly LineChange[],
): Map<number, number> {
  const countOf = (lines: readonly string[]): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const line of lines) counts.set(squashed(line), (counts.get(squashed(line)) ?? 0) + 1);
    return counts;
  };
  const added = new Map<string, number>();
  for (const { newStart, newCount } of byMover) {
    for (let at = newStart; at < newStart + newCount; at++) added.set(squashed(mover[at] ?? ''), at);
  }
  const moves = new Map<number, number>();
  if (added.size === 0) return moves;
  const [inBase, inMover] = [countOf(base), countOf(mover)];
  for (const { oldStart, oldCount } of byMover) {
    for (let at = oldStart; at < oldStart + oldCount; at++) {
      const key = squashed(base[at] ?? '');
      const to = added.get(key);
      if (to === undefined || key.length < LEAST_TEXT) continue;
      if (inBase.get(key) === 1 && inMover.get(key) === 1) moves.set(at, to);
    }
  }
  return moves;
}

/** Notes the edits of moved lines at their new places. @returns what is left of the change where it was */
function carryChange(
  { was, now, start }: { readonly was: readonly string[]; readonly now: readonly string[]; readonly start: number },
  movedTo: ReadonlyMap<number, number>,
  edits: Map<number, Edits>,
  kind: FileKind,
  effort: Effort,
): string[] {
  const at = (place: number): Edits => {
    const known = edits.get(place) ?? { before: [], after: [] };
    edits.set(place, known);
    return known;
  };
  const kept = new Set(now.map(squashed));
  // a line that only changed its place within the change stays where the other side put it
  const stays = new Set(
    was.filter((line, index) => movedTo.has(start + index) && kept.has(squashed(line))).map(squashed),
  );
  const left: string[] = [];
  let done = 0;
  for (const { oldStart, oldCount, newStart, newCount } of fineChanges(was, now, kind, effort)) {
    left.push(...was.slice(done, oldStart));
    done = oldStart + oldCount;
    const lines = now.slice(newStart, newStart + newCount).filter((line) => !stays.has(squashed(line)));
    const gone = was
      .slice(oldStart, done)
      .flatMap((line, index) => (stays.has(squashed(line)) || isBlank(line) ? [] : [oldStart + index]));
    const places = gone.map((index) => movedTo.get(start + index));
    const [first, ...others] = places;
    if (first !== undefined && others.every((place, index) => place === first + index + 1)) {
      at(first).instead = lines;
      for (const place of others) at(place ?? -1).instead = [];
      left.push(...was.slice(oldStart, done));
      continue;
    }
    if (gone.length === 0 && lines.every(isBlank)) {
      left.push(...was.slice(oldStart, done));
      continue;
    }
    const [above, below] = [movedTo.get(start + oldStart - 1), movedTo.get(start + done)];
    if (gone.length === 0 && (above ?? below) !== undefined) {
      if (above !== undefined) at(above).after.push(...lines);
      else at(below ?? -1).before.push(...lines);
      left.push(...was.slice(oldStart, done));
      continue;
    }
    left.push(...now.slice(newStart, newStart + newCount));
  }
  return [...left, ...was.slice(done)];
}

function withEdits(mover: readonly string[], edits: ReadonlyMap<number, Edits>): string[] {
  return mover.flatMap((line, place) => {
    const edit = edits.get(place);
    if (edit === undefined) return [line];
    const { before, after, instead = [line] } = edit;
    const ending = line.endsWith('\r\n') ? '\r\n' : '\n';
    return [...closed(before, ending), ...(after.length > 0 ? closed(instead, ending) : instead), ...after];
  });
}
