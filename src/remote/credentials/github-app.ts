import { createPrivateKey, sign } from 'node:crypto';
import { KbError, isKbError, registerSecret } from '../../errors.js';
import { printable } from '../../printable.js';
import { HttpSession } from '../http/session.js';
import type { GitHubAppSettings } from '../settings.js';
import { assertMayCarryCredentials, type RemoteUrl } from '../url.js';
import type { ChainOptions } from './chain.js';
import { isGitHub } from './hosts.js';
import type { Source } from './source.js';

/** GitHub takes at most 10 minutes; a minute on either side is for clocks that differ. */
const JWT_SECONDS = 540;
const CLOCK_SKEW_SECONDS = 60;
const MAX_REPLY_BYTES = 256 * 1024;

interface InstallationToken {
  readonly token: string;
  /** ms since 1970 */
  readonly expires: number;
}

/** Tokens hold for an hour; kept in memory only, by who asks where. */
const issued = new Map<string, InstallationToken>();

/**
 * A GitHub App: its private key signs a short-lived proof, for which GitHub's API gives out a token of the installation.
 * Source: GitHub Docs, "Generating a JSON Web Token (JWT) for a GitHub App" and "Generating an installation access token".
 */
export function githubAppSource(url: RemoteUrl, options: ChainOptions): Source {
  return {
    name: 'a GitHub App',
    find: async () => {
      const target = new URL(url.href);
      const app = options.settings?.host(target.host)?.app ?? appOfEnvironment(target, options.env);
      if (app === undefined) return undefined;
      const api = apiOf(app, target);
      assertMayCarryCredentials(api, 'a GitHub App', options.insecure ?? false);
      const place = `${api.href} ${app.id} ${app.installation}`;
      try {
        const { token } = usable(issued.get(place)) ?? (await askForToken(app, api, options));
        return {
          login: { username: 'x-access-token', password: token },
          refused: () => {
            issued.delete(place);
            return Promise.resolve();
          },
        };
      } catch (error) {
        if (!isKbError(error) || error.code === 'E_INTERRUPTED' || error.code === 'E_TERMINATED') throw error;
        return { nothing: error.message };
      }
    },
  };

  async function askForToken(app: GitHubAppSettings, api: URL, options: ChainOptions): Promise<InstallationToken> {
    const got = await requestToken(app, api, options);
    issued.set(`${api.href} ${app.id} ${app.installation}`, got);
    return got;
  }
}

function appOfEnvironment(target: URL, env: NodeJS.ProcessEnv): GitHubAppSettings | undefined {
  const [id, installation, keyFile] = ['ID', 'INSTALLATION_ID', 'PRIVATE_KEY_FILE'].map(
    (name) => env[`KB_GITHUB_APP_${name}`]?.trim() ?? '',
  ) as [string, string, string];
  if (id === '' || installation === '' || keyFile === '' || !isGitHub(target, env)) return undefined;
  const apiUrl = env['KB_GITHUB_API_URL']?.trim() || env['GITHUB_API_URL']?.trim();
  return { id, installation, keyFile, ...(apiUrl ? { apiUrl } : {}) };
}

function apiOf(app: GitHubAppSettings, target: URL): URL {
  const address = app.apiUrl ?? defaultApi(target);
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return new URL(address.replace(/\/+$/, ''));
  throw new KbError('E_AUTH', `the address of GitHub's API is no URL: ${printable(address)}`, {
    hint: 'set KB_GITHUB_API_URL to an address such as https://host/api/v3',
  });
}

function defaultApi(target: URL): string {
  if (target.host === 'github.com') return 'https://api.github.com';
  return target.hostname.endsWith('.ghe.com') ? `https://api.${target.host}` : `${target.origin}/api/v3`;
}

function usable(known: InstallationToken | undefined): InstallationToken | undefined {
  return known !== undefined && known.expires - CLOCK_SKEW_SECONDS * 1000 > Date.now() ? known : undefined;
}

async function requestToken(app: GitHubAppSettings, api: URL, options: ChainOptions): Promise<InstallationToken> {
  const proof = jsonWebToken(app, options);
  registerSecret(proof);
  const session = new HttpSession(api, undefined, options);
  try {
    const reply = await session.send({
      method: 'POST',
      path: `app/installations/${encodeURIComponent(app.installation)}/access_tokens`,
      headers: {
        Authorization: `Bearer ${proof}`,
        Accept: 'application/vnd.github+json',
        'X-GitHub-Api-Version': '2022-11-28',
      },
      body: () => ({ chunks: [], length: 0 }),
      repeatable: false,
      staysHere: true,
    });
    const chunks: Buffer[] = [];
    let size = 0;
    for (let chunk = await reply.read(); chunk !== undefined; chunk = await reply.read()) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_REPLY_BYTES) throw refusedApp(api, 'an endless reply');
    }
    const said = parse(Buffer.concat(chunks).toString('utf8'));
    if (reply.status !== 201) throw refusedApp(api, `HTTP status ${reply.status}: ${printable(said.message, 200)}`);
    if (said.token === '') throw refusedApp(api, 'a reply without a token');
    registerSecret(said.token);
    return { token: said.token, expires: said.expires };
  } finally {
    session.close();
  }
}

function refusedApp(api: URL, how: string): KbError {
  return new KbError('E_AUTH', `${api.host} answered with ${how}`);
}

function parse(text: string): { token: string; message: string; expires: number } {
  let reply: unknown;
  try {
    reply = JSON.parse(text);
  } catch {
    reply = undefined; // not what was asked for; told by the status
  }
  const field = (name: string): string => {
    const value = (reply as Record<string, unknown> | null | undefined)?.[name];
    return typeof value === 'string' ? value : '';
  };
  const expires = Date.parse(field('expires_at'));
  return { token: field('token'), message: field('message'), expires: Number.isNaN(expires) ? 0 : expires };
}

/** RS256, RFC 7515. @throws KbError E_AUTH when the key cannot be used */
function jsonWebToken(app: GitHubAppSettings, { disk }: ChainOptions): string {
  const now = Math.floor(Date.now() / 1000);
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iat: now - CLOCK_SKEW_SECONDS, exp: now + JWT_SECONDS, iss: app.id };
  const signed = `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}`;
  try {
    const key = createPrivateKey(disk.readFileSync(app.keyFile));
    return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), key).toString('base64url')}`;
  } catch (error) {
    throw new KbError('E_AUTH', `the private key ${printable(app.keyFile)} cannot be used`, { cause: error });
  }
}
