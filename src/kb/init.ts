import { join, resolve } from 'node:path';
import { setGitConfig } from '../config/git-config-edit.js';
import { register, requireFreeName } from '../config/registry.js';
import { loadSettings } from '../config/settings.js';
import { asStorageError, namesIn } from '../disk/durable.js';
import type { Disk } from '../disk/disk.js';
import { lockMarksOf, sweepDeadLocks } from '../disk/lock-marks.js';
import { KbError } from '../errors.js';
import { branchRef, shortName } from '../git/ids.js';
import { initRepository } from '../git/init-repository.js';
import { deadWordProbe, processWord } from '../lock/process-word.js';
import { parseRemoteUrl } from '../remote/url.js';
import { typedRemote, type TypedRemote } from './remote-address.js';
import { openKbAt } from './open.js';
import { sshCommandWith, type SshFiles, userSshSettings } from './ssh-settings.js';
import type { Surroundings } from './surroundings.js';

export interface InitRequest {
  readonly directory?: string;
  /** A path that does not exist is made a bare repository. */
  readonly remote?: string;
  readonly branch: string;
  readonly name?: string;
  /** Files for ssh, kept for later in the KB's `.git/config`; only together with `remote`. */
  readonly ssh?: SshFiles;
}

export interface InitResult {
  readonly status: 'initialized' | 'already_initialized';
  readonly dir: string;
  readonly remote: string | null;
  readonly branch: string;
  /** The remote was made as well. */
  readonly createdRemote: boolean;
}

/**
 * Makes a KB without any server. Files that are there already stay and become the first sync's edits.
 * @throws KbError E_NO_KB when the directory is a KB of another remote; E_STORAGE, E_USAGE
 */
export async function initKb(surroundings: Surroundings, request: InitRequest): Promise<InitResult> {
  const { disk, env, cwd } = surroundings;
  const { remote: remoteName } = (await loadSettings({ disk, env, flags: {} })).settings;
  const directory = resolve(cwd, request.directory ?? '.');
  const branch = branchRef(request.branch);
  const typed = request.remote === undefined ? undefined : typedRemote(surroundings, request.remote, false);
  const url = typed?.url;
  const sshCommand =
    url === undefined
      ? undefined
      : sshCommandWith(surroundings, request.ssh ?? {}, url, userSshSettings(surroundings).command);
  if (request.name !== undefined) requireFreeName(disk, env, request.name, directory);
  try {
    const createdRemote = url?.kind === 'local' && makeBareRemote(disk, url.href, request.branch);
    disk.mkdirSync(directory, { recursive: true });
    const gitDir = join(directory, '.git');
    // Without HEAD it is no repository yet: one that was interrupted while it was made.
    const isNew = namesIn(disk, gitDir).every((name) => UNFINISHED.test(name)) && !isFile(disk, gitDir);
    if (isNew) initRepository(disk, gitDir, { bare: false, branch: request.branch });
    sweepDeadLocks(disk, gitDir, deadWordProbe(disk, surroundings.identity), processWord(surroundings.identity));
    const kb = await openKbAt(surroundings, directory, {});
    kb.objects.close();
    const configured = kb.gitConfig.get(`remote.${remoteName}.url`);
    if (typed !== undefined)
      setRemote(surroundings, gitDir, remoteName, typed, configured, kb.refs.head().branch ?? branch);
    if (sshCommand !== undefined) writeConfig(surroundings, gitDir, [['core.sshCommand', sshCommand]]);
    if (request.name !== undefined) register(disk, env, { name: request.name, directory });
    const remote =
      url?.display ??
      (configured === undefined ? null : parseRemoteUrl(configured, { cwd: directory, insecure: true }).display);
    const head = kb.refs.head().branch;
    return {
      status: isNew ? 'initialized' : 'already_initialized',
      dir: directory,
      remote,
      branch: shortName(head ?? branch),
      createdRemote,
    };
  } catch (error) {
    throw asStorageError(error, `make a KB in ${directory}`);
  }
}

/** What `initRepository` makes before `HEAD`: a directory with nothing else in it is one that was interrupted. */
const UNFINISHED = /^(objects|refs|info|config|\.kb_tmp_.*)$/;

function makeBareRemote(disk: Disk, path: string, branch: string): boolean {
  if (namesIn(disk, path).some((name) => !UNFINISHED.test(name))) return false;
  disk.mkdirSync(path, { recursive: true });
  initRepository(disk, path, { bare: true, branch });
  return true;
}

/** A `.git` that is a file belongs to a linked work tree or a submodule. */
function isFile(disk: Disk, path: string): boolean {
  return disk.lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function writeConfig(
  { disk, identity }: Surroundings,
  gitDir: string,
  values: readonly (readonly [string, string])[],
): void {
  setGitConfig(
    disk,
    join(gitDir, 'config'),
    new Map(values),
    lockMarksOf(gitDir, () => processWord(identity)),
  );
}

function setRemote(
  surroundings: Surroundings,
  gitDir: string,
  name: string,
  { configuredUrl }: TypedRemote,
  configured: string | undefined,
  branch: ReturnType<typeof branchRef>,
): void {
  if (configured === configuredUrl) return;
  if (configured !== undefined) {
    throw new KbError(
      'E_NO_KB',
      `this KB has another remote already: ${parseRemoteUrl(configured, { cwd: gitDir, insecure: true }).display}`,
      {
        hint: 'name another directory: kb init DIR --remote PATH',
      },
    );
  }
  const short = shortName(branch);
  writeConfig(surroundings, gitDir, [
    [`remote.${name}.url`, configuredUrl],
    [`remote.${name}.fetch`, `+refs/heads/*:refs/remotes/${name}/*`],
    [`branch.${short}.remote`, name],
    [`branch.${short}.merge`, branch],
  ]);
}
