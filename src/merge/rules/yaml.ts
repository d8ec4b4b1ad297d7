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
  const [b, o, t] = [base === undefined ? undefined : documentsOf(base), documentsOf(ours), documentsOf(theirs)];
  if (o === undefined || t?.length !== o.length || (base !== undefined && b?.length !== o.length)) return undefined;
  const pieces: MergedPiece[] = [];
  for (const [at, mine] of o.entries()) {
    const [was, their] = [b?.[at], t[at] ?? mine];
    const merged = mergeYamlLines(was?.lines, mine.lines, their.lines, { ...context, rule: 'yaml' });
    if (merged === undefined) return undefined;
    pieces.push(settled(mine.start === (was?.start ?? '') ? their.start : mine.start), ...merged);
  }
  return pieces;
}

interface Document {
  /** The line that opens it; empty where nothing does. */
  readonly start: string;
  readonly lines: readonly string[];
}

/** The documents of a file, told apart by their number; undefined for one with directives, or with another end than a start. */
function documentsOf(lines: readonly string[]): Document[] | undefined {
  const documents: { start: string; lines: string[] }[] = [];
  for (const [at, line] of lines.entries()) {
    if (/^\uFEFF?---\s*$/.test(line)) documents.push({ start: line, lines: [] });
    else if (/^(---|\.\.\.|%)/.test(line)) return undefined;
    else if (at === 0) documents.push({ start: '', lines: [line] });
    else documents.at(-1)?.lines.push(line);
  }
  return documents.length === 0 ? [{ start: '', lines: [] }] : documents;
}
