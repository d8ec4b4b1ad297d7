import { GitConfig } from '../config/git-config.js';
import { insteadOf } from '../config/git-instead-of.js';
import { homeDirectory } from '../config/locations.js';
import type { Settings } from '../config/settings.js';
import { deadWordProbe, processWord } from '../lock/process-word.js';
import type { Remote } from '../remote/remote.js';
import { openRemote, type RemoteOptions } from '../remote/open.js';
import { parseRemoteUrl, type RemoteUrl } from '../remote/url.js';
import type { Ground } from './ground.js';
import type { Upstream } from './upstream.js';
import { sshSettings } from './ssh-settings.js';
import type { Surroundings } from './surroundings.js';

/** Opens the KB's remote with the settings' timeouts. No request is made yet. */
export async function connect(kb: Ground, upstream: Upstream): Promise<Remote> {
  const { gitConfig, settings } = kb;
  const { remoteName } = upstream;
  const insecure = isInsecure(kb, remoteName);
  const open = (address: string): Promise<Remote> =>
    openRemote(addressOf(kb, remoteName, address), {
      ...remoteOptions(kb.surroundings, { gitConfig: () => gitConfig, settings, remoteName }),
      ssh: () => sshSettings(gitConfig, remoteName),
      timeoutMs: settings.gitTimeoutMs,
      insecure,
    });
  if (upstream.pushUrl === undefined) return open(upstream.url);
  const { SplitRemote } = await import('../remote/split-remote.js');
  return new SplitRemote(await open(upstream.url), await open(upstream.pushUrl));
}

/** An address of a remote taken apart, with the credentials that the environment has for it. @throws KbError as parseRemoteUrl */
export function addressOf(kb: Ground, remoteName: string, address: string): RemoteUrl {
  return withOwnCredentials(parseRemoteUrl(address, { cwd: kb.root, insecure: isInsecure(kb, remoteName) }), kb);
}

/** The user has allowed credentials over plain http. */
export function isInsecure({ gitConfig }: Pick<Ground, 'gitConfig'>, remoteName: string): boolean {
  return gitConfig.getBoolean(`remote.${remoteName}.kbinsecure`, false);
}

export interface RemoteConfiguration {
  readonly gitConfig: () => GitConfig;
  readonly settings: Settings;
  readonly remoteName?: string;
}

/** What every remote needs to know of the machine and of the user's settings. */
export function remoteOptions(
  surroundings: Surroundings,
  { gitConfig, settings, remoteName }: RemoteConfiguration,
): Omit<RemoteOptions, 'timeoutMs'> {
  const { disk, env, signal, ask, report } = surroundings;
  const home = homeDirectory(env);
  return {
    disk,
    env,
    home,
    ask,
    warn: (text) => report({ kind: 'warning', text }),
    // Most users have none: then nothing that reads them is loaded.
    settings: async () => {
      const config = gitConfig();
      const isSet = config.keys().some((key) => /^(http|credential)\.|^remote\..*\.proxy$/s.test(key));
      if (!isSet && settings.hosts === undefined) return undefined;
      const { httpSettings } = await import('./http-settings.js');
      return httpSettings(config, settings.hosts, remoteName);
    },
    tokenHost: tokenHostOf(settings, gitConfig),
    // The user's own configuration only: a KB must not vouch for its remote.
    safeDirectories: () => GitConfig.load({ disk, env, home }).getAll('safe.directory'),
    process: () => {
      const { identity } = surroundings;
      return { word: processWord(identity), isDead: deadWordProbe(disk, identity) };
    },
    ...(signal === undefined ? {} : { signal }),
  };
}

/** Git's configuration where there is no KB: that of the system and the user. */
export function userGitConfig({ disk, env }: Surroundings): () => GitConfig {
  let config: GitConfig | undefined;
  return () => (config ??= GitConfig.load({ disk, env, home: homeDirectory(env) }));
}

/** Where the environment names the repository, the token in the environment is for its host. */
function tokenHostOf(settings: Settings, gitConfig: () => GitConfig): string | undefined {
  if (settings.repoUrl === undefined) return undefined;
  const address = insteadOf(gitConfig(), settings.repoUrl);
  const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#]*@)?([^/?#:[\]]+|\[[^\]]*\])/i.exec(address)?.[1];
  // `user@host:path`, git's short form of ssh
  return (host ?? /^(?:[^/@]*@)?([^/:]{2,}):/.exec(address)?.[1])?.toLowerCase();
}

/** `KB_GIT_REPO_URL` may carry the credentials that were taken out of the URL when it was cloned. */
export function withOwnCredentials(
  url: RemoteUrl,
  { gitConfig, settings, root }: Pick<Ground, 'gitConfig' | 'settings' | 'root'>,
): RemoteUrl {
  if (url.kind !== 'http' || url.credentials !== undefined || settings.repoUrl === undefined) return url;
  const { href, credentials } = parseRemoteUrl(insteadOf(gitConfig, settings.repoUrl), { cwd: root, insecure: true });
  return href === url.href && credentials !== undefined ? { ...url, credentials } : url;
}
