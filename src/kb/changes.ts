import { isKbError } from '../errors.js';
import type { Oid } from '../git/ids.js';
import type { ObjectSource } from '../git/objects/object.js';
import { promisedIn } from '../git/objects/promised.js';
import type { Leaf } from '../git/objects/tree.js';
import type { TreeChange } from '../git/objects/tree-diff.js';
import type { RepoPath } from '../git/paths.js';
import { contentKind } from '../merge/content-kind.js';
import { diffLines } from '../merge/diff.js';
import { LineIds, splitLines } from '../merge/lines.js';
import { findRenames } from './renames/find-renames.js';

/** A changed file as commands report it. */
export interface FileChange {
  readonly path: RepoPath;
  readonly kind: 'added' | 'modified' | 'deleted';
}

export function describeChanges(changes: readonly TreeChange[]): FileChange[] {
  return changes.map(({ path, before, after }) => ({
    path,
    kind: before === undefined ? 'added' : after === undefined ? 'deleted' : 'modified',
  }));
}

/** A changed file with how much of it changed; null: it is no text. */
export interface CountedChange {
  readonly path: RepoPath;
  readonly kind: FileChange['kind'] | 'renamed';
  /** The old path of a renamed file. */
  readonly from?: RepoPath;
  /** Lines that are in the new version only. */
  readonly added: number | null;
  /** Lines that were in the old version only. */
  readonly deleted: number | null;
}

const GITLINK = 0o160000;
const EMPTY = Buffer.alloc(0);
/** More pairs of files than the square of this are compared by their ids only: the search must not take longer than the run. */
const MOST_COMPARED = 50;
/** A larger file takes part in a rename only where its content stayed the same. Bytes. */
const LARGEST_COMPARED = 1024 * 1024;

/** The same changes as a person would tell them: with renames, and the lines that came and went. */
export function countChanges(source: ObjectSource, changes: readonly TreeChange[]): CountedChange[] {
  const { renames: byOldPath } = findRenames({
    changes,
    read: (oid) => comparedText(source, oid),
    limit: MOST_COMPARED,
    withEmpty: true,
  });
  const renames = new Map([...byOldPath.values()].map(({ from, to }) => [to.path, from]));
  const gone = new Set(byOldPath.keys());
  return changes.flatMap((change): CountedChange[] => {
    if (change.after === undefined && gone.has(change.path)) return [];
    const old = renames.get(change.path);
    const counts = countLines(source, old?.before ?? change.before, change.after);
    if (old !== undefined) return [{ path: change.path, kind: 'renamed', from: old.path, ...counts }];
    return describeChanges([change]).map((described) => ({ ...described, ...counts }));
  });
}

function countLines(
  source: ObjectSource,
  before: Leaf | undefined,
  after: Leaf | undefined,
): Pick<CountedChange, 'added' | 'deleted'> {
  if (before?.oid === after?.oid) return { added: 0, deleted: 0 };
  const [old, now] = [readText(source, before), readText(source, after)];
  if (old === undefined || now === undefined) return { added: null, deleted: null };
  const ids = new LineIds();
  const counts = { added: 0, deleted: 0 };
  for (const { oldCount, newCount } of diffLines(ids.of(splitLines(old)), ids.of(splitLines(now)))) {
    counts.added += newCount;
    counts.deleted += oldCount;
  }
  return counts;
}

/** @returns undefined for what has no lines to count; a file that is not there has none */
function readText(source: ObjectSource, leaf: Leaf | undefined): Buffer | undefined {
  if (leaf === undefined) return EMPTY;
  if (leaf.mode === GITLINK) return undefined;
  const data = contentOf(source, leaf.oid);
  return data === undefined || contentKind(data) === 'binary' ? undefined : data;
}

/** The content of a file for the search for renames. @returns undefined for what is not to be compared */
export function comparedText(source: ObjectSource, oid: Oid): Buffer | undefined {
  const data = contentOf(source, oid);
  return data === undefined || data.length > LARGEST_COMPARED || contentKind(data) === 'binary' ? undefined : data;
}

/** @returns undefined for what a partial clone has left with the remote: counting is no reason to fetch it */
function contentOf(source: ObjectSource, oid: Oid): Buffer | undefined {
  try {
    return source.read(oid).data;
  } catch (error) {
    if (promisedIn(error) === undefined && !isKbError(error, 'E_NETWORK')) throw error;
    return undefined;
  }
}
