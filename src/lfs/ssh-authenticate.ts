import type { RemoteOptions } from '../remote/open.js';
import type { SshAddress } from '../remote/ssh/address.js';
import { askOverSsh } from '../remote/ssh/ask-program.js';
import { isLoopback, parseRemoteUrl, type RemoteUrl } from '../remote/url.js';
import { harmlessTarget, readHeaders } from './batch.js';
import type { LfsOperation } from './endpoint.js';

/** Where the large files of an ssh remote are, and what to send along. */
export interface Granted {
  readonly endpoint: RemoteUrl;
  readonly headers: Readonly<Record<string, string>>;
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
  options: RemoteOptions,
): Promise<Granted> {
  const call = { service: 'git-lfs-authenticate', argument: operation } as const;
  const { href, header } = await askOverSsh(url, address, call, options, readAnswer);
  const target = harmlessTarget(new URL(href), originFor(new URL(href), address));
  return { endpoint: parseRemoteUrl(target.href, { cwd: '/', insecure: true }), headers: readHeaders(header) };
}

function readAnswer(text: string): { href: string; header: unknown } | undefined {
  try {
    const { href, header } = JSON.parse(text) as { href?: unknown; header?: unknown };
    return typeof href === 'string' && URL.canParse(href) ? { href, header } : undefined;
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
