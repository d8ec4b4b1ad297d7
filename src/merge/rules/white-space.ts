/**
 * One side changed only white space or line ends, the other one the text: the text wins, for nobody would want a
 * stripped blank to undo a sentence. An indentation that the first side changed and the other kept is carried over:
 * in a list it is structure.
 */
import type { Chunk, ChunkRule } from '../chunk.js';
import { squashed } from '../line-text.js';

export const whiteSpace: ChunkRule = (chunk) => {
  const { versions, base, ours, theirs } = chunk;
  if (versions.ours.kind === 'yaml' || versions.ours.kind === 'other') return endOfLineOnly(chunk);
  const key = (lines: readonly string[]): string =>
    lines
      .map(squashed)
      .filter((line) => line !== '')
      .join('\n');
  const text = key(base);
  if (key(ours) === text) return withIndentOf(base, ours, theirs);
  if (key(theirs) === text) return withIndentOf(base, theirs, ours);
  return undefined;
};

/** Where indentation means something, only what stands at the end of lines is white space that does not count. */
function endOfLineOnly({ base, ours, theirs }: Chunk): readonly string[] | undefined {
  const key = (lines: readonly string[]): string => lines.map((line) => line.trimEnd()).join('\n');
  if (key(ours) === key(base)) return theirs;
  if (key(theirs) === key(base)) return ours;
  return undefined;
}

const indent = (line: string): string => /^[ \t]*/.exec(line)?.[0] ?? '';

function withIndentOf(
  base: readonly string[],
  spaced: readonly string[],
  edited: readonly string[],
): readonly string[] {
  if (base.length !== spaced.length || base.length !== edited.length) return edited;
  return edited.map((line, at) => {
    const [was, now] = [indent(base[at] ?? ''), indent(spaced[at] ?? '')];
    return was !== now && indent(line) === was ? now + line.slice(was.length) : line;
  });
}
