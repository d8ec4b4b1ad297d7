import { dirname, resolve } from 'node:path';
import { KbError } from '../errors.js';
import type { Disk } from '../disk/disk.js';
import { asStorageError, isErrno, removeFile, syncDirectory, writeFully } from '../disk/durable.js';
import { registryFile } from './locations.js';

export interface RegisteredKb {
  readonly name: string;
  /** Absolute. */
  readonly directory: string;
}

const MAX_BYTES = 1024 * 1024;
const LOCK_WAIT_MS = 2000;
const ABANDONED_AFTER_MS = 10_000;

/**
 * The KBs this user has given names to, sorted by name.
 * @throws KbError E_USAGE when the file is no registry
 */
export function listRegistered(disk: Disk, env: NodeJS.ProcessEnv): RegisteredKb[] {
  return read(disk, registryFile(env));
}

export function findRegistered(disk: Disk, env: NodeJS.ProcessEnv, name: string): RegisteredKb | undefined {
  return listRegistered(disk, env).find((kb) => kb.name === name);
}

/**
 * Asked before the work that ends in `register`, so that a long clone does not fail at its last step.
 * @throws KbError E_USAGE for a bad name, or one that another directory has
 */
export function requireFreeName(disk: Disk, env: NodeJS.ProcessEnv, name: string, directory: string): void {
  checkFree(disk, listRegistered(disk, env), { name: checkName(name), directory: resolve(directory) });
}

/**
 * Gives a KB a name. The same again changes nothing; a name whose directory is gone may be given anew.
 *
 * Two processes that register at once must both end up in the file: it is rewritten under
 * `registry.json.lock`, created exclusively, which becomes the file by a rename.
 *
 * @throws KbError E_USAGE for a bad or taken name, E_UNSAFE_STATE when the lock file stays
 */
export function register(disk: Disk, env: NodeJS.ProcessEnv, kb: RegisteredKb): void {
  const file = registryFile(env);
  const wanted = { name: checkName(kb.name), directory: resolve(kb.directory) };
  try {
    disk.mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const lock = `${file}.lock`;
    const descriptor = openLock(disk, lock);
    try {
      const text = withEntry(disk, read(disk, file), wanted);
      try {
        writeFully(disk, descriptor, Buffer.from(text));
        disk.fsyncSync(descriptor);
      } finally {
        disk.closeSync(descriptor);
      }
      disk.renameSync(lock, file);
    } catch (error) {
      removeFile(disk, lock);
      throw error;
    }
    syncDirectory(disk, dirname(file));
  } catch (error) {
    throw asStorageError(error, `write ${file}`);
  }
}

function withEntry(disk: Disk, entries: readonly RegisteredKb[], wanted: RegisteredKb): string {
  checkFree(disk, entries, wanted);
  const kbs = [...entries.filter((one) => one.name !== wanted.name), wanted].sort(byName);
  return `${JSON.stringify({ version: 1, kbs }, null, 2)}\n`;
}

function checkFree(disk: Disk, entries: readonly RegisteredKb[], wanted: RegisteredKb): void {
  const taken = entries.find((one) => one.name === wanted.name);
  if (taken === undefined || taken.directory === wanted.directory || !exists(disk, taken.directory)) return;
  throw new KbError('E_USAGE', `the name ${wanted.name} is taken by ${taken.directory}`, {
    hint: 'choose another --name, or see: kb list',
  });
}

/** A name must not look like a path or an option: `--kb NAME` and `--kb DIR` share one flag. */
function checkName(name: string): string {
  if (/^[\p{L}\p{N}][\p{L}\p{M}\p{N}._-]{0,63}$/u.test(name)) return name;
  throw new KbError('E_USAGE', `not a name for a KB: ${JSON.stringify(name.slice(0, 80))}`, {
    hint: 'use up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit',
  });
}

function read(disk: Disk, file: string): RegisteredKb[] {
  let text: string;
  try {
    const stat = disk.statSync(file);
    if (!stat.isFile() || stat.size > MAX_BYTES) throw damaged(file);
    text = disk.readFileSync(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw asStorageError(error, `read ${file}`);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw damaged(file, error);
  }
  const { version, kbs } = (content ?? {}) as { version?: unknown; kbs?: unknown };
  if (version !== 1 || !Array.isArray(kbs) || !kbs.every(isEntry)) throw damaged(file);
  return kbs.map(({ name, directory }) => ({ name, directory })).sort(byName);
}

function isEntry(value: unknown): value is RegisteredKb {
  const { name, directory } = (value ?? {}) as { name?: unknown; directory?: unknown };
  return (
    typeof name === 'string' && typeof directory === 'string' && directory.startsWith(resolve(directory).slice(0, 1))
  );
}

function damaged(file: string, cause?: unknown): KbError {
  return new KbError('E_USAGE', `${file} is not a list of KBs as kb writes it`, {
    hint: `remove ${file}; kb clone and kb init --name make it anew`,
    cause,
  });
}

function openLock(disk: Disk, lock: string): number {
  const deadline = performance.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      return disk.openSync(lock, 'wx', 0o600);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      if (isAbandoned(disk, lock)) removeFile(disk, lock);
      if (performance.now() > deadline) {
        throw new KbError('E_UNSAFE_STATE', `the list of KBs is being written by another kb: ${lock} exists`, {
          hint: `if no other kb is running, remove ${lock}`,
          cause: error,
        });
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5 + Math.random() * 20);
    }
  }
}

/** The lock is held for milliseconds. One this old was left by a process that was killed; the file guards no more than names. */
function isAbandoned(disk: Disk, lock: string): boolean {
  const stat = disk.statSync(lock, { throwIfNoEntry: false });
  return stat !== undefined && Date.now() - stat.mtimeMs > ABANDONED_AFTER_MS;
}

function exists(disk: Disk, path: string): boolean {
  try {
    disk.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function byName(a: RegisteredKb, b: RegisteredKb): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
