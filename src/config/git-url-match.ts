import type { GitConfig } from './git-config.js';

/** A URL as git compares it: parts in lower case where case means nothing, escapes in one form. */
interface Normalized {
  readonly scheme: string;
  readonly user: string | undefined;
  readonly host: string;
  /** Without the scheme's default. */
  readonly port: string;
  /** Begins with `/`. */
  readonly path: string;
}

/** How closely a section's URL fits: a longer host first, then a longer path, then a name of a user. */
type Fit = readonly [host: number, path: number, user: number];

const NO_URL: Fit = [0, 0, 0];

/** Which values count for a URL where several sections name it. */
export type UrlMatchRule =
  /** A section that fits worse than one before it says nothing: git's rule for `http.*`. */
  | 'closest'
  /** Every section that fits, in the order of the files: git's rule for `credential.*`. */
  | 'every';

/**
 * The values of `SECTION.KEY` and `SECTION.<url>.KEY` that count for a URL, in the order in which git hears of them:
 * of a key with one value the last counts, of a list all.
 * Source: git-config(1), "http.<url>.*"; gitcredentials(7), "CREDENTIAL CONTEXTS"; urlmatch.c and credential.c of git.
 */
export function matchedValues(
  config: Pick<GitConfig, 'entries'>,
  section: string,
  key: string,
  url: string,
  rule: UrlMatchRule,
): string[] {
  const target = normalize(url);
  const [prefix, suffix] = [`${section}.`, `.${key.toLowerCase()}`];
  const values: string[] = [];
  let best: Fit | undefined;
  for (const { key: name, value } of config.entries()) {
    if (!name.startsWith(prefix) || !name.endsWith(suffix)) continue;
    const pattern = name.slice(prefix.length, -suffix.length);
    const isPlain = name.length === prefix.length + suffix.length - 1;
    const fit = isPlain ? NO_URL : fitOf(pattern, target, url, rule);
    if (fit === undefined) continue;
    if (rule === 'closest' && best !== undefined && compare(fit, best) < 0) continue;
    best = fit;
    values.push(value ?? 'true');
  }
  return values;
}

function fitOf(pattern: string, target: Normalized | undefined, url: string, rule: UrlMatchRule): Fit | undefined {
  if (target === undefined) return undefined;
  const wanted = normalize(pattern);
  if (wanted !== undefined) return fit(wanted, target);
  return rule === 'every' && fitsPartly(pattern, target, url) ? NO_URL : undefined;
}

function fit(wanted: Normalized, target: Normalized): Fit | undefined {
  if (wanted.scheme !== target.scheme || wanted.port !== target.port) return undefined;
  if (wanted.user !== undefined && wanted.user !== target.user) return undefined;
  if (!hostFits(wanted.host, target.host)) return undefined;
  const prefix = wanted.path.replace(/\/$/, '');
  if (target.path !== prefix && !target.path.startsWith(`${prefix}/`)) return undefined;
  return [wanted.host.length, prefix.length + 1, wanted.user === undefined ? 0 : 1];
}

/** `*` stands for one label of the name, never for more. */
function hostFits(pattern: string, host: string): boolean {
  const [wanted, labels] = [pattern.split('.'), host.split('.')];
  return wanted.length === labels.length && wanted.every((label, at) => label === '*' || label === labels[at]);
}

/** `credential.example.com.helper`: a URL without its scheme, or without its host. What it does name must be equal. */
function fitsPartly(pattern: string, target: Normalized, url: string): boolean {
  const parts = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:([^/@]*)@)?([^/]*)(?:\/(.*))?$/is.exec(pattern);
  if (parts === null) return false;
  const [, scheme, user, host, path] = parts;
  const asWritten = /^[^:]+:\/\/(?:[^/@]*@)?([^/?#]*)/.exec(url)?.[1];
  return (
    (scheme === undefined || scheme === target.scheme) &&
    (user === undefined || decode(user.split(':')[0] ?? '') === target.user) &&
    (host === undefined || host === '' || host === asWritten) &&
    (path === undefined || path === '' || `/${path.replace(/\/+$/, '')}` === target.path)
  );
}

function compare(a: Fit, b: Fit): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: '80', https: '443', ssh: '22', git: '9418', ftp: '21' };

/** Source: url_normalize() in urlmatch.c of git. undefined: no URL */
function normalize(text: string): Normalized | undefined {
  const parts =
    /^([a-z0-9][a-z0-9+.-]*):\/\/(?:([^/?#@]*)@)?(\[[0-9a-f:.]+\]|[a-z0-9.*_-]*)(?::(\d*))?([/?#].*)?$/is.exec(text);
  if (parts === null || parts[3] === '') return undefined;
  const scheme = (parts[1] ?? '').toLowerCase();
  const port = (parts[4] ?? '').replace(/^0+/, '');
  const rest = parts[5] ?? '/';
  const path = withoutDots(sameEscapes(rest.startsWith('/') ? rest : `/${rest}`));
  if (path === undefined) return undefined;
  return {
    scheme,
    user: parts[2] === undefined ? undefined : decode(parts[2].split(':')[0] ?? ''),
    host: (parts[3] ?? '').toLowerCase(),
    port: port === DEFAULT_PORTS[scheme] ? '' : port,
    path,
  };
}

/** Escapes of characters that need none are taken away; the others get upper-case digits. */
function sameEscapes(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (escape: string, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : escape.toUpperCase();
  });
}

/** @returns undefined where `..` leads out of the root: no URL for git */
function withoutDots(path: string): string | undefined {
  const kept: string[] = [];
  const segments = path.slice(1).split('/');
  for (const [at, segment] of segments.entries()) {
    const isLast = at === segments.length - 1;
    if (segment === '..' && kept.pop() === undefined) return undefined;
    if (segment !== '.' && segment !== '..') kept.push(segment);
    else if (isLast) kept.push('');
  }
  return `/${kept.join('/')}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray "%": taken as it stands
  }
}
