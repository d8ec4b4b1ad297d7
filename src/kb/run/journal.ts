import { join } from 'node:path';
import { namesIn, readFileIfExists, removeFile, syncDirectory, writeFileAtomic } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import { asOid, asRefName, type Oid, type RefName } from '../../git/ids.js';
import { idsOf, isRunning } from '../joined-locks.js';
import { kbDirectory } from '../kb-directory.js';
import type { Kb } from '../open.js';

/** What becomes of the changes of a command that failed. */
export type FailurePolicy = 'stash' | 'discard' | 'keep';

/** All that is needed to put a KB back into the state in which a run found it. */
export interface RunJournal {
  /** The locks that the run holds, from the KB's own inwards; the last one is its own and names the journal. */
  readonly token: string;
  readonly branch: RefName;
  /** The branch when the command started; null: no commit yet. */
  readonly base: Oid | null;
  /** What was uncommitted then, see snapshot.ts; null: nothing. */
  readonly snapshot: Oid | null;
  /** Where changes are saved that are not to be committed. */
  readonly stash: RefName;
  readonly policy: FailurePolicy;
  /** The program's name without its arguments, which could hold a secret. */
  readonly program: string;
  /** RFC 3339. */
  readonly startedAt: string;
}

/** Runs of this very process: not interrupted, whatever their lock's record looks like. */
const runsHere = new Set<string>();

/**
 * Invariant: from before the command starts until its changes are committed or put away a journal names the state
 * before it. So after a crash at any instant what the run did can be told from what people did before.
 * (Broken by: test/integration/run-recovery.test.ts)
 */
export function writeJournal(kb: Kb, journal: RunJournal): void {
  kbDirectory(kb);
  runsHere.add(journal.token);
  writeFileAtomic(kb.surroundings.disk, fileOf(kb, journal.token), JSON.stringify({ version: 1, ...journal }));
}

/** The run is over, and nothing is left to be put back. */
export function removeJournal(kb: Kb, token: string): void {
  removeFile(kb.surroundings.disk, fileOf(kb, token));
  syncDirectory(kb.surroundings.disk, join(kb.gitDir, 'kb'));
  forgetRun(token);
}

/** This process does nothing more for the run; its journal stays for who holds the lock next. */
export function forgetRun(token: string): void {
  runsHere.delete(token);
}

/** The journals of runs that do not go on any more, those inside of others first. Cheap where there are none. */
export function findInterruptedRuns(kb: Kb): RunJournal[] {
  return readJournals(kb)
    .filter(({ token }) => !runsHere.has(token) && !isRunning(kb, token))
    .sort((a, b) => idsOf(b.token).length - idsOf(a.token).length);
}

/** Whether `recoverInterruptedRun` has anything to do. */
export function hasInterruptedRun(kb: Kb): boolean {
  return findInterruptedRuns(kb).length > 0;
}

function readJournals(kb: Kb): RunJournal[] {
  const { disk } = kb.surroundings;
  return namesIn(disk, join(kb.gitDir, 'kb')).flatMap((name) => {
    if (!/^run-[0-9a-f]{32}\.json$/.test(name)) return [];
    const bytes = readFileIfExists(disk, join(kb.gitDir, 'kb', name));
    const journal = bytes === undefined ? undefined : parseJournal(bytes);
    // Journals are written whole: what cannot be read is none of kb's, and stays.
    return journal === undefined || nameOf(journal.token) !== name ? [] : [journal];
  });
}

/** The lock's own id: the last of the token. */
export function ownId(token: string): string {
  return idsOf(token).at(-1) ?? '';
}

/** A run inside of a run has a journal of its own, so there may be several. */
function nameOf(token: string): string {
  return `run-${ownId(token)}.json`;
}

function fileOf(kb: Kb, token: string): string {
  return join(kb.gitDir, 'kb', nameOf(token));
}

function parseJournal(bytes: Buffer): RunJournal | undefined {
  try {
    const value = Object(JSON.parse(bytes.toString('utf8'))) as Record<string, unknown>;
    const text = (name: string): string => (typeof value[name] === 'string' ? value[name] : '');
    const oid = (name: string): Oid | null => (value[name] === null ? null : asOid(text(name)));
    const policy = (['stash', 'discard', 'keep'] as const).find((one) => one === value['policy']);
    const stash = asRefName(text('stash'));
    if (value['version'] !== 1 || policy === undefined || !stash.startsWith('refs/kb/stash/')) return undefined;
    if (!/^[0-9a-f]{32}(\.[0-9a-f]{32})*$/.test(text('token'))) return undefined;
    return {
      token: text('token'),
      branch: asRefName(text('branch')),
      base: oid('base'),
      snapshot: oid('snapshot'),
      stash,
      policy,
      program: text('program'),
      startedAt: text('startedAt'),
    };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof KbError) return undefined;
    throw error;
  }
}
