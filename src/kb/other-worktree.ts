import { join } from 'node:path';
import { namesIn, readFileIfExists } from '../disk/durable.js';
import { KbError } from '../errors.js';
import { shortName, type RefName } from '../git/ids.js';
import type { Kb } from './open.js';

/**
 * Source: gitrepository-layout(5), `worktrees/<id>/HEAD` and `worktrees/<id>/gitdir`.
 * @throws KbError E_UNSAFE_STATE when another work tree of the repository has the branch checked out
 */
export function requireNotElsewhere(kb: Kb, ref: RefName): void {
  const { disk } = kb.surroundings;
  const folder = join(kb.gitDir, 'worktrees');
  for (const name of namesIn(disk, folder)) {
    const read = (file: string): string =>
      (readFileIfExists(disk, join(folder, name, file))?.toString('utf8') ?? '').trim();
    if (read('HEAD') !== `ref: ${ref}`) continue;
    const place = read('gitdir').replace(/\/\.git$/, '');
    throw new KbError('E_UNSAFE_STATE', `branch "${shortName(ref)}" is checked out in another work tree: ${place}`, {
      hint: 'work there, or take that one away with: git worktree remove',
    });
  }
}
