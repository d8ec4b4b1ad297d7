import { KbError } from '../../errors.js';
import { openRemote, type RemoteOptions } from '../../remote/open.js';
import type { Remote } from '../../remote/remote.js';
import type { SshSettings } from '../../remote/ssh/command.js';
import type { RemoteUrl } from '../../remote/url.js';
import { ok, problem, type Address, type Check, type Patient, type Result } from './check.js';

const CAN = { read: 'can be read', write: 'can be pushed to' } as const;

/** Asks the remote as a pull and as a push would, without changing anything there. */
export const reachabilityCheck: Check = {
  name: 'reachability',
  async run(patient) {
    const findings: Result[] = [];
    for (const address of patient.addresses) {
      findings.push(...(await way(address.url, patient.remote)), ...(await reach(address, patient)));
    }
    return findings;
  },
};

async function reach(
  { url, intents }: Address,
  { remote: options, seen, surroundings: { clock } }: Patient,
): Promise<Result[]> {
  const findings: Result[] = [];
  const remote = await openRemote(url, options);
  try {
    for (const intent of intents) {
      const start = clock.monotonic();
      const failure = await tried(remote, intent);
      seen.clockAheadMs = remote.clockAheadMs ?? seen.clockAheadMs;
      if (failure !== undefined) return [...findings, problem(failure.message, failure.hint)];
      findings.push(ok(`${url.display} ${CAN[intent]} (${Math.round(clock.monotonic() - start)} ms)`));
    }
    if (url.kind === 'ssh') findings.push(ok('the host is known to ssh, and it lets this key or agent in'));
    return findings;
  } finally {
    await remote.close();
  }
}

/** Through which program or proxy; what is wrong with its setting is told when the remote is asked. */
async function way(url: RemoteUrl, { settings: read, ssh, env }: RemoteOptions): Promise<Result[]> {
  if (url.kind === 'ssh') return throughSsh(env, ssh?.() ?? {});
  if (url.kind !== 'http') return [];
  const { chooseProxy } = await import('../../remote/http/proxy.js');
  try {
    const proxy = chooseProxy(new URL(url.href), await read?.(), env);
    return proxy === undefined ? [] : [ok(`through the proxy ${proxy.display} (${proxy.source})`)];
  } catch (error) {
    if (error instanceof KbError) return [];
    throw error;
  }
}

async function throughSsh(env: NodeJS.ProcessEnv, settings: SshSettings): Promise<Result[]> {
  const { sshProgram } = await import('../../remote/ssh/command.js');
  const source = ['GIT_SSH_COMMAND', 'GIT_SSH'].find((name) => (env[name] ?? '') !== '');
  const where = source === 'GIT_SSH' && settings.command ? 'core.sshCommand' : (source ?? 'core.sshCommand');
  try {
    const { name } = sshProgram(env, settings);
    return [ok(`through the program ${name}${source === undefined && !settings.command ? '' : ` (${where})`}`)];
  } catch (error) {
    if (error instanceof KbError) return [];
    throw error;
  }
}

async function tried(remote: Remote, intent: 'read' | 'write'): Promise<KbError | undefined> {
  try {
    await remote.discover(intent, ['HEAD']);
    return undefined;
  } catch (error) {
    if (error instanceof KbError && error.code !== 'E_INTERRUPTED' && error.code !== 'E_TERMINATED') return error;
    throw error;
  }
}
