import { join } from 'node:path';
import type { Disk } from '../../disk/disk.js';
import { asStorageError, isErrno } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import { asRefName, isOid, type Oid, type RefName } from '../ids.js';

/** What one ref file says: an object, or another ref's name. */
export type RefValue =
  { readonly oid: Oid; readonly target?: never } | { readonly target: RefName; readonly oid?: never };

/** A ref is one short line; whatever is longer is no ref and must not be read into memory. */
const MAX_REF_BYTES = 4096;

/**
 * Reads a loose ref. Format: gitrepository-layout(5), "refs", and gitglossary(7), "symref".
 * @returns undefined when there is no such file (the ref may still be packed)
 * @throws KbError E_CORRUPT when the file is neither an object id nor `ref: NAME`
 */
export function readLooseRef(disk: Disk, gitDir: string, name: RefName): RefValue | undefined {
  const path = `${gitDir}/${name}`; // a dozen times a cycle, and `join` would look at each character
  let text: string;
  try {
    const stat = disk.lstatSync(path);
    if (stat.isDirectory()) return undefined;
    if (stat.isSymbolicLink()) {
      // Git before 2005 wrote symrefs as links, and still reads them.
      const target = parseTarget(disk.readlinkSync(path));
      if (target !== undefined) return { target };
    }
    text = readSmallFile(disk, path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return undefined;
    throw asStorageError(error, `read the ref ${name}`);
  }
  return parseRef(text) ?? broken(name, text);
}

function parseRef(text: string): RefValue | undefined {
  if (text.startsWith('ref:')) {
    const target = parseTarget(text.slice(4).trim());
    return target && { target };
  }
  // As git reads it: 40 digits, then the end or white space and whatever follows.
  const oid = text.slice(0, 40);
  return isOid(oid) && /^(\s|$)/.test(text.slice(40, 41)) ? { oid } : undefined;
}

function parseTarget(text: string): RefName | undefined {
  try {
    return text === 'HEAD' ? undefined : asRefName(text);
  } catch {
    return undefined;
  }
}

function readSmallFile(disk: Disk, path: string): string {
  const descriptor = disk.openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(MAX_REF_BYTES);
    return buffer.toString('utf8', 0, disk.readSync(descriptor, buffer, 0, MAX_REF_BYTES, 0));
  } finally {
    disk.closeSync(descriptor);
  }
}

function broken(name: RefName, text: string): never {
  if (/^[0-9a-f]{64}\s*$/.test(text)) {
    throw new KbError('E_UNSAFE_STATE', `the repository uses SHA-256 object ids (${name})`, {
      hint: 'kb works with SHA-1 repositories: clone the KB again with: git clone, from a remote that uses SHA-1',
      details: { ref: name },
    });
  }
  const what = text.trim() === '' ? 'is empty (an interrupted write)' : 'holds neither an object id nor a ref name';
  throw new KbError('E_CORRUPT', `the ref ${name} is broken: its file ${what}`, {
    hint: `see its last good value with: git reflog show ${name}, or: tail -n 1 .git/logs/${name}`,
    details: { ref: name },
  });
}

/**
 * The names of all loose refs below a folder such as `refs/heads`. Other files that lie there (locks,
 * names git would not allow) are passed over, as git does.
 */
export function listLooseRefs(disk: Disk, gitDir: string, folder: string): RefName[] {
  const names: RefName[] = [];
  const visit = (current: string): void => {
    let entries;
    try {
      entries = disk.readdirSync(join(gitDir, current), { withFileTypes: true });
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return;
      throw asStorageError(error, `list ${current}`);
    }
    for (const entry of entries) {
      const name = `${current}/${entry.name}`;
      if (entry.isDirectory()) visit(name);
      else if (isRefName(name)) names.push(name);
    }
  };
  visit(folder);
  return names;
}

/** `refs/…` by git's rules, and not HEAD. */
export function isRefName(name: string): name is RefName {
  try {
    return asRefName(name) !== 'HEAD';
  } catch {
    return false;
  }
}

/**
 * Removes the empty directories at and below `path`, so that a file can take its name; a directory that
 * holds a file stays.
 * @returns false when something is left
 */
export function removeEmptyDirectories(disk: Disk, path: string): boolean {
  try {
    for (const entry of disk.readdirSync(path, { withFileTypes: true })) {
      if (!entry.isDirectory() || !removeEmptyDirectories(disk, join(path, entry.name))) return false;
    }
    disk.rmdirSync(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return true;
    if (isErrno(error, 'ENOTDIR', 'ENOTEMPTY', 'EEXIST')) return false;
    throw error;
  }
}

/**
 * Removes the directories that a deleted ref leaves empty, upwards; `refs/heads` and its like stay.
 * Somebody may be about to create a ref in one of them: then it is not empty, or that writer makes the
 * directory again.
 */
export function removeEmptyParents(disk: Disk, root: string, name: RefName): void {
  const parts = name.split('/');
  for (let length = parts.length - 1; length > 2; length -= 1) {
    try {
      disk.rmdirSync(join(root, ...parts.slice(0, length)));
    } catch {
      return; // in use, or gone: both are fine
    }
  }
}
