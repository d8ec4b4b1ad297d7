import type { Oid } from '../git/ids.js';
import { commitsSince } from '../git/objects/history.js';
import type { Kb } from './open.js';

/** How many commits each side has that the other lacks; undefined where one side has no commit. */
export function compareWithTracking(
  kb: Kb,
  tracking: Oid | undefined,
  local: Oid | undefined,
): { ahead: number; behind: number } | undefined {
  if (tracking === undefined || local === undefined) return undefined;
  if (tracking === local) return { ahead: 0, behind: 0 };
  const shallow = kb.shallow();
  return {
    ahead: commitsSince(kb.objects, tracking, local, shallow).commits.length,
    behind: commitsSince(kb.objects, local, tracking, shallow).commits.length,
  };
}
