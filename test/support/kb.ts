import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { makeTemporaryDirectory } from './native-git.js';

/** What is run for `kb`. */
export const entry = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

export interface KbRun {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout as the one JSON object that `--json` promises. */
  json(): Record<string, unknown>;
}

export interface KbOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string | Buffer;
  /** Called with the process id as soon as it runs, for tests that end it. */
  readonly onStart?: (pid: number) => void;
}

let home: string | undefined;

/** The environment of a user who has an identity and nothing else: no git on PATH, no settings, no tokens. */
export function kbEnvironment(extra: KbOptions['env'] = {}): NodeJS.ProcessEnv {
  home ??= makeTemporaryDirectory();
  const env: NodeJS.ProcessEnv = {
    PATH: join(home, 'no-programs'),
    HOME: home,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'Ann Author',
    GIT_AUTHOR_EMAIL: 'ann@example.com',
    TZ: 'UTC',
  };
  return Object.fromEntries(Object.entries({ ...env, ...extra }).filter(([, value]) => value !== undefined));
}

/** Runs the built `kb` in a directory. Never throws for its exit code. */
export function kb(directory: string, args: readonly string[], options: KbOptions = {}): Promise<KbRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [entry, ...args], {
      cwd: directory,
      env: kbEnvironment(options.env),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const stdout = Buffer.concat(out).toString('utf8');
      const stderr = Buffer.concat(err).toString('utf8');
      resolve({ code, signal, stdout, stderr, json: () => parseOnly(stdout, stderr) });
    });
    child.stdin.on('error', () => undefined); // a command that reads no input closes it unread
    child.stdin.end(options.input ?? '');
    if (child.pid !== undefined) options.onStart?.(child.pid);
  });
}

/** As `kb`, but a failure fails the test, with what was printed. */
export async function kbOk(directory: string, args: readonly string[], options: KbOptions = {}): Promise<KbRun> {
  const run = await kb(directory, args, options);
  if (run.code !== 0)
    throw new Error(`kb ${args.join(' ')} ended with ${String(run.code ?? run.signal)}:\n${run.stderr}${run.stdout}`);
  return run;
}

function parseOnly(stdout: string, stderr: string): Record<string, unknown> {
  try {
    return JSON.parse(stdout) as Record<string, unknown>;
  } catch (error) {
    throw new Error(`stdout is not one JSON object: ${JSON.stringify(stdout)}\n${stderr}`, { cause: error });
  }
}
