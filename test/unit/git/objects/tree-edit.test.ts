import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../../src/disk/disk.js';
import { mkdirSync } from 'node:fs';
import { EMPTY_TREE, type Oid } from '../../../../src/git/ids.js';
import { comparePaths, type RepoPath } from '../../../../src/git/paths.js';
import { StagedObjects } from '../../../../src/git/objects/staged.js';
import { ObjectStore } from '../../../../src/git/objects/store.js';
import { diffTrees } from '../../../../src/git/objects/tree-diff.js';
import { editTree } from '../../../../src/git/objects/tree-edit.js';
import { verifyTree, walkTree, type Leaf } from '../../../../src/git/objects/tree.js';
import { makeTemporaryDirectory } from '../../../support/native-git.js';

const leaf = (seed: number): Leaf => ({
  mode: seed % 2 === 0 ? 0o100644 : 0o100755,
  oid: seed.toString(16).padStart(40, 'a') as Oid,
});

function staging(): StagedObjects {
  const gitDir = makeTemporaryDirectory();
  mkdirSync(`${gitDir}/objects`);
  return new StagedObjects(ObjectStore.open(nodeDisk, gitDir));
}

function edit(staged: StagedObjects, root: Oid, changes: Record<string, Leaf | null>): Oid {
  return editTree(staged, root, new Map(Object.entries(changes) as [RepoPath, Leaf | null][]));
}

function list(staged: StagedObjects, root: Oid): Record<string, Leaf> {
  const leaves: [string, Leaf][] = [];
  walkTree(staged, root, (path, found) => leaves.push([path, found]));
  expect(leaves.map(([path]) => path)).toEqual(leaves.map(([path]) => path).sort((a, b) => comparePaths(a, b)));
  return Object.fromEntries(leaves);
}

describe('editTree', () => {
  const staged = staging();
  const start = { 'a.md': leaf(1), 'a/b/c.md': leaf(2), 'a/d.md': leaf(3), z: leaf(4) };
  const root = edit(staged, EMPTY_TREE, start);

  it.each<[string, Record<string, Leaf | null>, Record<string, Leaf>]>([
    ['nothing', {}, start],
    ['a new file', { 'm.md': leaf(9) }, { ...start, 'm.md': leaf(9) }],
    [
      'new files at the same place',
      { 'm.md': leaf(9), 'n.md': leaf(8), 'm-': leaf(7) },
      { ...start, 'm.md': leaf(9), 'n.md': leaf(8), 'm-': leaf(7) },
    ],
    ['a new file in new folders', { 'x/y/z.md': leaf(9) }, { ...start, 'x/y/z.md': leaf(9) }],
    ['a changed file', { 'a/b/c.md': leaf(9) }, { ...start, 'a/b/c.md': leaf(9) }],
    ['a removed file, its empty folder goes', { 'a/b/c.md': null }, { 'a.md': leaf(1), 'a/d.md': leaf(3), z: leaf(4) }],
    ['a removed file that is not there', { 'none.md': null, 'a/none/x': null, 'a.md/x': null }, start],
    ['a removed folder path is no file', { a: null }, start],
    [
      'a file replaced by a folder',
      { z: null, 'z/in.md': leaf(9) },
      { 'a.md': leaf(1), 'a/b/c.md': leaf(2), 'a/d.md': leaf(3), 'z/in.md': leaf(9) },
    ],
    [
      'a folder replaced by a file',
      { 'a/b/c.md': null, 'a/d.md': null, a: leaf(9) },
      { 'a.md': leaf(1), a: leaf(9), z: leaf(4) },
    ],
    ['everything removed', { 'a.md': null, 'a/b/c.md': null, 'a/d.md': null, z: null }, {}],
  ])('%s', (_, changes, expected) => {
    expect(list(staged, edit(staged, root, changes))).toEqual(expected);
  });

  it('gives the same tree back when nothing differs', () => {
    const added = staged.added().length;
    expect(edit(staged, root, start)).toBe(root);
    expect(staged.added().length).toBe(added);
  });

  it.each<[string, Record<string, Leaf | null>]>([
    ['put below a file', { 'z/in.md': leaf(9) }],
    ['put over a folder', { a: leaf(9) }],
    ['put over a folder that keeps a file', { a: leaf(9), 'a/d.md': null }],
    ['put as file and folder', { new: leaf(1), 'new/in.md': leaf(2) }],
  ])('refuses a leaf %s', (_, changes) => {
    expect(() => edit(staged, root, changes)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });

  it.each(['', '/a', 'a//b', 'a/'])('refuses the path %j', (path) => {
    expect(() => edit(staged, root, { [path]: leaf(1) })).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });

  it('is undone and redone by the difference of the trees, whatever they hold', () => {
    const part = fc.constantFrom('a', 'a-', 'a.b', 'a0', 'b', 'ä', '\udc80', '😀', '\uffee');
    const path = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
    const files = fc
      .uniqueArray(fc.tuple(path, fc.integer({ min: 0, max: 3 })), { selector: (item) => item[0], maxLength: 12 })
      .map((items) => {
        // a path that another one uses as folder is left out
        const paths = items.map((item) => item[0]);
        return Object.fromEntries(
          items
            .filter(([name]) => !paths.some((other) => other.startsWith(`${name}/`)))
            .map(([name, seed]) => [name, leaf(seed)]),
        );
      });
    fc.assert(
      fc.property(files, files, (before, after) => {
        const [old, fresh] = [edit(staged, EMPTY_TREE, before), edit(staged, EMPTY_TREE, after)];
        const changes = diffTrees(staged, old, fresh);
        expect(changes.map((change) => change.path)).toEqual(changes.map((change) => change.path).sort(comparePaths));
        expect(changes.length).toBe(
          [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
            (name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]),
          ).length,
        );
        expect(editTree(staged, old, new Map(changes.map((change) => [change.path, change.after ?? null])))).toBe(
          fresh,
        );
        expect(editTree(staged, fresh, new Map(changes.map((change) => [change.path, change.before ?? null])))).toBe(
          old,
        );
      }),
      { numRuns: 200 },
    );
    for (const oid of staged.added()) verifyTree(staged.read(oid).data);
  });
});
