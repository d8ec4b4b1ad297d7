import { join } from 'node:path';
import { readFileIfExists, removeFile, writeFileAtomic } from '../disk/durable.js';
import { KbError } from '../errors.js';
import { asOid, type Oid } from '../git/ids.js';
import { kbDirectory } from './kb-directory.js';
import type { Kb } from './open.js';

const FILE = 'collected.json';

/**
 * Local edits that were made a commit and are about to be pushed, while the local branch does not hold it yet.
 *
 * Invariant: from before such a push until the branch has followed, this file names the commit. If the process dies in
 * between, the remote may have the commit; what the user changes in the same files afterwards is then an edit of that
 * commit, not of the branch's, and must not be taken for a conflict with it.
 * (Broken by: test/integration/replay.test.ts, "edited again after a push whose process was killed")
 * @param head the branch's commit that it stands upon
 */
export function recordCollected(kb: Kb, head: Oid | undefined, commit: Oid): void {
  const text = JSON.stringify({ version: 1, head: head ?? null, commit });
  writeFileAtomic(kb.surroundings.disk, join(kbDirectory(kb), FILE), text);
}

/** The branch has followed, or the push can't have landed. */
export function forgetCollected(kb: Kb): void {
  removeFile(kb.surroundings.disk, join(kb.gitDir, 'kb', FILE));
}

/** What a killed process may have pushed of the edits upon this commit; undefined: nothing that is known. */
export function findCollected(kb: Kb, head: Oid | undefined): Oid | undefined {
  const bytes = readFileIfExists(kb.surroundings.disk, join(kb.gitDir, 'kb', FILE));
  if (bytes === undefined) return undefined;
  try {
    const record = Object(JSON.parse(bytes.toString('utf8'))) as Record<string, unknown>;
    if (record['version'] !== 1 || record['head'] !== (head ?? null)) return undefined;
    const commit = asOid(String(record['commit']));
    return kb.objects.has(commit) ? commit : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof KbError) return undefined;
    throw error;
  }
}
