import type { Oid } from '../../git/ids.js';
import { readCommit } from '../../git/objects/commit.js';
import { diffTrees } from '../../git/objects/tree-diff.js';
import type { NewEntry } from '../../git/index/index-file.js';
import type { StagedObjects } from '../../git/objects/staged.js';
import type { RepoPath } from '../../git/paths.js';
import { UNKNOWN_STAT } from '../../git/worktree/modes.js';
import type { Identities } from '../../config/identity.js';
import { treeOf } from '../advance.js';
import { countChanges, type CountedChange } from '../changes.js';
import type { CollectedEdits } from '../cycle.js';
import type { Kb } from '../open.js';
import { sealCommit } from '../seal-commit.js';
import { treeWithEdits, type RunEdit } from './run-edits.js';
import { sameLeaf, type DirtyFiles } from './snapshot.js';

export interface CommitRequest {
  readonly head: Oid | undefined;
  /** Those that go into the commit. */
  readonly edits: readonly RunEdit[];
  readonly dirty: DirtyFiles;
  readonly staged: StagedObjects;
  readonly identities: Identities;
  /** undefined: named after the program and the files */
  readonly message: string | undefined;
  readonly program: string;
}

/**
 * One commit of what the run changed, on top of the local branch; nothing moves yet.
 * @returns undefined when neither files nor index differ from the last commit
 */
export function commitEdits(kb: Kb, request: CommitRequest): CollectedEdits | undefined {
  const { head, edits, dirty, staged, identities } = request;
  if (edits.length === 0) return undefined;
  const before = treeOf(kb, head);
  const tree = treeWithEdits(staged, before, edits, dirty);
  const entries = new Map<RepoPath, NewEntry | null>();
  for (const { path, own, now, stat } of edits) {
    // A file that holds uncommitted edits besides the run's must go on looking changed.
    const isWhole = sameLeaf(own, now) && stat !== undefined;
    entries.set(path, own === null ? null : { ...own, stat: isWhole ? stat : UNKNOWN_STAT });
  }
  if (tree === before) return head === undefined ? undefined : { commit: head, tree, entries };
  const changes = countChanges(staged, diffTrees(staged, before, tree));
  const message = `${request.message ?? describeRun(request.program, changes)}\n`;
  const parents = head === undefined ? [] : [head];
  const commit = staged.add('commit', sealCommit(kb, { tree, parents, ...identities, message }));
  staged.persist();
  return { commit, tree, entries };
}

const VERBS = { added: 'Add', modified: 'Update', deleted: 'Delete', renamed: 'Rename' } as const;
const MOST_LISTED = 50;

function describeRun(program: string, changes: readonly CountedChange[]): string {
  const lines = changes.map(
    ({ kind, path, from }) => `${VERBS[kind]} ${from === undefined ? '' : `${from} → `}${path}`,
  );
  const [first] = lines;
  if (first !== undefined && lines.length === 1) return `Run ${program}: ${first}`;
  const more = lines.length > MOST_LISTED ? [`and ${lines.length - MOST_LISTED} more`] : [];
  return `Run ${program}: ${lines.length} files\n\n${[...lines.slice(0, MOST_LISTED), ...more].join('\n')}`;
}

/** How far back from the branch's tip the run's commit is looked for: what others pushed meanwhile lies on top of it. */
const MOST_COMMITS_ABOVE = 1000;

/**
 * The run's commit as it is reachable from `tip`: under its own id, or replayed under another one.
 * @returns undefined where it is not there, as the remote held the same change already
 */
export function findAsLanded(kb: Kb, commit: Oid, tip: Oid): Oid | undefined {
  const { author, message } = readCommit(kb.objects, commit);
  const wanted = JSON.stringify([author, message]);
  const seen = new Set<Oid>([tip]);
  const shallow = kb.shallow();
  for (const oid of seen) {
    if (oid === commit) return oid;
    if (seen.size > MOST_COMMITS_ABOVE) return undefined;
    const found = readCommit(kb.objects, oid);
    if (JSON.stringify([found.author, found.message]) === wanted) return oid;
    if (!shallow.has(oid)) for (const parent of found.parents) seen.add(parent);
  }
  return undefined;
}
