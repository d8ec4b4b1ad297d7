import type { RemoteOptions } from '../../remote/open.js';
import type { RemoteUrl } from '../../remote/url.js';
import type { Settings } from '../../config/settings.js';
import type { Kb } from '../open.js';
import type { Surroundings } from '../surroundings.js';

/** What a check has found. Invariant: what is not in order comes with what to do about it. */
export type Result =
  | { readonly status: 'ok'; readonly text: string; readonly mend: null }
  /** `warning`: kb works, but not as it could; `problem`: something will fail. */
  | { readonly status: 'warning' | 'problem'; readonly text: string; readonly mend: string };

/** Without secrets; may hold text from elsewhere. */
export type Finding = Result & {
  /** What was looked at: the check's name. */
  readonly check: string;
};

/** One address of the remote, and what is done there. */
export interface Address {
  readonly url: RemoteUrl;
  readonly intents: readonly ('read' | 'write')[];
}

/** What the checks look at. */
export interface Patient {
  readonly surroundings: Surroundings;
  readonly settings: Settings;
  /** undefined: there is none here, or it cannot be opened */
  readonly kb: Kb | undefined;
  /** Empty: no remote is known, or it is not to be asked. */
  readonly addresses: readonly Address[];
  readonly remote: RemoteOptions;
  /** Found out by the way, for the checks behind. */
  readonly seen: { clockAheadMs?: number | undefined };
}

/** One thing to look at, a file of its own. What it throws counts as a problem. */
export interface Check {
  readonly name: string;
  run(patient: Patient): Promise<readonly Result[]>;
}

export function ok(text: string): Result {
  return { status: 'ok', text, mend: null };
}

export function warning(text: string, mend: string): Result {
  return { status: 'warning', text, mend };
}

export function problem(text: string, mend: string): Result {
  return { status: 'problem', text, mend };
}
