import { join } from 'node:path';
import type { Disk } from '../disk/disk.js';
import { isErrno } from '../disk/durable.js';
import type { Kb } from './open.js';

/** `.git/kb`, where kb keeps what is its own; made on first use. Native git never looks there. */
export function kbDirectory(kb: Pick<Kb, 'gitDir' | 'surroundings'>): string {
  const directory = join(kb.gitDir, 'kb');
  kb.surroundings.disk.mkdirSync(directory, { recursive: true });
  return directory;
}

/** The names in a directory; none where there is none. */
export function namesIn(disk: Disk, directory: string): string[] {
  try {
    return disk.readdirSync(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
