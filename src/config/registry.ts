import { monotonicMs } from '../monotonic.js';
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
/** Shorter than the wait: a command that was killed here works again when it is repeated. */
const ABANDONED_AFTER_MS = 1000;

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
    while (!rewrite(disk, file, wanted));
    syncDirectory(disk, dirname(file));
  } catch (error) {
    throw asStorageError(error, `write ${file}`);
  }
}

/** @returns false when the lock was taken away meanwhile: another process may have written the file */
function rewrite(disk: Disk, file: string, wanted: RegisteredKb): boolean {
  const lock = `${file}.lock`;
  const descriptor = openLock(disk, lock);
  try {
    try {
      writeFully(disk, descriptor, Buffer.from(withEntry(disk, read(disk, file), wanted)));
      disk.fsyncSync(descriptor);
      if (!isStill(disk, lock, descriptor)) return false;
    } finally {
      disk.closeSync(descriptor);
    }
    disk.renameSync(lock, file);
    return true;
  } catch (error) {
    removeFile(disk, lock);
    throw error;
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

/**
 * The lock is held for milliseconds. One that does not change for a while of watching was left by a process that was
 * killed. Should that process only have been stopped, `isStill` tells it before it would put the file into place.
 */
function openLock(disk: Disk, lock: string): number {
  const start = monotonicMs();
  let watched = { trace: '', sinceMs: start };
  for (;;) {
    try {
      return disk.openSync(lock, 'wx', 0o600);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      const nowMs = monotonicMs();
      const trace = traceOf(disk, lock);
      if (trace !== watched.trace) watched = { trace, sinceMs: nowMs };
      else if (nowMs - watched.sinceMs > ABANDONED_AFTER_MS) removeFile(disk, lock);
      if (nowMs - start > LOCK_WAIT_MS) {
        throw new KbError('E_UNSAFE_STATE', `the list of KBs is being written by another kb: ${lock} exists`, {
          hint: `if no other kb is running, remove ${lock}`,
          cause: error,
        });
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5 + Math.random() * 20);
    }
  }
}

function traceOf(disk: Disk, lock: string): string {
  const stat = disk.statSync(lock, { throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.ino} ${stat.mtimeMs}`;
}

/** Whether the lock file is the one that was opened. */
function isStill(disk: Disk, lock: string, descriptor: number): boolean {
  return disk.statSync(lock, { throwIfNoEntry: false })?.ino === disk.fstatSync(descriptor).ino;
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
