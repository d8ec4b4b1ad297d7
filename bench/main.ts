import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CLONES, measureClones } from './clones.js';
import { measureBehindRun, measureContention } from './contention.js';
import { GitServer } from './git-server.js';
import { Arena, environment, KB_PROGRAM } from './knowledge-base.js';
import { CONTENTION, LIMITS, OWN_TIME_RATIO, PEAK_MEMORY_MB, REQUESTS, STARTUP_MS } from './limits.js';
import { interleave, median, peakMemory, timed } from './measure.js';
import { native } from './native.js';
import { formatTable, verdict, type Row } from './results.js';

const SCENARIOS = [
  'startup',
  'clone',
  'clones',
  'cycle',
  'latency',
  'sync',
  'requests',
  'memory',
  'contention',
  'behind-run',
] as const;
type Scenario = (typeof SCENARIOS)[number];

const USAGE = `Measures kb side by side with native git.
  --sizes 10,1000,10000,100000   numbers of notes in the generated KBs
  --runs 7                       rounds; medians are printed
  --scenario cycle,sync          some of: ${SCENARIOS.join(', ')}
  --clones 10k,100k,gig,history  which ones the scenario "clones" measures
  --rounds 1                     rounds of "contention", which runs native git for two minutes each; it and
                                 "behind-run" are measured in the smallest KB only
  --latency 40                   ms added to each request in the scenario "latency"
  --seed 1                       of the generated content
  --keep                         leave the generated KBs where they are`;

const { values } = parseArgs({
  options: {
    sizes: { type: 'string', default: '10,1000,10000,100000' },
    runs: { type: 'string', default: '7' },
    scenario: { type: 'string', default: SCENARIOS.join(',') },
    clones: { type: 'string', default: Object.keys(CLONES).join(',') },
    rounds: { type: 'string', default: '1' },
    latency: { type: 'string', default: '40' },
    seed: { type: 'string', default: '1' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const runs = Number(values.runs);
const sizes = values.sizes.split(',').map(Number);
const rows: Row[] = [];
/** kb's own share of an unmoved cycle by size: wall time without Node's start and without the server's work. */
const ownTime = new Map<number, number>();

if (values.help) {
  process.stdout.write(`${USAGE}\n`);
} else {
  const wanted = new Set(values.scenario.split(',').map(asScenario));
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'kb-bench-')));
  try {
    await measureAll(directory, wanted);
  } finally {
    if (values.keep) say(`kept: ${directory}`);
    else rmSync(directory, { recursive: true, force: true });
  }
  say(`\n${formatTable(rows)}`);
  say(`\nwritten to ${writeResults()}`);
  const missed = rows.filter((row) => !['ok', ''].includes(verdict(row)));
  say(missed.length === 0 ? 'every limit is kept' : `limits missed: ${missed.map(nameOf).join('; ')}`);
}

async function measureAll(directory: string, wanted: ReadonlySet<Scenario>): Promise<void> {
  const nodeStart = await measureStartup(directory, wanted.has('startup'));
  if (![...wanted].some((scenario) => scenario !== 'startup')) return;
  const repositories = join(directory, 'repositories');
  mkdirSync(repositories);
  const server = await GitServer.start(repositories);
  try {
    if (wanted.has('clones')) await measureAllClones(directory, repositories, server);
    if (![...wanted].some((scenario) => scenario !== 'startup' && scenario !== 'clones')) return;
    for (const files of sizes) {
      say(`generating and cloning ${files} notes …`);
      const { arena, cloneMs } = await Arena.create({
        directory: join(directory, String(files)),
        repositories,
        server,
        files,
        seed: Number(values.seed),
        home: join(directory, 'home'),
      });
      if (wanted.has('clone')) {
        rows.push({ scenario: 'clone, depth 1', files, ...cloneMs, unit: 'ms', ratio: cloneMs.kb / cloneMs.native });
      }
      await measureKnowledgeBase(arena, server, nodeStart, wanted);
      if (!values.keep) arena.remove();
    }
  } finally {
    await server.stop();
  }
  compareOwnTimes();
}

async function measureAllClones(directory: string, repositories: string, server: GitServer): Promise<void> {
  for (const word of values.clones.split(',')) {
    say(`generating and cloning ${word} …`);
    const measured = await measureClones(
      word,
      { directory, repositories, server },
      { seed: Number(values.seed), runs },
    );
    rows.push(...measured);
    say(`  ${measured.map(lineOf).join('; ')}`);
  }
}

async function measureStartup(directory: string, isWanted: boolean): Promise<number> {
  const env = environment(join(directory, 'home'));
  mkdirSync(join(directory, 'home/.cache'), { recursive: true });
  const node = (...args: string[]): (() => number) => {
    return () => timed({ command: process.execPath, args, cwd: directory, env });
  };
  const times = await interleave(Math.max(runs, 15), {
    node: node('-e', '0'),
    version: node(KB_PROGRAM, '--version'),
    help: node(KB_PROGRAM, 'note', '--help'),
  });
  const start = median(times.node);
  if (isWanted) {
    const limit = { most: STARTUP_MS, unit: 'ms' } as const;
    for (const [scenario, samples] of [
      ['kb --version, beside node -e 0', times.version],
      ['kb note --help, beside node -e 0', times.help],
    ] as const) {
      const kb = median(samples);
      rows.push({
        scenario,
        native: start,
        kb,
        unit: 'ms',
        ratio: kb / start,
        ...(samples === times.version ? { limit, judged: kb - start } : {}),
        samples: { native: times.node, kb: samples },
      });
    }
  }
  return start;
}

async function measureKnowledgeBase(
  arena: Arena,
  server: GitServer,
  nodeStart: number,
  wanted: ReadonlySet<Scenario>,
): Promise<void> {
  const { files } = arena;
  const cycle = async (moved: boolean, suffix: string): Promise<void> => {
    const scenario = `cycle, ${moved ? 'moved' : 'unmoved'}${suffix}`;
    const busy: number[] = [];
    const times = await interleave(runs, {
      native: async () => {
        if (moved) await arena.moveRemote('native');
        return timed(arena.nativeCycle());
      },
      kb: async () => {
        if (moved) await arena.moveRemote('kb');
        await server.traffic();
        const time = timed(arena.kbCycle());
        busy.push((await server.traffic()).busyMs);
        return time;
      },
    });
    arena.check();
    pushComparison(scenario, files, times);
    if (scenario === 'cycle, unmoved') ownTime.set(files, median(times.kb) - median(busy) - nodeStart);
  };

  if (wanted.has('cycle')) {
    await cycle(false, '');
    await cycle(true, '');
  }
  if (wanted.has('sync')) {
    pushComparison(
      'sync, nothing to do (native: git pull)',
      files,
      await interleave(runs, { native: () => timed(arena.nativeSync()), kb: () => timed(arena.kbSync()) }),
    );
  }
  if (wanted.has('latency')) {
    await server.setLatency(Number(values.latency));
    await cycle(false, `, +${values.latency} ms`);
    await cycle(true, `, +${values.latency} ms`);
    await server.setLatency(0);
  }
  if (wanted.has('requests')) await countRequests(arena, server);
  if (wanted.has('memory')) {
    const kb = peakMemory(arena.kbCycle(), arena.reportFile());
    const limit = files === PEAK_MEMORY_MB.files ? { limit: { most: PEAK_MEMORY_MB.most, unit: 'MB' } as const } : {};
    rows.push({ scenario: 'peak memory of a cycle', files, kb, unit: 'MB', ...limit });
  }
  if (files !== Math.min(...sizes)) return;
  if (wanted.has('contention')) {
    for (const limits of CONTENTION) {
      const measured = await measureContention(arena, server, Number(values.rounds), limits);
      rows.push(...measured);
      say(`  ${measured.map(lineOf).join('; ')}`);
    }
  }
  if (wanted.has('behind-run')) {
    const { row, batchSizes } = await measureBehindRun(arena, server);
    rows.push(row);
    say(`  ${lineOf(row)}; in batches of ${batchSizes.join(' and ')}`);
  }
}

async function countRequests(arena: Arena, server: GitServer): Promise<void> {
  const { files } = arena;
  for (const [name, most] of [
    ['unmoved', REQUESTS.unmoved],
    ['moved', REQUESTS.moved],
    ['sync', REQUESTS.sync],
  ] as const) {
    const count = async (whose: 'native' | 'kb'): Promise<{ requests: number; connections: number }> => {
      if (name === 'moved') await arena.moveRemote(whose);
      await server.traffic();
      if (name === 'sync') timed(whose === 'kb' ? arena.kbSync() : arena.nativeSync());
      else timed(whose === 'kb' ? arena.kbCycle() : arena.nativeCycle());
      return server.traffic();
    };
    const [nativeTraffic, kbTraffic] = [await count('native'), await count('kb')];
    const scenario = name === 'sync' ? 'sync, nothing to do' : `cycle, ${name}`;
    const limit = (limitOf: number): { limit: { most: number; unit: '' } } => ({ limit: { most: limitOf, unit: '' } });
    rows.push({
      scenario,
      files,
      native: nativeTraffic.requests,
      kb: kbTraffic.requests,
      unit: 'requests',
      ...limit(most),
    });
    rows.push({
      scenario,
      files,
      native: nativeTraffic.connections,
      kb: kbTraffic.connections,
      unit: 'connections',
      ...limit(REQUESTS.connections),
    });
  }
}

function pushComparison(scenario: string, files: number, samples: { native: number[]; kb: number[] }): void {
  const [nativeMedian, kb] = [median(samples.native), median(samples.kb)];
  const limit = LIMITS[scenario]?.[files];
  const row = { scenario, files, native: nativeMedian, kb, unit: 'ms', ratio: kb / nativeMedian, samples } as const;
  rows.push(limit === undefined ? row : { ...row, limit });
  say(`  ${scenario}: native ${nativeMedian.toFixed(0)} ms, kb ${kb.toFixed(0)} ms`);
}

function compareOwnTimes(): void {
  for (const [files, kb] of ownTime) rows.push({ scenario: "kb's own time in a cycle", files, kb, unit: 'ms' });
  const sizes = [...ownTime.keys()].sort((a, b) => a - b);
  const [smallest, largest] = [sizes[0], sizes.at(-1)];
  if (smallest === undefined || largest === undefined || smallest === largest) return;
  const kb = (ownTime.get(largest) ?? NaN) / (ownTime.get(smallest) ?? NaN);
  const scenario = `kb's own time, against that at ${smallest}`;
  rows.push({ scenario, files: largest, kb, unit: '×', limit: { most: OWN_TIME_RATIO, unit: '×' }, judged: kb });
}

function writeResults(): string {
  const directory = fileURLToPath(new URL('./results', import.meta.url));
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${new Date().toISOString().replaceAll(':', '-').slice(0, 19)}.json`);
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const machine = { platform: platform(), arch: arch(), cpus: cpus().length, model: cpus()[0]?.model };
  const programs = { kb: version, node: process.versions.node, git: native('.', ['--version']).trim() };
  const judged = rows.map((row) => ({ ...row, verdict: verdict(row) }));
  writeFileSync(
    file,
    `${JSON.stringify({ at: new Date().toISOString(), machine, programs, runs, rows: judged }, null, 2)}\n`,
  );
  return file;
}

function asScenario(name: string): Scenario {
  const scenario = SCENARIOS.find((known) => known === name);
  if (scenario === undefined) throw new Error(`unknown scenario ${JSON.stringify(name)}\n${USAGE}`);
  return scenario;
}

function nameOf(row: Row): string {
  return row.files === undefined ? row.scenario : `${row.scenario} at ${row.files} (${row.unit})`;
}

function lineOf({ scenario, native: nativeFigure, kb, unit }: Row): string {
  return `${scenario}: native ${nativeFigure?.toFixed(2) ?? '–'}, kb ${kb.toFixed(2)} ${unit}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
