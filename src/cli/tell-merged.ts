import type { Terminal } from './terminal.js';

/**
 * Under `--verbose`, which files were put together by which rules: nobody has looked at the result yet.
 * @param merged the files that both sides changed; those that were merged by lines alone are as git would have them
 */
export function tellMerged(
  terminal: Terminal,
  merged: readonly { readonly path: string; readonly rules: readonly string[] }[],
  isVerbose: boolean,
): void {
  if (!isVerbose) return;
  for (const { path, rules } of merged) {
    if (rules.length > 0) terminal.line('info', `${path}: merged by ${rules.join(', ')}`);
  }
}
