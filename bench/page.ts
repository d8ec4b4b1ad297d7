import { barPlot, linePlot, type Line, type Series } from './plot.js';
import { bound, keyOf, verdict, type PorcelainRow, type Result, type Row } from './results.js';

/**
 * What the page holds between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`, and the plots beside it. All else on
 * the page is written by hand, and stays.
 */
export interface Rendered {
  readonly blocks: Readonly<Record<string, string>>;
  /** By file name. */
  readonly plots: Readonly<Record<string, string>>;
}

/** A row with the mark of the run that it comes from; '' for the run that most come from. */
interface Placed {
  readonly row: Row;
  readonly mark: string;
}

/** Which rows stand in which table. */
const TABLES: Readonly<Record<string, (row: Row) => boolean>> = {
  startup: ({ scenario }) => scenario.includes('beside node'),
  cycle: ({ scenario, unit }) => scenario.startsWith('cycle,') && unit === 'ms',
  sync: ({ scenario, unit }) => (scenario.startsWith('sync,') || scenario === 'status') && unit === 'ms',
  clones: ({ scenario }) => scenario.includes('clone,'),
  many: ({ scenario }) => /^contention|behind kb run/.test(scenario),
  cost: ({ scenario, unit }) =>
    unit === 'requests' || unit === 'connections'
      ? /^(cycle|sync),/.test(scenario)
      : /^kb's own|of a cycle$/.test(scenario),
};

/** @param results of each row the newest, as `newestOf` gives them */
export function render(results: readonly Result[]): Rendered {
  const marks = marksOf(results);
  const placed = results.flatMap((result) => result.rows.map((row) => ({ row, mark: marks.get(runOf(result)) ?? '' })));
  const porcelain = new Map(results.flatMap(({ porcelain: rows }) => rows).map((row) => [keyOf(row), row]));
  const blocks: Record<string, string> = {
    environment: environments(results, marks),
    verdict: summary(placed),
    loads: loadsTable(results),
    repositories: table(
      placed.filter(({ row }) => row.repository !== undefined),
      porcelain,
    ),
  };
  const generated = placed.filter(({ row }) => row.repository === undefined);
  for (const [name, isIn] of Object.entries(TABLES)) {
    blocks[name] = table(
      generated.filter(({ row }) => isIn(row)),
      porcelain,
    );
  }
  return { blocks, plots: plotsOf(generated, porcelain) };
}

/**
 * The page with its measured parts replaced.
 * @throws Error when a marker is missing, or stands there twice: what was measured would be lost unseen
 */
export function fillPage(page: string, blocks: Readonly<Record<string, string>>): string {
  let filled = page;
  for (const [name, content] of Object.entries(blocks)) {
    const [begin, end] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
    const [before, inside, ...more] = filled.split(begin);
    const [, after, ...rest] = inside?.split(end) ?? [];
    if (before === undefined || after === undefined || more.length > 0 || rest.length > 0)
      throw new Error(`the page needs the markers ${begin} and ${end}, once each`);
    filled = `${before}${begin}\n${content}\n${end}${after}`;
  }
  return filled;
}

function table(rows: readonly Placed[], porcelain: ReadonlyMap<string, PorcelainRow>): string {
  if (rows.length === 0) return 'Not measured yet.';
  const sorted = [...rows].sort((a, b) => compare(a.row, b.row));
  const porcelainOf = ({ unit, ...row }: Row): PorcelainRow | undefined =>
    unit === 'ms' ? porcelain.get(keyOf(row)) : undefined;
  const hasPorcelain = sorted.some(({ row }) => porcelainOf(row) !== undefined);
  const hasRatio = sorted.some(({ row }) => row.ratio !== undefined || row.judged !== undefined);
  const columns = (cells: readonly string[]): string =>
    `| ${cells.filter((_, at) => (hasPorcelain || at !== 4) && (hasRatio || at !== 5)).join(' | ')} |`;
  return [
    columns(['scenario', 'files', 'native git', 'kb', 'isomorphic-git', 'ratio', 'limit', '']),
    columns(['---', '--:', '--:', '--:', '--:', '--:', '--:', '---']),
    ...sorted.map(({ row, mark }) => {
      const other = porcelainOf(row)?.outcome;
      return columns([
        `${row.repository === undefined ? '' : `${row.repository}: `}${row.scenario}${mark}`,
        row.files?.toLocaleString('en-US') ?? '–',
        row.native === undefined ? '–' : figure(row.native, row.unit),
        figure(row.kb, row.unit),
        other === undefined ? '–' : typeof other === 'number' ? figure(other, 'ms') : other,
        ratioOf(row),
        row.limit === undefined ? '–' : bound(row.limit),
        word(row),
      ]);
    }),
  ].join('\n');
}

/** What the limit is held against, in its own unit. */
function ratioOf({ ratio, judged, unit }: Row): string {
  if (ratio !== undefined) return ratio.toFixed(2);
  if (judged === undefined || unit === '×') return '–';
  return `${judged < 0 ? '' : '+'}${judged.toFixed(0)} ${unit}`;
}

function word(row: Row): string {
  const said = verdict(row);
  return said === 'missed' ? '**missed**' : said;
}

function compare(a: Row, b: Row): number {
  const first = (row: Row): string => `${row.repository ?? ''} ${row.unit === 'MB' ? 1 : 0}`;
  return first(a).localeCompare(first(b)) || order(a) - order(b) || (a.files ?? 0) - (b.files ?? 0);
}

/** Tables read from the common to the special. */
const ORDER = [
  'cycle, moved',
  'cycle, unmoved',
  'cycle, moved, +',
  'cycle, unmoved, +',
  'status',
  'sync, nothing',
  'sync, one',
];

function order({ scenario }: Row): number {
  const exact = ORDER.indexOf(scenario);
  if (exact >= 0) return exact;
  return ORDER.reduce((found, start, at) => (scenario.startsWith(start) ? at : found), ORDER.length);
}

function figure(value: number, unit: Row['unit']): string {
  if (unit === 'ms') return milliseconds(value);
  const digits = Number.isInteger(value) ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0;
  return `${value.toFixed(digits)} ${unit}`;
}

function milliseconds(value: number): string {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  return `${value.toFixed(value < 100 ? 1 : 0).replace(/\B(?=(\d{3})+$)/, ',')} ms`;
}

function summary(placed: readonly Placed[]): string {
  const limited = placed.filter(({ row }) => row.limit !== undefined);
  const missed = limited.filter(({ row }) => verdict(row) === 'missed');
  if (missed.length === 0) return `All ${limited.length} limits that were measured are kept.`;
  const lines = missed.map(({ row }) => {
    const files = row.files === undefined ? '' : ` at ${row.files.toLocaleString('en-US')} files`;
    const found =
      row.limit?.unit === '×' ? ratioOf(row) : row.judged !== undefined ? ratioOf(row) : figure(row.kb, row.unit);
    return `- ${row.scenario}${files}: ${found}, limit ${row.limit === undefined ? '' : bound(row.limit)}`;
  });
  return `${limited.length - missed.length} of ${limited.length} limits are kept. Missed:\n\n${lines.join('\n')}`;
}

function loadsTable(results: readonly Result[]): string {
  const loads = results.flatMap((result) => result.loads);
  if (loads.length === 0) return 'Not measured yet.';
  return [
    "| command | beside `node -e 0` | kb's files | Node's modules | compiled code kept | packages |",
    '| --- | --: | --: | --: | --: | --- |',
    ...loads.map(
      ({ command, besideNodeMs, sources, builtins, compiledKb, packages }) =>
        `| \`${command}\` | +${besideNodeMs.toFixed(0)} ms | ${sources} | ${builtins} | ${compiledKb === 0 ? '–' : `${compiledKb} KB`} | ${packages.join(', ') || '–'} |`,
    ),
  ].join('\n');
}

/** Runs in the same environment, of the same commit, on the same day, are told as one. */
function runOf({ at, commit, environment }: Result): string {
  return JSON.stringify([at.slice(0, 10), commit, environment]);
}

/** The run that most figures come from needs no mark; the others have ᵃ, ᵇ … */
function marksOf(results: readonly Result[]): Map<string, string> {
  const counts = new Map<string, number>();
  for (const result of results) {
    const run = runOf(result);
    counts.set(run, (counts.get(run) ?? 0) + result.rows.length + result.loads.length);
  }
  const runs = [...counts].sort((a, b) => b[1] - a[1]).map(([run]) => run);
  return new Map(runs.map((run, at) => [run, at === 0 ? '' : ` <sup>${letter(at - 1)}</sup>`]));
}

function letter(at: number): string {
  return at < 26 ? String.fromCharCode(97 + at) : `${letter(Math.floor(at / 26) - 1)}${letter(at % 26)}`;
}

function environments(results: readonly Result[], marks: ReadonlyMap<string, string>): string {
  if (results.length === 0) return 'Nothing measured yet.';
  const lines: string[] = [];
  for (const [run, mark] of marks) {
    const result = results.find((candidate) => runOf(candidate) === run);
    if (result === undefined) continue;
    const { cpu, cores, memoryGb, system, fileSystem, node, git, isomorphicGit } = result.environment;
    const day = result.at.slice(0, 10);
    lines.push(
      `${mark === '' ? 'Measured' : `${mark.trim()} Measured`} on ${day} at commit \`${result.commit}\`: ${cpu}, ${cores} cores, ${memoryGb} GB, ` +
        `${system}, ${fileSystem}; Node ${node}, git ${git}, isomorphic-git ${isomorphicGit}.`,
    );
  }
  return lines.join('\n\n');
}

const CONTESTANTS = {
  native: { name: 'native git', kind: 'native' },
  kb: { name: 'kb', kind: 'kb' },
  isomorphic: { name: 'isomorphic-git', kind: 'isomorphic' },
} as const satisfies Record<string, Series>;

function plotsOf(placed: readonly Placed[], porcelain: ReadonlyMap<string, PorcelainRow>): Record<string, string> {
  const rows = placed.map(({ row }) => row).filter(({ unit }) => unit === 'ms');
  const plots: Record<string, string> = {};
  for (const [file, scenario, title] of [
    ['cycle.svg', 'cycle, moved', 'One note, with the remote moved: pull, write, commit, push'],
    ['cycle-latency.svg', 'cycle, moved, +40 ms', 'The same with 40 ms more for each request'],
    ['status.svg', 'status', 'Status of a clean KB'],
    ['sync.svg', 'sync, one local edit', 'Sync with one local edit'],
  ] as const) {
    const lines = linesOf(
      rows.filter((row) => row.scenario === scenario),
      [...porcelain.values()].filter((row) => row.scenario === scenario && row.repository === undefined),
    );
    if (lines.some(({ points }) => points.length > 0))
      plots[file] = linePlot({
        title,
        x: 'files in the KB',
        lines,
        sayX: (x) => x.toLocaleString('en-US'),
        sayY: duration,
      });
  }
  const clones = rows.filter(({ scenario }) => scenario.startsWith('clone,')).sort(compare);
  if (clones.length > 0)
    plots['clones.svg'] = barPlot({
      title: 'Clones',
      say: duration,
      groups: clones.map((row) => barsOf(row, porcelain)),
    });
  return plots;
}

function linesOf(rows: readonly Row[], porcelain: readonly PorcelainRow[]): Line[] {
  const points = (figureOf: (row: Row) => number | undefined): [number, number][] =>
    rows.flatMap((row) => {
      const y = figureOf(row);
      return y === undefined ? [] : [[row.files ?? 1, y] as [number, number]];
    });
  return [
    { ...CONTESTANTS.native, points: points(({ native }) => native) },
    { ...CONTESTANTS.kb, points: points(({ kb }) => kb) },
    {
      ...CONTESTANTS.isomorphic,
      points: porcelain.flatMap(({ files, outcome }) =>
        typeof outcome === 'number' ? [[files, outcome] as const] : [],
      ),
    },
  ];
}

function barsOf(
  row: Row,
  porcelain: ReadonlyMap<string, PorcelainRow>,
): Parameters<typeof barPlot>[0]['groups'][number] {
  const { unit: _, ...key } = row;
  const other = porcelain.get(keyOf(key))?.outcome;
  return {
    name:
      row.scenario === 'clone, depth 1'
        ? `${(row.files ?? 0).toLocaleString('en-US')} files`
        : row.scenario.replace(/^clone, (depth 1, )?/, ''),
    bars: [
      { ...CONTESTANTS.native, value: row.native ?? 'not measured' },
      { ...CONTESTANTS.kb, value: row.kb },
      ...(other === undefined ? [] : [{ ...CONTESTANTS.isomorphic, value: other }]),
    ],
  };
}

function duration(ms: number): string {
  return ms < 1000 ? `${Number(ms.toPrecision(3))} ms` : `${Number((ms / 1000).toPrecision(3))} s`;
}
