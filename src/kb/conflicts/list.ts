import { GitIndex } from '../../git/index/index-file.js';
import { shortName, type Oid, type RefName } from '../../git/ids.js';
import type { Leaf } from '../../git/objects/tree.js';
import type { RepoPath } from '../../git/paths.js';
import { operationInProgress } from '../../git/worktree/unsafe-state.js';
import type { Stretch } from '../../merge/contested.js';
import { treeOf } from '../advance.js';
import type { Kb } from '../open.js';
import { leafAt } from '../run/snapshot.js';
import { findCopies } from './copies.js';
import { nameOfVersion, readRecords, type Choice, type ConflictRecord, type Sides } from './record.js';

/** One version of a file, and how to look at it: `git show NAME`. */
export interface NamedVersion {
  readonly blob: Oid;
  readonly name: string;
}

/** Where a side has its part of a contradiction: lines counted from 1; `line` is null where the side has no lines there. */
export interface Place {
  readonly line: number | null;
  readonly count: number;
}

export interface ContestedRegion {
  readonly ours: Place;
  readonly theirs: Place;
}

/** Something that waits for a person to decide. */
export interface ConflictItem {
  readonly path: RepoPath;
  /**
   * `sync`: local work and the remote's overlap; `edit`: a text that `kb edit` could not bring in; `copy`: the other
   * version lies beside the file (`copy`); `git`: native git's own merge, which native git has to finish.
   */
  readonly kind: 'sync' | 'edit' | 'copy' | 'git';
  readonly reason: string;
  /** The name that the file had before a side renamed it. */
  readonly from?: RepoPath;
  /** The name that others gave it, where both sides renamed it. */
  readonly remotePath?: RepoPath;
  readonly branch: string | null;
  /** The name that keeps all versions. */
  readonly ref: RefName | null;
  readonly base: NamedVersion | null;
  readonly ours: NamedVersion | null;
  readonly theirs: NamedVersion | null;
  /** The file that holds ours, with `copy`. */
  readonly copy: RepoPath | null;
  /** ISO 8601; of a copy the day in its name; null: unknown. */
  readonly since: string | null;
  /** Decided, and carried out as soon as the rest of the same sync is. */
  readonly decided: Choice | null;
  /** What to type. */
  readonly next: string;
}

export interface ConflictsResult {
  readonly conflicts: readonly (ConflictItem & { readonly regions: readonly ContestedRegion[] })[];
}

/** An item with what it takes to decide it. */
export interface OpenConflict {
  readonly item: ConflictItem;
  readonly sides: Sides;
  readonly record: ConflictRecord | undefined;
}

/** Every conflict of the KB, in the order in which they are decided where one path has several. No lock, no network. */
export function findConflicts(kb: Kb, index = GitIndex.read(kb.surroundings.disk, kb.gitDir)): OpenConflict[] {
  return [...ofGit(kb, index), ...readRecords(kb).flatMap(ofRecord), ...ofCopies(kb, index)];
}

/** @returns with the places of the contradictions, which cost a merge of each file */
export async function listConflicts(kb: Kb): Promise<ConflictsResult> {
  const open = findConflicts(kb);
  if (open.length === 0) return { conflicts: [] };
  const { stretchesOf } = await import('./decide.js');
  return {
    conflicts: open.map(({ item, sides }) => {
      const stretches = item.kind === 'git' ? undefined : stretchesOf(kb.objects, sides);
      return { ...item, regions: stretches === undefined ? [] : regionsOf(kb, sides, stretches) };
    }),
  };
}

function ofRecord(record: ConflictRecord): OpenConflict[] {
  const { ref, kind, branch, since, files } = record;
  // The oldest way to the same file first: its decision may settle the others.
  return files.map((file): OpenConflict => {
    const version = (side: 'base' | 'ours' | 'theirs'): NamedVersion | null => {
      const leaf = file[side];
      return leaf === null ? null : { blob: leaf.oid, name: nameOfVersion(ref, side, file.path) };
    };
    const item: ConflictItem = {
      path: file.path,
      kind,
      reason: file.reason,
      ...(file.from === undefined ? {} : { from: file.from }),
      ...(file.remotePath === undefined ? {} : { remotePath: file.remotePath }),
      branch: shortName(branch),
      ref,
      base: version('base'),
      ours: version('ours'),
      theirs: version('theirs'),
      copy: null,
      since,
      decided: file.decided?.choice ?? null,
      next: 'kb resolve PATH --ours|--theirs|--both|--edit',
    };
    return { item, sides: file, record };
  });
}

function ofCopies(kb: Kb, index: GitIndex): OpenConflict[] {
  const copies = findCopies(index);
  if (copies.length === 0) return [];
  const head = kb.refs.head();
  const tree = treeOf(kb, head.oid);
  return copies.flatMap(({ copy, path, day }) => {
    const [ours, theirs] = [leafAt(kb.objects, tree, copy), leafAt(kb.objects, tree, path)];
    if (ours === null) return []; // in no commit: somebody has just put it there, or taken it away
    const version = (leaf: Leaf | null, at: RepoPath): NamedVersion | null =>
      leaf === null ? null : { blob: leaf.oid, name: `HEAD:${at}` };
    const item: ConflictItem = {
      path,
      kind: 'copy',
      reason: theirs === null ? 'deleted' : 'copy',
      branch: head.branch === undefined ? null : shortName(head.branch),
      ref: null,
      base: null,
      ours: version(ours, copy),
      theirs: version(theirs, path),
      copy,
      since: day,
      decided: null,
      next: 'kb resolve PATH --ours|--theirs|--both|--edit',
    };
    return [{ item, sides: { path, base: null, ours, theirs }, record: undefined }];
  });
}

/** Native git's index keeps the versions; only native git knows what is to become of its merge, rebase or cherry-pick. */
function ofGit(kb: Kb, index: GitIndex): OpenConflict[] {
  const files = index.unmergedVersions();
  if (files.size === 0) return [];
  const hint = operationInProgress(kb.surroundings.disk, kb.gitDir, index)?.hint ?? '';
  const { branch } = kb.refs.head();
  return [...files].map(([path, stages]): OpenConflict => {
    const version = (stage: number): NamedVersion | null => {
      const entry = stages.get(stage);
      return entry === undefined ? null : { blob: entry.oid, name: `:${stage}:${path}` };
    };
    const [base, ours, theirs] = [version(1), version(2), version(3)];
    const item: ConflictItem = {
      path,
      kind: 'git',
      reason: ours === null || theirs === null ? 'deleted' : 'overlap',
      branch: branch === undefined ? null : shortName(branch),
      ref: null,
      base,
      ours,
      theirs,
      copy: null,
      since: null,
      decided: null,
      next: `edit the file, then: git add PATH; ${hint}`,
    };
    return { item, sides: { path, base: null, ours: null, theirs: null }, record: undefined };
  });
}

function regionsOf(kb: Kb, { ours, theirs }: Sides, stretches: readonly Stretch[]): ContestedRegion[] {
  if (ours === null || theirs === null) return [];
  const finders = [ours, theirs].map(({ oid }) => new LineFinder(kb.objects.read(oid).data.toString('latin1')));
  return stretches.flatMap((stretch) => {
    if (stretch.kind === 'settled') return [];
    const [inOurs, inTheirs] = [finders[0]?.find(stretch.ours), finders[1]?.find(stretch.theirs)];
    return inOurs === undefined || inTheirs === undefined ? [] : [{ ours: inOurs, theirs: inTheirs }];
  });
}

/** Finds the parts of a text in their order. */
class LineFinder {
  private at = 0;

  constructor(private readonly text: string) {}

  find(part: string): Place {
    const count = (part.match(/\n/g) ?? []).length + (part === '' || part.endsWith('\n') ? 0 : 1);
    if (count === 0) return { line: null, count };
    for (let start = this.text.indexOf(part, this.at); start >= 0; start = this.text.indexOf(part, start + 1)) {
      if (start > 0 && this.text[start - 1] !== '\n') continue;
      this.at = start + part.length;
      return { line: (this.text.slice(0, start).match(/\n/g) ?? []).length + 1, count };
    }
    return { line: null, count };
  }
}
