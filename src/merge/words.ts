import { diffLines } from './diff.js';
import { endingOf, KeyIds } from './line-text.js';
import { fineRegions } from './rules/adjacent-edits.js';
import { contains } from './rules/superset.js';

/**
 * The smallest parts that a merge of words may tell apart: a URL, a link's target, a run of code, a number with its
 * separators (a version, a date), a word; in scripts without spaces one character. Cutting finer would let two
 * sides' halves of one value stand together as a third value that nobody wrote.
 */
const TOKEN =
  /`[^`\n]*`|\s+|v?\d+(?:[.,:/-]\d+){0,8}(?![\p{L}\p{N}_])|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}]|[\p{L}\p{N}\p{M}_]+(?:['’-][\p{L}\p{N}\p{M}_]+)*|[^]/gu;

/** A line longer than this is not cut into words: the time would grow with the square of what differs. */
const LONGEST_LINE = 64 * 1024;

export function tokensOf(text: string): string[] | undefined {
  return text.length > LONGEST_LINE ? undefined : (text.match(TOKEN) ?? []);
}

/** A side that kept less than this has written another sentence; then the other one must have kept every word. */
const LEAST_KEPT = 0.35;

/** White space counts as one blank: wrapping a paragraph anew is no change of its words. */
function keyOfToken(token: string): string {
  return isAsciiWord(token) ? token : /^\s/.test(token) ? ' ' : token;
}

/**
 * Merges three texts word by word. Undefined where the sides changed the same or touching words, or where one of
 * them kept so little of the base that its words stand there by chance.
 */
export function mergeWords(base: string, ours: string, theirs: string): string | undefined {
  const ending = endingOf(ours) || endingOf(theirs);
  const [b, o, t] = [base, ours, theirs].map((text) => tokensOf(text.slice(0, text.length - endingOf(text).length)));
  if (b === undefined || o === undefined || t === undefined) return undefined;
  const ids = new KeyIds(keyOfToken);
  const [bIds, oIds, tIds] = [ids.of(b), ids.of(o), ids.of(t)];
  const [byUs, byThem] = [diffLines(bIds, oIds), diffLines(bIds, tIds)];
  const kept = [byUs, byThem].map((changes) => shareKept(b, changes));
  if (Math.min(...kept) < LEAST_KEPT && Math.max(...kept) < 1) return undefined;
  const merged: string[] = [];
  let at = { base: 0, ours: 0, theirs: 0 };
  const takeKept = (until: number): void => {
    for (; at.base < until; at.base++, at.ours++, at.theirs++) {
      const mine = o[at.ours] ?? '';
      merged.push(mine === b[at.base] ? (t[at.theirs] ?? '') : mine); // white space that one side changed
    }
  };
  for (const region of fineRegions(b.length, byUs, byThem)) {
    takeKept(region.base.start);
    if (region.changedBy === 'nobody') continue;
    const mine = o.slice(region.ours.start, region.ours.start + region.ours.count);
    const their = t.slice(region.theirs.start, region.theirs.start + region.theirs.count);
    const taken =
      region.changedBy === 'both'
        ? larger(b, b.slice(region.base.start, region.base.start + region.base.count), mine, their)
        : region.changedBy === 'ours'
          ? mine
          : their;
    if (taken === undefined) return undefined;
    merged.push(...taken);
    at = {
      base: region.base.start + region.base.count,
      ours: region.ours.start + region.ours.count,
      theirs: region.theirs.start + region.theirs.count,
    };
  }
  takeKept(b.length);
  return merged.join('') + ending;
}

/** Of two edits of the same words the one that includes the other. */
function larger(line: string[], base: string[], ours: string[], theirs: string[]): string[] | undefined {
  if (ours.join('') === theirs.join('')) return ours;
  const [b, o, t] = [base, ours, theirs].map((tokens) => tokens.filter((token) => token.trim() !== ''));
  if (b === undefined || o === undefined || t === undefined || o.length === 0 || t.length === 0) return undefined;
  if (contains(t, o, b)) return theirs;
  if (contains(o, t, b)) return ours;
  return b.length === 0 ? inTurn(line, ours, theirs) : undefined;
}

/** With fewer of them a line is a sentence with a comma in it. */
const FEWEST_SEPARATORS = 2;

/**
 * Both sides added to the line at one point: whole sentences, or entries of a list within the line. Then they stand one
 * behind the other; anything less than that would be a sentence that nobody wrote.
 */
function inTurn(line: string[], ours: string[], theirs: string[]): string[] | undefined {
  const [mine, their] = [ours.join(''), theirs.join('')];
  const isEntry = (text: string): boolean => /^\s*[,;|·•] ?\S[^,;]*$/.test(text);
  const isSentence = (text: string): boolean => /^\s+\p{Lu}[^]*[.!?…]\s*$/u.test(text);
  const separator = (text: string): string => text.trim().slice(0, 1);
  const isList = line.filter((token) => token === separator(mine)).length >= FEWEST_SEPARATORS;
  if (isList && isEntry(mine) && isEntry(their) && separator(mine) === separator(their)) return [...ours, ...theirs];
  return isSentence(mine) && isSentence(their) && likeness(mine, their) < 0.5 ? [...ours, ...theirs] : undefined;
}

const isWord = (token: string): boolean => isAsciiWord(token) || /[\p{L}\p{N}]/u.test(token);

/** Of nearly all tokens the first character says what they are. */
function isAsciiWord(token: string): boolean {
  const code = token.charCodeAt(0);
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57);
}

/** Which part of the base's words a side has left alone, 0 to 1. */
function shareKept(base: readonly string[], changes: readonly { oldStart: number; oldCount: number }[]): number {
  const words = base.filter(isWord).length;
  let gone = 0;
  for (const { oldStart, oldCount } of changes) gone += base.slice(oldStart, oldStart + oldCount).filter(isWord).length;
  return words === 0 ? 0 : (words - gone) / words;
}

const WORD = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}]|[\p{L}\p{N}_]+/gu;

/** The words of a text alone, without white space and punctuation: what counts as lost when it is gone. */
export function bareWords(text: string): string[] {
  return text.match(WORD) ?? [];
}

/** Only so much of a very long line is looked at when lines are compared. */
const COMPARED = 2000;

/** How alike two lines are, 0 to 1: the share of words that they have in common. */
export function likeness(a: string, b: string): number {
  const one = bareWords(a.slice(0, COMPARED));
  const other = bareWords(b.slice(0, COMPARED));
  if (one.length + other.length === 0) return a.trim() === b.trim() ? 1 : 0;
  const counts = new Map<string, number>();
  for (const word of one) counts.set(word, (counts.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of other) {
    const left = counts.get(word) ?? 0;
    if (left === 0) continue;
    counts.set(word, left - 1);
    common++;
  }
  return (2 * common) / (one.length + other.length);
}
