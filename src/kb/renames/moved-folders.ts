import { folderOf } from '../../git/worktree/folders.js';
import type { Rename } from './find-renames.js';

/** How a folder that one side has no more counts where files of the other side look for their new place. */
export type FolderWeight =
  /** The other side put a new file into it. */
  | 'asked'
  /** It lies below such a folder. */
  | 'below'
  /** Nobody asks where it went. */
  | 'unasked';

/**
 * Where one side's folders went, told by where most of their files went. A folder whose files went to several places,
 * none of them with the most, has no new place.
 * Source: git's `diffcore-rename.c` (`update_dir_rename_counts`) and `merge-ort.c`
 * (`get_provisional_directory_renames`).
 * @returns new folder by old folder; '' is the root
 */
export function movedFolders(renames: Iterable<Rename>, weigh: (folder: string) => FolderWeight): Map<string, string> {
  const counts = new Map<string, Map<string, number>>();
  for (const { from, to } of renames) countMove(from.path, to.path, weigh, counts);
  const moved = new Map<string, string>();
  for (const [folder, targets] of counts) {
    if (weigh(folder) === 'unasked') continue;
    const most = Math.max(...targets.values());
    const best = [...targets].filter(([, count]) => count === most);
    const [[target] = ['']] = best;
    if (best.length === 1) moved.set(folder, target);
  }
  return moved;
}

/**
 * `a/b/c/file` that became `a/x/c/file` says that `a/b/c` is `a/x/c` now, and that `a/b` is `a/x`; not that `a` is
 * somewhere else.
 */
function countMove(
  from: string,
  to: string,
  weigh: (folder: string) => FolderWeight,
  counts: Map<string, Map<string, number>>,
): void {
  let [old, fresh] = [folderOf(from), folderOf(to)];
  for (let isFirst = true; ; isFirst = false) {
    if (old === '') return;
    const weight = weigh(old);
    if (isFirst || weight === 'asked') {
      const targets = counts.get(old) ?? new Map<string, number>();
      counts.set(old, targets.set(fresh, (targets.get(fresh) ?? 0) + 1));
    }
    if (weight === 'unasked' || fresh === '') return;
    const [oldName, freshName] = [old.slice(old.lastIndexOf('/') + 1), fresh.slice(fresh.lastIndexOf('/') + 1)];
    if (oldName !== freshName) return;
    [old, fresh] = [folderOf(old), folderOf(fresh)];
  }
}

/** Where a file goes whose folder, or one above it, has moved; undefined: it stays. */
export function movedPath(
  path: string,
  moved: ReadonlyMap<string, string>,
): { path: string; into: string } | undefined {
  for (let folder = folderOf(path); folder !== ''; folder = folderOf(folder)) {
    const into = moved.get(folder);
    if (into === undefined) continue;
    const rest = path.slice(folder.length + 1);
    return { path: into === '' ? rest : `${into}/${rest}`, into };
  }
  return undefined;
}
