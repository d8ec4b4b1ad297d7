/**
 * Every rule, in the order in which they are tried, with what it promises. `lossless`: no line that a side added
 * and no line that both kept is missing afterwards (for rules of the grain `words`: no word), which `law.ts` checks
 * on every result. The others choose one of two values, and are named in every result for that.
 */
export const RULES = {
  'same-change': { lossless: true, says: 'both sides made the same change' },
  'white-space': { lossless: true, says: 'one side changed only white space or line ends' },
  superset: { lossless: true, says: 'one side has all that the other has, and more' },
  'both-deleted': { lossless: true, says: 'both sides took words away, one of them more' },
  'list-marks': { lossless: true, says: 'one side changed only the marks of a list' },
  'front-matter': { lossless: true, says: 'front matter, key by key' },
  'newest-date': { lossless: false, says: 'of two dates of the last change the newer one' },
  'newest-version': { lossless: false, says: 'of two versions that both sides raised the higher one' },
  json: { lossless: true, says: 'JSON, by its structure' },
  yaml: { lossless: true, says: 'YAML, by its structure' },
  'adjacent-edits': { lossless: true, says: 'edits of neighbouring lines' },
  'filled-fields': { lossless: true, says: 'fields of one template, filled in by one side each' },
  checkbox: { lossless: true, says: 'a task ticked by one side, reworded by the other' },
  words: { lossless: true, says: 'different words of one line of prose' },
  'wordless-edits': { lossless: true, says: 'one side changed only marks or took words away where the other rewrote' },
  'same-words': { lossless: false, says: 'of the same words in two punctuations ours' },
  cells: { lossless: true, says: 'different cells of one table row' },
  'sorted-list': { lossless: true, says: 'entries added to a sorted list, each in its place' },
  'list-items': { lossless: true, says: 'list items added by both' },
  'table-rows': { lossless: true, says: 'table rows added by both' },
  'link-references': { lossless: true, says: 'link definitions added by both' },
  'log-entries': { lossless: true, says: 'log entries added by both' },
  sections: { lossless: true, says: 'sections added by both' },
  paragraphs: { lossless: true, says: 'paragraphs added by both' },
  moved: { lossless: true, says: 'moved by one side, edited by the other' },
  'delete-modify': { lossless: true, says: 'deleted by one side, edited by the other: the edit is kept' },
  renamed: { lossless: true, says: 'a file, or its folder, renamed by one side: what the other side did goes along' },
} as const satisfies Record<string, { readonly lossless: boolean; readonly says: string }>;

export type RuleName = keyof typeof RULES;

export const RULE_NAMES = Object.keys(RULES) as RuleName[];

/** Which rules may be used on a file. */
export interface RuleChoice {
  allows(rule: RuleName): boolean;
}

/** Of the rules only this one is about names; without all others files are merged by lines as git does, under the names that git gives them. */
const ABOUT_NAMES: RuleName = 'renamed';

/** All that a file's text is merged by. */
export const TEXT_RULES: readonly RuleName[] = RULE_NAMES.filter((name) => name !== ABOUT_NAMES);

export const ALL_RULES: RuleChoice = { allows: () => true };

export const NO_RULES: RuleChoice = { allows: () => false };

export function without(choice: RuleChoice, left: readonly RuleName[]): RuleChoice {
  return { allows: (rule) => !left.includes(rule) && choice.allows(rule) };
}
