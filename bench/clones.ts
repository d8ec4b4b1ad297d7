import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { generateAttachments, generateHistory, generateRepository } from './generate.js';
import { copyGiven, type Generated } from './generated.js';
import type { GitServer } from './git-server.js';
import { attempt, porcelain } from './isomorphic.js';
import { environment, KB_PROGRAM } from './knowledge-base.js';
import { CLONE_MEMORY_MB, CLONE_RATIO } from './limits.js';
import { interleave, median, peakMemory, timed, type Program } from './measure.js';
import { native } from './native.js';
import type { PorcelainRow, Row } from './results.js';

/** A repository and how it is cloned. */
export interface Kind {
  readonly scenario: string;
  readonly depth: '1' | 'full';
  readonly hasLimits: boolean;
  readonly repository?: string;
  /** Makes the bare repository where there is nothing yet. @returns the number of its files */
  readonly prepare: (to: string) => Promise<number>;
}

/** By the word that chooses them with `--clones`. */
export const CLONES: Readonly<Record<string, (generated: Generated, seed: number) => Kind>> = {
  '10': (generated, seed) => ({ ...notes(10, generated, seed), hasLimits: false }),
  '10k': (generated, seed) => notes(10_000, generated, seed),
  '100k': (generated, seed) => notes(100_000, generated, seed),
  gig: (generated, seed) => ({
    scenario: 'clone, depth 1, 1.1 GB of attachments',
    depth: '1',
    hasLimits: true,
    prepare: async (to) => {
      await generated.copy(`attachments-seed${seed}`, to, (directory) =>
        generateAttachments(directory, { notes: 5000, attachments: 200, seed }),
      );
      return 5200;
    },
  }),
  history: (generated, seed) => ({
    scenario: 'clone, full, 20,000 commits',
    depth: 'full',
    hasLimits: true,
    prepare: async (to) => {
      await generated.copy(`history-seed${seed}`, to, (directory) =>
        generateHistory(directory, { notes: 1000, commits: 20_000, seed }),
      );
      return 1000;
    },
  }),
};

function notes(files: number, generated: Generated, seed: number): Kind {
  return {
    scenario: 'clone, depth 1',
    depth: '1',
    hasLimits: true,
    prepare: (to) => prepareNotes(generated, files, seed, to),
  };
}

/** @returns the number of files */
export async function prepareNotes(generated: Generated, files: number, seed: number, to: string): Promise<number> {
  await generated.copy(`notes-${files}-seed${seed}`, to, (directory) => generateRepository(directory, files, seed));
  return files;
}

/** Somebody's repository, given by path, of which the last commit and the whole are cloned. */
export function givenClones(path: string, repository: string): Kind[] {
  const prepare = async (to: string): Promise<number> => copyGiven(path, to);
  return [
    { scenario: 'clone, depth 1', depth: '1', hasLimits: false, repository, prepare },
    { scenario: 'clone, full', depth: 'full', hasLimits: false, repository, prepare },
  ];
}

/** A run that takes longer is repeated less often, ms. */
const LONG_MS = 10_000;

export interface CloneRoom {
  /** For the clones. */
  readonly directory: string;
  readonly repositories: string;
  readonly server: GitServer;
}

/**
 * Clones of one kind, in turns with native git, from one repository; the last one of kb is checked by native git.
 * @param wanted the comparison with native git; a single clone by isomorphic-git
 * @returns time, and kb's peak memory
 * @throws Error when a clone fails, or is not what native git makes
 */
export async function measureClones(
  kind: Kind,
  { directory, repositories, server }: CloneRoom,
  {
    runs,
    wanted,
  }: { readonly runs: number; readonly wanted: { readonly native: boolean; readonly isomorphic: boolean } },
): Promise<{ rows: Row[]; porcelain: PorcelainRow[] }> {
  const { scenario, depth, repository } = kind;
  const bare = join(repositories, 'clone.git');
  const files = await kind.prepare(bare);
  const url = `${server.url}/clone.git`;
  const home = join(directory, 'home');
  mkdirSync(join(home, '.cache'), { recursive: true });
  const target = (whose: string): string => join(directory, `clone-${whose}`);
  const clear = (whose: string): void => rmSync(target(whose), { recursive: true, force: true });
  const env = environment(home);
  const program = (command: string, args: readonly string[]): Program => ({ command, args, cwd: directory, env });
  const programs = {
    native: program('git', ['clone', '-q', ...(depth === '1' ? ['--depth', '1'] : []), url, target('native')]),
    kb: program(process.execPath, [KB_PROGRAM, 'clone', '--quiet', '--depth', depth, url, target('kb')]),
  };
  const key = { scenario, files, ...(repository === undefined ? {} : { repository }) };
  const measured: { rows: Row[]; porcelain: PorcelainRow[] } = { rows: [], porcelain: [] };
  if (wanted.native) {
    const run = (whose: 'native' | 'kb') => (): number => {
      clear(whose);
      return timed(programs[whose]);
    };
    const first = run('native')();
    const samples = await interleave(first > LONG_MS ? Math.min(3, runs) : runs, {
      native: run('native'),
      kb: run('kb'),
    });
    check(target('native'), target('kb'));
    clear('kb');
    clear('native');
    const memory = peakMemory(programs.kb, join(directory, 'report'));
    clear('kb');
    const medians = { native: median(samples.native), kb: median(samples.kb) };
    const [timeLimit, memoryLimit] = kind.hasLimits
      ? [{ limit: CLONE_RATIO }, { limit: { most: CLONE_MEMORY_MB, unit: 'MB' } as const }]
      : [{}, {}];
    measured.rows.push(
      { ...key, ...medians, unit: 'ms', ratio: medians.kb / medians.native, ...timeLimit, samples },
      { ...key, scenario: `peak memory: ${scenario}`, kb: memory, unit: 'MB', ...memoryLimit },
    );
  }
  if (wanted.isomorphic) {
    const outcome = attempt(porcelain(['clone', url, target('isomorphic'), depth], directory, env));
    measured.porcelain.push({ ...key, outcome });
    clear('isomorphic');
  }
  rmSync(bare, { recursive: true, force: true });
  return measured;
}

function check(byGit: string, byKb: string): void {
  const status = native(byKb, ['status', '--porcelain']);
  if (status !== '') throw new Error(`kb's clone is not clean:\n${status.slice(0, 500)}`);
  native(byKb, ['fsck', '--strict', '--connectivity-only']);
  for (const question of [['rev-parse', 'HEAD'], ['rev-list', '--count', 'HEAD'], ['ls-files']]) {
    if (native(byGit, question) !== native(byKb, question)) throw new Error(`git ${question.join(' ')} differs`);
  }
}
