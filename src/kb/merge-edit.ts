import type { FileMode } from '../git/objects/tree.js';
import type { Contents, MergeContents } from './merge-contents.js';

/** One version of a file. */
export interface FileVersion {
  readonly data: Buffer;
  readonly mode: FileMode;
}

export type EditConflictReason =
  /** Both sides changed the same or neighbouring lines, or the files are no text that can be merged. */
  | 'overlap'
  | 'binary'
  | 'encoding'
  /** The path is a folder, a link or a repository now, or leads through a file. */
  | 'type'
  /** Another file has taken the name, in another spelling. */
  | 'taken';

export type EditMerge =
  | {
      readonly kind: 'put';
      readonly data: Buffer;
      readonly mode: FileMode;
      /**
       * `alone`: nobody else changed the file; `merged`: somebody did, elsewhere in it; `restored`: somebody deleted
       * it, and an edit is never given up for a deletion.
       */
      readonly how: 'alone' | 'merged' | 'restored';
      /** What settled the places that a merge by lines leaves to a person. */
      readonly rules: readonly string[];
    }
  /** The file holds the edit already. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'conflict'; readonly reason: EditConflictReason };

const REGULAR: FileMode = 0o100644;

/**
 * Puts an edit that was made on one version of a file upon the version that is there now.
 * @param opened what the edit started from; undefined: a new file
 * @param theirs what is there now; undefined: no file
 * @param path its name says what kind of text it is
 * @param onto where its attributes are
 */
export function mergeEdit(
  opened: FileVersion | undefined,
  edited: Buffer,
  theirs: FileVersion | undefined,
  path: string,
  merge: MergeContents,
  onto?: Contents['onto'],
): EditMerge {
  if (theirs === undefined) {
    return opened === undefined
      ? { kind: 'put', data: edited, mode: REGULAR, how: 'alone', rules: [] }
      : { kind: 'put', data: edited, mode: opened.mode, how: 'restored', rules: [] };
  }
  if (theirs.mode === 0o120000) return { kind: 'conflict', reason: 'type' };
  const versions = { base: opened?.data, ours: theirs.data, theirs: edited };
  const merged = merge({ ...versions, path, ...(onto === undefined ? {} : { onto }) });
  if (merged.kind === 'conflict') return { kind: 'conflict', reason: merged.reason };
  if (merged.data.equals(theirs.data)) return { kind: 'nothing' };
  const isAlone = opened?.data.equals(theirs.data) === true;
  // The mode is not what an editor changes: whoever made the file executable meanwhile meant it.
  return { kind: 'put', data: merged.data, mode: theirs.mode, how: isAlone ? 'alone' : 'merged', rules: merged.rules };
}
