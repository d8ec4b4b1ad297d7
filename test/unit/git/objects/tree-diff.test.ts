import { describe, expect, it } from 'vitest';
import { EMPTY_TREE, type Oid } from '../../../../src/git/ids.js';
import { diffTrees } from '../../../../src/git/objects/tree-diff.js';
import { serializeTree, type FileMode } from '../../../../src/git/objects/tree.js';
import { MemoryObjects } from './memory-objects.js';

const id = (digit: string): Oid => digit.repeat(40) as Oid;

describe('diffTrees', () => {
  const objects = new MemoryObjects();
  const tree = (...entries: [string, FileMode, Oid][]): Oid =>
    objects.add('tree', serializeTree(entries.map(([name, mode, oid]) => ({ name, mode, oid }))));

  it('does not open folders that are the same', () => {
    const same = tree(['x', 0o100644, id('1')]);
    const before = tree(['same', 0o040000, same], ['f', 0o100644, id('1')]);
    const after = tree(['same', 0o040000, same], ['f', 0o100644, id('2')]);
    objects.reads.length = 0;
    expect(diffTrees(objects, before, after)).toEqual([
      { path: 'f', before: { mode: 0o100644, oid: id('1') }, after: { mode: 0o100644, oid: id('2') } },
    ]);
    expect(objects.reads).not.toContain(same);
    objects.reads.length = 0;
    expect(diffTrees(objects, before, before)).toEqual([]);
    expect(objects.reads).toEqual([]);
  });

  it('sees a changed mode', () => {
    expect(diffTrees(objects, tree(['f', 0o100644, id('1')]), tree(['f', 0o100755, id('1')]))).toEqual([
      { path: 'f', before: { mode: 0o100644, oid: id('1') }, after: { mode: 0o100755, oid: id('1') } },
    ]);
  });

  it('takes modes that mean the same for the same', () => {
    const odd = objects.add('tree', Buffer.concat([Buffer.from('100664 f\0'), Buffer.from(id('1'), 'hex')]));
    expect(diffTrees(objects, tree(['f', 0o100644, id('1')]), odd)).toEqual([]);
  });

  it('gives a delete and adds where a file became a folder, in the order of the index', () => {
    const before = tree(['a', 0o100644, id('1')], ['a.md', 0o100644, id('1')]);
    const folder = tree(['in', 0o120000, id('2')]);
    const after = tree(['a', 0o040000, folder], ['a.md', 0o100644, id('3')]);
    expect(
      diffTrees(objects, before, after).map(({ path, before: old, after: fresh }) => [path, old?.oid, fresh?.oid]),
    ).toEqual([
      ['a', id('1'), undefined],
      ['a.md', id('1'), id('3')],
      ['a/in', undefined, id('2')],
    ]);
    expect(diffTrees(objects, after, before).map((change) => change.path)).toEqual(['a', 'a.md', 'a/in']);
  });

  it('compares with nothing', () => {
    const some = tree(['f', 0o160000, id('1')]);
    expect(diffTrees(objects, EMPTY_TREE, some)).toEqual([{ path: 'f', after: { mode: 0o160000, oid: id('1') } }]);
    expect(diffTrees(objects, some, EMPTY_TREE)).toEqual([{ path: 'f', before: { mode: 0o160000, oid: id('1') } }]);
  });

  it('finds changes anywhere among thousands of entries, also side by side and at both ends', () => {
    const names = Array.from({ length: 3000 }, (_, index) => `n${String(index).padStart(5, '0')}`);
    const before = tree(...names.map((name): [string, FileMode, Oid] => [name, 0o100644, id('1')]));
    for (const changed of [[0], [2999], [0, 1, 2], [1500, 1501, 2999], [77, 78, 80]]) {
      const after = tree(
        ...names.map((name, index): [string, FileMode, Oid] => [
          name,
          0o100644,
          changed.includes(index) ? id('2') : id('1'),
        ]),
      );
      const removed = tree(
        ...names
          .filter((_, index) => !changed.includes(index))
          .map((name): [string, FileMode, Oid] => [name, 0o100644, id('1')]),
      );
      const expected = changed.map((index) => names[index]);
      expect(diffTrees(objects, before, after).map((change) => change.path)).toEqual(expected);
      expect(diffTrees(objects, before, removed).map((change) => change.path)).toEqual(expected);
      expect(diffTrees(objects, removed, before).map((change) => change.path)).toEqual(expected);
    }
  });

  it('reports a missing folder', () => {
    const before = tree(['d', 0o040000, id('8')]);
    expect(() => diffTrees(objects, before, EMPTY_TREE)).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });
});
