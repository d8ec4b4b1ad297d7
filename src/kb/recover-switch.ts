import { join, posix } from 'node:path';
import { readFileIfExists, removeFile, syncDirectory, writeFileAtomic } from '../disk/durable.js';
import { KbError } from '../errors.js';
import { asOid, asRefName, isOid, shortName, type Oid, type RefName } from '../git/ids.js';
import { hashObject } from '../git/objects/object.js';
import type { Leaf } from '../git/objects/tree.js';
import { diffTrees, type TreeChange } from '../git/objects/tree-diff.js';
import { toDiskPath, type RepoPath } from '../git/paths.js';
import { sweepTemporaryFiles } from '../git/worktree/apply.js';
import { mergeByAttributes } from './merge-attribute.js';
import { mergeByLines } from './merge-contents.js';
import type { Kb } from './open.js';
import { readPlainFile } from './recover-advance.js';
import { carryOutSwitch, closeSwitch, SWITCH_JOURNAL, type SwitchContext, type SwitchStep } from './switch-files.js';

/**
 * Finishes the switch that a killed process began. Must be called under the KB's lock, before anything is read.
 *
 * It is always finished, never given up half-way: files of the one branch would count as edits of the other. What
 * somebody has edited since is merged with what the switch brings; where it cannot be, it goes beside.
 */
export function finishInterruptedSwitch(kb: Kb, context: SwitchContext): void {
  const { disk } = kb.surroundings;
  const directory = join(kb.gitDir, 'kb');
  const bytes = readFileIfExists(disk, join(directory, SWITCH_JOURNAL));
  if (bytes === undefined) return;
  const step = parseStep(bytes);
  const head = kb.refs.head();
  if (step !== undefined && canBeFinished(kb, step)) {
    context.fence();
    if (head.branch === step.to) return closeSwitch(kb, step, context);
    const changes = diffTrees(kb.objects, step.fromFiles, step.toFiles);
    sweepTemporaryFiles(kb.worktree, changes);
    settleEditsSince(kb, changes, step.toFiles);
    carryOutSwitch(kb, step, context, changes);
    closeSwitch(kb, step, context);
    kb.surroundings.report({
      kind: 'warning',
      text: `finished a switch to ${shortName(step.to)} that was interrupted`,
    });
    return;
  }
  if (step !== undefined && step.saved !== null) {
    const text = `a switch to ${shortName(step.to)} was interrupted, and the branch changed since; what was uncommitted is saved: kb restore ${step.saved}`;
    kb.surroundings.report({ kind: 'warning', text });
  }
  removeFile(disk, join(directory, SWITCH_JOURNAL));
  syncDirectory(disk, directory);
}

/** Where somebody has moved HEAD or one of the branches since, finishing would fight with that. */
function canBeFinished(kb: Kb, step: SwitchStep): boolean {
  const head = kb.refs.head();
  const now = head.branch ?? head.oid;
  const there = kb.refs.resolve(step.to);
  const isThere = there === (step.toCommit ?? undefined) || (there === undefined && step.createdFrom !== null);
  const isBetween = now === step.from ? (head.oid ?? null) === step.fromCommit : now === step.to;
  return isThere && isBetween && kb.objects.has(step.fromFiles) && kb.objects.has(step.toFiles);
}

/** Files that hold neither the version before the switch nor the one after it: edited since the crash. */
function settleEditsSince(kb: Kb, changes: readonly TreeChange[], tree: Oid): void {
  const merge = mergeByAttributes(kb, mergeByLines);
  const onto = { objects: kb.objects, tree };
  for (const { path, before, after } of changes) {
    const file = readPlainFile(kb, path);
    if (file === 'barred' || file === undefined || after === undefined) continue; // what is there stays, or is written
    const holds = (leaf: Leaf | undefined): boolean =>
      leaf?.mode === file.mode && leaf.oid === hashObject('blob', file.data);
    if (holds(before) || holds(after)) continue;
    const bytes = (leaf: Leaf): Buffer => kb.objects.read(leaf.oid).data;
    const base = before === undefined ? undefined : bytes(before);
    const merged = merge({ base, ours: file.data, theirs: bytes(after), path, onto });
    const write = (to: RepoPath, data: Buffer): void =>
      writeFileAtomic(kb.surroundings.disk, String(toDiskPath(kb.root, to)), kb.worktree.toFile(path, data));
    if (merged.kind !== 'conflict') {
      write(path, merged.data);
      continue;
    }
    const copy = freeCopy(kb, path);
    write(copy, file.data);
    write(path, bytes(after));
    const text = `${path} was edited while a switch was interrupted; the edited version is beside it: ${copy}`;
    kb.surroundings.report({ kind: 'warning', text });
  }
}

function freeCopy(kb: Kb, path: RepoPath): RepoPath {
  const { dir, name, ext } = posix.parse(path);
  const day = new Date(kb.surroundings.clock.wall()).toISOString().slice(0, 10);
  for (let number = 1; ; number += 1) {
    const mark = `kept ${day}${number === 1 ? '' : ` ${number}`}`;
    const copy = posix.join(dir, `${name} (${mark})${ext}`) as RepoPath;
    if (kb.worktree.lstat(copy) === undefined) return copy;
  }
}

/** Whether `finishInterruptedSwitch` has anything to do. */
export function hasInterruptedSwitch(kb: Kb): boolean {
  return readFileIfExists(kb.surroundings.disk, join(kb.gitDir, 'kb', SWITCH_JOURNAL)) !== undefined;
}

/** A journal is written whole before the first file: one that is damaged was never acted upon. */
function parseStep(bytes: Buffer): SwitchStep | undefined {
  try {
    const value = Object(JSON.parse(bytes.toString('utf8'))) as Record<string, unknown>;
    const text = (name: string): string => (typeof value[name] === 'string' ? value[name] : '');
    const oidOrNull = (name: string): Oid | null => (value[name] === null ? null : asOid(text(name)));
    const from: RefName | Oid = isOid(text('from')) ? asOid(text('from')) : asRefName(text('from'));
    if (value['version'] !== 1) return undefined;
    return {
      from,
      fromCommit: oidOrNull('fromCommit'),
      to: asRefName(text('to')),
      toCommit: oidOrNull('toCommit'),
      createdFrom: value['createdFrom'] === null ? null : text('createdFrom'),
      fromFiles: asOid(text('fromFiles')),
      toFiles: asOid(text('toFiles')),
      saved: value['saved'] === null ? null : asRefName(text('saved')),
    };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof KbError) return undefined;
    throw error;
  }
}
