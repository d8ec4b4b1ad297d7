/**
 * Both sides edited one row of a table, in different cells: the row has both. Cells are compared without the
 * blanks that align them.
 */
import { touchesCode, type Chunk, type ChunkRule } from '../chunk.js';
import { endingOf } from '../line-text.js';
import { isRow } from '../markdown/blocks.js';
import { mergeWords } from '../words.js';

export const cells: ChunkRule = (chunk) => {
  const { base, ours, theirs, versions } = chunk;
  if (base.length === 0 || base.length !== ours.length || base.length !== theirs.length) return undefined;
  if (versions.ours.kind === 'csv') return mapRows(chunk, mergeCsvRow);
  if (versions.ours.kind !== 'markdown' || touchesCode(chunk) || ![...base, ...ours, ...theirs].every(isRow))
    return undefined;
  return mapRows(chunk, mergeTableRow);
};

/** Longer rows are not cut into cells. */
const LONGEST_ROW = 64 * 1024;

type MergeRow = (base: string, ours: string, theirs: string) => string | undefined;

function mapRows({ base, ours, theirs }: Chunk, merge: MergeRow): string[] | undefined {
  if ([...base, ...ours, ...theirs].some((row) => row.length > LONGEST_ROW)) return undefined;
  const rows = base.map((row, at) => merge(row, ours[at] ?? '', theirs[at] ?? ''));
  return rows.every((row) => row !== undefined) ? rows : undefined;
}

const TABLE_CELL = /(?:\\[^]|`[^`]*`|[^|\\])*\|?/g;
const CSV_CELL = /(?:"(?:[^"]|"")*"|[^",;\t\n\r])*[,;\t]?/g;

function mergeTableRow(base: string, ours: string, theirs: string): string | undefined {
  return mergeRow(
    [base, ours, theirs].map((row) => (row.trimEnd().match(TABLE_CELL) ?? []).filter((cell) => cell !== '')),
    endingOf(ours),
    mergeWords,
  );
}

/** Fields of a CSV file are values: no two of them are mixed. */
function mergeCsvRow(base: string, ours: string, theirs: string): string | undefined {
  if ([base, ours, theirs].some((row) => (row.match(/"/g) ?? []).length % 2 !== 0)) return undefined; // goes on below
  return mergeRow(
    [base, ours, theirs].map((row) => (row.replace(/\r?\n$/, '').match(CSV_CELL) ?? []).filter((cell) => cell !== '')),
    endingOf(ours),
    () => undefined,
  );
}

function mergeRow(rows: readonly (readonly string[])[], ending: string, both: MergeRow): string | undefined {
  const [b = [], o = [], t = []] = rows;
  if (b.length < 2) return undefined; // one cell is the whole line
  if (b.length !== o.length || b.length !== t.length) return undefined;
  const merged: string[] = [];
  const textIn = (cell: string): string => cell.replace(/[|,;\t]$/, '').trim();
  for (const [at, was] of b.entries()) {
    const [mine, their] = [o[at] ?? '', t[at] ?? ''];
    const cell =
      textIn(mine) === textIn(their) || textIn(their) === textIn(was)
        ? mine
        : textIn(mine) === textIn(was)
          ? their
          : both(was, mine, their);
    if (cell === undefined) return undefined;
    merged.push(cell);
  }
  return merged.join('') + ending;
}
