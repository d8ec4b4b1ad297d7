import { spawnSync } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** Native git is the oracle of the tests and never part of kb: a machine without it skips those tests. */
export const nativeGit: { readonly available: boolean } = {
  available: spawnSync('git', ['--version'], { stdio: 'ignore' }).status === 0,
};

export interface GitOptions {
  readonly input?: Buffer | string;
  readonly env?: Readonly<Record<string, string>>;
  /** Gives what was printed even when git exits with another code than 0. */
  readonly allowFailure?: boolean;
}

let home: string | undefined;

/**
 * The environment for native git: nothing of the person or machine that runs the tests (configuration,
 * hooks, templates, identity, time) reaches it.
 */
export function gitEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  home ??= makeTemporaryDirectory();
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    XDG_CONFIG_HOME: join(home, '.config'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'Ann Author',
    GIT_AUTHOR_EMAIL: 'ann@example.com',
    GIT_COMMITTER_NAME: 'Carl Committer',
    GIT_COMMITTER_EMAIL: 'carl@example.com',
    LC_ALL: 'C',
    TZ: 'UTC',
    ...extra,
  };
}

/**
 * A rebase or a fetch that finds many loose objects starts git's gc in the background: it went on writing in a
 * repository that a test was about to remove.
 */
export const NATIVE_SETTINGS = ['-c', 'init.defaultBranch=main', '-c', 'gc.autoDetach=false'] as const;

/**
 * Runs native git and gives its stdout as text (UTF-8).
 * @throws Error with git's stderr when it exits with another code than 0
 */
export function git(cwd: string, args: readonly string[], options: GitOptions = {}): string {
  return gitBuffer(cwd, args, options).toString('utf8');
}

/** As `git`, for output that is no text. */
export function gitBuffer(cwd: string, args: readonly string[], options: GitOptions = {}): Buffer {
  const result = spawnSync('git', [...NATIVE_SETTINGS, ...args], {
    cwd,
    env: gitEnvironment(options.env),
    maxBuffer: 1 << 30,
    ...(options.input === undefined ? {} : { input: options.input }),
  });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0 && options.allowFailure !== true) {
    throw new Error(
      `git ${args.join(' ')} exited with ${String(result.status ?? result.signal)}: ${result.stderr.toString('utf8')}`,
    );
  }
  return result.stdout;
}

const temporaryDirectories: string[] = [];

// Registered while the test file is collected: inside a running test vitest takes no more hooks.
afterAll(() => {
  for (const directory of temporaryDirectories.splice(0))
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
});

/** A new empty directory (its real path), removed when the tests of this file are done. */
export function makeTemporaryDirectory(): string {
  return makeDirectoryIn(tmpdir());
}

/**
 * The same in memory, where the machine has room for it: for tests that make and remove thousands of small repositories
 * and flush nothing. What they see is the same on every file system.
 */
export function makeDirectoryInMemory(): string {
  const parent = isFitForHooks('/dev/shm') ? '/dev/shm' : tmpdir();
  return makeDirectoryIn(parent);
}

function makeDirectoryIn(parent: string): string {
  const directory = realpathSync(mkdtempSync(join(parent, 'kb-test-')));
  temporaryDirectories.push(directory);
  return directory;
}

const ROOM_IN_MEMORY = 1024 ** 3;

/** A container's /dev/shm is often small, and forbids to execute the hooks of a remote. */
function isFitForHooks(parent: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(parent);
    if (bavail * bsize < ROOM_IN_MEMORY) return false;
    const script = join(makeDirectoryIn(parent), 'hook');
    writeFileSync(script, '#!/bin/sh\n', { mode: 0o755 });
    return spawnSync(script).status === 0;
  } catch {
    return false;
  }
}
