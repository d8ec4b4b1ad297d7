import { join } from 'node:path';
import { namesIn } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { isKbError } from '../../errors.js';
import { GitIndex } from '../../git/index/index-file.js';
import type { Kb } from '../open.js';
import { submodulesIn, submodulesLeftAlone } from '../submodules.js';
import { ok, warning, type Check, type Result } from './check.js';

/** Git's hooks of a clone that would run with what kb does in the place of git. */
const HOOKS = [
  'pre-commit',
  'prepare-commit-msg',
  'commit-msg',
  'post-commit',
  'pre-push',
  'post-merge',
  'post-checkout',
];
const ANY_X = 0o111;

/**
 * What others keep in repositories and kb leaves alone. What it refuses altogether (sha256, reftable, linked work
 * trees, alternates) is told where the KB is opened.
 */
export const unsupportedCheck: Check = {
  name: 'unsupported',
  run({ kb }) {
    if (kb === undefined) return Promise.resolve([]);
    const findings = [...submodules(kb), ...hooks(kb)];
    return Promise.resolve(findings.length === 0 ? [ok('nothing that kb leaves alone')] : findings);
  },
};

function submodules(kb: Kb): Result[] {
  let index: GitIndex;
  try {
    index = GitIndex.read(kb.surroundings.disk, kb.gitDir);
  } catch (error) {
    if (isKbError(error)) return []; // told by the check of the repository
    throw error;
  }
  const paths = submodulesIn(index);
  if (paths.length === 0) return [];
  return [warning(submodulesLeftAlone(paths), 'update them with git: git submodule update')];
}

function hooks(kb: Kb): Result[] {
  const { disk } = kb.surroundings;
  const folder = kb.gitConfig.get('core.hookspath') ?? join(kb.gitDir, 'hooks');
  const active = executablesIn(disk, folder).filter((name) => HOOKS.includes(name));
  if (active.length === 0) return [];
  return [
    warning(
      `hooks in ${folder} are not run by kb: ${active.join(', ')}`,
      'let the remote check what comes in (pre-receive), or commit with git where they must run',
    ),
  ];
}

function executablesIn(disk: Disk, folder: string): string[] {
  return namesIn(disk, folder).filter((name) => {
    const stat = disk.statSync(join(folder, name), { throwIfNoEntry: false });
    return stat?.isFile() === true && (stat.mode & ANY_X) !== 0;
  });
}
