/**
 * The block between `---` at the head of a note is merged key by key: lines that stand side by side there have
 * nothing to do with each other. Sets (tags, aliases) are united, of two dates of the last change the newer one
 * stays, any other value that both changed is left to a person. Never word by word: a key that lost half of its
 * name is another key.
 */
import { linesOf } from '../line-text.js';
import type { MergedPiece } from '../pieces.js';
import { settled } from '../pieces.js';
import type { RuleChoice } from '../rule-names.js';
import { mergeYamlLines } from '../yaml/merge-entries.js';

export interface SplitNote {
  readonly open: string;
  readonly matter: readonly string[];
  readonly close: string;
  readonly body: readonly string[];
}

export function splitFrontMatter(lines: readonly string[]): SplitNote | undefined {
  if (!/^\uFEFF?---\s*$/.test(lines[0] ?? '')) return undefined;
  const close = lines.findIndex((line, at) => at > 0 && /^(---|\.\.\.)\s*$/.test(line));
  if (close < 0) return undefined;
  return {
    open: lines[0] ?? '',
    matter: lines.slice(1, close),
    close: lines[close] ?? '',
    body: lines.slice(close + 1),
  };
}

/** Undefined: the block is not understood, or only one side has one. */
export function mergeFrontMatter(
  base: SplitNote | undefined,
  ours: SplitNote,
  theirs: SplitNote,
  context: { readonly choice: RuleChoice; readonly ending: string },
): MergedPiece[] | undefined {
  const pieces = mergeYamlLines(base?.matter, ours.matter, theirs.matter, { ...context, rule: 'front-matter' });
  if (pieces === undefined) return undefined;
  const close = linesOf(ours.close).at(0) ?? '';
  const open = base !== undefined && ours.open === base.open ? theirs.open : ours.open;
  return [
    settled(open),
    ...pieces,
    settled(close.endsWith('\n') ? close : close + (theirs.close.endsWith('\n') ? context.ending : '')),
  ];
}
