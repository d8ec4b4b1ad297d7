import { isAbsolute } from 'node:path';
import { KbError } from '../../errors.js';
import type { RemoteUrl } from '../url.js';
import type { ChainOptions } from './chain.js';
import { runOptions, runProgram } from './run-program.js';
import { findProgram } from './find-program.js';
import type { Found, Login, Nothing, Source } from './source.js';
import { lookUpStored } from './store-file.js';

/** How long a helper may take, ms: it may ask somebody to unlock a key ring. */
const HELPER_MS = 60_000;

/** What the helpers are told and what they answer. Source: git-credential(1), "INPUT/OUTPUT FORMAT". */
export interface Description {
  readonly protocol: string;
  readonly host: string;
  readonly path?: string;
  username?: string;
  password?: string;
  /** Seconds since 1970. */
  password_expiry_utc?: string;
  oauth_refresh_token?: string;
}

/** The user's credential helpers, also for what a person has typed: git stores that with them. */
export interface Helpers {
  readonly source: Source;
  readonly username: string | undefined;
  store(login: Login): Promise<void>;
  erase(login: Login): Promise<void>;
}

/**
 * `credential.helper` of git's configuration, each asked in turn as git asks them; git itself is not needed.
 * Source: gitcredentials(7), "CUSTOM HELPERS"; credential.c of git.
 */
export function helperSource(url: RemoteUrl, options: ChainOptions): Helpers {
  const { settings } = options;
  const values = (key: string): readonly string[] => settings?.credential(key, url.href) ?? [];
  const names = inEffect(values('helper'));
  const username = url.credentials?.username || values('username').at(-1);
  const asked = describe(url, username, values('usehttppath').at(-1));
  const tell = async (operation: 'store' | 'erase', login: Login, more: Partial<Description> = {}): Promise<void> => {
    const input = format({ ...asked, ...more, ...login });
    for (const name of names) await runHelper(name, operation, input, options);
  };
  const source: Source = {
    name: names.length === 0 ? 'credential.helper' : `credential.helper ${names.map(shown).join(', ')}`,
    find: async (challenges): Promise<Found | Nothing | undefined> => {
      if (names.length === 0) return undefined;
      const known: Description = { ...asked };
      const failures: string[] = [];
      for (const name of names) {
        const { answer, failure } = await askHelper(name, known, challenges, options);
        if (failure !== undefined) failures.push(`${shown(name)} ${failure}`);
        const ends = take(known, answer);
        if (known.username !== undefined && known.password !== undefined) break;
        if (ends) throw new KbError('E_AUTH', `credential helper ${shown(name)} told kb to stop looking`);
      }
      const { username: user, password, ...rest } = known;
      if (user === undefined || password === undefined)
        return { nothing: failures.length === 0 ? 'nothing for this host' : failures.join('; ') };
      const login = { username: user, password };
      return {
        login,
        accepted: () => tell('store', login, rest),
        refused: () => tell('erase', login, rest),
      };
    },
  };
  return {
    source,
    username,
    store: (login) => tell('store', login),
    erase: (login) => tell('erase', login),
  };
}

/** An empty value takes back all before it, as in git. */
function inEffect(values: readonly string[]): string[] {
  const names: string[] = [];
  for (const value of values) {
    if (value === '') names.length = 0;
    else names.push(value);
  }
  return names;
}

function describe(url: RemoteUrl, username: string | undefined, usePath: string | undefined): Description {
  const { protocol, host, pathname } = new URL(url.href);
  const withPath = usePath !== undefined && /^(true|yes|on|[1-9]\d*)$/i.test(usePath);
  return {
    protocol: protocol.slice(0, -1),
    host,
    ...(withPath ? { path: decodeURIComponent(pathname.slice(1)) } : {}),
    ...(username === undefined ? {} : { username }),
  };
}

interface Answer {
  readonly answer: string;
  readonly failure?: string;
}

async function askHelper(
  name: string,
  known: Description,
  challenges: readonly string[],
  options: ChainOptions,
): Promise<Answer> {
  const stored = lookUpStored(name, known, options);
  if (stored !== undefined) return { answer: stored };
  const offers = challenges.map((challenge) => `wwwauth[]=${oneLine(challenge)}\n`).join('');
  return runHelper(name, 'get', format(known) + offers, options);
}

async function runHelper(name: string, operation: string, input: string, options: ChainOptions): Promise<Answer> {
  // Git's own store is read natively; kb writes no secret into a file.
  if (/^store(\s|$)/.test(name)) return { answer: '' };
  const command = shellCommand(name, options);
  if (command === undefined) return { answer: '', failure: 'was not found' };
  const { stdout, failure } = await runProgram({
    program: 'sh',
    args: ['-c', `${command} ${operation}`],
    input,
    timeoutMs: HELPER_MS,
    ...runOptions(options),
    env: {
      ...options.env,
      ...(options.ask === undefined ? { GIT_TERMINAL_PROMPT: '0', GCM_INTERACTIVE: 'never' } : {}),
    },
  });
  return failure === undefined ? { answer: stdout } : { answer: '', failure };
}

/**
 * What the shell is given: `!` a snippet, an absolute path as it stands, else the program `git-credential-NAME`, with
 * arguments. @returns undefined when there is no such program
 */
function shellCommand(name: string, options: ChainOptions): string | undefined {
  if (name.startsWith('!')) return name.slice(1);
  if (isAbsolute(name)) return name;
  const [program = ''] = name.split(/\s/, 1);
  const path = findProgram(`git-credential-${program}`, options);
  return path === undefined ? undefined : `'${path.replaceAll("'", "'\\''")}'${name.slice(program.length)}`;
}

function format(description: Description): string {
  const lines = Object.entries(description).filter(([, value]) => value !== undefined) as [string, string][];
  // A line break in a value would become another line: the host of another secret, say (CVE-2020-5260).
  if (lines.some(([, value]) => /[\r\n\0]/.test(value)))
    throw new KbError('E_AUTH', 'the remote or its user name holds a line break: no credential helper is asked for it');
  return lines.map(([key, value]) => `${key}=${value}\n`).join('');
}

function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what the rule is about
  return text.replace(/[\u0000-\u001f\u007f]+/g, ' ');
}

/** Takes over what a helper said. @returns whether it said that no other is to be asked */
function take(known: Description, answer: string): boolean {
  let ends = false;
  for (const line of answer.split(/\r?\n/)) {
    const [, key, value = ''] = /^([^=]+)=(.*)$/.exec(line) ?? [];
    if (key === 'username' || key === 'password' || key === 'password_expiry_utc' || key === 'oauth_refresh_token')
      known[key] = value;
    if (key === 'quit') ends = /^(1|true|yes|on)$/i.test(value);
  }
  // A password that is over its time is none: the next helper may have a fresh one.
  if (Number(known.password_expiry_utc ?? Infinity) * 1000 < Date.now()) {
    delete known.password;
    delete known.password_expiry_utc;
  }
  return ends;
}

/** A snippet may hold anything; of it only that it is one is told. */
function shown(name: string): string {
  if (name.startsWith('!')) return '!…';
  return (name.split(/\s/, 1)[0] ?? '').slice(0, 60);
}
