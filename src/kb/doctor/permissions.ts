import { join, relative } from 'node:path';
import { homeDirectory } from '../../config/locations.js';
import { isErrno } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import type { Kb } from '../open.js';
import { ok, problem, warning, type Check, type Patient, type Result } from './check.js';

/** W_OK of access(2). */
const MAY_WRITE = 2;
/** Named one by one; of more the first tell enough. */
const MOST_NAMED = 5;

/** Whether this user may write where kb writes, and whether others may read where secrets are. */
export const permissionsCheck: Check = {
  name: 'permissions',
  run(patient) {
    const { kb } = patient;
    return Promise.resolve([...(kb === undefined ? [] : writable(kb)), ...exposedSecrets(patient)]);
  },
};

/**
 * A single command that was run as another user (sudo) leaves folders in `.git` that are that user's: the next edit
 * then fails, or not, by the first two digits of its objects' ids.
 */
function writable(kb: Kb): Result[] {
  const { disk } = kb.surroundings;
  const places = [
    kb.root,
    kb.gitDir,
    ...['objects', 'refs', 'logs', 'kb'].flatMap((name) => below(disk, join(kb.gitDir, name))),
  ];
  const locked = places.filter((place) => !mayWrite(disk, place));
  if (locked.length === 0) return [ok(`${kb.root} can be written to`)];
  const named = locked.slice(0, MOST_NAMED).map((place) => relative(kb.root, place) || '.');
  const more = locked.length > MOST_NAMED ? ` and ${locked.length - MOST_NAMED} more` : '';
  return [
    problem(
      `in ${kb.root} these folders cannot be written to: ${named.join(', ')}${more}`,
      `give them back to this user: sudo chown -R "$(id -un)" '${kb.root}', or: chmod -R u+rwX '${kb.root}'`,
    ),
  ];
}

/** The folder and all folders below it; files are replaced, never written into, so theirs do not matter. */
function below(disk: Disk, folder: string): string[] {
  try {
    const inside = disk.readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [folder, ...inside.flatMap(({ name }) => below(disk, join(folder, name)))];
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    if (isErrno(error, 'EACCES', 'EPERM')) return [folder];
    throw error;
  }
}

function mayWrite(disk: Disk, place: string): boolean {
  try {
    disk.accessSync(place, MAY_WRITE);
    return true;
  } catch {
    return false;
  }
}

/** Files that hold secrets, as the settings name them. */
function exposedSecrets({ surroundings: { disk, env }, settings }: Patient): Result[] {
  if (process.platform === 'win32') return []; // its modes say nothing
  const home = homeDirectory(env);
  const hosts = [...(settings.hosts?.values() ?? [])];
  const files = [
    env['KB_GIT_PASSWORD_FILE'],
    env['KB_GITHUB_APP_PRIVATE_KEY_FILE'],
    env['NETRC'] ?? join(home, '.netrc'),
    join(home, '.git-credentials'),
    ...hosts.flatMap((host) => [host.tokenFile, host.app?.keyFile]),
  ];
  return [...new Set(files)].flatMap((file) => {
    if (file === undefined || file === '') return [];
    const stat = disk.statSync(file, { throwIfNoEntry: false });
    if (stat === undefined || (stat.mode & 0o044) === 0 || !stat.isFile()) return [];
    return [warning(`${file} holds secrets and can be read by other users`, `chmod 600 '${file}'`)];
  });
}
