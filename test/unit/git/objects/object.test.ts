import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Oid } from '../../../../src/git/ids.js';
import { expectType, hashObject, isObjectType } from '../../../../src/git/objects/object.js';

describe('hashObject', () => {
  it.each([
    ['blob', '', 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'],
    ['blob', 'hello\n', 'ce013625030ba8dba906f756967f9e9ca394464a'],
    ['tree', '', '4b825dc642cb6eb9a060e54bf8d69288fbee4904'],
  ] as const)('names a %s of %j as git does', (type, text, oid) => {
    expect(hashObject(type, Buffer.from(text))).toBe(oid);
  });

  it('gives the same id on both sides of the size where it changes its way of hashing', () => {
    for (const size of [65_500, 65_524, 65_525, 65_526, 65_536, 70_000]) {
      const data = Buffer.alloc(size, 'x');
      expect(hashObject('blob', data)).toBe(createHash('sha1').update(`blob ${size}\0`).update(data).digest('hex'));
    }
  });
});

it('expectType names what is wrong', () => {
  const oid = '1'.repeat(40) as Oid;
  expect(expectType({ type: 'blob', data: Buffer.from('x') }, 'blob', oid).toString()).toBe('x');
  expect(() => expectType({ type: 'blob', data: Buffer.alloc(0) }, 'tree', oid)).toThrow(
    /is a blob where a tree belongs/,
  );
});

it('isObjectType knows the four types', () => {
  expect(['commit', 'tree', 'blob', 'tag', 'Blob', 'ofs'].map(isObjectType)).toEqual([
    true,
    true,
    true,
    true,
    false,
    false,
  ]);
});
