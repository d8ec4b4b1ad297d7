import type { Oid } from '../git/ids.js';
import type { ObjectSource } from '../git/objects/object.js';
import type { AttributedMerge } from './merge-attribute.js';
import type { RuleChoice } from '../merge/rule-names.js';
import { mergeText } from '../merge/merge-text.js';

/** The versions of one file that are to become one. */
export interface Contents {
  /** undefined: both sides added the file. */
  readonly base: Buffer | undefined;
  /** What stands there already: its additions come first. */
  readonly ours: Buffer;
  readonly theirs: Buffer;
  readonly path: string;
  /** What it is merged into: its `.gitattributes` say how. */
  readonly onto?: { readonly objects: ObjectSource; readonly tree: Oid };
}

export type MergedContents =
  | {
      readonly kind: 'merged';
      readonly data: Buffer;
      /** What settled the places that a merge by lines leaves to a person. */
      readonly rules: readonly string[];
    }
  | { readonly kind: 'conflict'; readonly reason: 'overlap' | 'binary' | 'encoding' };

export type MergeContents = (contents: Contents) => MergedContents;

/** As git merges, with no rule for anything: where files are put back as they were, and nothing new is made. */
export const mergeByLines: MergeContents = ({ base, ours, theirs }) => {
  const merged = mergeText(base, ours, theirs);
  return merged.kind === 'merged' ? { ...merged, rules: [] } : { kind: 'conflict', reason: merged.reason };
};

/** The merge engine, loaded when there is something to merge: most commands have nothing. It goes by `merge=` of the attributes, and by `merge.without` of `kb.yaml`. */
export async function loadMerge(kb: AttributedMerge | undefined): Promise<MergeContents> {
  const { mergeFile } = await import('../merge/merge-file.js');
  if (kb === undefined) return mergeFile;
  const { mergeByAttributes } = await import('./merge-attribute.js');
  const choiceFor = kb.settings.mergeWithout === undefined ? undefined : await loadChoices(kb);
  return mergeByAttributes(kb, (contents) =>
    mergeFile(choiceFor === undefined ? contents : { ...contents, choice: choiceFor(contents.path) }),
  );
}

async function loadChoices(kb: AttributedMerge): Promise<(path: string) => RuleChoice> {
  const { ruleChoices } = await import('./merge-switches.js');
  return ruleChoices(kb);
}
