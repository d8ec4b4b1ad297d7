import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { text } from 'node:stream/consumers';

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Runs a program to its end.
 * @returns its wall time in ms, from before it is started until it is gone
 * @throws Error with its output when it fails: a failing run must not count as a fast one
 */
export function timed(program: Program): number {
  const { command, args, cwd, env } = program;
  const started = performance.now();
  const result = spawnSync(command, args, { cwd, env: { ...inherited(), ...env }, encoding: 'utf8' });
  const elapsed = performance.now() - started;
  if (result.status !== 0) {
    throw failure(program, result.status, `${result.stderr}${result.stdout}`);
  }
  return elapsed;
}

/** Now, ms since 1970 with fractions: to be compared with what another process says. */
export function spawnedAt(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * Runs a program to its end, beside others.
 * @returns what it printed on stdout
 * @throws Error with its output when it fails
 */
export async function finished(program: Program): Promise<string> {
  const { command, args, cwd, env } = program;
  const child = spawn(command, args, { cwd, env: { ...inherited(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const [[status], stdout, stderr] = await Promise.all([
    once(child, 'close') as Promise<[number | null]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  if (status !== 0) throw failure(program, status, `${stderr}${stdout}`);
  return stdout;
}

function failure({ command, args }: Program, status: number | null, output: string): Error {
  return new Error(`${command} ${args.join(' ')} exited with ${String(status)}: ${output}`);
}

/** Node reads these certificates at every start, 30 ms here, before any program of it runs; nothing measured needs them. */
export function inherited(): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _, ...rest } = process.env;
  return rest;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/**
 * Runs the contestants in turns, each round in another order, so that whatever the machine does meanwhile
 * hits all of them alike. One round more than asked for is run first and dropped: it warms caches.
 * @returns what each contestant returned round by round: mostly its times, in ms
 */
export async function interleave<Name extends string>(
  rounds: number,
  contestants: Readonly<Record<Name, (round: number) => Promise<number> | number>>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(contestants) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = 0; round <= rounds; round += 1) {
    const turn = round % names.length;
    for (const name of [...names.slice(turn), ...names.slice(0, turn)]) {
      const time = await contestants[name](round);
      if (round > 0) times[name].push(time);
    }
  }
  return times;
}

/**
 * What makes a Node program tell the most memory that it held at once, in a file at its exit, in kilobytes. It tells
 * that itself: on Linux from VmHWM, because `ru_maxrss` of a child starts with what its parent held when it was started.
 * @returns for NODE_OPTIONS
 */
export function memoryProbe(report: string): string {
  const probe = `
    import { readFileSync, writeFileSync } from 'node:fs';
    process.on('exit', () => {
      let kilobytes = process.resourceUsage().maxRSS;
      try {
        kilobytes = Number(/VmHWM:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
      } catch {}
      writeFileSync(${JSON.stringify(report)}, String(kilobytes));
    });`;
  return `--import=data:text/javascript,${encodeURIComponent(probe)}`;
}

/** The most memory that a Node program held at once, in MB. */
export function peakMemory(program: Program, report: string): number {
  timed({ ...program, env: { ...program.env, NODE_OPTIONS: memoryProbe(report) } });
  const kilobytes = Number(readFileSync(report, 'utf8'));
  rmSync(report);
  return kilobytes / 1024;
}
