import { join, resolve } from 'node:path';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { homePath } from '../../config/locations.js';
import { asStorageError, readFileIfExists, removeTree, writeFileAtomic } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import { runSigningProgram, signingFailure } from './program.js';
import type { Sign, SigningSettings } from './signer.js';
import { splitCommand } from './split-command.js';

/** A public key in the settings themselves, whose private half an agent has; or a file with either half. */
type SigningKey = { readonly kind: 'literal'; readonly key: string } | { readonly kind: 'file'; readonly path: string };

/**
 * Signs with `ssh-keygen -Y sign`, or what takes its place. Source: git's `gpg-interface.c`, `sign_buffer_ssh`. The text
 * goes through a file and not through standard input, as from git: programs of password managers know only that.
 * @throws KbError E_USAGE when there is no key
 */
export function signWithSsh(settings: SigningSettings): Sign {
  const { surroundings, gitConfig, home, root } = settings;
  const program = homePath(gitConfig.get('gpg.ssh.program') ?? 'ssh-keygen', home);
  const key = signingKey(settings);
  return (payload) =>
    inPrivateFolder(settings, (folder) => {
      const text = join(folder, 'commit');
      write(settings, text, payload);
      const keyFile = key.kind === 'file' ? key.path : join(folder, 'key');
      if (key.kind === 'literal') write(settings, keyFile, Buffer.from(`${key.key}\n`));
      const args = ['-Y', 'sign', '-n', 'git', '-f', keyFile, ...(key.kind === 'literal' ? ['-U'] : []), text];
      const end = runSigningProgram(surroundings, { program, args, root });
      const signature = end.failure === undefined ? readFileIfExists(surroundings.disk, `${text}.sig`) : undefined;
      if (signature !== undefined) return signature.toString('latin1').replaceAll('\r\n', '\n');
      throw signingFailure(
        { setting: 'gpg.ssh.program', program, format: 'ssh' },
        { failure: 'left no signature', ...end },
        key.kind === 'file' ? key.path : `the key ${key.key.slice(0, 40)}…`,
        [
          `give the key to the agent, so that nobody needs to be asked: ssh-add${key.kind === 'file' ? ` ${key.path}` : ''}`,
        ],
      );
    });
}

function signingKey(settings: SigningSettings): SigningKey {
  const { surroundings, gitConfig, home, root } = settings;
  const configured = gitConfig.get('user.signingkey') ?? '';
  const literal = literalKey(configured);
  if (literal !== undefined) return { kind: 'literal', key: literal };
  if (configured !== '') {
    const path = resolve(root, homePath(configured, home));
    if (surroundings.disk.statSync(path, { throwIfNoEntry: false })?.isFile() === true) return { kind: 'file', path };
    throw noKey(`user.signingKey names no file: ${path}`);
  }
  const command = gitConfig.get('gpg.ssh.defaultkeycommand') ?? '';
  if (command === '') throw noKey('user.signingKey is not set');
  const [program = '', ...args] = splitCommand(command) ?? [];
  if (program === '') throw noKey('gpg.ssh.defaultKeyCommand is no command');
  const end = runSigningProgram(surroundings, { program: homePath(program, home), args, root });
  const key =
    end.failure === undefined ? literalKey(end.stdout.toString('utf8').split('\n')[0]?.trim() ?? '') : undefined;
  if (key !== undefined) return { kind: 'literal', key };
  throw noKey(`gpg.ssh.defaultKeyCommand ${end.failure ?? 'printed no key'}`);
}

/** `key::TYPE DATA`, or a key that begins with its type as git still takes it. */
function literalKey(text: string): string | undefined {
  if (text.startsWith('key::')) return text.slice('key::'.length);
  return text.startsWith('ssh-') ? text : undefined;
}

function noKey(why: string): KbError {
  return new KbError('E_USAGE', `commits are to be signed with an ssh key (commit.gpgSign, gpg.format), but ${why}`, {
    hint: 'name the key with: git config --global user.signingKey ~/.ssh/id_ed25519.pub',
    details: { signing: 'ssh' },
  });
}

/** Nobody else may put a file in the way, or read over the shoulder. */
function inPrivateFolder<T>({ surroundings }: SigningSettings, work: (folder: string) => T): T {
  const { disk, env } = surroundings;
  const folder = join(env['TMPDIR'] || tmpdir(), `kb-signing-${randomBytes(12).toString('hex')}`);
  try {
    disk.mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    throw asStorageError(error, 'make a folder for the signature');
  }
  try {
    return work(folder);
  } finally {
    removeTree(disk, folder);
  }
}

function write({ surroundings }: SigningSettings, path: string, data: Buffer): void {
  try {
    writeFileAtomic(surroundings.disk, path, data, { mode: 0o600 });
  } catch (error) {
    throw asStorageError(error, 'write what is to be signed');
  }
}
