import { describe, expect, it } from 'vitest';
import { decodePath, type RepoPath } from '../../../../src/git/paths.js';
import { SparseCone } from '../../../../src/git/worktree/sparse-cone.js';

const parse = (text: string): SparseCone => SparseCone.parse(Buffer.from(text));

describe('a sparse cone', () => {
  it.each([
    ['root.md', true],
    ['team/above.md', true],
    ['team/notes/in.md', true],
    ['team/notes/deep/er.md', true],
    ['team/other/out.md', false],
    ['team/notes2/out.md', false],
    ['teams/out.md', false],
    ['elsewhere/team/notes/out.md', false],
  ])('of team/notes: %s is in it: %s', (path, expected) => {
    const cone = SparseCone.of(['team/notes/']);
    expect(cone.has(path as RepoPath)).toBe(expected);
    expect(SparseCone.parse(cone.serialize()).has(path as RepoPath)).toBe(expected);
  });

  it('is written as native git writes it', () => {
    expect(SparseCone.of(['we ird*', 'a/b', 'a/b/c', 'd']).serialize().toString()).toBe(
      '/*\n!/*/\n/a/\n!/a/*/\n/a/b/\n/d/\n/we ird\\*/\n',
    );
    expect(SparseCone.of([]).serialize().toString()).toBe('/*\n!/*/\n');
  });

  it('survives the way through its file, whatever its names', () => {
    const names = ['a b/c', 'ä/ö', 'star*/[x]', 'back\\slash', decodePath(Buffer.from([0x66, 0xff, 0x2f, 0x67]))];
    const cone = SparseCone.of(names);
    const again = SparseCone.parse(cone.serialize());
    expect(again.serialize()).toEqual(cone.serialize());
    expect(new Set(again.folders)).toEqual(new Set(names));
  });

  it('reads a file that people have edited: comments, blank lines, CRLF, all files', () => {
    const cone = parse('# mine\r\n\r\n/*\r\n!/*/\r\n/a/\r\n');
    expect([cone.has('a/x' as RepoPath), cone.has('b/x' as RepoPath)]).toEqual([true, false]);
    expect(parse('/*\n').has('any/where' as RepoPath)).toBe(true);
    expect(parse('').has('any/where' as RepoPath)).toBe(false);
  });

  it.each(['*.md', '/a', 'a/', '!/a/', '/a/*/', '/*\n!/a/*/', '/a*/', '/a/**/', '//', '/a/\n!/a/b/*/'])(
    'refuses patterns that are no folders: %j',
    (text) => {
      expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'E_UNSAFE_STATE' }));
    },
  );
});
