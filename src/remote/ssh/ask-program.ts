import { monotonicMs } from '../../monotonic.js';
import { KbError } from '../../errors.js';
import type { RemoteOptions } from '../open.js';
import type { RemoteUrl } from '../url.js';
import { destinationOf, type SshAddress } from './address.js';
import { probeLine, sshCommandLine, sshProgram, type SshCall } from './command.js';
import { SshConnection, succeeds } from './connection.js';
import { sshEnvironment } from './environment.js';

const IDLE_MS = 120_000;
/** Longer than any answer, bytes. */
const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * Runs one program at the other end that prints an answer and ends, and takes the answer where it makes sense.
 * @param read gives undefined for what is no answer: then what ssh says is the error
 * @throws KbError E_NETWORK, E_AUTH, E_USAGE, the abort reason
 */
export async function askOverSsh<T>(
  url: RemoteUrl,
  address: SshAddress,
  call: Pick<SshCall, 'service' | 'argument'>,
  options: RemoteOptions,
  read: (answer: string) => T | undefined,
): Promise<T> {
  const { env, signal, ask, clock } = options;
  signal?.throwIfAborted();
  const settings = options.ssh?.() ?? {};
  const now = (): number => clock?.now() ?? monotonicMs();
  const deadline = now() + options.timeoutMs;
  const limits = { remainingMs: () => deadline - now(), signal };
  const { front, name, variant } = sshProgram(env, settings);
  const clean = sshEnvironment(env, undefined);
  const known =
    variant !== 'auto' ? variant : (await succeeds(probeLine(front, address), clean, limits)) ? 'ssh' : 'simple';
  const batch = ask === undefined;
  const connection = new SshConnection({
    command: sshCommandLine(front, known, settings, { address, ...call, batch }),
    env: clean,
    programName: name,
    displayUrl: url.display,
    destination: destinationOf(address),
    batch,
    idleMs: options.idleTimeoutMs ?? IDLE_MS,
    ...limits,
  });
  try {
    const parts: Buffer[] = [];
    let size = 0;
    for (let part = await connection.read(); part !== undefined; part = await connection.read()) {
      size += part.length;
      if (size > MAX_ANSWER_BYTES)
        throw new KbError('E_NETWORK', `${url.display} answers ${call.service} at too great length`);
      parts.push(part);
    }
    const answer = read(Buffer.concat(parts).toString('utf8'));
    if (answer === undefined) throw await connection.failure();
    return answer;
  } finally {
    await connection.close();
  }
}
