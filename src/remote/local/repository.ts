import { basename, dirname, join, resolve } from 'node:path';
import { isErrno, readFileIfExists } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { KbError } from '../../errors.js';
import { printable } from '../../printable.js';
import { RepositoryConfig } from './repository-config.js';

/** A repository on this machine's disk that serves as a remote. */
export interface LocalRepository {
  /** Where HEAD, objects and refs are. */
  readonly gitDir: string;
  /** Without a work tree. */
  readonly bare: boolean;
  readonly config: RepositoryConfig;
}

/** Extensions under which the repository still works as kb expects it (gitformat repository-version). */
const KNOWN_EXTENSIONS = new Set(['extensions.noop', 'extensions.preciousobjects', 'extensions.worktreeconfig']);

/**
 * Finds the repository at a path: a bare one, the root of a work tree, its `.git`, or the path with `.git`
 * left out, in the order in which native git looks.
 * @throws KbError E_USAGE no repository there; E_UNSAFE_STATE one that somebody else owns or that has a
 *   format that kb does not know
 */
export function openRepository(disk: Disk, path: string, safeDirectories: () => readonly string[]): LocalRepository {
  for (const candidate of [join(path, '.git'), path, `${path}.git`]) {
    const gitDir = gitDirectoryAt(disk, candidate);
    if (gitDir === undefined) continue;
    requireOwnRepository(disk, candidate, gitDir, safeDirectories);
    const config = RepositoryConfig.read(disk, gitDir);
    requireKnownFormat(gitDir, config);
    return { gitDir, config, bare: config.getBoolean('core.bare') ?? basename(gitDir) !== '.git' };
  }
  // Not E_NO_KB: that is about the user's own KB, and this path was given as a remote.
  throw new KbError('E_USAGE', `no git repository at ${printable(path)}`, {
    hint: `check the path, or make a repository there with: kb init --remote PATH`,
  });
}

function gitDirectoryAt(disk: Disk, path: string): string | undefined {
  let gitDir: string;
  try {
    if (disk.statSync(path).isFile()) {
      // A `.git` file names the real directory (submodules, `git init --separate-git-dir`).
      const pointer = /^gitdir: (.+?)\r?\n?$/s.exec(disk.readFileSync(path, 'utf8').slice(0, 4096));
      if (pointer === null) return undefined;
      gitDir = disk.realpathSync(resolve(dirname(path), pointer[1] ?? ''));
    } else gitDir = disk.realpathSync(path);
    if (!disk.statSync(join(gitDir, 'objects')).isDirectory()) return undefined;
    if (!disk.statSync(join(gitDir, 'refs')).isDirectory()) return undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
  return readFileIfExists(disk, join(gitDir, 'HEAD')) === undefined ? undefined : gitDir;
}

/**
 * Invariant: nothing of a repository is read or run that another user could have prepared. The rule is
 * native git's: it must belong to the current user (with sudo, also to the user who called it), unless
 * the user's own configuration lists it under `safe.directory` (git-config(1)).
 */
function requireOwnRepository(
  disk: Disk,
  candidate: string,
  gitDir: string,
  safeDirectories: () => readonly string[],
): void {
  const user = process.geteuid?.();
  if (user === undefined) return; // no owners to compare on this platform
  const callers = new Set([user]);
  if (user === 0 && /^\d+$/.test(process.env['SUDO_UID'] ?? '')) callers.add(Number(process.env['SUDO_UID']));
  const workTree = basename(candidate) === '.git' ? [dirname(candidate)] : [];
  const isOwn = [candidate, gitDir, ...workTree].every((path) => callers.has(disk.lstatSync(path).uid));
  if (isOwn || isListed(disk, [gitDir, ...workTree], safeDirectories)) return;
  throw new KbError('E_UNSAFE_STATE', `the remote ${gitDir} belongs to another user`, {
    hint: `if you trust it: git config --global --add safe.directory ${workTree[0] ?? gitDir}`,
  });
}

function isListed(disk: Disk, paths: readonly string[], safeDirectories: () => readonly string[]): boolean {
  let listed = false;
  for (const entry of safeDirectories()) {
    if (entry === '')
      listed = false; // an empty value takes back all before it
    else if (entry === '*') listed = true;
    else if (entry.endsWith('/*')) listed ||= paths.some((path) => `${path}/`.startsWith(entry.slice(0, -1)));
    else listed ||= paths.some((path) => path === entry || path === realPath(disk, entry));
  }
  return listed;
}

function realPath(disk: Disk, path: string): string | undefined {
  try {
    return disk.realpathSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return undefined;
    throw error;
  }
}

function requireKnownFormat(gitDir: string, config: RepositoryConfig): void {
  const version = config.get('core.repositoryformatversion') ?? '0';
  const refuse = (what: string): never => {
    throw new KbError('E_UNSAFE_STATE', `the remote ${gitDir} ${what}, which kb cannot read or write safely`, {
      hint: "use a remote in git's ordinary format (SHA-1, files)",
    });
  };
  if (version !== '0' && version !== '1') refuse(`has repository format ${printable(version)}`);
  for (const [key, value] of config.under('extensions.')) {
    if (key === 'extensions.objectformat' && value.toLowerCase() === 'sha1') continue;
    if (key === 'extensions.refstorage' && value.toLowerCase() === 'files') continue;
    if (!KNOWN_EXTENSIONS.has(key)) refuse(`uses ${printable(`${key}=${value}`)}`);
  }
}
