/** How far git looks for a NUL byte before it calls a file binary. */
const BINARY_PROBE_BYTES = 8000;
const LF = 0x0a;
const CR = 0x0d;
/** Longer lines are cut. */
const LONGEST_PIECE = 64;

/** Likeness of two files of which one holds nothing that the other does not hold too, and is as long. */
export const ALIKE = 60_000;

/** What a file consists of, for comparing it with others. */
export interface Pieces {
  /** Of the whole file, bytes. */
  readonly size: number;
  /** How many bytes the file has of each piece. */
  readonly bytesOf: ReadonlyMap<string, number>;
}

/**
 * Cuts a file into its lines, long ones into stretches of 64 bytes; where a line of text ends in CR LF, the CR does not
 * count. Source: git's `diffcore-delta.c` (`hash_chars`), which counts the same stretches by their hashes.
 */
export function piecesOf(data: Buffer): Pieces {
  const isText = !data.subarray(0, BINARY_PROBE_BYTES).includes(0);
  const bytesOf = new Map<string, number>();
  const count = (piece: string): void => {
    bytesOf.set(piece, (bytesOf.get(piece) ?? 0) + piece.length);
  };
  for (let start = 0; start < data.length;) {
    const found = data.indexOf(LF, start);
    const end = found < 0 ? data.length : found + 1;
    const hasCr = isText && found > start && data[found - 1] === CR;
    const line = hasCr ? `${data.toString('latin1', start, found - 1)}\n` : data.toString('latin1', start, end);
    for (let at = 0; at < line.length; at += LONGEST_PIECE) count(line.slice(at, at + LONGEST_PIECE));
    start = end;
  }
  return { size: data.length, bytesOf };
}

/**
 * How much of the larger of two files is in both.
 * Source: git's `diffcore-rename.c` (`estimate_similarity`).
 * @param least below this the answer may be 0
 * @returns 0 to {@link ALIKE}
 */
export function likeness(a: Pieces, b: Pieces, least: number): number {
  const larger = Math.max(a.size, b.size);
  if (larger === 0 || larger * (ALIKE - least) < Math.abs(a.size - b.size) * ALIKE) return 0;
  const [few, many] = a.bytesOf.size < b.bytesOf.size ? [a.bytesOf, b.bytesOf] : [b.bytesOf, a.bytesOf];
  let shared = 0;
  for (const [piece, bytes] of few) shared += Math.min(bytes, many.get(piece) ?? 0);
  return Math.floor((shared * ALIKE) / larger);
}
