import type { Disk } from '../../disk/disk.js';
import { KbError } from '../../errors.js';
import { printable } from '../../printable.js';
import type { HostSettings } from '../settings.js';
import type { ChainOptions } from './chain.js';
import { runProgram, runOptions } from './run-program.js';
import { cleanToken, type Found, type Nothing } from './source.js';

/** A token is short; a file that is longer is the wrong one. */
const MAX_TOKEN_FILE_BYTES = 64 * 1024;
/** How long the user's command may take to print a token, ms: it may ask somebody to unlock a key. */
const COMMAND_MS = 60_000;

/**
 * The token that the user's configuration names for a host: from a variable, a file, or a command of the user's own.
 * @throws KbError E_AUTH when the file or what is in it is unusable
 */
export async function tokenOfHost(
  own: HostSettings,
  username: string,
  options: ChainOptions,
): Promise<Found | Nothing | undefined> {
  if (own.tokenEnv !== undefined) {
    const token = cleanToken(options.env[own.tokenEnv] ?? '', own.tokenEnv);
    if (token !== '') return { login: { username, password: token } };
    if (own.tokenFile === undefined && own.tokenCommand === undefined) return { nothing: `${own.tokenEnv} is not set` };
  }
  if (own.tokenFile !== undefined) return tokenOfFile(own.tokenFile, username, options);
  if (own.tokenCommand !== undefined) return tokenOfCommand(own.tokenCommand, username, options);
  return undefined;
}

/**
 * The first line of a file. It is read again each time: secrets that are mounted as files change while kb runs.
 * @throws KbError E_AUTH when it cannot be read or is empty
 */
export function tokenOfFile(path: string, username: string, { disk }: { readonly disk: Disk }): Promise<Found> {
  const name = `the password file ${printable(path)}`;
  let text: string;
  try {
    if (disk.statSync(path).size > MAX_TOKEN_FILE_BYTES) throw new Error('it is too large for one');
    text = disk.readFileSync(path, 'utf8');
  } catch (error) {
    throw new KbError('E_AUTH', `${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
      hint: 'put the token on the first line of that file, readable by this user only',
    });
  }
  const token = cleanToken(text.split('\n')[0] ?? '', name);
  if (token === '') throw new KbError('E_AUTH', `${name} is empty`, { hint: 'put the token on its first line' });
  return Promise.resolve({ login: { username, password: token } });
}

async function tokenOfCommand(
  command: readonly string[],
  username: string,
  options: ChainOptions,
): Promise<Found | Nothing> {
  const [program = '', ...args] = command;
  const end = await runProgram({ program, args, input: '', timeoutMs: COMMAND_MS, ...runOptions(options) });
  const token = cleanToken(end.stdout.split('\n')[0] ?? '', 'what tokenCommand printed');
  if (end.failure !== undefined) return { nothing: `tokenCommand ${end.failure}` };
  return token === '' ? { nothing: 'tokenCommand printed nothing' } : { login: { username, password: token } };
}
