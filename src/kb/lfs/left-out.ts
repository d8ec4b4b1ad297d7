import { join } from 'node:path';
import { readFileIfExists, removeFile, writeFileAtomic } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import type { RepoPath } from '../../git/paths.js';

const FILE = 'lfs-missing.json';

/** The large files of which only the pointer lies here, because their content could not be had; sorted. */
export function leftOutFiles(disk: Disk, gitDir: string): RepoPath[] {
  const bytes = readFileIfExists(disk, join(gitDir, 'kb', FILE));
  if (bytes === undefined) return [];
  try {
    const { paths } = JSON.parse(bytes.toString('utf8')) as { paths?: unknown };
    return Array.isArray(paths) ? paths.filter((path): path is RepoPath => typeof path === 'string') : [];
  } catch {
    return []; // damaged: `git lfs pull` finds them, and a file that changes is fetched anyway
  }
}

/** Remembers which they are, for the next sync. */
export function rememberLeftOut(disk: Disk, gitDir: string, paths: Iterable<RepoPath>): void {
  const file = join(gitDir, 'kb', FILE);
  const sorted = [...new Set(paths)].sort();
  if (sorted.length === 0) return removeFile(disk, file);
  disk.mkdirSync(join(gitDir, 'kb'), { recursive: true });
  writeFileAtomic(disk, file, JSON.stringify({ paths: sorted }));
}
