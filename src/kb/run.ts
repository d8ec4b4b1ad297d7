import { asStorageError } from '../disk/durable.js';
import { isKbError, KbError } from '../errors.js';
import type { RepoPath } from '../git/paths.js';
import { describeDuration } from '../lock/owner.js';
import type { MergedFile } from './apply-changes.js';
import { requireBranchName } from './branch-name.js';
import { runCycleUnder } from './cycle.js';
import { holdKb, keepOthersOut, type Hold } from './hold.js';
import { LOCK_TOKEN } from './joined-locks.js';
import { MergedFiles } from './merged-files.js';
import type { Kb } from './open.js';
import { changedPaths, changesOf, isContent, lookAfter, type After } from './run/after.js';
import { beginRun, closeRun, type Before } from './run/begin.js';
import { exitCodeOfChild, runChild, type ChildEnd, type ChildOutput, type EndedBy } from './run/child.js';
import { openContext, type RunContext } from './run/context.js';
import { forgetRun, type FailurePolicy } from './run/journal.js';
import { parsePathPatterns } from './run/path-patterns.js';
import { failRun, type Failure } from './run/put-away.js';
import { StartLog, type RateLimit } from './run/rate-limit.js';
import { named, shareEdits, type Shared } from './run/share.js';
import { findFolder, TOPICS } from './run/working-folder.js';

export { parseDuration } from '../config/settings.js';
export type { ChildEnd, ChildOutput } from './run/child.js';
export type { FailurePolicy } from './run/journal.js';
export { parseRateLimit, type RateLimit } from './run/rate-limit.js';

export interface RunRequest {
  /** The program and its arguments; no shell is involved. */
  readonly command: readonly [string, ...string[]];
  /** Where it starts, relative to the KB's root. */
  readonly cwd?: string;
  /** Only what these select is committed, see path-patterns.ts; none: everything. */
  readonly paths?: readonly string[];
  /** Of the commit; undefined: named after the program and the files. */
  readonly message?: string;
  readonly push: boolean;
  readonly onFailure: FailurePolicy;
  /** After so long the command is ended, ms. */
  readonly timeoutMs?: number;
  /** It starts in `topics/`, and a change elsewhere makes the run fail. */
  readonly topicsOnly: boolean;
  readonly rateLimit?: RateLimit;
  readonly output: ChildOutput;
  /** The command belongs to the terminal, see ChildRequest. */
  readonly foreground: boolean;
  /** Ends a command that was asked to end, by the signal of the surroundings, and is too slow. */
  readonly kill?: AbortSignal;
  /** Called with true before the command starts, with false when it has ended. */
  readonly onChild?: (runs: boolean) => void;
}

export interface RunResult extends Shared {
  readonly branch: string;
  readonly child: ChildEnd;
  readonly waitedMs: number;
  readonly durationMs: number;
}

/**
 * Lock → pull → run a command → commit what it changed → push. The lock is held all along.
 *
 * What lay uncommitted in the KB before is left alone. Of a command that fails, what it changed is taken out of the
 * files again and saved (`stash`), thrown away (`discard`), or left (`keep`). What a kb that was killed leaves stays in
 * the files (run/recover.ts).
 * @throws KbError E_COMMAND with the command's exit code, E_TIMEOUT, E_INTERRUPTED, E_TERMINATED, E_USAGE,
 *   E_LOCK_TIMEOUT (also over the rate limit: details.retryAfterMs), E_UNSAFE_STATE (also for a change outside of
 *   topics), and as runCycle; once the command was started, details hold `child`, `changes` and `stash` (the ref that
 *   holds what it changed, or null)
 */
export async function runCommand(kb: Kb, request: RunRequest): Promise<RunResult> {
  const { clock } = kb.surroundings;
  const startMs = clock.monotonic();
  const selects = parsePathPatterns(request.paths ?? [], kb.worktree.settings.ignoreCase);
  findFolder(kb, request, 'undefined');
  return holdKb(kb, 'run', async (hold) => {
    const run = new Run(openContext(kb, hold, request.command[0]), request, selects);
    const { branch, child, ...shared } = await run.carryOut();
    const durationMs = Math.round(clock.monotonic() - startMs);
    return { ...shared, branch, child, waitedMs: Math.round(hold.waitedMs), durationMs };
  });
}

class Run {
  private readonly kb: Kb;
  private readonly hold: Hold;

  constructor(
    private readonly context: RunContext,
    private readonly request: RunRequest,
    private readonly selects: (path: RepoPath) => boolean,
  ) {
    this.kb = context.kb;
    this.hold = context.hold;
  }

  async carryOut(): Promise<Shared & Pick<RunResult, 'branch' | 'child'>> {
    const { kb, hold, request, context } = this;
    requireSessionBranch(kb);
    const startLog = new StartLog(kb);
    if (request.rateLimit !== undefined) startLog.requireRoom(request.rateLimit);
    const merged = new MergedFiles();
    merged.add(await this.pull());
    const cwd = findFolder(kb, request, 'refuse') ?? kb.root;
    try {
      if (request.rateLimit !== undefined) startLog.record(request.rateLimit);
      const before = beginRun(context, request.onFailure);
      const { child, endedBy } = await this.runChild(cwd, before);
      this.requireLock(child, endedBy, before);
      const shared = await keepOthersOut(kb, hold, 'run', () => this.finish(before, child, endedBy));
      merged.add(shared.merged);
      return { ...shared, merged: merged.all, branch: before.branch.name, child };
    } catch (error) {
      throw asStorageError(error, `finish the run of ${context.program}`);
    } finally {
      forgetRun(hold.token);
    }
  }

  /**
   * An unreachable remote keeps nobody from working: what comes out is then a local commit.
   * @returns files of local commits that were merged with what came in
   */
  private async pull(): Promise<readonly MergedFile[]> {
    const { kb, hold, context } = this;
    try {
      return (await runCycleUnder(kb, { operation: 'run', pull: true, push: false }, hold)).merged;
    } catch (error) {
      if (!isKbError(error, 'E_NETWORK')) throw error;
      context.warn(`${error.message}; ${context.program} works on what is here`);
      return [];
    }
  }

  private async runChild(cwd: string, before: Before): Promise<{ child: ChildEnd; endedBy: EndedBy }> {
    const { kb, request, hold } = this;
    const { env, signal, clock } = kb.surroundings;
    const { command, output, foreground, timeoutMs, kill } = request;
    request.onChild?.(true);
    try {
      throwIfAborted(signal);
      return await runChild({
        command,
        cwd,
        env: { ...env, KB_PATH: kb.root, [LOCK_TOKEN]: hold.token },
        output,
        foreground,
        lost: hold.lost,
        clock,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(signal === undefined ? {} : { interrupt: signal }),
        ...(kill === undefined ? {} : { kill }),
      });
    } catch (error) {
      if (isKbError(error)) closeRun(this.context, before); // it never started
      throw error;
    } finally {
      request.onChild?.(false);
    }
  }

  /** Without the lock nothing may be touched any more: whoever has it now finds the journal, and goes by that. */
  private requireLock(child: ChildEnd, endedBy: EndedBy, { journal }: Before): void {
    try {
      if (endedBy === 'lost') this.hold.lost.throwIfAborted();
      this.hold.assertHeld();
    } catch (error) {
      if (!isKbError(error, 'E_LOCK_LOST')) throw error;
      throw new KbError(
        'E_LOCK_LOST',
        `the lock was taken away while ${journal.program} ran: nothing was committed, what it changed is in the files`,
        { cause: error, hint: 'look with: kb status', details: { child, changes: null, stash: null } },
      );
    }
  }

  private async finish(before: Before, child: ChildEnd, endedBy: EndedBy): Promise<Shared> {
    const { context, request, kb, selects } = this;
    const failure = this.failureOf(child, endedBy);
    if (failure !== undefined) throw failRun(context, before, child, failure, request.onFailure);
    const after = this.look(before, child);
    const outside = request.topicsOnly ? this.outsideOfTopics(before, after) : undefined;
    if (outside !== undefined) throw failRun(context, before, child, outside, request.onFailure);
    try {
      const push = request.push && kb.settings.autoPush;
      const shared = await shareEdits(context, before, after, { selects, message: request.message, push });
      this.closeShared(before);
      return shared;
    } catch (error) {
      throw this.failureToShare(error, before, after, child);
    }
  }

  /** What has landed is not told as failed because a journal stays: who finds it finds no change any more. */
  private closeShared(before: Before): void {
    try {
      closeRun(this.context, before);
    } catch (error) {
      this.context.warn(
        `the run is done, but its journal stays: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  private failureOf(child: ChildEnd, endedBy: EndedBy): Failure | undefined {
    const { program } = this.context;
    const { signal } = this.kb.surroundings;
    if (endedBy === 'timeout') {
      const { timeoutMs = 0 } = this.request;
      const time = timeoutMs < 1000 ? `${timeoutMs} ms` : describeDuration(timeoutMs);
      return { code: 'E_TIMEOUT', message: `${program} did not end within ${time} and was ended` };
    }
    if (signal?.aborted === true) {
      const reason: unknown = signal.reason;
      const code = isKbError(reason) ? reason.code : 'E_INTERRUPTED';
      return { code, message: `${code === 'E_TERMINATED' ? 'terminated' : 'interrupted'} while ${program} ran` };
    }
    if (child.exitCode === 0) return undefined;
    const how = child.signal === null ? `ended with exit code ${child.exitCode}` : `was ended by ${child.signal}`;
    return { code: 'E_COMMAND', message: `${program} ${how}`, exitCode: exitCodeOfChild(child) };
  }

  private look(before: Before, child: ChildEnd): After {
    try {
      return lookAfter(this.context, before, 'now');
    } catch (error) {
      if (!isKbError(error, 'E_UNSAFE_STATE')) throw error;
      // The command did well; what it left is for a person to finish.
      closeRun(this.context, before);
      throw new KbError('E_UNSAFE_STATE', `${error.message}; nothing was committed, what it changed is in the files`, {
        cause: error,
        hint: error.hint,
        details: { ...error.details, child, changes: null, stash: null },
      });
    }
  }

  private outsideOfTopics(before: Before, after: After): Failure | undefined {
    const outside = changedPaths(this.context, before, after).filter((path) => !path.startsWith(`${TOPICS}/`));
    if (outside.length === 0) return undefined;
    const message = `${this.context.program} changed files outside of ${TOPICS}/: ${named(outside.map((path) => ({ path })))}`;
    return { code: 'E_UNSAFE_STATE', message, details: { outside: outside.slice(0, 100) } };
  }

  /** The command did its work, but that could not be brought out. */
  private failureToShare(error: unknown, before: Before, after: After, child: ChildEnd): unknown {
    if (!isKbError(error)) return error;
    const { context, request } = this;
    const { code, message, hint, retryable, details } = error;
    const isSaved = details['saved'] !== undefined;
    if (isSaved || code === 'E_LOCK_LOST') {
      if (isSaved) closeRun(context, before);
      const changes = changesOf(context, before, after, after.edits.filter(isContent));
      const told = { ...details, child, changes, stash: null };
      return new KbError(code, message, { cause: error, hint, retryable, details: told });
    }
    const policy = request.onFailure === 'keep' ? 'keep' : 'stash'; // what succeeded is not thrown away
    return failRun(context, before, child, { code, message, hint, retryable, details, cause: error }, policy);
  }
}

/**
 * A command needs the files of its branch, and they are here for one branch at a time: it never runs upon another, nor are
 * everybody's files exchanged under those who work with them.
 * @throws KbError E_UNSAFE_STATE when the session's branch is not the one that is checked out; nothing was run
 */
function requireSessionBranch(kb: Kb): void {
  const { sessionBranch } = kb.settings;
  const { branch } = kb.refs.head();
  if (sessionBranch === undefined || branch === requireBranchName(sessionBranch)) return;
  throw new KbError('E_UNSAFE_STATE', `the command is for branch "${sessionBranch}", which is not checked out here`, {
    hint: `give the session files of its own: kb clone --session-branch ${sessionBranch} URL DIR; or check it out: kb switch ${sessionBranch}`,
  });
}

/** @throws KbError the signal's reason, or E_INTERRUPTED */
function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  const reason: unknown = signal.reason;
  throw isKbError(reason) ? reason : new KbError('E_INTERRUPTED', 'interrupted; nothing was run', { cause: reason });
}
