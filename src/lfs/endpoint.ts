import { KbError } from '../errors.js';
import { isLoopback, parseRemoteUrl, type RemoteUrl } from '../remote/url.js';

/** Values of git's configuration, the last of each key. */
export interface LfsConfig {
  get(key: string): string | undefined;
}

export type LfsOperation = 'download' | 'upload';

/** Where the large files of a repository are. */
export interface Endpoint {
  readonly url: RemoteUrl;
  /** The setting that names it; undefined: it follows from the remote's address. */
  readonly source: string | undefined;
  /** The repository itself names it, in `.lfsconfig`: what everybody who may write there could set. */
  readonly isFromRepository: boolean;
}

export interface EndpointQuestion {
  readonly operation: LfsOperation;
  readonly remoteName: string;
  /** The git remote for this operation. */
  readonly remote: RemoteUrl;
  /** The user's, that of the repository's `.git` included. */
  readonly config: LfsConfig;
  /** `.lfsconfig`; undefined: there is none. */
  readonly repository: LfsConfig | undefined;
  /** The user's `url.<base>.insteadOf`. */
  readonly insteadOf: (url: string) => string;
  /** What a relative path is relative to. */
  readonly cwd: string;
  readonly insecure: boolean;
}

/**
 * Finds the LFS server: `lfs.pushurl` (uploads), `lfs.url`, `remote.NAME.lfspushurl`, `remote.NAME.lfsurl`, else what
 * follows from the remote. The user's configuration goes before the repository's `.lfsconfig`, of which only these keys
 * are heard.
 * Sources: git-lfs, docs/api/server-discovery.md; git-lfs-config(5), "LFSCONFIG".
 * @throws KbError E_USAGE, E_AUTH as parseRemoteUrl; E_UNSAFE_STATE where `.lfsconfig` names an address that a
 *   repository must not choose
 */
export function findEndpoint(question: EndpointQuestion): Endpoint {
  const { operation, remoteName, remote, config, repository, insteadOf, cwd, insecure } = question;
  const keys = [
    ...(operation === 'upload' ? ['lfs.pushurl'] : []),
    'lfs.url',
    ...(operation === 'upload' ? [`remote.${remoteName}.lfspushurl`] : []),
    `remote.${remoteName}.lfsurl`,
  ];
  for (const isFromRepository of [false, true]) {
    const values = isFromRepository ? repository : config;
    for (const key of keys) {
      const value = values?.get(key);
      if (value === undefined || value === '') continue;
      const url = parseRemoteUrl(insteadOf(value), { cwd, insecure });
      if (isFromRepository) requireHarmless(url, key, remote);
      return { url, source: isFromRepository ? `${key} of .lfsconfig` : key, isFromRepository };
    }
  }
  return { url: beside(remote), source: undefined, isFromRepository: false };
}

/** `https://host/owner/name.git/info/lfs` for http(s); other kinds have no address of their own. */
function beside(remote: RemoteUrl): RemoteUrl {
  if (remote.kind !== 'http') return remote;
  const add = (text: string): string => `${text.endsWith('.git') ? text : `${text}.git`}/info/lfs`;
  return { ...remote, href: add(remote.href), display: add(remote.display) };
}

/**
 * Invariant: a repository can send its large files to another host, but neither in the clear, nor to a service of this
 * machine, nor into a folder of it. (test: "an address that a repository must not choose")
 */
function requireHarmless(url: RemoteUrl, key: string, remote: RemoteUrl): void {
  const refuse = (why: string): never => {
    throw new KbError('E_UNSAFE_STATE', `.lfsconfig of this repository sets ${key} to ${url.display}: ${why}`, {
      hint: `if you trust it, set it yourself: git config ${key} ADDRESS`,
      details: { key },
    });
  };
  if (url.kind !== 'http') return refuse('only https addresses are taken from a repository');
  const [target, own] = [new URL(url.href), remote.kind === 'http' ? new URL(remote.href) : undefined];
  if (own?.origin === target.origin) return undefined;
  if (isLoopback(target) && !(own !== undefined && isLoopback(own))) return refuse('that is a service of this machine');
  if (target.protocol === 'http:' && own?.protocol !== 'http:') return refuse('it is not encrypted');
  return undefined;
}
