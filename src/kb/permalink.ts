import { isPermalinkHost, splitOnce, type PermalinkHost } from '../config/permalink-form.js';
import type { Oid } from '../git/ids.js';
import { encodePath } from '../git/paths.js';

export interface LineRange {
  /** 1: the first line of the file. */
  readonly first: number;
  readonly last: number;
}

export interface PermalinkOptions {
  /** The setting `permalink`: a host's kind, `none`, or an address with placeholders; undefined: told by the URL. */
  readonly form?: string | undefined;
  readonly lines?: LineRange | undefined;
}

/** Where the pages of a repository are, without user, password and ssh port. */
interface WebPlace {
  /** `https://host[:port]` */
  readonly origin: string;
  readonly host: string;
  /** Not encoded, without `/` at the ends and without `.git`. */
  readonly repository: string;
  /** What the form of the address alone tells. */
  readonly isBitbucketServer: boolean;
}

interface Shape {
  /** The page of a file, all parts encoded; undefined: the repository's path is none of this host's. */
  page(place: WebPlace, commit: Oid, file: string): string | undefined;
  /** How the page shows its source, where it would show Markdown as it is read. Lines can be linked only there. */
  readonly source?: string;
  anchor(lines: LineRange): string;
}

const slashed =
  (middle: string): Shape['page'] =>
  ({ origin, repository }, commit, file) =>
    `${origin}/${encode(repository)}/${middle.replace('{commit}', commit)}/${file}`;

const range =
  (before: string, between: string) =>
  ({ first, last }: LineRange) =>
    `${before}${first}${last === first ? '' : `${between}${last}`}`;

/**
 * How each host writes the address of a file at a commit, and of lines in it.
 * Sources: GitHub Docs, "Getting permanent links to files" · GitLab Docs, "File management" (`?plain=1`, `#L1-2`) ·
 * Gitea's code preview, `/src/commit/{commit}/{path}#L1-L2` · Bitbucket Cloud, `/src/{commit}/{path}#lines-1:2` ·
 * Bitbucket Data Center, `/projects/KEY/repos/NAME/browse/{path}?at={commit}#1-2` · git.sr.ht, `/tree/{commit}/item/{path}`.
 */
const SHAPES: Record<PermalinkHost, Shape> = {
  github: { page: slashed('blob/{commit}'), source: '?plain=1', anchor: range('#L', '-L') },
  gitlab: { page: slashed('-/blob/{commit}'), source: '?plain=1', anchor: range('#L', '-') },
  gitea: { page: slashed('src/commit/{commit}'), source: '?display=source', anchor: range('#L', '-L') },
  forgejo: { page: slashed('src/commit/{commit}'), source: '?display=source', anchor: range('#L', '-L') },
  bitbucket: { page: slashed('src/{commit}'), anchor: range('#lines-', ':') },
  'bitbucket-server': { page: bitbucketServerPage, anchor: range('#', '-') },
  sourcehut: { page: slashed('tree/{commit}/item'), anchor: range('#L', '-') },
};

/** Self-hosted ones are known by the first label of their name. */
const HOSTS: readonly (readonly [RegExp, PermalinkHost])[] = [
  [/^(www\.)?github\.com$|^github\./, 'github'],
  [/^gitlab\./, 'gitlab'],
  [/^(codeberg\.org$|forgejo\.)/, 'forgejo'],
  [/^gitea\./, 'gitea'],
  [/^bitbucket\.org$/, 'bitbucket'],
  [/^bitbucket\./, 'bitbucket-server'],
  [/^git\.sr\.ht$|^git\.sourcehut\./, 'sourcehut'],
];

/** Names under which hosts take ssh on a port that firewalls let through. */
const SSH_ALIASES: ReadonlyMap<string, string> = new Map([
  ['ssh.github.com', 'github.com'],
  ['altssh.gitlab.com', 'gitlab.com'],
  ['altssh.bitbucket.org', 'bitbucket.org'],
]);

/** The port of Bitbucket Data Center's own ssh server. */
const BITBUCKET_SSH_PORT = '7999';
/** Files that hosts show as they are read, not as they are written. */
const RENDERED = /\.(md|markdown|mdown|mkdn?|rst|adoc|asciidoc|org|textile|ipynb|csv)$/i;

/**
 * A link to the file as it is in that commit, so that it still shows the same text later.
 * @param remoteUrl the remote as configured; nothing of its user and password gets into the link
 * @returns null where the host is none whose pages kb knows, or its pages have no anchors for lines
 */
export function permalink(remoteUrl: string, commit: Oid, path: string, options: PermalinkOptions = {}): string | null {
  const { form, lines } = options;
  const place = webPlace(remoteUrl);
  if (form === 'none') return null;
  if (form !== undefined && !isPermalinkHost(form)) return fill(form, place, commit, path, lines);
  if (place === undefined) return null;
  const kind = form ?? kindOf(place);
  const shape = kind === undefined ? undefined : SHAPES[kind];
  const page = shape?.page(place, commit, encode(path));
  if (shape === undefined || page === undefined) return null;
  if (lines === undefined) return page;
  return `${page}${RENDERED.test(path) ? (shape.source ?? '') : ''}${shape.anchor(lines)}`;
}

function kindOf({ host, isBitbucketServer }: WebPlace): PermalinkHost | undefined {
  return HOSTS.find(([name]) => name.test(host))?.[1] ?? (isBitbucketServer ? 'bitbucket-server' : undefined);
}

/** Fills in a form of the user's own. */
function fill(
  form: string,
  place: WebPlace | undefined,
  commit: Oid,
  path: string,
  lines: LineRange | undefined,
): string | null {
  if (place === undefined && /\{(repo|host)\}/.test(form)) return null;
  const [page, anchor] = splitOnce(form, '#');
  if (lines !== undefined && anchor?.includes('{line}') !== true) return null;
  const values: Readonly<Record<string, string>> = {
    host: place?.host ?? '',
    repo: encode(place?.repository ?? ''),
    commit,
    path: encode(path),
    line: String(lines?.first ?? ''),
    end: String(lines?.last ?? ''),
  };
  const filled = (text: string): string => text.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '');
  const isForLines = anchor !== undefined && /\{(line|end)\}/.test(anchor);
  return filled(page) + (anchor === undefined || (isForLines && lines === undefined) ? '' : `#${filled(anchor)}`);
}

/** `KEY/NAME`, or `~user/NAME`, below what stands before `scm/` (a context path). */
function bitbucketServerPage({ origin, repository }: WebPlace, commit: Oid, file: string): string | undefined {
  const match = /^(?:(.*\/)?scm\/)?([^/]+)\/([^/]+)$/.exec(repository);
  const [, context = '', key, name] = match ?? [];
  if (key === undefined || name === undefined) return undefined;
  const owner = key.startsWith('~') ? `users/${encode(key.slice(1))}` : `projects/${encode(key)}`;
  return `${origin}/${encode(context)}${owner}/repos/${encode(name)}/browse/${file}?at=${commit}`;
}

function webPlace(remoteUrl: string): WebPlace | undefined {
  if (/^https?:\/\//i.test(remoteUrl)) {
    const url = parse(remoteUrl);
    return url === undefined ? undefined : placeOf(url.protocol, url.host, url.hostname, url.pathname, false);
  }
  if (/^(ssh|git\+ssh|ssh\+git):\/\//i.test(remoteUrl)) {
    const url = parse(remoteUrl.replace(/^[a-z+]+:/i, 'ssh:'));
    return url === undefined ? undefined : sshPlace(url.hostname, url.pathname, url.port === BITBUCKET_SSH_PORT);
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(remoteUrl)) return undefined;
  // Git's own rule: a colon before the first slash is host:path.
  const match = /^(?:[^@/]*@)?(\[[^\]/]+\]|[^:/@[\]]+):(?!:)(.*)$/.exec(remoteUrl);
  return match === null ? undefined : sshPlace(match[1] ?? '', match[2] ?? '', false);
}

/** What ssh reaches on a port of its own, the web shows on https. */
function sshPlace(hostname: string, path: string, isBitbucketServer: boolean): WebPlace | undefined {
  const name = hostname.toLowerCase();
  const host = SSH_ALIASES.get(name) ?? name;
  // a name of the user's own ssh configuration is no host on the web
  if (!URL.canParse(`https://${host}/`) || !/[.:]/.test(host)) return undefined;
  return placeOf('https:', host, host, path, isBitbucketServer);
}

function placeOf(
  protocol: string,
  host: string,
  hostname: string,
  path: string,
  isBitbucketServer: boolean,
): WebPlace | undefined {
  const repository = decode(path)
    .replace(/^\/+|\/+$/g, '')
    .replace(/\.git$/, '');
  if (repository === '' || repository.split('/').some((part) => part === '' || part === '.' || part === '..'))
    return undefined;
  const isScm = /^(?:.*\/)?scm\/[^/]+\/[^/]+$/.test(repository);
  return { origin: `${protocol}//${host}`, host: hostname, repository, isBitbucketServer: isBitbucketServer || isScm };
}

function parse(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray "%": taken as it stands
  }
}

/** Each part of a path as its bytes, so that a name in another encoding than UTF-8 is that very name. */
function encode(path: string): string {
  return path.split('/').map(encodePart).join('/');
}

function encodePart(part: string): string {
  const bytes = encodePath(part).toString('latin1');
  return bytes.replace(/[^A-Za-z0-9._~-]/g, (byte) => {
    return `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  });
}
