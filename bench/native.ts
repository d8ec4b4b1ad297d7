import { spawnSync } from 'node:child_process';

/**
 * Runs native git to prepare what is measured.
 * @throws Error with its message when it fails
 */
export function native(cwd: string, args: readonly string[]): string {
  const result = spawnSync('git', ['-c', 'init.defaultBranch=main', ...args], { cwd, encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`git ${args.join(' ')}: ${result.stderr}`, { cause: result.error });
  return result.stdout;
}
