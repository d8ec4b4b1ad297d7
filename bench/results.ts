import type { Limit } from './limits.js';
import type { Environment } from './machine.js';

export interface Row {
  readonly scenario: string;
  readonly files?: number;
  /** The name of a repository given by path; undefined: a generated one. */
  readonly repository?: string;
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

/** What isomorphic-git's own porcelain took for the same, ms, or how it failed. A single run. */
export interface PorcelainRow {
  readonly scenario: string;
  readonly files: number;
  readonly repository?: string;
  readonly outcome: number | string;
}

/** What a command loads when it starts. */
export interface Loads {
  readonly command: string;
  /** Median of its time in the smallest KB above that of `node -e 0`, ms. */
  readonly besideNodeMs: number;
  /** How many of kb's own source files were evaluated. */
  readonly sources: number;
  /** Packages of which something was evaluated. */
  readonly packages: readonly string[];
  /** Node's own modules that `node -e 0` does not load. */
  readonly builtins: number;
  /** What V8 compiled of the program, as it is kept for the next start, KB; 0: the command is not worth keeping. */
  readonly compiledKb: number;
}

/** What one run of the bench found. */
export interface Result {
  readonly at: string;
  readonly commit: string;
  readonly environment: Environment;
  readonly rows: readonly Row[];
  readonly porcelain: readonly PorcelainRow[];
  readonly loads: readonly Loads[];
}

export function verdict(row: Row): 'ok' | 'missed' | '' {
  if (row.limit === undefined) return '';
  const figure = row.judged ?? (row.limit.unit === '×' ? row.ratio : row.kb) ?? NaN;
  // A figure that could not be worked out keeps no limit: every comparison with NaN is false.
  return ('least' in row.limit ? figure >= row.limit.least : figure <= row.limit.most) ? 'ok' : 'missed';
}

/** What was measured, where, in which KB: the newest row of each takes the place of the older ones. */
export function keyOf(row: {
  readonly scenario: string;
  readonly files?: number;
  readonly repository?: string;
  readonly unit?: string;
}): string {
  return JSON.stringify([row.repository ?? '', row.scenario, row.files ?? 0, row.unit ?? '']);
}

/**
 * One set of results out of many runs: of each row the newest, under the run that it comes from. So scenarios can be
 * measured one by one, when the machine is quiet.
 * @returns the oldest run first; runs of which nothing is left are left out
 */
export function newestOf(results: readonly Result[]): Result[] {
  const oldestFirst = [...results].sort((a, b) => a.at.localeCompare(b.at));
  const winners = new Map<string, Result>();
  for (const result of oldestFirst) {
    for (const key of keysOf(result)) winners.set(key, result);
  }
  return oldestFirst
    .map((result) => {
      const wins = (key: string): boolean => winners.get(key) === result;
      return {
        ...result,
        rows: result.rows.filter((row) => wins(keyOf(row))),
        porcelain: result.porcelain.filter((row) => wins(porcelainKey(row))),
        loads: result.loads.filter((row) => wins(loadsKey(row))),
      };
    })
    .filter(({ rows, porcelain, loads }) => rows.length + porcelain.length + loads.length > 0);
}

function keysOf({ rows, porcelain, loads }: Result): string[] {
  return [...rows.map(keyOf), ...porcelain.map(porcelainKey), ...loads.map(loadsKey)];
}

function porcelainKey(row: PorcelainRow): string {
  return `porcelain ${keyOf(row)}`;
}

function loadsKey({ command }: Loads): string {
  return `loads ${command}`;
}

/** Aligned, for a terminal. */
export function formatTable(cells: readonly (readonly string[])[], isText: (column: number) => boolean): string {
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => (isText(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function formatRows(rows: readonly Row[]): string {
  const cells = [
    ['scenario', 'files', 'native', 'kb', 'unit', 'ratio', 'limit', ''],
    ...rows.map((row) => [
      row.repository === undefined ? row.scenario : `${row.repository}: ${row.scenario}`,
      row.files === undefined ? '' : row.files.toLocaleString('en-US'),
      number(row.native),
      number(row.kb),
      row.unit,
      row.ratio === undefined ? '' : row.ratio.toFixed(2),
      row.limit === undefined ? '' : bound(row.limit),
      verdict(row),
    ]),
  ];
  return formatTable(cells, (column) => column === 0 || column === 4 || column >= 6);
}

export function formatLoads(loads: readonly Loads[]): string {
  const cells = [
    ['command', 'beside node -e 0', "kb's files", 'built-ins', 'compiled', 'packages'],
    ...loads.map(({ command, besideNodeMs, sources, packages, builtins, compiledKb }) => [
      command,
      `+${besideNodeMs.toFixed(1)} ms`,
      String(sources),
      String(builtins),
      compiledKb === 0 ? '–' : `${compiledKb} KB`,
      packages.join(', '),
    ]),
  ];
  return formatTable(cells, (column) => column === 0 || column === 5);
}

export function bound(limit: Limit): string {
  const figure = 'least' in limit ? `≥ ${limit.least}` : `≤ ${limit.most}`;
  return limit.unit === '' ? figure : `${figure} ${limit.unit}`;
}

function number(value: number | undefined): string {
  if (value === undefined) return '';
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(value < 10 ? 2 : 1);
}
