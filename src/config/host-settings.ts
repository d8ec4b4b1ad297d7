import { homedir } from 'node:os';
import { dirname, isAbsolute, resolve } from 'node:path';
import { KbError } from '../errors.js';
import { homePath } from './locations.js';
import type { YamlValue } from './yaml-file.js';

/** What the user has said about one host, under `hosts` in the user's `config.yaml`. */
export interface HostEntry {
  readonly kind?: 'github' | 'gitlab' | 'gitea' | 'bitbucket';
  readonly username?: string;
  readonly tokenEnv?: string;
  readonly tokenFile?: string;
  readonly tokenCommand?: readonly string[];
  readonly app?: {
    readonly id: string;
    readonly installation: string;
    readonly keyFile: string;
    readonly apiUrl?: string;
  };
}

const KINDS = ['github', 'gitlab', 'gitea', 'bitbucket'] as const;
const KEYS = ['kind', 'username', 'tokenEnv', 'tokenFile', 'tokenCommand', 'githubApp'];
const APP_KEYS = ['id', 'installation', 'privateKeyFile', 'apiUrl'];

/**
 * Reads the group `hosts`. It names where tokens are, never a token: files are copied, shared and backed up. Only the
 * user's own file has it; a KB comes from others and can name neither a place of secrets nor a command.
 * @param file where it stands; relative paths in it count from there, `~/` from the home directory
 * @throws KbError E_USAGE naming file, line and key
 */
export function readHosts({ value, line }: YamlValue, file: string, home: string): ReadonlyMap<string, HostEntry> {
  const refuse = (key: string, what: string): never => {
    throw new KbError('E_USAGE', `${file}:${line}: ${key} ${what}`, {
      hint: 'see the form of it with: kb help auth',
      details: { file, line },
    });
  };
  const group = (raw: unknown, key: string): [string, unknown][] =>
    raw !== null && typeof raw === 'object' && !Array.isArray(raw)
      ? Object.entries(raw)
      : refuse(key, 'must be a group of keys');
  const text = (raw: unknown, key: string): string => {
    const written = typeof raw === 'number' ? String(raw) : raw;
    // eslint-disable-next-line no-control-regex -- control characters are what the rule is about
    if (typeof written !== 'string' || written === '' || /[\0-\x1f\x7f]/.test(written))
      return refuse(key, 'must be text on one line');
    return written;
  };
  const path = (raw: unknown, key: string): string => {
    const written = homePath(text(raw, key), home || homedir());
    return isAbsolute(written) ? written : resolve(dirname(file), written);
  };
  const words = (raw: unknown, key: string): readonly string[] =>
    Array.isArray(raw) && raw.length > 0
      ? raw.map((word) => text(word, key))
      : refuse(key, 'must be a list: the program, then each argument; no shell is involved');
  const known = (key: string, name: string, allowed: readonly string[]): void => {
    if (allowed.includes(name)) return;
    if (/token|password|secret/i.test(name))
      refuse(key, 'is not allowed: name where the secret is, with tokenEnv, tokenFile or tokenCommand');
    refuse(key, `is not known; known are ${allowed.join(', ')}`);
  };
  const app = (raw: unknown, key: string): NonNullable<HostEntry['app']> => {
    const given = new Map(group(raw, key));
    for (const name of given.keys()) known(`${key}.${name}`, name, APP_KEYS);
    return {
      id: text(given.get('id'), `${key}.id`),
      installation: text(given.get('installation'), `${key}.installation`),
      keyFile: path(given.get('privateKeyFile'), `${key}.privateKeyFile`),
      ...(given.has('apiUrl') ? { apiUrl: text(given.get('apiUrl'), `${key}.apiUrl`) } : {}),
    };
  };
  const entry = (raw: unknown, key: string): HostEntry => {
    const given = new Map(group(raw, key));
    for (const name of given.keys()) known(`${key}.${name}`, name, KEYS);
    const read = <Value>(name: string, reader: (raw: unknown, key: string) => Value): Value | undefined =>
      given.has(name) ? reader(given.get(name), `${key}.${name}`) : undefined;
    const kind = read('kind', text);
    const isKind = (one: string): one is (typeof KINDS)[number] => (KINDS as readonly string[]).includes(one);
    if (kind !== undefined && !isKind(kind)) return refuse(`${key}.kind`, `must be one of ${KINDS.join(', ')}`);
    const found = {
      kind,
      username: read('username', text),
      tokenEnv: read('tokenEnv', text),
      tokenFile: read('tokenFile', path),
      tokenCommand: read('tokenCommand', words),
      app: read('githubApp', app),
    };
    return Object.fromEntries(Object.entries(found).filter(([, one]) => one !== undefined));
  };
  const hosts = new Map<string, HostEntry>();
  for (const [host, raw] of group(value, 'hosts')) {
    if (!/^(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:\d+)?$/i.test(host))
      refuse(`hosts.${JSON.stringify(host)}`, 'is no host: write name or name:port');
    hosts.set(host.toLowerCase(), entry(raw, `hosts.${host}`));
  }
  return hosts;
}
