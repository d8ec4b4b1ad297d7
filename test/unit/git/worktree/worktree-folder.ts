import {
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  lstatSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { nodeDisk, type Disk } from '../../../../src/disk/disk.js';
import { GitIndex, updateIndex } from '../../../../src/git/index/index-file.js';
import type { Leaf } from '../../../../src/git/objects/tree.js';
import type { TreeChange } from '../../../../src/git/objects/tree-diff.js';
import { type RepoPath, comparePaths } from '../../../../src/git/paths.js';
import type { ApplyOptions } from '../../../../src/git/worktree/apply.js';
import type { Obstacle } from '../../../../src/git/worktree/obstacles.js';
import { Worktree, type WorktreeSettings } from '../../../../src/git/worktree/worktree.js';
import { makeTemporaryDirectory } from '../../../support/native-git.js';
import { MemoryObjects } from './memory-objects.js';
import { LINUX } from './native-worktree.js';

type Tree = Readonly<Record<string, Leaf>>;

/** A work tree with an index and objects, without native git. */
export class WorktreeFolder {
  readonly outside = makeTemporaryDirectory();
  readonly root = join(this.outside, 'kb');
  readonly gitDir = join(this.root, '.git');
  readonly objects = new MemoryObjects();
  readonly worktree: Worktree;
  private tree: Tree = {};

  constructor(settings: Partial<WorktreeSettings> = {}, disk: (root: string) => Disk = () => nodeDisk) {
    mkdirSync(this.gitDir, { recursive: true });
    this.worktree = new Worktree(disk(this.root), this.root, this.gitDir, { ...LINUX, ...settings });
  }

  /** Checks this tree out, as the last commit. */
  commit(tree: Tree): this {
    const changes = this.to(tree);
    const entries = this.worktree.apply(changes, this.objects, { durable: false });
    updateIndex(nodeDisk, this.gitDir, () => ({ changes: entries }));
    this.tree = tree;
    return this;
  }

  /** The changes from the last commit to this tree. */
  to(tree: Tree): TreeChange[] {
    const paths = [...new Set([...Object.keys(this.tree), ...Object.keys(tree)])].sort(comparePaths);
    return paths.flatMap((path): TreeChange[] => {
      const [before, after] = [this.tree[path], tree[path]];
      if (before?.oid === after?.oid && before?.mode === after?.mode) return [];
      return [{ path: path as RepoPath, ...(before && { before }), ...(after && { after }) }];
    });
  }

  obstacles(tree: Tree): Obstacle[] {
    return this.worktree.obstacles(this.to(tree), this.index());
  }

  apply(tree: Tree, options: ApplyOptions = {}): Map<RepoPath, unknown> {
    return this.worktree.apply(this.to(tree), this.objects, { durable: false, ...options });
  }

  index(): GitIndex {
    return GitIndex.read(nodeDisk, this.gitDir);
  }

  leaf(content: string, mode?: Leaf['mode']): Leaf {
    return this.objects.leaf(content, mode);
  }

  at(path: string): string {
    return join(this.root, path);
  }

  write(path: string, content: string): this {
    mkdirSync(dirname(this.at(path)), { recursive: true });
    writeFileSync(this.at(path), content);
    return this;
  }

  link(path: string, target: string): this {
    mkdirSync(dirname(this.at(path)), { recursive: true });
    symlinkSync(target, this.at(path));
    return this;
  }

  remove(path: string): this {
    rmSync(this.at(path), { recursive: true });
    return this;
  }

  /** All that is on disk but `.git`: content of files, `-> target` of links, `/` for empty folders. */
  listing(folder = this.root, prefix = ''): Record<string, string> {
    const found: Record<string, string> = {};
    for (const name of readdirSync(folder).sort()) {
      if (prefix === '' && name === '.git') continue;
      const [path, stats] = [join(folder, name), lstatSync(join(folder, name))];
      if (stats.isSymbolicLink()) found[prefix + name] = `-> ${readlinkSync(path)}`;
      else if (!stats.isDirectory()) found[prefix + name] = readFileSync(path, 'utf8');
      else if (readdirSync(path).length === 0) found[`${prefix}${name}/`] = '/';
      else Object.assign(found, this.listing(path, `${prefix}${name}/`));
    }
    return found;
  }
}
