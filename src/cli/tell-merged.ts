import { choicesOf } from '../kb/rules-that-choose.js';
import type { Terminal } from './terminal.js';

/**
 * Under `--verbose`, which files were put together by which rules: nobody has looked at the result yet. Two things are
 * always said: what went along to another name, for whoever looks for it looks under the old one, and where one of two
 * values was chosen, for the other one is gone.
 * @param merged the files that both sides changed; those that were merged by lines alone are as git would have them
 */
export function tellMerged(
  terminal: Pick<Terminal, 'line'>,
  merged: readonly { readonly path: string; readonly rules: readonly string[]; readonly from?: string }[],
  isVerbose: boolean,
): void {
  for (const { path, rules, from } of merged) {
    if (from !== undefined)
      terminal.line('info', `${from} is called ${path} now${isVerbose ? '' : ', with what others did to it'}`);
    if (isVerbose && rules.length > 0) terminal.line('info', `${path}: merged by ${rules.join(', ')}`);
    const choices = choicesOf(rules);
    if (choices.length > 0) terminal.line('info', `${path}: ${choices.join('; ')}`);
  }
}
