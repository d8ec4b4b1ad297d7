import { spawn } from 'node:child_process';
import { redact } from '../../errors.js';
import { printable } from '../../printable.js';
import { isOwnName, isSecretValue } from '../secret-variables.js';
import type { ChainOptions } from './chain.js';

export interface ProgramRequest {
  readonly program: string;
  readonly args: readonly string[];
  /** For its standard input: the only way that a secret reaches it. */
  readonly input: string;
  readonly env: NodeJS.ProcessEnv;
  /** ms */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** It may ask the person at the terminal, so it stays in kb's process group. */
  readonly interactive?: boolean;
}

export interface ProgramEnd {
  readonly stdout: string;
  /** Why nothing may be made of it, safe to print; undefined: it ended well. */
  readonly failure?: string;
}

/** More than any credential; a program that prints more is not one. */
const MAX_OUTPUT_BYTES = 256 * 1024;

/** How long after its end its output is waited for, ms. */
const LINGER_MS = 500;

/** Secrets of kb's own, with which a program of the user's has nothing to do. */
const OWN_SECRETS = /^(KB_GIT_AUTH_TOKEN|GITSYNC_PASSWORD|GITSYNC_GITHUB_APP_PRIVATE_KEY)$/;

/** @param value such as `https://ann:password@host/…` of KB_GIT_REPO_URL */
function isOwnSecret(name: string, value: string): boolean {
  return OWN_SECRETS.test(name) || (isOwnName(name) && isSecretValue(value));
}

/** What a program needs of the chain that asks it. */
export function runOptions(options: ChainOptions): Pick<ProgramRequest, 'env' | 'signal' | 'interactive'> {
  return { env: options.env, signal: options.signal, interactive: options.ask !== undefined };
}

/**
 * Runs a program that the user's own configuration names, and gives what it prints. This is the only file that starts
 * a program for credentials. Arguments never hold a secret: they are there for everybody to read.
 */
export async function runProgram(request: ProgramRequest): Promise<ProgramEnd> {
  const { program, args, input, env, timeoutMs, signal, interactive = false } = request;
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: Object.fromEntries(Object.entries(env).filter(([name, value]) => !isOwnSecret(name, value ?? ''))),
    // A group of its own, so that what a script has started ends with it.
    detached: !interactive,
    windowsHide: true,
  });
  let [stdout, stderr, failure] = ['', '', undefined as string | undefined];
  const end = (why: string): void => {
    failure ??= why;
    try {
      if (child.pid !== undefined && !interactive) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // no process groups here, or it has ended
    }
    child.kill('SIGKILL');
  };
  const timer = setTimeout(() => end(`took longer than ${timeoutMs / 1000} s`), timeoutMs);
  const onAbort = (): void => end('was stopped');
  signal?.addEventListener('abort', onAbort, { once: true });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (stdout.length > MAX_OUTPUT_BYTES) end('printed too much');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < 1000) stderr += text;
  });
  child.stdin.on('error', () => undefined); // it may end without reading
  child.stdin.end(input);
  try {
    await new Promise<void>((resolve) => {
      child.on('error', (error: NodeJS.ErrnoException) => {
        failure ??= error.code === 'ENOENT' ? 'was not found' : `could not be started: ${error.code ?? error.message}`;
        resolve();
      });
      child.on('exit', (code, killedBy) => {
        if (code !== 0) failure ??= code === null ? `was ended by ${killedBy}` : `ended with exit code ${code}`;
        // An agent that it leaves in the background may hold its output open for ever.
        setTimeout(resolve, LINGER_MS).unref();
      });
      child.on('close', () => resolve());
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
  child.stdout.destroy();
  child.stderr.destroy();
  signal?.throwIfAborted();
  const said = printable(redact(stderr.trim()), 200);
  return { stdout, ...(failure === undefined ? {} : { failure: said === '' ? failure : `${failure}: ${said}` }) };
}
