import { isFile } from '../merge-leaf.js';
import { folderOf } from '../../git/worktree/folders.js';
import { posix } from 'node:path';
import type { Oid } from '../../git/ids.js';
import type { Leaf } from '../../git/objects/tree.js';
import type { TreeChange } from '../../git/objects/tree-diff.js';
import type { RepoPath } from '../../git/paths.js';
import { ALIKE, likeness } from '../../merge/likeness.js';
import { KnownPieces } from './known-pieces.js';

export type Deletion = TreeChange & { readonly before: Leaf };
export type Addition = TreeChange & { readonly after: Leaf };

export interface Rename {
  readonly from: Deletion;
  readonly to: Addition;
}

export interface RenameSearch {
  /** All that one side changed, in the order of git's index. */
  readonly changes: readonly TreeChange[];
  /** The content of a file; undefined: it is not to be compared. */
  readonly read: (oid: Oid) => Buffer | undefined;
  /** More than the square of this many pairs are told by name and id only; 0: any number is compared. */
  readonly limit: number;
  /** Files of which it matters where they went; the others are told by their ids only. Default: all. */
  readonly isWanted?: (path: RepoPath) => boolean;
  /** Also files without content, which are all alike. */
  readonly withEmpty?: boolean;
  /** Whether a file that kept its name in another folder is looked at first, and needs not be the one most alike. */
  readonly byName?: boolean;
  /** Folders that this side has no more: where most of one went, the rest of it is looked for first. */
  readonly goneFolders?: ReadonlySet<string>;
  /** Two spellings of one name, as to upper and lower case, are one file. */
  readonly ignoreCase?: boolean;
  /** What searches before this one have read. */
  readonly known?: KnownPieces;
}

export interface FoundRenames {
  /** By the old path. Each file is the end of one rename only. */
  readonly renames: ReadonlyMap<RepoPath, Rename>;
  /** There were too many pairs to compare them. */
  readonly isCutShort: boolean;
}

/** So much of the larger of two files must be in both for the one to be the other under a new name. As git's `-M`. */
const LEAST_ALIKE = ALIKE / 2;
/** A file of the same name needs to be this much alike to be taken without a look at all others. */
const LEAST_BY_NAME = LEAST_ALIKE + (ALIKE - LEAST_ALIKE) / 2;
/** So many of the files that are most like a new one are kept in mind for it. */
const CANDIDATES = 4;
const EMPTY_BLOB = 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391' as Oid;

/**
 * Which files of one side are others under a new name: first those with the same content, then those that kept their
 * name and most of their content, then whichever are most alike.
 *
 * Invariant: finds what native git finds, pair by pair; where it does not, git and kb merge one history in two ways.
 * Source: git's `diffcore-rename.c` (`diffcore_rename_extended`).
 * (Broken by: test/integration/renames.test.ts, "as git merges")
 */
export function findRenames(search: RenameSearch): FoundRenames {
  const finder = new Finder(search);
  finder.sameContent();
  finder.keepWanted();
  if (search.byName === true) finder.sameName();
  const isCutShort = !finder.mostAlike();
  if (search.ignoreCase === true) finder.sameSpelling();
  return { renames: finder.renames, isCutShort };
}

class Finder {
  readonly renames = new Map<RepoPath, Rename>();
  private readonly deletions: Set<Deletion>;
  private readonly additions: Set<Addition>;
  private readonly known: KnownPieces;

  constructor(private readonly search: RenameSearch) {
    const counts = (leaf: Leaf): boolean => search.withEmpty === true || leaf.oid !== EMPTY_BLOB;
    const { changes, known = new KnownPieces() } = search;
    this.known = known;
    this.deletions = new Set(
      changes.filter(
        (one): one is Deletion => one.after === undefined && one.before !== undefined && counts(one.before),
      ),
    );
    this.additions = new Set(
      changes.filter(
        (one): one is Addition => one.before === undefined && one.after !== undefined && counts(one.after),
      ),
    );
  }

  sameContent(): void {
    const byContent = new Map<Oid, Deletion[]>();
    for (const deletion of this.deletions) {
      const { oid } = deletion.before;
      byContent.set(oid, [...(byContent.get(oid) ?? []), deletion]);
    }
    for (const addition of this.additions) {
      const same = (byContent.get(addition.after.oid) ?? []).filter(
        (deletion) => this.deletions.has(deletion) && isSameKind(deletion.before, addition.after),
      );
      const name = posix.basename(addition.path);
      const deletion = same.find(({ path }) => posix.basename(path) === name) ?? same[0];
      if (deletion !== undefined) this.pair(deletion, addition);
    }
  }

  keepWanted(): void {
    const { isWanted } = this.search;
    for (const deletion of this.deletions)
      if (isWanted?.(deletion.path) === false || !isFile(deletion.before)) this.deletions.delete(deletion);
    for (const addition of this.additions) if (!isFile(addition.after)) this.additions.delete(addition);
  }

  /** Most files that move to another folder keep their names. */
  sameName(): void {
    if (this.deletions.size === 0) return;
    const old = onlyOnes(this.deletions);
    const fresh = onlyOnes(this.additions);
    const guesses = this.guessFolders();
    const byPath = new Map([...this.additions].map((addition) => [addition.path as string, addition]));
    for (const deletion of this.deletions) {
      const name = posix.basename(deletion.path);
      if (!fresh.has(name)) continue;
      const isOnly = old.get(name) !== undefined && fresh.get(name) !== undefined;
      const folder = guesses.get(folderOf(deletion.path));
      const guess = folder === undefined ? undefined : byPath.get(folder === '' ? name : `${folder}/${name}`);
      const addition = isOnly ? fresh.get(name) : guess;
      if (addition === undefined || !this.additions.has(addition)) continue;
      if (this.alike(deletion, addition) >= LEAST_BY_NAME) this.pair(deletion, addition);
    }
  }

  /** @returns false where that would take too many comparisons */
  mostAlike(): boolean {
    const { limit } = this.search;
    if (limit > 0 && this.deletions.size * this.additions.size > limit * limit) return false;
    const candidates: Candidate[] = [];
    for (const addition of this.additions) {
      let best: Candidate[] = [];
      for (const deletion of this.deletions) {
        const score = this.alike(deletion, addition);
        if (score < LEAST_ALIKE) continue;
        best.push({ deletion, addition, score, hasName: hasSameName(deletion, addition) });
        if (best.length > CANDIDATES) best = best.sort(byLikeness).slice(0, CANDIDATES);
      }
      candidates.push(...best);
    }
    for (const { deletion, addition } of candidates.sort(byLikeness))
      if (this.deletions.has(deletion) && this.additions.has(addition)) this.pair(deletion, addition);
    return true;
  }

  /** Where a disk knows only one of two spellings, a file that changed a lot under the other one is still that file. */
  sameSpelling(): void {
    const fold = (path: string): string => path.normalize('NFC').toLowerCase();
    const bySpelling = new Map([...this.additions].map((addition) => [fold(addition.path), addition]));
    for (const deletion of this.deletions) {
      const addition = bySpelling.get(fold(deletion.path));
      if (addition !== undefined && this.additions.has(addition)) this.pair(deletion, addition);
    }
  }

  /** Of each folder that is gone, where most of its files with unchanged content went. */
  private guessFolders(): Map<string, string> {
    const { goneFolders } = this.search;
    const counts = new Map<string, Map<string, number>>();
    for (const { from, to } of this.renames.values()) {
      const folder = folderOf(from.path);
      if (goneFolders?.has(folder) !== true) continue;
      const targets = counts.get(folder) ?? new Map<string, number>();
      const target = folderOf(to.path);
      counts.set(folder, targets.set(target, (targets.get(target) ?? 0) + 1));
    }
    return new Map([...counts].map(([folder, targets]) => [folder, mostFrequent(targets)]));
  }

  private pair(from: Deletion, to: Addition): void {
    this.renames.set(from.path, { from, to });
    this.deletions.delete(from);
    this.additions.delete(to);
  }

  private alike({ before }: Deletion, { after }: Addition): number {
    const { read } = this.search;
    const [old, fresh] = [this.known.of(before.oid, read), this.known.of(after.oid, read)];
    return old === undefined || fresh === undefined ? 0 : likeness(old, fresh, LEAST_ALIKE);
  }
}

interface Candidate {
  readonly deletion: Deletion;
  readonly addition: Addition;
  readonly score: number;
  readonly hasName: boolean;
}

function byLikeness(a: Candidate, b: Candidate): number {
  return b.score - a.score || Number(b.hasName) - Number(a.hasName);
}

function hasSameName(a: TreeChange, b: TreeChange): boolean {
  return posix.basename(a.path) === posix.basename(b.path);
}

/** By file name; undefined: several files have it. */
function onlyOnes<T extends TreeChange>(changes: Iterable<T>): Map<string, T | undefined> {
  const found = new Map<string, T | undefined>();
  for (const change of changes) {
    const name = posix.basename(change.path);
    found.set(name, found.has(name) ? undefined : change);
  }
  return found;
}

/** The first of those that came up most often. */
function mostFrequent(counts: ReadonlyMap<string, number>): string {
  let [best, most] = ['', 0];
  for (const [value, count] of counts) if (count > most) [best, most] = [value, count];
  return best;
}

function isSameKind(a: Leaf, b: Leaf): boolean {
  return a.mode === b.mode || (isFile(a) && isFile(b));
}
