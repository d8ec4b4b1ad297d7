import { posix } from 'node:path';
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
/** More deleted × added files than this are compared by their ids only: the search must not take longer than the run. */
const MOST_COMPARISONS = 2500;
/** A larger file takes part in a rename only where its content stayed the same. Bytes. */
const LARGEST_COMPARED = 1024 * 1024;
/** Of the larger of two files so much must be in both for the one to be the other under a new name. As git's `-M`. */
const LEAST_ALIKE = 0.5;

/** The same changes as a person would tell them: with renames, and the lines that came and went. */
export function countChanges(source: ObjectSource, changes: readonly TreeChange[]): CountedChange[] {
  const renames = findRenames(source, changes);
  const gone = new Set([...renames.values()].map(({ path }) => path));
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

/** @returns undefined for what a partial clone has left with the remote: counting is no reason to fetch it */
function contentOf(source: ObjectSource, oid: Oid): Buffer | undefined {
  try {
    return source.read(oid).data;
  } catch (error) {
    if (promisedIn(error) === undefined && !isKbError(error, 'E_NETWORK')) throw error;
    return undefined;
  }
}

type Deletion = TreeChange & { readonly before: Leaf };
type Addition = TreeChange & { readonly after: Leaf };

/** By the new path, the change that took the file away from its old one. Each file is the end of one rename only. */
function findRenames(source: ObjectSource, changes: readonly TreeChange[]): Map<RepoPath, Deletion> {
  const deletions = new Set(changes.filter((change): change is Deletion => change.after === undefined));
  const additions = new Set(changes.filter((change): change is Addition => change.before === undefined));
  const renames = new Map<RepoPath, Deletion>();
  const pair = (deletion: Deletion, addition: Addition): void => {
    renames.set(addition.path, deletion);
    deletions.delete(deletion);
    additions.delete(addition);
  };
  const byContent = new Map<Oid, Deletion[]>();
  for (const deletion of deletions)
    byContent.set(deletion.before.oid, [...(byContent.get(deletion.before.oid) ?? []), deletion]);
  for (const addition of additions) {
    const same = (byContent.get(addition.after.oid) ?? []).filter(
      (deletion) => deletions.has(deletion) && isSameKind(deletion.before, addition.after),
    );
    const deletion = same.find(({ path }) => posix.basename(path) === posix.basename(addition.path)) ?? same[0];
    if (deletion !== undefined) pair(deletion, addition);
  }
  if (deletions.size * additions.size > MOST_COMPARISONS) return renames;
  const sizes = new LineSizes(source);
  const alike = [...additions].flatMap((addition) =>
    [...deletions]
      .filter(({ before }) => isFile(before) && isFile(addition.after))
      .map((deletion) => ({ deletion, addition, score: sizes.likeness(deletion.before.oid, addition.after.oid) })),
  );
  for (const { deletion, addition, score } of alike.sort((a, b) => b.score - a.score)) {
    if (score >= LEAST_ALIKE && deletions.has(deletion) && additions.has(addition)) pair(deletion, addition);
  }
  return renames;
}

function isFile({ mode }: Leaf): boolean {
  return mode === 0o100644 || mode === 0o100755;
}

function isSameKind(a: Leaf, b: Leaf): boolean {
  return a.mode === b.mode || (isFile(a) && isFile(b));
}

/** How many bytes of each line a file holds; each file is looked at once. */
class LineSizes {
  private readonly known = new Map<Oid, { readonly size: number; readonly lines: ReadonlyMap<string, number> }>();

  constructor(private readonly source: ObjectSource) {}

  /** @returns 0 to 1: how much of the larger file is in both */
  likeness(a: Oid, b: Oid): number {
    const [one, other] = [this.of(a), this.of(b)];
    let shared = 0;
    for (const [line, bytes] of one.lines) shared += Math.min(bytes, other.lines.get(line) ?? 0);
    return shared / Math.max(one.size, other.size, 1);
  }

  private of(oid: Oid): { size: number; lines: ReadonlyMap<string, number> } {
    const known = this.known.get(oid);
    if (known !== undefined) return known;
    const data = contentOf(this.source, oid) ?? EMPTY;
    const lines = new Map<string, number>();
    if (data.length <= LARGEST_COMPARED && contentKind(data) !== 'binary') {
      for (const line of data.toString('latin1').split(/(?<=\n)/))
        lines.set(line, (lines.get(line) ?? 0) + line.length);
    }
    const found = { size: data.length, lines };
    this.known.set(oid, found);
    return found;
  }
}
