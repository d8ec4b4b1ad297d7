import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { generateAttachments, generateHistory, generateRepository } from './generate.js';
import type { GitServer } from './git-server.js';
import { environment, KB_PROGRAM } from './knowledge-base.js';
import { CLONE_MEMORY_MB, CLONE_RATIO } from './limits.js';
import { interleave, median, peakMemory, timed, type Program } from './measure.js';
import { native } from './native.js';
import type { Row } from './results.js';

interface Kind {
  readonly name: string;
  readonly files: number;
  readonly depth: '1' | 'full';
  readonly generate: (directory: string, seed: number) => Promise<void>;
}

const notes = (files: number): Kind => ({
  name: 'depth 1',
  files,
  depth: '1',
  generate: (directory, seed) => generateRepository(directory, files, seed),
});

/** By the word that chooses them with `--clones`. */
export const CLONES: Readonly<Record<string, Kind>> = {
  '10k': notes(10_000),
  '100k': notes(100_000),
  gig: {
    name: 'depth 1, 1.1 GB of attachments',
    files: 5200,
    depth: '1',
    generate: (directory, seed) => generateAttachments(directory, { notes: 5000, attachments: 200, seed }),
  },
  history: {
    name: 'full, 20,000 commits',
    files: 1000,
    depth: 'full',
    generate: (directory, seed) => generateHistory(directory, { notes: 1000, commits: 20_000, seed }),
  },
};

/** A run that takes longer is repeated less often, ms. */
const LONG_MS = 10_000;

/**
 * Clones of one kind, in turns with native git, from one repository; the last one of kb is checked by native git.
 * @returns time, and kb's peak memory
 * @throws Error when a clone fails, or is not what native git makes
 */
export async function measureClones(
  word: string,
  where: { readonly directory: string; readonly repositories: string; readonly server: GitServer },
  options: { readonly seed: number; readonly runs: number },
): Promise<[Row, Row]> {
  const kind = CLONES[word];
  if (kind === undefined) throw new Error(`no such clone: ${word}; there are ${Object.keys(CLONES).join(', ')}`);
  const bare = join(where.repositories, `clone-${word}.git`);
  mkdirSync(bare);
  await kind.generate(bare, options.seed);
  const url = `${where.server.url}/clone-${word}.git`;
  const home = join(where.directory, 'home');
  mkdirSync(join(home, '.cache'), { recursive: true });
  const target = (whose: string): string => join(where.directory, `clone-${word}-${whose}`);
  const program = (command: string, args: readonly string[]): Program => {
    return { command, args, cwd: where.directory, env: environment(home) };
  };
  const programs = {
    native: program('git', ['clone', '-q', ...(kind.depth === '1' ? ['--depth', '1'] : []), url, target('native')]),
    kb: program(process.execPath, [KB_PROGRAM, 'clone', '--quiet', '--depth', kind.depth, url, target('kb')]),
  };
  const clear = (whose: string): void => rmSync(target(whose), { recursive: true, force: true });
  const run = (whose: 'native' | 'kb') => (): number => {
    clear(whose);
    return timed(programs[whose]);
  };
  const first = run('native')();
  const samples = await interleave(first > LONG_MS ? Math.min(3, options.runs) : options.runs, {
    native: run('native'),
    kb: run('kb'),
  });
  check(target('native'), target('kb'));
  clear('kb');
  clear('native');
  const memory = peakMemory(programs.kb, join(where.directory, 'report'));
  clear('kb');
  rmSync(bare, { recursive: true, force: true });
  const medians = { native: median(samples.native), kb: median(samples.kb) };
  const scenario = `clone, ${kind.name}`;
  const { files } = kind;
  return [
    { scenario, files, ...medians, unit: 'ms', ratio: medians.kb / medians.native, limit: CLONE_RATIO, samples },
    {
      scenario: `peak memory: ${scenario}`,
      files,
      kb: memory,
      unit: 'MB',
      limit: { most: CLONE_MEMORY_MB, unit: 'MB' },
    },
  ];
}

function check(byGit: string, byKb: string): void {
  const status = native(byKb, ['status', '--porcelain']);
  if (status !== '') throw new Error(`kb's clone is not clean:\n${status.slice(0, 500)}`);
  native(byKb, ['fsck', '--strict', '--connectivity-only']);
  for (const question of [['rev-parse', 'HEAD'], ['rev-list', '--count', 'HEAD'], ['ls-files']]) {
    if (native(byGit, question) !== native(byKb, question)) throw new Error(`git ${question.join(' ')} differs`);
  }
}
