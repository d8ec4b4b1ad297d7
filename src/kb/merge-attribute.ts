import type { GitConfig } from '../config/git-config.js';
import type { AttributeState } from '../git/attributes/parse.js';
import type { PathRules } from '../git/convert/conversions.js';
import type { Oid } from '../git/ids.js';
import { findEntry } from '../git/objects/tree.js';
import type { RepoPath } from '../git/paths.js';
import { mergeUnion } from '../merge/merge-union.js';
import { type Contents, type MergeContents, type MergedContents, mergeByLines } from './merge-contents.js';
import type { Kb } from './open.js';

/** What is needed of a KB to merge its files as its attributes and its `kb.yaml` say. */
export interface AttributedMerge {
  readonly settings: Pick<Kb['settings'], 'mergeWithout'>;
  readonly worktree: { readonly settings: Pick<Kb['worktree']['settings'], 'conversions' | 'ignoreCase'> };
  readonly gitConfig: Pick<GitConfig, 'get'>;
  readonly surroundings: Pick<Kb['surroundings'], 'report'>;
}

/** Where one side left the file alone, or both made it the same: no attribute has a say in that. */
function withoutLooking({ base, ours, theirs }: Contents): MergedContents | undefined {
  if (ours.equals(theirs) || base?.equals(theirs) === true) return { kind: 'merged', data: ours, rules: [] };
  return base?.equals(ours) === true ? { kind: 'merged', data: theirs, rules: [] } : undefined;
}

const BINARY: MergeContents = (contents) => withoutLooking(contents) ?? { kind: 'conflict', reason: 'binary' };

/** By this name kb itself is configured as a merge driver of native git (docs/merging.md). */
const OWN_DRIVER = 'kb';

/**
 * Merges each file as `merge=` of its attributes says; those of the tree that it is merged into count. Files of which it
 * says nothing are merged by `merge`. Programs that the user has configured (`merge.NAME.driver`) are not run: what a KB
 * holds must never decide what is run. Their files are merged by lines, and it is said once.
 * Source: gitattributes(5), "Performing a three-way merge".
 */
export function mergeByAttributes(kb: AttributedMerge, merge: MergeContents): MergeContents {
  const { conversions } = kb.worktree.settings;
  let known: { readonly tree: Oid; readonly rules: PathRules } | undefined;
  const told = new Set<string>();

  const rulesFor = (onto: Contents['onto']): PathRules | undefined => {
    if (onto === undefined || conversions === undefined) return undefined;
    if (known?.tree === onto.tree) return known.rules;
    known = { tree: onto.tree, rules: rulesOfTree(conversions, onto) };
    return known.rules;
  };

  const mergerFor = (state: AttributeState | undefined): MergeContents => {
    if (state === undefined || state === null) {
      const byDefault = kb.gitConfig.get('merge.default');
      return byDefault === undefined ? merge : mergerFor(byDefault);
    }
    if (state === false || state === 'binary') return BINARY;
    if (state === true || state === 'text') return mergeByLines;
    if (state === 'union') return union;
    if (state === OWN_DRIVER || kb.gitConfig.get(`merge.${state}.driver`) === undefined) return merge;
    if (!told.has(state)) {
      told.add(state);
      const text = `merge=${state} in .gitattributes stands for a program of yours (merge.${state}.driver), and kb runs none: such files are merged by lines`;
      kb.surroundings.report({ kind: 'warning', text });
    }
    return mergeByLines;
  };

  return (contents) =>
    mergerFor(
      rulesFor(contents.onto)
        ?.attributesOf(contents.path as RepoPath)
        .get('merge'),
    )(contents);
}

const union: MergeContents = (contents) => {
  const known = withoutLooking(contents);
  if (known !== undefined) return known;
  const merged = mergeUnion(contents.base, contents.ours, contents.theirs);
  return merged.kind === 'merged' ? { ...merged, rules: [] } : merged;
};

/** The rules that files of a tree have, be it checked out or not. */
export function rulesOfTree(
  conversions: NonNullable<Kb['worktree']['settings']['conversions']>,
  { objects, tree }: NonNullable<Contents['onto']>,
): PathRules {
  const get = (path: RepoPath): ReturnType<typeof findEntry> => findEntry(objects, tree, path);
  return conversions.rulesOfTree(
    [],
    'after',
    (oid) => objects.find(oid)?.data,
    () => ({ get }),
  );
}
