import { resolveIdentity } from '../../config/identity.js';
import { isKbError } from '../../errors.js';
import { checkedOutBranch } from '../open.js';
import { ok, problem, warning, type Check, type Patient, type Result } from './check.js';

/** Who writes, on which branch, and whether it goes out. */
export const configurationCheck: Check = {
  name: 'configuration',
  run(patient) {
    const { kb, settings } = patient;
    const findings = [orProblem(() => `edits are signed by ${author(patient)}`)];
    if (kb !== undefined) findings.push(orProblem(() => `branch ${checkedOutBranch(kb).name} is checked out`));
    if (!settings.gitEnabled) {
      findings.push(
        warning('KB_GIT_ENABLED is false: the remote is never asked, edits stay here', 'unset KB_GIT_ENABLED'),
      );
    } else if (!settings.autoPush) {
      findings.push(warning('autoPush is off: edits stay here until kb sync', 'see where it is set: kb config'));
    }
    return Promise.resolve(findings);
  },
};

function author({ surroundings: { env, clock }, settings }: Patient): string {
  const nowMs = clock.wall();
  const { author } = resolveIdentity({ settings, env, nowMs, offsetMinutes: clock.offsetMinutes(nowMs) });
  return `${author.name} <${author.email}>`;
}

function orProblem(tell: () => string): Result {
  try {
    return ok(tell());
  } catch (error) {
    if (isKbError(error)) return problem(error.message, error.hint);
    throw error;
  }
}
