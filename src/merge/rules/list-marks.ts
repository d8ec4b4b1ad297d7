/**
 * One side changed only the marks of a list (`*` to `-`, or the numbers of what moved down), the other one the text:
 * the text wins, with the new marks where its lines still have the old ones. A formatter that ran on one side must
 * not stop the edits of the other one.
 */
import { touchesCode, type ChunkRule } from '../chunk.js';
import { isBlank, squashed } from '../line-text.js';
import { isItem } from '../markdown/blocks.js';

const MARK = /^(\s*)([-*+]|\d{1,9}[.)])(?=\s|$)/;

export const listMarks: ChunkRule = (chunk) => {
  const { versions, base, ours, theirs } = chunk;
  if (versions.ours.kind !== 'markdown' || touchesCode(chunk)) return undefined;
  const text = withoutMarks(base);
  if (withoutMarks(ours) === text) return withMarksOf(base, ours, theirs);
  if (withoutMarks(theirs) === text) return withMarksOf(base, theirs, ours);
  return undefined;
};

function withoutMarks(lines: readonly string[]): string {
  return lines
    .filter((line) => !isBlank(line))
    .map((line) => (isItem(line) ? squashed(line.replace(MARK, '$1-')) : squashed(line)))
    .join('\n');
}

function withMarksOf(base: readonly string[], marked: readonly string[], edited: readonly string[]): string[] {
  const bullets = bulletsOf(base, marked);
  const isSideBySide = base.length === marked.length && base.length === edited.length;
  return edited.map((line, at) => {
    const mark = MARK.exec(line)?.[2];
    if (mark === undefined || !isItem(line)) return line;
    const [was, now] = [MARK.exec(base[at] ?? '')?.[2], MARK.exec(marked[at] ?? '')?.[2]];
    const other = isSideBySide && now !== undefined ? (mark === was ? now : mark) : bullets.get(mark);
    return other === undefined ? line : line.replace(MARK, (_, indent: string) => indent + other);
  });
}

/** Which bullet became which one; numbers are left alone, they say more than a bullet. */
function bulletsOf(base: readonly string[], marked: readonly string[]): ReadonlyMap<string, string> {
  const bullets = new Map<string, string>();
  const own = (lines: readonly string[]): string[] => lines.filter((line) => !isBlank(line));
  const now = own(marked);
  own(base).forEach((line, at) => {
    const [before, after] = [MARK.exec(line)?.[2], MARK.exec(now[at] ?? '')?.[2]];
    if (before?.length === 1 && after?.length === 1) bullets.set(before, bullets.get(before) ?? after);
  });
  return bullets;
}
