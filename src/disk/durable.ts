import { randomBytes } from 'node:crypto';
import { dirname, basename, join } from 'node:path';
import { KbError } from '../errors.js';
import type { Disk } from './disk.js';

export interface AtomicWriteOptions {
  /** Permission bits of the new file before the umask. */
  readonly mode?: number;
  /**
   * Where the temporary file lives until its rename; same volume. Needed for `refs/`, where a stray
   * file would be read as a ref. Default: the target's own directory.
   */
  readonly temporaryDirectory?: string;
  /** Survive a power cut, not only a crash of the process: fsync of file and directory. Default true. */
  readonly durable?: boolean;
}

/**
 * Writes a file so that any reader, at any instant and after any crash, sees the old bytes or all of the
 * new ones: temporary file, fsync, rename, fsync of the directory.
 * @throws the file system's own error; the temporary file is gone then
 */
export function writeFileAtomic(
  disk: Disk,
  path: string,
  data: string | Uint8Array,
  options: AtomicWriteOptions = {},
): void {
  const durable = options.durable ?? true;
  const temporary = join(options.temporaryDirectory ?? dirname(path), temporaryName(basename(path)));
  const descriptor = disk.openSync(temporary, 'wx', options.mode ?? 0o666);
  try {
    try {
      writeFully(disk, descriptor, typeof data === 'string' ? Buffer.from(data) : data);
      if (durable) disk.fsyncSync(descriptor);
    } finally {
      disk.closeSync(descriptor);
    }
    disk.renameSync(temporary, path);
  } catch (error) {
    removeFile(disk, temporary);
    throw error;
  }
  if (durable) syncDirectory(disk, dirname(path));
}

const TEMPORARY = '.kb_tmp_';

/** A name that no other writer picks, recognisable so that leftovers of a crash can be swept by age. */
export function temporaryName(hint: string): string {
  return `${TEMPORARY}${hint.slice(0, 40)}_${process.pid}_${randomBytes(6).toString('hex')}`;
}

/** A short write (full disk, signal) must not pass as a whole one: writes until all is written. */
export function writeFully(disk: Disk, descriptor: number, data: Uint8Array): void {
  for (let done = 0; done < data.length;) done += disk.writeSync(descriptor, data, done, data.length - done);
}

/** Makes a rename or new name in the directory survive a power cut. */
export function syncDirectory(disk: Disk, directory: string): void {
  let descriptor: number;
  try {
    descriptor = disk.openSync(directory, 'r');
  } catch {
    return; // Windows cannot open directories; there the rename itself is all there is
  }
  try {
    disk.fsyncSync(descriptor);
  } catch {
    // some network file systems refuse fsync on directories; the rename is all there is there too
  } finally {
    disk.closeSync(descriptor);
  }
}

/** The file's bytes, or undefined when there is no such file. */
export function readFileIfExists(disk: Disk, path: string): Buffer | undefined {
  try {
    return disk.readFileSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** The names in a directory; none where there is none. */
export function namesIn(disk: Disk, directory: string): string[] {
  try {
    return disk.readdirSync(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

/**
 * Removes what a killed `writeFileAtomic` left in a directory. Only for who is sure that no living process writes there.
 * @param hint of this file only
 */
export function removeTemporaryFiles(disk: Disk, directory: string, hint = ''): void {
  const start = `${TEMPORARY}${hint}`;
  for (const name of namesIn(disk, directory)) if (name.startsWith(start)) removeFile(disk, join(directory, name));
}

/** Removes a file; one that is not there is fine. */
export function removeFile(disk: Disk, path: string | Buffer): void {
  try {
    disk.unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
  }
}

/**
 * Removes a file or a directory with all in it, whatever bytes the names are, never following a symlink; nothing there is
 * fine.
 */
export function removeTree(disk: Disk, path: string | Buffer): void {
  let isDirectory: boolean;
  try {
    isDirectory = disk.lstatSync(path).isDirectory();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return;
    throw error;
  }
  if (!isDirectory) return removeFile(disk, path);
  for (const inside of pathsIn(disk, path)) removeTree(disk, inside);
  disk.rmdirSync(path);
}

/** What Node puts in the place of bytes that are no UTF-8. */
const REPLACEMENT = '\ufffd';

/** As bytes where a name is no UTF-8: as text it would be the name of nothing. */
function pathsIn(disk: Disk, directory: string | Buffer): (string | Buffer)[] {
  const names = disk.readdirSync(directory);
  if (typeof directory === 'string' && !names.some((name) => name.includes(REPLACEMENT)))
    return names.map((name) => join(directory, name));
  const above = Buffer.concat([Buffer.from(directory as string), Buffer.from('/')]);
  return disk.readdirSync(directory as string, { encoding: 'buffer' }).map((name) => Buffer.concat([above, name]));
}

/**
 * Whether the error has one of these codes; without codes, whether a call to the system failed, with whatever code.
 * (A KbError has a code too, but no system call.)
 */
export function isErrno(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return codes.length === 0 ? 'syscall' in error : codes.includes(String(error.code));
}

const STORAGE_REASONS: Record<string, string> = {
  ENOSPC: 'no space left on the volume',
  EDQUOT: 'the disk quota is used up',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EROFS: 'the file system is read-only',
  EIO: 'the disk reported an I/O error',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files on this machine',
  ENAMETOOLONG: 'a file name is too long for this volume',
  EFBIG: 'a file is too large for this volume',
};

/** Turns a file system error into E_STORAGE where it is one; anything else comes back as it was. */
export function asStorageError(error: unknown, doing: string): unknown {
  if (error instanceof KbError || !isErrno(error, ...Object.keys(STORAGE_REASONS))) return error;
  const reason = STORAGE_REASONS[error.code ?? ''] ?? error.message;
  const where = error.path === undefined ? '' : ` (${error.path})`;
  return new KbError('E_STORAGE', `could not ${doing}: ${reason}${where}`, {
    cause: error,
    details: { errno: error.code },
  });
}
