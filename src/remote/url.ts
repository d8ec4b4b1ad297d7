import { basename, resolve } from 'node:path';
import { KbError, redact, registerSecret } from '../errors.js';
import { printable } from '../printable.js';
import { parseSshAddress, type SshAddress } from './ssh/address.js';

/** Where a remote is, as the user wrote it, taken apart and checked. */
export interface RemoteUrl {
  readonly kind: 'http' | 'ssh' | 'local';
  /** Without credentials and trailing slash; an ssh address as it was written; or an absolute path. */
  readonly href: string;
  /** From the URL itself; the password may be empty (`https://ann@host/…`). */
  readonly credentials?: { username: string; password: string };
  /** Of kind `ssh`, and of no other. */
  readonly ssh?: SshAddress;
  /** Safe to print. */
  readonly display: string;
  /** What a clone's directory is called when nobody says. */
  readonly suggestedDirectory: string;
}

export interface ParseUrlOptions {
  /** What a relative path is relative to. */
  readonly cwd: string;
  /** Allows credentials in an `http://` URL of a host other than loopback. */
  readonly insecure?: boolean;
}

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i;
const SSH_SCHEMES = new Set(['ssh', 'git+ssh', 'ssh+git']);

/**
 * Reads a remote as git writes them (git-clone(1), "GIT URLS"): `http(s)://`, `ssh://`, `user@host:path`,
 * `file://`, or a path. Only what is listed is let through; a helper (`ext::`) would run a command.
 * @throws KbError E_USAGE for anything else; E_AUTH for a password that would cross a network in the clear
 */
export function parseRemoteUrl(text: string, options: ParseUrlOptions): RemoteUrl {
  refuseUnsafeCharacters(text);
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase();
  if (scheme === 'http' || scheme === 'https') return parseHttp(text, options);
  if (scheme === 'file') return localRemote(filePath(text));
  if (scheme !== undefined && SSH_SCHEMES.has(scheme)) return parseSsh(text);
  if (scheme !== undefined) throw unsupported(text, scheme);
  if (/^[a-z0-9]+::/i.test(text)) throw unsupported(text, text.slice(0, text.indexOf('::')));
  // Git's own rule: a colon before the first slash is host:path.
  if (/^[^/]*:/.test(text)) return parseSsh(text);
  return localRemote(resolve(options.cwd, text));
}

/** 127.0.0.0/8, ::1 and localhost: what is sent there does not leave the machine. */
export function isLoopback(url: URL): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
}

/**
 * Credentials may cross plain http only where nobody can listen, or where the user said so.
 * @throws KbError E_AUTH
 */
export function assertMayCarryCredentials(url: URL, source: string, insecure: boolean): void {
  if (url.protocol === 'https:' || insecure || isLoopback(url)) return;
  throw new KbError(
    'E_AUTH',
    `credentials (from ${source}) would be sent in the clear to ${url.host}; nothing was sent`,
    {
      hint: 'use the https:// address, or allow it with --insecure',
    },
  );
}

// Control characters can end a header or a line of a protocol; a leading "-" can become an option.
function refuseUnsafeCharacters(text: string): void {
  if (text === '') throw new KbError('E_USAGE', 'the remote is empty', { hint: 'name it as a URL or a path' });
  if (text.startsWith('-')) {
    throw new KbError('E_USAGE', `a remote cannot begin with "-": ${shown(text)}`, { hint: 'write a path as ./-name' });
  }
  // eslint-disable-next-line no-control-regex -- control characters are what the rule is about
  if (/[\u0000-\u001f\u007f]/.test(text))
    throw new KbError('E_USAGE', `the remote holds control characters: ${shown(text)}`);
}

function parseHttp(text: string, options: ParseUrlOptions): RemoteUrl {
  if (/[?#]/.test(text)) throw new KbError('E_USAGE', `a remote cannot hold "?" or "#": ${shown(text)}`);
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw new KbError('E_USAGE', `not a valid URL: ${shown(text)}`, {
      cause: error,
      hint: 'for example https://host/owner/name.git',
    });
  }
  if (url.hostname.startsWith('-')) throw new KbError('E_USAGE', `a host cannot begin with "-": ${shown(text)}`);
  if (/%(0[0-9a-f]|1[0-9a-f]|7f)/i.test(url.pathname)) {
    throw new KbError('E_USAGE', `the remote holds control characters: ${shown(text)}`);
  }
  const credentials = userinfo(url);
  if (credentials !== undefined) assertMayCarryCredentials(url, 'the URL', options.insecure ?? false);
  const path = url.pathname.replace(/\/+$/, '');
  const href = `${url.protocol}//${url.host}${path}`;
  return {
    kind: 'http',
    href,
    ...(credentials === undefined ? {} : { credentials }),
    display: printable(href),
    suggestedDirectory: directoryName(decode(path), url.hostname),
  };
}

function userinfo(url: URL): { username: string; password: string } | undefined {
  if (url.username === '' && url.password === '') return undefined;
  const username = decode(url.username);
  const password = decode(url.password);
  // `https://TOKEN@host` is common: without a password the name itself may be the secret.
  for (const secret of url.password === ''
    ? username.length >= 20
      ? [username, url.username]
      : []
    : [password, url.password]) {
    registerSecret(secret);
  }
  return { username, password };
}

function parseSsh(text: string): RemoteUrl {
  const password = /^[^/]*\/\/[^/@]*:([^/@]+)@/.exec(text)?.[1];
  if (password !== undefined) for (const secret of [password, decode(password)]) registerSecret(secret);
  const ssh = parseSshAddress(text);
  if (typeof ssh === 'string') {
    throw new KbError('E_USAGE', `not a remote that ssh could reach: ${shown(text)}: ${ssh}`, {
      hint: 'write ssh://user@host/path or user@host:path; for a path with a colon ./name:part',
    });
  }
  return {
    kind: 'ssh',
    href: text,
    ssh,
    display: printable(text, 1000),
    suggestedDirectory: directoryName(ssh.path, ssh.host),
  };
}

/** `file://[localhost]/path`; percent sequences decoded, as git does. */
function filePath(text: string): string {
  const rest = text.slice('file://'.length);
  const slash = rest.indexOf('/');
  const host = slash < 0 ? rest : rest.slice(0, slash);
  if (slash < 0 || (host !== '' && host.toLowerCase() !== 'localhost')) {
    throw new KbError('E_USAGE', `a file:// remote needs an absolute path on this machine: ${shown(text)}`, {
      hint: 'write file:///path/to/repository',
    });
  }
  const path = decode(rest.slice(slash));
  refuseUnsafeCharacters(path);
  return resolve(path);
}

function localRemote(path: string): RemoteUrl {
  return { kind: 'local', href: path, display: printable(path, 1000), suggestedDirectory: directoryName(path, 'kb') };
}

function directoryName(path: string, fallback: string): string {
  const name = basename(path.replace(/\/+$/, '').replace(/\/\.git$/, ''))
    .replace(/\.git$/i, '')
    // eslint-disable-next-line no-control-regex -- a directory name with control characters helps nobody
    .replace(/[\u0000-\u001f\u007f\s/\\]+/g, '-')
    .replace(/^[-.]+/, '');
  return name === '' ? fallback.replace(/[^a-z0-9.-]/gi, '') || 'kb' : name;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray "%": taken as it stands
  }
}

function unsupported(text: string, scheme: string): KbError {
  return new KbError('E_USAGE', `${printable(scheme, 40)} remotes are not supported: ${shown(text)}`, {
    hint: 'use https://, http://, ssh://, user@host:path, file:// or a path',
  });
}

/** The text as an error may show it: whatever stands before an "@" could be a password. */
function shown(text: string): string {
  const hidden = text
    .replace(/^((?!git\+ssh:|ssh)[a-z][a-z0-9+.-]*:\/\/).*@/i, '$1***@')
    .replace(/^((?:git\+)?ssh(?:\+git)?:\/\/[^:@]*):.*@/i, '$1:***@')
    .replace(/^([^/:@]*):(?!\/\/).*@/, '$1:***@');
  return JSON.stringify(printable(redact(hidden), 200));
}
