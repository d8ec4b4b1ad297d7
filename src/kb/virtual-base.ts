import { EMPTY_TREE, type Oid } from '../git/ids.js';
import { readCommit, serializeCommit, type Signature } from '../git/objects/commit.js';
import type { StagedObjects } from '../git/objects/staged.js';
import type { Leaf } from '../git/objects/tree.js';
import { diffTrees } from '../git/objects/tree-diff.js';
import { editTree } from '../git/objects/tree-edit.js';
import type { RepoPath } from '../git/paths.js';
import { applyChanges, type ConflictRules } from './apply-changes.js';
import type { MergeContents } from './merge-contents.js';
import type { CarryRenames } from './renames/carry.js';

export interface VirtualBaseRequest {
  readonly staged: StagedObjects;
  readonly committer: Signature;
  readonly merge: MergeContents;
  /** How files are followed to new names; undefined: they are not. */
  readonly renames: CarryRenames | undefined;
  /** Where the histories of two commits meet. */
  readonly meet: (a: Oid, b: Oid) => Promise<readonly Oid[]>;
}

/**
 * One commit in the place of several where two histories met (criss-cross merges): these merged with each other, from
 * where they met themselves, as git's recursive merge does (git-merge(1), "ort"). With only one of them for a base, what
 * the other one brought passes for an edit of whoever kept it, and undoes that somebody took it back.
 *
 * Invariant: what the bases contradict each other in is, in the commit made here, as it was before both of them, or not
 * there: whatever either side made of it then counts as that side's edit, and none gives way unseen.
 * (Broken by: test/integration/criss-cross.test.ts)
 * @param bases real commits, at least one
 * @returns a commit that no ref names
 * @throws whatever `meet` throws
 */
export async function virtualBase(request: VirtualBaseRequest, bases: readonly Oid[]): Promise<Oid | undefined> {
  let base = bases[0];
  for (const other of bases.slice(1)) {
    if (base === undefined) return other;
    const older = await virtualBase(request, await request.meet(base, other));
    base = mergeBases(request, older, base, other);
  }
  return base;
}

function mergeBases(
  { staged, committer, merge, renames }: VirtualBaseRequest,
  older: Oid | undefined,
  a: Oid,
  b: Oid,
): Oid {
  const before = older === undefined ? EMPTY_TREE : readCommit(staged, older).tree;
  const contested = new Map<RepoPath, Leaf | null>();
  const rules: ConflictRules = {
    policy: 'fail',
    mark: '',
    decide: ({ path, base }) => {
      contested.set(path, base);
      return { kind: 'policy', policy: 'theirs' };
    },
  };
  const local = readCommit(staged, b).tree;
  const changes = diffTrees(staged, before, local);
  const following = renames && { carry: renames, base: before, local, isAncestor: true };
  const { tree, settled } = applyChanges(staged, readCommit(staged, a).tree, changes, rules, merge, following);
  // A file in the place of a folder cannot be put back beside it: what stands there stays.
  for (const { path, reason, from, remotePath } of settled) {
    if (reason === 'file_and_folder') contested.delete(path);
    if (reason !== 'renamed_twice' || from === undefined || remotePath === undefined) continue;
    // Where each gave it another name, it has its old one.
    contested.set(from, contested.get(path) ?? null);
    contested.set(path, null).set(remotePath, null);
  }
  const message = 'Where histories met more than once\n';
  return staged.add(
    'commit',
    serializeCommit({
      tree: editTree(staged, tree, contested),
      parents: [a, b],
      author: committer,
      committer,
      message,
    }),
  );
}
