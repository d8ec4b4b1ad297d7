import { KbError } from '../errors.js';
import type { Oid } from '../git/ids.js';
import { readCommit } from '../git/objects/commit.js';
import { commitsSince } from '../git/objects/history.js';
import { diffTrees } from '../git/objects/tree-diff.js';
import type { RepoPath } from '../git/paths.js';
import { EMPTY_TREE } from '../git/ids.js';
import type { Tip } from './cycle.js';
import type { Kb } from './open.js';

const TRAILER = 'Kb-Id';
const ALLOWED = /^[\x21-\x7e]{1,200}$/;

/** The line in a commit's message that makes its key findable from every clone. */
export function idTrailer(id: string): string {
  return `${TRAILER}: ${id}`;
}

/** @throws KbError E_USAGE: a key is 1–200 visible ASCII characters, so that it survives as one trailer line */
export function requireValidId(id: string): void {
  if (!ALLOWED.test(id)) {
    throw new KbError('E_USAGE', '--id must be 1 to 200 visible ASCII characters without spaces', {
      hint: 'for example: --id build-1234',
    });
  }
}

/** The commit in the tip's history that carries the key, and the note that it changed. */
export function findNoteById(kb: Kb, tip: Tip, id: string): { commit: Oid; path: RepoPath } | undefined {
  if (tip.commit === undefined) return undefined;
  const shallow = kb.shallow();
  const line = idTrailer(id);
  for (const oid of commitsSince(tip.staged, undefined, tip.commit, shallow).commits.reverse()) {
    const commit = readCommit(tip.staged, oid);
    if (!commit.message.split('\n').includes(line)) continue;
    const parent = shallow.has(oid) ? undefined : commit.parents[0];
    const before = parent === undefined ? EMPTY_TREE : readCommit(tip.staged, parent).tree;
    const changed = diffTrees(tip.staged, before, commit.tree).find(({ after }) => after !== undefined);
    if (changed !== undefined) return { commit: oid, path: changed.path };
  }
  return undefined;
}
