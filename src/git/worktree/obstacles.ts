import type { BigIntStats } from 'node:fs';
import { type GitIndex, fileStatOf } from '../index/index-file.js';
import type { Leaf } from '../objects/tree.js';
import type { TreeChange } from '../objects/tree-diff.js';
import type { RepoPath } from '../paths.js';
import { collisionKey } from './collisions.js';
import { Folders, folderOf } from './folders.js';
import { GITLINK } from './modes.js';
import { pathProblem } from './path-rules.js';
import { refuseUnsafePaths } from './plan-check.js';
import type { SparseCone } from './sparse-cone.js';
import type { Worktree } from './worktree.js';

/**
 * - `modified`: a tracked file that holds neither the old nor the new version
 * - `deleted`: a file that was removed here while the change has a new version of it
 * - `untracked`: something that is not in git, ignored or not
 * - `staged`: content that is in the index alone, where the change brings another
 * - `symlink`: a link where the change needs a folder
 * - `collision`: another file whose name is the same one on this volume
 */
export type ObstacleReason = 'modified' | 'deleted' | 'untracked' | 'staged' | 'symlink' | 'collision';

export interface Obstacle {
  /** What is in the way; not always the path that changes. */
  readonly path: RepoPath;
  readonly reason: ObstacleReason;
}

/**
 * The safety net before anything moves. Invariant: when this finds nothing, applying the same changes
 * loses no byte that is not in the object store (test: "applying never loses what obstacles passed").
 * Ignored files count as work too: git would overwrite them, kb does not.
 */
export function findObstacles(worktree: Worktree, changes: readonly TreeChange[], index: GitIndex): Obstacle[] {
  refuseUnsafePaths(changes);
  return new ObstacleSearch(worktree, changes, index).run();
}

class ObstacleSearch {
  private readonly found = new Map<RepoPath, ObstacleReason>();
  private readonly folders: Folders;
  /** Paths whose file goes away: each is looked at by itself, so it stands in nobody's way. */
  private readonly removed = new Set<string>();
  private readonly cone: SparseCone | undefined;
  private readonly namesInFolder = new Map<string, Map<string, string[]>>();

  constructor(
    private readonly worktree: Worktree,
    private readonly changes: readonly TreeChange[],
    private readonly index: GitIndex,
  ) {
    this.folders = new Folders(worktree.disk, worktree.root);
    this.cone = worktree.settings.cone?.();
    for (const { path, before, after } of changes)
      if (before !== undefined && after === undefined) this.removed.add(path);
  }

  run(): Obstacle[] {
    for (const change of this.changes) this.look(change);
    return [...this.found].map(([path, reason]) => ({ path, reason }));
  }

  private look(change: TreeChange): void {
    if (change.after === undefined && pathProblem(change.path) !== undefined) return; // `apply` leaves it alone
    const parent = this.folders.state(folderOf(change.path));
    // What is not to be here needs no room.
    if (parent.kind !== 'folder' && this.cone?.has(change.path) === false) return;
    if (parent.kind === 'symlink' || parent.kind === 'file') {
      // without its folder there is nothing to remove; a write needs the thing in the way to go
      if (change.after !== undefined && !this.removed.has(parent.at)) {
        this.add(parent.at as RepoPath, parent.kind === 'symlink' ? 'symlink' : this.reasonFor(parent.at as RepoPath));
      }
      return;
    }
    const stats = parent.kind === 'folder' ? this.worktree.lstat(change.path) : undefined;
    if (stats === undefined) this.lookAtAbsent(change);
    else if (stats.isDirectory()) this.lookAtFolder(change);
    else this.lookAtFile(change, stats);
  }

  /**
   * No file: then it was deleted on purpose, or what was staged is only in the index. Where there is a
   * file, the file is what counts: an index that lags behind it loses nothing (edits are committed from
   * the work tree).
   */
  private lookAtAbsent({ path, before, after }: TreeChange): void {
    const entry = this.index.get(path);
    if (entry?.skipWorktree === true || after === undefined || after.mode === GITLINK || before?.mode === GITLINK)
      return;
    if (before !== undefined) this.add(path, 'deleted');
    else if (entry !== undefined && !entry.intentToAdd && entry.oid !== after.oid) this.add(path, 'staged');
  }

  private lookAtFile(change: TreeChange, stats: BigIntStats): void {
    const { path, before, after } = change;
    if (before === undefined && this.worktree.settings.ignoreCase && this.lookAtOtherName(path)) return;
    if (this.isOneOf(path, stats, before, after)) return;
    this.add(path, this.reasonFor(path));
  }

  /** A folder stands where a file goes: it may hold nothing but what goes away, and empty folders. */
  private lookAtFolder({ path, after }: TreeChange): void {
    if (after === undefined || after.mode === GITLINK) return; // a folder is never removed for a file that is gone already
    this.lookInside(path);
  }

  private lookInside(folder: string): void {
    for (const name of this.worktree.namesIn(folder)) {
      const path = `${folder}/${name}` as RepoPath;
      if (this.worktree.lstat(path)?.isDirectory() === true) this.lookInside(path);
      else if (!this.removed.has(path)) this.add(path, this.reasonFor(path));
    }
  }

  /** @returns true when the volume shows another file under this name, which then has its own check */
  private lookAtOtherName(path: RepoPath): boolean {
    const folder = folderOf(path);
    let names = this.namesInFolder.get(folder);
    if (names === undefined) {
      names = new Map();
      for (const name of this.worktree.namesIn(folder))
        names.set(collisionKey(name), [...(names.get(collisionKey(name)) ?? []), name]);
      this.namesInFolder.set(folder, names);
    }
    const own = path.slice(folder === '' ? 0 : folder.length + 1);
    const others = names.get(collisionKey(own)) ?? [];
    if (others.includes(own)) return false;
    for (const other of others) {
      const otherPath = (folder === '' ? other : `${folder}/${other}`) as RepoPath;
      if (!this.removed.has(otherPath)) this.add(otherPath, 'collision');
    }
    return others.length > 0;
  }

  private isOneOf(path: RepoPath, stats: BigIntStats, ...leaves: readonly (Leaf | undefined)[]): boolean {
    const candidates = leaves.filter(
      (leaf): leaf is Leaf => leaf !== undefined && this.worktree.modeOf(stats, leaf.mode) === leaf.mode,
    );
    if (candidates.length === 0) return false;
    const { settings } = this.worktree;
    const entry = this.index.get(path);
    const isRecorded =
      entry !== undefined && candidates.some((leaf) => leaf.oid === entry.oid && leaf.mode === entry.mode);
    if (
      isRecorded &&
      this.index.isUnchanged(entry, fileStatOf(stats), { ctime: settings.trustCtime, fileMode: settings.fileMode })
    )
      return true;
    const rules = settings.conversions?.rulesOnDisk(this.index);
    return candidates.some((leaf) => this.worktree.holds(path, stats, leaf, rules));
  }

  private reasonFor(path: RepoPath): ObstacleReason {
    return this.index.get(path) === undefined ? 'untracked' : 'modified';
  }

  private add(path: RepoPath, reason: ObstacleReason): void {
    if (!this.found.has(path)) this.found.set(path, reason);
  }
}
