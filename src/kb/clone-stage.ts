import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  isErrno,
  namesIn,
  removeFile,
  removeTemporaryFiles,
  removeTree,
  syncDirectory,
  writeFileAtomic,
} from '../disk/durable.js';
import type { Disk } from '../disk/disk.js';
import { updateIndex, type GitIndex, type IndexUpdate, type NewEntry } from '../git/index/index-file.js';
import type { VolumeTraits } from '../git/init-repository.js';
import { toDiskPath, type RepoPath } from '../git/paths.js';
import { listFolder } from '../git/worktree/folder-listing.js';
import { Worktree } from '../git/worktree/worktree.js';
import { CLONE_RECORD } from './clone-record.js';

const PREFIX = '.kb_clone_';
const COMPLETE = 'complete.json';

/** What may lie in a directory that counts as empty: leftovers of kb itself, and what mkfs puts into a volume's root. */
export function isLeftover(name: string): boolean {
  return (
    name.startsWith(PREFIX) ||
    name.startsWith('.kb_tmp_') ||
    name.startsWith('.kb_operations.lock') ||
    name === 'lost+found'
  );
}

/**
 * A clone in the making, inside its target so that both are on one volume and a mount point need never be
 * renamed. Steps, each safe to be killed after:
 * 1. repository and files are made in the stage: the next clone removes it all
 * 2. `complete.json` is written: from now on the next clone finishes instead of starting over
 * 3. each top-level file and folder is renamed up
 * 4. the record of the clone's progress goes, and the stage's `.git` is renamed up: now it is a KB
 * 5. the empty stage is removed
 */
export class CloneStage {
  readonly gitDir: string;
  readonly tree: string;

  private constructor(
    private readonly disk: Disk,
    private readonly target: string,
    private readonly directory: string,
  ) {
    this.gitDir = join(directory, 'git');
    this.tree = join(directory, 'tree');
  }

  static make(disk: Disk, target: string): CloneStage {
    const stage = new CloneStage(disk, target, join(target, PREFIX + randomBytes(6).toString('hex')));
    disk.mkdirSync(stage.directory);
    disk.mkdirSync(stage.gitDir);
    disk.mkdirSync(stage.tree);
    return stage;
  }

  /** @throws the file system's error; what was moved up is back in the stage then */
  finish(traits: VolumeTraits): void {
    const complete = join(this.directory, COMPLETE);
    writeFileAtomic(this.disk, complete, JSON.stringify({ version: 1, traits }));
    const moved: string[] = [];
    try {
      moveUp(this.disk, this.target, this.directory, traits, { moved, isOwn: true });
    } catch (error) {
      if (namesIn(this.disk, this.directory).includes('git')) {
        for (const name of moved) this.disk.renameSync(toDiskPath(this.target, name), toDiskPath(this.tree, name));
        removeFile(this.disk, complete);
      }
      throw error;
    }
  }

  remove(): void {
    removeTree(this.disk, this.directory);
  }
}

/** Whether a KB, or any other repository, is there. */
export function isCloned(disk: Disk, target: string): boolean {
  return namesIn(disk, target).includes('.git');
}

/** Whether a clone was killed between steps 2 and 5: then what lies in the target is its own. */
export function hasCompleteStage(disk: Disk, target: string): boolean {
  return stagesIn(disk, target).some((stage) => readTraits(disk, join(stage, COMPLETE)) !== undefined);
}

/** Finishes a clone that was killed between steps 2 and 5. */
export function finishCompleteStage(disk: Disk, target: string): void {
  for (const stage of stagesIn(disk, target)) {
    const traits = readTraits(disk, join(stage, COMPLETE));
    if (traits !== undefined) moveUp(disk, target, stage, traits, { moved: [], isOwn: false });
  }
}

/** Removes what earlier clones left: their stages, and the record of how the last one ended. */
export function removeStages(disk: Disk, target: string): void {
  for (const stage of stagesIn(disk, target)) removeTree(disk, stage);
}

function stagesIn(disk: Disk, target: string): string[] {
  return namesIn(disk, target)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => join(target, name));
}

interface Move {
  /** Gets the names of the files and folders that were moved so far. */
  readonly moved: string[];
  /** The stage was filled by this process just now; one that a killed clone left may have been touched since. */
  readonly isOwn: boolean;
}

function moveUp(disk: Disk, target: string, stage: string, traits: VolumeTraits, { moved, isOwn }: Move): void {
  const gitDir = join(stage, 'git');
  const tree = join(stage, 'tree');
  // No tree any more: killed in step 5, which removes the stage in whatever order the volume lists it.
  for (const { name } of listFolder(disk, tree, { precomposeUnicode: false })) {
    disk.renameSync(toDiskPath(tree, name), toDiskPath(target, name));
    moved.push(name);
  }
  if (disk.readdirSync(stage).includes('git')) {
    refreshTopLevel(disk, target, gitDir, traits, isOwn);
    syncDirectory(disk, target);
    removeFile(disk, join(target, CLONE_RECORD));
    removeTemporaryFiles(disk, target, CLONE_RECORD);
    disk.renameSync(gitDir, join(target, '.git'));
    syncDirectory(disk, target);
  }
  // From here on it is a KB; an empty stage that stays is in nobody's way.
  try {
    removeTree(disk, stage);
  } catch (error) {
    if (!(error instanceof Error && 'errno' in error)) throw error;
  }
}

/**
 * A rename changes a file's ctime, so the index would take each moved file for a changed one. Of folders it keeps nothing:
 * what lies in them keeps its entry as it is, also what is as young as the index. Without its size there, git's own
 * scripts (`git diff-index --quiet HEAD`) would take the new KB for a changed one.
 */
function refreshTopLevel(disk: Disk, target: string, gitDir: string, traits: VolumeTraits, isOwn: boolean): void {
  // Nobody but who holds the target's lock can be in here: a lock file is one that was left by a kill.
  removeFile(disk, join(gitDir, 'index.lock'));
  const files = listFolder(disk, target, traits).filter(({ kind }) => kind !== 'folder');
  if (files.length === 0) return;
  const worktree = new Worktree(disk, target, gitDir, { ...traits, trustCtime: true });
  const refresh = (index: GitIndex): IndexUpdate | undefined => {
    const changes = new Map<RepoPath, NewEntry>();
    for (const name of files.map((file) => file.name as RepoPath)) {
      const entry = index.get(name);
      const stat = entry === undefined ? undefined : worktree.stat(name);
      if (entry !== undefined && stat !== undefined) changes.set(name, { mode: entry.mode, oid: entry.oid, stat });
    }
    return changes.size === 0 ? undefined : { changes };
  };
  updateIndex(disk, gitDir, refresh, { statOf: (path) => worktree.stat(path), areOwnFiles: isOwn });
}

function readTraits(disk: Disk, path: string): VolumeTraits | undefined {
  try {
    const { version, traits } = JSON.parse(disk.readFileSync(path, 'utf8')) as {
      version: number;
      traits: VolumeTraits;
    };
    return version === 1 ? traits : undefined;
  } catch (error) {
    // the record of a clone's progress is a file among the stages
    if (error instanceof SyntaxError || isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
