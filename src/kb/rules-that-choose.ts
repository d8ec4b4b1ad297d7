import { RULES } from '../merge/rule-names.js';

/** What rules did that chose between two values, in words: of these one went, and whoever merged is to hear of it. */
export function choicesOf(rules: readonly string[]): string[] {
  return rules.flatMap((name) => {
    const rule = Object.hasOwn(RULES, name) ? RULES[name as keyof typeof RULES] : undefined;
    return rule?.lossless === false ? [`${rule.says} was taken (${name})`] : [];
  });
}
