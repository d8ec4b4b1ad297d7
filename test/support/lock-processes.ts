import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { LOCK_NAME } from '../../src/lock/layout.js';
import { currentProcess } from '../../src/lock/owner.js';
import { nodeDisk } from '../../src/disk/disk.js';
import { madeUpOwner, plantLock } from './lock-fixtures.js';

export type Locker = 'kb' | 'plain';

/** The child script as one file that node can run. */
export async function bundleContender(into: string): Promise<string> {
  const outfile = join(into, 'lock-contender.cjs');
  const entry = new URL('lock-contender.ts', import.meta.url).pathname;
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    logLevel: 'error',
  });
  return outfile;
}

export function temporaryDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'kb-lock-stress-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A child of this test and the lines it has printed. */
export class Child {
  readonly lines: string[] = [];
  readonly ended: Promise<number | NodeJS.Signals>;
  readonly process: ChildProcessWithoutNullStreams;
  private waiting: Array<() => void> = [];

  constructor(command: string, args: readonly string[]) {
    this.process = spawn(command, args, { stdio: 'pipe' });
    this.process.stderr.on('data', (data: Buffer) => this.lines.push(`failed ${data.toString()}`));
    const output = createInterface({ input: this.process.stdout });
    output.on('line', (line) => {
      this.lines.push(line);
      this.wake();
    });
    this.ended = new Promise((resolve) => {
      this.process.once('close', (code, signal) => {
        resolve(signal ?? code ?? 0);
        this.wake();
      });
    });
  }

  /** Resolves with the first line that begins so; rejects when the child ends without one. */
  async line(start: string): Promise<string> {
    for (;;) {
      const found = this.lines.find((line) => line.startsWith(start));
      if (found !== undefined) return found;
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        throw new Error(`ended without '${start}': ${this.lines.join('; ')}`);
      }
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  private wake(): void {
    for (const resume of this.waiting.splice(0)) resume();
  }
}

export interface StressResult {
  sections: number;
  kills: number;
  readonly overlaps: string[];
  readonly failures: string[];
}

/**
 * `contenders` processes run critical sections until `sections` were done, while random ones of them are killed
 * with SIGKILL and replaced. Only children of this call are ever signalled.
 */
export async function stress(
  script: string,
  locker: Locker,
  options: { contenders: number; sections: number; kills: number },
): Promise<StressResult> {
  const kb = temporaryDirectory();
  const result: StressResult = { sections: 0, kills: 0, overlaps: [], failures: [] };
  const running = new Set<Child>();
  const isDone = (): boolean => result.sections >= options.sections && result.kills >= options.kills;
  const runOne = async (): Promise<void> => {
    while (!isDone()) {
      const child = new Child(process.execPath, [script, locker, 'stress', kb.path, '1000000']);
      running.add(child);
      let seen = 0;
      const watch = child.process.stdout.on('data', () => {
        for (; seen < child.lines.length; seen++) {
          if (child.lines[seen] !== 'section') continue;
          result.sections++;
          // Kills come at times that depend on the work done, so that a slow machine sees as many of them.
          const due = Math.floor((result.sections / options.sections) * options.kills);
          if (result.kills < Math.min(due, options.kills)) killOne();
          if (isDone()) for (const other of running) other.process.kill('SIGKILL');
        }
      });
      await child.ended;
      watch.removeAllListeners('data');
      running.delete(child);
      result.overlaps.push(...child.lines.filter((line) => line.startsWith('overlap')));
      result.failures.push(...child.lines.filter((line) => line.startsWith('failed')));
      if (result.failures.length > 0) for (const other of running) other.process.kill('SIGKILL');
      if (result.failures.length > 0) return;
    }
  };
  const killOne = (): void => {
    const victims = [...running].filter((child) => child.process.exitCode === null);
    const victim = victims[Math.floor(Math.random() * victims.length)];
    // A random moment soon: inside a section, while waiting, while giving back.
    if (victim !== undefined) setTimeout(() => victim.process.kill('SIGKILL'), Math.random() * 5);
    if (victim !== undefined) result.kills++;
  };
  try {
    await Promise.all(Array.from({ length: options.contenders }, runOne));
  } finally {
    kb.remove();
  }
  return result;
}

/** Rounds in which `contenders` find the lock of one dead owner at the same time: how often several got it. */
export async function takeovers(
  script: string,
  locker: Locker,
  options: { contenders: number; rounds: number },
): Promise<{ broken: number; nobody: number }> {
  const result = { broken: 0, nobody: 0 };
  for (let round = 0; round < options.rounds; round++) {
    const kb = temporaryDirectory();
    if (locker === 'plain') {
      mkdirSync(join(kb.path, LOCK_NAME));
      utimesSync(join(kb.path, LOCK_NAME), 1000, 1000);
    } else {
      // This very process, but started at another time: provably dead.
      plantLock(kb.path, { ...madeUpOwner('dan'), ...currentProcess(nodeDisk), startTime: '1' });
    }
    const children = Array.from(
      { length: options.contenders },
      () => new Child(process.execPath, [script, locker, 'takeover', kb.path]),
    );
    await Promise.all(children.map((child) => child.line('ready')));
    for (const child of children) child.process.stdin.write('go\n');
    const outcomes = await Promise.all(
      children.map((child) => Promise.race([child.line('held'), child.line('not held')])),
    );
    const holders = outcomes.filter((line) => line === 'held').length;
    if (holders > 1) result.broken++;
    if (holders === 0) result.nobody++;
    for (const child of children) child.process.stdin.end();
    await Promise.all(children.map((child) => child.ended));
    kb.remove();
  }
  return result;
}

/** One line of the log that modes serve and side of the contender write. */
export interface Step {
  readonly who: string;
  readonly event: string;
  /** On the monotonic clock that all processes of this machine share, whatever their namespaces. */
  readonly atMs: number;
}

/** The moment as `Step.atMs` has it. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function readSteps(log: string): Step[] {
  return readFileSync(log, 'utf8')
    .split('\n')
    .slice(0, -1) // after the last line end: nothing, or a line that is being written
    .map((line) => {
      const [who = '', event = '', nanoseconds = ''] = line.split(' ');
      return { who, event, atMs: Number(nanoseconds) / 1e6 };
    });
}

/** One critical section, ms as in `Step.atMs`. */
export interface Section {
  readonly who: string;
  /** Before anything was done to get the lock. */
  readonly askedMs: number;
  /** When it was in the line for sure; undefined when it got the lock at once. */
  readonly joinedMs: number | undefined;
  readonly gotMs: number;
  /** Until when it was inside for sure: it left, found its lock lost, or was about to be killed. */
  readonly insideUntilMs: number;
  readonly isLong: boolean;
}

/** The sections in the order in which they were begun. A step of a side, `killed`, is one of all its members. */
export function sectionsOf(steps: readonly Step[]): Section[] {
  type Draft = { -readonly [K in keyof Section]: Section[K] };
  const sections: Draft[] = [];
  const asking = new Map<string, { askedMs: number; joinedMs: number | undefined }>();
  const inside = new Map<string, Draft>();
  const dead = new Set<string>();
  const leave = (who: string, atMs: number): void => {
    const section = inside.get(who);
    if (section !== undefined) section.insideUntilMs = Math.max(section.gotMs, atMs);
    inside.delete(who);
  };
  for (const { who, event, atMs } of steps) {
    const wish = asking.get(who);
    if (event === 'ask') asking.set(who, { askedMs: atMs, joinedMs: undefined });
    else if (event === 'joined' && wish !== undefined) wish.joinedMs = atMs;
    else if (event === 'in' && wish !== undefined) {
      const section = { who, ...wish, gotMs: atMs, insideUntilMs: Infinity, isLong: false };
      sections.push(section);
      inside.set(who, section);
      // A kill takes its time after it was logged: who got in meanwhile may have died at once.
      if (dead.has(who) || dead.has(who.split('.')[0] ?? '')) leave(who, atMs);
    } else if (event === 'long') {
      const section = inside.get(who);
      if (section !== undefined) section.isLong = true;
    } else if (event === 'out' || event === 'lost' || event === 'killed') {
      if (event === 'killed') dead.add(who);
      leave(who, atMs);
      for (const member of [...inside.keys()]) if (member.startsWith(`${who}.`)) leave(member, atMs);
    }
  }
  return sections.sort((a, b) => a.gotMs - b.gotMs);
}

/** Every section that began while another one was not over: there must be none. */
export function overlapsOf(sections: readonly Section[]): string[] {
  const overlaps: string[] = [];
  let last: Section | undefined;
  for (const section of sections) {
    if (last !== undefined && section.gotMs < last.insideUntilMs) {
      const left = Number.isFinite(last.insideUntilMs) ? `, left at ${last.insideUntilMs} ms` : '';
      overlaps.push(`${last.who} got in at ${last.gotMs} ms${left}; ${section.who} got in at ${section.gotMs} ms`);
    }
    if (last === undefined || section.insideUntilMs > last.insideUntilMs) last = section;
  }
  return overlaps;
}
