import { join } from 'node:path';
import { addGitConfig, setGitConfig } from '../config/git-config-edit.js';
import type { RefName } from '../git/ids.js';
import type { Kb } from './open.js';
import type { Upstream } from './upstream.js';

/**
 * Writes down that the branch is shared with its upstream, as `git push --set-upstream` does, and that native git
 * fetches it too, as `git remote set-branches --add` does: a clone of one branch fetches no other.
 * @throws KbError E_UNSAFE_STATE when somebody else writes the configuration, E_STORAGE
 */
export function trackUpstream(kb: Kb, branch: string, { remoteName, ref, tracking }: Upstream): void {
  const { disk } = kb.surroundings;
  const file = join(kb.gitDir, 'config');
  const refspecs = kb.gitConfig.getAll(`remote.${remoteName}.fetch`);
  if (!refspecs.some((spec) => brings(spec, ref)))
    addGitConfig(disk, file, `remote.${remoteName}.fetch`, `+${ref}:${tracking}`, kb.lockMarks);
  if (kb.gitConfig.get(`branch.${branch}.merge`) !== undefined) return;
  const values = new Map([
    [`branch.${branch}.remote`, remoteName],
    [`branch.${branch}.merge`, ref],
  ]);
  setGitConfig(disk, file, values, kb.lockMarks);
}

/** Source: gitrevisions(7) and git-fetch(1), "refspec": at most one `*` on each side. */
function brings(refspec: string, ref: RefName): boolean {
  const [source = ''] = refspec.replace(/^\+/, '').split(':');
  const star = source.indexOf('*');
  if (star < 0) return source === ref;
  const [before, after] = [source.slice(0, star), source.slice(star + 1)];
  return ref.length >= source.length - 1 && ref.startsWith(before) && ref.endsWith(after);
}
