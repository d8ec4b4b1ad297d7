import type { BigIntStats } from 'node:fs';
import { isErrno } from '../../disk/durable.js';
import { type EntryWalk, type GitIndex, type IndexEntry, fileStatOf } from '../index/index-file.js';
import { type RepoPath, toDiskPath } from '../paths.js';
import { GITLINK, REGULAR, isSameType } from './modes.js';
import { nestedGitDir, nestedHead } from './nested-repository.js';
import { SecondLook, type SecondLookFrom } from './second-look.js';
import type { WorktreeChange } from './status.js';
import type { TrackedFolder, TrackedFolders } from './tracked-folders.js';
import type { Worktree } from './worktree.js';

type Difference = Pick<WorktreeChange, 'kind' | 'nestedRepository'>;

const IF_THERE = { throwIfNoEntry: false } as const;

/**
 * The index against the files: one lstat an entry, of many entries the last ones in a second thread. A file is read only
 * where its stat data cannot tell.
 * @param folders is filled with the folders of all entries
 */
export function findTrackedChanges(
  worktree: Worktree,
  index: GitIndex,
  folders: TrackedFolders,
  from?: SecondLookFrom,
): WorktreeChange[] {
  const { disk } = worktree;
  const secondLook = SecondLook.start(disk, worktree.root, index, from);
  const scan = new TrackedScan(worktree, index, folders, secondLook);
  try {
    return disk.roam === undefined ? scan.run() : disk.roam((enter) => scan.run(enter));
  } finally {
    secondLook?.close();
  }
}

class TrackedScan {
  private readonly found: WorktreeChange[] = [];
  private readonly walk: EntryWalk;
  /** What names in the folder are to follow: nothing where it has been entered. undefined: no text can say it. */
  private prefix: string | undefined;
  /** Ids or times of this volume do not fit into a double: each file would be looked at twice. */
  private isExact: boolean;

  constructor(
    private readonly worktree: Worktree,
    private readonly index: GitIndex,
    private readonly folders: TrackedFolders,
    private readonly secondLook: SecondLook | undefined,
  ) {
    this.walk = index.walk();
    // mtime alone can be set by hand to any nanosecond
    this.isExact = !worktree.settings.trustCtime;
  }

  /** @param enter where the disk can: makes a folder the one that plain names are in */
  run(enter?: (folder: string) => void): WorktreeChange[] {
    const { walk } = this;
    let folder: TrackedFolder | undefined;
    while (walk.next()) {
      if (walk.entersFolder || folder === undefined) folder = this.enter(walk.folder, enter);
      folder.own += 1;
      const isReal = folder.state !== undefined;
      if (walk.isOrdinary) {
        if (isReal && this.isSurelyUnchanged()) continue;
      } else if (walk.stage !== 0) {
        if (!walk.isSamePath) this.found.push({ path: walk.path, kind: 'unmerged', staged: false });
        continue;
      } else if (this.isExempt(isReal) || (isReal && this.isSurelyUnchanged())) continue;
      const { entry } = walk;
      const change = this.changeOf(entry.path, entry, isReal);
      if (change !== undefined) this.found.push({ path: entry.path, staged: false, ...change });
    }
    return this.found;
  }

  private enter(folder: string, enter: ((folder: string) => void) | undefined): TrackedFolder {
    const found = this.folders.at(folder);
    this.prefix = found.state !== undefined && this.canEnter(folder, enter) ? '' : this.prefixOf(folder);
    return found;
  }

  private canEnter(folder: string, enter: ((folder: string) => void) | undefined): boolean {
    const path = toDiskPath(this.worktree.root, folder);
    if (enter === undefined || typeof path !== 'string') return false;
    try {
      enter(path);
      return true;
    } catch {
      return false; // must not be entered, or is gone by now: looking at the files says what is the matter
    }
  }

  private prefixOf(folder: string): string | undefined {
    const path = toDiskPath(this.worktree.root, folder);
    return typeof path === 'string' ? `${path}/` : undefined;
  }

  /**
   * A file that a sparse checkout leaves out, and that somebody has put there, counts as any other, as for native
   * git. Without a sparse checkout the mark means that nobody is to look.
   */
  private isExempt(isInRealFolder: boolean): boolean {
    const { walk, worktree } = this;
    if (walk.isAssumedValid) return true;
    if (!walk.isSkipped) return false;
    if (worktree.settings.cone === undefined || !isInRealFolder) return true;
    return worktree.lstat(walk.path)?.isDirectory() !== false;
  }

  private isSurelyUnchanged(): boolean {
    if (this.isExact) return false;
    const { walk, worktree } = this;
    const stats = this.secondLook?.at(walk.ordinal) ?? worktree.disk.lstatSync(this.diskPath(), IF_THERE);
    if (stats === undefined) return false;
    if (stats.ino > Number.MAX_SAFE_INTEGER) {
      this.isExact = true;
      return false;
    }
    if (!walk.isUnchanged(stats)) return false;
    const { mode } = walk;
    return (mode === REGULAR && stats.mode === REGULAR) || worktree.modeOf(stats, mode) === mode;
  }

  private diskPath(): string | Buffer {
    const { walk, prefix } = this;
    const name = walk.plainName;
    if (prefix === undefined || name === undefined) return toDiskPath(this.worktree.root, walk.path);
    return prefix === '' ? name : prefix + name;
  }

  private changeOf(path: RepoPath, entry: IndexEntry, isInRealFolder: boolean): Difference | undefined {
    const stats = isInRealFolder ? this.worktree.lstat(path) : undefined;
    if (stats === undefined) return { kind: 'deleted' };
    if (stats.isDirectory()) return this.changeToFolder(path, entry);
    if (entry.intentToAdd) return { kind: 'added' };
    const mode = this.worktree.modeOf(stats, entry.mode);
    if (mode === undefined || !isSameType(mode, entry.mode)) return { kind: 'type' };
    if (mode !== entry.mode) return { kind: 'modified' };
    return this.hasSameContent(path, entry, stats) ? undefined : { kind: 'modified' };
  }

  private hasSameContent(path: RepoPath, entry: IndexEntry, stats: BigIntStats): boolean {
    const { settings } = this.worktree;
    const stat = fileStatOf(stats);
    if (this.index.isUnchanged(entry, stat, { ctime: settings.trustCtime, fileMode: settings.fileMode })) return true;
    // a recorded size of 0 says nothing: git writes it where the time stamps could not tell (racy-git)
    if (entry.stat.size !== 0 && entry.stat.size !== stat.size % 2 ** 32) return false;
    try {
      return this.worktree.hasContent(path, stats, entry.oid, settings.conversions?.rulesOnDisk(this.index));
    } catch (error) {
      // As git does: what must not be read counts as edited. Whoever is to commit it then fails, and names it.
      if (isErrno(error, 'EACCES', 'EPERM')) return false;
      throw error;
    }
  }

  private changeToFolder(path: RepoPath, entry: IndexEntry): Difference | undefined {
    const gitDir = nestedGitDir(this.worktree.disk, this.worktree.root, path);
    const head = gitDir === undefined ? undefined : nestedHead(this.worktree.disk, gitDir);
    const isRecorded = isSameType(entry.mode, GITLINK);
    if (!isRecorded && head === undefined) return { kind: 'deleted' };
    if (entry.intentToAdd) return { kind: 'added', nestedRepository: true };
    if (!isRecorded) return { kind: 'type', nestedRepository: true };
    return head === undefined || head === entry.oid ? undefined : { kind: 'modified', nestedRepository: true };
  }
}
