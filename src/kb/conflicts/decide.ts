import type { StagedObjects } from '../../git/objects/staged.js';
import type { Leaf } from '../../git/objects/tree.js';
import { contestedStretches, unitedText, type Stretch } from '../../merge/contested.js';
import type { MergeContents } from '../merge-contents.js';
import { sameLeaf } from '../run/snapshot.js';
import type { Choice, ConflictedFile, Sides } from './record.js';

/**
 * What becomes of a file in conflict: its new state, or a policy of `kb sync --on-conflict` that settles it (`copy`: both
 * stay, one of them under another name).
 */
export type Verdict =
  | { readonly kind: 'put'; readonly leaf: Leaf; readonly choice: Choice }
  | { readonly kind: 'policy'; readonly policy: 'ours' | 'theirs' | 'copy' };

/**
 * Carries a decision out on the versions as they are now.
 *
 * Invariant: what the person who decided has not seen is never given up by that decision: versions that came since are
 * merged with what was decided, and where they contradict it, the conflict is open again.
 * (Broken by: test/integration/conflicts.test.ts, "the remote's file changed again")
 * @param recorded what was decided on, and what
 * @param now the versions as they meet now
 * @returns undefined: it has to be decided anew
 */
export function carryOut(
  staged: StagedObjects,
  recorded: ConflictedFile,
  now: Sides,
  merge: MergeContents,
): Verdict | undefined {
  if (recorded.decided === undefined) return undefined;
  const { choice, result } = recorded.decided;
  // Both, or theirs as it is by now: nothing is given up that others have written.
  if (choice === 'both') return keepBoth(staged, now);
  if (choice === 'theirs') return sameLeaf(recorded.ours, now.ours) ? { kind: 'policy', policy: 'theirs' } : undefined;
  const made = choice === 'ours' ? now.ours : withOwnChange(staged, recorded, now, result, merge);
  if (sameLeaf(recorded.theirs, now.theirs)) {
    if (choice === 'ours') return { kind: 'policy', policy: 'ours' };
    return made === undefined || made === null ? undefined : { kind: 'put', leaf: made, choice };
  }
  const leaf = mergeThree(staged, now, { base: recorded.theirs, ours: now.theirs, theirs: made ?? null }, merge);
  return leaf === undefined ? undefined : { kind: 'put', leaf, choice };
}

/** What was edited in the file here since it was decided goes along. */
function withOwnChange(
  staged: StagedObjects,
  recorded: Sides,
  now: Sides,
  result: Leaf | undefined,
  merge: MergeContents,
): Leaf | undefined {
  if (result === undefined || sameLeaf(recorded.ours, now.ours)) return result;
  return mergeThree(staged, now, { base: recorded.ours, ours: result, theirs: now.ours }, merge);
}

function mergeThree(
  staged: StagedObjects,
  { path }: Sides,
  { base, ours, theirs }: { readonly base: Leaf | null; readonly ours: Leaf | null; readonly theirs: Leaf | null },
  merge: MergeContents,
): Leaf | undefined {
  if (ours === null || theirs === null || !isRegular(ours) || !isRegular(theirs)) return undefined;
  const read = (leaf: Leaf): Buffer => staged.read(leaf.oid).data;
  const merged = merge({ base: base === null ? undefined : read(base), ours: read(ours), theirs: read(theirs), path });
  return merged.kind === 'conflict' ? undefined : { mode: ours.mode, oid: staged.add('blob', merged.data) };
}

function keepBoth(staged: StagedObjects, now: Sides): Verdict {
  const stretches = stretchesOf(staged, now);
  if (stretches === undefined || now.ours === null) return { kind: 'policy', policy: 'copy' };
  // What has landed stands first, as with additions that are merged.
  const text = unitedText(stretches.map(swapped));
  return { kind: 'put', leaf: { mode: now.ours.mode, oid: staged.add('blob', text) }, choice: 'both' };
}

/**
 * The file as far as it merges, ours as a sync means it: what is local. undefined: there is no text to put together.
 * @param sides both of them text
 */
export function stretchesOf(
  staged: Pick<StagedObjects, 'read'>,
  { path, base, ours, theirs }: Sides,
): Stretch[] | undefined {
  if (ours === null || theirs === null) return undefined;
  if (![base ?? ours, ours, theirs].every(isRegular)) return undefined;
  const read = (leaf: Leaf): Buffer => staged.read(leaf.oid).data;
  const stretches = contestedStretches({
    base: base === null ? undefined : read(base),
    ours: read(theirs), // what has landed comes first in all that is merged
    theirs: read(ours),
    path,
  });
  return stretches?.map(swapped);
}

function swapped(stretch: Stretch): Stretch {
  return stretch.kind === 'settled' ? stretch : { ...stretch, ours: stretch.theirs, theirs: stretch.ours };
}

function isRegular({ mode }: Leaf): boolean {
  return mode === 0o100644 || mode === 0o100755;
}
