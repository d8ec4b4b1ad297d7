import { KbError } from '../errors.js';
import type { YamlValue } from './yaml-file.js';

/** Merge rules that a team does without, for the files of one pattern. */
export interface MergeSwitch {
  /** As in `.gitignore`, from the KB's root. */
  readonly pattern: string;
  /** Names of rules, or all of them: files are merged by lines, as git does. */
  readonly without: readonly string[] | 'all';
  /** `kb.yaml:7` */
  readonly source: string;
}

const WANTED = 'must be a list of merge rules, or all';

/**
 * Reads the group `merge.without` of `kb.yaml`: `pattern: [rule, …]`, or `pattern: all`. Whether the rules exist is looked
 * at where they are used: a KB is shared with people whose kb is older, and a rule that theirs does not know must not
 * keep them from working.
 * @throws KbError E_USAGE naming file, line and pattern
 */
export function readMergeSwitches({ value, line }: YamlValue, file: string): readonly MergeSwitch[] {
  const source = `${file}:${line}`;
  const refuse = (what: string): never => {
    throw new KbError('E_USAGE', `${source}: merge.without ${what}`, {
      hint: 'write for example: "recipes/**": [words, paragraphs]',
      details: { file, line },
    });
  };
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    return refuse('must be a group: a pattern of paths, and the rules that are not used there');
  return Object.entries(value).map(([pattern, rules]): MergeSwitch => {
    const shown = JSON.stringify(pattern.slice(0, 80));
    if (rules === 'all') return { pattern, without: 'all', source };
    if (!Array.isArray(rules) || rules.length === 0) return refuse(`${shown} ${WANTED}`);
    const names = rules.map((name: unknown) =>
      typeof name === 'string' && /^[a-z-]{1,40}$/.test(name) ? name : refuse(`${shown} ${WANTED}`),
    );
    return { pattern, without: names, source };
  });
}
