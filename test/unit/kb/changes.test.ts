import { expect, it } from 'vitest';
import type { Oid } from '../../../src/git/ids.js';
import type { TreeChange } from '../../../src/git/objects/tree-diff.js';
import type { RepoPath } from '../../../src/git/paths.js';
import { describeChanges } from '../../../src/kb/changes.js';

const leaf = { mode: 0o100644, oid: '1'.repeat(40) as Oid } as const;
const path = 'a.md' as RepoPath;

it.each<[string, TreeChange]>([
  ['added', { path, after: leaf }],
  ['modified', { path, before: leaf, after: leaf }],
  ['deleted', { path, before: leaf }],
])('describeChanges: %s', (kind, change) => {
  expect(describeChanges([change])).toEqual([{ path, kind }]);
});
