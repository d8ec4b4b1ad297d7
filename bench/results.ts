import type { Limit } from './limits.js';

export interface Row {
  readonly scenario: string;
  readonly files?: number;
  /** Medians, in `unit`. */
  readonly native?: number;
  readonly kb: number;
  readonly unit: 'ms' | 'MB' | 'requests' | 'connections' | 'notes/s' | 'requests/note' | '×';
  /** kb ÷ native where both were measured. */
  readonly ratio?: number;
  readonly limit?: Limit;
  /** What the limit is held against; the ratio where the limit is one, else kb's figure. */
  readonly judged?: number;
  readonly samples?: { readonly native?: readonly number[]; readonly kb?: readonly number[] };
}

export function verdict(row: Row): 'ok' | 'over' | 'under' | '' {
  if (row.limit === undefined) return '';
  const figure = row.judged ?? (row.limit.unit === '×' ? row.ratio : row.kb) ?? NaN;
  // A figure that could not be worked out keeps no limit: every comparison with NaN is false.
  if ('least' in row.limit) return figure >= row.limit.least ? 'ok' : 'under';
  return figure <= row.limit.most ? 'ok' : 'over';
}

export function formatTable(rows: readonly Row[]): string {
  const cells = [
    ['scenario', 'files', 'native', 'kb', 'unit', 'ratio', 'limit', ''],
    ...rows.map((row) => [
      row.scenario,
      row.files === undefined ? '' : row.files.toLocaleString('en-US'),
      number(row.native),
      number(row.kb),
      row.unit,
      row.ratio === undefined ? '' : row.ratio.toFixed(2),
      row.limit === undefined ? '' : bound(row.limit),
      verdict(row),
    ]),
  ];
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const isText = (column: number): boolean => column === 0 || column === 4 || column >= 6;
  return cells
    .map((row) =>
      row
        .map((cell, column) => (isText(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function bound(limit: Limit): string {
  const figure = 'least' in limit ? `≥ ${limit.least}` : `≤ ${limit.most}`;
  return limit.unit === '' ? figure : `${figure} ${limit.unit}`;
}

function number(value: number | undefined): string {
  if (value === undefined) return '';
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(value < 10 ? 2 : 1);
}
