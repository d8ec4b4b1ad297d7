import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { KbError, isKbError } from '../../errors.js';
import type { ByteSource } from '../protocol/pkt-line.js';
import type { RequestBody } from '../protocol/request-body.js';
import type { CommandLine } from './command.js';
import { sshError, startError, type SshFailure } from './failure.js';

/** What ssh and the server's programs say that is worth keeping: the end of it. */
const KEPT_STDERR_BYTES = 8192;
/** After its output has ended, ssh has so long to end itself, milliseconds. */
const LAST_WORDS_MS = 5000;
/** What it printed last is here mostly before its end is; a background process may hold the stream open for hours. */
const LAST_WORD_MS = 100;
/** At the end of everything it has so long before it is ended, milliseconds. */
const LEAVING_MS = 2000;
/** And so long after it was asked to end. */
const DYING_MS = 1000;
/** Node takes a longer timer for one of 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface ConnectionOptions {
  readonly command: CommandLine;
  readonly env: Record<string, string>;
  /** How messages name the program and the other side. */
  readonly programName: string;
  readonly displayUrl: string;
  readonly destination: string;
  /** ssh cannot ask anybody: it gets a process group of its own, and so does what it starts. */
  readonly batch: boolean;
  /** Milliseconds left for the whole operation. */
  readonly remainingMs: () => number;
  /** Milliseconds without a byte after which the other side counts as gone. */
  readonly idleMs: number;
  readonly signal?: AbortSignal | undefined;
}

type SshProcess = ChildProcessByStdio<Writable, Readable, Readable>;

/**
 * One ssh with one program of git at its other end.
 *
 * Invariant: whatever goes wrong, every call ends (by what ssh says, by silence, by the deadline, by the abort), and
 * `close` leaves no process behind that this class has started.
 */
export class SshConnection implements ByteSource {
  /** Bytes came from the other side: the connection stands, and nobody is asked anything any more. */
  hasAnswered = false;
  readonly #child: SshProcess;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #exited: Promise<void>;
  readonly #stderrEnded: Promise<void>;
  #startFailure: KbError | undefined;
  #exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | undefined;
  /** Why this side ended it. */
  #stopped: KbError | undefined;
  #hasEnded = false;
  #stderr = Buffer.alloc(0);

  constructor(private readonly options: ConnectionOptions) {
    const { command, env, batch } = options;
    this.#child = start(command, env, batch);
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => {
        this.#exit = { code, signal };
        resolve();
      });
      this.#child.once('error', (error) => {
        if (this.#child.pid !== undefined) return; // it runs; only a signal did not reach it
        this.#startFailure = startError(error, options.programName);
        resolve();
      });
    });
    this.#child.stdin.on('error', () => undefined); // seen by the write, or by the reply that does not come
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr = Buffer.concat([this.#stderr, chunk]).subarray(-KEPT_STDERR_BYTES);
    });
    this.#child.stderr.on('error', () => undefined);
    this.#stderrEnded = new Promise((resolve) => this.#child.stderr.once('close', resolve));
    this.#chunks = this.#child.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** Nothing can be asked over it any more. */
  get isOver(): boolean {
    return this.#exit !== undefined || this.#startFailure !== undefined || this.#stopped !== undefined;
  }

  /** Its output has ended, which is never how a conversation ends well. */
  get wasCut(): boolean {
    return this.#hasEnded;
  }

  async read(): Promise<Buffer | undefined> {
    // A stream that is destroyed with the process rejects; to the reader that is an end like any other.
    const next = await this.#inTime(this.#chunks.next().catch(() => undefined));
    if (next === undefined || next.done === true) {
      this.#hasEnded = true;
      return undefined;
    }
    this.hasAnswered = true;
    return next.value;
  }

  /**
   * Sends a request, with back-pressure. The last chunk is held back until all before it is on its way.
   * @param onLast called right before the last bytes leave: the other side can have the whole request from then on
   * @throws KbError E_NETWORK, E_AUTH, the abort reason, or what the body threw
   */
  async write({ chunks, beforeLast }: RequestBody, onLast?: () => void): Promise<void> {
    let held: Uint8Array | undefined;
    for (const chunk of chunks) {
      if (held !== undefined) await this.#send(held);
      held = chunk;
    }
    beforeLast?.();
    if (this.isOver) throw await this.failure();
    onLast?.();
    if (held !== undefined) await this.#send(held);
  }

  /** What went wrong, in ssh's and the server's own words, once the other side has said its last. */
  async failure(): Promise<KbError> {
    if (this.#stopped !== undefined) return this.#stopped;
    // Its output is over, and mostly so is ssh; its last words arrive in the same instant.
    await within(LAST_WORDS_MS, this.#exited);
    await within(LAST_WORD_MS, this.#stderrEnded);
    return this.#startFailure ?? sshError(this.#facts());
  }

  /** Lets ssh end by itself; one that does not is ended. `farewell`: what git says before it hangs up. */
  async close(farewell?: Buffer): Promise<void> {
    const { stdin, stdout, stderr } = this.#child;
    if (!this.isOver && farewell !== undefined && stdin.writable) stdin.write(farewell);
    stdin.end();
    stdout.destroy(); // nobody reads it any more: an ssh that still has something to say must not wait for ever
    if (this.#stopped === undefined) await within(LEAVING_MS, this.#exited);
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      if (this.#isGone()) break;
      this.#end(signal);
      await within(DYING_MS, this.#exited);
    }
    // A shared connection that ssh leaves in the background may hold them for hours.
    for (const stream of [stdin, stderr]) stream.destroy();
  }

  #isGone(): boolean {
    return this.#exit !== undefined || this.#startFailure !== undefined;
  }

  async #send(chunk: Uint8Array): Promise<void> {
    const written = new Promise<void>((resolve, reject) => {
      this.#child.stdin.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
    try {
      await this.#inTime(written);
    } catch (error) {
      // "Broken pipe" tells nothing; what ssh printed does.
      throw isKbError(error) ? error : await this.failure();
    }
  }

  /** Waits for the other side no longer than there is time, and than it may be silent. */
  async #inTime<T>(waitedFor: Promise<T>): Promise<T> {
    waitedFor.catch(() => undefined); // it may fail after nobody waits for it any more
    if (this.#stopped !== undefined) throw this.#stopped;
    const { signal, remainingMs, idleMs, batch } = this.options;
    let timer: NodeJS.Timeout | undefined;
    let onAbort: (() => void) | undefined;
    const stopped = new Promise<never>((_, reject) => {
      const stop = (error: KbError): void => {
        this.#stopped = error;
        this.#end('SIGTERM');
        reject(error);
      };
      onAbort = () => stop(abortError(signal?.reason));
      if (signal?.aborted === true) return onAbort();
      signal?.addEventListener('abort', onAbort, { once: true });
      // A person who is asked for a passphrase may take their time.
      const silenceMs = batch || this.hasAnswered ? idleMs : Infinity;
      const left = Math.max(0, remainingMs());
      timer = setTimeout(
        () => {
          // After long work of this process the bytes may be waiting to be read: a look before giving up.
          setImmediate(() => stop(this.#tooSlow(left <= silenceMs)));
        },
        Math.min(LONGEST_TIMER_MS, silenceMs, left),
      );
    });
    stopped.catch(() => undefined);
    try {
      return await Promise.race([waitedFor, stopped]);
    } finally {
      clearTimeout(timer);
      if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
    }
  }

  #tooSlow(isDeadline: boolean): KbError {
    const why = isDeadline ? 'the time for the whole operation is over' : 'the other side went silent';
    return new KbError('E_NETWORK', `no reply from ${this.options.displayUrl} in time: ${why}`, {
      hint: 'see where ssh hangs with: ssh -v; give it more time with KB_GIT_TIMEOUT',
      details: { timedOut: true },
    });
  }

  #facts(): SshFailure {
    const { programName, displayUrl, destination } = this.options;
    return {
      programName,
      displayUrl,
      destination,
      exitCode: this.#exit?.code ?? null,
      stderr: this.#stderr.toString('utf8'),
    };
  }

  /** Only what this class has started: ssh itself, and in a group of its own what a wrapper of the user's starts. */
  #end(signal: 'SIGTERM' | 'SIGKILL'): void {
    const { pid } = this.#child;
    if (pid === undefined || this.#isGone()) return;
    try {
      if (this.options.batch && process.platform !== 'win32') process.kill(-pid, signal);
      else this.#child.kill(signal);
    } catch {
      this.#child.kill(signal); // the group is gone
    }
  }
}

/** Whether a program ends with exit code 0; what it prints does not matter. */
export async function succeeds(
  command: CommandLine,
  env: Record<string, string>,
  limits: Pick<ConnectionOptions, 'remainingMs' | 'signal'>,
): Promise<boolean> {
  const child: ChildProcess = spawn(command.program, [...command.args], { env, stdio: 'ignore' });
  const { signal } = limits;
  const stop = (): void => void child.kill('SIGKILL');
  const timer = setTimeout(stop, Math.min(10_000, Math.max(0, limits.remainingMs())));
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await new Promise((resolve) => {
      child.once('error', () => resolve(false));
      child.once('exit', (code) => resolve(code === 0));
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

function start({ program, args }: CommandLine, env: Record<string, string>, batch: boolean): SshProcess {
  return spawn(program, [...args], {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
    // Apart from the terminal, where keys for kb would reach it; but on one it may ask, and must belong to it.
    detached: batch && process.platform !== 'win32',
    windowsHide: true,
  });
}

/**
 * Waits, but not for ever. Its timer keeps the process alive: one that did not would let kb end in the middle, with
 * exit code 0, where nothing else is left to wait for.
 */
async function within(milliseconds: number, waitedFor: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds)));
  await Promise.race([waitedFor, patience]);
  clearTimeout(timer);
}

function abortError(reason: unknown): KbError {
  if (reason instanceof KbError) return reason;
  return new KbError('E_INTERRUPTED', 'the transfer was stopped', { cause: reason });
}
