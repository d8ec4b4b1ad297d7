import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMPTY_TREE, type Oid } from '../../../../src/git/ids.js';
import type { RepoPath } from '../../../../src/git/paths.js';
import {
  findEntry,
  parseTree,
  serializeTree,
  TreeScanner,
  verifyTree,
  walkTree,
  type FileMode,
  type TreeEntry,
} from '../../../../src/git/objects/tree.js';
import { MemoryObjects } from './memory-objects.js';

const ID = 'a'.repeat(40) as Oid;
const raw = (mode: string, name: string | Buffer, id: string = ID): Buffer =>
  Buffer.concat([Buffer.from(`${mode} `), Buffer.from(name as string), Buffer.from([0]), Buffer.from(id, 'hex')]);

describe('parseTree', () => {
  it('reads every mode', () => {
    const modes = ['100644', '100755', '120000', '160000', '40000'];
    const tree = Buffer.concat(modes.map((mode, index) => raw(mode, `n${index}`)));
    expect(parseTree(tree).map((entry) => entry.mode)).toEqual([0o100644, 0o100755, 0o120000, 0o160000, 0o040000]);
  });

  it("takes the modes of old tools for the nearest of git's", () => {
    expect(parseTree(raw('100664', 'a'))[0]?.mode).toBe(0o100644);
    expect(parseTree(raw('100775', 'a'))[0]?.mode).toBe(0o100755);
    expect(parseTree(raw('040000', 'a'))[0]?.mode).toBe(0o040000);
  });

  it('keeps names that are not UTF-8', () => {
    const tree = raw('100644', Buffer.from([0x66, 0xff, 0xe4]));
    const entries = parseTree(tree);
    expect(entries[0]?.name).toBe('f\udcff\udce4');
    expect(serializeTree(entries)).toEqual(tree);
  });

  it('does not take a byte of an id for a slash', () => {
    const tree = Buffer.concat([raw('100644', 'a', '2f'.repeat(20)), raw('100644', 'b', '00'.repeat(20))]);
    expect(parseTree(tree).map((entry) => entry.name)).toEqual(['a', 'b']);
  });

  it.each([
    ['no mode', raw('', 'a')],
    ['a mode with another digit', raw('100648', 'a')],
    ['an endless mode', raw('1006441006441', 'a')],
    ['an unknown type', raw('50644', 'a')],
    ['an empty name', raw('100644', '')],
    ['a slash', raw('100644', 'a/b')],
    ['a slash in the second name', Buffer.concat([raw('100644', 'a'), raw('100644', 'b/c')])],
    ['no NUL', Buffer.from('100644 abc')],
    ['only a mode', Buffer.from('100644')],
    ['a cut id', raw('100644', 'a').subarray(0, 28 - 1)],
  ])('refuses %s', (_, data) => {
    expect(() => parseTree(data)).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });
});

describe('serializeTree', () => {
  it('sorts by bytes, a folder as if its name ended in a slash', () => {
    const entry = (name: string, mode: FileMode = 0o100644): TreeEntry => ({ mode, name, oid: ID });
    const names = parseTree(
      serializeTree([
        entry('a0'),
        entry('a', 0o040000),
        entry('a.md'),
        entry('a-'),
        entry('b'),
        entry('ä'),
        entry('Z'),
      ]),
    ).map((item) => item.name);
    expect(names).toEqual(['Z', 'a-', 'a.md', 'a', 'a0', 'b', 'ä']);
  });

  it.each([[['']], [['a/b']], [['a\0']], [['a', 'a']]])('refuses the names %j', (names) => {
    expect(() => serializeTree(names.map((name) => ({ mode: 0o100644, name, oid: ID })))).toThrow(
      expect.objectContaining({ code: 'E_CORRUPT' }),
    );
  });

  it('gives back what it was given, for any names', () => {
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
      .filter((text) => !/[\0/]/.test(text) && !['.', '..', '.git'].includes(text.toLowerCase()));
    const mode = fc.constantFrom<FileMode>(0o100644, 0o100755, 0o120000, 0o160000, 0o040000);
    fc.assert(
      fc.property(fc.uniqueArray(fc.record({ name, mode }), { selector: (item) => item.name }), (items) => {
        const tree = serializeTree(items.map((item) => ({ ...item, oid: ID })));
        verifyTree(tree);
        expect(serializeTree(parseTree(tree))).toEqual(tree);
        expect(new Map(parseTree(tree).map((item) => [item.name, item.mode]))).toEqual(
          new Map(items.map((item) => [item.name, item.mode])),
        );
      }),
    );
  });
});

describe('verifyTree', () => {
  it.each([
    [
      'files that only look alike',
      [raw('100644', 'a'), raw('100644', 'a-'), raw('100644', 'a.b'), raw('40000', 'a.c'), raw('40000', 'aa')],
    ],
    ['names that begin with a dot', [raw('100644', '...'), raw('100644', '.gita'), raw('100644', '.gitignore')]],
  ])('takes %s', (_, entries) => {
    verifyTree(Buffer.concat(entries));
  });

  it.each([
    ['the same file twice', [raw('100644', 'a'), raw('100644', 'a')]],
    ['file and folder, side by side', [raw('100644', 'a'), raw('40000', 'a')]],
    [
      'file and folder, others between',
      [raw('100644', 'a'), raw('100644', 'a!'), raw('100644', 'a!b'), raw('100644', 'a-'), raw('40000', 'a')],
    ],
    ['file and folder inside another such pair', [raw('100644', 'a'), raw('100644', 'a!'), raw('40000', 'a!')]],
    ['files out of order', [raw('100644', 'b'), raw('100644', 'a')]],
    ['a longer name first', [raw('100644', 'ab'), raw('100644', 'a')]],
    ['a folder before a file that sorts before its slash', [raw('40000', 'a'), raw('100644', 'a.md')]],
    ['a padded mode', [raw('040000', 'a')]],
    ['a null id', [raw('100644', 'a', '0'.repeat(40))]],
    ['.', [raw('40000', '.')]],
    ['..', [raw('40000', '..')]],
    ['.git', [raw('40000', '.git')]],
    ['.GiT', [raw('100644', '.GiT')]],
  ])('refuses %s', (_, entries) => {
    expect(() => verifyTree(Buffer.concat(entries))).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });
});

describe('findEntry and walkTree', () => {
  const objects = new MemoryObjects();
  const deep = objects.add('tree', serializeTree([{ mode: 0o100644, name: 'c.md', oid: ID }]));
  const folder = objects.add(
    'tree',
    serializeTree([
      { mode: 0o040000, name: 'b', oid: deep },
      { mode: 0o160000, name: 'module', oid: ID },
    ]),
  );
  const root = objects.add(
    'tree',
    serializeTree([
      { mode: 0o040000, name: 'a', oid: folder },
      { mode: 0o100644, name: 'a.md', oid: ID },
      { mode: 0o120000, name: 'link', oid: ID },
    ]),
  );

  it.each([
    ['a', { mode: 0o040000, name: 'a', oid: folder }],
    ['a.md', { mode: 0o100644, name: 'a.md', oid: ID }],
    ['a/b/c.md', { mode: 0o100644, name: 'c.md', oid: ID }],
    ['a/b', { mode: 0o040000, name: 'b', oid: deep }],
    ['a/none', undefined],
    ['a.md/inside', undefined],
    ['a/module/inside', undefined],
    ['a/', undefined],
    ['', undefined],
    ['/a', undefined],
  ])('finds %j', (path, entry) => {
    expect(findEntry(objects, root, path as RepoPath)).toEqual(entry);
  });

  it('walks in the order of the index', () => {
    const visited: string[] = [];
    walkTree(objects, root, (path, leaf) => visited.push(`${leaf.mode.toString(8)} ${path}`));
    expect(visited).toEqual(['100644 a.md', '100644 a/b/c.md', '160000 a/module', '120000 link']);
  });

  it('knows the empty tree where it is not stored', () => {
    expect(findEntry(objects, EMPTY_TREE, 'a' as RepoPath)).toBeUndefined();
  });

  it('ends where folders never end', () => {
    const many = new MemoryObjects();
    let tree = many.add('tree', serializeTree([{ mode: 0o100644, name: 'x', oid: ID }]));
    for (let depth = 0; depth < 2100; depth++)
      tree = many.add('tree', serializeTree([{ mode: 0o040000, name: 'd', oid: tree }]));
    expect(() => walkTree(many, tree, () => undefined)).toThrow(/deep/);
  });

  it('ends where a few trees stand for too many files', () => {
    const many = new MemoryObjects();
    const names = Array.from({ length: 60 }, (_, index) => `n${index}`);
    let tree = many.add('tree', serializeTree(names.map((name) => ({ mode: 0o100644, name, oid: ID }))));
    for (let level = 0; level < 4; level++) {
      const below = tree;
      tree = many.add('tree', serializeTree(names.map((name) => ({ mode: 0o040000, name, oid: below }))));
    }
    expect(() => walkTree(many, tree, () => undefined)).toThrow(/files/);
  });
});

it('TreeScanner.skip stops before an entry that is not whole within the bytes', () => {
  const [a, b, c] = [raw('100644', 'a'), raw('100644', 'bb'), raw('40000', 'c')];
  const scanner = new TreeScanner(Buffer.concat([a, b, c]));
  expect(scanner.skip(a.length + 5)).toBe(a.length);
  expect(scanner.skip(0)).toBe(0);
  expect(scanner.next()).toBe(true);
  expect(scanner.name).toBe('bb');
  expect(scanner.skip(1000)).toBe(c.length);
  expect(scanner.next()).toBe(false);
});
