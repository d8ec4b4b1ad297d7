import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { kbEnvironment } from './kb.js';

export interface StormCommand {
  readonly clone: string;
  readonly args: readonly string[];
}

export interface Ended {
  readonly code: number | null;
  /** It was the storm that killed it. */
  readonly killed: boolean;
  readonly stdout: string;
  readonly stderr: string;
  /** `stderr` as it came, piece by piece. */
  readonly timeline: readonly { readonly text: string; readonly atMs: number }[];
  readonly durationMs: number;
}

/** Longer than any wait that faults and pauses can add up to: a command that takes so long hangs. */
const HANGS_AFTER_MS = 120_000;
/** No command of the storm goes on for so long, paused or not. */
const OUTLIVES_MS = 15_000;

/** A kb process of the storm. Signals go only to a child whose end was not reported yet, so never to a reused pid. */
export class StormProcess {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  /** Process groups of the commands that it ran when it was last killed or paused. */
  readonly #children = new Set<number>();
  #killed = false;
  #hangs = false;
  #isOver = false;

  constructor(
    program: string,
    readonly command: StormCommand,
  ) {
    const start = performance.now();
    this.#child = spawn(process.execPath, [program, ...command.args], {
      cwd: command.clone,
      env: kbEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    this.#child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
    const timeline: { readonly text: string; readonly atMs: number }[] = [];
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      err.push(chunk);
      timeline.push({ text: chunk.toString('utf8'), atMs: performance.now() - start });
    });
    const watchdog = setTimeout(() => {
      this.#hangs = true;
      this.kill(true);
    }, HANGS_AFTER_MS);
    this.ended = new Promise((resolve, reject) => {
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        clearTimeout(watchdog);
        const stderr = `${Buffer.concat(err).toString('utf8')}${this.#hangs ? `hung for ${HANGS_AFTER_MS / 1000} s` : ''}${signal === null || this.#killed ? '' : `ended by ${signal}`}`;
        const killed = this.#killed && !this.#hangs && signal === 'SIGKILL';
        const stdout = Buffer.concat(out).toString('utf8');
        resolve({ code, killed, stdout, stderr, timeline, durationMs: performance.now() - start });
      };
      this.#child.once('error', reject);
      this.#child.once('exit', (code, signal) => {
        this.#isOver = true;
        // Orphans of a killed process keep its output open; nobody waits for them.
        if (signal !== null) end(code, signal);
      });
      this.#child.once('close', end);
    });
  }

  get pid(): number | undefined {
    return this.#isOver ? undefined : this.#child.pid;
  }

  /** @param withChildren the commands that it runs as well; otherwise they live on without it */
  kill(withChildren: boolean): void {
    this.#killed = true;
    this.#noteChildren();
    this.#signal('SIGKILL');
    if (withChildren) this.endChildren();
  }

  pause(): void {
    this.#noteChildren();
    this.#signal('SIGSTOP');
    this.#signalChildren('SIGSTOP');
  }

  /** Its commands go on as well, whether or not it was killed meanwhile. */
  resume(): void {
    this.#signal('SIGCONT');
    this.#signalChildren('SIGCONT');
  }

  endChildren(): void {
    this.#signalChildren('SIGKILL');
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.pid !== undefined) this.#child.kill(signal);
  }

  #noteChildren(): void {
    if (this.pid !== undefined) for (const child of childrenOf(this.pid)) this.#children.add(child);
  }

  #signalChildren(signal: NodeJS.Signals): void {
    for (const child of this.#children) signalGroup(child, signal);
  }
}

/** Only of a process that was not reported as ended, so that they are children of ours and of nobody else. */
function childrenOf(pid: number): number[] {
  try {
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return list.split(' ').filter(Boolean).map(Number);
  } catch {
    return []; // it ends at this moment
  }
}

/** `kb run` gives its command a process group of its own. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // it has ended, or no group was made yet; then it is about to find its parent gone
  }
}

/** Every kb process that the storm has started and that has not ended. */
export class StormProcesses {
  readonly #living = new Set<StormProcess>();
  /** Killed lately: their commands may have outlived them. No longer, for a process group's number is used again. */
  readonly #justDied = new Set<StormProcess>();
  started = 0;

  constructor(private readonly program: string) {}

  async run(command: StormCommand): Promise<Ended> {
    this.started += 1;
    const process = new StormProcess(this.program, command);
    this.#living.add(process);
    try {
      return await process.ended;
    } finally {
      this.#living.delete(process);
      this.#justDied.add(process);
      setTimeout(() => this.#justDied.delete(process), OUTLIVES_MS).unref();
    }
  }

  get living(): readonly StormProcess[] {
    return [...this.#living].filter(({ pid }) => pid !== undefined);
  }

  /** Of the living, those that hold their KB's lock: the ones whose death does most harm. */
  get holders(): readonly StormProcess[] {
    return this.living.filter(({ pid, command }) => pid === holderOf(command.clone));
  }

  async killAll(): Promise<void> {
    const all = [...this.#living];
    for (const process of all) process.kill(true);
    for (const process of this.#justDied) process.endChildren();
    await Promise.all(all.map(({ ended }) => ended));
  }
}

function holderOf(clone: string): number | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(join(clone, '.kb_operations.lock/owner.json'), 'utf8'));
    return (record as { pid?: number }).pid;
  } catch {
    return undefined; // free, or just being given back
  }
}
