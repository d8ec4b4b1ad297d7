import { spawn, spawnSync } from 'node:child_process';
import { entry, kbEnvironment } from './kb.js';

const probe = spawnSync('script', ['--version'], { encoding: 'utf8' });

/** util-linux's script(1) gives a command a terminal of its own: what is written to it is typed there. */
export const pseudoTerminal = {
  available: probe.status === 0 && probe.stdout.includes('util-linux'),
};

export interface Typed {
  readonly code: number;
  /** All that stood on the screen. */
  readonly screen: string;
}

/**
 * Runs kb on a terminal of its own.
 * @param typed what is typed, each as soon as the screen shows the text before it
 */
export function kbOnTerminal(cwd: string, args: readonly string[], typed: readonly [string, string][]): Promise<Typed> {
  const command = [process.execPath, entry, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const env = kbEnvironment({ PATH: process.env['PATH'], SHELL: '/bin/sh', TERM: 'dumb' }); // no CI, where nobody is asked
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { cwd, env });
  let screen = '';
  let shown = 0;
  const left = [...typed];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
    for (let next = left[0]; next !== undefined && screen.includes(next[0], shown); next = left[0]) {
      shown = screen.indexOf(next[0], shown) + next[0].length;
      child.stdin.write(next[1]);
      left.shift();
    }
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, screen }));
  });
}
