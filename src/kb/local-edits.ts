import { join } from 'node:path';
import type { Identities } from '../config/identity.js';
import type { GitIndex, NewEntry } from '../git/index/index-file.js';
import type { Oid } from '../git/ids.js';
import { StagedObjects } from '../git/objects/staged.js';
import type { FileMode, Leaf } from '../git/objects/tree.js';
import { editTree } from '../git/objects/tree-edit.js';
import type { RepoPath } from '../git/paths.js';
import { UNKNOWN_STAT } from '../git/worktree/modes.js';
import { UntrackedCache } from '../git/worktree/untracked-cache.js';
import { scanChanges, type WorktreeChange } from '../git/worktree/status.js';
import type { Purpose } from '../git/worktree/worktree.js';
import { treeOf } from './advance.js';
import { userFile } from './content-rules.js';
import type { CollectedEdits } from './cycle.js';
import type { CheckedOutBranch, Kb } from './open.js';
import { sealCommit } from './seal-commit.js';
import { submoduleAt } from './submodules.js';

/** Obsidian writes these at every click; committing them would make every device conflict with every other. */
const NEVER_COMMITTED = /^(?:.*\/)?\.obsidian\/workspace[^/]*\.json$/;

export interface LocalEdit {
  readonly path: RepoPath;
  readonly kind: 'added' | 'modified' | 'deleted';
  /** false: kb never commits this one. */
  readonly committable: boolean;
}

/** Every file that differs between the last commit and the work tree, git's ignore rules applied; each once. */
export function scanLocalEdits(kb: Kb, index: GitIndex, head: CheckedOutBranch['commit']): LocalEdit[] {
  const excludesFile = userFile(kb, kb.surroundings.env, 'excludesfile', 'ignore');
  const cache = openUntrackedCache(kb);
  const changes = scanChanges(kb.worktree, index, {
    excludesFile,
    headTree: treeOf(kb, head),
    objects: kb.objects,
    ...(cache === undefined ? {} : { cache }),
  });
  cache?.save();
  const edits = new Map<RepoPath, LocalEdit>();
  for (const change of changes) {
    if (change.nestedRepository === true)
      kb.surroundings.report({ kind: 'warning', text: `${change.path} is a repository of its own and is left alone` });
    else
      edits.set(change.path, {
        path: change.path,
        kind: kindOf(change, edits.get(change.path)),
        committable: !NEVER_COMMITTED.test(change.path),
      });
  }
  return [...edits.values()];
}

/** A file may differ twice: index from commit, and file from index. What counts is the way from commit to file. */
function kindOf(change: WorktreeChange, staged: LocalEdit | undefined): LocalEdit['kind'] {
  if (staged?.kind === 'added') return change.kind === 'deleted' ? 'deleted' : 'added';
  if (staged?.kind === 'deleted') return 'modified';
  return change.kind === 'added' || change.kind === 'deleted' ? change.kind : 'modified';
}

function openUntrackedCache(kb: Kb): UntrackedCache | undefined {
  const { disk, clock } = kb.surroundings;
  const uid = process.getuid?.();
  return UntrackedCache.open(disk, {
    file: join(kb.gitDir, 'kb', `untracked-${uid ?? 'all'}`),
    root: kb.root,
    uid,
    wall: () => clock.wall(),
    monotonic: () => clock.monotonic(),
  });
}

/**
 * Makes one commit of local edits, on top of the local branch; nothing moves yet.
 * @param message the first line and more; undefined: named after the files
 * @returns undefined when there is nothing to commit
 */
export function collectEdits(
  kb: Kb,
  at: { branch: CheckedOutBranch; identities: Identities; index: GitIndex },
  message: string | undefined,
): CollectedEdits | undefined {
  const edits = scanLocalEdits(kb, at.index, at.branch.commit).filter(({ committable }) => committable);
  if (edits.length === 0) return undefined;
  const { staged, tree, entries } = stageEdits(kb, at.index, at.branch.commit, edits, 'commit');
  // The files are what the last commit holds; only the index says otherwise, and is set right.
  if (tree === treeOf(kb, at.branch.commit) && at.branch.commit !== undefined)
    return { commit: at.branch.commit, tree, entries };
  const commit = staged.add(
    'commit',
    sealCommit(kb, {
      tree,
      parents: at.branch.commit === undefined ? [] : [at.branch.commit],
      author: at.identities.author,
      committer: at.identities.committer,
      message: `${message ?? describeEdits(edits)}\n`,
    }),
  );
  staged.persist();
  return { commit, tree, entries };
}

/**
 * The tree that the last commit and these edits make together; nothing is stored yet.
 * @param purpose what it is for: only a commit puts large files into their store, and refuses what line ends would lose
 */
export function stageEdits(
  kb: Kb,
  index: GitIndex,
  head: CheckedOutBranch['commit'],
  edits: readonly LocalEdit[],
  purpose: Purpose,
): { staged: StagedObjects; tree: Oid; entries: Map<RepoPath, NewEntry | null> } {
  const staged = new StagedObjects(kb.objects);
  const leaves = new Map<RepoPath, Leaf | null>();
  const entries = new Map<RepoPath, NewEntry | null>();
  for (const { path } of edits) {
    const submodule = submoduleAt(kb, index, path);
    if (submodule !== undefined) {
      leaves.set(path, submodule);
      entries.set(path, { ...submodule, stat: UNKNOWN_STAT });
      continue;
    }
    // The stat is taken before the content: a write in between then makes the entry look changed, never clean.
    const recordedMode = index.get(path)?.mode as FileMode | undefined;
    const stat = kb.worktree.stat(path, recordedMode);
    const file = stat === undefined ? undefined : kb.worktree.readFile(path, recordedMode, purpose);
    if (stat === undefined || file === undefined) {
      leaves.set(path, null);
      entries.set(path, null);
      continue;
    }
    const leaf: Leaf = { mode: file.mode, oid: staged.add('blob', file.data) };
    leaves.set(path, leaf);
    entries.set(path, { ...leaf, stat });
  }
  return { staged, tree: editTree(staged, treeOf(kb, head), leaves), entries };
}

const VERBS = { added: 'Add', modified: 'Update', deleted: 'Delete' } as const;
const MAX_LISTED = 50;

function describeEdits(edits: readonly LocalEdit[]): string {
  const [first, ...others] = edits;
  if (first === undefined) return 'Update';
  if (others.length === 0) return `${VERBS[first.kind]} ${first.path}`;
  const verb = others.every(({ kind }) => kind === first.kind) ? VERBS[first.kind] : 'Update';
  const list = edits.slice(0, MAX_LISTED).map(({ kind, path }) => `${VERBS[kind]} ${path}`);
  const more = edits.length > MAX_LISTED ? [`and ${edits.length - MAX_LISTED} more`] : [];
  return `${verb} ${edits.length} files\n\n${[...list, ...more].join('\n')}`;
}
