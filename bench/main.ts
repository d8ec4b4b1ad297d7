import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CLONES, givenClones, measureClones, prepareNotes, type Kind } from './clones.js';
import { measureBehindRun, measureContention } from './contention.js';
import {
  countRequests,
  measureCycle,
  measureIdleSync,
  measureMemory,
  measurePorcelain,
  measurePull,
  measureStatus,
  measureSyncOfAnEdit,
  type Ground,
} from './cycle.js';
import { RESULTS, writeDocs } from './docs.js';
import { copyGiven, Generated } from './generated.js';
import { GitServer } from './git-server.js';
import { Arena } from './knowledge-base.js';
import { CONTENTION, OWN_TIME_RATIO } from './limits.js';
import { environmentOf, measuredCommit } from './machine.js';
import { median, timed } from './measure.js';
import { formatLoads, formatRows, verdict, type Loads, type PorcelainRow, type Result, type Row } from './results.js';
import { measureMerge } from './merge.js';
import { measureLoads, measureStartup } from './startup.js';

const SCENARIOS = [
  'startup',
  'merge',
  'clones',
  'cycle',
  'latency',
  'sync',
  'pull',
  'status',
  'requests',
  'memory',
  'contention',
  'behind-run',
  'isomorphic',
] as const;
type Scenario = (typeof SCENARIOS)[number];

const USAGE = `Measures kb side by side with native git; isomorphic-git's porcelain once beside them.
  --scenario cycle,sync          some of: ${SCENARIOS.join(', ')}
  --sizes 10,1000,10000,100000   numbers of notes in the generated KBs
  --clones ${Object.keys(CLONES).join(',')}   which ones the scenario "clones" measures
  --repository PATH              a real repository as well; repeatable; read only
  --runs 7                       rounds; medians are taken; 3 where a clone takes over 10 s
  --rounds 1                     rounds of "contention", which runs native git for two minutes each; it and
                                 "behind-run" are measured in the smallest KB only
  --latency 40                   ms added to each request in the scenario "latency"
  --contention 40,150            ms added to each request in the scenario "contention": both, or one of them
  --seed 1                       of the generated content
  --reuse DIR                    generated KBs are taken from there, and left there for the next time
  --keep                         leave everything where it is
  --write-docs                   then bring docs/performance.md up to date, as: npm run bench:docs
All of it is done in a temporary directory below TMPDIR.`;

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', default: SCENARIOS.join(',') },
    sizes: { type: 'string', default: '10,1000,10000,100000' },
    clones: { type: 'string', default: Object.keys(CLONES).join(',') },
    repository: { type: 'string', multiple: true, default: [] },
    runs: { type: 'string', default: '7' },
    rounds: { type: 'string', default: '1' },
    latency: { type: 'string', default: '40' },
    contention: { type: 'string', default: CONTENTION.map(({ latencyMs }) => latencyMs).join(',') },
    seed: { type: 'string', default: '1' },
    reuse: { type: 'string' },
    keep: { type: 'boolean', default: false },
    'write-docs': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const runs = wholeNumber('runs', values.runs, 1);
const seed = wholeNumber('seed', values.seed, 0);
const latencyMs = wholeNumber('latency', values.latency, 0);
const sizes = wordsOf(values.sizes).map((word) => wholeNumber('sizes', word, 1));
const wanted = new Set(wordsOf(values.scenario).map(asScenario));
const contended = wordsOf(values.contention).map(asContention);
const rows: Row[] = [];
const porcelain: PorcelainRow[] = [];
const loads: Loads[] = [];
/** kb's own share of an unmoved cycle by size: wall time without Node's start and without the server's work. */
const ownTime = new Map<number, number>();

if (values.help) say(USAGE);
else await main();

async function main(): Promise<void> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'kb-bench-')));
  const environment = environmentOf(directory);
  const at = new Date().toISOString();
  const generated = values.reuse ?? join(directory, 'generated');
  try {
    await measureAll(directory, new Generated(generated));
  } finally {
    if (values.keep) say(`kept: ${directory}; for the next run: --reuse ${generated}`);
    else rmSync(directory, { recursive: true, force: true });
  }
  if (loads.length > 0) say(`\n${formatLoads(loads)}`);
  say(`\n${formatRows(rows)}`);
  for (const { scenario, files, outcome } of porcelain)
    say(
      `isomorphic-git: ${scenario} at ${files}: ${typeof outcome === 'number' ? `${outcome.toFixed(0)} ms` : outcome}`,
    );
  if (rows.length + porcelain.length + loads.length === 0)
    throw new Error('nothing was measured: no scenario at these sizes');
  const result: Result = { at, commit: measuredCommit(), environment, rows, porcelain, loads };
  mkdirSync(RESULTS, { recursive: true });
  const file = join(RESULTS, `${at.replaceAll(':', '-').slice(0, 19)}.json`);
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  say(`\nwritten to ${file}`);
  if (values['write-docs']) say(writeDocs());
  const missed = rows.filter((row) => verdict(row) === 'missed');
  say(missed.length === 0 ? 'every limit is kept' : `limits missed: ${missed.map(nameOf).join('; ')}`);
}

/** What is no number would measure nothing, and keep every limit. @throws Error naming the flag */
function wholeNumber(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least && text.trim() !== '') return value;
  throw new Error(`--${flag} must be a whole number from ${least} on, not ${JSON.stringify(text)}`);
}

async function measureAll(directory: string, generated: Generated): Promise<void> {
  const repositories = join(directory, 'repositories');
  mkdirSync(repositories);
  const server = await GitServer.start(repositories);
  const room = { directory, repositories, server };
  const arenaOf = (name: string, prepare: (to: string) => Promise<number>): Promise<Arena> =>
    Arena.create({ ...room, directory: join(directory, name), home: join(directory, 'home'), name, prepare });
  const notesOf = (files: number, name = String(files)): Promise<Arena> =>
    arenaOf(name, (to) => prepareNotes(generated, files, seed, to));
  try {
    if (wanted.has('startup')) {
      say('start-up …');
      const [small, medium] = [await notesOf(10, 'start-small'), await notesOf(1000, 'start-medium')];
      rows.push(...(await measureStartup({ small, medium, server }, runs)));
      loads.push(...(await measureLoads(small, directory, Math.max(5, runs))));
    }
    if (wanted.has('merge')) push(...(await measureMerge(await notesOf(10, 'merge-small'), directory, runs)));
    if (wanted.has('clones') || wanted.has('isomorphic')) {
      for (const word of wordsOf(values.clones)) await clone(kindOf(word, generated), word, room);
    }
    for (const [at, path] of values.repository.entries()) {
      const name = basename(resolve(path)).replace(/\.git$/, '');
      if (wanted.has('clones') || wanted.has('isomorphic'))
        for (const kind of givenClones(path, name)) await clone(kind, name, room);
      const arena = await arenaOf(`given-${at}`, async (to) => copyGiven(path, to));
      await measureOn({ arena, server, runs, repository: name });
      arena.remove();
    }
    if (![...wanted].some((scenario) => scenario !== 'startup' && scenario !== 'clones')) return;
    const nodeStart = median(
      Array.from({ length: 9 }, () => timed({ command: process.execPath, args: ['-e', '0'], cwd: directory })),
    );
    for (const files of sizes) {
      say(`${files} notes …`);
      const arena = await notesOf(files);
      await measureOn({ arena, server, runs }, nodeStart);
      if (files === Math.min(...sizes)) await measureMany(arena, server);
      if (!values.keep) arena.remove();
    }
  } finally {
    await server.stop();
  }
  compareOwnTimes();
}

async function clone(kind: Kind, word: string, room: Parameters<typeof measureClones>[1]): Promise<void> {
  say(`cloning ${word} …`);
  const comparisons = { native: wanted.has('clones'), isomorphic: wanted.has('isomorphic') };
  const measured = await measureClones(kind, room, { runs, wanted: comparisons });
  push(...measured.rows);
  porcelain.push(...measured.porcelain);
}

/** What is measured in every KB. @param nodeStart ms; where it is given, kb's own time is taken */
async function measureOn(ground: Ground, nodeStart?: number): Promise<void> {
  const { files } = ground.arena;
  const onOwnTime = (ms: number): void => {
    if (nodeStart !== undefined) ownTime.set(files, ms - nodeStart);
  };
  if (wanted.has('cycle')) {
    push(await measureCycle(ground, { moved: false, latencyMs: 0, onOwnTime }));
    push(await measureCycle(ground, { moved: true, latencyMs: 0 }));
  }
  if (wanted.has('latency')) {
    push(await measureCycle(ground, { moved: false, latencyMs }));
    push(await measureCycle(ground, { moved: true, latencyMs }));
  }
  if (wanted.has('sync')) {
    push(await measureIdleSync(ground, 0));
    push(await measureIdleSync(ground, latencyMs));
    push(await measureSyncOfAnEdit(ground));
  }
  if (wanted.has('pull') && files > 1000) push(await measurePull(ground));
  if (wanted.has('status')) push(await measureStatus(ground));
  if (wanted.has('requests') && ground.repository === undefined) push(...(await countRequests(ground)));
  if (wanted.has('memory') && ground.repository === undefined) push(measureMemory(ground));
  if (wanted.has('isomorphic')) porcelain.push(...(await measurePorcelain(ground)));
}

/** Many writers on one clone; in one KB only, because it is the writers that count here. */
async function measureMany(arena: Arena, server: GitServer): Promise<void> {
  if (wanted.has('contention')) {
    for (const limits of contended) push(...(await measureContention(arena, server, Number(values.rounds), limits)));
  }
  if (wanted.has('behind-run')) {
    const { row, batchSizes } = await measureBehindRun(arena, server);
    push(row);
    say(`  in batches of ${batchSizes.join(' and ')}`);
  }
}

function compareOwnTimes(): void {
  for (const [files, kb] of ownTime) rows.push({ scenario: "kb's own time in a cycle", files, kb, unit: 'ms' });
  const measured = [...ownTime.keys()].sort((a, b) => a - b);
  const [smallest, largest] = [measured[0], measured.at(-1)];
  if (smallest === undefined || largest === undefined || smallest === largest) return;
  const kb = (ownTime.get(largest) ?? NaN) / (ownTime.get(smallest) ?? NaN);
  const scenario = `kb's own time, against that at ${smallest}`;
  rows.push({ scenario, files: largest, kb, unit: '×', limit: { most: OWN_TIME_RATIO, unit: '×' }, judged: kb });
}

function push(...measured: readonly Row[]): void {
  rows.push(...measured);
  for (const { scenario, native, kb, unit } of measured)
    say(`  ${scenario}: native ${native?.toFixed(2) ?? '–'}, kb ${kb.toFixed(2)} ${unit}`);
}

function asScenario(name: string): Scenario {
  const scenario = SCENARIOS.find((known) => known === name);
  if (scenario === undefined) throw new Error(`unknown scenario ${JSON.stringify(name)}\n${USAGE}`);
  return scenario;
}

function asContention(latency: string): (typeof CONTENTION)[number] {
  const limits = CONTENTION.find(({ latencyMs }) => latencyMs === Number(latency));
  if (limits === undefined) throw new Error(`there are no limits for contention at ${latency} ms\n${USAGE}`);
  return limits;
}

function kindOf(word: string, generated: Generated): Kind {
  const make = CLONES[word];
  if (make === undefined) throw new Error(`no such clone: ${word}; there are ${Object.keys(CLONES).join(', ')}`);
  return make(generated, seed);
}

function nameOf(row: Row): string {
  return row.files === undefined ? row.scenario : `${row.scenario} at ${row.files} (${row.unit})`;
}

function wordsOf(list: string): string[] {
  return list.split(',').filter(Boolean);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
