import { dirname, join } from 'node:path';
import type { Disk } from '../../disk/disk.js';
import { isErrno, readFileIfExists, removeFile, writeFully } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import { ZERO_OID, type Oid, type RefName } from '../ids.js';
import { removeEmptyDirectories, removeEmptyParents } from './loose.js';

/** Which refs get a log when they have none yet; git's core.logAllRefUpdates (false, true, always). */
export type ReflogPolicy = 'none' | 'normal' | 'always';

export interface ReflogEntry {
  readonly before: Oid | undefined;
  readonly after: Oid | undefined;
  /** Formatted committer signature. */
  readonly who: string;
  readonly message: string;
}

/**
 * Appends to a ref's log; called under the ref's lock, as git does. A log that exists is always kept
 * up; a new one is begun only where the policy says so. Format: git-update-ref(1), "Logging updates".
 * @throws KbError E_UNSAFE_STATE when files that are no log of this ref are in the way
 */
export function appendReflog(
  disk: Disk,
  gitDir: string,
  name: RefName,
  entry: ReflogEntry,
  policy: ReflogPolicy,
): void {
  const descriptor = openLog(disk, join(gitDir, 'logs', name), beginsLog(name, policy));
  if (descriptor === undefined) return;
  const who = entry.who.replace(/[\0\r\n]+/g, ' ');
  const message = entry.message.replace(/[\0\s]+/g, ' ').trim();
  const line = `${entry.before ?? ZERO_OID} ${entry.after ?? ZERO_OID} ${who}${message === '' ? '' : `\t${message}`}\n`;
  try {
    writeFully(disk, descriptor, Buffer.from(line));
  } finally {
    disk.closeSync(descriptor);
  }
}

export function removeReflog(disk: Disk, gitDir: string, name: RefName): void {
  removeFile(disk, join(gitDir, 'logs', name));
  removeEmptyParents(disk, join(gitDir, 'logs'), name);
}

/** git's should_autocreate_reflog: what a person may want to go back on, not tags or private refs. */
function beginsLog(name: RefName, policy: ReflogPolicy): boolean {
  if (policy !== 'normal') return policy === 'always';
  return name === 'HEAD' || /^refs\/(heads|remotes|notes)\//.test(name);
}

function openLog(disk: Disk, path: string, create: boolean): number | undefined {
  // Nobody else begins or removes this log meanwhile: that too is done under the ref's lock only.
  if (!create && !isFile(disk, path)) return undefined;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return disk.openSync(path, 'a', 0o666);
    } catch (error) {
      const mended = attempt < 8 && makeRoom(disk, path, error);
      if (!mended) throw logInTheWay(path, error);
    }
  }
}

function isFile(disk: Disk, path: string): boolean {
  try {
    return disk.lstatSync(path).isFile();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

function makeRoom(disk: Disk, path: string, error: unknown): boolean {
  if (isErrno(error, 'EISDIR')) return removeEmptyDirectories(disk, path);
  if (!isErrno(error, 'ENOENT')) return false;
  try {
    disk.mkdirSync(dirname(path), { recursive: true });
    return true;
  } catch (mkdirError) {
    if (isErrno(mkdirError, 'ENOENT')) return true; // removed by somebody meanwhile: once more
    if (isErrno(mkdirError, 'ENOTDIR', 'EEXIST')) return false;
    throw mkdirError;
  }
}

function logInTheWay(path: string, cause: unknown): unknown {
  if (!isErrno(cause, 'EISDIR', 'ENOTDIR', 'EEXIST', 'ENOENT')) return cause;
  return new KbError('E_UNSAFE_STATE', `the log ${path} cannot be written: a log of another ref is in the way`, {
    hint: 'look below .git/logs for a file or folder of a branch that is no more, and remove it',
    cause,
  });
}

/**
 * What git would do in this repository: the `[core]` section of its own config file says whether it is
 * bare and which logs it wants. Only that file is read, since `git init` writes both there; whoever
 * has read the whole configuration passes the policy instead.
 */
export function reflogPolicyOf(disk: Disk, gitDir: string): ReflogPolicy {
  const core = coreSection(readFileIfExists(disk, join(gitDir, 'config'))?.toString('utf8') ?? '');
  const wanted = core.get('logallrefupdates');
  if (wanted === 'always') return 'always';
  if (wanted !== undefined) return isFalse(wanted) ? 'none' : 'normal';
  const bare = core.get('bare');
  return bare !== undefined && !isFalse(bare) ? 'none' : 'normal';
}

function isFalse(value: string): boolean {
  return ['false', 'no', 'off', '0', ''].includes(value);
}

function coreSection(config: string): Map<string, string> {
  const values = new Map<string, string>();
  let inCore = false;
  for (const line of config.split('\n')) {
    const header = /^\s*\[\s*([^\]]*?)\s*\]/.exec(line);
    if (header !== null) inCore = header[1]?.toLowerCase() === 'core';
    const setting = inCore ? /^\s*(?:\[[^\]]*\]\s*)?([a-z][a-z0-9-]*)\s*(?:=\s*"?([^#;"]*))?/i.exec(line) : null;
    if (setting?.[1] !== undefined) values.set(setting[1].toLowerCase(), (setting[2] ?? 'true').trim().toLowerCase());
  }
  return values;
}
