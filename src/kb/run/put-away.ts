import { asStorageError } from '../../disk/durable.js';
import { isKbError, KbError, type ErrorCode, type ErrorDetails } from '../../errors.js';
import type { RefName } from '../../git/ids.js';
import type { CountedChange } from '../changes.js';
import { finishInterruptedAdvance } from '../recover-advance.js';
import { changesOf, hasOwnCommits, isContent, lookAfter } from './after.js';
import { closeRun, type Before } from './begin.js';
import type { ChildEnd } from './child.js';
import type { RunContext } from './context.js';
import type { FailurePolicy } from './journal.js';
import { putBack, saveStash, wayBack } from './stash.js';

/** Why what the run changed is not committed. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly exitCode?: number;
  readonly retryable?: boolean;
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
}

/** What became of the run's changes. */
interface Fate {
  readonly text: string;
  readonly hint?: string;
  readonly changes?: readonly CountedChange[];
  readonly stash?: RefName;
}

/**
 * Does with the run's changes as the policy says, and tells both: why, and where they are.
 * @throws KbError E_LOCK_LOST: then nothing more was touched
 */
export function failRun(
  context: RunContext,
  before: Before,
  child: ChildEnd,
  failure: Failure,
  policy: FailurePolicy,
): KbError {
  let fate: Fate;
  try {
    fate = putAway(context, before, policy, failure);
  } catch (error) {
    const obstacle = asStorageError(error, 'put away what the command changed');
    if (!isKbError(obstacle, 'E_UNSAFE_STATE') && !isKbError(obstacle, 'E_STORAGE')) throw obstacle;
    fate = { text: `what it changed is left in the files: ${obstacle.message}`, hint: obstacle.hint };
  }
  const { code, message, cause, exitCode, retryable, details } = failure;
  const hint = fate.hint ?? failure.hint;
  return new KbError(code, `${message}; ${fate.text}`, {
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(retryable === undefined ? {} : { retryable }),
    details: { ...details, child, changes: fate.changes ?? null, stash: fate.stash ?? null },
  });
}

function putAway(context: RunContext, before: Before, policy: FailurePolicy, failure: Failure): Fate {
  const { kb, who, fence, identities, program, warn } = context;
  const { dirty, journal, branch } = before;
  // Half an advance names the run's changes as the branch's next state: finished after the files were put back, it
  // would make their old state look like an edit.
  finishInterruptedAdvance(kb, { who, fence });
  const after = lookAfter(context, before, policy === 'keep' ? 'now' : 'before');
  if (hasOwnCommits(before, after)) warn(`commits that were made while ${program} ran stay on ${branch.name}`);
  const { head, edits, staged } = after;
  const content = edits.filter(isContent);
  const changes = changesOf(context, before, after, content);
  const files = `${content.length} ${content.length === 1 ? 'file' : 'files'}`;
  if (policy === 'keep') {
    closeRun(context, before);
    if (content.length === 0) return { text: 'it changed nothing', changes };
    return {
      text: `what it changed (${files}) is left in the files`,
      changes,
      hint: failure.hint ?? 'commit it with: kb sync',
    };
  }
  const message = `kb run: ${failure.message}\n`;
  const [stash] =
    policy === 'discard'
      ? []
      : saveStash(kb, { ref: journal.stash, head, edits, dirty, staged, message, identities, who, fence });
  const left = putBack(kb, edits, fence);
  closeRun(context, before);
  if (left.length > 0) warn(`changed again meanwhile, and not put back: ${left.join(', ')}`);
  if (content.length === 0) return { text: 'it changed nothing', changes };
  if (stash === undefined) return { text: `what it changed (${files}) is thrown away`, changes };
  const text = `what it changed (${files}) is taken out of the files and saved as ${stash}`;
  return { text, changes, stash, hint: `get it back with: ${wayBack(stash)}` };
}
