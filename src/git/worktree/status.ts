import { type Oid, EMPTY_TREE } from '../ids.js';
import { type GitIndex, type IndexEntry, fileStatOf } from '../index/index-file.js';
import type { ObjectSource } from '../objects/object.js';
import { type Leaf, walkTree } from '../objects/tree.js';
import { type RepoPath, comparePaths, toDiskPath } from '../paths.js';
import { asStorageError } from '../../disk/durable.js';
import { collisionKey } from './collisions.js';
import { listFolder } from './folder-listing.js';
import { Folders, folderOf } from './folders.js';
import { IgnoreRules } from './ignore.js';
import { GITLINK, isSameType } from './modes.js';
import { nestedGitDir, nestedHead } from './nested-repository.js';
import { namesLock, namesTemporaryFile } from './path-rules.js';
import type { Worktree } from './worktree.js';

export interface WorktreeChange {
  readonly path: RepoPath;
  /**
   * `added`: untracked, intent-to-add, or (staged) new in the index · `type`: file, link and folder of
   * another repository exchanged · `unmerged`: left by a merge of native git
   */
  readonly kind: 'added' | 'modified' | 'deleted' | 'type' | 'unmerged';
  /** false: the file against the index; true: the index against HEAD's tree. */
  readonly staged: boolean;
  /** A folder that is a repository of its own, untracked or a submodule that moved on. It is not ours to commit. */
  readonly nestedRepository?: true;
}

export interface ScanOptions {
  /** Path of the file that `core.excludesFile` names, or git's default one. */
  readonly excludesFile?: string;
  /** HEAD's tree, to report staged changes too. */
  readonly headTree?: Oid;
  readonly objects: ObjectSource;
}

/**
 * What differs between HEAD's tree, the index and the files; agrees with `git status --porcelain
 * --untracked-files=all`. A file is read only where its stat data cannot tell.
 * @returns in the order of paths
 * @throws KbError E_STORAGE
 */
export function scanChanges(worktree: Worktree, index: GitIndex, options: ScanOptions): WorktreeChange[] {
  try {
    const staged = options.headTree === undefined ? [] : findStaged(index, options.headTree, options.objects);
    const found = [...staged, ...new Scan(worktree, index, options).run()];
    return found.sort((a, b) => comparePaths(a.path, b.path) || Number(b.staged) - Number(a.staged));
  } catch (error) {
    throw asStorageError(error, 'look through the work tree');
  }
}

/** Index against HEAD's tree. Free where the index knows its own tree and it is that one. */
function findStaged(index: GitIndex, headTree: Oid, objects: ObjectSource): WorktreeChange[] {
  if (index.cachedRootTree === headTree) return [];
  const inHead = new Map<RepoPath, Leaf>();
  if (headTree !== EMPTY_TREE) walkTree(objects, headTree, (path, leaf) => inHead.set(path, leaf));
  const found: WorktreeChange[] = [];
  for (const entry of index.entries()) {
    const { path, stage, mode } = entry;
    if (stage === 0 && entry.intentToAdd) continue;
    const old = inHead.get(path);
    inHead.delete(path);
    if (stage !== 0) continue;
    if (old === undefined) found.push({ path, kind: 'added', staged: true });
    else if (!isSameType(old.mode, mode)) found.push({ path, kind: 'type', staged: true });
    else if (old.mode !== mode || old.oid !== entry.oid) found.push({ path, kind: 'modified', staged: true });
  }
  for (const path of inHead.keys()) found.push({ path, kind: 'deleted', staged: true });
  return found;
}

type Difference = Pick<WorktreeChange, 'kind' | 'nestedRepository'>;

/** One pass over the index (one lstat an entry), one over the folders (one readdir each). */
class Scan {
  private readonly found: WorktreeChange[] = [];
  private readonly folders: Folders;
  private readonly trackedFiles = new Set<string>();
  private readonly trackedFolders = new Set<string>();
  private readonly key: (path: string) => string;

  constructor(
    private readonly worktree: Worktree,
    private readonly index: GitIndex,
    private readonly options: ScanOptions,
  ) {
    this.folders = new Folders(worktree.disk, worktree.root);
    this.key = worktree.settings.ignoreCase ? collisionKey : (path) => path;
  }

  run(): WorktreeChange[] {
    this.scanTracked();
    const { disk, root, gitDir, settings } = this.worktree;
    const { excludesFile } = this.options;
    const files = { gitDir, ignoreCase: settings.ignoreCase, ...(excludesFile === undefined ? {} : { excludesFile }) };
    this.scanFolder('', IgnoreRules.outside(disk, root, files));
    return this.found;
  }

  private scanTracked(): void {
    let folder: string | undefined;
    let isRealFolder = false;
    for (const entry of this.index.entries()) {
      const { path } = entry;
      const key = this.key(path);
      const isOtherStage = entry.stage !== 0 && this.trackedFiles.has(key);
      this.trackedFiles.add(key);
      const own = folderOf(path);
      if (own !== folder) {
        folder = own;
        isRealFolder = this.folders.state(own).kind === 'folder';
        for (let above = folderOf(key); above !== '' && !this.trackedFolders.has(above); above = folderOf(above))
          this.trackedFolders.add(above);
      }
      if (entry.stage !== 0) {
        if (!isOtherStage) this.found.push({ path, kind: 'unmerged', staged: false });
        continue;
      }
      if (entry.assumeValid || (entry.skipWorktree && !this.isThereAllTheSame(path))) continue;
      const change = this.changeOf(path, entry, isRealFolder);
      if (change !== undefined) this.found.push({ path, staged: false, ...change });
    }
  }

  /**
   * A file that a sparse checkout leaves out, and that somebody has put there: it counts as any other, as for native
   * git. Without a sparse checkout the mark means that nobody is to look.
   */
  private isThereAllTheSame(path: RepoPath): boolean {
    return this.worktree.settings.cone !== undefined && this.worktree.isThere(path, this.folders);
  }

  private changeOf(path: RepoPath, entry: IndexEntry, isInRealFolder: boolean): Difference | undefined {
    const stats = isInRealFolder ? this.worktree.lstat(path) : undefined;
    if (stats === undefined) return { kind: 'deleted' };
    if (stats.isDirectory()) return this.changeToFolder(path, entry);
    if (entry.intentToAdd) return { kind: 'added' };
    const mode = this.worktree.modeOf(stats, entry.mode);
    if (mode === undefined || !isSameType(mode, entry.mode)) return { kind: 'type' };
    if (mode !== entry.mode) return { kind: 'modified' };
    const { settings } = this.worktree;
    const stat = fileStatOf(stats);
    if (this.index.isUnchanged(entry, stat, { ctime: settings.trustCtime, fileMode: settings.fileMode }))
      return undefined;
    // a recorded size of 0 says nothing: git writes it where the time stamps could not tell (racy-git)
    if (entry.stat.size !== 0 && entry.stat.size !== stat.size % 2 ** 32) return { kind: 'modified' };
    return this.worktree.blobId(path, stats) === entry.oid ? undefined : { kind: 'modified' };
  }

  private changeToFolder(path: RepoPath, entry: IndexEntry): Difference | undefined {
    const gitDir = nestedGitDir(this.worktree.disk, `${this.worktree.root}/${path}`);
    const head = gitDir === undefined ? undefined : nestedHead(this.worktree.disk, gitDir);
    const isRecorded = isSameType(entry.mode, GITLINK);
    if (!isRecorded && head === undefined) return { kind: 'deleted' };
    if (entry.intentToAdd) return { kind: 'added', nestedRepository: true };
    if (!isRecorded) return { kind: 'type', nestedRepository: true };
    return head === undefined || head === entry.oid ? undefined : { kind: 'modified', nestedRepository: true };
  }

  private scanFolder(folder: string, outer: IgnoreRules): void {
    const { disk, root, settings } = this.worktree;
    const items = listFolder(disk, toDiskPath(root, folder), settings);
    const rules = items.some(({ name, kind }) => name === '.gitignore' && kind === 'file')
      ? outer.enter(folder)
      : outer;
    for (const { name, kind } of items) {
      if (kind === 'other' || name === '.git' || (settings.ignoreCase && name.toLowerCase() === '.git')) continue;
      const path = (folder === '' ? name : `${folder}/${name}`) as RepoPath;
      const key = this.key(path);
      if (kind !== 'folder' && this.trackedFiles.has(key)) continue;
      if (namesTemporaryFile(name) || (folder === '' && namesLock(name))) continue;
      if (rules.ignores(path, kind === 'folder')) continue;
      if (kind !== 'folder') this.found.push({ path, kind: 'added', staged: false });
      else if (this.trackedFolders.has(key)) this.scanFolder(path, rules);
      else this.scanUntrackedFolder(path, key, rules);
    }
  }

  private scanUntrackedFolder(path: RepoPath, key: string, rules: IgnoreRules): void {
    const isRecorded = this.trackedFiles.has(key);
    if (isRecorded && isSameType(this.index.get(path)?.mode ?? 0, GITLINK)) return;
    if (nestedGitDir(this.worktree.disk, `${this.worktree.root}/${path}`) === undefined) this.scanFolder(path, rules);
    else if (!isRecorded) this.found.push({ path, kind: 'added', staged: false, nestedRepository: true });
  }
}
