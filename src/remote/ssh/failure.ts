import { KbError } from '../../errors.js';
import { printable } from '../../printable.js';

/** What is known of an ssh that ended before the conversation was over. */
export interface SshFailure {
  readonly programName: string;
  readonly displayUrl: string;
  /** As it was given to ssh: `[user@]host`. */
  readonly destination: string;
  /** null: a signal ended it, or it has not ended yet. */
  readonly exitCode: number | null;
  /** The end of what ssh and the server's programs printed. */
  readonly stderr: string;
}

interface Meaning {
  readonly pattern: RegExp;
  readonly code: 'E_AUTH' | 'E_NETWORK' | 'E_REFUSED' | 'E_USAGE';
  readonly what: (failure: SshFailure, match: RegExpExecArray) => string;
  readonly hint?: (failure: SshFailure) => string;
  /** Trying again can help. Default: as the code says. */
  readonly retryable?: boolean;
  readonly kind: string;
}

const printed = (match: RegExpExecArray, group: number): string => printable(match[group] ?? '', 120);

/**
 * What OpenSSH prints (its sources: sshconnect.c, sshconnect2.c, ssh.c, packet.c, readconf.c, misc.c), then what git's
 * programs and the large hosts print at the other end. The first that fits counts: a changed host key is reported
 * together with the plain failure of its verification.
 */
const MEANINGS: readonly Meaning[] = [
  {
    kind: 'host-key-changed',
    pattern: /REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed|HOST KEY .*REVOKED|revoked host key/i,
    code: 'E_AUTH',
    what: ({ destination }) =>
      `the host key of ${destination} is not the one in your known_hosts: it was changed, or somebody stands in between; nothing was sent`,
    hint: ({ destination }) =>
      `ask whoever runs the host for its fingerprint; only if it is the new one: ssh-keygen -R ${hostOf(destination)}`,
  },
  {
    kind: 'host-unknown',
    pattern: /Host key verification failed|No \S+ host key is known for|authenticity of host .* can't be established/i,
    code: 'E_AUTH',
    what: ({ destination }) => `the host key of ${destination} is not known yet, and nobody is there to confirm it`,
    hint: ({ destination }) =>
      `connect once by hand and compare the fingerprint: ssh ${destination}; or add the key that ssh-keyscan ${hostOf(destination)} prints to ~/.ssh/known_hosts, or name a file with --known-hosts`,
  },
  {
    kind: 'key-file',
    pattern: /UNPROTECTED PRIVATE KEY FILE|bad permissions|Load key "([^"]*)": ([^\r\n]*)/i,
    code: 'E_AUTH',
    what: ({ destination }, match) =>
      match[1] === undefined
        ? `${destination} refused the login: ssh does not use a private key that others may read`
        : `${destination} refused the login: ssh cannot use the key ${printed(match, 1)} (${printed(match, 2)})`,
    hint: () => 'make the key readable for you alone (chmod 600), and see what ssh does with it: ssh -v',
  },
  {
    kind: 'too-many-keys',
    pattern: /Too many authentication failures/i,
    code: 'E_AUTH',
    what: ({ destination }) => `${destination} refused the login: too many keys were offered before the right one`,
    hint: () => 'name the right key: IdentityFile and IdentitiesOnly in ~/.ssh/config, or kb clone --ssh-key',
  },
  {
    kind: 'refused-key',
    pattern: /Permission denied \(([^)\r\n]*)\)|Permission denied, please try again|No more authentication methods/i,
    code: 'E_AUTH',
    what: ({ destination }, match) =>
      `${destination} refused the login: none of the keys that ssh offered (agent, ~/.ssh/config, default keys) was accepted` +
      (match[1] === undefined ? '' : ` (it takes ${printed(match, 1)})`),
    hint: ({ destination }) =>
      `see which keys are offered with: ssh -v ${destination}; add one with ssh-add, or name it with kb clone --ssh-key`,
  },
  {
    kind: 'configuration',
    pattern:
      /Bad owner or permissions on [^\r\n]*|Bad configuration option[^\r\n]*|terminating, \d+ bad configuration[^\r\n]*|Can't open user config file[^\r\n]*|unknown option -- [^\r\n]*|keyword [^\r\n]*extra arguments[^\r\n]*/i,
    code: 'E_USAGE',
    what: ({ programName }, match) =>
      `${printable(programName, 80)} cannot use its configuration: ${printed(match, 0)}`,
    hint: ({ destination }) =>
      `mend ~/.ssh/config (or GIT_SSH_COMMAND, core.sshCommand) until this works: ssh ${destination}`,
  },
  ...(
    [
      [
        'unknown-name',
        /Could not resolve hostname[^\r\n]*/i,
        'the host name is not known (no DNS entry, or no network)',
      ],
      ['refused', /Connection refused/i, 'the connection was refused: no ssh server listens there'],
      [
        'timeout',
        /Connection timed out|Operation timed out|banner exchange.*timeout|Timeout, server/i,
        'the connection timed out',
      ],
      ['no-route', /No route to host|Network is unreachable|Host is down/i, 'there is no route to the host'],
      [
        'no-agreement',
        /Unable to negotiate[^\r\n]*|no matching [^\r\n]*found[^\r\n]*/i,
        'the two sides do not agree on how to encrypt',
      ],
    ] as const
  ).map(([kind, pattern, why]): Meaning => ({
    kind,
    pattern,
    code: 'E_NETWORK',
    what: ({ displayUrl }) => `no connection to ${displayUrl}: ${why}`,
    ...(kind === 'no-agreement' ? { retryable: false } : {}),
  })),
  {
    kind: 'no-lfs',
    pattern:
      /git-lfs-authenticate['"]?(?:: (?:command )?not found| is not recognized as an internal|[^\r\n]*(?:not allowed|unknown|invalid|disallowed))|(?:unknown|invalid|disallowed|unrecognized) (?:git\/gitolite )?command[^\r\n]*git-lfs-authenticate|command not found: git-lfs-authenticate/i,
    code: 'E_NETWORK',
    what: ({ displayUrl }) => `the host of ${displayUrl} does not say over ssh where its large files are (Git LFS)`,
    hint: () => 'name the LFS server: git config lfs.url https://HOST/PATH.git/info/lfs',
    retryable: false,
  },
  {
    kind: 'no-git',
    pattern:
      /git-(?:upload|receive)-pack['"]?: (?:command )?not found|is not recognized as an internal|not a git command/i,
    code: 'E_NETWORK',
    what: ({ displayUrl }) => `there is no git on the host of ${displayUrl}, or not on the PATH of that account`,
    hint: () => 'install git there, or name it: git config remote.origin.uploadpack and remote.origin.receivepack',
    retryable: false,
  },
  {
    kind: 'archived',
    pattern:
      /\barchived so it is read-only|push code to (?:an archived project|a read-only GitLab)|repo(?:sitory)? is archived/i,
    code: 'E_REFUSED',
    what: ({ displayUrl, stderr }) => `${displayUrl} takes no pushes${saying(stderr)}`,
    hint: () => 'have its owner open it for writing again, or use another repository',
  },
  {
    kind: 'busy',
    pattern: /temporarily read-only|Internal API (?:unreachable|error)|try again later/i,
    code: 'E_NETWORK',
    what: ({ displayUrl, stderr }) => `${displayUrl} is busy${saying(stderr)}`,
  },
  {
    kind: 'read-only',
    pattern:
      /marked as read[- ]only|Permission to \S+ denied|deploy key[^\r\n]*(?:read|push|write)|not allowed to (?:push|upload)|Unauthorized[^\r\n]*|access denied[^\r\n]*|write access[^\r\n]*not granted|DENIED by[^\r\n]*|You do not have permission[^\r\n]*|insufficient permission/i,
    code: 'E_AUTH',
    what: ({ displayUrl, stderr }) => `${displayUrl} does not allow this to your key${saying(stderr)}`,
    hint: () => 'have the owner give your key (or user) the right to write, or use another key with kb clone --ssh-key',
  },
  {
    kind: 'not-found',
    pattern:
      /does not appear to be a git repository|not a git repository|Repository not found|repository[^\r\n]* does not exist|project you were looking for could not be found|Cannot find repository|no such project|unable to find[^\r\n]*repository|dubious ownership/i,
    code: 'E_AUTH',
    what: ({ displayUrl, stderr }) => `${displayUrl}: not found, or not visible to your key${saying(stderr)}`,
    hint: () => 'check the spelling of the address, and that your key may read this repository',
  },
  {
    kind: 'full',
    pattern: /No space left on device|disk quota exceeded/i,
    code: 'E_NETWORK',
    what: ({ displayUrl, stderr }) => `the host of ${displayUrl} has no room left${saying(stderr)}`,
  },
  {
    kind: 'cut',
    pattern:
      /Connection (?:to \S+ )?(?:closed|reset)|Broken pipe|kex_exchange_identification|ssh_dispatch_run_fatal|Read from [^\r\n]* failed|remote end hung up/i,
    code: 'E_NETWORK',
    what: ({ displayUrl }) => `the connection to ${displayUrl} was cut`,
  },
];

/** The error for an ssh that ended too early: what happened, in its own words where kb knows none better. */
export function sshError(failure: SshFailure): KbError {
  const { displayUrl, programName, exitCode, stderr } = failure;
  // 127 is the shell's word for a program that it has not found; of a server's shell it comes with the name of git's.
  if (exitCode === 127 && !/git-(upload-pack|receive-pack|lfs-authenticate)/.test(stderr))
    return missingProgram(programName, undefined);
  for (const { pattern, code, what, hint, retryable, kind } of MEANINGS) {
    const match = pattern.exec(stderr);
    if (match === null) continue;
    return new KbError(code, what(failure, match), {
      ...(hint === undefined ? {} : { hint: hint(failure) }),
      ...(retryable === undefined ? {} : { retryable }),
      details: {
        url: displayUrl,
        ssh: kind,
        ...(code === 'E_REFUSED' ? { wholeRepository: true } : {}),
        ...(exitCode === null ? {} : { sshExitCode: exitCode }),
      },
    });
  }
  const how = exitCode === null || exitCode === 0 ? 'ended' : `ended with exit code ${exitCode}`;
  return new KbError('E_NETWORK', `the connection to ${displayUrl} ${how} too early${saying(stderr)}`, {
    details: { url: displayUrl, ...(exitCode === null ? {} : { sshExitCode: exitCode }) },
  });
}

/** ssh itself could not be started. */
export function startError(error: Error, programName: string): KbError {
  const isMissing = 'code' in error && (error.code === 'ENOENT' || error.code === 'EACCES' || error.code === 'ENOTDIR');
  if (isMissing) return missingProgram(programName, error);
  return new KbError('E_NETWORK', `${printable(programName, 80)} cannot be started: ${printable(error.message, 200)}`, {
    cause: error,
  });
}

function missingProgram(programName: string, cause: Error | undefined): KbError {
  return new KbError(
    'E_NETWORK',
    `the ssh program ${printable(programName, 200)} was not found, or cannot be started`,
    {
      retryable: false,
      hint: 'install the OpenSSH client (openssh-client), check GIT_SSH_COMMAND, core.sshCommand and GIT_SSH, or use the https:// address',
      details: { ssh: 'missing' },
      ...(cause === undefined ? {} : { cause }),
    },
  );
}

/** The last lines, for they hold the reason; banners come first. */
function saying(stderr: string): string {
  const lines = stderr
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter(
      (line) =>
        line !== '' &&
        !/^(Warning: Permanently added|(fatal: )?Could not read from remote|Please make sure|and the repository exists)/.test(
          line,
        ),
    );
  const words = lines.slice(-3).join(' | ');
  return words === '' ? '' : `; it says: ${printable(words, 300)}`;
}

function hostOf(destination: string): string {
  return destination.slice(destination.lastIndexOf('@') + 1);
}
