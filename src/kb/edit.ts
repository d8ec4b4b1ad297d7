import type { Identities } from '../config/identity.js';
import { isKbError, KbError } from '../errors.js';
import { asOid, branchRef, type Oid } from '../git/ids.js';
import { hashObject } from '../git/objects/object.js';
import type { Leaf } from '../git/objects/tree.js';
import { editTree } from '../git/objects/tree-edit.js';
import type { RepoPath } from '../git/paths.js';
import { printable } from '../printable.js';
import { treeOf } from './advance.js';
import { describeChanges, type FileChange } from './changes.js';
import { recordEditConflict } from './conflicts/of-edit.js';
import { nameOfVersion } from './conflicts/record.js';
import type { Tip } from './cycle.js';
import { runCycle } from './group-commit.js';
import { blobContent } from './blob-content.js';
import { loadMerge, type MergeContents } from './merge-contents.js';
import { mergeEdit, type EditConflictReason, type EditMerge } from './merge-edit.js';
import type { Kb } from './open.js';
import { upstreamOf } from './upstream.js';
import { openForEdit, type Opened } from './open-for-edit.js';
import { permalink } from './permalink.js';
import { findBarrier, findOtherSpelling } from './place.js';
import type { CarryRenames } from './renames/carry.js';
import { pathNow } from './renames/path-now.js';
import { leafAt } from './run/snapshot.js';
import { sealCommit } from './seal-commit.js';
import { openTipView } from './tip-view.js';

/** The file as it is given to whoever edits it. */
export interface OpenedFile {
  readonly path: RepoPath;
  /** Empty where the file is yet to be made. */
  readonly data: Buffer;
  readonly isNew: boolean;
}

export interface EditRequest {
  /** From the KB's root. */
  readonly path: string;
  /**
   * Makes the new content. Called once and with no lock held, so it may take as long as a person does.
   * undefined, or the same bytes: nothing is changed.
   */
  readonly change: (opened: OpenedFile) => Promise<Uint8Array | undefined>;
  /** Of the commit; default: `Update PATH`, or `Add PATH`. */
  readonly message?: string;
  /** false: the edit stays a local commit. */
  readonly push: boolean;
}

export interface EditResult {
  readonly kb: string;
  /** Where the edit is: others may have renamed the file while it was open. */
  readonly path: RepoPath;
  /** The name by which it was opened, if it has another one now. */
  readonly from?: RepoPath;
  /** `unchanged`: there is no commit of this edit. */
  readonly result: 'edited' | 'unchanged';
  /** The edit's commit; where nothing was changed, the one that holds the file; null: the KB has none yet. */
  readonly commit: Oid | null;
  readonly branch: string;
  /** Reachable from the remote branch now. */
  readonly landed: boolean;
  /** Others changed the file while it was open, and both edits are in it. */
  readonly merged: boolean;
  /** What settled the places of `merged` that a merge by lines leaves to a person. */
  readonly rules: readonly string[];
  /** Others deleted the file while it was open; it is back, with the edit. */
  readonly restored: boolean;
  readonly url: string | null;
  readonly wikilink: string;
  readonly changes: readonly FileChange[];
  readonly waitedMs: number;
  /** Without the time that `change` took. */
  readonly durationMs: number;
}

type Put = Extract<EditMerge, { kind: 'put' }>;

/**
 * Edits one file: pull → the file is changed, with no lock held → one cycle that merges the change with what came in
 * meanwhile. Nobody waits while somebody types.
 * @throws KbError E_USAGE (path), E_UNSAFE_STATE when the file has uncommitted edits; E_CONFLICT when both sides changed
 *   the same lines (details `path`, `reason`, and the blobs `base`, `ours`, `theirs`; `ours` is stored, nothing else
 *   changed); as runCycle; and whatever `change` throws
 */
export async function editFile(kb: Kb, request: EditRequest): Promise<EditResult> {
  const { clock, signal } = kb.surroundings;
  const start = clock.monotonic();
  const opened = await openForEdit(kb, request.path);
  const before = opened.version?.data ?? Buffer.alloc(0);
  const changeStart = clock.monotonic();
  // A copy: whoever changes it in place must not change the base of the merge with it.
  const file = { path: opened.path, data: Buffer.from(before), isNew: opened.version === undefined };
  const changed = await request.change(file);
  const changeMs = clock.monotonic() - changeStart;
  signal?.throwIfAborted();
  const isChanged = changed !== undefined && !before.equals(changed);
  const done = isChanged ? await land(kb, request, opened, Buffer.from(changed)) : asItWas(opened);
  const { path } = done;
  const upstream = upstreamOf(kb, done.branch);
  return {
    kb: kb.root,
    ...done,
    url:
      upstream === undefined || !done.landed || done.commit === null
        ? null
        : permalink(upstream.url, done.commit, path, { form: kb.settings.permalink }),
    wikilink: `[[${path.replace(/\.md$/, '').replace(/^.*\//, '')}]]`,
    durationMs: Math.round(clock.monotonic() - start - changeMs),
  };
}

type Done = Omit<EditResult, 'kb' | 'url' | 'wikilink' | 'durationMs'>;

function asItWas({ path, commit, branch, landed, waitedMs }: Opened): Done {
  const nothing = { merged: false, rules: [], restored: false, changes: [] };
  return { path, result: 'unchanged', commit: commit ?? null, branch, landed, ...nothing, waitedMs };
}

async function land(kb: Kb, request: EditRequest, opened: Opened, edited: Buffer): Promise<Done> {
  const contents = await loadMerge(kb);
  const { loadRenames } = await import('./renames/load.js');
  const renames = await loadRenames(kb);
  // A push in doubt may land although a later merge, with another outcome, took its place.
  const made = new Map<unknown, Put & { readonly path: RepoPath }>();
  const last: { conflict?: KbError; file?: Opened } = {};
  // A conflict is this edit's alone: the cycle goes on without it, for the notes that go out with it and for the pull.
  const edit = (tip: Tip, identities: Identities): Promise<Oid | undefined> => {
    delete last.conflict;
    const file = {
      ...opened,
      path: renames === undefined ? opened.path : nameNow(kb, tip, opened, edited, renames, contents),
    };
    last.file = file;
    const merge = mergeUpon(kb, tip, file, edited, contents);
    if (merge instanceof KbError) last.conflict = merge;
    if (merge instanceof KbError || merge.kind === 'nothing') return Promise.resolve(undefined);
    const commit = commitEdit(kb, tip, file, merge, request.message, identities);
    made.set(commit, { ...merge, path: file.path });
    return Promise.resolve(commit);
  };
  /** @param commit that the cycle ended with; what could not be put into it is stored before anybody is told where it is */
  const requireMerged = (commit: unknown): void => {
    if (last.conflict === undefined || made.has(commit)) return;
    throw keepConflict(kb, last.file ?? opened, edited, last.conflict);
  };
  const push = request.push && kb.settings.autoPush;
  const outcome = await runCycle(kb, { operation: 'edit', pull: true, push, edit }).catch((error: unknown) => {
    // What is saved while the remote is away may be the branch without this edit.
    if (isKbError(error, 'E_NETWORK')) requireMerged(error.details['saved']);
    throw error;
  });
  requireMerged(outcome.edited);
  const put = outcome.edited === undefined ? undefined : made.get(outcome.edited);
  const how = put?.how;
  const path = put?.path ?? last.file?.path ?? opened.path;
  const isRenamed = path !== opened.path;
  if (isRenamed && how !== undefined) {
    const text = `${printable(opened.path)} was renamed by others while it was open: your edit is in ${printable(path)}`;
    kb.surroundings.report({ kind: 'warning', text });
  }
  if (how === 'restored') {
    const text = `${printable(path)} was deleted by others while it was open; it is back, with your edit`;
    kb.surroundings.report({ kind: 'warning', text });
  }
  return {
    path,
    ...(isRenamed ? { from: opened.path } : {}),
    result: how === undefined ? 'unchanged' : 'edited',
    commit: outcome.edited ?? outcome.after ?? null,
    branch: outcome.branch,
    landed: outcome.landed,
    merged: how === 'merged',
    rules: [...(isRenamed && put !== undefined ? ['renamed'] : []), ...(put?.rules ?? [])],
    restored: how === 'restored',
    changes: describeChanges(outcome.changes.filter((change) => change.path === path)),
    waitedMs: opened.waitedMs + outcome.waitedMs,
  };
}

/** Others may have renamed the file while it was open: the edit goes where it is now. */
function nameNow(
  kb: Kb,
  tip: Tip,
  { path, version, commit }: Opened,
  edited: Buffer,
  renames: CarryRenames,
  merge: MergeContents,
): RepoPath {
  if (version === undefined || leafAt(tip.staged, tip.tree, path) !== null) return path;
  const before: Leaf = { mode: version.mode, oid: asOid(version.blob) };
  const after: Leaf = { mode: version.mode, oid: tip.staged.add('blob', edited) };
  return pathNow(tip.staged, tip.tree, { path, before, after, base: treeOf(kb, commit) }, renames, merge);
}

/** @returns the E_CONFLICT error where the edit cannot be put upon the tip */
function mergeUpon(
  kb: Kb,
  tip: Tip,
  { path, version }: Opened,
  edited: Buffer,
  contents: MergeContents,
): Exclude<EditMerge, { kind: 'conflict' }> | KbError {
  const files = { objects: tip.staged, tree: tip.tree };
  const theirs = openTipView(kb, tip).read(path);
  const conflict = (reason: EditConflictReason): KbError => {
    const ours = hashObject('blob', edited);
    return new KbError('E_CONFLICT', `${printable(path)} was not changed: ${CONFLICTS[reason]}`, {
      details: { path, reason, base: version?.blob ?? null, ours, theirs: theirs?.blob ?? null },
    });
  };
  if (findBarrier(files, path) !== undefined) return conflict('type');
  const merge = mergeEdit(version, blobContent(kb, files, path, edited), theirs, path, contents, files);
  if (merge.kind === 'conflict') return conflict(merge.reason);
  if (theirs === undefined && findOtherSpelling(files, path) !== undefined) return conflict('taken');
  return merge;
}

/** What could not be put into the branch gets a name before anybody is told where it is. */
function keepConflict(kb: Kb, { path, version, branch }: Opened, edited: Buffer, conflict: KbError): KbError {
  const ours: Leaf = { mode: version?.mode ?? 0o100644, oid: kb.objects.writeLoose('blob', edited) };
  const base = version === undefined ? null : { mode: version.mode, oid: asOid(version.blob) };
  const head = kb.refs.resolve(branchRef(branch));
  const theirs = head === undefined ? null : leafAt(kb.objects, treeOf(kb, head), path);
  const sides = { path, base, ours, theirs };
  const reason = String(conflict.details['reason']);
  const ref = recordEditConflict(kb, branchRef(branch), { ...sides, reason });
  const name = nameOfVersion(ref, 'ours', path);
  const { code, message, details } = conflict;
  return new KbError(code, `${message}; your version is kept as ${name}`, {
    hint: `bring it together with theirs: kb resolve ${printable(path)} --edit; see both: kb conflicts`,
    details: { ...details, ref },
    cause: conflict,
  });
}

const CONFLICTS: Readonly<Record<EditConflictReason, string>> = {
  overlap: 'others changed the same lines while it was open',
  binary: 'others changed it while it was open, and it is no text that can be merged',
  encoding: 'others changed it while it was open, and its encoding is none that can be merged',
  type: 'others put something else than a file in its place while it was open',
  taken: 'others made a file of that name, in another spelling, while it was open',
};

function commitEdit(
  kb: Kb,
  tip: Tip,
  { path, version }: Opened,
  merge: Put,
  message: string | undefined,
  { author, committer }: Identities,
): Oid {
  const leaf: Leaf = { mode: merge.mode, oid: tip.staged.add('blob', merge.data) };
  const text = message ?? `${version === undefined ? 'Add' : 'Update'} ${path}`;
  return tip.staged.add(
    'commit',
    sealCommit(kb, {
      tree: editTree(tip.staged, tip.tree, new Map([[path, leaf]])),
      parents: tip.commit === undefined ? [] : [tip.commit],
      author,
      committer,
      message: `${text.trimEnd()}\n`,
    }),
  );
}
