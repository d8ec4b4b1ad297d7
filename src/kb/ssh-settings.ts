import { resolve } from 'node:path';
import { GitConfig } from '../config/git-config.js';
import { homeDirectory } from '../config/locations.js';
import { KbError } from '../errors.js';
import { shellQuote, sshProgram, type SshSettings } from '../remote/ssh/command.js';
import type { RemoteUrl } from '../remote/url.js';
import type { Surroundings } from './surroundings.js';

/** What `kb clone` or `kb init` was told about ssh. */
export interface SshFiles {
  /** The private key to log in with, and no other. */
  readonly key?: string;
  /** The hosts to trust, and no others of the user's. */
  readonly knownHosts?: string;
}

/** What git's configuration says about ssh for one of its remotes. */
export function sshSettings(config: GitConfig, remoteName: string): SshSettings {
  return {
    command: config.get('core.sshcommand'),
    variant: config.get('ssh.variant'),
    uploadPack: config.get(`remote.${remoteName}.uploadpack`),
    receivePack: config.get(`remote.${remoteName}.receivepack`),
  };
}

/** The same for a remote of no KB yet: the user's own configuration. */
export function userSshSettings({ disk, env }: Surroundings): SshSettings {
  const config = GitConfig.load({ disk, env, home: homeDirectory(env) });
  return { command: config.get('core.sshcommand'), variant: config.get('ssh.variant') };
}

/**
 * The value of `core.sshCommand` for a clone with a key or known hosts of its own. It goes into the clone's
 * `.git/config`, so that native git, too, finds its way from there; a path is no secret.
 * @param configured the user's own `core.sshCommand`, which it goes on from
 * @returns undefined when nothing of that was asked for
 * @throws KbError E_USAGE when a file cannot be read, its name cannot be written, or ssh is not OpenSSH
 */
export function sshCommandWith(
  { disk, env, cwd }: Surroundings,
  files: SshFiles,
  url: RemoteUrl,
  configured: string | undefined,
): string | undefined {
  const named = Object.entries({ '--ssh-key': files.key, '--known-hosts': files.knownHosts }).flatMap(
    ([flag, file]): [string, string][] => (file === undefined ? [] : [[flag, resolve(cwd, file)]]),
  );
  if (named.length === 0) return undefined;
  const flags = named.map(([flag]) => flag).join(' and ');
  if (url.kind !== 'ssh') {
    throw new KbError('E_USAGE', `${flags} is for ssh remotes; ${url.display} is none`, {
      hint: 'leave it out, or use the ssh address: ssh://user@host/path or user@host:path',
    });
  }
  if ((env['GIT_SSH_COMMAND'] ?? '') !== '') {
    throw new KbError('E_USAGE', `GIT_SSH_COMMAND is set, and would take the place of ${flags} from now on`, {
      hint: 'unset GIT_SSH_COMMAND, or name the key in it: ssh -i FILE',
    });
  }
  if (!['ssh', 'auto'].includes(sshProgram(env, { command: configured }).variant)) {
    throw new KbError('E_USAGE', `${flags} needs OpenSSH; another program is configured as ssh`, {
      hint: 'name the key in core.sshCommand or GIT_SSH, as that program wants it',
    });
  }
  for (const [flag, file] of named) requireReadable(disk, flag, file);
  const words = [configured === undefined || configured === '' ? 'ssh' : configured];
  for (const [flag, file] of named) {
    if (flag === '--ssh-key') words.push('-i', shellQuote(inSshWords(file)), '-o', 'IdentitiesOnly=yes');
    else words.push('-o', shellQuote(`UserKnownHostsFile="${inSshWords(file)}"`));
  }
  return words.join(' ');
}

function requireReadable(disk: Surroundings['disk'], flag: string, file: string): void {
  // ssh reads these names by rules of its own: quotes, and variables in braces.
  // eslint-disable-next-line no-control-regex -- control characters are what the rule is about
  if (/["$\\\u0000-\u001f\u007f]/.test(file)) {
    throw new KbError('E_USAGE', `${flag}: ssh cannot be given the file name ${JSON.stringify(file)}`, {
      hint: 'give the file a name without quotes, $, backslashes and control characters',
    });
  }
  try {
    if (!disk.statSync(file).isFile()) throw new Error('it is no file');
    disk.accessSync(file, READABLE);
  } catch (error) {
    throw new KbError('E_USAGE', `${flag} names a file that cannot be read: ${file}`, {
      cause: error,
      hint: 'check the path',
    });
  }
}

/** access(2): R_OK */
const READABLE = 4;

/** ssh_config(5), "TOKENS": a percent sign begins one. */
function inSshWords(file: string): string {
  return file.replaceAll('%', '%%');
}
