/** What both sides added at one place, by the first rule that knows this kind of text. */
import { lineBlocks, unite, type AdditionRule } from '../additions.js';
import type { Chunk } from '../chunk.js';
import { blocksOf } from '../markdown/blocks.js';
import { fencesOf } from '../markdown/fences.js';
import type { RuleChoice, RuleName } from '../rule-names.js';
import { linkReferences } from './link-references.js';
import { listItems } from './list-items.js';
import { logEntries } from './log-entries.js';
import { paragraphs } from './paragraphs.js';
import { sections } from './sections.js';
import { sortedList } from './sorted-list.js';
import { tableRows } from './table-rows.js';

const RULES: readonly AdditionRule[] = [
  sortedList,
  logEntries,
  tableRows,
  listItems,
  linkReferences,
  sections,
  paragraphs,
];

export function bothAdded(
  chunk: Chunk,
  choice: RuleChoice,
): { readonly lines: readonly string[]; readonly rule: RuleName } | undefined {
  const { versions, base, ours, theirs } = chunk;
  const { kind } = versions.ours;
  if (kind !== 'markdown' && kind !== 'text' && kind !== 'csv') return undefined;
  if (base.some((line) => line.trim() !== '') || isInFence(chunk)) return undefined;
  const split = kind === 'markdown' ? blocksOf : lineBlocks;
  const added = { chunk, ours: split(ours), theirs: split(theirs) };
  if (added.ours.blocks.length === 0 || added.theirs.blocks.length === 0) return undefined;
  for (const rule of RULES) {
    if (!choice.allows(rule.name) || !rule.fits(added)) continue;
    const order = rule.order?.(added);
    if (rule.order !== undefined && order === undefined) continue;
    const lines = unite(added, order);
    return lines === undefined ? undefined : { lines, rule: rule.name };
  }
  return undefined;
}

/** Amid a block of code, or with a fence that opens or closes one: what follows would change its meaning. */
function isInFence({ versions, at, ours, theirs }: Chunk): boolean {
  if (versions.ours.kind !== 'markdown') return false;
  const isOpen = (lines: readonly string[]): boolean => {
    const marks = fencesOf([...lines, '\n']);
    return marks.at(-1) === 1;
  };
  if (isOpen(ours) || isOpen(theirs)) return true;
  return (['ours', 'theirs'] as const).some((side) => {
    const { start } = at[side];
    return start > 0 && versions[side].isCode(start - 1) && isOpen(versions[side].lines.slice(0, start));
  });
}
