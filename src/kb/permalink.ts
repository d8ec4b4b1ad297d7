import type { Oid } from '../git/ids.js';

/** Where each host shows a file at a commit. Self-hosted ones are known by the first label of their name. */
const SHAPES: readonly { readonly host: RegExp; readonly middle: string }[] = [
  { host: /^(www\.)?github\.com$|^github\./, middle: 'blob' },
  { host: /^gitlab\./, middle: '-/blob' },
  { host: /^(codeberg\.org$|gitea\.|forgejo\.)/, middle: 'src/commit' },
  { host: /^bitbucket\.org$/, middle: 'src' },
];

/**
 * A link to the file as it is in that commit, so that it still shows the same text later.
 * @param remoteUrl the remote as configured
 * @returns null where the host is none whose pages kb knows
 */
export function permalink(remoteUrl: string, commit: Oid, path: string): string | null {
  const url = parseWebUrl(remoteUrl);
  if (url === undefined) return null;
  const shape = SHAPES.find(({ host }) => host.test(url.hostname));
  if (shape === undefined) return null;
  const repository = url.pathname.replace(/\/+$/, '').replace(/\.git$/, '');
  const file = path.split('/').map(encodeURIComponent).join('/');
  return `${url.protocol}//${url.host}${repository}/${shape.middle}/${commit}/${file}`;
}

function parseWebUrl(text: string): URL | undefined {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return undefined;
  return new URL(text);
}
