import type { GitConfig } from './git-config.js';

/** The addresses that git would talk to for a remote. */
export interface RemoteAddresses {
  readonly fetch: string;
  /** Only where it differs. */
  readonly push?: string;
}

/**
 * The URL with `url.<base>.insteadOf` applied: the longest beginning that is configured is replaced, once.
 * Source: git-config(1), "url.<base>.insteadOf"; alias_url() in remote.c of git.
 */
export function insteadOf(config: Pick<GitConfig, 'entries'>, url: string): string {
  return replaced(config, 'insteadof', url) ?? url;
}

/**
 * Where a remote is fetched from and pushed to, by `remote.<name>.pushurl`, `insteadOf` and `pushInsteadOf`. Of several
 * URLs the first is meant: kb talks to one repository.
 * @param url `remote.<name>.url` as configured
 * @param pushUrl `remote.<name>.pushurl`; with it `pushInsteadOf` means nothing. Source: git-config(1)
 */
export function remoteAddresses(
  config: Pick<GitConfig, 'entries'>,
  url: string,
  pushUrl: string | undefined,
): RemoteAddresses {
  const fetch = insteadOf(config, url);
  const push = pushUrl === undefined ? replaced(config, 'pushinsteadof', url) : insteadOf(config, pushUrl);
  return push === undefined || push === fetch ? { fetch } : { fetch, push };
}

function replaced(config: Pick<GitConfig, 'entries'>, name: string, url: string): string | undefined {
  let longest = -1;
  let base: string | undefined;
  for (const { key, value } of config.entries()) {
    if (!key.startsWith('url.') || !key.endsWith(`.${name}`) || value === undefined) continue;
    // Of two that are as long the first counts, as in git.
    if (!url.startsWith(value) || value.length <= longest) continue;
    longest = value.length;
    base = key.slice('url.'.length, -name.length - 1);
  }
  return base === undefined ? undefined : base + url.slice(longest);
}
