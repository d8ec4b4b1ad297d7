import { isKbError, KbError } from '../../errors.js';
import type { Oid } from '../../git/ids.js';
import { pathsWithFilter } from '../../git/convert/conversions.js';
import type { GitIndex } from '../../git/index/index-file.js';
import type { ObjectSource } from '../../git/objects/object.js';
import type { TreeChange } from '../../git/objects/tree-diff.js';
import type { RepoPath } from '../../git/paths.js';
import { parsePointer, type LfsOid, type Pointer } from '../../lfs/pointer.js';
import type { RemoteUrl } from '../../remote/url.js';
import type { Kb } from '../open.js';
import { ProgressMeter } from '../progress-meter.js';
import { leftOutFiles, rememberLeftOut } from './left-out.js';
import { leavesPointers, lfsStore, type LfsPlace } from './place.js';
import { LargeFileRoom } from './room.js';

/** A file whose content is to be had. */
export interface LargeFile {
  readonly path: RepoPath;
  readonly pointer: Pointer;
}

/** Where the files of a KB come from. */
export interface LfsRemote {
  readonly remoteName: string;
  readonly remote: RemoteUrl;
  readonly insecure: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface Bringing {
  /** That the files are of: its `.lfsconfig` counts. */
  readonly tree: Oid;
  readonly objects: ObjectSource;
  /** undefined: there is nobody to ask */
  readonly from: () => LfsRemote | undefined;
}

/**
 * Brings the content of large files before they are written. What cannot be had is told, and stays a pointer until the
 * next `kb sync`: one file that a server has lost must not keep everybody from the rest.
 * @throws KbError E_STORAGE, E_INTERRUPTED, E_TERMINATED, E_LOCK_LOST
 */
export async function bringLargeFiles(place: LfsPlace, files: readonly LargeFile[], bringing: Bringing): Promise<void> {
  if (files.length === 0) return;
  const { surroundings, gitDir } = place;
  const missing = new Set((await fetchLargeFiles(place, files, bringing)).map(({ path }) => path));
  const asked = new Set(files.map(({ path }) => path));
  const before = leftOutFiles(surroundings.disk, gitDir).filter((path) => !asked.has(path));
  rememberLeftOut(surroundings.disk, gitDir, [...before, ...missing]);
}

/** The same for the files that a change of the tree writes; costs a look at the attributes of their paths. */
export async function bringChangedLargeFiles(
  kb: Kb,
  changes: readonly TreeChange[],
  { index, ...bringing }: Bringing & { readonly index: () => GitIndex },
): Promise<void> {
  await bringLargeFiles(kb, largeFilesIn(kb, changes, bringing.objects, index), bringing);
}

/**
 * @returns those whose content is not here afterwards
 * @throws KbError as bringLargeFiles
 */
export async function fetchLargeFiles(
  place: LfsPlace,
  files: readonly LargeFile[],
  { tree, objects, from }: Bringing,
): Promise<readonly LargeFile[]> {
  const { surroundings } = place;
  const { env, clock, disk } = surroundings;
  // Programs of the user's that were configured for git-lfs would have to give these back.
  const extended = files.filter(({ pointer }) => pointer.hasExtensions);
  if (leavesPointers(env)) return files;
  const store = lfsStore({ disk, gitDir: place.gitDir, gitConfig: place.gitConfig });
  const wanted = files.filter(({ pointer }) => !pointer.hasExtensions && !store.has(pointer));
  if (extended.length > 0) tellLeft(place, extended, 'git-lfs has run programs of somebody on them, and kb runs none');
  if (wanted.length === 0) return extended;
  const room = new LargeFileRoom(place, store.directory);
  const question = from();
  let reason: string | undefined;
  if (question === undefined) reason = 'there is no remote to fetch them from';
  else {
    const meter = new ProgressMeter(clock, (progress) => surroundings.report(progress));
    surroundings.report({ kind: 'step', text: `fetching ${counted(wanted.length)}` });
    try {
      store.sweep();
      const { openPeer } = await import('./open-peer.js');
      const peer = await openPeer(place, { ...question, operation: 'download', tree, objects, watch: room });
      try {
        const objectsOnce = new Map<LfsOid, Pointer>(wanted.map(({ pointer }) => [pointer.oid, pointer]));
        const failed = await peer.fetch({
          objects: [...objectsOnce.values()],
          onProgress: (progress) => meter.follow('fetching large files', progress),
        });
        const [first] = failed.values();
        reason = first?.message;
      } finally {
        peer.close();
      }
    } catch (error) {
      if (!(error instanceof KbError) || isFatal(error)) throw error;
      reason = error.message;
    }
  }
  const left = wanted.filter(({ pointer }) => !store.has(pointer));
  if (left.length > 0) tellLeft(place, left, reason ?? 'they did not come');
  const writable = files.filter(({ pointer }) => !pointer.hasExtensions && store.has(pointer));
  room.requireForFiles(writable.reduce((bytes, { pointer }) => bytes + pointer.size, 0));
  return [...extended, ...left];
}

function largeFilesIn(
  { worktree }: Kb,
  changes: readonly TreeChange[],
  objects: ObjectSource,
  index: () => GitIndex,
): readonly LargeFile[] {
  const { conversions, cone } = worktree.settings;
  if (conversions === undefined || changes.length === 0) return [];
  const rules = conversions.rulesOfTree(changes, 'after', (oid) => objects.find(oid)?.data, index);
  const filtered = pathsWithFilter(rules, changes, 'lfs');
  if (filtered.length === 0) return [];
  const sight = cone?.();
  const inSight = filtered.flatMap(({ path, after }) => {
    const isHere = sight === undefined || sight.has(path) || !worktree.isLeftOut(path);
    return after === undefined || after.mode === 0o120000 || !isHere ? [] : [{ path, oid: after.oid }];
  });
  return pointersIn(inSight, objects);
}

/** Those of the files that are pointers; others have their content in the repository, whatever the attributes say. */
export function pointersIn(
  files: Iterable<{ readonly path: RepoPath; readonly oid: Oid }>,
  objects: ObjectSource,
): readonly LargeFile[] {
  return [...files].flatMap(({ path, oid }) => {
    const data = objects.find(oid)?.data;
    const pointer = data === undefined ? undefined : parsePointer(data);
    return pointer === undefined ? [] : [{ path, pointer }];
  });
}

/** Nobody could go on after these. */
export function isFatal(error: KbError): boolean {
  return (
    isKbError(error, 'E_STORAGE') ||
    isKbError(error, 'E_INTERRUPTED') ||
    isKbError(error, 'E_TERMINATED') ||
    isKbError(error, 'E_TIMEOUT') ||
    isKbError(error, 'E_LOCK_LOST') ||
    isKbError(error, 'E_INTERNAL')
  );
}

const MOST_NAMED = 5;

function tellLeft({ surroundings }: LfsPlace, files: readonly LargeFile[], reason: string): void {
  const named = files.slice(0, MOST_NAMED).map(({ path }) => path);
  const more = files.length > MOST_NAMED ? ` and ${files.length - MOST_NAMED} more` : '';
  const text = `${counted(files.length)} could not be fetched, and the pointer lies here instead: ${named.join(', ')}${more} (${reason}); next: kb sync`;
  surroundings.report({ kind: 'warning', text });
}

function counted(count: number): string {
  return count === 1 ? '1 large file' : `${count} large files`;
}
