import type { Oid } from '../../git/ids.js';
import type { StagedObjects } from '../../git/objects/staged.js';
import { findEntry, TREE_MODE, type Leaf } from '../../git/objects/tree.js';
import { diffTrees, type TreeChange } from '../../git/objects/tree-diff.js';
import { editTree } from '../../git/objects/tree-edit.js';
import type { RepoPath } from '../../git/paths.js';
import type { MergeContents } from '../merge-contents.js';
import { folderOf } from '../../git/worktree/folders.js';
import { isFile, isNoFolder, mergeLeaf } from '../merge-leaf.js';
import { sameLeaf } from '../run/snapshot.js';
import { findRenames, type Rename } from './find-renames.js';
import { KnownPieces } from './known-pieces.js';
import { movedFolders, movedPath, type FolderWeight } from './moved-folders.js';

/** How a KB wants renamed files to be followed. */
export interface RenameRules {
  /** As git's `merge.renameLimit`: more than the square of this many pairs of files are not compared; 0: any number. */
  readonly limit: number;
  /** Whether new files go along with a folder that the other side renamed. */
  readonly folders: boolean;
  /** Two spellings of one name are one file. */
  readonly ignoreCase: boolean;
  /** Whether a file of this path may be followed. */
  readonly allows: (path: string) => boolean;
  /** Told when there were more pairs than the limit allows. */
  readonly onLimit: () => void;
}

export interface Meeting {
  readonly staged: StagedObjects;
  /** What both sides started from. */
  readonly base: Oid;
  readonly local: Oid;
  /** The other side: what the changes are put onto. */
  readonly onto: Oid;
  /** The other side without what was deleted here. */
  readonly cleared: Oid;
  /** From the base to the local tree. */
  readonly changes: readonly TreeChange[];
  /** Files that are gone here, and that the other side changed or took away too. */
  readonly goneHere: readonly RepoPath[];
  /** The other way round. */
  readonly goneThere: readonly RepoPath[];
  readonly merge: MergeContents;
  /** It is to be a common ancestor of others (virtual-base.ts): folders are not followed then, as git does not either. */
  readonly isAncestor?: boolean;
}

/** The same meeting, with each file under one name on both sides. */
export interface Carried {
  readonly onto: Oid;
  readonly changes: readonly TreeChange[];
  /** By the name that a file has now: what it was called, and the rules to be told. */
  readonly told: ReadonlyMap<RepoPath, Origin>;
  readonly contests: readonly Contest[];
}

interface Origin {
  readonly from: RepoPath;
  readonly rules: readonly string[];
}

/** Both sides gave one file a new name, each its own. */
export interface Contest {
  /** The name that it has here. */
  readonly path: RepoPath;
  readonly remotePath: RepoPath;
  readonly from: RepoPath;
  readonly base: Leaf;
  readonly local: Leaf;
  readonly remote: Leaf;
  /** What both sides made of its text; undefined: they contradict each other there too. */
  readonly merged: Leaf | undefined;
}

/** @returns undefined: no rename matters here */
export type CarryRenames = (meeting: Meeting) => Carried | undefined;

/** A larger file is followed only where its content stayed the same: the comparison needs memory. Bytes. */
const LARGEST_COMPARED = 8 * 1024 * 1024;

/**
 * Follows files to the names that one side gave them, so that what the other side made of them goes along: a change of a
 * renamed file, and a new file in a renamed folder, are told as if they had been made under the new name. A pure function
 * of the trees: nothing is read where no rename can matter, and nothing is written but objects.
 *
 * Invariant: whatever cannot be followed without giving something up is left as it was met, and is then a conflict or two
 * files, as if nothing had been renamed. (Broken by: test/integration/renames.test.ts, "nothing is lost")
 * @param known what meetings before this one have read
 */
export function carryRenames(meeting: Meeting, rules: RenameRules, known = new KnownPieces()): Carried | undefined {
  const folders = rules.folders && meeting.isAncestor !== true;
  const asked = whatMatters(meeting, folders);
  return asked === undefined ? undefined : new Carrier(meeting, { ...rules, folders }, asked, known).carry();
}

/** What has to be known about renames. */
interface Asked {
  readonly goneHere: ReadonlySet<RepoPath>;
  readonly goneThere: ReadonlySet<RepoPath>;
  /** Whether the other side has something in a folder that is gone here. */
  readonly foldersHere: boolean;
  /** The other way round. */
  readonly foldersThere: boolean;
}

function whatMatters(meeting: Meeting, folders: boolean): Asked | undefined {
  const { staged, base, onto, changes } = meeting;
  const goneHere = new Set(meeting.goneHere);
  const goneThere = new Set(meeting.goneThere);
  const foldersHere = folders && hasLeftOver(meeting);
  const foldersThere = folders && hasNewIn(staged, base, onto, changes);
  if (goneHere.size + goneThere.size === 0 && !foldersHere && !foldersThere) return undefined;
  return { goneHere, goneThere, foldersHere, foldersThere };
}

/** New files here, in a folder that the other side has no more. */
function hasNewIn(staged: StagedObjects, base: Oid, onto: Oid, changes: readonly TreeChange[]): boolean {
  const folders = new Set(changes.flatMap(({ path, before }) => (before === undefined ? [folderOf(path)] : [])));
  folders.delete('');
  return [...folders].some((folder) => !isFolder(staged, onto, folder) && isFolder(staged, base, folder));
}

/** A folder that is gone here, while the other side still has something in it that was not deleted here. */
function hasLeftOver({ staged, local, cleared, changes }: Meeting): boolean {
  const folders = new Set<string>();
  for (const { path, after } of changes) {
    if (after !== undefined) continue;
    for (let folder = folderOf(path); folder !== '' && !folders.has(folder); folder = folderOf(folder))
      folders.add(folder);
  }
  return [...folders].some((folder) => !isFolder(staged, local, folder) && isFolder(staged, cleared, folder));
}

function isFolder(staged: StagedObjects, tree: Oid, path: string): boolean {
  return findEntry(staged, tree, path as RepoPath)?.mode === TREE_MODE;
}

/** One side, and what became of its files. */
interface Side {
  readonly changes: readonly TreeChange[];
  readonly renames: ReadonlyMap<RepoPath, Rename>;
  /** Where its folders went, as far as the other side has new files in them. */
  readonly folders: ReadonlyMap<string, string>;
}

class Carrier {
  private readonly staged: StagedObjects;
  /** The local changes by path, as they are told in the end. */
  private readonly local: Map<RepoPath, TreeChange>;
  /** What becomes of the other side. */
  private readonly remote = new Map<RepoPath, Leaf | null>();
  private readonly told = new Map<RepoPath, Origin>();
  private readonly contests: Contest[] = [];
  /** Folders that the other side gets for files that were moved there. */
  private readonly newFolders = new Set<string>();
  /** By a name that other files have too: the files that want it. */
  private readonly crowded = new Set<RepoPath>();

  constructor(
    private readonly meeting: Meeting,
    private readonly rules: RenameRules,
    private readonly asked: Asked,
    private readonly known: KnownPieces,
  ) {
    this.staged = meeting.staged;
    this.local = new Map(meeting.changes.map((change) => [change.path, change]));
  }

  carry(): Carried | undefined {
    const { meeting, asked, staged } = this;
    const { base, local, onto, changes } = meeting;
    const needsRemote = asked.goneThere.size > 0 || asked.foldersHere || asked.foldersThere;
    const theirs = needsRemote ? diffTrees(staged, base, onto) : [];
    const here = this.sideOf(changes, local, theirs, asked.goneHere);
    const there = this.sideOf(theirs, onto, asked.foldersThere ? changes : [], asked.goneThere);
    const hereTo = this.followFolders(here, there.folders, (from, to, leaf) => this.moveOwn(from, to, leaf));
    const thereTo = this.followFolders(there, here.folders, (from, to, leaf) => this.moveTheirs(from, to, leaf));
    for (const path of [...new Set([...asked.goneHere, ...asked.goneThere])].sort())
      this.follow(path, hereTo.get(path), thereTo.get(path));
    for (const path of this.crowded) this.share(path, hereTo, thereTo);
    if (this.told.size + this.contests.length === 0) return undefined;
    return {
      onto: editTree(staged, onto, this.remote),
      changes: [...this.local.values()].sort((a, b) => (a.path < b.path ? -1 : 1)),
      told: this.told,
      contests: this.contests,
    };
  }

  /** @param others what the other side changed; its new files ask for folders */
  private sideOf(
    changes: readonly TreeChange[],
    tree: Oid,
    others: readonly TreeChange[],
    gone: ReadonlySet<RepoPath>,
  ): Side {
    const { staged, rules } = this;
    const { base } = this.meeting;
    const isGone = remember((folder) => !isFolder(staged, tree, folder));
    const asked = new Set<string>();
    if (rules.folders) {
      for (const { path, before } of others) {
        const folder = folderOf(path);
        if (before === undefined && folder !== '' && isGone(folder) && isFolder(staged, base, folder))
          asked.add(folder);
      }
    }
    const weigh = remember((folder): FolderWeight => {
      if (asked.has(folder)) return 'asked';
      for (let above = folderOf(folder); above !== ''; above = folderOf(above)) if (asked.has(above)) return 'below';
      return 'unasked';
    });
    if (gone.size + asked.size === 0) return { changes, renames: new Map(), folders: new Map<string, string>() };
    const deleted = changes.filter(({ after }) => after === undefined).map(({ path }) => folderOf(path));
    const { renames, isCutShort } = findRenames({
      changes,
      read: (oid) => {
        const { data } = staged.read(oid);
        return data.length > LARGEST_COMPARED ? undefined : data;
      },
      limit: rules.limit,
      isWanted: (path) => gone.has(path) || weigh(folderOf(path)) !== 'unasked',
      byName: true,
      goneFolders: new Set([...new Set(deleted)].filter((folder) => folder !== '' && isGone(folder))),
      ignoreCase: rules.ignoreCase,
      known: this.known,
    });
    if (isCutShort) rules.onLimit();
    return {
      changes,
      renames,
      folders: asked.size === 0 ? new Map<string, string>() : movedFolders(renames.values(), weigh),
    };
  }

  /**
   * New files of one side go along with the folders of the other one, also those that got there by a rename; not into a
   * folder that this side has moved itself, for it has said where that one's files belong.
   * @param move @returns whether the file could be moved
   * @returns by the old name of each file that this side renamed, the name that it has now
   */
  private followFolders(
    side: Side,
    folders: ReadonlyMap<string, string>,
    move: (from: RepoPath, to: RepoPath, leaf: Leaf) => boolean,
  ): Map<RepoPath, RepoPath> {
    const names = new Map([...side.renames].map(([from, { to }]) => [from, to.path]));
    if (folders.size === 0) return names;
    const wanted = new Map<string, RepoPath[]>();
    const leaves = new Map<RepoPath, Leaf>();
    for (const { path, before, after } of side.changes) {
      const target = before === undefined && after !== undefined ? movedPath(path, folders) : undefined;
      if (target === undefined || after === undefined || side.folders.has(target.into)) continue;
      wanted.set(target.path, [...(wanted.get(target.path) ?? []), path]);
      leaves.set(path, after);
    }
    const renamed = new Map([...names].map(([from, to]) => [to, from]));
    for (const [to, sources] of wanted) {
      const [from] = sources;
      const leaf = from === undefined ? undefined : leaves.get(from);
      if (from === undefined || leaf === undefined || sources.length > 1) continue;
      if (!this.allows(from, to as RepoPath) || !move(from, to as RepoPath, leaf)) continue;
      this.told.set(to as RepoPath, { from, rules: ['renamed'] });
      const old = renamed.get(from);
      if (old !== undefined) names.set(old, to as RepoPath);
    }
    return names;
  }

  private moveOwn(from: RepoPath, to: RepoPath, leaf: Leaf): boolean {
    const { staged, meeting } = this;
    if (findEntry(staged, meeting.local, to) !== undefined || !this.hasRoom(to, leaf)) return false;
    this.local.delete(from);
    this.local.set(to, { path: to, after: leaf });
    return true;
  }

  private moveTheirs(from: RepoPath, to: RepoPath, leaf: Leaf): boolean {
    const mine = findEntry(this.staged, this.meeting.local, to);
    if (mine !== undefined && !sameLeaf(mine, leaf)) return false;
    if (this.entryThere(to) !== undefined || this.isBarred(to)) return false;
    this.moveThere(from, to, leaf);
    return true;
  }

  private moveThere(from: RepoPath, to: RepoPath, leaf: Leaf): void {
    this.remote.set(from, null);
    this.remote.set(to, leaf);
    for (let folder = folderOf(to); folder !== ''; folder = folderOf(folder)) this.newFolders.add(folder);
  }

  /** One file that one side took away, where the other one did something with it too. */
  private follow(path: RepoPath, here: RepoPath | undefined, there: RepoPath | undefined): void {
    const change = this.local.get(path);
    const base = change?.before;
    if (change === undefined || base === undefined) return;
    if (![here, there].every((to) => to === undefined || this.allows(path, to))) return;
    if (this.asked.goneHere.has(path) && this.asked.goneThere.has(path)) {
      if (here !== undefined && there !== undefined) this.bothRenamed(path, base, here, there);
      // Renamed by one side, deleted by the other: it stays, for a name is as much worth as an edit.
      const kept = here === undefined ? there : there === undefined ? here : undefined;
      if (kept !== undefined) this.tell(kept, path, 'delete-modify');
    } else if (change.after === undefined) {
      if (here !== undefined) this.renamedHere(path, base, here);
    } else if (there !== undefined) this.renamedThere(change, base, there);
  }

  private bothRenamed(path: RepoPath, base: Leaf, here: RepoPath, there: RepoPath): void {
    const local = this.local.get(here)?.after;
    const remote = this.leafThere(there);
    if (local === undefined || remote === undefined) return;
    if (here === there) {
      this.local.delete(path);
      this.local.set(here, { path: here, before: base, after: local });
      this.tell(here, path);
      return;
    }
    if (this.entryThere(here) !== undefined || this.isBarred(here) || this.local.has(there)) return;
    const merged = this.merge(here, base, remote, local);
    this.local.delete(path);
    this.local.delete(here);
    this.contests.push({ path: here, remotePath: there, from: path, base, local, remote, merged: merged?.leaf });
  }

  private renamedHere(path: RepoPath, base: Leaf, here: RepoPath): void {
    const local = this.local.get(here)?.after;
    const remote = this.leafThere(path);
    if (local === undefined || remote === undefined || !isFile(remote)) return;
    if (isNoFolder(findEntry(this.staged, this.meeting.onto, here)) || this.remote.has(here)) {
      this.crowded.add(here);
      return;
    }
    if (this.entryThere(here) !== undefined || this.isBarred(here, path)) return;
    this.local.delete(path);
    this.local.set(here, { path: here, before: base, after: local });
    this.moveThere(path, here, remote);
    this.tell(here, path);
  }

  private renamedThere(change: TreeChange, base: Leaf, there: RepoPath): void {
    const { path, after } = change;
    if (after === undefined || !isFile(after) || this.leafThere(there) === undefined) return;
    if (this.local.has(there)) {
      this.crowded.add(there);
      return;
    }
    this.local.delete(path);
    this.local.set(there, { path: there, before: base, after });
    this.tell(there, path);
  }

  /**
   * Both sides have a file of that name, and at least one of the two is another file renamed. What the other side made
   * of that one goes along first, then the two become one where a rule can do it. Else all stay where they were met:
   * settled one way or the other, an edit that has landed would go with the side that gives way.
   */
  private share(to: RepoPath, hereTo: ReadonlyMap<RepoPath, RepoPath>, thereTo: ReadonlyMap<RepoPath, RepoPath>): void {
    const source = (names: ReadonlyMap<RepoPath, RepoPath>): RepoPath | undefined =>
      [...names].find(([, name]) => name === to)?.[0];
    const matters = (path: RepoPath | undefined, has: boolean): RepoPath | undefined => (has ? path : undefined);
    const [old, oldThere] = [source(hereTo), source(thereTo)];
    const wasEdited = old !== undefined && this.asked.goneHere.has(old) && !this.asked.goneThere.has(old);
    const mine = matters(old, wasEdited && this.local.has(old));
    const hasEdit = oldThere !== undefined && this.local.get(oldThere)?.after !== undefined;
    const their = matters(oldThere, hasEdit && this.asked.goneThere.has(oldThere));
    const [local, remote] = [this.local.get(to)?.after, this.leafThere(to)];
    if (local === undefined || remote === undefined || this.local.get(to)?.before !== undefined) return;
    const own = mine === undefined ? undefined : this.local.get(mine);
    const edited = mine === undefined ? undefined : this.leafThere(mine);
    const mineNow = own?.before === undefined ? undefined : this.merge(to, own.before, edited, local);
    const other = their === undefined ? undefined : this.local.get(their);
    const theirNow = other?.before === undefined ? undefined : this.merge(to, other.before, remote, other.after);
    if ((mine !== undefined && mineNow === undefined) || (their !== undefined && theirNow === undefined)) return;
    const from = mine ?? their;
    const both = this.merge(to, undefined, theirNow?.leaf ?? remote, mineNow?.leaf ?? local);
    if (from === undefined || both === undefined) return;
    if (mine !== undefined) {
      this.local.delete(mine);
      this.remote.set(mine, null);
    }
    if (their !== undefined) this.local.delete(their);
    this.local.set(to, { path: to, before: remote, after: both.leaf });
    const rules = ['renamed', ...(mineNow?.rules ?? []), ...(theirNow?.rules ?? []), ...both.rules];
    this.told.set(to, { from, rules: [...new Set(rules)] });
  }

  private merge(
    path: RepoPath,
    before: Leaf | undefined,
    remote: Leaf | undefined,
    local: Leaf | undefined,
  ): { leaf: Leaf; rules: readonly string[] } | undefined {
    if (local === undefined) return undefined;
    const { staged, meeting } = this;
    const outcome = mergeLeaf(staged, meeting.onto, { path, before, remote, local }, meeting.merge);
    return 'reason' in outcome ? undefined : outcome;
  }

  /** A file that went along with its folder has its first name there still. */
  private tell(path: RepoPath, from: RepoPath, rule?: string): void {
    this.told.set(path, { from, rules: rule === undefined ? ['renamed'] : ['renamed', rule] });
  }

  private allows(from: RepoPath, to: RepoPath): boolean {
    return this.rules.allows(from) && this.rules.allows(to);
  }

  /** What the other side has at a path, as far as it was told by now. */
  private entryThere(path: RepoPath): Leaf | undefined {
    const known = this.remote.get(path);
    if (known !== undefined) return known ?? undefined;
    return findEntry(this.staged, this.meeting.onto, path);
  }

  private leafThere(path: RepoPath): Leaf | undefined {
    const entry = this.entryThere(path);
    return entry === undefined || entry.mode === TREE_MODE ? undefined : entry;
  }

  private hasRoom(path: RepoPath, leaf: Leaf): boolean {
    const there = this.entryThere(path);
    return (there === undefined || sameLeaf(there, leaf)) && !this.isBarred(path);
  }

  /** A folder in its place, or a file in the place of a folder that leads to it. */
  private isBarred(path: RepoPath, leaving?: RepoPath): boolean {
    if (this.newFolders.has(path)) return true;
    for (let folder = folderOf(path); folder !== ''; folder = folderOf(folder))
      if (folder !== leaving && this.leafThere(folder as RepoPath) !== undefined) return true;
    return false;
  }
}

function remember<T>(find: (name: string) => T): (name: string) => T {
  const known = new Map<string, T>();
  return (name) => {
    const found = known.get(name) ?? find(name);
    known.set(name, found);
    return found;
  };
}
