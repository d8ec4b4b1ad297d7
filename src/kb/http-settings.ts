import type { GitConfig } from '../config/git-config.js';
import { matchedValues } from '../config/git-url-match.js';
import type { HostEntry } from '../config/host-settings.js';
import type { HttpSettings } from '../remote/settings.js';

/** The user's settings as an http(s) remote asks for them. @param remoteName of the KB's remote, for `remote.<name>.proxy` */
export function httpSettings(
  config: GitConfig,
  hosts: ReadonlyMap<string, HostEntry> | undefined,
  remoteName: string | undefined,
): HttpSettings {
  const proxy = remoteName === undefined ? undefined : config.get(`remote.${remoteName}.proxy`);
  return {
    http: (key, url) => matchedValues(config, 'http', key, url, 'closest'),
    credential: (key, url) => matchedValues(config, 'credential', key, url, 'every'),
    ...(proxy === undefined ? {} : { remoteProxy: proxy }),
    host: (host) => hosts?.get(host),
  };
}
