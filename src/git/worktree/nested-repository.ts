import type { Disk } from '../../disk/disk.js';
import { isErrno } from '../../disk/durable.js';
import { type Oid, isOid } from '../ids.js';
import { Refs } from '../refs/refs.js';

/** A `.git` file of a submodule or linked work tree holds one line; a larger file is none. */
const MAX_GIT_FILE_BYTES = 8192;

/**
 * Another repository's git folder inside the work tree, whose files are not ours.
 * Source: gitrepository-layout(5): a folder with HEAD, objects/ and refs/, or a `gitdir: PATH` file.
 * @param folder on disk
 */
export function nestedGitDir(disk: Disk, folder: string): string | undefined {
  const inside = `${folder}/.git`;
  const stats = disk.lstatSync(inside, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  if (!stats.isFile()) return looksLikeGitDir(disk, inside) ? inside : undefined;
  if (stats.size > MAX_GIT_FILE_BYTES) return undefined;
  const pointer = /^gitdir: (.+?)[\r\n]*$/.exec(disk.readFileSync(inside, 'utf8'))?.[1];
  if (pointer === undefined) return undefined;
  const target = pointer.startsWith('/') || /^[a-z]:[\\/]/i.test(pointer) ? pointer : `${folder}/${pointer}`;
  return looksLikeGitDir(disk, target) ? target : undefined;
}

/** The commit that is checked out in the nested repository; undefined when it has none or it cannot be told. */
export function nestedHead(disk: Disk, gitDir: string): Oid | undefined {
  try {
    return Refs.open(disk, gitDir).head().oid;
  } catch {
    return undefined; // a repository of a kind that kb does not open is left alone like any other
  }
}

function looksLikeGitDir(disk: Disk, gitDir: string): boolean {
  try {
    return (
      isHead(disk, `${gitDir}/HEAD`) &&
      disk.statSync(`${gitDir}/objects`).isDirectory() &&
      disk.statSync(`${gitDir}/refs`).isDirectory()
    );
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP')) return false;
    throw error;
  }
}

function isHead(disk: Disk, file: string): boolean {
  const stats = disk.lstatSync(file);
  if (stats.isSymbolicLink()) return disk.readlinkSync(file).startsWith('refs/');
  if (!stats.isFile() || stats.size > MAX_GIT_FILE_BYTES) return false;
  const text = disk.readFileSync(file, 'utf8');
  return /^ref:\s*refs\//.test(text) || isOid(text.slice(0, 40));
}
