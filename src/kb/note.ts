import { resolveIdentity } from '../config/identity.js';
import { KbError } from '../errors.js';
import { shortName, type Oid, type RefName } from '../git/ids.js';
import { StagedObjects } from '../git/objects/staged.js';
import type { RepoPath } from '../git/paths.js';
import { processWord } from '../lock/process-word.js';
import { treeOf } from './advance.js';
import type { MergedFile } from './apply-changes.js';
import type { FirstQuestion } from './ask-ahead.js';
import { Batch } from './batch.js';
import { startAsLastSeen } from './branch-aside.js';
import { requireBranchName } from './branch-name.js';
import type { FileChange } from './changes.js';
import { runCycleUnder } from './cycle.js';
import { openQueue } from './group-commit.js';
import { holdKb } from './hold.js';
import type { NoteEntry } from './note-entry.js';
import { emptyNote, planNote, type NoteText, type PlannedNote } from './note-plan.js';
import { checkedOutBranch, optional, type Kb } from './open.js';
import { upstreamOf } from './upstream.js';
import { permalink } from './permalink.js';
import { submitNote, type Submitted } from './submit-note.js';
import { openTipView } from './tip-view.js';

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
  /**
   * Files of local commits that went out with it and that others had changed, too. The note itself is never merged: it is
   * written upon what is there.
   */
  readonly merged: readonly MergedFile[];
  readonly waitedMs: number;
  readonly durationMs: number;
}

/**
 * Writes a note, or adds to one, in one cycle: its own, or that of the holder of the lock.
 * @param question what was asked of the remote ahead
 * @throws KbError E_USAGE (empty text, bad path), E_CONFLICT (`ifMatch` no longer holds), E_QUEUED, and as runCycle
 */
export async function addNote(kb: Kb, request: NoteRequest, question?: FirstQuestion): Promise<NoteResult> {
  try {
    return await add(kb, request, question);
  } finally {
    await question?.drop();
  }
}

async function add(kb: Kb, request: NoteRequest, question: FirstQuestion | undefined): Promise<NoteResult> {
  const { clock } = kb.surroundings;
  const start = clock.monotonic();
  if (request.text.trim() === '') throw emptyNote();
  const entry = entryOf(kb, request);
  const goesAlone = !request.pull || !request.push || !kb.settings.autoPush;
  const { answer, waitedMs, merged } = goesAlone
    ? await writeAlone(kb, request, entry)
    : await submitNote(kb, entry, question);
  const replaces = entry.note.target.kind === 'replace' && entry.note.target.ifMatch !== undefined;
  const refusal = replaces ? await import('./refused-replacement.js') : undefined;
  if (answer.kind === 'failed') throw refusal?.keepRefusedReplacement(kb, entry, answer.error) ?? answer.error;
  const { path, commit, branch, landed, batch, change } = answer;
  refusal?.settleRefusedReplacements(kb, entry, path);
  const upstream = upstreamOf(kb, branch);
  return {
    kb: kb.root,
    path,
    commit,
    branch,
    landed,
    queued: false,
    position: null,
    batch: landed ? batch : 0,
    url:
      upstream === undefined || !landed ? null : permalink(upstream.url, commit, path, { form: kb.settings.permalink }),
    wikilink: `[[${path.replace(/\.md$/, '').replace(/^.*\//, '')}]]`,
    changes: change === 'none' ? [] : [{ path, kind: change }],
    merged,
    waitedMs,
    durationMs: Math.round(clock.monotonic() - start),
  };
}

/** Who writes is settled here and now: another process may do the writing. @throws KbError E_USAGE, E_UNSAFE_STATE */
function entryOf(kb: Kb, request: NoteRequest): NoteEntry {
  if (request.message?.includes('\0') === true)
    throw new KbError('E_USAGE', 'the message of a commit can hold no NUL character', { hint: 'leave it out' });
  const { env, clock, identity } = kb.surroundings;
  const nowMs = clock.wall();
  kb.signer?.check();
  const { push: _push, pull: _pull, message, id, ...note } = request;
  return {
    note,
    ...optional('message', message),
    ...optional('id', id),
    identities: resolveIdentity({ settings: kb.settings, env, nowMs, offsetMinutes: clock.offsetMinutes(nowMs) }),
    branch: branchOf(kb),
    ...(kb.signer === undefined ? {} : { signed: true as const }),
    waiter: {
      word: processWord(identity),
      user: identity.user,
      host: identity.host,
      pid: identity.pid,
      since: new Date(nowMs).toISOString(),
    },
  };
}

/** @throws KbError E_USAGE, E_UNSAFE_STATE */
function branchOf(kb: Kb): RefName {
  const { sessionBranch } = kb.settings;
  return sessionBranch === undefined ? checkedOutBranch(kb).ref : requireBranchName(sessionBranch);
}

/** A note that is not to be pushed, or not upon what the remote has, cannot go out with others that are. */
function writeAlone(kb: Kb, { pull, push }: NoteRequest, entry: NoteEntry): Promise<Submitted> {
  return holdKb(kb, 'note', async (hold) => {
    const batch = Batch.alone(kb, openQueue(kb), hold, entry);
    const plan = { operation: 'note', pull, push: push && kb.settings.autoPush, branch: entry.branch };
    const { merged } = await runCycleUnder(kb, { ...plan, batch }, hold);
    const answer = batch.ownAnswer;
    if (answer === undefined) throw new KbError('E_INTERNAL', 'the cycle ended without an answer to its note');
    return { answer, merged, waitedMs: Math.round(hold.waitedMs) };
  });
}

/** What `addNote` would write now, from the local state alone: no lock, no network, nothing changed. */
export async function previewNote(kb: Kb, request: NoteText): Promise<PlannedNote> {
  const branch = branchOf(kb);
  if (branch === kb.refs.head().branch) return planNote(openTipView(kb, undefined), request);
  const commit = kb.refs.resolve(branch) ?? startAsLastSeen(kb, upstreamOf(kb, shortName(branch)));
  const tip = { commit, tree: treeOf(kb, commit), staged: new StagedObjects(kb.objects) };
  return planNote(openTipView(kb, tip, false), request);
}
