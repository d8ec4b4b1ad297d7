import { GitConfig } from '../config/git-config.js';
import { homeDirectory } from '../config/locations.js';
import { deadWordProbe, processWord } from '../lock/process-word.js';
import type { Remote } from '../remote/remote.js';
import { openRemote, type RemoteOptions } from '../remote/open.js';
import { parseRemoteUrl } from '../remote/url.js';
import type { Kb, Upstream } from './open.js';
import type { Surroundings } from './surroundings.js';

/** Opens the KB's remote with the settings' timeouts. No request is made yet. */
export async function connect(kb: Kb, upstream: Upstream): Promise<Remote> {
  const insecure = kb.gitConfig.getBoolean(`remote.${upstream.remoteName}.kbinsecure`, false);
  const open = (url: string): Promise<Remote> =>
    openRemote(parseRemoteUrl(url, { cwd: kb.root, insecure }), {
      ...remoteOptions(kb.surroundings),
      timeoutMs: kb.settings.gitTimeoutMs,
      insecure,
    });
  if (upstream.pushUrl === undefined) return open(upstream.url);
  const { SplitRemote } = await import('../remote/split-remote.js');
  return new SplitRemote(await open(upstream.url), await open(upstream.pushUrl));
}

/** What every remote needs to know of the machine. */
export function remoteOptions(surroundings: Surroundings): Omit<RemoteOptions, 'timeoutMs'> {
  const { disk, env, identity, signal } = surroundings;
  return {
    disk,
    env,
    // The user's own configuration only: a KB must not vouch for its remote.
    safeDirectories: () => GitConfig.load({ disk, env, home: homeDirectory(env) }).getAll('safe.directory'),
    process: { word: processWord(identity), isDead: deadWordProbe(disk, identity) },
    ...(signal === undefined ? {} : { signal }),
  };
}
