import { KbError, registerSecret } from '../../errors.js';
import { printable } from '../../printable.js';
import type { HttpSettings } from '../settings.js';
import { bypassesProxy } from './no-proxy.js';

/** The proxy for an address. */
export interface Proxy {
  readonly protocol: 'http:' | 'https:';
  readonly hostname: string;
  readonly port: string;
  /** `Proxy-Authorization`. */
  readonly authorization?: string;
  /** Safe to print. */
  readonly display: string;
  /** Where it is set. */
  readonly source: string;
}

/**
 * Which proxy git would take: `remote.<name>.proxy`, then `http.proxy` by URL, then the environment by scheme; an empty
 * one means none. `HTTP_PROXY` in capitals is not read where a web server may have set it from a request's header.
 * Source: git-config(1), "http.proxy"; http.c of git; curl(1), "ENVIRONMENT"
 * @throws KbError E_USAGE for a kind of proxy that kb does not speak
 */
export function chooseProxy(url: URL, settings: HttpSettings | undefined, env: NodeJS.ProcessEnv): Proxy | undefined {
  const [value, source] = configured(url, settings, env);
  if (value === undefined || value === '') return undefined;
  const noProxy = env['no_proxy'] ?? env['NO_PROXY'] ?? '';
  return bypassesProxy(noProxy, url) ? undefined : parseProxy(value, source);
}

function configured(
  url: URL,
  settings: HttpSettings | undefined,
  env: NodeJS.ProcessEnv,
): readonly [value: string | undefined, source: string] {
  if (settings?.remoteProxy !== undefined) return [settings.remoteProxy, 'remote.<name>.proxy'];
  const byUrl = settings?.http('proxy', url.href).at(-1);
  if (byUrl !== undefined) return [byUrl, 'http.proxy'];
  const isCgi = env['REQUEST_METHOD'] !== undefined;
  const names =
    url.protocol === 'https:' ? ['https_proxy', 'HTTPS_PROXY'] : ['http_proxy', ...(isCgi ? [] : ['HTTP_PROXY'])];
  const name = [...names, 'all_proxy', 'ALL_PROXY'].find((one) => env[one] !== undefined);
  return name === undefined ? [undefined, ''] : [env[name], name];
}

/** curl's and so git's, for a proxy without one. */
const DEFAULT_PORT = '1080';

function parseProxy(value: string, source: string): Proxy {
  const [, scheme = 'http', userinfo, host = '', port] =
    /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:(.*)@)?(\[[0-9a-f:.]+\]|[^:/@?#]+)(?::(\d+))?\/?$/i.exec(value.trim()) ?? [];
  const protocol = `${scheme.toLowerCase()}:`;
  if (userinfo !== undefined) registerSecret(userinfo);
  if (host === '' || (protocol !== 'http:' && protocol !== 'https:')) {
    const what = host === '' ? 'no address of a proxy' : `a ${printable(scheme, 20)} proxy, which kb does not speak`;
    throw new KbError('E_USAGE', `${source} holds ${what}`, {
      hint: 'set it to http://host:port or https://host:port, or name this host in NO_PROXY',
    });
  }
  const usedPort = port ?? (protocol === 'https:' ? '443' : DEFAULT_PORT);
  return {
    protocol,
    hostname: host.replace(/^\[|\]$/g, ''),
    port: usedPort,
    ...(userinfo === undefined ? {} : { authorization: authorizationOf(userinfo) }),
    display: `${protocol}//${host}:${usedPort}`,
    source,
  };
}

function authorizationOf(userinfo: string): string {
  const colon = userinfo.indexOf(':');
  const [user, password] = colon < 0 ? [userinfo, ''] : [userinfo.slice(0, colon), userinfo.slice(colon + 1)];
  const encoded = Buffer.from(`${decode(user)}:${decode(password)}`).toString('base64');
  for (const secret of [decode(password), encoded]) registerSecret(secret);
  return `Basic ${encoded}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray "%": taken as it stands
  }
}
