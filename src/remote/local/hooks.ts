import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { join, resolve } from 'node:path';
import { isErrno } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { KbError } from '../../errors.js';
import type { Oid, RefName } from '../../git/ids.js';
import { hookEnvironment } from './hook-environment.js';
import type { LocalRepository } from './repository.js';

/** What a hook may print that is worth showing; more is read and dropped. */
const MOST_OUTPUT_BYTES = 4096;
/** Node takes a longer timer for one of 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** access(2): X_OK */
const EXECUTABLE = 1;

export interface RefMove {
  readonly ref: RefName;
  readonly from: Oid;
  readonly to: Oid;
}

export interface HookVerdict {
  readonly accepted: boolean;
  /** What the hook printed, stdout and stderr in order, at most 4 KiB, as it came. */
  readonly output: string;
}

export interface HookLimits {
  readonly env: NodeJS.ProcessEnv;
  /** Milliseconds left for the whole operation. */
  readonly remainingMs: () => number;
  readonly signal?: AbortSignal | undefined;
}

const HOOK_NAMES = ['pre-receive', 'update', 'post-receive', 'post-update'] as const;

type HookName = (typeof HOOK_NAMES)[number];

/**
 * The hooks of a repository that is pushed to, run as `git receive-pack` does (githooks(5)): in the
 * repository, with `GIT_DIR`, the moves on stdin or as arguments. Never through a shell.
 */
export class Hooks {
  private readonly directory: string;

  constructor(
    private readonly disk: Disk,
    private readonly repository: LocalRepository,
    private readonly limits: HookLimits,
  ) {
    // githooks(5): a relative core.hooksPath counts from where hooks run, which is the repository here
    this.directory = resolve(repository.gitDir, repository.config.get('core.hookspath') ?? 'hooks');
  }

  /**
   * Invariant: no program of another user runs with the rights of whoever pushes; root's may. Asked before
   * anything is written, so that a push never lands with half of its hooks.
   * @throws KbError E_UNSAFE_STATE
   */
  requireOwn(): void {
    const user = process.geteuid?.();
    if (user === undefined) return; // no owners to compare on this platform
    for (const name of HOOK_NAMES) {
      const file = join(this.directory, name);
      if (!this.isExecutable(file)) continue;
      for (const path of [file, this.directory, this.repository.gitDir]) {
        const owner = this.disk.statSync(path).uid;
        if (owner === user || owner === 0) continue;
        throw new KbError(
          'E_UNSAFE_STATE',
          `the remote's hook ${file} could be changed by another user: ${path} is not yours`,
          {
            hint: 'have the owner push, or use the remote over https',
          },
        );
      }
    }
  }

  /** Runs before any ref moves. @throws KbError E_NETWORK when it does not end in time; the abort reason */
  preReceive(move: RefMove): Promise<HookVerdict> {
    return this.run('pre-receive', [], stdinOf(move));
  }

  update(move: RefMove): Promise<HookVerdict> {
    return this.run('update', [move.ref, move.from, move.to], '');
  }

  /**
   * The hooks for after the push. It has landed, so what they do or say changes nothing for the caller.
   */
  async afterwards(move: RefMove): Promise<void> {
    await this.run('post-receive', [], stdinOf(move)).catch(() => undefined);
    await this.run('post-update', [move.ref], '').catch(() => undefined);
  }

  private async run(name: HookName, parameters: readonly string[], stdin: string): Promise<HookVerdict> {
    const file = join(this.directory, name);
    if (!this.isExecutable(file)) return { accepted: true, output: '' };
    this.limits.signal?.throwIfAborted();
    const child = spawn(file, [...parameters], {
      cwd: this.repository.gitDir,
      env: hookEnvironment(this.limits.env),
      stdio: ['pipe', 'pipe', 'pipe'],
      // its own process group, so that ending it ends what it started as well
      detached: true,
    });
    child.stdin.on('error', () => undefined); // a hook need not read what it is given
    child.stdin.end(stdin);
    return this.verdict(child, name);
  }

  private verdict(child: ChildProcessWithoutNullStreams, name: HookName): Promise<HookVerdict> {
    const chunks: Buffer[] = [];
    let kept = 0;
    const keep = (chunk: Buffer): void => {
      if (kept < MOST_OUTPUT_BYTES) chunks.push(chunk.subarray(0, MOST_OUTPUT_BYTES - kept));
      kept += chunk.length;
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    return new Promise((settle, fail) => {
      const stop = (reason: Error): void => {
        endGroup(child);
        fail(reason);
      };
      const onAbort = (): void => stop(this.limits.signal?.reason as Error);
      const timer = setTimeout(
        () => {
          stop(
            new KbError('E_NETWORK', `the ${name} hook of the remote did not end in time`, {
              hint: 'give it more time with KB_GIT_TIMEOUT, then: kb sync',
            }),
          );
        },
        Math.min(LONGEST_TIMER_MS, Math.max(0, this.limits.remainingMs())),
      );
      this.limits.signal?.addEventListener('abort', onAbort, { once: true });
      const done = (verdict: HookVerdict): void => {
        clearTimeout(timer);
        this.limits.signal?.removeEventListener('abort', onAbort);
        settle(verdict);
      };
      child.once('error', (error) =>
        done({ accepted: false, output: `the ${name} hook cannot be run: ${error.message}` }),
      );
      child.once('close', (code) => done({ accepted: code === 0, output: Buffer.concat(chunks).toString('utf8') }));
    });
  }

  private isExecutable(file: string): boolean {
    try {
      this.disk.accessSync(file, EXECUTABLE);
      return this.disk.statSync(file).isFile();
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return false;
      throw error;
    }
  }
}

function stdinOf(move: RefMove): string {
  return `${move.from} ${move.to} ${move.ref}\n`;
}

function endGroup(child: ChildProcessWithoutNullStreams): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL'); // the group is gone, or this platform has none
  }
}
