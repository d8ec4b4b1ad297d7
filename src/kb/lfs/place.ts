import { resolve } from 'node:path';
import type { GitConfig } from '../../config/git-config.js';
import { parseGitBoolean } from '../../config/git-config.js';
import type { Settings } from '../../config/settings.js';
import type { Disk } from '../../disk/disk.js';
import { LfsFilter } from '../../lfs/filter.js';
import { LfsStore, type IncomingWatch } from '../../lfs/store.js';
import type { Surroundings } from '../surroundings.js';

/** The KB, as far as large files need it; a clone has no more of it yet. */
export interface LfsPlace {
  readonly root: string;
  readonly gitDir: string;
  readonly gitConfig: GitConfig;
  readonly settings: Settings;
  readonly surroundings: Surroundings;
}

/** Where git-lfs keeps them too: `lfs` in the git directory, or what `lfs.storage` names (git-lfs-config(5)). */
export function lfsStore({ disk, gitDir, gitConfig }: StorePlace, watch?: IncomingWatch): LfsStore {
  return new LfsStore(disk, resolve(gitDir, gitConfig.get('lfs.storage') || 'lfs'), false, watch);
}

export interface StorePlace {
  readonly disk: Disk;
  readonly gitDir: string;
  readonly gitConfig: GitConfig;
}

/** What `filter=lfs` does in this KB. */
export function lfsFilter(place: StorePlace, env: NodeJS.ProcessEnv): LfsFilter {
  return new LfsFilter(lfsStore(place), leavesPointers(env));
}

/** `GIT_LFS_SKIP_SMUDGE`, as git-lfs reads it. */
export function leavesPointers(env: NodeJS.ProcessEnv): boolean {
  return parseGitBoolean(env['GIT_LFS_SKIP_SMUDGE'] ?? '') === true;
}
