/** The web pages whose addresses kb knows by itself. */
export const PERMALINK_HOSTS = [
  'github',
  'gitlab',
  'gitea',
  'forgejo',
  'bitbucket',
  'bitbucket-server',
  'sourcehut',
] as const;

export type PermalinkHost = (typeof PERMALINK_HOSTS)[number];

const PLACEHOLDER = /\{([^{}]*)\}/g;
const ANYWHERE = ['host', 'repo', 'commit', 'path'];
const AFTER_HASH = ['line', 'end'];

/**
 * Whether a setting's text says where files can be seen: a host's kind, `none`, or an address with `{commit}` and
 * `{path}` in it. A team's `kb.yaml` is written by others: nothing but a web page can come of it, and no user or
 * password can stand in it.
 */
export function isPermalinkForm(text: string): boolean {
  if (text === 'none' || isPermalinkHost(text)) return true;
  if (!/^https?:\/\/[^\s/@#?]+\/[^\s]*$/.test(text) || /[^\x21-\x7e]|["<>\\^`|]/.test(text)) return false;
  const [page, fragment = ''] = splitOnce(text, '#');
  const used = (part: string): string[] => [...part.matchAll(PLACEHOLDER)].map(([, name = '']) => name);
  const isKnown =
    used(page).every((name) => ANYWHERE.includes(name)) && used(fragment).every((name) => AFTER_HASH.includes(name));
  const hasBoth = page.includes('{commit}') && page.includes('{path}');
  if (!isKnown || !hasBoth || /[{}]/.test(text.replace(PLACEHOLDER, ''))) return false;
  return URL.canParse(text.replaceAll('{host}', 'host.example').replace(PLACEHOLDER, '1'));
}

export function isPermalinkHost(text: string): text is PermalinkHost {
  return (PERMALINK_HOSTS as readonly string[]).includes(text);
}

/** @returns the text before the first mark, and after it where there is one */
export function splitOnce(text: string, mark: string): [string, string?] {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + mark.length)];
}
