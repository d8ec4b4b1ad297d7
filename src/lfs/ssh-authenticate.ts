import { KbError } from '../errors.js';
import type { RemoteOptions } from '../remote/open.js';
import type { SshAddress } from '../remote/ssh/address.js';
import { askOverSsh } from '../remote/ssh/ask-program.js';
import { isLoopback, parseRemoteUrl, type RemoteUrl } from '../remote/url.js';
import { harmlessTarget, readExpiry, readHeaders } from './batch.js';
import type { LfsOperation } from './endpoint.js';

/** Where the large files of an ssh remote are, and what to send along. */
export interface Granted {
  readonly endpoint: RemoteUrl;
  readonly headers: Readonly<Record<string, string>>;
  /** Wall clock, milliseconds since 1970, after which the headers are good no more; undefined: for ever. */
  readonly expiresAt: number | undefined;
}

/** Headers that are good for less than this are asked for anew, ms. */
const SOON_MS = 5_000;

/**
 * The headers for one question after the other: many large files take longer than hosts let them be good (minutes).
 * @param ask asks again
 * @param wall wall clock, milliseconds since 1970
 */
export function renewedHeaders(
  first: Granted,
  ask: () => Promise<Granted>,
  wall: () => number,
): () => Promise<Granted['headers']> {
  let granted = first;
  return async () => {
    if (granted.expiresAt === undefined || granted.expiresAt >= wall() + SOON_MS) return granted.headers;
    granted = await ask();
    // Headers for one address are a secret from another.
    if (granted.endpoint.href !== first.endpoint.href)
      throw new KbError(
        'E_NETWORK',
        `the large files are not at ${first.endpoint.display} any more, says the ssh server`,
      );
    return granted.headers;
  };
}

/**
 * Asks the server of an ssh remote where its large files are: `ssh HOST git-lfs-authenticate PATH OPERATION`.
 * Source: git-lfs, docs/api/server-discovery.md, "SSH"; docs/api/authentication.md, "SSH".
 * @throws KbError E_NETWORK, E_AUTH, E_USAGE, the abort reason
 */
export async function authenticateOverSsh(
  url: RemoteUrl,
  address: SshAddress,
  operation: LfsOperation,
  options: RemoteOptions & { readonly wall: () => number },
): Promise<Granted> {
  const call = { service: 'git-lfs-authenticate', argument: operation } as const;
  const { href, header, ...times } = await askOverSsh(url, address, call, options, readAnswer);
  const target = harmlessTarget(new URL(href), originFor(new URL(href), address));
  return {
    endpoint: parseRemoteUrl(target.href, { cwd: '/', insecure: true }),
    headers: readHeaders(header),
    expiresAt: readExpiry(times, options.wall()),
  };
}

interface SshAnswer {
  readonly href: string;
  readonly header?: unknown;
  readonly expires_in?: unknown;
  readonly expires_at?: unknown;
}

function readAnswer(text: string): SshAnswer | undefined {
  try {
    const answer = JSON.parse(text) as Partial<SshAnswer>;
    const { href } = answer;
    return typeof href === 'string' && URL.canParse(href) ? { ...answer, href } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What came over ssh came encrypted, and must not lead to less. Only a server on this machine may name this machine, and
 * there nothing is sent that others could read.
 */
function originFor(target: URL, { host }: SshAddress): URL {
  const name = host.includes(':') ? `[${host}]` : host;
  const own = URL.canParse(`http://${name}`) ? new URL(`http://${name}`) : undefined;
  return own !== undefined && isLoopback(own) && isLoopback(target) ? own : new URL('https://ssh.invalid');
}
