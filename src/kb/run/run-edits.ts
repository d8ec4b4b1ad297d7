import { isFile } from '../merge-leaf.js';
import { basename } from 'node:path/posix';
import type { Oid } from '../../git/ids.js';
import type { FileStat, GitIndex } from '../../git/index/index-file.js';
import type { StagedObjects } from '../../git/objects/staged.js';
import type { Leaf } from '../../git/objects/tree.js';
import { editTree } from '../../git/objects/tree-edit.js';
import { comparePaths, type RepoPath } from '../../git/paths.js';
import { pathProblem } from '../../git/worktree/path-rules.js';
import { treeOf } from '../advance.js';
import { scanLocalEdits } from '../local-edits.js';
import { mergeByAttributes } from '../merge-attribute.js';
import { mergeByLines, type Contents, type MergeContents } from '../merge-contents.js';
import type { Kb } from '../open.js';
import { withIgnoreFiles } from './ignore-files-before.js';
import { leafAt, leafInIndex, lookAtFile, sameLeaf, type DirtyFile, type DirtyFiles } from './snapshot.js';

/** A path that is not as it was before the command started. null: not there. */
export interface RunEdit {
  readonly path: RepoPath;
  readonly now: Leaf | null;
  /** Of the file as it is now; undefined: it is gone. */
  readonly stat: FileStat | undefined;
  /** What stands here when the run is undone. */
  readonly before: Leaf | null;
  /** What git's index then holds. */
  readonly indexBefore: Leaf | null;
  /**
   * What the run's commit holds: `now`, but without what people had not committed in the same file, as far as the
   * two can be told apart.
   */
  readonly own: Leaf | null;
  /** Somebody's uncommitted edits are in `own` as well. */
  readonly isMixed: boolean;
  /** false: kb never commits this one. */
  readonly committable: boolean;
}

export interface EditsRequest {
  /** The branch as it is now: commands inside the run may have moved it. */
  readonly head: Oid | undefined;
  readonly index: GitIndex;
  /** The branch when the command started. */
  readonly base: Oid | undefined;
  readonly dirty: DirtyFiles;
  /** Takes the content of changed files; without being persisted it is only looked at. */
  readonly staged: StagedObjects;
  /**
   * By which ignore rules files are told from each other: `now` for a commit, for the command may have said what is to
   * be ignored; `before` for undoing it, for a file that it did not make must not go.
   */
  readonly ignoreRules: 'now' | 'before';
  /** Told of each path that kb can bring into no KB, so can neither save nor restore. */
  readonly onUnusable?: (path: RepoPath, why: string) => void;
}

/** What the command changed, in the order of paths; edits that lay there before it are not among them. */
export function findRunEdits(kb: Kb, request: EditsRequest): RunEdit[] {
  let edits = lookForEdits(kb, kb, request);
  if (request.ignoreRules === 'now') return edits;
  // With other rules other ignore files may come into sight, until all of them are known.
  for (let known = 0; ;) {
    const changed = new Map(edits.filter(isIgnoreFile).map(({ path, before }) => [path, before]));
    if (changed.size === known) return edits;
    known = changed.size;
    const contents = new Map(
      [...changed].map(([path, leaf]) => [path, leaf === null ? null : kb.objects.read(leaf.oid).data]),
    );
    edits = lookForEdits(kb, { ...kb, worktree: withIgnoreFiles(kb.worktree, contents) }, request);
  }
}

function isIgnoreFile({ path, now, before }: RunEdit): boolean {
  return basename(path) === '.gitignore' && !sameLeaf(now, before);
}

/** @param seen the KB as it is to be scanned */
function lookForEdits(kb: Kb, seen: Kb, { head, index, base, dirty, staged, onUnusable }: EditsRequest): RunEdit[] {
  const scanned = new Map(scanLocalEdits(seen, index, head).map((edit) => [edit.path, edit.committable]));
  const headTree = treeOf(kb, head);
  const baseTree = treeOf(kb, base);
  const edits: RunEdit[] = [];
  const onto = { objects: staged, tree: headTree };
  const byAttributes = mergeByAttributes(kb, mergeByLines);
  for (const path of new Set([...scanned.keys(), ...dirty.keys()])) {
    const problem = pathProblem(path);
    if (problem !== undefined) {
      onUnusable?.(path, problem);
      continue;
    }
    const file = lookAtFile(kb, index, path, staged);
    const now = file?.leaf ?? null;
    const atHead = leafAt(kb.objects, headTree, path);
    const was = dirty.get(path);
    const sides = { path, onto, byAttributes, staged, now, atHead, atBase: leafAt(kb.objects, baseTree, path) };
    const before = was === undefined ? atHead : workBefore(was, sides);
    const indexBefore = was === undefined ? atHead : indexOf(was, sides);
    if (sameLeaf(now, before) && sameLeaf(leafInIndex(index, path), indexBefore)) continue;
    const { own, isMixed } = ownPart(before, sides);
    const committable = scanned.get(path) ?? true;
    edits.push({ path, now, stat: file?.stat, before, indexBefore, own, isMixed, committable });
  }
  return edits.sort((a, b) => comparePaths(a.path, b.path));
}

interface Sides {
  readonly path: RepoPath;
  /** Where the file's attributes are. */
  readonly onto: NonNullable<Contents['onto']>;
  /** As `merge=` of them says. */
  readonly byAttributes: MergeContents;
  readonly staged: StagedObjects;
  readonly now: Leaf | null;
  /** In the last commit. */
  readonly atHead: Leaf | null;
  /** In the last commit before the command started. */
  readonly atBase: Leaf | null;
}

/**
 * What would lie here now without the run. Where a command inside of it has committed a change of this file, that is
 * the uncommitted edit upon the new version, and where the edit itself was committed, the new version.
 */
function workBefore({ work }: DirtyFile, sides: Sides): Leaf | null {
  const { now, atHead, atBase } = sides;
  if (sameLeaf(now, work) || sameLeaf(atHead, atBase)) return work;
  if (work === null || atHead === null) return now === null ? null : atHead;
  return mergeLeaves(sides, sides.byAttributes, atBase, work, atHead) ?? atHead;
}

/** What was staged stays staged as long as the last commit is the same there. */
function indexOf({ index }: DirtyFile, { atHead, atBase }: Sides): Leaf | null {
  return sameLeaf(atHead, atBase) ? index : atHead;
}

/**
 * The run's edit, put upon the committed version, if the file held other edits before. Two edits of the same lines are
 * not told apart by keeping both versions of them (`merge=union`): nobody has written such a file. Nor are those of a file
 * whose lines mean nothing (`-merge`).
 */
function ownPart(before: Leaf | null, sides: Sides): Pick<RunEdit, 'own' | 'isMixed'> {
  const { byAttributes, now, atHead } = sides;
  if (sameLeaf(before, atHead) || now === null || before === null) return { own: now, isMixed: false };
  if (sameLeaf(now, before)) return { own: atHead, isMixed: false }; // only the index was changed
  const separate: MergeContents = (contents) => {
    const merged = mergeByLines(contents);
    if (merged.kind === 'conflict') return merged;
    const attributed = byAttributes(contents);
    return attributed.kind === 'conflict' ? attributed : merged;
  };
  const own = atHead === null ? undefined : mergeLeaves(sides, separate, before, atHead, now);
  return own === undefined ? { own: now, isMixed: true } : { own, isMixed: false };
}

/** undefined: the two edits cannot be told apart, or are of no text. */
function mergeLeaves(
  { staged, path, onto }: Sides,
  merge: MergeContents,
  base: Leaf | null,
  one: Leaf,
  other: Leaf,
): Leaf | undefined {
  if (![base ?? one, one, other].every(isFile)) return undefined;
  const read = ({ oid }: Leaf): Buffer => staged.read(oid).data;
  const merged = merge({
    base: base === null ? undefined : read(base),
    ours: read(one),
    theirs: read(other),
    path,
    onto,
  });
  if (merged.kind === 'conflict') return undefined;
  const mode = other.mode === base?.mode ? one.mode : other.mode;
  return { mode, oid: staged.add('blob', merged.data) };
}

/**
 * The commit's tree with the run's own part of these edits.
 * Where the command put something into the place of a file or folder that people had deleted before, and had not
 * committed that, their deletion goes along: a file and a folder of one name cannot both be in a tree.
 */
export function treeWithEdits(
  staged: StagedObjects,
  tree: Oid,
  edits: readonly Pick<RunEdit, 'path' | 'own'>[],
  dirty: DirtyFiles,
): Oid {
  const leaves = new Map<RepoPath, Leaf | null>(edits.map(({ path, own }) => [path, own]));
  const added = edits.filter(({ own }) => own !== null).map(({ path }) => path);
  const folders = new Set(added.flatMap(foldersAbove));
  const files = new Set<string>(added);
  for (const [path, { work }] of dirty) {
    if (work !== null || leaves.has(path)) continue;
    if (folders.has(path) || foldersAbove(path).some((folder) => files.has(folder))) leaves.set(path, null);
  }
  return editTree(staged, tree, leaves);
}

function foldersAbove(path: string): string[] {
  const folders: string[] = [];
  for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1))
    folders.push(path.slice(0, slash));
  return folders;
}
