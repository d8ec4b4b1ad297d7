/**
 * YAML files are merged by their structure: keys by name, items of lists by their first line, each with the lines
 * that it stands on. A value that both changed is left to a person; so is a file in a form that is not plain block
 * YAML. Lines alone would not do: an entry that is put one line too low belongs to another key.
 */
import { settled, type MergedPiece } from '../pieces.js';
import type { RuleChoice } from '../rule-names.js';
import { mergeYamlLines } from '../yaml/merge-entries.js';

export function mergeYaml(
  base: readonly string[] | undefined,
  ours: readonly string[],
  theirs: readonly string[],
  context: { readonly choice: RuleChoice; readonly ending: string },
): MergedPiece[] | undefined {
  const [b, o, t] = [base === undefined ? undefined : split(base), split(ours), split(theirs)];
  if ([b ?? o, o, t].some((side) => side.rest.some((line) => /^(---|\.\.\.|%)/.test(line)))) return undefined;
  const pieces = mergeYamlLines(b?.rest, o.rest, t.rest, { ...context, rule: 'yaml' });
  const start = o.start === (b?.start ?? '') ? t.start : o.start;
  return pieces === undefined ? undefined : [settled(start), ...pieces];
}

/** The line that opens the document, and what follows it. */
function split(lines: readonly string[]): { start: string; rest: readonly string[] } {
  const isStart = /^\uFEFF?---\s*$/.test(lines[0] ?? '');
  return isStart ? { start: lines[0] ?? '', rest: lines.slice(1) } : { start: '', rest: lines };
}
