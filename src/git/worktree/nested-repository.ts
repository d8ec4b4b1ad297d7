import type { Disk } from '../../disk/disk.js';
import { isErrno } from '../../disk/durable.js';
import { type Oid, isOid } from '../ids.js';
import { toDiskPath } from '../paths.js';
import { Refs } from '../refs/refs.js';

/** A `.git` file of a submodule or linked work tree holds one line; a larger file is none. */
const MAX_GIT_FILE_BYTES = 8192;

/**
 * Another repository's git folder inside the work tree, whose files are not ours.
 * Source: gitrepository-layout(5): a folder with HEAD, objects/ and refs/, or a `gitdir: PATH` file.
 * @param path of the folder, as a RepoPath, relative to `root`
 * @returns its path; where that is no UTF-8, its escapes stand in it
 */
export function nestedGitDir(disk: Disk, root: string, path: string): string | undefined {
  const below = (name: string): string | Buffer => toDiskPath(root, `${path}/${name}`);
  let stats;
  try {
    stats = disk.lstatSync(below('.git'), { throwIfNoEntry: false });
  } catch (error) {
    // As git does: in a folder that must not be entered there is none. It must not keep kb from all others.
    if (isErrno(error, 'EACCES', 'EPERM')) return undefined;
    throw error;
  }
  if (stats === undefined) return undefined;
  const inside = `${root}/${path}/.git`;
  if (!stats.isFile()) return looksLikeGitDir(disk, (name) => below(`.git/${name}`)) ? inside : undefined;
  if (stats.size > MAX_GIT_FILE_BYTES) return undefined;
  let text: string;
  try {
    text = disk.readFileSync(below('.git'), 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined; // gone by now
    if (isErrno(error, 'EACCES', 'EPERM')) return inside; // git takes one that must not be read for a repository as well
    throw error;
  }
  const pointer = /^gitdir: (.+?)[\r\n]*$/.exec(text)?.[1];
  if (pointer === undefined) return undefined;
  if (pointer.startsWith('/') || /^[a-z]:[\\/]/i.test(pointer))
    return looksLikeGitDir(disk, (name) => `${pointer}/${name}`) ? pointer : undefined;
  return looksLikeGitDir(disk, (name) => below(`${pointer}/${name}`)) ? `${root}/${path}/${pointer}` : undefined;
}

/** The commit that is checked out in the nested repository; undefined when it has none or it cannot be told. */
export function nestedHead(disk: Disk, gitDir: string): Oid | undefined {
  try {
    return Refs.open(disk, gitDir).head().oid;
  } catch {
    return undefined; // a repository of a kind that kb does not open is left alone like any other
  }
}

function looksLikeGitDir(disk: Disk, inside: (name: string) => string | Buffer): boolean {
  try {
    return (
      isHead(disk, inside('HEAD')) &&
      disk.statSync(inside('objects')).isDirectory() &&
      disk.statSync(inside('refs')).isDirectory()
    );
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP')) return false;
    throw error;
  }
}

function isHead(disk: Disk, file: string | Buffer): boolean {
  const stats = disk.lstatSync(file);
  if (stats.isSymbolicLink()) return disk.readlinkSync(file, 'utf8').startsWith('refs/');
  if (!stats.isFile() || stats.size > MAX_GIT_FILE_BYTES) return false;
  const text = disk.readFileSync(file, 'utf8');
  return /^ref:\s*refs\//.test(text) || isOid(text.slice(0, 40));
}
