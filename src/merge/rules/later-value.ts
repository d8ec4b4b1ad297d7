import type { RuleChoice, RuleName } from '../rule-names.js';
import { isDateKey, isLastKey, newerOf } from './newest-date.js';
import { higherOf } from './newest-version.js';

/** A value that both sides changed. */
export interface Contested {
  readonly key: string;
  readonly base: string | undefined;
  readonly ours: string;
  readonly theirs: string;
  /** 0: a member of the whole file, which speaks of the whole file. */
  readonly depth: number;
}

/** `latest` and `latestReleaseDate` speak of one thing, which only one of the sides has seen: they come from one side. */
export function isOfLatest(key: string): boolean {
  return /^latest/i.test(key);
}

/** Which of two values is the later one, where that is a question with an answer. */
export function laterOf(
  { key, base, ours, theirs, depth }: Contested,
  choice: RuleChoice,
): { readonly side: 'ours' | 'theirs'; readonly rule: RuleName } | undefined {
  const isLast = isDateKey(key, depth) || isLastKey(key, base, ours, theirs);
  if (choice.allows('newest-date') && isLast) {
    const side = newerOf(ours, theirs);
    if (side !== undefined) return { side, rule: 'newest-date' };
  }
  if (!choice.allows('newest-version')) return undefined;
  const side = higherOf(key, base, ours, theirs);
  return side === undefined ? undefined : { side, rule: 'newest-version' };
}
