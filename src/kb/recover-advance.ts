import { join } from 'node:path';
import { readFileIfExists, removeFile, removeTemporaryFiles, syncDirectory, writeFileAtomic } from '../disk/durable.js';
import { KbError } from '../errors.js';
import { asOid, asRefName, type Oid } from '../git/ids.js';
import type { NewEntry } from '../git/index/index-file.js';
import { readCommit } from '../git/objects/commit.js';
import { hashObject } from '../git/objects/object.js';
import type { Leaf } from '../git/objects/tree.js';
import { diffTrees, type TreeChange } from '../git/objects/tree-diff.js';
import { toDiskPath, type RepoPath } from '../git/paths.js';
import { sweepTemporaryFiles } from '../git/worktree/apply.js';
import { UNKNOWN_STAT } from '../git/worktree/modes.js';
import { carryOut, JOURNAL, treeOf, type Advance, type AdvanceContext } from './advance.js';
import { mergeByAttributes } from './merge-attribute.js';
import { mergeByLines } from './merge-contents.js';
import type { Kb } from './open.js';

/**
 * Finishes the advance that a killed process began. Must be called under the KB's lock, before anything is read.
 *
 * Somebody may have edited files since the crash. An edit is kept, and whatever it was based on, it is never
 * taken for a wish to undo what the advance brings: it is merged with that, or, where it cannot be, the advance
 * is given up. Then the files that it has written count as local edits; the next sync finds the same edits in
 * the remote branch, and a conflict is found where there is one.
 */
export function finishInterruptedAdvance(kb: Kb, context: Pick<AdvanceContext, 'who' | 'fence'>): void {
  const { disk } = kb.surroundings;
  const directory = join(kb.gitDir, 'kb');
  removeTemporaryFiles(disk, directory);
  const journal = join(directory, JOURNAL);
  const bytes = readFileIfExists(disk, journal);
  if (bytes === undefined) return;
  const step = parseJournal(bytes);
  if (step !== undefined && canBeFinished(kb, step)) {
    context.fence();
    finish(kb, step, context);
  }
  removeFile(disk, journal);
  syncDirectory(disk, directory);
}

/**
 * A damaged journal was never acted upon: it is written whole before the first file. And where somebody moved
 * the branch or checked out another one since, finishing would fight with that.
 */
function canBeFinished(kb: Kb, step: Advance): boolean {
  const now = kb.refs.resolve(step.branch) ?? null;
  const isOurs = kb.refs.head().branch === step.branch && (now === step.from || now === step.to);
  return isOurs && kb.objects.has(step.to) && kb.objects.has(step.fromTree);
}

function finish(kb: Kb, step: Advance, context: Pick<AdvanceContext, 'who' | 'fence'>): void {
  const toTree = readCommit(kb.objects, step.to).tree;
  const changes = diffTrees(kb.objects, step.fromTree, toTree);
  sweepTemporaryFiles(kb.worktree, changes);
  const merged = mergeEditsSince(kb, changes, toTree);
  if (merged === undefined) return;
  for (const [path, data] of merged) {
    writeFileAtomic(kb.surroundings.disk, String(toDiskPath(kb.root, path)), kb.worktree.toFile(path, data));
  }
  const entries = entriesOfCommittedEdits(kb, treeOf(kb, step.from ?? undefined), toTree, changes);
  carryOut(kb, step, { ...context, message: 'kb: finish an interrupted advance', entries }, changes);
}

/** What becomes of files that hold neither their old nor their new version; undefined: one of them cannot be merged. */
function mergeEditsSince(kb: Kb, changes: readonly TreeChange[], toTree: Oid): Map<RepoPath, Buffer> | undefined {
  const merged = new Map<RepoPath, Buffer>();
  const merge = mergeByAttributes(kb, mergeByLines);
  const onto = { objects: kb.objects, tree: toTree };
  for (const { path, before, after } of changes) {
    const file = readPlainFile(kb, path);
    if (file === undefined && kb.worktree.isLeftOut(path)) continue;
    if (file === 'barred') return undefined;
    const holds = (leaf: Leaf | undefined): boolean =>
      file === undefined ? leaf === undefined : leaf?.mode === file.mode && leaf.oid === hashObject('blob', file.data);
    if (holds(before) || holds(after)) continue;
    if (file === undefined || before === undefined || after === undefined || file.mode !== before.mode)
      return undefined;
    const bytes = (leaf: Leaf): Buffer => kb.objects.read(leaf.oid).data;
    const result = merge({ base: bytes(before), ours: file.data, theirs: bytes(after), path, onto });
    if (result.kind === 'conflict') return undefined;
    merged.set(path, result.data);
  }
  return merged;
}

export function readPlainFile(kb: Kb, path: RepoPath): ReturnType<Kb['worktree']['readFile']> | 'barred' {
  try {
    return kb.worktree.readFile(path);
  } catch (error) {
    // below a link by now, or of a kind that kb cannot compare
    if (error instanceof KbError && (error.code === 'E_USAGE' || error.code === 'E_UNSAFE_STATE')) return 'barred';
    throw error;
  }
}

/**
 * The index entries of edits that lay in the work tree when they were committed; they died with their process.
 * Whatever was done to these files since was done to what is committed now, and shows as a new edit.
 */
function entriesOfCommittedEdits(
  kb: Kb,
  oldTree: Oid,
  toTree: Oid,
  changes: readonly TreeChange[],
): Map<RepoPath, NewEntry | null> {
  const written = new Set(changes.map(({ path }) => path));
  const entries = new Map<RepoPath, NewEntry | null>();
  for (const { path, after } of diffTrees(kb.objects, oldTree, toTree)) {
    if (written.has(path)) continue;
    if (after === undefined) {
      entries.set(path, null);
      continue;
    }
    const stat = kb.worktree.stat(path);
    const file = readPlainFile(kb, path);
    const isCommitted =
      file !== undefined &&
      file !== 'barred' &&
      file.mode === after.mode &&
      hashObject('blob', file.data) === after.oid;
    const skipWorktree = file === undefined && kb.worktree.isLeftOut(path);
    entries.set(path, { ...after, stat: isCommitted && stat !== undefined ? stat : UNKNOWN_STAT, skipWorktree });
  }
  return entries;
}

function parseJournal(bytes: Buffer): Advance | undefined {
  try {
    const value = Object(JSON.parse(bytes.toString('utf8'))) as Record<string, unknown>;
    const text = (name: string): string => (typeof value[name] === 'string' ? value[name] : '');
    if (value['version'] !== 1) return undefined;
    return {
      branch: asRefName(text('branch')),
      from: value['from'] === null ? null : asOid(text('from')),
      to: asOid(text('to')),
      fromTree: asOid(text('fromTree')),
    };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof KbError) return undefined;
    throw error;
  }
}
