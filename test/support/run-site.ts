import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isKbError, type KbError } from '../../src/errors.js';
import { runCommand, type RunRequest, type RunResult } from '../../src/kb/run.js';
import type { Report, Surroundings } from '../../src/kb/surroundings.js';
import { siteAt, startKb, withKb, worldOf, type Site } from './crash-site.js';
import { git, makeTemporaryDirectory } from './native-git.js';

export const DEFAULTS = {
  push: true,
  onFailure: 'stash',
  topicsOnly: false,
  output: 'ignore',
  foreground: false,
} as const satisfies Partial<RunRequest>;

let template: Site | undefined;

/**
 * A KB and its remote, made by native git and cloned by kb; always at the same place, so one at a time. The copies keep
 * their files' times, so that the index stays right.
 */
export async function makeRunSite(): Promise<Site> {
  const first = template ?? siteAt(join(makeTemporaryDirectory(), 'site'));
  if (template === undefined) {
    mkdirSync(first.root);
    await startKb(first);
    copy(first.root, `${first.root}.template`);
    template = first;
  } else {
    rmSync(first.root, { recursive: true });
    copy(`${first.root}.template`, first.root);
  }
  return first;
}

function copy(from: string, to: string): void {
  cpSync(from, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
}

export interface RunOptions extends Partial<RunRequest> {
  readonly world?: Partial<Surroundings>;
  /** More environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly warnings?: string[];
}

/** Runs a shell script as the command of a `kb run`, in this process. */
export async function runScript(site: Site, script: string, options: RunOptions = {}): Promise<RunResult> {
  const { world, env, warnings, ...request } = options;
  const report = (event: Report): void => {
    if (event.kind === 'warning') warnings?.push(event.text);
  };
  const base = worldOf(site, { report });
  const surroundings = { ...base, env: { ...base.env, PATH: process.env['PATH'], ...env }, ...world };
  return withKb(surroundings, (kb) => runCommand(kb, { command: ['sh', '-c', script], ...DEFAULTS, ...request }));
}

/** As `runScript`, for one that must fail. */
export async function runFailing(site: Site, script: string, options: RunOptions = {}): Promise<KbError> {
  try {
    await runScript(site, script, options);
  } catch (error) {
    if (isKbError(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

/** All that people see of the work tree: native git's status, what is staged and what is not, with the content. */
export function stateOf({ kb }: Site): string {
  return ['status --porcelain --untracked-files=all', 'diff --cached', 'diff']
    .map((command) => git(kb, command.split(' ')))
    .concat(
      git(kb, ['ls-files', '--others', '--exclude-standard'])
        .split('\n')
        .filter((path) => path !== '')
        .map((path) => `${path}: ${contentOf(join(kb, path))}`),
    )
    .join('\n');
}

function contentOf(file: string): string {
  return lstatSync(file).isSymbolicLink() ? `→ ${readlinkSync(file)}` : readFileSync(file, 'utf8');
}

/** Of commits, as `git log --name-status` tells it; newest first. */
export function logOf(repository: string, ...args: string[]): string[] {
  return git(repository, ['log', '--format=%s', '--name-status', '-M', ...args])
    .split('\n')
    .filter((line) => line !== '');
}

export function refsUnder({ kb }: Site, prefix: string): string[] {
  return git(kb, ['for-each-ref', '--format=%(refname)', prefix])
    .split('\n')
    .filter((line) => line !== '');
}

/** Journals, snapshots and locks, which no run leaves. */
export function leftByRun(site: Site): string[] {
  const inKb = (path: string): string[] => (existsSync(join(site.kb, path)) ? readdirSync(join(site.kb, path)) : []);
  const journals = inKb('.git/kb').filter((name) => name.startsWith('run'));
  const locks = ['.kb_operations.lock', '.kb_tmp_lock', '.git/index.lock'];
  return [...journals, ...locks.filter((path) => existsSync(join(site.kb, path))), ...refsUnder(site, 'refs/kb/run')];
}
