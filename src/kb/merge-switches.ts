import type { MergeSwitch } from '../config/merge-switches.js';
import type { RepoPath } from '../git/paths.js';
import { ALL_RULES, RULE_NAMES, TEXT_RULES, without, type RuleChoice, type RuleName } from '../merge/rule-names.js';
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

const known = new WeakMap<SwitchedMerge, (path: string) => RuleChoice>();

/**
 * Which rules may be used on a file, by `merge.without` of `kb.yaml`; what several patterns take away adds up. Several
 * parts of a merge ask; what is wrong with the file is said once.
 */
export function ruleChoices(kb: SwitchedMerge): (path: string) => RuleChoice {
  const choices = known.get(kb) ?? readChoices(kb);
  known.set(kb, choices);
  return choices;
}

function readChoices({ settings, worktree, surroundings }: SwitchedMerge): (path: string) => RuleChoice {
  const switches = (settings.mergeWithout ?? []).map((one) => {
    if (one.without !== 'all') for (const name of one.without) if (!isRule(name)) warn(surroundings, name, one.source);
    const selects = parsePathPatterns([one.pattern], worktree.settings.ignoreCase, `${one.source}: merge.without`);
    return { selects, without: one.without === 'all' ? TEXT_RULES : one.without.filter(isRule) };
  });
  return (path) => {
    const off = switches.filter(({ selects }) => selects(path as RepoPath)).flatMap((one) => one.without);
    return off.length === 0 ? ALL_RULES : without(ALL_RULES, off);
  };
}

function warn(surroundings: SwitchedMerge['surroundings'], name: string, source: string): void {
  const close = nearest(name, RULE_NAMES);
  const rules = close === undefined ? `these are known: ${RULE_NAMES.join(', ')}` : `did you mean ${close}?`;
  surroundings.report({ kind: 'warning', text: `${source}: no merge rule is called ${printable(name)}; ${rules}` });
}
