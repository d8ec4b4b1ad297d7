import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { constants } from 'node:os';
import { isErrno } from '../../disk/durable.js';
import { isKbError, KbError } from '../../errors.js';
import type { Clock } from '../surroundings.js';

/** Where what the command prints goes: kb's own streams, all of it to stderr, or nowhere (it reads nothing then). */
export type ChildOutput = 'inherit' | 'stderr' | 'ignore';

export interface ChildRequest {
  /** The program and its arguments; no shell is involved. */
  readonly command: readonly [string, ...string[]];
  /** Absolute path. */
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly output: ChildOutput;
  /**
   * The command belongs to the terminal that kb was started from: it stays in kb's process group, so that the keys
   * for interrupt and suspend reach it as they reach any program, and so that it may read. kb can then end only the
   * command itself. Otherwise it gets a group of its own, and whatever kb sends goes to all of that.
   */
  readonly foreground: boolean;
  /** After so long it is ended, ms. */
  readonly timeoutMs?: number;
  /** Asks the command to end: with SIGINT where the reason is E_INTERRUPTED, else with SIGTERM. */
  readonly interrupt?: AbortSignal;
  /** Ends it without asking any longer. */
  readonly kill?: AbortSignal;
  /** The KB's lock is lost: the command must not go on. */
  readonly lost: AbortSignal;
  readonly clock: Clock;
}

export interface ChildEnd {
  /** null: a signal ended it. */
  readonly exitCode: number | null;
  /** `SIGTERM`; null: it ended by itself. */
  readonly signal: NodeJS.Signals | null;
  readonly durationMs: number;
}

export type EndedBy = 'itself' | 'timeout' | 'interrupt' | 'lost';

/** How long the command may take to end after it was asked to, ms. */
const GRACE_MS: Readonly<Record<Exclude<EndedBy, 'itself'>, number>> = { interrupt: 10_000, timeout: 5000, lost: 5000 };
/** How long a process may take to be gone after SIGKILL, ms. */
const DYING_MS = 1000;
/** How often kb looks whether the rest of the command's group has ended, ms. */
const LOOK_EVERY_MS = 20;

/**
 * Runs the command to its end, or ends it.
 *
 * Invariant: when this returns after kb ended a command in its own group, no process of that group runs any more, so
 * that nobody changes files while they are put back. What a command that ended by itself left in the background goes on.
 * @throws KbError E_COMMAND (exit code 127: no such program, 126: it cannot be started), E_USAGE; nothing ran then
 */
export async function runChild(request: ChildRequest): Promise<{ child: ChildEnd; endedBy: EndedBy }> {
  const { clock } = request;
  const start = clock.monotonic();
  const running = await RunningChild.start(request);
  const over = new AbortController();
  // Nothing else ends the command when kb's process is made to exit, and it would go on without a lock.
  const killAtExit = (): void => running.send('SIGKILL');
  process.on('exit', killAtExit);
  try {
    const endedBy = await Promise.race([
      running.ended.then((): EndedBy => 'itself'),
      aborted(request.lost, over.signal).then((): EndedBy => 'lost'),
      aborted(request.interrupt, over.signal).then((): EndedBy => 'interrupt'),
      timeUp(request, over.signal).then((): EndedBy => 'timeout'),
    ]);
    if (endedBy !== 'itself') await end(running, request, endedBy, over.signal);
    const { exitCode, signal } = await running.ended;
    return { child: { exitCode, signal, durationMs: Math.round(clock.monotonic() - start) }, endedBy };
  } finally {
    process.off('exit', killAtExit);
    over.abort();
  }
}

/** As shells tell it: a signal is 128 and its number. */
export function exitCodeOfChild({ exitCode, signal }: ChildEnd): number {
  if (exitCode !== null) return exitCode;
  return 128 + (signal === null ? 0 : constants.signals[signal]);
}

async function end(
  running: RunningChild,
  { interrupt, kill, clock }: ChildRequest,
  endedBy: Exclude<EndedBy, 'itself'>,
  over: AbortSignal,
): Promise<void> {
  const isInterrupt = endedBy === 'interrupt' && isKbError(interrupt?.reason, 'E_INTERRUPTED');
  running.send(isInterrupt ? 'SIGINT' : 'SIGTERM');
  running.send('SIGCONT'); // a stopped process hears nothing else
  await within(GRACE_MS[endedBy], clock, (given) =>
    Promise.race([running.allEnded(clock, given), aborted(kill, over)]),
  );
  if (running.hasAllEnded()) return;
  running.send('SIGKILL');
  // Bounded, for who has ended but is not reaped (a container without an init) looks like one who runs.
  await within(DYING_MS, clock, (given) => running.allEnded(clock, given));
}

async function within(ms: number, clock: Clock, work: (given: AbortSignal) => Promise<void>): Promise<void> {
  const given = new AbortController();
  const patience = clock.sleep(ms, given.signal).catch(() => undefined);
  await Promise.race([work(given.signal), patience]);
  given.abort();
}

/** Never resolves without a signal, nor once it is over. */
async function aborted(signal: AbortSignal | undefined, over: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal === undefined) return;
    if (signal.aborted) return resolve();
    const stop = (): void => resolve();
    signal.addEventListener('abort', stop, { once: true });
    over.addEventListener('abort', () => signal.removeEventListener('abort', stop), { once: true });
  });
}

async function timeUp({ timeoutMs, clock }: ChildRequest, over: AbortSignal): Promise<void> {
  if (timeoutMs === undefined) return aborted(undefined, over);
  try {
    await clock.sleep(timeoutMs, over);
  } catch {
    return aborted(undefined, over); // the command was faster
  }
}

class RunningChild {
  private hasEnded = false;

  private constructor(
    private readonly child: ChildProcess,
    private readonly pid: number,
    private readonly hasGroup: boolean,
    readonly ended: Promise<Pick<ChildEnd, 'exitCode' | 'signal'>>,
  ) {
    void ended.then(() => (this.hasEnded = true));
  }

  static async start({ command, cwd, env, output, foreground }: ChildRequest): Promise<RunningChild> {
    const [program, ...args] = command;
    const hasGroup = !foreground && process.platform !== 'win32';
    let child: ChildProcess;
    try {
      child = spawn(program, args, { cwd, env, stdio: streamsOf(output), detached: hasGroup });
    } catch (error) {
      throw cannotStart(program, error);
    }
    const ended = new Promise<Pick<ChildEnd, 'exitCode' | 'signal'>>((resolve) =>
      child.once('exit', (exitCode, signal) => resolve({ exitCode, signal })),
    );
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(cannotStart(program, error)));
    });
    child.on('error', () => undefined); // a signal that could not be sent: the command has ended
    return new RunningChild(child, child.pid ?? 0, hasGroup, ended);
  }

  /** To the whole group, where there is one; to nobody when it has ended. */
  send(signal: NodeJS.Signals): void {
    if (!this.hasGroup) {
      if (!this.hasEnded) this.child.kill(signal);
      return;
    }
    try {
      process.kill(-this.pid, signal);
    } catch (error) {
      if (!isErrno(error, 'ESRCH', 'EPERM')) throw error;
    }
  }

  /** A group lives as long as one of its processes, also when the first one has ended. */
  hasAllEnded(): boolean {
    if (!this.hasEnded || !this.hasGroup) return this.hasEnded;
    try {
      process.kill(-this.pid, 0);
      return false;
    } catch (error) {
      return isErrno(error, 'ESRCH');
    }
  }

  async allEnded(clock: Clock, given: AbortSignal): Promise<void> {
    await this.ended;
    while (!this.hasAllEnded() && !given.aborted) await clock.sleep(LOOK_EVERY_MS);
  }
}

function streamsOf(output: ChildOutput): StdioOptions {
  switch (output) {
    case 'inherit':
      return 'inherit';
    case 'stderr':
      return ['inherit', 2, 2];
    case 'ignore':
      return 'ignore';
  }
}

const NOT_STARTED: Readonly<Record<string, string>> = {
  EACCES: 'it is not executable',
  E2BIG: 'its arguments are too long',
  ENOEXEC: 'it is no program of this system',
  EAGAIN: 'there are too many processes',
  ENOMEM: 'there is not enough memory',
};

function cannotStart(program: string, error: unknown): KbError {
  const name = JSON.stringify(program);
  if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
    return new KbError('E_COMMAND', `there is no program ${name}; nothing was run`, {
      cause: error,
      hint: 'check its name and PATH; for a shell script write: kb run -- sh -c "…"',
      exitCode: 127,
    });
  }
  if (isErrno(error, 'ERR_INVALID_ARG_VALUE')) {
    return new KbError('E_USAGE', `${name} cannot be run: a NUL character is in an argument`, { cause: error });
  }
  const code = isErrno(error) ? (error.code ?? '') : '';
  const why = NOT_STARTED[code] ?? (error instanceof Error ? error.message : String(error));
  return new KbError('E_COMMAND', `${name} could not be started: ${why}; nothing was run`, {
    cause: error,
    hint: 'check the program and its permissions',
    exitCode: 126,
  });
}
