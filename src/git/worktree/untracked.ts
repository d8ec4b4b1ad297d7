import type { Stats } from 'node:fs';
import type { Oid } from '../ids.js';
import type { GitIndex } from '../index/index-file.js';
import type { ObjectSource } from '../objects/object.js';
import { type RepoPath, toDiskPath } from '../paths.js';
import { collisionKey } from './collisions.js';
import { type FolderItem, listFolder } from './folder-listing.js';
import { folderOf } from './folders.js';
import { IgnoreRules } from './ignore.js';
import { GITLINK, isSameType } from './modes.js';
import { nestedGitDir } from './nested-repository.js';
import { namesLock, namesTemporaryFile } from './path-rules.js';
import type { WorktreeChange } from './status.js';
import type { FolderState, TrackedFolder, TrackedFolders } from './tracked-folders.js';
import type { Worktree } from './worktree.js';

export interface UntrackedOptions {
  /** Path of the file that `core.excludesFile` names, or git's default one. */
  readonly excludesFile?: string;
  readonly cache?: FolderCache;
  /** Holds the ignore files that a sparse checkout leaves out. */
  readonly objects: Pick<ObjectSource, 'find'>;
}

/** What stands for the names that are tracked in a folder. */
export interface TrackedNames {
  /** The folder's tree in the index; undefined: the one it had when the cache was written (`isOfTree`). */
  readonly tree: Oid | undefined;
  /** Entries of the index in the folder itself: a tree that is about others says nothing. */
  readonly own: number;
}

/** What earlier scans found besides the tracked files; see UntrackedCache. */
export interface FolderCache {
  /**
   * To be called before anything is asked.
   * @param root id of the tree of the whole index, if it has one
   * @returns whether that was the tree when the cache was written: what it has of a tracked folder is then of the
   *   tree that the folder has now
   */
  isOfTree(root: Oid | undefined): boolean;
  recall(folder: string, state: FolderState, names: TrackedNames | undefined): FolderItem[] | undefined;
  keep(folder: string, state: FolderState, names: TrackedNames | undefined, items: readonly FolderItem[]): void;
}

/**
 * What is in the work tree and neither tracked nor ignored. Folders that are as the cache knows them are not listed.
 * @param folders those that tracked files are in, all of them
 */
export function findUntracked(
  worktree: Worktree,
  index: GitIndex,
  folders: TrackedFolders,
  options: UntrackedOptions,
): WorktreeChange[] {
  return new UntrackedScan(worktree, index, folders, options).run();
}

class UntrackedScan {
  private readonly found: WorktreeChange[] = [];
  private readonly rules = new Map<string, IgnoreRules | 'all ignored'>();
  private readonly folded: FoldedNames | undefined;
  /** Of the index as the cache knows it; so nobody need ask which tree a folder has. */
  private readonly isAsCached: boolean;

  constructor(
    private readonly worktree: Worktree,
    private readonly index: GitIndex,
    private readonly folders: TrackedFolders,
    private readonly options: UntrackedOptions,
  ) {
    this.isAsCached = options.cache?.isOfTree(index.cachedRootTree) === true;
    if (worktree.settings.ignoreCase) this.folded = new FoldedNames(index);
  }

  run(): WorktreeChange[] {
    for (const [folder, tracked] of this.folders) {
      if (tracked.state !== undefined && this.folded?.isRespelled(folder) !== true)
        this.visitAll(folder, this.itemsOf(folder, tracked, tracked.state));
    }
    return this.found;
  }

  /** What is not tracked in a folder with tracked files. */
  private itemsOf(folder: string, { own }: TrackedFolder, state: FolderState): FolderItem[] {
    const { cache } = this.options;
    if (cache !== undefined && this.isAsCached) {
      const known = cache.recall(folder, state, { tree: undefined, own });
      if (known !== undefined) return known;
    }
    const tree = cache === undefined ? undefined : this.index.folderTrees().get(folder);
    if (cache === undefined || tree?.own !== own) return this.list(folder);
    const names = { tree: tree.oid, own };
    const known = cache.recall(folder, state, names);
    if (known !== undefined) return known;
    const items = this.list(folder);
    cache.keep(folder, state, names, items);
    return items;
  }

  private list(folder: string): FolderItem[] {
    const { disk, root, settings } = this.worktree;
    const { files, folders } = this.index.namesIn(folder);
    return listFolder(disk, toDiskPath(root, folder), settings).filter(
      ({ name, kind }) => !(kind === 'folder' ? folders : files).has(name),
    );
  }

  private visitAll(folder: string, items: readonly FolderItem[]): void {
    for (const { name, kind } of items) {
      if (kind === 'other' || name === '.git' || (this.folded !== undefined && name.toLowerCase() === '.git')) continue;
      if (namesTemporaryFile(name) || (folder === '' && namesLock(name))) continue;
      this.visit(folder, (folder === '' ? name : `${folder}/${name}`) as RepoPath, kind);
    }
  }

  private visit(folder: string, path: RepoPath, kind: FolderItem['kind']): void {
    const { folded } = this;
    if (kind !== 'folder' && folded?.hasFile(path) === true) return;
    const rules = this.rulesIn(folder);
    if (rules === 'all ignored' || rules.ignores(path, kind === 'folder')) return;
    if (kind !== 'folder') this.found.push({ path, kind: 'added', staged: false });
    else if (folded?.hasFolder(path) === true) {
      folded.respell(path);
      this.visitAll(path, this.list(path));
    } else this.visitFolder(path);
  }

  private visitFolder(path: RepoPath): void {
    const { cache } = this.options;
    const { disk, root } = this.worktree;
    const entry = this.index.get(path);
    if (entry !== undefined && isSameType(entry.mode, GITLINK)) return;
    if (nestedGitDir(disk, root, path) !== undefined) {
      const isRecorded = entry !== undefined || this.folded?.hasFile(path) === true || this.isUnmerged(path);
      if (!isRecorded) this.found.push({ path, kind: 'added', staged: false, nestedRepository: true });
      return;
    }
    const stats = cache === undefined ? undefined : this.lookAtFolder(path);
    const known = stats === undefined ? undefined : cache?.recall(path, stats, undefined);
    const items = known ?? this.list(path);
    if (known === undefined && stats !== undefined) cache?.keep(path, stats, undefined, items);
    this.visitAll(path, items);
  }

  private lookAtFolder(path: RepoPath): Stats | undefined {
    const { disk, root } = this.worktree;
    const stats = disk.lstatSync(toDiskPath(root, path), { throwIfNoEntry: false });
    return stats?.isDirectory() === true ? stats : undefined;
  }

  private isUnmerged(path: RepoPath): boolean {
    return this.index.namesIn(folderOf(path)).files.has(path.slice(path.lastIndexOf('/') + 1));
  }

  /** Read only for folders in which something is neither tracked nor passed over: those are few. */
  private rulesIn(folder: string): IgnoreRules | 'all ignored' {
    const known = this.rules.get(folder);
    if (known !== undefined) return known;
    const rules = this.readRules(folder);
    this.rules.set(folder, rules);
    return rules;
  }

  private readRules(folder: string): IgnoreRules | 'all ignored' {
    const { disk, root, gitDir, settings } = this.worktree;
    const { excludesFile } = this.options;
    if (folder === '') {
      const files = {
        gitDir,
        ignoreCase: settings.ignoreCase,
        ...(excludesFile === undefined ? {} : { excludesFile }),
      };
      return IgnoreRules.outside(disk, root, files).enter('', this.leftOut);
    }
    const outer = this.rulesIn(folderOf(folder));
    return outer === 'all ignored' || outer.ignores(folder, true) ? 'all ignored' : outer.enter(folder, this.leftOut);
  }

  /** What the index has of an ignore file that is not here on purpose: it goes on counting, as for native git. */
  private readonly leftOut = (path: string): Buffer | undefined => {
    const entry = this.index.get(path as RepoPath);
    return entry?.skipWorktree === true ? this.options.objects.find(entry.oid)?.data : undefined;
  };
}

/** Tracked names on a volume that takes `a.md` and `A.md` for one: put together when the first question comes. */
class FoldedNames {
  private names: { files: Set<string>; folders: Set<string> } | undefined;
  private readonly respelled = new Set<string>();

  constructor(private readonly index: GitIndex) {}

  hasFile(path: string): boolean {
    return this.all().files.has(collisionKey(path));
  }

  hasFolder(path: string): boolean {
    return this.all().folders.has(collisionKey(path));
  }

  /** The folder is on disk under another spelling than in the index, and is looked at under that one. */
  respell(path: string): void {
    this.respelled.add(collisionKey(path));
  }

  isRespelled(folder: string): boolean {
    if (this.respelled.size === 0) return false;
    for (let at = collisionKey(folder); at !== ''; at = folderOf(at)) if (this.respelled.has(at)) return true;
    return false;
  }

  private all(): { files: Set<string>; folders: Set<string> } {
    if (this.names !== undefined) return this.names;
    const files = new Set<string>();
    const folders = new Set<string>();
    const walk = this.index.walk();
    while (walk.next()) {
      files.add(collisionKey(walk.path));
      if (!walk.entersFolder) continue;
      for (let above = collisionKey(walk.folder); above !== '' && !folders.has(above); above = folderOf(above))
        folders.add(above);
    }
    return (this.names = { files, folders });
  }
}
