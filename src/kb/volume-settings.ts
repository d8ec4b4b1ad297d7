import type { GitConfig } from '../config/git-config.js';
import type { WorktreeSettings } from '../git/worktree/worktree.js';

/**
 * What git's settings say of the volume that the KB lies on.
 *
 * `core.precomposeUnicode` counts on macOS only, as for native git. A KB whose settings were written on a Mac is seen on
 * Linux too (a container's mount, a copied folder), and there both spellings of a name can be two files: a name that kb
 * read as another one could be neither read nor committed.
 * @param platform as `process.platform`
 */
export function volumeSettings(
  gitConfig: Pick<GitConfig, 'getBoolean'>,
  platform: NodeJS.Platform = process.platform,
): Pick<WorktreeSettings, 'fileMode' | 'symlinks' | 'ignoreCase' | 'trustCtime' | 'precomposeUnicode'> {
  return {
    fileMode: gitConfig.getBoolean('core.filemode', true),
    symlinks: gitConfig.getBoolean('core.symlinks', true),
    ignoreCase: gitConfig.getBoolean('core.ignorecase', false),
    trustCtime: gitConfig.getBoolean('core.trustctime', true),
    precomposeUnicode: platform === 'darwin' && gitConfig.getBoolean('core.precomposeunicode', false),
  };
}
