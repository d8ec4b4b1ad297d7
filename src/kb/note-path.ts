import { posix } from 'node:path';
import { KbError } from '../errors.js';
import type { FileMode } from '../git/objects/tree.js';
import type { RepoPath } from '../git/paths.js';
import { pathProblem } from '../git/worktree/path-rules.js';
import { printable } from '../printable.js';
import { parsePointer } from '../lfs/pointer.js';
import type { TipView } from './tip-view.js';

/** A path that a person or script gave, as a path inside the KB. @throws KbError E_USAGE */
export function asNotePath(text: string): RepoPath {
  const path = text.normalize('NFC').replace(/^(\.\/)+/, '');
  const problem = pathProblem(path);
  if (problem !== undefined) {
    throw new KbError('E_USAGE', `${printable(text)} cannot be a note's path: ${problem}`, {
      hint: 'give a path inside the KB, such as inbox/idea.md',
    });
  }
  return path as RepoPath;
}

/** Files may be stored in either normal form; a path that was typed names the one that is there. @throws KbError E_USAGE */
export function pathForms(text: string): RepoPath[] {
  const path = asNotePath(text);
  const forms = [text as RepoPath, path, path.normalize('NFD') as RepoPath];
  return [...new Set(forms)].filter((form) => pathProblem(form) === undefined);
}

export function existingPath(view: Pick<TipView, 'read'>, text: string): RepoPath {
  return pathForms(text).find((form) => view.read(form) !== undefined) ?? asNotePath(text);
}

/** @throws KbError E_USAGE: what a link points to may lie outside the KB, and a pointer of Git LFS is never rewritten */
export function requireRegular(
  path: RepoPath,
  { mode, data }: { readonly mode: FileMode; readonly data: Buffer },
): void {
  if (mode === 0o120000) throw new KbError('E_USAGE', `${printable(path)} is a symlink; kb writes through none`);
  if (parsePointer(data) === undefined) return;
  throw new KbError('E_USAGE', `${printable(path)} is kept by Git LFS; kb changes no such file by itself`, {
    hint: `change the file in the KB's folder, then: kb sync`,
  });
}

/** The folder that a file is in; '' is the KB's root. */
export function folderOf(path: string): string {
  const folder = posix.dirname(path);
  return folder === '.' ? '' : folder;
}
