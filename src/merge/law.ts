import type { Region } from './diff3.js';
import { linesOf } from './line-text.js';

/**
 * The lossless law, checked on every result before it is given out: read line by line, as git reads it, no word that
 * a side added and no word that both kept may be missing. It is counted place by place: what one place owes is
 * not paid by the same word in another one. A result that breaks the law is no result but a conflict, whatever
 * rule it came from; so a mistake in a rule costs a conflict, not somebody's sentence.
 *
 * Numbers are counted apart: where both sides replaced one, one of the two may win (the newest date).
 */
export interface Judgement {
  /** A word is missing. */
  readonly loses: boolean;
  /** A word is there more often than both sides together wrote it: something is said twice. */
  readonly repeats: boolean;
}

export function judge(request: {
  readonly base: readonly string[];
  readonly ours: readonly string[];
  readonly theirs: readonly string[];
  /** The places that a side changed, as the line merge found them. */
  readonly regions: readonly Region[];
  readonly result: string;
  /** What one side deleted may stand beside what it wrote instead: the other side's edit of it is kept. */
  readonly keepsEdits?: boolean;
}): Judgement {
  const { base, ours, theirs, regions, result, keepsEdits = false } = request;
  const most = new Map<string, number>();
  const owed = new Map<string, number>();
  let replacedNumbers = 0;
  const owe = (item: string, count: number): void => {
    if (count > 0) owed.set(item, (owed.get(item) ?? 0) + count);
  };
  const settled: string[] = [];
  let done = 0;
  for (const region of regions) {
    for (const line of ours.slice(done, region.ours.start)) settled.push(line);
    done = region.ours.start + region.ours.count;
    const part = (lines: readonly string[], { start, count }: { start: number; count: number }): string[] =>
      lines.slice(start, start + count);
    const [b, o, t] = [part(base, region.base), part(ours, region.ours), part(theirs, region.theirs)];
    if (region.changedBy !== 'both') {
      for (const line of region.changedBy === 'ours' ? o : t) settled.push(line);
      continue;
    }
    const [mine, their, alike] = apart(o, t, b);
    for (const line of alike) settled.push(line);
    replacedNumbers += otherNumbers(mine, their, was(b));
    const counts = { base: countWords(b), ours: countWords(mine), theirs: countWords(their) };
    for (const item of new Set([...counts.base.keys(), ...counts.ours.keys(), ...counts.theirs.keys()])) {
      const before = counts.base.get(item) ?? 0;
      const [x, y] = [(counts.ours.get(item) ?? 0) - before, (counts.theirs.get(item) ?? 0) - before];
      owe(item, x >= 0 && y >= 0 ? before + Math.max(x, y) : before + x + y);
      const upper = x >= 0 && y >= 0 ? x + y : x <= 0 && y <= 0 ? 0 : Math.max(x, y); // a deletion may be taken back
      const both = keepsEdits && Math.min(x, y) < 0 ? before + Math.min(x, y) : 0;
      most.set(item, (most.get(item) ?? 0) + before + upper + both);
      if (isNumber(item)) replacedNumbers += Math.min(Math.max(0, -x), Math.max(0, -y));
    }
  }
  for (const line of ours.slice(done)) settled.push(line);
  const { owedLines, otherLines } = withoutCommon(settled, linesOf(result));
  for (const [item, count] of countWords(owedLines)) {
    owe(item, count);
    most.set(item, (most.get(item) ?? 0) + count);
  }
  const has = countWords(otherLines);
  let [loses, missingNumbers] = [false, 0];
  for (const [item, count] of owed) {
    const missing = count - (has.get(item) ?? 0);
    if (missing <= 0) continue;
    if (!isNumber(item)) loses = true;
    missingNumbers += missing;
  }
  const repeats = [...has].some(([item, count]) => !isNumber(item) && count > (most.get(item) ?? 0));
  return { loses: loses || missingNumbers > replacedNumbers, repeats };
}

/** So far the result is looked through for the next line that is owed, before it counts as not there. */
const LOOK_AHEAD = 16;

/**
 * A line that is owed and is there needs no look at its words: that is nearly all of a note. Nearly all of these stand
 * one behind the other on both sides; only what is left is looked up.
 */
function withoutCommon(
  owed: readonly string[],
  result: readonly string[],
): { readonly owedLines: readonly string[]; readonly otherLines: readonly string[] } {
  const free = new Map<string, number>();
  const others: string[] = [];
  let at = 0;
  for (const line of owed) {
    let found = at;
    const end = Math.min(result.length, at + LOOK_AHEAD);
    while (found < end && result[found] !== line) found++;
    if (found === end) free.set(line, (free.get(line) ?? 0) + 1);
    else {
      for (; at < found; at++) others.push(result[at] as string);
      at++;
    }
  }
  for (; at < result.length; at++) others.push(result[at] as string);
  const otherLines = others.filter((line) => {
    const count = free.get(line) ?? 0;
    if (count > 0) free.set(line, count - 1);
    return count === 0;
  });
  const owedLines: string[] = [];
  for (const [line, count] of free) for (let times = 0; times < count; times++) owedLines.push(line);
  return { owedLines, otherLines };
}

function was(lines: readonly string[]): ReadonlySet<string> {
  return new Set(lines.map((line) => line.trim()));
}

const NUMBER = /(?=\d)(?<![\p{L}\p{N}_])\d+(?:[.,:/-]\d+){0,8}(?![\p{L}\p{N}_])/gu;

/** In how many numbers lines differ that both sides added and that are alike in all else. */
function otherNumbers(ours: readonly string[], theirs: readonly string[], base: ReadonlySet<string>): number {
  const mask = (line: string): string => line.trim().replace(NUMBER, '#');
  const free = new Map<string, string[]>();
  for (const line of theirs) {
    const key = mask(line);
    if (!key.includes('#') || base.has(line.trim())) continue;
    const list = free.get(key) ?? [];
    list.push(line);
    free.set(key, list);
  }
  const used = new Map<string, number>();
  let count = 0;
  for (const line of ours) {
    if (base.has(line.trim())) continue;
    const key = mask(line);
    const place = used.get(key) ?? 0;
    const other = free.get(key)?.[place];
    if (other === undefined) continue;
    used.set(key, place + 1);
    const [mine, their] = [line.match(NUMBER) ?? [], other.match(NUMBER) ?? []];
    count += mine.filter((number, at) => number !== their[at]).length;
  }
  return count;
}

/** Shorter lines (a brace, an item of one word) are written twice by right. */
const TELLING_LENGTH = 20;

/** Lines that both sides added alike are owed once; the rest of either side by itself. */
function apart(
  ours: readonly string[],
  theirs: readonly string[],
  base: readonly string[],
): [string[], string[], string[]] {
  const known = was(base);
  const free = new Map<string, number>();
  for (const line of theirs) {
    const key = line.trim();
    if (key.length >= TELLING_LENGTH && !known.has(key)) free.set(key, (free.get(key) ?? 0) + 1);
  }
  const alike: string[] = [];
  const used = new Map<string, number>();
  const mine = ours.filter((line) => {
    const key = line.trim();
    const left = free.get(key) ?? 0;
    if (left === 0) return true;
    free.set(key, left - 1);
    used.set(key, (used.get(key) ?? 0) + 1);
    alike.push(line);
    return false;
  });
  const their = theirs.filter((line) => {
    const left = used.get(line.trim()) ?? 0;
    if (left === 0) return true;
    used.set(line.trim(), left - 1);
    return false;
  });
  return [mine, their, alike];
}

/** In scripts without blanks between words each character counts. */
const WORD =
  /\d{4}-\d{2}-\d{2}T\d{2}[\d:.]*(?:Z|[+-]\d{2}:?\d{2})?|(?=\d)(?<![\p{L}\p{N}_])\d+(?:[.,:/-]\d+){0,8}(?![\p{L}\p{N}_])|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}]|[\p{L}\p{N}_]+/gu;

function countWords(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const word of text.match(WORD) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

function isNumber(word: string): boolean {
  return /^\d/.test(word) && (!/\p{L}/u.test(word) || /^\d{4}-\d{2}-\d{2}T/.test(word));
}
