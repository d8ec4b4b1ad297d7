/**
 * Both sides added entries that begin with a time or a date: they are laid in the order of their times, the way the
 * log runs. Only where either side wrote its own entries in that order; else it is a list like any other.
 */
import type { Added, AdditionRule, BlockOrder } from '../additions.js';
import type { Block } from '../markdown/blocks.js';

const STAMP =
  /^\s*(?:(?:[-*+]|\d+[.)])\s+|#{1,6}\s+|\|\s*)?[*_`[(]*((?:\d{4}-\d{2}-\d{2}(?:[T ]\d{1,2}:\d{2}(?::\d{2})?)?)|(?:\d{1,2}:\d{2}(?::\d{2})?))\b/;

export const logEntries: AdditionRule = {
  name: 'log-entries',
  fits: ({ ours, theirs }) => {
    if ([...ours.blocks, ...theirs.blocks].some(({ kind }) => kind === 'section')) return false;
    const stamps = [...ours.blocks, ...theirs.blocks].map(stampOf);
    return stamps.every((stamp) => stamp !== undefined && stamp.length === stamps[0]?.length);
  },
  order,
};

/** All stamps of one form and length compare as text. */
function stampOf(block: Block): string | undefined {
  return STAMP.exec(block.lines[0] ?? '')?.[1]?.padStart(5, '0');
}

function order({ chunk }: Added): BlockOrder | undefined {
  const by = (direction: number): BlockOrder => {
    return (a, b) => {
      const [one, other] = [stampOf(a) ?? '', stampOf(b) ?? ''];
      return one === other ? 0 : direction * (one < other ? -1 : 1);
    };
  };
  const runs = (['ours', 'theirs'] as const).map((side) => {
    const { start, count } = chunk.at[side];
    return chunk.versions[side].lines
      .slice(Math.max(0, start - 1), start + count + 1)
      .map((line) => STAMP.exec(line)?.[1]?.padStart(5, '0'))
      .filter((stamp) => stamp !== undefined);
  });
  const isRun = (direction: number): boolean =>
    runs.every((stamps) =>
      stamps.every(
        (stamp, at) => at === 0 || stamp === stamps[at - 1] || stamp > (stamps[at - 1] ?? '') === direction > 0,
      ),
    );
  return isRun(1) ? by(1) : isRun(-1) ? by(-1) : undefined;
}
