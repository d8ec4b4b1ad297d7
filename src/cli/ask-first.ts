import { programDisk } from '../disk/disk.js';
import { askAhead, type FirstQuestion } from '../kb/ask-ahead.js';
import { findGround } from '../kb/ground.js';
import { surroundings } from '../kb/surroundings.js';
import { mayAsk } from './may-ask.js';

/** With one of these there is nothing to ask, not this remote, or not now. */
const OTHERWISE = /^(--(no-push|no-pull|dry-run|edit|session-branch|help)(=|$)|-h$)/;

/**
 * Asks the remote what the first request of `kb note` asks. A program by itself (dist/program/ask.cjs), which bin/run.js
 * starts before it loads the rest: for a cycle over http two thirds of kb's start are over before the answer is there.
 * Flags are only looked at here; whether they are right, the command finds out.
 * @param argv behind `note`
 * @returns undefined: not asked
 */
export async function askFirst(argv: readonly string[]): Promise<FirstQuestion | undefined> {
  const end = argv.indexOf('--');
  const words = end < 0 ? argv : argv.slice(0, end);
  if (words.some((word) => OTHERWISE.test(word))) return undefined;
  const at = words.findIndex((word) => /^--kb(=|$)/.test(word));
  const kb = at < 0 ? undefined : (/^--kb=(.*)$/s.exec(words[at] ?? '')?.[1] ?? words[at + 1]);
  return askAhead(
    (around) => findGround(surroundings({ disk: programDisk, ...around }), kb === undefined ? {} : { kb }),
    isAtTerminal() && !words.includes('--json') && mayAsk(process),
  );
}

/** Finding out with `process.stdin` and `process.stderr` takes 2 ms, which is much before the first request. */
function isAtTerminal(): boolean {
  try {
    return [0, 2].every((descriptor) => programDisk.fstatSync(descriptor).isCharacterDevice());
  } catch {
    return false; // one of them is closed
  }
}
