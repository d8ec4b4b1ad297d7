import { homePath } from '../../config/locations.js';
import { cleanIdentity } from '../../git/objects/commit.js';
import { runSigningProgram, signingFailure } from './program.js';
import type { Sign, SigningSettings } from './signer.js';

/**
 * Signs with GnuPG, or what takes its place. Source: git's `gpg-interface.c`, `sign_buffer_gpg`: the arguments, and that
 * only `SIG_CREATED` among the status lines says that there is a signature.
 */
export function signWithOpenPgp({ surroundings, gitConfig, home, root }: SigningSettings): Sign {
  const program = homePath(gitConfig.get('gpg.openpgp.program') ?? gitConfig.get('gpg.program') ?? 'gpg', home);
  const configured = gitConfig.get('user.signingkey');
  return (payload, { name, email }) => {
    // Without a key of their own, people have the one that carries the committer's name.
    const key = configured ?? `${cleanIdentity(name)} <${cleanIdentity(email)}>`;
    const end = runSigningProgram(surroundings, {
      program,
      args: ['--status-fd=2', '-bsau', key],
      input: payload,
      root,
    });
    if (end.failure === undefined && /^\[GNUPG:\] SIG_CREATED /m.test(end.stderr))
      return end.stdout.toString('latin1').replaceAll('\r\n', '\n');
    const said = end.stderr.replace(/^\[GNUPG:\].*$/gm, '');
    throw signingFailure({ setting: 'gpg.program', program, format: 'openpgp' }, { ...end, stderr: said }, key, [
      `try it by hand: echo test | ${program} -bsau '${key.replaceAll("'", '')}'`,
      'name the key with: git config user.signingKey ID',
    ]);
  };
}
