import type { FileKind } from './file-kind.js';
import type { LineRange } from './diff3.js';
import { squashed } from './line-text.js';
import { fencesOf, literalLines } from './markdown/fences.js';

/** One version of the file that is being merged. */
export class Version {
  private fences: Uint8Array | undefined;
  private counts: ReadonlyMap<string, number> | undefined;

  constructor(
    readonly lines: readonly string[],
    readonly kind: FileKind,
  ) {}

  /** Whether the line stands in a note's front matter or a fenced block of code, their first and last lines included. */
  isCode(line: number): boolean {
    if (this.kind !== 'markdown') return false;
    this.fences ??= literalLines(this.lines);
    return this.fences[line] === 1;
  }

  /** How often each line stands in it, white space left out; counted once, however many places ask. */
  get squashedCounts(): ReadonlyMap<string, number> {
    this.counts ??= countLines(this.lines);
    return this.counts;
  }

  slice({ start, count }: LineRange): string[] {
    return this.lines.slice(start, start + count);
  }
}

/** How often each line stands among these, white space left out. */
export function countLines(lines: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const line of lines) {
    const key = squashed(line);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** What is left of the comparisons of lines by their words that one merge may make: it bounds the time of any input. */
export interface Effort {
  left: number;
}

export interface Versions {
  readonly effort: Effort;
  readonly base: Version;
  readonly ours: Version;
  readonly theirs: Version;
}

/** A place that both sides changed, each in its own way: what rules are asked about. */
export interface Chunk {
  readonly versions: Versions;
  readonly at: { readonly base: LineRange; readonly ours: LineRange; readonly theirs: LineRange };
  readonly base: readonly string[];
  readonly ours: readonly string[];
  readonly theirs: readonly string[];
  /** Where both added the file there is no base: what they share is no proof of what either of them meant. */
  readonly isAddAdd: boolean;
  /** The ending of the file's lines. */
  readonly ending: string;
}

/** A part of the chunk lies in a code block: there, as in a program, only whole lines may be compared. */
export function touchesCode({ versions, at }: Chunk): boolean {
  return (['base', 'ours', 'theirs'] as const).some((side) => {
    const { start, count } = at[side];
    for (let line = start; line < start + count; line++) if (versions[side].isCode(line)) return true;
    return count === 0 && start > 0 && versions[side].isCode(start - 1) && versions[side].isCode(start);
  });
}

/** Amid a block of code, or with a fence that opens or closes one: what follows would change its meaning. */
export function cutsFence({ versions, at, ours, theirs }: Chunk): boolean {
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

/** The merged lines, or undefined where the rule has no safe answer. */
export type ChunkRule = (chunk: Chunk) => readonly string[] | undefined;
