import { join } from 'node:path';
import type { ChainOptions } from './chain.js';
import type { Description } from './helpers.js';

/**
 * What git's own helper `store` would answer, read without it: that program is part of git, and git need not be there.
 * Only read: kb writes no secret into a file.
 * Source: git-credential-store(1), "FILES" and "STORAGE FORMAT"
 * @returns undefined when the helper is another one
 */
export function lookUpStored(helper: string, wanted: Description, options: ChainOptions): string | undefined {
  const [name, ...args] = helper.split(/\s+/);
  if (name !== 'store') return undefined;
  for (const file of filesOf(args, options)) {
    const found = read(file, options)
      .split('\n')
      .map(parse)
      .find((entry) => entry !== undefined && fits(entry, wanted));
    if (found !== undefined) return `username=${found.username}\npassword=${found.password}\n`;
  }
  return '';
}

function filesOf(args: readonly string[], { env, home = '' }: ChainOptions): string[] {
  const named = /--file(?:=|\s+)(\S+)/.exec(args.join(' '))?.[1]?.replace(/^(['"])(.*)\1$/, '$2');
  if (named !== undefined) return [named.replace(/^(~|\$HOME)(?=\/)/, home)];
  const config = env['XDG_CONFIG_HOME'] || join(home, '.config');
  return [join(home, '.git-credentials'), join(config, 'git', 'credentials')];
}

function read(file: string, { disk }: ChainOptions): string {
  try {
    return disk.readFileSync(file, 'utf8');
  } catch {
    return ''; // not there, or not for this user: as git's, the helper just has nothing
  }
}

interface Stored {
  readonly protocol: string;
  readonly host: string;
  readonly path: string;
  readonly username: string;
  readonly password: string;
}

function parse(line: string): Stored | undefined {
  const [, protocol, user, password, host, path = ''] =
    /^([a-z][a-z0-9+.-]*):\/\/([^:@/]*):([^@/]*)@([^/]*)\/?(.*)$/i.exec(line.trim()) ?? [];
  if (protocol === undefined || user === undefined || password === undefined || host === undefined) return undefined;
  return {
    protocol,
    host: decode(host),
    path: decode(path),
    username: decode(user),
    password: decode(password),
  };
}

function fits(entry: Stored, wanted: Description): boolean {
  return (
    entry.protocol === wanted.protocol &&
    entry.host === wanted.host &&
    (wanted.path === undefined || entry.path === wanted.path) &&
    (wanted.username === undefined || entry.username === wanted.username)
  );
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
