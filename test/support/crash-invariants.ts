import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isKbError } from '../../src/errors.js';
import type { Site } from './crash-site.js';
import { Killed } from './failing-disk.js';
import { git } from './native-git.js';

/** What a healthy KB and remote must not show after any crash and one recovery. */
export function problemsOf({ kb, remote, home }: Site): string[] {
  const problems: string[] = [];
  const expectEmpty = (what: string, found: string): void => {
    if (found.trim() !== '') problems.push(`${what}: ${found.trim()}`);
  };
  for (const directory of [kb, remote]) {
    try {
      expectEmpty(`git fsck in ${directory}`, git(directory, ['fsck', '--strict', '--no-dangling']));
    } catch (error) {
      problems.push(describe(error));
    }
  }
  const status = git(kb, ['status', '--porcelain=v2', '--branch', '--untracked-files=all']).trim().split('\n');
  expectEmpty('git status', status.filter((line) => !line.startsWith('# ')).join('; '));
  if (!status.includes('# branch.ab +0 -0')) problems.push(`not in step with what was last seen: ${status.join('; ')}`);
  const head = readFileSync(join(remote, 'refs/heads/main'), 'utf8').trim();
  if (!status.includes(`# branch.oid ${head}`)) problems.push(`not in step with the remote: ${status.join('; ')}`);
  const leftovers = [...listing(kb), ...listing(remote), ...listing(home)].filter(
    // Where commands inside of a run queue, the lock of a dead one stands in nobody's way.
    (path) => LEFTOVER.test(path) && !path.startsWith('.git/kb/inside/'),
  );
  expectEmpty('left behind', leftovers.join(' '));
  return problems;
}

/**
 * Locks, journals, marks, temporary files, stages of a clone, what waits in the queue. Not acks: those of a waiter that
 * died are swept by the command after. Not `objects/**\/tmp_*`: under those names git's own housekeeping removes what a
 * killed writer left, see "git prune removes".
 */
const LEFTOVER =
  /\.lock(\/|$)|advance\.json|switch\.json|kb\/locks\/.|kb\/run-|refs\/kb\/run\/.|kb\/queue\/(?!.*\.acks$)|\.kb_(tmp|clone|operations)|incoming/;

/** Answers that nobody has come for. */
export function acksIn({ kb }: Site): string[] {
  const queue = join(kb, '.git/kb/queue');
  return existsSync(queue) ? readdirSync(queue).filter((name) => name.endsWith('.acks')) : [];
}

/** What the remote holds, without anything that differs from run to run. */
export interface Outcome {
  readonly tree: string;
  /** Subjects, the newest first. */
  readonly commits: readonly string[];
}

export function outcomeAt({ remote }: Site): Outcome {
  const log = git(remote, ['log', '--format=%T %s', 'main']).trim().split('\n');
  return { tree: log[0]?.slice(0, 40) ?? '', commits: log.map((line) => line.slice(41)) };
}

export function filesOf(site: Site, tree: string): string {
  return git(site.remote, ['ls-tree', '-r', '--abbrev=7', '--format=%(path) %(objectmode) %(objectname)', tree])
    .trim()
    .replaceAll('\n', ', ');
}

/** Every path below a directory, folders included; links are not followed. */
export function listing(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
}

export function isDueToKill(error: unknown): boolean {
  return error instanceof Error && (error instanceof Killed || isDueToKill(error.cause));
}

export function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'something that is no error';
  const cause = error.cause === undefined ? '' : ` (${describe(error.cause)})`;
  return `${isKbError(error) ? `${error.code}: ` : ''}${error.message}${cause}`;
}
