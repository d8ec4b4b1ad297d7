import type { GitConfig } from '../config/git-config.js';
import { setGitConfig } from '../config/git-config-edit.js';
import type { Disk } from '../disk/disk.js';
import { join } from 'node:path';

/** All blobs stay with the remote until they are needed. */
export const BLOB_NONE = 'blob:none';

/** The remote that has promised to give what it left out of its packs (partial clone). */
export interface Promisor {
  readonly remoteName: string;
  /** What is left out of each fetch. */
  readonly filter: string;
}

/** Trees and commits are always here with these: everything but the content of files works without asking. */
const BLOB_FILTER = /^blob:(none|limit=\d+[kmg]?)$/i;

/**
 * @returns undefined where everything is here; a text: why kb cannot use it
 * Source: git-config(1), `remote.<name>.promisor`, `remote.<name>.partialclonefilter`, `extensions.partialClone`.
 */
export function promisorOf(config: GitConfig): Promisor | string | undefined {
  const names = new Set<string>();
  for (const key of config.keys()) {
    const name = /^remote\.(.+)\.(?:promisor|partialclonefilter)$/s.exec(key)?.[1];
    if (name === undefined) continue;
    if (key.endsWith('.partialclonefilter') || config.getBoolean(key, false)) names.add(name);
  }
  const extension = config.get('extensions.partialclone');
  if (extension !== undefined) names.add(extension);
  const [remoteName, another] = names;
  if (remoteName === undefined) return undefined;
  if (another !== undefined) return 'is a partial clone of several remotes';
  const filter = config.get(`remote.${remoteName}.partialclonefilter`) ?? BLOB_NONE;
  return BLOB_FILTER.test(filter)
    ? { remoteName, filter }
    : `is a partial clone by ${JSON.stringify(filter.slice(0, 80))}`;
}

/** As `git clone --filter=blob:none` does. Nobody else works in the repository yet. */
export function writePromisor(disk: Disk, gitDir: string, remoteName: string): void {
  setGitConfig(
    disk,
    join(gitDir, 'config'),
    new Map([
      ['core.repositoryformatversion', '1'],
      [`remote.${remoteName}.promisor`, 'true'],
      [`remote.${remoteName}.partialclonefilter`, BLOB_NONE],
    ]),
  );
}
