import { KbError, registerSecret } from '../errors.js';
import type { RemoteUrl } from './url.js';
import { assertMayCarryCredentials, isLoopback } from './url.js';

/** What was found for one remote, and where was looked: an E_AUTH names the sources, never a value. */
export interface Credentials {
  /** The value of the `Authorization` header; undefined: none found. */
  readonly authorization?: string;
  /** Where it is from, such as `KB_GIT_AUTH_TOKEN`. */
  readonly source?: string;
  /** Every source looked at, in order. */
  readonly tried: readonly string[];
}

/** What hosts want as the name when the password is a token and nobody gave a name. */
const TOKEN_USER = 'x-access-token';

/**
 * The credentials for a remote: its URL, then `KB_GIT_AUTH_TOKEN`, then `GITHUB_TOKEN` and `GH_TOKEN`. The
 * last two are for GitHub only: CI systems set them for every job, and another host has no business with them.
 * @throws KbError E_AUTH when they would cross a network in the clear
 */
export function findCredentials(url: RemoteUrl, env: NodeJS.ProcessEnv, insecure: boolean): Credentials {
  const target = new URL(url.href);
  const tried = ['the URL', 'KB_GIT_AUTH_TOKEN', ...(isGitHub(target, env) ? ['GITHUB_TOKEN', 'GH_TOKEN'] : [])];
  const found = choose(url, env, tried);
  if (found === undefined) return { tried };
  assertMayCarryCredentials(target, found.source, insecure);
  const encoded = Buffer.from(`${found.username}:${found.password}`).toString('base64');
  registerSecret(encoded);
  return { authorization: `Basic ${encoded}`, source: found.source, tried };
}

/** The sentence for an E_AUTH: what was sent, or where was looked in vain. */
export function describeCredentials(credentials: Credentials): string {
  if (credentials.source !== undefined) return `credentials from ${credentials.source} were sent`;
  return `no credentials were found (looked at ${credentials.tried.join(', ')})`;
}

function choose(
  url: RemoteUrl,
  env: NodeJS.ProcessEnv,
  sources: readonly string[],
): { username: string; password: string; source: string } | undefined {
  const own = url.credentials;
  if (own !== undefined && own.password !== '') return { ...own, source: 'the URL' };
  for (const source of sources.slice(1)) {
    const token = env[source]?.trim() ?? '';
    if (token === '') continue;
    assertOneLine(token, source);
    registerSecret(token);
    return { username: (own?.username ?? env['GITHUB_USERNAME']?.trim()) || TOKEN_USER, password: token, source };
  }
  return own === undefined ? undefined : { ...own, source: 'the URL' };
}

function isGitHub(target: URL, env: NodeJS.ProcessEnv): boolean {
  if (target.host === 'github.com' || isLoopback(target)) return true;
  const server = env['GITHUB_SERVER_URL'] ?? '';
  return URL.canParse(server) && new URL(server).host === target.host;
}

/** A token with a line break in it is two pasted together or a file read wrongly: no server can accept it. */
function assertOneLine(token: string, source: string): void {
  // eslint-disable-next-line no-control-regex -- control characters are what the rule is about
  if (/[\u0000-\u001f\u007f]/.test(token))
    throw new KbError('E_AUTH', `${source} holds a line break or another control character`);
}
