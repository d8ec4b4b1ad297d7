import type { Disk } from '../../disk/disk.js';
import { isErrno } from '../../disk/durable.js';
import { decodePath } from '../paths.js';
import { composedName } from './composed-name.js';

export interface FolderItem {
  /** Decoded as a part of a RepoPath. */
  readonly name: string;
  /** 'other' is what git does not track: pipes, sockets, devices. */
  readonly kind: 'file' | 'symlink' | 'folder' | 'other';
}

interface Entry {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

/** What Node puts in the place of bytes that are no UTF-8. */
const REPLACEMENT = '\ufffd';

/**
 * What is in a folder, in the order of the volume; empty when it is gone or must not be read (git passes
 * such a folder over as well).
 */
export function listFolder(
  disk: Disk,
  folder: string | Buffer,
  settings: { precomposeUnicode: boolean },
): FolderItem[] {
  try {
    const items = disk
      .readdirSync(folder, { withFileTypes: true })
      .map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
    const exact = items.some(({ name }) => name.includes(REPLACEMENT)) ? listBytes(disk, folder) : items;
    return settings.precomposeUnicode ? exact.map(({ name, kind }) => ({ name: composedName(name), kind })) : exact;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM')) return [];
    throw error;
  }
}

/** Slower, and only needed where a name is no UTF-8: as text, two such names could not be told apart. */
function listBytes(disk: Disk, folder: string | Buffer): FolderItem[] {
  // the types of Node 20 do not know the pair of options that its code has
  const read = disk.readdirSync as unknown as (
    path: string | Buffer,
    options: { withFileTypes: true; encoding: 'buffer' },
  ) => (Entry & { name: Buffer })[];
  return read(folder, { withFileTypes: true, encoding: 'buffer' }).map((entry) => ({
    name: decodePath(entry.name),
    kind: kindOf(entry),
  }));
}

function kindOf(entry: Entry): FolderItem['kind'] {
  return entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : entry.isSymbolicLink() ? 'symlink' : 'other';
}
