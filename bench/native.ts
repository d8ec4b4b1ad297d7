import { spawnSync } from 'node:child_process';

/**
 * Runs native git to prepare what is measured.
 * @throws Error with its message when it fails
 */
export function native(cwd: string, args: readonly string[]): string {
  // The names of 100,000 files are more than the 1 MiB that is the default.
  const options = { cwd, encoding: 'utf8', maxBuffer: 1 << 30 } as const;
  const result = spawnSync('git', ['-c', 'init.defaultBranch=main', ...args], options);
  if (result.status !== 0) throw new Error(`git ${args.join(' ')}: ${result.stderr}`, { cause: result.error });
  return result.stdout;
}
