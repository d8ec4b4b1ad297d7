import type { MergeSwitch } from '../config/merge-switches.js';
import type { RepoPath } from '../git/paths.js';
import { ALL_RULES, NO_RULES, RULE_NAMES, without, type RuleChoice, type RuleName } from '../merge/rule-names.js';
import { nearest } from '../nearest.js';
import { printable } from '../printable.js';
import { parsePathPatterns } from './run/path-patterns.js';

/** What is needed of a KB to know which merge rules its team does without. */
export interface SwitchedMerge {
  readonly settings: { readonly mergeWithout?: readonly MergeSwitch[] };
  readonly worktree: { readonly settings: { readonly ignoreCase: boolean } };
  readonly surroundings: { report(event: { readonly kind: 'warning'; readonly text: string }): void };
}

const isRule = (name: string): name is RuleName => (RULE_NAMES as readonly string[]).includes(name);

/** Which rules may be used on a file, by `merge.without` of `kb.yaml`; what several patterns take away adds up. */
export function ruleChoices({ settings, worktree, surroundings }: SwitchedMerge): (path: string) => RuleChoice {
  const switches = (settings.mergeWithout ?? []).map((one) => {
    if (one.without !== 'all') for (const name of one.without) if (!isRule(name)) warn(surroundings, name, one.source);
    const selects = parsePathPatterns([one.pattern], worktree.settings.ignoreCase, `${one.source}: merge.without`);
    return { selects, without: one.without === 'all' ? RULE_NAMES : one.without.filter(isRule) };
  });
  return (path) => {
    const off = switches.filter(({ selects }) => selects(path as RepoPath)).flatMap((one) => one.without);
    if (off.length === 0) return ALL_RULES;
    return RULE_NAMES.every((name) => off.includes(name)) ? NO_RULES : without(ALL_RULES, off);
  };
}

function warn(surroundings: SwitchedMerge['surroundings'], name: string, source: string): void {
  const close = nearest(name, RULE_NAMES);
  const known = close === undefined ? `these are known: ${RULE_NAMES.join(', ')}` : `did you mean ${close}?`;
  surroundings.report({ kind: 'warning', text: `${source}: no merge rule is called ${printable(name)}; ${known}` });
}
