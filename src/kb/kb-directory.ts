import { join } from 'node:path';
import type { Kb } from './open.js';

/** `.git/kb`, where kb keeps what is its own; made on first use. Native git never looks there. */
export function kbDirectory(kb: Pick<Kb, 'gitDir' | 'surroundings'>): string {
  const directory = join(kb.gitDir, 'kb');
  kb.surroundings.disk.mkdirSync(directory, { recursive: true });
  return directory;
}
