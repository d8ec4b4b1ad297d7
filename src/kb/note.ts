import type { Identities } from '../config/identity.js';
import { KbError } from '../errors.js';
import type { Oid } from '../git/ids.js';
import { serializeCommit } from '../git/objects/commit.js';
import type { Leaf } from '../git/objects/tree.js';
import { editTree } from '../git/objects/tree-edit.js';
import type { RepoPath } from '../git/paths.js';
import { describeChanges, type FileChange } from './changes.js';
import { runCycle, type CyclePlan, type Tip } from './cycle.js';
import { findNoteById, idTrailer } from './note-id.js';
import { planNote, type NoteText, type PlannedNote } from './note-plan.js';
import { openTipView } from './tip-view.js';
import { upstreamOf, type Kb } from './open.js';
import { permalink } from './permalink.js';

export interface NoteRequest extends NoteText {
  readonly message?: string;
  /** Idempotence key: the same key again changes nothing and gives the same commit. */
  readonly id?: string;
  readonly push: boolean;
  readonly pull: boolean;
}

export interface NoteResult {
  readonly kb: string;
  readonly path: RepoPath;
  readonly commit: Oid;
  readonly branch: string;
  readonly landed: boolean;
  readonly queued: boolean;
  readonly position: number | null;
  readonly batch: number;
  readonly url: string | null;
  readonly wikilink: string;
  readonly changes: readonly FileChange[];
  readonly waitedMs: number;
  readonly durationMs: number;
}

/**
 * Writes a note, or adds to one, in one cycle.
 * @throws KbError E_USAGE (empty text, bad path), E_CONFLICT (`ifMatch` no longer holds), and as runCycle
 */
export async function addNote(kb: Kb, request: NoteRequest): Promise<NoteResult> {
  const { clock } = kb.surroundings;
  const start = clock.monotonic();
  // A push in doubt may land although a later plan, with another path, took its place.
  const paths = new Map<Oid, RepoPath>();
  // A repeated id adds nothing to the tip; the commit that carries it is reported instead.
  let repeated: Oid | undefined;

  const edit: CyclePlan['edit'] = async (tip, identities) => {
    const earlier = request.id === undefined ? undefined : findNoteById(kb, tip, request.id);
    repeated = earlier?.commit;
    if (earlier !== undefined) {
      paths.set(earlier.commit, earlier.path);
      return undefined;
    }
    const note = await planNote(openTipView(kb, tip), request);
    const commit = commitNote(tip, note, request, identities);
    // Nothing to commit: the tip holds exactly these bytes already.
    const holder = commit ?? tip.commit;
    if (holder !== undefined) paths.set(holder, note.path);
    return commit;
  };

  const outcome = await runCycle(kb, {
    operation: 'note',
    pull: request.pull,
    push: request.push && kb.settings.autoPush,
    edit,
  });
  const commit = repeated ?? outcome.edited ?? outcome.after;
  const path = commit === undefined ? undefined : paths.get(commit);
  if (path === undefined || commit === undefined) throw new KbError('E_INTERNAL', 'the cycle ended without a note');
  const upstream = upstreamOf(kb, outcome.branch);
  return {
    kb: kb.root,
    path,
    commit,
    branch: outcome.branch,
    landed: outcome.landed,
    queued: false,
    position: null,
    batch: outcome.landed && repeated === undefined ? 1 : 0,
    url: upstream === undefined || !outcome.landed ? null : permalink(upstream.url, commit, path),
    wikilink: `[[${path.replace(/\.md$/, '').replace(/^.*\//, '')}]]`,
    changes: repeated !== undefined ? [] : describeChanges(outcome.changes.filter((change) => change.path === path)),
    waitedMs: outcome.waitedMs,
    durationMs: Math.round(clock.monotonic() - start),
  };
}

function commitNote(tip: Tip, note: PlannedNote, request: NoteRequest, identities: Identities): Oid | undefined {
  const leaf: Leaf = { mode: note.mode, oid: tip.staged.add('blob', note.data) };
  const tree = editTree(tip.staged, tip.tree, new Map([[note.path, leaf]]));
  if (tree === tip.tree) return undefined;
  const message = request.message ?? `${note.verb} ${note.path}`;
  const trailer = request.id === undefined ? '' : `\n${idTrailer(request.id)}\n`;
  return tip.staged.add(
    'commit',
    serializeCommit({
      tree,
      parents: tip.commit === undefined ? [] : [tip.commit],
      author: identities.author,
      committer: identities.committer,
      message: `${message.trimEnd()}\n${trailer}`,
    }),
  );
}

/** What `addNote` would write now, from the local state alone: no lock, no network, nothing changed. */
export async function previewNote(kb: Kb, request: NoteText): Promise<PlannedNote> {
  return planNote(openTipView(kb, undefined), request);
}
