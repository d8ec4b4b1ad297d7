import type { Limit } from './limits.js';

export interface Row {
  readonly scenario: string;
  readonly files?: number;
  /** Medians, in `unit`. */
  readonly native?: number;
  readonly kb: number;
  readonly unit: 'ms' | 'MB' | 'requests' | 'connections' | '×';
  /** kb ÷ native where both were measured. */
  readonly ratio?: number;
  readonly limit?: Limit;
  /** What the limit is held against; the ratio where the limit is one, else kb's figure. */
  readonly judged?: number;
  readonly samples?: { readonly native?: readonly number[]; readonly kb?: readonly number[] };
}

export function verdict(row: Row): 'ok' | 'over' | '' {
  if (row.limit === undefined) return '';
  const figure = row.judged ?? (row.limit.unit === '×' ? row.ratio : row.kb) ?? NaN;
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
      row.limit === undefined ? '' : `≤ ${row.limit.most}${row.limit.unit === '' ? '' : ` ${row.limit.unit}`}`,
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

function number(value: number | undefined): string {
  if (value === undefined) return '';
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}
