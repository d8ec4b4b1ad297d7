import { join } from 'node:path';
import { namesIn, readFileIfExists } from '../../disk/durable.js';
import { KbError, hintOf } from '../../errors.js';
import type { Oid } from '../../git/ids.js';
import { GitIndex } from '../../git/index/index-file.js';
import { visitIndexObjects } from '../../git/index/index-objects.js';
import { readCommit } from '../../git/objects/commit.js';
import { checkPack } from '../../git/objects/pack-check.js';
import { JOURNAL } from '../advance.js';
import { readLastSync } from '../last-sync.js';
import type { Kb } from '../open.js';
import { hasInterruptedSwitch } from '../recover-switch.js';
import { findInterruptedRuns } from '../run/journal.js';
import { requireSafeState } from '../safe-state.js';
import { ok, problem, warning, type Check, type Result } from './check.js';

/** Commits below the checked-out one that are read; what is older is seen by `git fsck`. */
const MOST_COMMITS = 500;

/**
 * Whether what an edit stands on can be read: packs, refs, index, the objects that the index names, the last commits.
 * It costs a look at each file of the index and none into the content of files.
 */
export const repositoryCheck: Check = {
  name: 'repository',
  run({ kb }) {
    if (kb === undefined) return Promise.resolve([]);
    const findings = [packs, refs, index, history, unfinished, lastSync].flatMap((look): Result[] => {
      try {
        return look(kb);
      } catch (error) {
        if (error instanceof KbError) return [problem(error.message, error.hint)];
        throw error;
      }
    });
    return Promise.resolve(findings);
  },
};

function packs(kb: Kb): Result[] {
  const { disk } = kb.surroundings;
  const folder = join(kb.gitDir, 'objects/pack');
  const names = new Set(namesIn(disk, folder));
  const findings: Result[] = [];
  let [count, objects] = [0, 0];
  for (const name of [...names].filter((one) => one.endsWith('.pack'))) {
    const path = join(folder, name.slice(0, -5));
    if (!names.has(`${name.slice(0, -5)}.idx`)) {
      findings.push(warning(`${path}.pack has no index: none of its objects is seen`, `git index-pack ${path}.pack`));
      continue;
    }
    try {
      objects += checkPack(disk, path) ?? 0;
      count += 1;
    } catch (error) {
      if (!(error instanceof KbError)) throw error;
      findings.push(problem(error.message, error.hint));
    }
  }
  return [...findings, ...(findings.length === 0 ? [ok(`${count} packs with ${objects} objects are in order`)] : [])];
}

function refs(kb: Kb): Result[] {
  const all = [...kb.refs.list('refs/')];
  const broken = all.filter(([, oid]) => !kb.objects.has(oid));
  if (broken.length === 0) return [ok(`${all.length} refs lead to objects that are here`)];
  return broken
    .slice(0, 5)
    .map(([name, oid]) =>
      problem(
        `${name} leads to ${oid}, which is not here`,
        name.startsWith('refs/remotes/')
          ? `remove it and fetch anew: git update-ref -d ${name}, then kb sync`
          : hintOf('E_CORRUPT'),
      ),
    );
}

function index(kb: Kb): Result[] {
  const { disk } = kb.surroundings;
  const read = GitIndex.read(disk, kb.gitDir);
  read.assertIntact();
  const missing = new Set<string>();
  // What a partial clone has promised may be missing; it is fetched when it is needed.
  if (kb.promisor === undefined) {
    visitIndexObjects(disk, join(kb.gitDir, 'index'), (bytes, at) => {
      const oid = bytes.toString('hex', at, at + 20) as Oid;
      if (!kb.objects.hasWithoutRescan(oid)) missing.add(oid);
    });
  }
  const gone = [...missing].filter((oid) => !kb.objects.has(oid as Oid));
  if (gone.length === 0) return [ok(`the index names ${read.entryCount} files, all of them stored`)];
  return [
    problem(
      `the index names ${gone.length} objects that are not stored, such as ${gone[0] ?? ''}`,
      `fetch everything anew: ${hintOf('E_CORRUPT')}`,
    ),
  ];
}

function history(kb: Kb): Result[] {
  const shallow = kb.shallow();
  let next = kb.refs.head().oid;
  if (next === undefined) return [ok('there is no commit yet')];
  let count = 0;
  for (; next !== undefined && count < MOST_COMMITS; count += 1) {
    const { tree, parents }: { tree: Oid; parents: readonly Oid[] } = readCommit(kb.objects, next);
    if (count === 0) kb.objects.readTyped(tree, 'tree');
    next = shallow.has(next) ? undefined : parents[0];
  }
  return [ok(`the last ${count} commits can be read`)];
}

/** What stops the next command, and what it will mend by itself. */
function unfinished(kb: Kb): Result[] {
  requireSafeState(kb, GitIndex.read(kb.surroundings.disk, kb.gitDir));
  const findings: Result[] = [];
  const isAdvancing = readFileIfExists(kb.surroundings.disk, join(kb.gitDir, 'kb', JOURNAL)) !== undefined;
  if (isAdvancing || hasInterruptedSwitch(kb) || findInterruptedRuns(kb).length > 0) {
    findings.push(
      warning('a command is at work, or was killed before it was done', 'nothing is lost; if it was killed: kb sync'),
    );
  }
  return findings;
}

function lastSync(kb: Kb): Result[] {
  const last = readLastSync(kb);
  if (last === undefined || last.result === 'ok') return [];
  return [
    warning(`the last sync (${last.at}) failed: ${last.error ?? last.result}`, 'see what is left, and sync: kb sync'),
  ];
}
