import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GitServer } from './git-server.js';
import { environment, KB_PROGRAM, type Arena } from './knowledge-base.js';
import { BESIDE_NODE_MS } from './limits.js';
import { interleave, median, spawnedAt, timed, type Program } from './measure.js';
import type { Loads, Row } from './results.js';

/** What is measured of start-up: each beside `node -e 0`, in the same rounds. */
export async function measureStartup(
  { small, medium, server }: { readonly small: Arena; readonly medium: Arena; readonly server: GitServer },
  runs: number,
): Promise<Row[]> {
  const node = small.node(['-e', '0']);
  const times = await interleave(Math.max(runs, 15), {
    node: () => timed(node),
    version: () => timed(small.kb(['--version'])),
    help: () => timed(small.kb(['note', '--help'])),
    status: () => timed(medium.kbStatus()),
    firstRequest: async () => {
      await server.traffic();
      const at = spawnedAt();
      timed(small.kbCycle());
      return ((await server.traffic()).firstAt ?? NaN) - at;
    },
  });
  const row = (scenario: string, samples: readonly number[], most?: number, files?: number): Row => {
    const [native, kb] = [median(times.node), median(samples)];
    return {
      scenario: `${scenario}, beside node -e 0`,
      native,
      kb,
      unit: 'ms',
      judged: kb - native,
      ...(files === undefined ? {} : { files }),
      ...(most === undefined ? {} : { limit: { most, unit: 'ms' } }),
      samples: { native: times.node, kb: samples },
    };
  };
  const { version, firstRequest, status } = BESIDE_NODE_MS;
  return [
    row('kb --version', times.version, version),
    row('kb note --help', times.help),
    row('kb note until its first request', times.firstRequest, firstRequest, small.files),
    row('kb status', times.status, status.most, medium.files),
  ];
}

/** The commands whose loading is told: each once, as it is mostly called. */
const COMMANDS: readonly (readonly string[])[] = [
  ['--version'],
  ['--help'],
  ['note', '--help'],
  ['list'],
  ['config'],
  ['status'],
  ['note', '--quiet', 'a short note'],
  ['sync', '--quiet'],
  ['run', '--quiet', '--', 'true'],
  ['edit', '--quiet', 'inbox/bench-edited.md'],
  ['unlock'],
  ['gc', '--quiet'],
];

/**
 * What each command loads: kb's own source files and packages (which V8 tells, by the names that the bundler gave
 * their wrappers), Node's own modules (which Node lists), and the size of what V8 keeps compiled of it.
 * @param directory for what the commands leave behind: profiles, and a home with an empty cache
 */
export async function measureLoads(arena: Arena, directory: string, runs: number): Promise<Loads[]> {
  const home = join(directory, 'loads');
  mkdirSync(join(home, '.cache'), { recursive: true });
  const probe = join(home, 'probe.cjs');
  writeFileSync(
    probe,
    `process.on('exit', () => require('node:fs').writeFileSync(process.env.KB_BENCH_BUILTINS, JSON.stringify(process.moduleLoadList)));`,
  );
  const env = { ...environment(home), EDITOR: 'true' };
  const withEnv = (program: Program, more: Record<string, string> = {}): Program => {
    return { ...program, env: { ...env, ...more } };
  };
  const builtinsOf = (program: Program): Set<string> => {
    const report = join(home, 'builtins.json');
    timed(withEnv(program, { NODE_OPTIONS: `--require=${probe}`, KB_BENCH_BUILTINS: report }));
    const names = JSON.parse(readFileSync(report, 'utf8')) as string[];
    return new Set(names.filter((name) => name.startsWith('NativeModule ')));
  };
  const node = arena.node(['-e', '0']);
  const ofNode = builtinsOf(node);
  const loads: Loads[] = [];
  for (const args of COMMANDS) {
    const program = arena.kb(args);
    const coverage = join(home, 'coverage');
    rmSync(coverage, { recursive: true, force: true });
    timed(withEnv(program, { NODE_V8_COVERAGE: coverage }));
    const builtins = [...builtinsOf(program)].filter((name) => !ofNode.has(name)).length;
    const compiled = join(home, '.cache/kb/compiled');
    rmSync(compiled, { recursive: true, force: true });
    const times = await interleave(runs, {
      node: () => timed(withEnv(node)),
      kb: () => timed(withEnv(program)),
    });
    loads.push({
      command: `kb ${args.filter((word) => word !== '--quiet').join(' ')}`,
      besideNodeMs: median(times.kb) - median(times.node),
      ...evaluated(coverage),
      builtins,
      compiledKb: Math.round(sizeOfFiles(compiled) / 2 / 1024), // each file holds it twice
    });
  }
  return loads;
}

interface Coverage {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly { readonly functionName: string; readonly ranges: readonly { count: number }[] }[];
  }[];
}

/** Of the bundle's wrappers, named for the file each stands for, those that were called. */
function evaluated(directory: string): Pick<Loads, 'sources' | 'packages'> {
  const files = new Set<string>();
  for (const name of readdirSync(directory)) {
    const { result } = JSON.parse(readFileSync(join(directory, name), 'utf8')) as Coverage;
    for (const { functions } of result.filter(({ url }) => isProgram(url))) {
      for (const { functionName, ranges } of functions) {
        const file = pathOf(functionName);
        if (/^(src|node_modules)\//.test(file) && (ranges[0]?.count ?? 0) > 0) files.add(file);
      }
    }
  }
  const packages = [...files].map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]);
  return {
    sources: [...files].filter((file) => file.startsWith('src/')).length,
    packages: [...new Set(packages.filter((name) => name !== undefined))].sort(),
  };
}

/** What scripts/named-wrappers.mjs makes a name of, but for dots. */
function pathOf(wrapper: string): string {
  return wrapper.replaceAll('$a', '@').replaceAll('$_', '-').replaceAll('$', '/');
}

/** The program alone: of the children that a command starts, only those that are kb as well. */
function isProgram(url: string): boolean {
  return /\/dist\/program\/\w+\.cjs$/.test(url) && url.includes(KB_PROGRAM.replace('/bin/run.js', ''));
}

function sizeOfFiles(directory: string): number {
  try {
    return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  } catch {
    return 0; // a command that keeps nothing
  }
}
