import { parseGitBoolean } from '../../config/git-config.js';
import type { AttributedMerge } from '../merge-attribute.js';
import type { CarryRenames } from './carry.js';

/**
 * Below git's own 7000: kb compares while it holds the KB's lock, and a million pairs take seconds.
 * Source: git-config(1), "merge.renameLimit".
 */
const DEFAULT_LIMIT = 1000;

/**
 * How this KB follows renamed files, by `merge.renames`, `merge.renameLimit`, `merge.directoryRenames`, what stands for
 * them under `diff`, and by `merge.without` of `kb.yaml`. Loaded with the merge engine.
 * @returns undefined: not at all
 */
export async function loadRenames(kb: AttributedMerge | undefined): Promise<CarryRenames | undefined> {
  if (kb === undefined) return undefined;
  const setting = (name: string): string | undefined =>
    kb.gitConfig.get(`merge.${name}`) ?? kb.gitConfig.get(`diff.${name}`);
  // `copy` and whatever else is no boolean finds renames too
  if (parseGitBoolean(setting('renames') ?? 'true') === false) return undefined;
  const [{ carryRenames }, { KnownPieces }] = await Promise.all([import('./carry.js'), import('./known-pieces.js')]);
  const choiceFor =
    kb.settings.mergeWithout === undefined ? undefined : (await import('../merge-switches.js')).ruleChoices(kb);
  let hasTold = false;
  const rules = {
    limit: limitOf(setting('renamelimit')),
    folders: parseGitBoolean(kb.gitConfig.get('merge.directoryrenames') ?? 'true') !== false,
    ignoreCase: kb.worktree.settings.ignoreCase,
    allows: (path: string) => choiceFor?.(path).allows('renamed') !== false,
    onLimit: () => {
      if (hasTold) return;
      hasTold = true;
      const text =
        'too many files went and came to compare them all: what was renamed and changed may be taken for deleted; raise merge.renameLimit of git to have them compared';
      kb.surroundings.report({ kind: 'warning', text });
    },
  };
  const known = new KnownPieces();
  return (meeting) => carryRenames(meeting, rules, known);
}

function limitOf(text: string | undefined): number {
  const limit = Number(text);
  return text === undefined || !Number.isInteger(limit) || limit < 0 ? DEFAULT_LIMIT : limit;
}
