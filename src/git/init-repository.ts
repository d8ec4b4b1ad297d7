import { join } from 'node:path';
import {
  asStorageError,
  isErrno,
  readFileIfExists,
  removeFile,
  removeTemporaryFiles,
  syncDirectory,
  temporaryName,
  writeFileAtomic,
} from '../disk/durable.js';
import type { Disk } from '../disk/disk.js';
import { KbError } from '../errors.js';
import { branchRef } from './ids.js';

/** What git must know about the volume that a repository lies on (git-config(1), `core.*`). */
export interface VolumeTraits {
  /** The executable bit is kept. */
  readonly fileMode: boolean;
  readonly symlinks: boolean;
  /** `README` and `readme` are one file. */
  readonly ignoreCase: boolean;
  /** The volume takes `é` in either normal form for the same file. */
  readonly precomposeUnicode: boolean;
}

/**
 * kb's own files that can lie in a work tree: never to be committed, neither by native git's `add --all`
 * nor by an older kb. The lock is a directory.
 */
const EXCLUDE = `# The lock and the staging files of kb:
.kb_operations.lock
.kb_clone_*
.kb_tmp_*
`;

/**
 * Makes a repository as `git init` would, without hooks and templates.
 *
 * Invariant: `HEAD` is written last, and everything before it is durable then. Git (and kb) take a
 * directory without HEAD for no repository, so a crash leaves either nothing that counts or a whole
 * one, and the same call again finishes the work.
 *
 * @param gitDir the repository itself: `DIR/.git`, or for a bare one `NAME.git`; made if it is not there
 * @param options.branch short name of the branch that HEAD names
 * @throws KbError E_UNSAFE_STATE when a repository is there already; E_USAGE for a bad branch name; E_STORAGE
 * Source of the layout: gitrepository-layout(5).
 */
export function initRepository(disk: Disk, gitDir: string, options: { bare: boolean; branch: string }): void {
  const branch = branchRef(options.branch);
  try {
    if (readFileIfExists(disk, join(gitDir, 'HEAD')) !== undefined) {
      throw new KbError('E_UNSAFE_STATE', `there is a git repository already: ${gitDir}`, {
        hint: 'choose another directory',
      });
    }
    // Of the same work, interrupted: nothing else can be in a directory that is no repository yet.
    removeTemporaryFiles(disk, gitDir);
    removeTemporaryFiles(disk, join(gitDir, 'info'));
    const made = new Set<string>();
    for (const directory of [
      '',
      'objects',
      'objects/info',
      'objects/pack',
      'refs',
      'refs/heads',
      'refs/tags',
      'info',
    ]) {
      disk.mkdirSync(join(gitDir, directory), { recursive: true });
      made.add(join(gitDir, directory));
    }
    writeFileAtomic(disk, join(gitDir, 'config'), configText(probeVolume(disk, gitDir), options.bare));
    writeFileAtomic(disk, join(gitDir, 'info/exclude'), EXCLUDE);
    for (const directory of made) syncDirectory(disk, directory);
    writeFileAtomic(disk, join(gitDir, 'HEAD'), `ref: ${branch}\n`);
    syncDirectory(disk, join(gitDir, '..'));
  } catch (error) {
    throw asStorageError(error, `create a repository in ${gitDir}`);
  }
}

/** Native git leaves out what agrees with its own defaults; a config file should say only what differs. */
function configText(volume: VolumeTraits, bare: boolean): string {
  const lines = ['repositoryformatversion = 0', `filemode = ${volume.fileMode}`, `bare = ${bare}`];
  if (!bare) lines.push('logallrefupdates = true');
  if (!volume.symlinks) lines.push('symlinks = false');
  if (volume.ignoreCase) lines.push('ignorecase = true');
  if (volume.precomposeUnicode) lines.push('precomposeunicode = true');
  return `[core]\n${lines.map((line) => `\t${line}\n`).join('')}`;
}

/**
 * Finds out by trying what the volume of a directory can do. The probes have names that no other writer
 * uses and are gone afterwards.
 * @param directory an existing, writable directory
 * @param platform as `process.platform`: only on macOS does git compose names, whatever the volume does with them
 * @throws the file system's own error when not even a file can be made there
 */
export function probeVolume(disk: Disk, directory: string, platform: NodeJS.Platform = process.platform): VolumeTraits {
  const name = temporaryName('probe');
  const file = join(directory, `${name}_\u00e4`);
  const link = join(directory, `${name}_link`);
  disk.closeSync(disk.openSync(file, 'wx', 0o644));
  try {
    return {
      fileMode: keepsExecutableBit(disk, file),
      symlinks: makesSymlink(disk, link),
      ignoreCase: exists(disk, join(directory, `${name.toUpperCase()}_\u00e4`)),
      precomposeUnicode: platform === 'darwin' && exists(disk, join(directory, `${name}_a\u0308`)),
    };
  } finally {
    removeFile(disk, link);
    removeFile(disk, file);
  }
}

function keepsExecutableBit(disk: Disk, file: string): boolean {
  if ((disk.lstatSync(file).mode & 0o100) !== 0) return false; // a volume on which everything is executable
  disk.chmodSync(file, 0o755);
  return (disk.lstatSync(file).mode & 0o100) !== 0;
}

function makesSymlink(disk: Disk, link: string): boolean {
  try {
    disk.symlinkSync('target', link);
  } catch (error) {
    if (isErrno(error, 'EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP')) return false;
    throw error;
  }
  return disk.lstatSync(link).isSymbolicLink();
}

function exists(disk: Disk, path: string): boolean {
  try {
    disk.lstatSync(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
