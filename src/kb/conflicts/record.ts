import { createHash } from 'node:crypto';
import { isKbError } from '../../errors.js';
import { asRefName, EMPTY_TREE, type Oid, type RefName } from '../../git/ids.js';
import { readCommit, serializeCommit, type Signature } from '../../git/objects/commit.js';
import type { ObjectSource } from '../../git/objects/object.js';
import { StagedObjects } from '../../git/objects/staged.js';
import type { Leaf } from '../../git/objects/tree.js';
import { editTree } from '../../git/objects/tree-edit.js';
import type { RepoPath } from '../../git/paths.js';
import { pathProblem } from '../../git/worktree/path-rules.js';
import type { Kb } from '../open.js';
import { leafAt, sameLeaf } from '../run/snapshot.js';

/** What a person has decided about one file. */
export type Choice = 'ours' | 'theirs' | 'both' | 'edit';

/** The versions of one file that could not become one; null: that side has no file there. */
export interface Sides {
  readonly path: RepoPath;
  readonly base: Leaf | null;
  /** What was to be brought out from here. */
  readonly ours: Leaf | null;
  /** What the remote branch held. */
  readonly theirs: Leaf | null;
}

export interface ConflictedFile extends Sides {
  /** Why it could not be merged: `overlap`, `binary`, `encoding`, `deleted_remotely`, and so on. */
  readonly reason: string;
  /** The name that the file had before it was renamed. */
  readonly from?: RepoPath;
  /** The name that others gave it, where both sides renamed it; `path` is ours. */
  readonly remotePath?: RepoPath;
  readonly decided?: Decision;
}

export interface Decision {
  readonly choice: Choice;
  /** With `edit`: what was made of both. */
  readonly result?: Leaf;
}

export interface ConflictRecord {
  readonly ref: RefName;
  /** Of the commit that holds the versions. */
  readonly commit: Oid;
  /** `sync`: local work that waits to be brought out; `edit`: a text that was edited while others changed the file. */
  readonly kind: 'sync' | 'edit';
  readonly branch: RefName;
  /** ISO 8601, of the moment when it was first met. */
  readonly since: string;
  readonly files: readonly ConflictedFile[];
}

const CONFLICTS = 'refs/kb/conflict/';
const SIDES = ['base', 'ours', 'theirs'] as const;
export type Side = (typeof SIDES)[number];

/** Of local work there is one record a branch: the work itself is in the files and commits here, and may go on changing. */
export function syncConflictRef(branch: RefName): RefName {
  return asRefName(`${CONFLICTS}sync/${branch.replace(/^refs\/heads\//, '')}`);
}

/** The same text that fails in the same way again is one conflict. */
export function editConflictRef({ path, base, ours }: Sides): RefName {
  const hash = createHash('sha1').update(`${path}\0${base?.oid ?? ''}\0${ours?.oid ?? ''}`);
  return asRefName(`${CONFLICTS}edit/${hash.digest('hex').slice(0, 12)}`);
}

/** How native git reaches a version: `git show NAME`. */
export function nameOfVersion(ref: RefName, side: Side, path: RepoPath): string {
  return `${ref}:${side}/${path}`;
}

export interface NewRecord {
  readonly ref: RefName;
  readonly kind: ConflictRecord['kind'];
  readonly branch: RefName;
  readonly since: string;
  readonly files: readonly ConflictedFile[];
  readonly committer: Signature;
  /** What the ref holds now; null: it is new. */
  readonly expected: Oid | null;
  /** Formatted committer, for the reflog. */
  readonly who: string;
}

/**
 * Writes a conflict down: all versions as one commit without parents, in the folders `base`, `ours` and `theirs`, under
 * a name of its own. So they survive whatever becomes of files and branches, and native git can show them.
 *
 * Invariant: one move of one ref takes the conflict, or a decision about it, from one whole state to the next.
 * (Broken by: test/integration/crash-points.test.ts, "a conflict that is decided")
 * @throws RefMoved when somebody else was faster; KbError E_STORAGE
 */
export function writeRecord(kb: Kb, record: NewRecord): Oid {
  const { ref, kind, branch, since, files, committer, who } = record;
  const staged = new StagedObjects(kb.objects);
  const leaves = new Map<RepoPath, Leaf>();
  files.forEach((file, at) => {
    for (const side of SIDES) {
      const leaf = file[side];
      if (leaf !== null) leaves.set(`${side}/${file.path}` as RepoPath, leaf);
    }
    if (file.decided?.result !== undefined) leaves.set(`resolved/${at}` as RepoPath, file.decided.result);
  });
  const facts = files.map(({ path, reason, from, remotePath, decided }) => ({
    path,
    reason,
    from,
    remotePath,
    decided: decided?.choice,
  }));
  const text = JSON.stringify({ kind, branch, since, files: facts });
  const message = `Conflict in ${named(files.map(({ path }) => path))}\n\n${TRAILER}${text}\n`;
  const tree = editTree(staged, EMPTY_TREE, leaves);
  const commit = staged.add('commit', serializeCommit({ tree, parents: [], author: committer, committer, message }));
  staged.persist();
  kb.refs.update({ name: ref, to: commit, expected: record.expected, message: `kb: conflict`, who });
  return commit;
}

const TRAILER = 'Kb-Conflict: ';

function named(paths: readonly string[]): string {
  const [first = ''] = paths;
  return paths.length > 1 ? `${first} and ${paths.length - 1} more` : first;
}

export function readRecords(kb: Kb): ConflictRecord[] {
  return [...kb.refs.list(CONFLICTS)].flatMap(([ref, commit]) => readAt(kb.objects, ref, commit) ?? []);
}

export function readRecord(kb: Kb, ref: RefName): ConflictRecord | undefined {
  const commit = kb.refs.resolve(ref);
  return commit === undefined ? undefined : readAt(kb.objects, ref, commit);
}

/** undefined: somebody else's ref, or one that is damaged: it is left alone. */
function readAt(source: ObjectSource, ref: RefName, commit: Oid): ConflictRecord | undefined {
  try {
    const { tree, message } = readCommit(source, commit);
    const line = message.split('\n').find((text) => text.startsWith(TRAILER));
    if (line === undefined) return undefined;
    const { kind, branch, since, files } = JSON.parse(line.slice(TRAILER.length)) as Record<string, unknown>;
    if ((kind !== 'sync' && kind !== 'edit') || typeof since !== 'string' || !Array.isArray(files)) return undefined;
    const fileAt = (facts: unknown, at: number): ConflictedFile => {
      const { path, reason, from, remotePath, decided } = Object(facts) as Record<string, unknown>;
      if (!isPath(path)) throw new SyntaxError('no path');
      const side = (name: string): Leaf | null => leafAt(source, tree, `${name}/${path}` as RepoPath);
      const result = leafAt(source, tree, `resolved/${at}` as RepoPath);
      const choice = CHOICES.find((one) => one === decided);
      return {
        path,
        reason: String(reason),
        ...(isPath(from) ? { from } : {}),
        ...(isPath(remotePath) ? { remotePath } : {}),
        base: side('base'),
        ours: side('ours'),
        theirs: side('theirs'),
        ...(choice === undefined ? {} : { decided: { choice, ...(result === null ? {} : { result }) } }),
      };
    };
    return { ref, commit, kind, branch: asRefName(String(branch)), since, files: files.map(fileAt) };
  } catch (error) {
    if (error instanceof SyntaxError || isKbError(error)) return undefined;
    throw error;
  }
}

function isPath(value: unknown): value is RepoPath {
  return typeof value === 'string' && pathProblem(value) === undefined;
}

const CHOICES: readonly Choice[] = ['ours', 'theirs', 'both', 'edit'];

/** @throws RefMoved when it holds something else by now */
export function removeRecord(kb: Kb, { ref, commit }: Pick<ConflictRecord, 'ref' | 'commit'>, who: string): void {
  kb.refs.update({ name: ref, to: null, expected: commit, message: 'kb: resolved', who });
}

/** A name under which a record stays reachable once it is no open conflict any more. */
export function keepRecordAside(
  kb: Kb,
  { commit }: Pick<ConflictRecord, 'commit'>,
  { message, who }: { readonly message: string; readonly who: string },
): RefName {
  const moment = new Date(kb.surroundings.clock.wall()).toISOString().replace(/[:.]/g, '-');
  const name = asRefName(`refs/kb/backup/${moment}-${commit.slice(0, 8)}`);
  kb.refs.update({ name, to: commit, message, who });
  return name;
}

export function sameVersions(a: Sides, b: Sides): boolean {
  return a.path === b.path && SIDES.every((side) => sameLeaf(a[side], b[side]));
}
