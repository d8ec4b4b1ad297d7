import { loadSettings, type Settings } from '../../config/settings.js';
import { asStorageError } from '../../disk/durable.js';
import { KbError, isKbError } from '../../errors.js';
import { shortName } from '../../git/ids.js';
import { parseRemoteUrl, type RemoteUrl } from '../../remote/url.js';
import { remoteOptions, userGitConfig, withOwnCredentials } from '../connect.js';
import { openKb, optional, type Kb } from '../open.js';
import { upstreamOf } from '../upstream.js';
import type { OpenRequest } from '../ground.js';
import { typedRemote } from '../remote-address.js';
import { sshSettings, userSshSettings } from '../ssh-settings.js';
import type { Surroundings } from '../surroundings.js';
import { ok, problem, warning, type Address, type Check, type Finding, type Patient, type Result } from './check.js';
import { clockCheck } from './clock.js';
import { configurationCheck } from './configuration.js';
import { credentialsCheck } from './credentials.js';
import { diskCheck } from './disk.js';
import { lockCheck } from './lock.js';
import { permissionsCheck } from './permissions.js';
import { reachabilityCheck } from './reachability.js';
import { repositoryCheck } from './repository.js';
import { unsupportedCheck } from './unsupported.js';

/** In the order in which they are told: what is here, then what is far away. A further check is a file and a word here. */
const CHECKS: readonly Check[] = [
  configurationCheck,
  permissionsCheck,
  diskCheck,
  repositoryCheck,
  lockCheck,
  unsupportedCheck,
  credentialsCheck,
  reachabilityCheck,
  clockCheck, // after reachability, which hears the server's time
];

export interface DoctorRequest extends OpenRequest {
  /** Another remote than that of the KB. */
  readonly url?: string;
}

export interface Diagnosis {
  /** The KB that was looked at. */
  readonly dir: string | null;
  /** The remote that was looked at, without credentials. */
  readonly url: string | null;
  readonly checks: readonly Finding[];
}

/**
 * Looks at all that a cycle needs, changes nothing, and goes on after what is wrong.
 * @throws KbError E_USAGE for a URL that is none, E_NO_KB for a KB that was named and is not there
 */
export async function diagnose(surroundings: Surroundings, request: DoctorRequest): Promise<Diagnosis> {
  const found: Finding[] = [];
  const patient = await admit(surroundings, request, (result) => found.push({ check: 'kb', ...result }));
  if (patient === undefined) return { dir: null, url: null, checks: found };
  try {
    for (const check of CHECKS) {
      surroundings.report({ kind: 'step', text: `looking at: ${check.name}` });
      found.push(...(await examine(check, patient)).map((result) => ({ check: check.name, ...result })));
    }
  } finally {
    patient.kb?.objects.close();
  }
  return {
    dir: patient.kb?.root ?? null,
    url: patient.addresses[0]?.url.display ?? null,
    checks: found,
  };
}

/** @throws KbError E_UNHEALTHY with details.checks, when there is a problem; warnings are none */
export function requireNoProblem(diagnosis: Diagnosis): void {
  const problems = diagnosis.checks.filter(({ status }) => status === 'problem');
  const [first] = problems;
  if (first === undefined || first.mend === null) return;
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  const names = [...new Set(problems.map(({ check }) => check))].join(', ');
  throw new KbError('E_UNHEALTHY', `${count} (${names}); first: ${first.text}`, {
    hint: first.mend,
    details: { ...diagnosis },
  });
}

async function examine(check: Check, patient: Patient): Promise<readonly Result[]> {
  const { signal } = patient.surroundings;
  signal?.throwIfAborted();
  try {
    return await check.run(patient);
  } catch (error) {
    signal?.throwIfAborted();
    return [asProblem(asStorageError(error, `look at: ${check.name}`))];
  }
}

/** Opens what can be opened, and tells what that is. @returns undefined while the settings cannot be read */
async function admit(
  surroundings: Surroundings,
  request: DoctorRequest,
  tell: (result: Result) => void,
): Promise<Patient | undefined> {
  const { disk, env, cwd } = surroundings;
  // A typed address is looked at before anything else: what is wrong with it is the command's mistake.
  const typed = request.url === undefined ? undefined : typedRemote(surroundings, request.url, true).url;
  const kb = await openHere(surroundings, request, tell);
  const gitConfig = kb === undefined ? userGitConfig(surroundings) : (): Kb['gitConfig'] => kb.gitConfig;
  let settings: Settings;
  try {
    settings = kb?.settings ?? (await loadSettings({ disk, env, flags: request.flags ?? {} })).settings;
  } catch (error) {
    tell(asProblem(error));
    return undefined;
  }
  const head = kb?.refs.head().branch;
  const upstream = kb === undefined ? undefined : upstreamOf(kb, head === undefined ? 'main' : shortName(head));
  const remoteName = typed === undefined ? upstream?.remoteName : undefined;
  const insecure = kb?.gitConfig.getBoolean(`remote.${settings.remote}.kbinsecure`, false) ?? false;
  const known = upstream ?? (settings.repoUrl === undefined ? undefined : { url: settings.repoUrl });
  const own = { gitConfig: gitConfig(), settings, root: kb?.root ?? cwd };
  const parse = (address: string): RemoteUrl =>
    kb === undefined
      ? typedRemote(surroundings, address, true).url
      : parseRemoteUrl(address, { cwd: kb.root, insecure: true });
  let addresses: Address[] = [];
  try {
    addresses = typed === undefined ? addressesOf(known, parse) : [{ url: typed, intents: ['read', 'write'] }];
  } catch (error) {
    tell(asProblem(error));
  }
  addresses = addresses.map(({ url, intents }) => ({ url: withOwnCredentials(url, own), intents }));
  tellRemote(kb, addresses, tell);
  return {
    surroundings,
    settings,
    kb,
    // A remote that is switched off is asked only when it is named.
    addresses: settings.gitEnabled || typed !== undefined ? addresses : [],
    remote: {
      ...remoteOptions(surroundings, { gitConfig, settings, ...optional('remoteName', remoteName) }),
      ssh: () =>
        kb === undefined ? userSshSettings(surroundings) : sshSettings(kb.gitConfig, remoteName ?? settings.remote),
      timeoutMs: settings.gitTimeoutMs,
      insecure,
    },
    seen: {},
  };
}

/** Where pushes go elsewhere (`pushurl`), each address is asked for what is done there. */
function addressesOf(
  known: { readonly url: string; readonly pushUrl?: string } | undefined,
  parse: (address: string) => RemoteUrl,
): Address[] {
  if (known === undefined) return [];
  if (known.pushUrl === undefined) return [{ url: parse(known.url), intents: ['read', 'write'] }];
  return [
    { url: parse(known.url), intents: ['read'] },
    { url: parse(known.pushUrl), intents: ['write'] },
  ];
}

/** @returns undefined where there is none and none was named, or it cannot be opened */
async function openHere(
  surroundings: Surroundings,
  request: OpenRequest,
  tell: (result: Result) => void,
): Promise<Kb | undefined> {
  try {
    return await openKb(surroundings, request);
  } catch (error) {
    if (isKbError(error, 'E_NO_KB')) {
      if (request.kb !== undefined) throw error;
      return undefined;
    }
    tell(asProblem(asStorageError(error, 'open the KB')));
    return undefined;
  }
}

function tellRemote(kb: Kb | undefined, addresses: readonly Address[], tell: (result: Result) => void): void {
  const where = kb === undefined ? 'no KB is open here' : `the KB in ${kb.root}`;
  if (addresses.length > 0) {
    tell(ok(`${where}, remote ${addresses.map(({ url }) => url.display).join(', pushed to ')}`));
  } else if (kb === undefined) {
    tell(warning(`${where}, and no remote was named`, 'name one: kb doctor URL, or --kb DIR'));
  } else {
    tell(warning(`${where} has no remote: edits stay here`, 'give it one: git remote add origin URL'));
  }
}

function asProblem(error: unknown): Result {
  if (!(error instanceof KbError)) throw error;
  return problem(error.message, error.hint);
}
