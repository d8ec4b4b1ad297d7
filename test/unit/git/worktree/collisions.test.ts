import { describe, expect, it } from 'vitest';
import type { RepoPath } from '../../../../src/git/paths.js';
import { collisionKey, findCollisions } from '../../../../src/git/worktree/collisions.js';

describe('collisionKey', () => {
  it.each([
    ['a.md', 'A.MD'],
    ['Ä.md', 'ä.md'],
    ['\u00e9.md', 'e\u0301.md'],
    ['É.md', 'e\u0301.md'],
    ['ΣΑΣ', 'σας'],
    ['straße', 'STRASSE'],
    ['\u212a', 'k'],
    ['ſ', 's'],
    ['İ', 'i\u0307'],
  ])('%s and %s are one', (a, b) => {
    expect(collisionKey(a)).toBe(collisionKey(b));
  });

  it.each([
    ['a.md', 'b.md'],
    ['e', 'é'],
    ['a/b', 'a-b'],
    ['caf\udce9', 'caf\udce8'],
  ])('%s and %s are two', (a, b) => {
    expect(collisionKey(a)).not.toBe(collisionKey(b));
  });
});

describe('findCollisions', () => {
  it.each<[string, string[], string[][]]>([
    ['nothing', ['a', 'b', 'a/c'.replace('a', 'd')], []],
    ['files', ['a.md', 'A.md', 'b.md'], [['a.md', 'A.md']]],
    [
      'three',
      ['a', 'A', 'c', 'C', 'á'],
      [
        ['a', 'A'],
        ['c', 'C'],
      ],
    ],
    ['files in folders that are one', ['Docs/a.md', 'docs/A.md'], [['Docs/a.md', 'docs/A.md']]],
    ['folders that are one, with different files', ['Docs/a.md', 'docs/b.md'], []],
    ['a file and a folder', ['notes', 'Notes/x/a.md'], [['notes', 'Notes/x/a.md']]],
    ['composed and decomposed', ['\u00fc.md', 'u\u0308.md'], [['\u00fc.md', 'u\u0308.md']]],
    ['the same path twice', ['a', 'a'], []],
  ])('%s', (_name, paths, expected) => {
    expect(findCollisions(paths as RepoPath[])).toEqual(expected);
  });
});
