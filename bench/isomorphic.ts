import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { inherited, type Program } from './measure.js';

const PORCELAIN = fileURLToPath(new URL('./porcelain.mjs', import.meta.url));

/** Longer than this nobody waits for it, s. */
const PATIENCE_S = 120;

/** One of the operations in porcelain.mjs. */
export function porcelain(args: readonly string[], cwd: string, env: Readonly<Record<string, string>>): Program {
  return { command: process.execPath, args: [PORCELAIN, ...args], cwd, env };
}

/**
 * Runs a program to its end once; unlike for kb and native git, a failure is a result.
 * @returns its wall time in ms, or how it failed
 */
export function attempt({ command, args, cwd, env }: Program): number | string {
  const started = performance.now();
  const result = spawnSync(command, args, {
    cwd,
    env: { ...inherited(), ...env },
    encoding: 'utf8',
    timeout: PATIENCE_S * 1000,
    killSignal: 'SIGKILL',
  });
  const elapsed = performance.now() - started;
  if (result.status === 0) return elapsed;
  if (elapsed >= PATIENCE_S * 1000) return `over ${PATIENCE_S} s`;
  const word = /([A-Za-z]+)\s*$/.exec(result.stderr)?.[1] ?? result.signal ?? 'unknown';
  return `fails (${word})`;
}
