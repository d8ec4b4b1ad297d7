import { join } from 'node:path';
import type { GitConfig } from '../config/git-config.js';
import { setGitConfig } from '../config/git-config-edit.js';
import type { Disk } from '../disk/disk.js';
import { readFileIfExists, writeFileAtomic } from '../disk/durable.js';
import { KbError } from '../errors.js';
import type { Oid } from '../git/ids.js';
import type { GitIndex } from '../git/index/index-file.js';
import type { ObjectSource } from '../git/objects/object.js';
import { findEntry, TREE_MODE } from '../git/objects/tree.js';
import { pathProblem } from '../git/worktree/path-rules.js';
import { SparseCone } from '../git/worktree/sparse-cone.js';
import { printable } from '../printable.js';
import type { Kb } from './open.js';
import type { Surroundings } from './surroundings.js';

const FILE = 'info/sparse-checkout';

/**
 * The folders that `--sparse` names.
 * @throws KbError E_USAGE for what can be no folder of a KB
 */
export function coneOf(folders: readonly string[]): SparseCone {
  for (const folder of folders) {
    const path = folder.replace(/^\.\/|\/+$/g, '');
    const problem = /[\r\n]/.test(path) ? 'it holds a line break' : pathProblem(path);
    if (problem === undefined) continue;
    throw new KbError('E_USAGE', `--sparse ${JSON.stringify(folder)} names no folder: ${problem}`, {
      hint: 'name folders from the root of the KB, such as: --sparse team/notes',
    });
  }
  return SparseCone.of(folders.map((folder) => folder.replace(/^\.\//, '')));
}

/**
 * Looks at the folders in the tree that they are chosen from. One that is not there yet may come.
 * @throws KbError E_USAGE when one of them is a file
 */
export function requireFolders(
  objects: ObjectSource,
  tree: Oid,
  cone: SparseCone,
  report: Surroundings['report'],
): void {
  for (const folder of cone.folders) {
    const entry = findEntry(objects, tree, folder);
    if (entry === undefined) {
      report({ kind: 'warning', text: `there is no folder ${printable(folder)} yet, which --sparse names` });
    } else if (entry.mode !== TREE_MODE) {
      throw new KbError('E_USAGE', `--sparse ${printable(folder)} is a file`, {
        hint: 'name the folder that it is in',
      });
    }
  }
}

/** Makes the repository a sparse one, as `git sparse-checkout set` does. Nobody else works in it yet. */
export function writeSparseCheckout(disk: Disk, gitDir: string, cone: SparseCone): void {
  setGitConfig(disk, join(gitDir, 'config'), new Map([['extensions.worktreeConfig', 'true']]));
  setGitConfig(
    disk,
    join(gitDir, 'config.worktree'),
    new Map([
      ['core.sparseCheckout', 'true'],
      ['core.sparseCheckoutCone', 'true'],
    ]),
  );
  writeFileAtomic(disk, join(gitDir, FILE), cone.serialize());
}

/**
 * How to learn which files are here: anew each time, for native git may choose other folders meanwhile.
 * @returns undefined where all of them are
 * @throws KbError E_UNSAFE_STATE for a sparse checkout by patterns
 */
export function sparseCheckoutOf(disk: Disk, gitDir: string, config: GitConfig): (() => SparseCone) | undefined {
  if (!config.getBoolean('core.sparsecheckout', false)) return undefined;
  const refuse = (why: string): KbError =>
    new KbError('E_UNSAFE_STATE', `this is a sparse checkout ${why}, which kb does not handle`, {
      hint: 'choose folders with: git sparse-checkout set --cone FOLDER…, or have all files: git sparse-checkout disable',
    });
  if (!config.getBoolean('core.sparsecheckoutcone', false)) throw refuse('by patterns');
  const read = (): SparseCone => {
    const bytes = readFileIfExists(disk, join(gitDir, FILE));
    if (bytes === undefined) throw refuse(`without .git/${FILE}`);
    return SparseCone.parse(bytes);
  };
  read(); // what is wrong with it is told before anything begins
  return read;
}

/** Files of the index that are not left out; free where nothing is. */
export function countFilesHere(kb: Pick<Kb, 'worktree'>, index: GitIndex): number {
  if (kb.worktree.settings.cone === undefined) return index.entryCount;
  let count = 0;
  for (const entry of index.entries()) if (!entry.skipWorktree) count += 1;
  return count;
}
