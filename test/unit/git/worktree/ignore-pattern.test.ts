import { describe, expect, it } from 'vitest';
import { encodePath } from '../../../../src/git/paths.js';
import { parseIgnoreFile, parsePattern, toByteString } from '../../../../src/git/worktree/ignore-pattern.js';

function matches(pattern: string, path: string, ignoreCase = false): boolean {
  const bytes = toByteString(path, encodePath);
  return (
    parsePattern(Buffer.from(pattern).toString('latin1'), ignoreCase)?.matches(
      bytes,
      bytes.slice(bytes.lastIndexOf('/') + 1),
    ) ?? false
  );
}

// What git itself does with each is checked in test/integration/git-worktree-ignore.test.ts.
describe('a pattern', () => {
  it.each([
    ['a', 'x/a'],
    ['*.md', 'x/y.md'],
    ['/a', 'a'],
    ['a/b', 'a/b'],
    ['a/*', 'a/b'],
    ['**/b', 'b'],
    ['**/b', 'x/y/b'],
    ['a/**', 'a/x/y'],
    ['a/**/b', 'a/b'],
    ['a/**/b', 'a/x/y/b'],
    ['a**/b', 'ax/y/b'],
    ['[a-c]x', 'bx'],
    ['[!a]x', 'bx'],
    ['[]]', ']'],
    ['[[:digit:]]', '7'],
    ['\\!a', '!a'],
    ['\\#a', '#a'],
    ['a\\ ', 'a '],
    ['??', 'é'],
    ['日*', '日記'],
    ['caf?', 'caf\udce9'],
  ])('%s matches %s', (pattern, path) => {
    expect(matches(pattern, path)).toBe(true);
  });

  it.each([
    ['/a', 'x/a'],
    ['a/b', 'x/a/b'],
    ['a/*', 'a/b/c'],
    ['a/**/b', 'a/xb'],
    ['a/**', 'a'],
    ['?', 'é'],
    ['?', '/'],
    ['[a', '[a'],
    ['a\\', 'a\\'],
    ['[[:nope:]]', 'n'],
    ['a ', 'a '],
    ['A', 'a'],
    ['**/b', 'xb'],
  ])('%s does not match %s', (pattern, path) => {
    expect(matches(pattern, path)).toBe(false);
  });

  it.each([
    ['A*', 'ab', true],
    ['[A-C]', 'b', true],
    ['[A]', 'a', false],
    ['ä', 'Ä', false],
  ])('%s against %s without case: %s', (pattern, path, expected) => {
    expect(matches(pattern, path, true)).toBe(expected);
  });

  it('that asks for all ways at once ends all the same', () => {
    expect(matches(`${'*a'.repeat(60)}b`, 'a'.repeat(250))).toBe(false);
    expect(matches(`${'**/a/'.repeat(60)}b`, 'a/'.repeat(120))).toBe(false);
  });
});

it('a file gives its patterns in order, without comments, empty lines and what can match nothing', () => {
  const patterns = parseIgnoreFile(Buffer.from('\ufeffa\r\n\n# no\n!b/\n[c\n/\nd'), false);
  expect(patterns.map(({ negated, directoriesOnly }) => [negated, directoriesOnly])).toEqual([
    [false, false],
    [true, true],
    [false, false],
  ]);
});
