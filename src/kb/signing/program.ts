import { spawnSync } from 'node:child_process';
import { KbError, redact } from '../../errors.js';
import { printable } from '../../printable.js';
import { sshEnvironment } from '../../remote/ssh/environment.js';
import type { Surroundings } from '../surroundings.js';

/**
 * While it runs, this process does nothing else, and its lock shows no sign of life: on another host that is noticed
 * after 120 s. Until then a person can touch a key or enter a passphrase. ms
 */
const TIME_TO_SIGN_MS = 60_000;
const MAX_OUTPUT_BYTES = 256 * 1024;

export interface SigningRun {
  readonly program: string;
  readonly args: readonly string[];
  readonly input?: Buffer;
  readonly root: string;
}

export interface SigningEnd {
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Why nothing may be made of it; undefined: it ended well. */
  readonly failure?: string;
}

/**
 * Runs a program that the user's own git configuration names for signatures: no shell, and of the environment all but
 * what could be a token or password. The only file that starts a program for signatures.
 */
export function runSigningProgram({ env, ask }: Surroundings, { program, args, input, root }: SigningRun): SigningEnd {
  const child = spawnSync(program, args, {
    cwd: root,
    env: sshEnvironment(env, undefined),
    ...(input === undefined ? { stdio: ['ignore', 'pipe', 'pipe'] } : { input }),
    timeout: TIME_TO_SIGN_MS,
    killSignal: 'SIGKILL',
    maxBuffer: MAX_OUTPUT_BYTES,
    windowsHide: true,
    // Where nobody can be asked, it has no terminal either: it fails at once instead of waiting.
    ...(ask === undefined ? { detached: true } : {}),
  });
  const { error, status, signal } = child;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const failure =
    code === 'ENOENT'
      ? 'was not found'
      : code === 'ETIMEDOUT'
        ? `took longer than ${TIME_TO_SIGN_MS / 1000} s`
        : // It may end without reading all of its input, and be right to.
          error !== undefined && code !== 'EPIPE'
          ? `could not be run: ${code ?? error.message}`
          : status === null
            ? `was ended by ${signal ?? 'a signal'}`
            : status !== 0
              ? `ended with exit code ${status}`
              : undefined;
  // Node gives null instead of the output of a program that could not be started.
  const [stdout, stderr] = [child.stdout, child.stderr] as (Buffer | null)[];
  return {
    stdout: stdout ?? Buffer.alloc(0),
    stderr: stderr?.toString('utf8') ?? '',
    ...(failure === undefined ? {} : { failure }),
  };
}

/** @param next what to type, for each of the likely reasons */
export function signingFailure(
  { setting, program, format }: { readonly setting: string; readonly program: string; readonly format: string },
  { failure = 'made no signature', stderr }: Pick<SigningEnd, 'failure' | 'stderr'>,
  key: string,
  next: readonly string[],
): KbError {
  const said = printable(redact(stderr.trim().replace(/\s*\n\s*/g, ' | ')), 300);
  const message = `the commit could not be signed with ${printable(key, 200)}: ${printable(program, 200)} ${failure}`;
  const hints =
    failure === 'was not found' ? [`install it, or name another with: git config --global ${setting} PROGRAM`] : next;
  return new KbError('E_AUTH', `${message}${said === '' ? '' : `: ${said}`}; nothing was committed`, {
    hint: `${hints.join('; ')}; or sign nothing here: git config commit.gpgSign false`,
    details: { signing: format, program },
  });
}
