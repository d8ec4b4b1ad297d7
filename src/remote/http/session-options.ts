import type { Agent, ClientRequest, RequestOptions } from 'node:http';
import type { RemoteOptions } from '../open.js';
import type { HttpSettings } from '../settings.js';
import type { Preferences } from './preferences.js';
import type { Proxy } from './proxy.js';

/** As for every remote, with the user's settings read. */
export interface SessionOptions extends Omit<RemoteOptions, 'settings'> {
  /** undefined: the user has set nothing that concerns http(s). */
  readonly settings?: HttpSettings | undefined;
}

/** What a session sends as `Authorization`, and what it hears about it. */
export interface Authenticator {
  authorization(): Promise<string | undefined>;
  /** @param challenges values of `WWW-Authenticate`. @returns whether there is something else to send */
  refused(challenges: readonly string[]): Promise<boolean>;
  accepted(): Promise<void>;
}

/** Where nobody has set anything. */
export const DEFAULT_PREFERENCES: Preferences = { headers: [], redirects: 'initial' };

/** How requests to one origin are sent. */
export interface Transport {
  readonly agent: Agent;
  readonly request: (options: RequestOptions) => ClientRequest;
  readonly proxy?: Proxy;
}

/** Variables that say how to reach a host, git's and those of all programs. */
const WAYS = { 'http:': /^(https?_proxy|all_proxy)$/i, 'https:': /^(https?_proxy|all_proxy|GIT_SSL_\w+)$/i };

/** Nobody has said how to reach this host: node's own connections will do. */
export function isPlain({ protocol }: URL, { settings, env }: SessionOptions): boolean {
  const ways = protocol === 'http:' ? WAYS[protocol] : WAYS['https:'];
  return settings === undefined && !Object.keys(env).some((name) => ways.test(name));
}
