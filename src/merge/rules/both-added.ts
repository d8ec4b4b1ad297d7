/** What both sides added at one place, by the first rule that knows this kind of text. */
import { lineBlocks, unite, type AdditionRule } from '../additions.js';
import { cutsFence, type Chunk } from '../chunk.js';
import { blocksOf } from '../markdown/blocks.js';
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
  if (base.some((line) => line.trim() !== '') || cutsFence(chunk)) return undefined;
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
