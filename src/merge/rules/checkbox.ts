/**
 * One side ticked a task, the other one reworded it: the task is reworded and ticked. A box that both changed, each
 * to another mark, is left to a person.
 */
import { touchesCode, type ChunkRule } from '../chunk.js';
import { mergeWords } from '../words.js';

const TASK = /^(\s*(?:[-*+]|\d+[.)])\s+\[)(.)(\])([^]*)$/u;

export const checkbox: ChunkRule = (chunk) => {
  const { base, ours, theirs } = chunk;
  if (chunk.versions.ours.kind !== 'markdown' || touchesCode(chunk)) return undefined;
  if (base.length !== 1 || ours.length !== 1 || theirs.length !== 1) return undefined;
  const [was, mine, their] = [base, ours, theirs].map((lines) => TASK.exec(lines[0] ?? ''));
  if (!was || !mine || !their) return undefined;
  const mark = pick(was[2], mine[2], their[2]);
  const start = pick(was[1], mine[1], their[1]);
  const rest = pick(was[4], mine[4], their[4]) ?? mergeWords(was[4] ?? '', mine[4] ?? '', their[4] ?? '');
  return mark === undefined || start === undefined || rest === undefined ? undefined : [`${start}${mark}]${rest}`];
};

function pick(base: string | undefined, ours: string | undefined, theirs: string | undefined): string | undefined {
  if (ours === theirs || theirs === base) return ours;
  return ours === base ? theirs : undefined;
}
