import { KbError } from '../errors.js';
import { convertToBlob, PLAIN } from '../git/convert/path-conversion.js';
import { findEntry } from '../git/objects/tree.js';
import type { RepoPath } from '../git/paths.js';
import { printable } from '../printable.js';
import { rulesOfTree } from './merge-attribute.js';
import type { Contents } from './merge-contents.js';
import type { Kb } from './open.js';

/**
 * What the blob of a text that was written here holds, as the attributes of the tree that it is put upon have it: a note
 * that was piped in with CRLF is committed with LF where its file is `text`, as `git add` would.
 * @throws KbError E_UNSAFE_STATE where the repository holds something else than the file's text (a filter)
 */
export function blobContent(
  kb: Pick<Kb, 'worktree'>,
  onto: NonNullable<Contents['onto']>,
  path: RepoPath,
  text: Buffer,
): Buffer {
  const { conversions } = kb.worktree.settings;
  const conversion = conversions === undefined ? PLAIN : rulesOfTree(conversions, onto).of(path);
  if (conversion === PLAIN) return text;
  if (conversion.filter !== undefined || conversion.problem !== undefined) {
    const why = conversion.problem ?? 'the repository holds a pointer to its content (filter)';
    throw new KbError('E_UNSAFE_STATE', `${printable(path)} cannot be written by kb: ${why}`, {
      hint: 'write to another file, or commit this one with git',
      details: { path },
    });
  }
  const recorded = (): Buffer | undefined => {
    const entry = findEntry(onto.objects, onto.tree, path);
    return entry === undefined ? undefined : onto.objects.find(entry.oid)?.data;
  };
  // What its text is on disk (working-tree-encoding) is a matter of the file, not of the blob.
  const blob = convertToBlob({ ...conversion, encoding: undefined }, text, recorded);
  return typeof blob === 'string' ? text : blob;
}
