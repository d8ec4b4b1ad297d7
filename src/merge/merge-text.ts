import { endOf, type LineRange } from './diff3.js';
import { lineRegions } from './line-regions.js';
import { commonEncoding, hasNul, readText, type Encoding, type TextForm } from './text-form.js';

/** Three versions of one file as lines. */
export interface TextVersions {
  /** undefined: both sides added the file. */
  readonly base: TextForm | undefined;
  readonly ours: TextForm;
  readonly theirs: TextForm;
  readonly encoding: Encoding;
}

export type TextMerge =
  | { readonly kind: 'merged'; readonly data: Buffer }
  | {
      readonly kind: 'conflict';
      /** Both sides changed the same or neighbouring lines. */
      readonly reason: 'overlap';
      readonly texts: TextVersions;
    }
  /** The files are no text that can be merged. */
  | { readonly kind: 'conflict'; readonly reason: 'binary' | 'encoding' };

const NO_LINES: readonly string[] = [];

/**
 * Merges two changed versions of a file line by line, as git does: changes that overlap or touch are a conflict, unless
 * both sides made the same one. The bytes of every line are kept as they are, whatever their encoding: line ends, a
 * missing last newline, a byte order mark.
 *
 * Where one side left the file alone, or both made it the same, the answer needs no look at the content,
 * so it is given for binary files too.
 *
 * Source of the rules: git-merge-file(1) at its default level ("zealous"); results equal native git's, which
 * `test/unit/merge/merge-text.native.test.ts` checks.
 *
 * @param base the common ancestor; undefined where both sides added the file
 */
export function mergeText(base: Buffer | undefined, ours: Buffer, theirs: Buffer): TextMerge {
  if (ours.equals(theirs) || base?.equals(theirs) === true) return { kind: 'merged', data: ours };
  if (base?.equals(ours) === true) return { kind: 'merged', data: theirs };
  const versions = base === undefined ? [ours, theirs] : [base, ours, theirs];
  const encoding = commonEncoding(versions);
  if (encoding === 'binary' || encoding === 'encoding') return { kind: 'conflict', reason: encoding };
  const texts: TextVersions = {
    // An empty base is what git gives its merge drivers where both sides added the file.
    base: base === undefined || base.length === 0 ? undefined : readText(base, encoding),
    ours: readText(ours, encoding),
    theirs: readText(theirs, encoding),
    encoding,
  };
  const merged = mergeLines(texts.base?.lines ?? NO_LINES, texts.ours.lines, texts.theirs.lines);
  if (merged !== undefined) return { kind: 'merged', data: Buffer.from(merged, encoding) };
  return versions.some(hasNul)
    ? { kind: 'conflict', reason: 'binary' }
    : { kind: 'conflict', reason: 'overlap', texts };
}

/** @returns undefined where git would leave a conflict */
function mergeLines(base: readonly string[], ours: readonly string[], theirs: readonly string[]): string | undefined {
  const parts: string[] = [];
  let done = 0; // lines of ours that are in the parts already
  for (const region of lineRegions(base, ours, theirs)) {
    if (region.changedBy === 'ours') continue; // comes with the next stretch of ours
    if (region.changedBy === 'both') {
      if (!areAlike(ours, region.ours, theirs, region.theirs)) return undefined;
      continue;
    }
    parts.push(textAt(ours, done, region.ours.start), textAt(theirs, region.theirs.start, endOf(region.theirs)));
    done = endOf(region.ours);
  }
  parts.push(textAt(ours, done, ours.length));
  return parts.join('');
}

function areAlike(ours: readonly string[], mine: LineRange, theirs: readonly string[], their: LineRange): boolean {
  if (mine.count !== their.count) return false;
  for (let line = 0; line < mine.count; line++) {
    if (ours[mine.start + line] !== theirs[their.start + line]) return false;
  }
  return true;
}

function textAt(lines: readonly string[], from: number, to: number): string {
  return lines.slice(from, to).join('');
}
