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
/** The same, with runs of code cut, too: for comparing. */
const CUT_TOKEN = new RegExp(TOKEN.source.slice(TOKEN.source.indexOf('|') + 1), TOKEN.flags);

/** A line longer than this is not cut into words: the time would grow with the square of what differs. */
const LONGEST_LINE = 64 * 1024;

export function tokensOf(text: string, token = TOKEN): string[] | undefined {
  return text.length > LONGEST_LINE ? undefined : (text.match(token) ?? []);
}

/** A side that kept less than this has written another sentence; then the other one must have kept every word. */
const LEAST_KEPT = 0.35;

/** White space counts as one blank: wrapping a paragraph anew is no change of its words. */
function keyOfToken(token: string): string {
  return isAsciiWord(token) ? token : /^\s/.test(token) ? ' ' : token;
}

export interface WordsRequest {
  /** What one side took away and the other one reworded stays as it was reworded. */
  readonly keepsEdits?: boolean;
}

/**
 * Merges three texts word by word. Undefined where the sides changed the same or touching words, or where one of
 * them kept so little of the base that its words stand there by chance.
 */
export function mergeWords(
  base: string,
  ours: string,
  theirs: string,
  { keepsEdits = false }: WordsRequest = {},
): string | undefined {
  const ending = endingOf(ours) || endingOf(theirs);
  const [b, o, t] = [base, ours, theirs].map((text) => tokensOf(text.slice(0, text.length - endingOf(text).length)));
  if (b === undefined || o === undefined || t === undefined) return undefined;
  const ids = new KeyIds(keyOfToken);
  const [bIds, oIds, tIds] = [ids.of(b), ids.of(o), ids.of(t)];
  const [byUs, byThem] = [diffLines(bIds, oIds), diffLines(bIds, tIds)];
  const kept = [byUs, byThem].map((changes) => shareKept(b, changes));
  // the words of a side that only took some away are the base's, not there by chance
  const isByChance = [ours, theirs].some((side, at) => (kept[at] ?? 0) < LEAST_KEPT && !writesNothing(side, base));
  if (isByChance && Math.max(...kept) < 1) return undefined;
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
    if (region.changedBy !== 'both' && region.base.count === 0) {
      if (hasNoPlace(b, region.base.start, region.changedBy === 'ours' ? byThem : byUs)) return undefined;
    }
    const mine = o.slice(region.ours.start, region.ours.start + region.ours.count);
    const their = t.slice(region.theirs.start, region.theirs.start + region.theirs.count);
    const taken =
      region.changedBy === 'both'
        ? larger(b, region.base, mine, their, keepsEdits)
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

/**
 * Of two edits of one line the one that did, word by word, all that the other one did, and more. It puts nothing together,
 * so it holds for code, too, where a mark is a word.
 */
export function largerEdit(base: string, ours: string, theirs: string): 'ours' | 'theirs' | undefined {
  const [mine, their] = [changedSpan(base, ours), changedSpan(base, theirs)];
  // each did something where the other did nothing
  if (mine.end < their.start || their.end < mine.start) return undefined;
  const [b, o, t] = [base, ours, theirs].map((line) => tokensOf(line.trimEnd(), CUT_TOKEN));
  if (b === undefined || o === undefined || t === undefined) return undefined;
  const ids = new KeyIds();
  const [bIds, oIds, tIds] = [ids.of(b), ids.of(o), ids.of(t)];
  const [byUs, byThem] = [diffLines(bIds, oIds), diffLines(bIds, tIds)];
  // of a line that both wrote anew nobody can say which of them did the more
  if (Math.max(shareKept(b, byUs), shareKept(b, byThem)) < LEAST_KEPT) return undefined;
  let [isOurs, isTheirs] = [true, true];
  for (const region of fineRegions(b.length, byUs, byThem)) {
    if (region.changedBy === 'nobody') continue;
    isOurs &&= region.changedBy !== 'theirs';
    isTheirs &&= region.changedBy !== 'ours';
    if (region.changedBy !== 'both') continue;
    const [was, mine, their] = [
      b.slice(region.base.start, region.base.start + region.base.count),
      o.slice(region.ours.start, region.ours.start + region.ours.count),
      t.slice(region.theirs.start, region.theirs.start + region.theirs.count),
    ];
    isOurs &&= their.length > 0 && contains(mine, their, was);
    isTheirs &&= mine.length > 0 && contains(their, mine, was);
  }
  return isOurs ? 'ours' : isTheirs ? 'theirs' : undefined;
}

/** The part of `base` outside of which `side` is the same. */
function changedSpan(base: string, side: string): { readonly start: number; readonly end: number } {
  const most = Math.min(base.length, side.length);
  let [start, behind] = [0, 0];
  while (start < most && base.charCodeAt(start) === side.charCodeAt(start)) start++;
  while (
    behind < most - start &&
    base.charCodeAt(base.length - 1 - behind) === side.charCodeAt(side.length - 1 - behind)
  )
    behind++;
  return { start, end: base.length - behind };
}

/** Whether both words between which something was put were replaced by the other side: then its place is gone. */
function hasNoPlace(
  line: readonly string[],
  at: number,
  byOther: readonly { oldStart: number; oldCount: number }[],
): boolean {
  const isChanged = (token: number): boolean =>
    byOther.some(({ oldStart, oldCount }) => token >= oldStart && token < oldStart + oldCount);
  let [before, after] = [at - 1, at];
  while (before >= 0 && (line[before] ?? '').trim() === '') before--;
  while (after < line.length && (line[after] ?? '').trim() === '') after++;
  return isChanged(before) && isChanged(after); // the ends of a line are places by themselves
}

/** Of two edits of the same words the one that includes the other. */
function larger(
  line: string[],
  at: { readonly start: number; readonly count: number },
  ours: string[],
  theirs: string[],
  keepsEdits: boolean,
): string[] | undefined {
  if (ours.join('') === theirs.join('')) return ours;
  const base = line.slice(at.start, at.start + at.count);
  const [b, o, t] = [base, ours, theirs].map((tokens) => tokens.filter((token) => token.trim() !== ''));
  if (b === undefined || o === undefined || t === undefined) return undefined;
  if (o.length > 0 && t.length > 0) {
    if (contains(t, o, b)) return theirs;
    if (contains(o, t, b)) return ours;
  }
  if (b.length === 0) return inTurn(line, at.start, ours, theirs);
  const [was, mine, their] = [base, ours, theirs].map((tokens) => tellingWords(tokens.join('')));
  if (was === undefined || mine === undefined || their === undefined || was.length === 0) return undefined;
  const isDeletion = mine.length === 0 || their.length === 0;
  if (isDeletion && mine.length + their.length > 0) {
    if (!keepsEdits || was.length < FEWEST_KEPT || !isClause(line, at)) return undefined;
    return mine.length === 0 ? theirs : ours;
  }
  if (isIncluded(their, mine, was)) return ours;
  return isIncluded(mine, their, was) ? theirs : undefined;
}

/** Fewer words that one side took away and the other one reworded are a choice of words, which a person must make. */
const FEWEST_KEPT = 4;

/** Whether a stretch of a line stands between marks that end a clause: it can be kept as it is, whatever is around it. */
function isClause(line: readonly string[], at: { readonly start: number; readonly count: number }): boolean {
  const end = at.start + at.count;
  const said = (tokens: readonly string[]): string[] => tokens.filter((token) => token.trim() !== '');
  const [before, within, after] = [
    said(line.slice(0, at.start)),
    said(line.slice(at.start, end)),
    said(line.slice(end)),
  ];
  const isEdge = (token: string | undefined): boolean => token === undefined || /^[.!?…;:,()–—]$/.test(token);
  return (isEdge(before.at(-1)) || isEdge(within[0])) && (isEdge(within.at(-1)) || isEdge(after[0]));
}

/** With fewer of them a line is a sentence with a comma in it. */
const FEWEST_SEPARATORS = 2;

/**
 * Both sides added to the line at one point: whole sentences, or entries of a list within the line. Then they stand one
 * behind the other; anything less than that would be a sentence that nobody wrote.
 */
function inTurn(line: string[], at: number, ours: string[], theirs: string[]): string[] | undefined {
  const [mine, their] = [ours.join(''), theirs.join('')];
  const isEntry = (text: string): boolean => /^\s*[,;|·•] ?\S[^,;]*$/.test(text);
  const isSentence = (text: string): boolean => /^\s+\p{Lu}[^]*[.!?…]\s*$/u.test(text);
  const separator = (text: string): string => text.trim().slice(0, 1);
  const isList = line.filter((token) => token === separator(mine)).length >= FEWEST_SEPARATORS;
  if (isList && isEntry(mine) && isEntry(their) && separator(mine) === separator(their)) return [...ours, ...theirs];
  if (isSentence(mine) && isSentence(their) && likeness(mine, their) < 0.5) return [...ours, ...theirs];
  const place = { before: line[at - 1] ?? ' ', after: line[at] ?? ' ' };
  const [ourMark, theirMark] = [sideOfMark(mine, their, place), sideOfMark(their, mine, place)];
  if ((ourMark === undefined) === (theirMark === undefined)) return undefined;
  return ourMark === 'left' || theirMark === 'right' ? [...ours, ...theirs] : [...theirs, ...ours];
}

/**
 * On which side of words that the other side put at the same point a mark stands: an opening one to their right, at
 * what it opens; a closing one to their left, at what it closes; the end of a sentence behind the words that go on with it.
 */
function sideOfMark(
  mark: string,
  words: string,
  place: { readonly before: string; readonly after: string },
): 'left' | 'right' | undefined {
  const isAtStart = /\s$/.test(place.before) && /^\S/.test(place.after);
  const isAtEnd = /\S$/.test(place.before) && /^(?:\s|\p{P})/u.test(place.after);
  if (isAtStart && /^[([{“„‘«"'*_~`]+$/.test(mark) && /\s$/.test(words)) return 'right';
  if (!isAtEnd || !/^\s/.test(words)) return undefined;
  if (/^[)\]}”’»"'*_~`]+$/.test(mark)) return 'left';
  return /^[.!?…]$/.test(mark) && /^\s+\p{Ll}/u.test(words) && !/[.!?…]\s*$/.test(words) ? 'right' : undefined;
}

/**
 * Words, and signs that say something by themselves: an emoji, the box of a task, what makes a wiki link, a tag, a name
 * (`@`) or struck-out text; not the marks between words. A number with its sign, an address and a run of code are one
 * word each, for a mark within them is no mark.
 */
const TELLING =
  /(?<=[-*+.)] )\[.\]|\[\[|\]\]|~~|[#@](?=\p{L})|`[^`\n]*`|https?:\/\/[^\s)>\]]+|(?<=\]\()[^)\s]+|(?:(?<=^|\s)[-+])?(?<![\p{L}\p{N}_])\d+(?:[.,:/-]\d+){0,8}(?![\p{L}\p{N}_])|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}]|[\p{L}\p{N}_]+|[^\s\p{P}`^|~<>=+$]/gu;

export function tellingWords(text: string): string[] {
  return (text.match(TELLING) ?? []).map((word) => {
    if (word.startsWith('`')) return /^`[\p{L}\p{N}_]+`$/u.test(word) ? word.slice(1, -1) : word;
    return word.replace(/[/.,]+$/, '');
  });
}

/** Whether a side took words away or changed the marks between them, and wrote nothing that could be lost. */
export function writesNothing(side: string, base: string): boolean {
  return isPartOf(tellingWords(side), tellingWords(base));
}

/** Whether `few` is what is left of `many` when words of it are taken away. */
export function isPartOf(few: readonly string[], many: readonly string[]): boolean {
  let at = 0;
  for (const word of few) {
    while (at < many.length && many[at] !== word) at++;
    if (at === many.length) return false;
    at++;
  }
  return true;
}

/** Whether what leads from `base` to `small` wrote nothing, and took nothing away that `large` has left. */
export function isIncluded(small: readonly string[], large: readonly string[], base: readonly string[]): boolean {
  return isPartOf(small, base) && contains(large, small, base);
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
