import { readCommit } from '../../git/objects/commit.js';
import { isKbError } from '../../errors.js';
import type { Kb } from '../open.js';
import { ok, problem, warning, type Check, type Result } from './check.js';

/** A reply's time is told in whole seconds and takes its own time to arrive. */
const NOTHING_MS = 60_000;
/** From here on tokens that carry their time are refused: those of a GitHub App, and signed webhooks. */
const TOO_MUCH_MS = 300_000;

/**
 * The clock against the server's (`Date` of its last reply), and against the newest commit, which cannot be of
 * tomorrow: notes are named and dated by this clock, and certificates are judged by it.
 */
export const clockCheck: Check = {
  name: 'clock',
  run({ kb, seen, surroundings: { clock } }) {
    const findings: Result[] = [];
    const { clockAheadMs } = seen;
    if (clockAheadMs !== undefined) findings.push(comparedWithServer(clockAheadMs));
    const newest = kb === undefined ? undefined : newestCommitMs(kb);
    const now = clock.wall();
    if (newest !== undefined && newest - now > NOTHING_MS) {
      findings.push(
        warning(
          `the newest commit is dated ${span(newest - now)} in the future: this clock is behind, or that of its author is ahead`,
          'set the clock of this machine (timedatectl set-ntp true), or tell the author of that commit',
        ),
      );
    }
    if (findings.length === 0) findings.push(ok(`${new Date(now).toISOString()}; no server to compare it with`));
    return Promise.resolve(findings);
  },
};

function comparedWithServer(aheadMs: number): Result {
  const off = Math.abs(aheadMs);
  if (off <= NOTHING_MS) return ok('agrees with that of the remote');
  const text = `this clock is ${span(off)} ${aheadMs > 0 ? 'behind' : 'ahead of'} that of the remote`;
  const mend = 'set the clock of this machine, for example: timedatectl set-ntp true';
  return off > TOO_MUCH_MS ? problem(text, mend) : warning(text, mend);
}

function newestCommitMs(kb: Kb): number | undefined {
  try {
    const { oid } = kb.refs.head();
    return oid === undefined ? undefined : readCommit(kb.objects, oid).committer.timestamp * 1000;
  } catch (error) {
    if (isKbError(error)) return undefined; // what is damaged is told by the check of the repository
    throw error;
  }
}

function span(ms: number): string {
  const minutes = ms / 60_000;
  if (minutes < 120) return `${Math.round(minutes)} min`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`;
}
