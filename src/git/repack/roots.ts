import { join } from 'node:path';
import { isErrno } from '../../disk/durable.js';
import type { Disk } from '../../disk/disk.js';
import { KbError } from '../../errors.js';
import { visitIndexObjects } from '../index/index-objects.js';
import type { Oid, RefName } from '../ids.js';
import { Refs } from '../refs/refs.js';

/** From where the walk begins. */
export interface Roots {
  /** What refs and HEAD name: all of it must be here. */
  readonly named: ReadonlySet<Oid>;
  /** What anything else in the repository's own files may name: kept, if it is here. */
  readonly hinted: ReadonlySet<Oid>;
  /** undefined: all could be read; else what could not, and then nothing may be taken for unreachable. */
  readonly unreadable: string | undefined;
}

/** Folders of the repository whose files name objects. `refs` is read as refs, `objects` holds them. */
const FOLDERS = ['kb', 'logs', 'worktrees', 'info', 'rebase-merge', 'rebase-apply', 'sequencer'];
/** Read as packed-refs, as an index, or without any id of ours. */
const IGNORED = new Set(['packed-refs', 'config', 'description']);

/**
 * All that could lead to an object.
 *
 * Invariant: whatever kb or git may still come back to counts as a root. Instead of knowing each file (MERGE_HEAD,
 * reflogs, `shallow`, rebase and cherry-pick states, kb's queue, plans, saved notes, journals, and what a later
 * version adds), every word of 40 hex digits in the repository's own files counts, and every such file name. That
 * keeps too much at worst. (Broken by: test/integration/gc.test.ts, "keeps whatever could be referred to")
 * @param without refs that are about to go
 * @throws KbError E_CORRUPT when a ref is broken, E_STORAGE
 */
export function findRoots(disk: Disk, gitDir: string, without: ReadonlySet<RefName> = new Set()): Roots {
  const refs = Refs.open(disk, gitDir);
  const named = new Set<Oid>();
  for (const [name, oid] of refs.list('refs/')) if (!without.has(name)) named.add(oid);
  const head = refs.head().oid;
  if (head !== undefined) named.add(head);
  const hinted = new Set<Oid>();
  let unreadable: string | undefined;
  const visitFile = (path: string, name: string): void => {
    if (/^(index|sharedindex\.[0-9a-f]+|next-index-\d+)(\.lock)?$/.test(name)) {
      try {
        visitIndexObjects(disk, path, (bytes, at) => hinted.add(bytes.toString('hex', at, at + 20) as Oid));
      } catch (error) {
        // A lock file is an index that is being written: what is new in it is young.
        if (!(error instanceof KbError)) throw error;
        if (!name.endsWith('.lock')) unreadable ??= `${path}: ${error.message}`;
      }
    } else if (!IGNORED.has(name)) {
      for (const id of idsIn(name)) hinted.add(id);
      visitText(disk, path, hinted);
    }
  };
  const visitFolder = (path: string, deep: boolean): void => {
    for (const entry of entriesOf(disk, path)) {
      const inner = join(path, entry.name);
      if (entry.isDirectory()) {
        if (deep) visitFolder(inner, true);
      } else if (entry.isFile()) visitFile(inner, entry.name);
    }
  };
  visitFolder(gitDir, false);
  for (const folder of FOLDERS) visitFolder(join(gitDir, folder), true);
  return { named, hinted, unreadable };
}

const PIECE_BYTES = 1024 * 1024;

/** Logs grow without end: they are read in pieces, which overlap by one id. */
function visitText(disk: Disk, path: string, into: Set<Oid>): void {
  let descriptor: number;
  try {
    descriptor = disk.openSync(path, 'r');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return; // a temporary file that has found its place
    throw error;
  }
  try {
    const buffer = Buffer.alloc(PIECE_BYTES);
    let kept = 0;
    for (let at = 0; ;) {
      const got = disk.readSync(descriptor, buffer, kept, buffer.length - kept, at);
      if (got === 0) return;
      at += got;
      const end = kept + got;
      for (const id of idsIn(buffer.toString('latin1', 0, end))) into.add(id);
      kept = Math.min(40, end);
      buffer.copy(buffer, 0, end - kept, end);
    }
  } finally {
    disk.closeSync(descriptor);
  }
}

function idsIn(text: string): Oid[] {
  const ids: Oid[] = [];
  // Longer runs of digits are looked at too: keys and ids may stand side by side where a piece begins.
  for (const [run] of text.matchAll(/[0-9a-f]{40,}/g)) {
    for (let at = 0; at + 40 <= Math.min(run.length, 400); at += 1) ids.push(run.slice(at, at + 40) as Oid);
  }
  return ids;
}

function entriesOf(disk: Disk, path: string): { name: string; isDirectory(): boolean; isFile(): boolean }[] {
  try {
    return disk.readdirSync(path, { withFileTypes: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
