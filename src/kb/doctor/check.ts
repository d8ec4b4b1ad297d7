import type { RemoteOptions } from '../../remote/open.js';
import type { RemoteUrl } from '../../remote/url.js';
import type { Kb } from '../open.js';
import type { Surroundings } from '../surroundings.js';

export interface Finding {
  /** What was looked at: the check's name. */
  readonly check: string;
  /** `warning`: kb works, but not as it could; `problem`: something will fail. */
  readonly status: 'ok' | 'warning' | 'problem';
  /** Without secrets; may hold text from elsewhere. */
  readonly text: string;
  /** What to do about it. */
  readonly mend: string | null;
}

/** What the checks look at. */
export interface Patient {
  readonly surroundings: Surroundings;
  /** undefined: there is none here, or it cannot be opened */
  readonly kb: Kb | undefined;
  /** undefined: no remote is known */
  readonly url: RemoteUrl | undefined;
  readonly remote: RemoteOptions;
}

/** One thing to look at, a file of its own. What it throws counts as a problem. */
export interface Check {
  readonly name: string;
  run(patient: Patient): Promise<readonly Omit<Finding, 'check'>[]>;
}

export function ok(text: string): Omit<Finding, 'check'> {
  return { status: 'ok', text, mend: null };
}
