import type { FileStat } from '../index/index-file.js';
import type { FileMode } from '../objects/tree.js';

export const REGULAR: FileMode = 0o100644;
export const EXECUTABLE: FileMode = 0o100755;
export const SYMLINK: FileMode = 0o120000;
export const GITLINK: FileMode = 0o160000;

const TYPE_BITS = 0o170000;

/** Same kind of thing (file, link, folder of another repository), whatever its executable bit. */
export function isSameType(a: number, b: number): boolean {
  return (a & TYPE_BITS) === (b & TYPE_BITS);
}

/**
 * Matches no file on disk, so that whoever compares has to look at the content. For an index entry whose
 * file was left as it is although git's version moved on: it must show up as changed.
 */
export const UNKNOWN_STAT: FileStat = { ctimeNs: 0n, mtimeNs: 0n, dev: 0, ino: 0, uid: 0, gid: 0, size: 0 };
