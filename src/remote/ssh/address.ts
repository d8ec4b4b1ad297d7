/** A repository that ssh leads to, taken apart. */
export interface SshAddress {
  /** undefined: the one in the user's own ssh configuration, else the user's name here */
  readonly user?: string;
  /** A name, an address (IPv6 without brackets), or an alias of the user's own ssh configuration. */
  readonly host: string;
  readonly port?: number;
  /** As the server is to hear it: `/srv/kb.git`, `~ann/kb.git`, or relative to the account's home. */
  readonly path: string;
}

/**
 * Reads both forms in which git writes such a remote (git-clone(1), "GIT URLS"): `ssh://[user@]host[:port]/path`, where
 * percent sequences are decoded and `/~` means the home of an account, and `[user@]host:path`, which is taken as it
 * stands but for brackets around a host with colons (`[::1]:path`, `[host:2222]:path`).
 *
 * Invariant: nothing of an address can be taken for an option or a line of its own, by ssh or by the server's shell.
 * (Broken by: test/unit/remote/ssh/address.test.ts)
 * @returns what is wrong with it, as the end of a sentence, where it is no such address
 */
export function parseSshAddress(text: string): SshAddress | string {
  const url = /^[a-z+]+:\/\/([^/]*)(.*)$/i.exec(text);
  const parts = url === null ? parseShort(text) : parseUrl(url[1] ?? '', url[2] ?? '');
  if (typeof parts === 'string') return parts;
  return problemOf(parts) ?? parts;
}

/** As `ssh` takes it as its destination. */
export function destinationOf({ user, host }: SshAddress): string {
  return user === undefined ? host : `${user}@${host}`;
}

function parseUrl(authority: string, rest: string): SshAddress | string {
  const at = authority.lastIndexOf('@');
  const user = at < 0 ? undefined : decode(authority.slice(0, at));
  const place = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?$/.exec(authority.slice(at + 1));
  if (place === null) return 'it needs a host, and a port only behind a colon';
  const [, bracketed, plain, port] = place;
  const path = decode(rest);
  return address(user, bracketed ?? decode(plain ?? ''), port, path.startsWith('/~') ? path.slice(1) : path);
}

function parseShort(text: string): SshAddress | string {
  const place = /^(?:([^/[\]]*)@)?(?:\[([^\]/]*)\]|([^:/[\]]*)):(.*)$/s.exec(text);
  if (place === null) return 'it is neither ssh://host/path nor host:path';
  const [, user, bracketed, plain, path] = place;
  // In brackets: an IPv6 address, or a host with a port.
  const withPort = bracketed === undefined ? null : /^(?:(.*)@)?([^:]*):(\d+)$/.exec(bracketed);
  if (withPort === null) return address(user, bracketed ?? plain ?? '', undefined, path ?? '');
  return address(user ?? withPort[1], withPort[2] ?? '', withPort[3], path ?? '');
}

function address(user: string | undefined, host: string, port: string | undefined, path: string): SshAddress | string {
  const number = port === undefined || port === '' ? undefined : Number(port);
  if (number !== undefined && (number < 1 || number > 65_535)) return `${port} is no port`;
  return {
    ...(user === undefined ? {} : { user }),
    host,
    ...(number === undefined ? {} : { port: number }),
    path,
  };
}

function problemOf({ user, host, path }: SshAddress): string | undefined {
  if (user?.includes(':') === true) return 'ssh takes no password from an address';
  // Both can end up in a command of the user's own configuration (ProxyCommand with %r and %h): what newer ssh refuses.
  if (user !== undefined && !/^[^\s'"`;&<>|(){}$\\-][^\s'"`;&<>|(){}$\\]*$/.test(user)) return 'that is no user name';
  if (!/^[\p{L}\p{N}_.:%+][\p{L}\p{N}_.:%+-]*$/u.test(host)) return 'that is no host name';
  if (path === '' || path === '/') return 'it names no repository on the host';
  if (path.startsWith('-')) return 'a path cannot begin with "-"';
  // eslint-disable-next-line no-control-regex -- control characters are what the rule is about
  if (/[\u0000-\u001f\u007f]/.test(`${user ?? ''}${host}${path}`)) return 'it holds control characters';
  return undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray "%": taken as it stands
  }
}
