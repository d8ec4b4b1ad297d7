import { remoteAddresses } from '../config/git-instead-of.js';
import { asRefName, branchRef, shortName, type RefName } from '../git/ids.js';
import type { Ground } from './ground.js';

export interface Upstream {
  readonly remoteName: string;
  /** With `insteadOf` applied. */
  readonly url: string;
  /** Where pushes go, if that is another address. */
  readonly pushUrl?: string;
  /** The branch's name on the remote. */
  readonly ref: RefName;
  /** Where this KB remembers it. */
  readonly tracking: RefName;
}

/** The remote branch that the branch is shared with; undefined when the KB has no remote. */
export function upstreamOf(kb: Pick<Ground, 'gitConfig' | 'settings'>, branch: string): Upstream | undefined {
  const remoteName = kb.gitConfig.get(`branch.${branch}.remote`) ?? kb.settings.remote;
  const [configured] = kb.gitConfig.getAll(`remote.${remoteName}.url`);
  if (configured === undefined) return undefined;
  const [pushConfigured] = kb.gitConfig.getAll(`remote.${remoteName}.pushurl`);
  const { fetch: url, push: pushUrl } = remoteAddresses(kb.gitConfig, configured, pushConfigured);
  const merge = kb.gitConfig.get(`branch.${branch}.merge`);
  const ref = merge === undefined ? branchRef(branch) : asRefName(merge);
  return {
    remoteName,
    url,
    ...(pushUrl === undefined ? {} : { pushUrl }),
    ref,
    tracking: asRefName(`refs/remotes/${remoteName}/${shortName(ref)}`),
  };
}
