import { join } from 'node:path';
import { nodeDisk, type Disk } from '../../../../src/disk/disk.js';
import type { Oid } from '../../../../src/git/ids.js';
import { GitIndex, updateIndex } from '../../../../src/git/index/index-file.js';
import { ObjectStore } from '../../../../src/git/objects/store.js';
import type { FileMode, Leaf } from '../../../../src/git/objects/tree.js';
import type { TreeChange } from '../../../../src/git/objects/tree-diff.js';
import { type RepoPath, comparePaths } from '../../../../src/git/paths.js';
import { Worktree, type WorktreeSettings } from '../../../../src/git/worktree/worktree.js';
import type { ApplyOptions } from '../../../../src/git/worktree/apply.js';
import { git, gitBuffer, makeTemporaryDirectory } from '../../../support/native-git.js';

export const LINUX: WorktreeSettings = {
  fileMode: true,
  symlinks: true,
  ignoreCase: false,
  trustCtime: true,
  precomposeUnicode: false,
};

export interface File {
  readonly mode: FileMode;
  readonly content: string;
}
export type Files = ReadonlyMap<string, File>;

export function file(content: string, mode: FileMode = 0o100644): File {
  return { mode, content };
}

/** A repository made by native git, with kb's work tree over it. */
export class NativeWorktree {
  readonly root = makeTemporaryDirectory();
  readonly gitDir = join(this.root, '.git');
  readonly worktree: Worktree;
  private readonly blobs = new Map<string, Oid>();
  private store: ObjectStore | undefined;

  constructor(settings: Partial<WorktreeSettings> = {}, disk: Disk = nodeDisk) {
    git(this.root, ['init', '-q']);
    this.worktree = new Worktree(disk, this.root, this.gitDir, { ...LINUX, ...settings });
  }

  get objects(): ObjectStore {
    this.store ??= ObjectStore.open(nodeDisk, this.gitDir);
    return this.store;
  }

  index(): GitIndex {
    return GitIndex.read(nodeDisk, this.gitDir);
  }

  blob(content: string): Oid {
    let oid = this.blobs.get(content);
    if (oid === undefined) {
      oid = git(this.root, ['hash-object', '-w', '--stdin'], { input: content }).trim() as Oid;
      this.blobs.set(content, oid);
    }
    return oid;
  }

  /** For a link to another repository (mode 160000) the content stands for the commit's id. */
  leaf({ mode, content }: File): Leaf {
    return { mode, oid: mode === 0o160000 ? (content.padEnd(40, '0') as Oid) : this.blob(content) };
  }

  /** Writes the tree through an index of native git. */
  tree(files: Files): Oid {
    const lines = [...files]
      .map(([path, item]) => `${item.mode.toString(8)} ${this.leaf(item).oid}\t${path}\0`)
      .join('');
    const env = { GIT_INDEX_FILE: join(this.gitDir, 'index.test') };
    git(this.root, ['read-tree', '--empty'], { env });
    git(this.root, ['update-index', '-z', '--index-info'], { env, input: lines });
    return git(this.root, ['write-tree'], { env }).trim() as Oid;
  }

  changes(before: Files, after: Files): TreeChange[] {
    const paths = [...new Set([...before.keys(), ...after.keys()])].sort(comparePaths);
    return paths.flatMap((path): TreeChange[] => {
      const [old, now] = [before.get(path), after.get(path)];
      if (old?.content === now?.content && old?.mode === now?.mode) return [];
      return [
        { path: path as RepoPath, ...(old && { before: this.leaf(old) }), ...(now && { after: this.leaf(now) }) },
      ];
    });
  }

  /** As a cycle does it: files, then index, then HEAD. */
  advance(before: Files, after: Files, options: ApplyOptions = {}): void {
    const entries = this.worktree.apply(this.changes(before, after), this.objects, { durable: false, ...options });
    updateIndex(nodeDisk, this.gitDir, () => ({ changes: entries }));
    this.setHead(after);
  }

  setHead(files: Files): void {
    const commit = git(this.root, ['commit-tree', '-m', 'state', this.tree(files)]).trim();
    git(this.root, ['update-ref', 'HEAD', commit]);
  }

  /** `git status` as pairs of its two letters and the path, in the order of paths. */
  status(): string[] {
    const output = gitBuffer(this.root, ['status', '--porcelain', '-z', '--untracked-files=all', '--no-renames']);
    return output
      .toString('utf8')
      .split('\0')
      .filter((line) => line !== '')
      .sort();
  }
}
