import { contentKind } from './content-kind.js';
import { merge3, type Piece } from './diff3.js';
import { LineIds, sliceLines, splitLines, type Lines } from './lines.js';

export type MergeResult =
  | { readonly kind: 'merged'; readonly data: Buffer }
  | {
      readonly kind: 'conflict';
      /** `overlap`: both sides changed the same or neighbouring lines; else why the files are no mergeable text. */
      readonly reason: 'overlap' | 'binary' | 'encoding';
      /** In how many places the sides contradict each other; 1 where the file is no text. */
      readonly regions: number;
    };

const EMPTY = Buffer.alloc(0);

/**
 * Merges two changed versions of a file line by line. The bytes of every line are kept as they are: line
 * endings, a missing last newline, a byte order mark. Nothing is ever decoded.
 *
 * Where one side left the file alone, or both made it the same, the answer needs no look at the content,
 * so it is given for binary files too.
 *
 * @param base the common ancestor; undefined where both sides added the file
 */
export function mergeText(base: Buffer | undefined, ours: Buffer, theirs: Buffer): MergeResult {
  if (ours.equals(theirs)) return { kind: 'merged', data: ours };
  if (base?.equals(ours)) return { kind: 'merged', data: theirs };
  if (base?.equals(theirs)) return { kind: 'merged', data: ours };
  const ancestor = base ?? EMPTY;
  const kinds = [ancestor, ours, theirs].map(contentKind);
  if (kinds.includes('binary')) return { kind: 'conflict', reason: 'binary', regions: 1 };
  if (kinds.includes('encoding')) return { kind: 'conflict', reason: 'encoding', regions: 1 };
  return mergeLines(splitLines(ancestor), splitLines(ours), splitLines(theirs));
}

function mergeLines(base: Lines, ours: Lines, theirs: Lines): MergeResult {
  const ids = new LineIds();
  const pieces = merge3(ids.of(base), ids.of(ours), ids.of(theirs));
  const regions = pieces.filter((piece) => piece.kind === 'conflict').length;
  if (regions > 0) return { kind: 'conflict', reason: 'overlap', regions };
  return { kind: 'merged', data: Buffer.concat(pieces.map((piece) => bytesOf(piece, ours, theirs))) };
}

function bytesOf(piece: Piece, ours: Lines, theirs: Lines): Buffer {
  if (piece.kind === 'conflict') return EMPTY; // mergeLines has answered before it comes to this
  return sliceLines(piece.kind === 'ours' ? ours : theirs, piece.lines.start, piece.lines.count);
}
