import { KbError, registerSecret } from '../../errors.js';
import type { HttpSettings } from '../settings.js';

/** What the user has set for one http(s) address, beyond credentials. */
export interface Preferences {
  /** `http.extraHeader`; a name may come several times. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** An `Authorization` among them: it belongs to the first origin, as other credentials do. */
  readonly authorization?: string;
  /** `http.followRedirects`. */
  readonly redirects: 'never' | 'initial' | 'always';
  /** `http.userAgent`. */
  readonly userAgent?: string;
  /** Milliseconds without a byte, from `http.lowSpeedLimit` and `http.lowSpeedTime`. */
  readonly idleMs?: number;
}

/** Source: git-config(1), "http.*"; git(1), "ENVIRONMENT VARIABLES". @throws KbError E_USAGE */
export function readPreferences(url: string, settings: HttpSettings, env: NodeJS.ProcessEnv): Preferences {
  const last = (key: string): string | undefined => settings.http(key, url).at(-1);
  const headers = readHeaders(settings.http('extraheader', url));
  const authorization = headers.find(([name]) => name.toLowerCase() === 'authorization')?.[1];
  const userAgent = env['GIT_HTTP_USER_AGENT'] || last('useragent');
  const idleMs = idleTime(
    env['GIT_HTTP_LOW_SPEED_LIMIT'] ?? last('lowspeedlimit'),
    env['GIT_HTTP_LOW_SPEED_TIME'] ?? last('lowspeedtime'),
  );
  return {
    headers: headers.filter(([name]) => name.toLowerCase() !== 'authorization'),
    ...(authorization === undefined ? {} : { authorization }),
    redirects: redirectsOf(last('followredirects')),
    ...(userAgent ? { userAgent } : {}),
    ...(idleMs === undefined ? {} : { idleMs }),
  };
}

/** `Name: value` each; an empty one takes back all before it. Their values may be secrets: none is ever printed. */
function readHeaders(lines: readonly string[]): [string, string][] {
  const headers: [string, string][] = [];
  for (const line of lines) {
    if (line === '') {
      headers.length = 0;
      continue;
    }
    const [, name, value = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*(.*?)\s*$/.exec(line) ?? [];
    // eslint-disable-next-line no-control-regex -- a control character would end the header or begin another
    if (name === undefined || /[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/.test(value)) {
      throw new KbError('E_USAGE', 'http.extraHeader of the git configuration holds what is no header', {
        hint: 'write it as "Name: value"; see: git config --show-origin --get-all http.extraHeader',
      });
    }
    // How much is sent and how it is cut is for kb to say.
    if (/^(content-length|transfer-encoding|connection)$/i.test(name)) continue;
    registerSecret(value);
    for (const word of value.split(/\s+/)) if (word.length >= 8) registerSecret(word);
    registerPassword(value);
    headers.push([name, value]);
  }
  return headers;
}

/** A server that decodes `Authorization: Basic …` and says it back must not get the password printed (RFC 7617). */
function registerPassword(value: string): void {
  const [, encoded] = /^basic\s+([A-Za-z0-9+/=_-]+)$/i.exec(value) ?? [];
  const [, password = ''] = /^[^:]*:(.+)$/s.exec(Buffer.from(encoded ?? '', 'base64').toString()) ?? [];
  if (password !== '') registerSecret(password);
}

function redirectsOf(value: string | undefined): Preferences['redirects'] {
  if (value === undefined || value.toLowerCase() === 'initial') return 'initial';
  if (/^(true|yes|on|1)$/i.test(value)) return 'always';
  if (/^(false|no|off|0|)$/i.test(value)) return 'never';
  throw new KbError('E_USAGE', 'http.followRedirects of the git configuration is neither initial nor a boolean');
}

/** Git gives up below so many bytes a second for so many seconds; kb's measure is silence for as long. */
function idleTime(limit: string | undefined, seconds: string | undefined): number | undefined {
  const [bytes, time] = [Number(limit ?? 0), Number(seconds ?? 0)];
  return bytes > 0 && time > 0 && Number.isFinite(time) ? time * 1000 : undefined;
}
