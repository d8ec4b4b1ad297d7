import { describe, expect, it } from 'vitest';
import { sshError, startError } from '../../../../src/remote/ssh/failure.js';
import type { KbError } from '../../../../src/errors.js';

function errorFor(stderr: string, exitCode: number | null = 255): KbError {
  return sshError({
    programName: 'ssh',
    displayUrl: 'ssh://ann@host/kb',
    destination: 'ann@host',
    exitCode,
    stderr,
  });
}

/** As printed by OpenSSH 9, by git 2.39, and by the hosts. */
const CHANGED = `@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key for host has changed and you have requested strict checking.
Host key verification failed.
`;

describe('sshError', () => {
  it.each([
    [CHANGED, 'E_AUTH', /is not the one in your known_hosts/, /ssh-keygen -R host$/],
    ['Host key verification failed.\r\n', 'E_AUTH', /not known yet, and nobody is there/, /ssh-keyscan host /],
    [
      'No ED25519 host key is known for host and you have requested strict checking.\r\nHost key verification failed.',
      'E_AUTH',
      /not known yet/,
      /known_hosts/,
    ],
    [
      'ann@host: Permission denied (publickey,password).\r\n',
      'E_AUTH',
      /agent, ~\/\.ssh\/config, default keys.*it takes publickey,password/,
      /ssh-add/,
    ],
    [
      'Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\nDisconnected',
      'E_AUTH',
      /too many keys/,
      /IdentitiesOnly/,
    ],
    [
      'WARNING: UNPROTECTED PRIVATE KEY FILE!\nThis private key will be ignored.\nann@host: Permission denied (publickey).',
      'E_AUTH',
      /others may read/,
      /chmod 600/,
    ],
    [
      'Load key "/k": invalid format\nann@host: Permission denied (publickey).',
      'E_AUTH',
      /cannot use the key \/k \(invalid format\)/,
      /ssh -v/,
    ],
    [
      '/home/ann/.ssh/config: line 3: Bad configuration option: foo\n',
      'E_USAGE',
      /cannot use its configuration: Bad configuration option: foo/,
      /until this works: ssh ann@host/,
    ],
    ['Bad owner or permissions on /home/ann/.ssh/config', 'E_USAGE', /cannot use its configuration/, /config/],
    ['ssh: connect to host host port 22: Connection refused\n', 'E_NETWORK', /the connection was refused/, /kb sync/],
    ['ssh: connect to host host port 22: Connection timed out\n', 'E_NETWORK', /timed out/, /kb sync/],
    [
      'ssh: Could not resolve hostname host: Name or service not known\n',
      'E_NETWORK',
      /host name is not known/,
      /kb sync/,
    ],
    ['ssh: connect to host host port 22: No route to host\n', 'E_NETWORK', /no route/, /kb sync/],
    ['kex_exchange_identification: Connection closed by remote host\n', 'E_NETWORK', /was cut/, /kb sync/],
    ['Connection to host closed by remote host.\n', 'E_NETWORK', /was cut/, /kb sync/],
    ['client_loop: send disconnect: Broken pipe\n', 'E_NETWORK', /was cut/, /kb sync/],
    [
      'Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa\n',
      'E_NETWORK',
      /agree on how to encrypt/,
      /kb sync/,
    ],
  ])('of ssh: %j', (stderr, code, message, hint) => {
    const error = errorFor(stderr);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
  });

  it.each([
    [
      "fatal: '/kb' does not appear to be a git repository\n",
      'E_AUTH',
      /not found, or not visible to your key; it says: fatal/,
    ],
    [
      'ERROR: Repository not found.\nfatal: Could not read from remote repository.\n',
      'E_AUTH',
      /it says: ERROR: Repository not found\.$/,
    ],
    [
      "remote: ERROR: The project you were looking for could not be found or you don't have permission to view it.\n",
      'E_AUTH',
      /not found, or not visible/,
    ],
    ['Gitea: Cannot find repository: ann/kb\n', 'E_AUTH', /not found, or not visible/],
    [
      'ERROR: The key you are authenticating with has been marked as read only.\n',
      'E_AUTH',
      /does not allow this to your key/,
    ],
    ['ERROR: Permission to ann/kb.git denied to bob.\n', 'E_AUTH', /does not allow this/],
    ['ERROR: This deploy key does not have write access to this project.\n', 'E_AUTH', /does not allow this/],
    ['FATAL: W any kb bob DENIED by fallthru\n', 'E_AUTH', /does not allow this/],
    ['bash: line 1: git-receive-pack: command not found\n', 'E_NETWORK', /no git on the host/],
    ['sh: 1: git-upload-pack: not found\n', 'E_NETWORK', /no git on the host/],
    ['bash: line 1: git-lfs-authenticate: command not found\n', 'E_NETWORK', /does not say over ssh where/],
    ['zsh:1: command not found: git-lfs-authenticate\n', 'E_NETWORK', /does not say over ssh where/],
    ['fish: Unknown command: git-lfs-authenticate\n', 'E_NETWORK', /does not say over ssh where/],
    [
      "'git-lfs-authenticate' is not recognized as an internal or external command,\r\n",
      'E_NETWORK',
      /does not say over ssh where/,
    ],
    ["fatal: unrecognized command 'git-lfs-authenticate '/kb' download'\n", 'E_NETWORK', /does not say over ssh where/],
    [
      "FATAL: unknown git/gitolite command: 'git-lfs-authenticate kb upload'\n",
      'E_NETWORK',
      /does not say over ssh where/,
    ],
    ['fatal: write error: No space left on device\n', 'E_NETWORK', /no room left/],
    ['something new\n', 'E_NETWORK', /ended with exit code 1 too early; it says: something new$/],
    ['', 'E_NETWORK', /ended with exit code 1 too early$/],
  ])('of the other side: %j', (stderr, code, message) => {
    const error = errorFor(stderr, stderr.includes('not found\n') && stderr.includes('git-') ? 127 : 1);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  it('a program that is not there is told as such, and does not get better by trying again', () => {
    for (const error of [
      startError(Object.assign(new Error('spawn ssh ENOENT'), { code: 'ENOENT' }), 'ssh'),
      errorFor('/bin/sh: 1: nossh: not found\n', 127),
    ]) {
      expect(error).toMatchObject({ code: 'E_NETWORK', retryable: false });
      expect(error.message).toMatch(/^the ssh program ssh was not found/);
      expect(error.hint).toMatch(/openssh-client/);
    }
  });

  it('shows what the other side says safely, its end first, and at no great length', () => {
    const error = errorFor(`${'banner\n'.repeat(1000)}\u001b[2Jlast \u202ewords\n`, 1);
    expect(error.message).toMatch(/banner \| banner \| \\x1b\[2Jlast \\u202ewords$/);
    expect(errorFor('x'.repeat(10_000), 1).message.length).toBeLessThan(500);
  });
});
