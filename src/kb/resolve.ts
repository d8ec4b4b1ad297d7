import { posix } from 'node:path';
import { resolveIdentity, type Identities } from '../config/identity.js';
import { isKbError, KbError } from '../errors.js';
import { shortName, type Oid } from '../git/ids.js';
import { formatSignature } from '../git/objects/commit.js';
import type { Leaf } from '../git/objects/tree.js';
import { editTree } from '../git/objects/tree-edit.js';
import type { RepoPath } from '../git/paths.js';
import { collisionKey } from '../git/worktree/collisions.js';
import { operationInProgress } from '../git/worktree/unsafe-state.js';
import { freeMarkerSize, markedText } from '../merge/contested.js';
import { printable } from '../printable.js';
import { treeOf } from './advance.js';
import type { MergedFile } from './apply-changes.js';
import { carryOut, stretchesOf } from './conflicts/decide.js';
import { findConflicts, type OpenConflict } from './conflicts/list.js';
import {
  readRecord,
  keepRecordAside,
  removeRecord,
  sameVersions,
  writeRecord,
  type Choice,
  type ConflictRecord,
  type Decision,
} from './conflicts/record.js';
import type { Tip } from './cycle.js';
import { runCycle } from './group-commit.js';
import { loadMerge, type MergeContents } from './merge-contents.js';
import { MergedFiles } from './merged-files.js';
import { freeName } from './notes/name.js';
import type { Kb } from './open.js';
import { findBarrier, findOtherSpelling } from './place.js';
import { leafAt, sameLeaf } from './run/snapshot.js';
import { sealCommit } from './seal-commit.js';
import { sync } from './sync.js';
import { openTipView } from './tip-view.js';

/** What a person is asked to make one text of. */
export interface TextToResolve {
  readonly path: RepoPath;
  /** Both versions, contradictions between markers with the base in the middle; of a deleted file what is left of it. */
  readonly data: Buffer;
  /** Characters of a marker. */
  readonly markerSize: number;
}

export interface ResolveRequest {
  /** From the KB's root: the file, or the copy beside it. undefined: the only conflict there is, or with `all` every one. */
  readonly path?: string;
  readonly all: boolean;
  readonly choose: (conflict: OpenConflict['item']) => Promise<Choice>;
  /** With the choice `edit`; called with no lock held. undefined: given up. */
  readonly edit: (text: TextToResolve) => Promise<Buffer | undefined>;
  /** Of the commit. */
  readonly message?: string;
}

export interface ResolvedConflict {
  readonly path: RepoPath;
  readonly kind: OpenConflict['item']['kind'];
  readonly choice: Choice;
  readonly copy: RepoPath | null;
}

export interface ResolveResult {
  readonly kb: string;
  readonly resolved: readonly ResolvedConflict[];
  /** Paths that are in conflict still. Of one sync all have to be decided before any of it can go out. */
  readonly left: readonly RepoPath[];
  readonly commit: Oid | null;
  readonly branch: string | null;
  /** All that was decided is reachable from the remote branch. */
  readonly landed: boolean;
  /** Files of local commits that were merged with what others have written since. */
  readonly merged: readonly MergedFile[];
  readonly requests: number;
  readonly durationMs: number;
}

interface Decided extends OpenConflict {
  readonly choice: Choice;
  /** With `edit`. */
  readonly text: Buffer | undefined;
}

/**
 * Decides conflicts and brings the outcome out. What was decided is written down first: killed, or without the network,
 * it goes out with the next `kb sync`.
 * @throws KbError E_USAGE (no such conflict; several and none named; markers left in the text), E_UNSAFE_STATE (native
 *   git's own merge), E_CONFLICT when others have changed the file in the same place since; and as runCycle
 */
export async function resolveConflicts(kb: Kb, request: ResolveRequest): Promise<ResolveResult> {
  const { clock } = kb.surroundings;
  const start = clock.monotonic();
  const targets = chooseTargets(kb, request);
  const decided: Decided[] = [];
  for (const target of targets) {
    const choice = await request.choose(target.item);
    decided.push({ ...target, choice, text: choice === 'edit' ? await editText(kb, target, request.edit) : undefined });
  }
  const bringer = new Bringer(kb, request.message);
  const ofSync = decided.filter(({ item }) => item.kind === 'sync');
  await bringer.sync(ofSync);
  for (const one of decided) {
    if (one.item.kind === 'edit') await bringer.edit(one);
    if (one.item.kind === 'copy') await bringer.copy(one);
  }
  return {
    kb: kb.root,
    resolved: decided.map(({ item: { path, kind, copy }, choice }) => ({ path, kind, choice, copy })),
    left: findConflicts(kb)
      .filter(({ item }) => item.decided === null)
      .map(({ item }) => item.copy ?? item.path),
    commit: bringer.commit ?? kb.refs.head().oid ?? null,
    branch: bringer.branch ?? null,
    landed: bringer.landed,
    merged: bringer.merged.all,
    requests: bringer.requests,
    durationMs: Math.round(clock.monotonic() - start),
  };
}

function chooseTargets(kb: Kb, { path, all }: ResolveRequest): OpenConflict[] {
  const open = findConflicts(kb);
  const inGit = open.find(({ item }) => item.kind === 'git');
  if (inGit !== undefined) {
    const operation = operationInProgress(kb.surroundings.disk, kb.gitDir);
    throw new KbError('E_UNSAFE_STATE', `not finished here: ${operation?.what ?? 'a merge of native git'}`, {
      hint: `${printable(inGit.item.path)}: ${operation?.hint ?? 'finish it with git'}`,
      details: { paths: open.filter(({ item }) => item.kind === 'git').map(({ item }) => item.path) },
    });
  }
  if (open.length === 0) throw new KbError('E_USAGE', 'there is no conflict here', { hint: 'see: kb status' });
  const paths = [...new Set(open.map(({ item }) => item.copy ?? item.path))];
  if (all) return open;
  if (path === undefined) {
    const [only, ...others] = open;
    if (only !== undefined && others.length === 0) return [only];
    throw new KbError('E_USAGE', `there are ${open.length} conflicts: ${named(paths)}`, {
      hint: 'name one of them: kb resolve PATH; or decide all of them the same way: kb resolve --all',
      details: { paths },
    });
  }
  const wanted = path.normalize('NFC').replace(/^\.\//, '');
  const byCopy = open.filter(({ item }) => item.copy === wanted || item.copy === path);
  const byPath = open.filter(({ item }) => item.path === wanted || item.path === path);
  const [first] = byCopy.length > 0 ? byCopy : byPath;
  if (first === undefined)
    throw new KbError('E_USAGE', `${printable(path)} is not in conflict`, {
      hint: `these are: ${named(paths)}`,
      details: { paths },
    });
  const copies = byPath.filter(({ item }) => item.kind === 'copy').map(({ item }) => item.copy ?? '');
  if (byCopy.length === 0 && first.item.kind === 'copy' && copies.length > 1)
    throw new KbError('E_USAGE', `${printable(path)} has ${copies.length} copies: ${named(copies)}`, {
      hint: 'name the copy: kb resolve COPY',
      details: { paths: copies },
    });
  return [first];
}

function named(paths: readonly string[]): string {
  const shown = paths.slice(0, 3).map((path) => printable(path));
  return paths.length > 3 ? `${shown.join(', ')} and ${paths.length - 3} more` : shown.join(', ');
}

/** Lines that begin or end a conflict: somebody did not finish. */
function holdsMarkers(data: Buffer, size: number): boolean {
  return new RegExp(`^(<{${size}}|>{${size}}|\\|{${size}})( |\\r?$)`, 'm').test(data.toString('latin1'));
}

async function editText(kb: Kb, { item, sides }: OpenConflict, edit: ResolveRequest['edit']): Promise<Buffer> {
  const read = (leaf: Leaf): Buffer => kb.objects.read(leaf.oid).data;
  const stretches = stretchesOf(kb.objects, sides);
  const one = sides.ours === null || sides.theirs === null ? (sides.ours ?? sides.theirs) : null;
  const isText = stretches !== undefined || (one !== null && /^deleted/.test(item.reason));
  if (!isText)
    throw new KbError(
      'E_USAGE',
      `${printable(item.path)} is nothing that an editor could put together: ${item.reason}`,
      {
        hint: 'choose --ours, --theirs or --both',
      },
    );
  const size = freeMarkerSize(
    [sides.base, sides.ours, sides.theirs].map((leaf) => (leaf === null ? undefined : read(leaf))),
  );
  const labels = { ours: 'ours: from here', base: 'base: what both started from', theirs: 'theirs: from others' };
  const data = stretches === undefined ? read(one as Leaf) : markedText(stretches, { size, ...labels });
  const made = await edit({ path: item.path, data, markerSize: size });
  kb.surroundings.signal?.throwIfAborted();
  const isContested = stretches?.some(({ kind }) => kind === 'contested') ?? false;
  if (made === undefined || (isContested && made.equals(data)))
    throw new KbError('E_USAGE', `nothing was decided about ${printable(item.path)}`, {
      hint: 'edit the text and save it, or choose --ours, --theirs or --both',
    });
  if (holdsMarkers(made, size))
    throw new KbError('E_USAGE', `there are conflict markers left in ${printable(item.path)}`, {
      hint: `take out all lines that begin with ${'<'.repeat(size)}, ${'|'.repeat(size)}, ${'='.repeat(size)} or ${'>'.repeat(size)}`,
    });
  return made;
}

/** Brings decisions out, each kind in its own way, and adds up what came of it. */
class Bringer {
  commit: Oid | undefined;
  branch: string | undefined;
  landed = true;
  readonly merged = new MergedFiles();
  requests = 0;
  private merge: MergeContents | undefined;

  constructor(
    private readonly kb: Kb,
    private readonly message: string | undefined,
  ) {}

  /** Local work goes out when all of it is decided: a branch cannot be brought together in parts. */
  async sync(decided: readonly Decided[]): Promise<void> {
    for (const record of new Set(decided.map((one) => one.record))) {
      if (record === undefined) continue;
      const isWhole = this.writeDown(record, decided);
      if (!isWhole) {
        this.landed = false;
        continue;
      }
      const { message } = this;
      const isElsewhere = record.branch !== this.kb.refs.head().branch;
      const outcome = await sync(this.kb, {
        direction: 'both',
        commit: true,
        ...(message === undefined ? {} : { message }),
        ...(isElsewhere ? { branch: shortName(record.branch) } : {}),
      }).catch((error: unknown) => {
        throw isKbError(error, 'E_NETWORK') ? decidedButNotOut(error) : error;
      });
      this.branch = outcome.branch;
      this.commit = outcome.after ?? undefined;
      this.merged.add(outcome.merged);
      this.landed &&= outcome.pushed > 0 || (outcome.result !== 'local_only' && this.kb.settings.autoPush);
      this.requests += outcome.requests;
    }
  }

  /** @returns whether every file of the record is decided now */
  private writeDown(record: ConflictRecord, decided: readonly Decided[]): boolean {
    const { kb } = this;
    const current = readRecord(kb, record.ref);
    const files = record.files.map((file) => {
      const one = decided.find(({ record: of, sides }) => of === record && sides.path === file.path);
      if (one === undefined) return file;
      return { ...file, decided: decisionOf(kb, one) };
    });
    const isSame =
      current?.files.length === record.files.length &&
      record.files.every((file, at) => sameVersions(file, current.files[at] ?? { ...file, path: '' as RepoPath }));
    if (current === undefined || !isSame) throw changedMeanwhile(files[0]?.path);
    // Somebody else may have decided about another file meanwhile.
    const both = files.map((file, at) => (file.decided === undefined ? (current.files[at] ?? file) : file));
    const { committer, who } = this.identity();
    writeRecord(kb, { ...record, files: both, committer, who, expected: current.commit });
    return both.every((file) => file.decided !== undefined);
  }

  /** A text that could not be brought in goes upon whatever the branch holds now. */
  async edit(one: Decided): Promise<void> {
    const { kb } = this;
    const { record, sides, choice } = one;
    if (record === undefined) return;
    if (choice !== 'theirs') {
      const merge = (this.merge ??= await loadMerge(kb));
      const last: { conflict?: KbError } = {};
      const change = (tip: Tip, identities: Identities): Oid | undefined => {
        delete last.conflict;
        const theirs = leafAt(tip.staged, tip.tree, sides.path);
        const file = { ...sides, reason: '', decided: decisionOf(kb, one) };
        const verdict = carryOut(tip.staged, file, { ...sides, theirs }, merge);
        if (verdict?.kind === 'policy' && verdict.policy === 'copy')
          return commitEdits(kb, tip, besides(kb, tip, sides.path, sides.ours), this.messageOf(one), identities);
        const leaf = verdict?.kind === 'put' ? verdict.leaf : verdict === undefined ? undefined : sides.ours;
        if (leaf === undefined) last.conflict = changedMeanwhile(sides.path);
        if (leaf === undefined || sameLeaf(leaf, theirs)) return undefined;
        const place = isBarred(kb, tip, sides.path, theirs)
          ? besides(kb, tip, sides.path, leaf)
          : new Map([[sides.path, leaf]]);
        return commitEdits(kb, tip, place, this.messageOf(one), identities);
      };
      await this.cycle(record.branch, change).catch((error: unknown) => {
        // As a local commit it is decided as well, and goes out with the next sync.
        const isSaved = isKbError(error, 'E_NETWORK') && error.details['saved'] !== undefined;
        if (isSaved && last.conflict === undefined) removeRecord(kb, record, this.identity().who);
        throw error;
      });
      if (last.conflict !== undefined) throw this.again(one, last.conflict);
    } else this.keepAside(record);
    removeRecord(kb, record, this.identity().who);
  }

  /** The record says what the file is now, so that the next decision is about that. */
  private again({ record, sides }: Decided, conflict: KbError): KbError {
    const { kb } = this;
    if (record === undefined) return conflict;
    const tip = kb.refs.resolve(record.branch);
    const theirs = tip === undefined ? sides.theirs : leafAt(kb.objects, treeOf(kb, tip), sides.path);
    const { committer, who } = this.identity();
    const files = record.files.map((file) => ({ ...file, theirs }));
    writeRecord(kb, { ...record, files, committer, who, expected: record.commit });
    return conflict;
  }

  /** What gives way stays reachable by name, as with `kb sync --on-conflict theirs`. */
  private keepAside(record: ConflictRecord): void {
    const { kb } = this;
    const name = keepRecordAside(kb, record, { message: 'kb resolve: what gave way', who: this.identity().who });
    kb.surroundings.report({ kind: 'warning', text: `your version gave way to theirs; it is kept as ${name}` });
  }

  /** Two files become one again, or stay two under names of their own. */
  async copy(one: Decided): Promise<void> {
    const { item, sides } = one;
    const { copy } = item;
    const last: { conflict?: KbError } = {};
    if (copy === null) return;
    await this.cycle(this.kb.refs.head().branch, (tip, identities) => {
      delete last.conflict;
      const now = { copy: leafAt(tip.staged, tip.tree, copy), path: leafAt(tip.staged, tip.tree, sides.path) };
      if (now.copy === null) return undefined; // somebody else has decided
      if (!sameLeaf(now.copy, sides.ours) || !sameLeaf(now.path, sides.theirs)) {
        last.conflict = changedMeanwhile(sides.path);
        return undefined;
      }
      const edits = new Map<RepoPath, Leaf | null>([[copy, null]]);
      for (const [path, leaf] of this.copyDecided(tip, one)) edits.set(path, leaf);
      return commitEdits(this.kb, tip, edits, this.messageOf(one), identities);
    });
    if (last.conflict !== undefined) throw last.conflict;
  }

  private copyDecided(tip: Tip, { sides, choice, text }: Decided): Map<RepoPath, Leaf> {
    const { ours, theirs, path } = sides;
    if (ours === null || choice === 'theirs') return new Map();
    const mode = theirs?.mode ?? ours.mode;
    if (choice === 'edit' && text !== undefined) return new Map([[path, { mode, oid: tip.staged.add('blob', text) }]]);
    if (choice === 'ours' || theirs === null) return new Map([[path, ours]]);
    if (sameLeaf(ours, theirs)) return new Map();
    const verdict = carryOut(
      tip.staged,
      { ...sides, reason: 'copy', decided: { choice } },
      sides,
      this.merge ?? (() => ({ kind: 'conflict', reason: 'overlap' })),
    );
    if (verdict?.kind === 'put') return new Map([[path, verdict.leaf]]);
    return besides(this.kb, tip, path, ours);
  }

  private async cycle(
    branch: ConflictRecord['branch'] | undefined,
    change: (tip: Tip, identities: Identities) => Oid | undefined,
  ): Promise<void> {
    const { kb } = this;
    const outcome = await runCycle(kb, {
      operation: 'resolve',
      pull: true,
      push: kb.settings.autoPush,
      ...(branch === undefined ? {} : { branch }),
      edit: (tip, identities) => Promise.resolve(change(tip, identities)),
    });
    this.branch = outcome.branch;
    this.commit = outcome.edited ?? outcome.after;
    this.merged.add(outcome.merged);
    this.landed &&= outcome.landed;
    this.requests += outcome.requests;
  }

  private messageOf({ item, choice }: Decided): string {
    return this.message ?? `Resolve the conflict in ${item.path} (${choice})`;
  }

  private identity(): { readonly committer: Identities['committer']; readonly who: string } {
    const { env, clock } = this.kb.surroundings;
    const nowMs = clock.wall();
    const offsetMinutes = clock.offsetMinutes(nowMs);
    const { committer } = resolveIdentity({ settings: this.kb.settings, env, nowMs, offsetMinutes });
    return { committer, who: formatSignature(committer) };
  }
}

function decisionOf(kb: Kb, { choice, text, sides }: Decided): Decision {
  if (text === undefined) return { choice };
  const mode = (sides.theirs ?? sides.ours)?.mode ?? 0o100644;
  return { choice, result: { mode, oid: kb.objects.writeLoose('blob', text) } };
}

/** What cannot be one text lies beside it, under a name that nobody takes for a conflict any more. */
function besides(kb: Kb, tip: Tip, path: RepoPath, ours: Leaf | null): Map<RepoPath, Leaf> {
  if (ours === null) return new Map();
  const view = openTipView(kb, tip);
  // At the root where a file stands in the place of a folder on the way.
  const isReachable = findBarrier({ objects: tip.staged, tree: tip.tree }, path) === undefined;
  const wanted = (isReachable ? path : posix.basename(path)) as RepoPath;
  const folder = posix.dirname(wanted) === '.' ? '' : posix.dirname(wanted);
  const name = freeName(wanted, (key) => view.isTaken(folder, posix.basename(key)), collisionKey);
  return new Map([[name, ours]]);
}

/** Something else has taken the place: nobody's files are taken away by a decision about one text. */
function isBarred(kb: Kb, tip: Tip, path: RepoPath, theirs: Leaf | null): boolean {
  const files = { objects: tip.staged, tree: tip.tree };
  if (findBarrier(files, path) !== undefined || openTipView(kb, tip).isFolder(path)) return true;
  return theirs === null && findOtherSpelling(files, path) !== undefined;
}

function commitEdits(
  kb: Kb,
  tip: Tip,
  edits: ReadonlyMap<RepoPath, Leaf | null>,
  message: string,
  { author, committer }: Identities,
): Oid | undefined {
  const tree = editTree(tip.staged, tip.tree, edits);
  if (tree === tip.tree) return undefined;
  const parents = tip.commit === undefined ? [] : [tip.commit];
  return tip.staged.add(
    'commit',
    sealCommit(kb, { tree, parents, author, committer, message: `${message.trimEnd()}\n` }),
  );
}

function changedMeanwhile(path: string | undefined): KbError {
  return new KbError(
    'E_CONFLICT',
    `${printable(path ?? 'the file')} has changed since, in the same place; nothing was decided`,
    {
      hint: 'look at it again: kb conflicts',
      details: { path: path ?? null },
    },
  );
}

function decidedButNotOut(error: KbError): KbError {
  const { code, message, retryable, details } = error;
  return new KbError(code, `${message}; what was decided is kept`, {
    hint: 'it goes out with the next: kb sync',
    retryable,
    details,
    cause: error,
  });
}
