import type { Remote } from '../remote/remote.js';
import { openRemote } from '../remote/open.js';
import { parseRemoteUrl } from '../remote/url.js';
import type { Kb, Upstream } from './open.js';

/** Opens the KB's remote with the settings' timeouts. No request is made yet. */
export async function connect(kb: Kb, upstream: Upstream): Promise<Remote> {
  const { disk, env, signal } = kb.surroundings;
  const insecure = kb.gitConfig.getBoolean(`remote.${upstream.remoteName}.kbinsecure`, false);
  return openRemote(parseRemoteUrl(upstream.url, { cwd: kb.root, insecure }), {
    disk,
    env,
    timeoutMs: kb.settings.gitTimeoutMs,
    insecure,
    ...(signal === undefined ? {} : { signal }),
  });
}
