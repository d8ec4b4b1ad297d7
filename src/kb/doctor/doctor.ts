import { loadSettings } from '../../config/settings.js';
import { KbError, isKbError } from '../../errors.js';
import { shortName } from '../../git/ids.js';
import { parseRemoteUrl, type RemoteUrl } from '../../remote/url.js';
import { remoteOptions, userGitConfig } from '../connect.js';
import { openKb, optional, upstreamOf, type Kb, type OpenRequest } from '../open.js';
import { typedRemote } from '../remote-address.js';
import type { Surroundings } from '../surroundings.js';
import type { Check, Finding, Patient } from './check.js';
import { credentialsCheck } from './credentials.js';
import { diskCheck } from './disk.js';
import { permissionsCheck } from './permissions.js';
import { reachabilityCheck } from './reachability.js';

/** In the order in which they are told. A further check is a file of its own and a word here. */
const CHECKS: readonly Check[] = [permissionsCheck, diskCheck, credentialsCheck, reachabilityCheck];

export interface Diagnosis {
  /** The remote that was looked at, without credentials. */
  readonly url: string | null;
  readonly checks: readonly Finding[];
}

/**
 * Looks at all that a cycle needs, changes nothing, and goes on after what is wrong.
 * @param request.url another remote than that of the KB
 */
export async function diagnose(
  surroundings: Surroundings,
  request: OpenRequest & { readonly url?: string },
): Promise<Diagnosis> {
  const found: Finding[] = [];
  let patient: Patient | undefined;
  try {
    patient = await prepare(surroundings, request, found);
  } catch (error) {
    found.push(problem('configuration', error));
  }
  if (patient === undefined) return { url: null, checks: found };
  try {
    for (const check of CHECKS) {
      try {
        found.push(...(await check.run(patient)).map((one) => ({ check: check.name, ...one })));
      } catch (error) {
        surroundings.signal?.throwIfAborted();
        found.push(problem(check.name, error));
      }
    }
  } finally {
    patient.kb?.objects.close();
  }
  return { url: patient.url?.display ?? null, checks: found };
}

/** @throws KbError E_UNHEALTHY with details.checks, when there is a problem; warnings are none */
export function requireNoProblem({ url, checks }: Diagnosis): void {
  const problems = checks.filter(({ status }) => status === 'problem');
  if (problems.length === 0) return;
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  throw new KbError('E_UNHEALTHY', `${count}: ${problems.map(({ text }) => text).join('; ')}`, {
    hint: problems[0]?.mend ?? 'look with: kb status',
    details: { url, checks },
  });
}

async function prepare(
  surroundings: Surroundings,
  request: OpenRequest & { readonly url?: string },
  found: Finding[],
): Promise<Patient> {
  const kb = await openHere(surroundings, request);
  const gitConfig = kb === undefined ? userGitConfig(surroundings) : () => kb.gitConfig;
  const { disk, env } = surroundings;
  const settings = kb?.settings ?? (await loadSettings({ disk, env, flags: {} })).settings;
  const head = kb?.refs.head().branch;
  const branch = head === undefined ? (settings.branch ?? 'main') : shortName(head);
  const upstream = kb === undefined ? undefined : upstreamOf(kb, branch);
  const insecure = kb?.gitConfig.getBoolean(`remote.${settings.remote}.kbinsecure`, false) ?? false;
  const url = addressOf(surroundings, request.url, upstream?.pushUrl ?? upstream?.url ?? settings.repoUrl, kb);
  const where = kb === undefined ? 'no KB here' : `the KB in ${kb.root}`;
  found.push({
    check: 'configuration',
    status: url === undefined ? 'warning' : 'ok',
    text: `${where}, ${url === undefined ? 'and no remote' : `remote ${url.display}`}`,
    mend: url === undefined ? 'name a remote: kb doctor URL, or kb init --remote URL' : null,
  });
  const remote = {
    ...remoteOptions(surroundings, { gitConfig, settings, ...optional('remoteName', upstream?.remoteName) }),
    timeoutMs: settings.gitTimeoutMs,
    insecure,
  };
  return { surroundings, kb, url, remote };
}

/** @returns undefined where there is none and none was named */
async function openHere(surroundings: Surroundings, request: OpenRequest): Promise<Kb | undefined> {
  try {
    return await openKb(surroundings, request);
  } catch (error) {
    if (isKbError(error, 'E_NO_KB') && request.kb === undefined) return undefined;
    throw error;
  }
}

function addressOf(
  surroundings: Surroundings,
  typed: string | undefined,
  known: string | undefined,
  kb: Kb | undefined,
): RemoteUrl | undefined {
  if (typed !== undefined) return typedRemote(surroundings, typed, true).url;
  return known === undefined ? undefined : parseRemoteUrl(known, { cwd: kb?.root ?? surroundings.cwd, insecure: true });
}

function problem(check: string, error: unknown): Finding {
  if (!(error instanceof KbError)) throw error;
  return { check, status: 'problem', text: error.message, mend: error.hint };
}
