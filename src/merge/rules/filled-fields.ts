/**
 * Both sides added a file from one template, and each filled in other fields: what one of them left empty (`Author:`) is
 * what the other one wrote there.
 */
import type { ChunkRule } from '../chunk.js';

const EMPTY_FIELD = /^\s*(?:[-*+]\s+)?[*_]{0,2}\p{L}[^:]{0,60}:{1,2}[*_]{0,2}$/u;

export const filledFields: ChunkRule = ({ versions, ours, theirs, isAddAdd }) => {
  const { kind } = versions.ours;
  if (!isAddAdd || (kind !== 'markdown' && kind !== 'text') || ours.length !== theirs.length) return undefined;
  const lines: string[] = [];
  for (const [at, mine] of ours.entries()) {
    const their = theirs[at] ?? '';
    const [one, other] = [mine.trimEnd(), their.trimEnd()];
    const filled = one === other || isEmptyOf(other, one) ? mine : isEmptyOf(one, other) ? their : undefined;
    if (filled === undefined) return undefined;
    lines.push(filled);
  }
  return lines;
};

function isEmptyOf(field: string, filled: string): boolean {
  return EMPTY_FIELD.test(field) && filled.startsWith(`${field} `);
}
