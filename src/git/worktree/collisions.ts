import type { RepoPath } from '../paths.js';

/**
 * Two paths with the same key are one file on some volume: letters folded (Unicode full case folding, as
 * APFS and ext4's casefold do), composed and decomposed forms alike. Over-strict rather than blind: NTFS
 * keeps `Maße` and `Masse` apart, but who shares a KB does not know the next volume.
 */
export function collisionKey(path: string): string {
  if (isAscii(path)) return path.toLowerCase();
  // a letter's other case can have another normal form, hence the second pass
  return path.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC');
}

/** Groups of different paths that would be one file, or one file and one folder, on a volume that folds names. */
export function findCollisions(paths: Iterable<RepoPath>): RepoPath[][] {
  const files = new Map<string, RepoPath[]>();
  /** Key of each folder, with one path in it that can be named. */
  const folders = new Map<string, RepoPath>();
  for (const path of paths) {
    const key = collisionKey(path);
    const same = files.get(key);
    if (same === undefined) files.set(key, [path]);
    else if (!same.includes(path)) same.push(path);
    for (let slash = key.lastIndexOf('/'); slash !== -1; slash = key.lastIndexOf('/', slash - 1)) {
      const folder = key.slice(0, slash);
      if (folders.has(folder)) break;
      folders.set(folder, path);
    }
  }
  const groups: RepoPath[][] = [];
  for (const [key, same] of files) {
    const inFolder = folders.get(key);
    if (inFolder !== undefined) groups.push([...same, inFolder]);
    else if (same.length > 1) groups.push(same);
  }
  return groups;
}

function isAscii(text: string): boolean {
  // eslint-disable-next-line no-control-regex -- the whole of ASCII is meant
  return /^[\x00-\x7f]*$/.test(text);
}
