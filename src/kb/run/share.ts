import { KbError } from '../../errors.js';
import type { Oid } from '../../git/ids.js';
import type { RepoPath } from '../../git/paths.js';
import type { MergedFile } from '../apply-changes.js';
import type { CountedChange } from '../changes.js';
import type { CollectedEdits } from '../cycle.js';
import { runTurn } from '../group-commit.js';
import { changesOf, hasOwnCommits, isContent, type After } from './after.js';
import type { Before } from './begin.js';
import { commitEdits, findAsLanded } from './commit.js';
import type { RunContext } from './context.js';
import type { RunEdit } from './run-edits.js';
import { putBack } from './stash.js';

export interface ShareRequest {
  readonly selects: (path: RepoPath) => boolean;
  readonly message: string | undefined;
  readonly push: boolean;
}

/** What came of it. */
export interface Shared {
  /** `landed`: on the remote; `saved`: a local commit; `nothing`: there was nothing to commit. */
  readonly result: 'landed' | 'saved' | 'nothing';
  /** The run's commit as it is on the branch; null: there is none. */
  readonly commit: Oid | null;
  /** Reachable from the remote branch. */
  readonly landed: boolean;
  readonly changes: readonly CountedChange[];
  /** Changed files that were not selected: they stay uncommitted. */
  readonly left: readonly RepoPath[];
  /** Files in which edits of others were merged with the run's, or with those of local commits. */
  readonly merged: readonly MergedFile[];
  /** Made to the remote. */
  readonly requests: number;
}

/**
 * Commits what the run changed and pushes it, in one cycle upon whatever the branch has become meanwhile.
 * @throws KbError as runCycle; what the run changed is in the files then, as it was, or (details.saved) in a commit
 */
export async function shareEdits(
  context: RunContext,
  before: Before,
  after: After,
  { selects, message, push }: ShareRequest,
): Promise<Shared> {
  const { kb, program, warn } = context;
  const content = after.edits.filter(isContent);
  const chosen = content.filter(({ path, committable }) => committable && selects(path));
  const left = content.filter(({ path, committable }) => committable && !selects(path));
  if (left.length > 0) warn(`not selected by --path, and left uncommitted: ${named(left)}`);
  const mixed = chosen.filter(({ isMixed }) => isMixed);
  if (mixed.length > 0) warn(`the commit also has what was uncommitted before, in: ${named(mixed)}`);
  const changes = changesOf(context, before, after, chosen);
  const told = { changes, left: left.map(({ path }) => path) };
  // What was only staged, without a change of the file, is nothing to commit: it is as it was before.
  putBack(
    kb,
    after.edits.filter((edit) => !isContent(edit)),
    context.fence,
  );
  if (chosen.length === 0 && !hasOwnCommits(before, after))
    return { ...told, result: 'nothing', commit: null, landed: false, merged: [], requests: 0 };

  let collected: CollectedEdits | undefined;
  const plan = {
    operation: 'run',
    pull: push, // without a push nothing has to be brought together with the remote
    push,
    putsEditsAway: true,
    collect: ({
      branch,
      identities,
    }: {
      branch: { commit: Oid | undefined };
      identities: RunContext['identities'];
    }) => {
      if (branch.commit !== after.head) throw new KbError('E_INTERNAL', 'the branch moved after the command had ended');
      const { head, staged } = after;
      collected = commitEdits(kb, { head, edits: chosen, dirty: before.dirty, staged, identities, message, program });
      return collected;
    },
  };
  const outcome = await runTurn(kb, plan, context.hold);
  const made = collected?.commit ?? after.head;
  // Others may have been faster: then the commit was replayed upon theirs, under another id.
  const commit = made === undefined || outcome.after === undefined ? undefined : findAsLanded(kb, made, outcome.after);
  const { landed, requests } = outcome;
  const common = { ...told, landed, requests, merged: outcome.merged };
  if (changes.length === 0) return { ...common, result: 'nothing', commit: null };
  return { ...common, result: landed ? 'landed' : 'saved', commit: commit ?? outcome.after ?? null };
}

/** The first of many, for messages. */
export function named(files: readonly Pick<RunEdit, 'path'>[]): string {
  const paths = files.slice(0, 3).map(({ path }) => path);
  return files.length > 3 ? `${paths.join(', ')} and ${files.length - 3} more` : paths.join(', ');
}
