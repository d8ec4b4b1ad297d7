import { remoteAddresses } from '../config/git-instead-of.js';
import { asRefName, branchRef, shortName, type Oid, type RefName } from '../git/ids.js';
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

/** That of the checked-out branch; where none is checked out, of the KB's own remote. */
export function checkedOutUpstream(kb: Pick<Ground, 'gitConfig' | 'settings' | 'refs'>): Upstream | undefined {
  return upstreamOf(kb, shortName(kb.refs.head().branch ?? asRefName('HEAD')));
}

/** Where the remote branch of what is checked out was when last seen. */
export function lastSeenTip(kb: Pick<Ground, 'gitConfig' | 'settings' | 'refs'>): Oid | undefined {
  const upstream = checkedOutUpstream(kb);
  return upstream === undefined ? undefined : kb.refs.resolve(upstream.tracking);
}
