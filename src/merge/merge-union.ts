import { contentKind } from './content-kind.js';
import { changedRegions, endOf, type LineRange } from './diff3.js';
import { diffLines } from './diff.js';
import { LineIds, sliceLines, splitLines, type Lines } from './lines.js';

export type UnionResult =
  | { readonly kind: 'merged'; readonly data: Buffer }
  | { readonly kind: 'conflict'; readonly reason: 'binary' | 'encoding' };

/** Conflicts with no more lines between them are one, as in git's merge at its default level. */
const JOINED_WITHIN = 3;

interface Difference {
  ours: LineRange;
  theirs: LineRange;
}

type Piece = { readonly side: 'ours' | 'theirs'; readonly lines: LineRange } | Difference;

/**
 * Merges by lines, and takes the lines of both sides, ours first, where they contradict each other.
 * Source: gitattributes(5), "union"; results equal `git merge-file --union` (test: merge-union.native.test.ts).
 */
export function mergeUnion(base: Buffer | undefined, ours: Buffer, theirs: Buffer): UnionResult {
  const kinds = [base ?? Buffer.alloc(0), ours, theirs].map(contentKind);
  if (kinds.includes('binary')) return { kind: 'conflict', reason: 'binary' };
  if (kinds.includes('encoding')) return { kind: 'conflict', reason: 'encoding' };
  const [b, o, t] = [splitLines(base ?? Buffer.alloc(0)), splitLines(ours), splitLines(theirs)];
  const parts = piecesOf(b, o, t).map((piece) => {
    if ('side' in piece) return slice(piece.side === 'ours' ? o : t, piece.lines);
    const first = slice(o, piece.ours);
    const isOpen = first.length > 0 && first.at(-1) !== 0x0a;
    return Buffer.concat([first, Buffer.from(isOpen ? lineEnd(b, o, t, piece) : ''), slice(t, piece.theirs)]);
  });
  return { kind: 'merged', data: Buffer.concat(parts) };
}

function piecesOf(base: Lines, ours: Lines, theirs: Lines): Piece[] {
  const ids = new LineIds();
  const [b, o, t] = [ids.of(base), ids.of(ours), ids.of(theirs)];
  const pieces: Piece[] = [];
  let done = 0; // lines of ours that are in the pieces already
  let last: Difference | undefined;
  const takeOurs = (until: number): void => {
    if (until > done) pieces.push({ side: 'ours', lines: { start: done, count: until - done } });
    done = until;
  };
  for (const region of changedRegions(diffLines(b, o), diffLines(b, t))) {
    if (region.changedBy === 'ours') last = undefined; // comes with the next stretch of ours
    if (region.changedBy === 'theirs') {
      last = undefined;
      takeOurs(region.ours.start);
      pieces.push({ side: 'theirs', lines: region.theirs });
      done = endOf(region.ours);
    }
    if (region.changedBy !== 'both') continue;
    for (const change of diffLines(within(o, region.ours), within(t, region.theirs))) {
      const difference: Difference = {
        ours: { start: region.ours.start + change.oldStart, count: change.oldCount },
        theirs: { start: region.theirs.start + change.newStart, count: change.newCount },
      };
      if (last !== undefined && difference.ours.start - endOf(last.ours) <= JOINED_WITHIN) {
        last.ours = { start: last.ours.start, count: endOf(difference.ours) - last.ours.start };
        last.theirs = { start: last.theirs.start, count: endOf(difference.theirs) - last.theirs.start };
      } else {
        takeOurs(difference.ours.start);
        pieces.push((last = difference));
      }
      done = endOf(difference.ours);
    }
  }
  takeOurs(ours.count);
  return pieces;
}

/** The end that a last line without one gets: CRLF only where the lines before it, and the base, have it or do not tell. */
function lineEnd(base: Lines, ours: Lines, theirs: Lines, at: Difference): string {
  const told = [isCrlf(ours, at.ours.start - 1), isCrlf(theirs, at.theirs.start - 1), isCrlf(base, 0)];
  return told.includes(false) || told[2] === undefined ? '\n' : '\r\n';
}

/** @returns undefined where the file has no line that ends, or just the one that does not */
function isCrlf(lines: Lines, line: number): boolean | undefined {
  if (lines.count === 0) return undefined;
  const at = Math.max(line, 0);
  const text = sliceLines(lines, at, 1).toString('latin1');
  if (text.endsWith('\n')) return text.endsWith('\r\n');
  return at === 0
    ? undefined
    : sliceLines(lines, at - 1, 1)
        .toString('latin1')
        .endsWith('\r\n');
}

function slice(lines: Lines, { start, count }: LineRange): Buffer {
  return sliceLines(lines, start, count);
}

function within(lines: Int32Array, range: LineRange): Int32Array {
  return lines.subarray(range.start, endOf(range));
}
