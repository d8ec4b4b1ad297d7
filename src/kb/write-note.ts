import type { Identity } from '../config/identity.js';
import type { Oid } from '../git/ids.js';
import { findEntry, type Leaf } from '../git/objects/tree.js';
import { editTree } from '../git/objects/tree-edit.js';
import type { RepoPath } from '../git/paths.js';
import { blobContent } from './blob-content.js';
import type { Tip } from './cycle.js';
import { findNoteById, idTrailer } from './note-id.js';
import type { NoteEntry } from './note-entry.js';
import { planNote } from './note-plan.js';
import type { Kb } from './open.js';
import { sealCommit } from './seal-commit.js';
import { openTipView } from './tip-view.js';

/** Where a note is on a tip, and which commit brought it. */
export interface WrittenNote {
  readonly path: RepoPath;
  readonly commit: Oid;
  /** `none`: the tip holds it already, by its key or byte for byte, and nothing was added. */
  readonly kind: 'added' | 'modified' | 'none';
}

/**
 * Puts one note upon the tip, as a commit of its own.
 * @param committer who brings out somebody else's note: only with a signature, which is theirs and must fit the name
 * @throws KbError E_USAGE, E_CONFLICT (`ifMatch`), E_AUTH (it cannot be signed)
 */
export async function writeNote(
  kb: Kb,
  tip: Tip,
  entry: NoteEntry,
  committer: Identity = entry.identities.committer,
): Promise<WrittenNote> {
  const { note, id, identities } = entry;
  const earlier = id === undefined ? undefined : findNoteById(kb, tip, id, note);
  if (earlier !== undefined) return { ...earlier, kind: 'none' };
  const { path, mode, data, verb } = await planNote(openTipView(kb, tip, entry.branch === kb.refs.head().branch), note);
  const leaf: Leaf = {
    mode,
    oid: tip.staged.add('blob', blobContent(kb, { objects: tip.staged, tree: tip.tree }, path, data)),
  };
  const tree = editTree(tip.staged, tip.tree, new Map([[path, leaf]]));
  if (tree === tip.tree && tip.commit !== undefined) return { path, commit: tip.commit, kind: 'none' };
  const message = entry.message ?? `${verb} ${path}`;
  const trailer = id === undefined ? '' : `\n${idTrailer(id)}\n`;
  const commit = tip.staged.add(
    'commit',
    sealCommit(kb, {
      tree,
      parents: tip.commit === undefined ? [] : [tip.commit],
      author: identities.author,
      committer,
      message: `${message.trimEnd()}\n${trailer}`,
    }),
  );
  return { path, commit, kind: findEntry(tip.staged, tip.tree, path) === undefined ? 'added' : 'modified' };
}
