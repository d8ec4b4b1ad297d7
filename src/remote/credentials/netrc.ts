import { join } from 'node:path';
import type { Disk } from '../../disk/disk.js';
import type { RemoteUrl } from '../url.js';
import type { ChainOptions } from './chain.js';
import type { Login, Source } from './source.js';

/** `~/.netrc` (on Windows `~/_netrc`), or the file that NETRC names, as curl and so git use it. Source: netrc(5). */
export function netrcSource(url: RemoteUrl, options: ChainOptions): Source {
  return {
    name: '~/.netrc',
    find: () => {
      const login = lookUp(read(options), new URL(url.href).hostname, url.credentials?.username);
      return Promise.resolve(login === undefined ? undefined : { login });
    },
  };
}

function read({ disk, env, home = '' }: ChainOptions): string {
  const named = env['NETRC'] ?? '';
  const files = named === '' ? [join(home, '.netrc'), join(home, '_netrc')] : [named];
  for (const file of files) {
    const text = readFile(disk, file);
    if (text !== undefined) return text;
  }
  return '';
}

function readFile(disk: Disk, file: string): string | undefined {
  try {
    return disk.readFileSync(file, 'utf8');
  } catch {
    return undefined; // not there, or not for this user
  }
}

/** @param wantedLogin from the URL: another user's entry does not fit then */
export function lookUp(text: string, host: string, wantedLogin: string | undefined): Login | undefined {
  let isOurs = false;
  let login: string | undefined;
  let password: string | undefined;
  const found = (): Login | undefined => {
    if (!isOurs || password === undefined) return undefined;
    const username = login ?? wantedLogin ?? '';
    return wantedLogin === undefined || wantedLogin === username ? { username, password } : undefined;
  };
  const words = tokens(text);
  for (let word = words.next(); word.done !== true; word = words.next()) {
    if (word.value === 'machine' || word.value === 'default') {
      const before = found();
      if (before !== undefined) return before;
      [login, password] = [undefined, undefined];
      isOurs = word.value === 'default' || String(words.next().value ?? '').toLowerCase() === host;
    } else if (word.value === 'login') login = valueOf(words);
    else if (word.value === 'password') password = valueOf(words);
    else if (word.value === 'account') valueOf(words);
  }
  return found();
}

function valueOf(words: Iterator<string>): string {
  return String(words.next().value ?? '');
}

/** Words, `"quoted ones"` among them, without comments and macros (`macdef` up to an empty line). */
function* tokens(text: string): Generator<string> {
  const plain = text.replace(/^\s*macdef\b[\s\S]*?(\n[ \t]*\r?\n|$)/gm, '').replace(/^\s*#.*$/gm, '');
  for (const [, quoted, word] of plain.matchAll(/"((?:\\.|[^"\\])*)"|(\S+)/g))
    yield quoted === undefined ? (word ?? '') : quoted.replace(/\\(.)/g, '$1');
}
