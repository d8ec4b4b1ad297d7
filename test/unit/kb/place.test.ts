import { describe, expect, it } from 'vitest';
import { EMPTY_TREE } from '../../../src/git/ids.js';
import { hashObject } from '../../../src/git/objects/object.js';
import type { StagedObjects } from '../../../src/git/objects/staged.js';
import type { FileMode, Leaf } from '../../../src/git/objects/tree.js';
import { editTree } from '../../../src/git/objects/tree-edit.js';
import type { RepoPath } from '../../../src/git/paths.js';
import { findBarrier, findOtherSpelling, type Files } from '../../../src/kb/place.js';
import { MemoryObjects } from '../git/objects/memory-objects.js';

function filesOf(modes: Readonly<Record<string, FileMode>>): Files {
  const objects = new MemoryObjects();
  const oid = hashObject('blob', Buffer.from('x'));
  const leaves = new Map(
    Object.entries(modes).map(([path, mode]): [RepoPath, Leaf] => [path as RepoPath, { mode, oid }]),
  );
  return { objects, tree: editTree(objects as unknown as StagedObjects, EMPTY_TREE, leaves) };
}

const FILES = filesOf({
  'a.md': 0o100644,
  'dir/B.md': 0o100755,
  link: 0o120000,
  'mod/ule': 0o160000,
  'Straße.md': 0o100644,
  'cafe\u0301.md': 0o100644,
});

describe('findBarrier', () => {
  it.each(['a.md', 'dir/B.md', 'dir/new.md', 'new/deep/er.md', 'link'])('%s: a file, or room for one', (path) => {
    expect(findBarrier(FILES, path as RepoPath)).toBeUndefined();
  });

  it.each([
    ['dir', 'dir is a folder'],
    ['mod/ule', 'mod/ule is a repository of its own'],
    ['a.md/b.md', 'a.md is no folder'],
    ['a.md/b/c.md', 'a.md is no folder'],
    ['link/x.md', 'link is no folder'],
    ['dir/B.md/x.md', 'dir/B.md is no folder'],
    ['mod/ule/x.md', 'mod/ule is no folder'],
  ])('%s: %s', (path, expected) => {
    expect(findBarrier(FILES, path as RepoPath)).toBe(expected);
  });
});

describe('findOtherSpelling', () => {
  it.each([
    ['A.md', 'a.md'],
    ['dir/b.MD', 'dir/B.md'],
    ['STRASSE.md', 'Straße.md'],
    ['caf\u00e9.md', 'cafe\u0301.md'],
    ['DIR', 'dir'],
  ])('%s is %s', (path, other) => {
    expect(findOtherSpelling(FILES, path as RepoPath)).toBe(other);
  });

  it.each(['a.md', 'dir/B.md', 'b.md', 'dir/c.md', 'nowhere/a.md', 'a.md/x'])('%s has none', (path) => {
    expect(findOtherSpelling(FILES, path as RepoPath)).toBeUndefined();
  });
});
