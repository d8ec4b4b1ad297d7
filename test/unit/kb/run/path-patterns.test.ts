import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isKbError } from '../../../../src/errors.js';
import type { RepoPath } from '../../../../src/git/paths.js';
import { parsePathPatterns } from '../../../../src/kb/run/path-patterns.js';
import { git, makeTemporaryDirectory, nativeGit } from '../../../support/native-git.js';

function selected(patterns: readonly string[], paths: readonly string[], ignoreCase = false): string[] {
  const selects = parsePathPatterns(patterns, ignoreCase);
  return paths.filter((path) => selects(path as RepoPath));
}

const PATHS = ['a.md', 'notes/a.md', 'notes/deep/b.md', 'notes/deep/c.txt', 'other/notes/d.md', 'é.md'];

describe('--path', () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ['no pattern selects everything', [], PATHS],
    ['a name anywhere', ['a.md'], ['a.md', 'notes/a.md']],
    ['an ending anywhere', ['*.txt'], ['notes/deep/c.txt']],
    ['a folder with all in it', ['deep/'], ['notes/deep/b.md', 'notes/deep/c.txt']],
    ['from the root', ['/notes'], ['notes/a.md', 'notes/deep/b.md', 'notes/deep/c.txt']],
    ['from the root, as the shell completes it', ['./notes/'], ['notes/a.md', 'notes/deep/b.md', 'notes/deep/c.txt']],
    ['with a slash inside it begins at the root', ['notes/*.md'], ['notes/a.md']],
    ['any folders', ['**/deep/*.md'], ['notes/deep/b.md']],
    ['several', ['a.md', 'c.txt'], ['a.md', 'notes/a.md', 'notes/deep/c.txt']],
    ['an exception', ['/notes/', '!*.txt'], ['notes/a.md', 'notes/deep/b.md']],
    ['an exception of a folder', ['/notes/', '!deep/'], ['notes/a.md']],
    ['an exception of the exception', ['/notes/', '!deep/', 'b.md'], ['notes/a.md', 'notes/deep/b.md']],
    ['exceptions only: everything else', ['!notes/'], ['a.md', 'é.md']],
    ['bytes as git counts them', ['??.md'], ['é.md']],
  ])('%s', (_, patterns, expected) => {
    expect(selected(patterns, PATHS)).toEqual(expected);
  });

  it('folds case where the volume does', () => {
    expect([selected(['*.MD'], ['a.md']), selected(['*.MD'], ['a.md'], true)]).toEqual([[], ['a.md']]);
  });

  it.each(['', '# comment', '!', '/', 'a['])('refuses %j, which matches nothing', (pattern) => {
    const refusal = (): unknown => parsePathPatterns([pattern], false);
    expect(refusal).toThrow(expect.toSatisfy((error) => isKbError(error, 'E_USAGE')) as Error);
  });

  it.skipIf(!nativeGit.available)('selects what a .gitignore of the same lines ignores (needs native git)', () => {
    const repository = makeTemporaryDirectory();
    git(repository, ['init', '-q']);
    const part = fc.constantFrom('a', 'b', 'ab', '*', '**', '?', 'a*', '[ab]');
    const pattern = fc
      .tuple(fc.constantFrom('', '/'), fc.array(part, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '/'))
      .map(([start, parts, end]) => `${start}${parts.join('/')}${end}`);
    const path = fc
      .array(fc.constantFrom('a', 'b', 'ab', 'c'), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join('/'));
    fc.assert(
      fc.property(
        fc.array(pattern, { minLength: 1, maxLength: 3 }),
        fc.uniqueArray(path, { minLength: 1, maxLength: 12 }),
        (patterns, paths) => {
          writeFileSync(join(repository, '.gitignore'), `${patterns.join('\n')}\n`);
          const ignored = git(repository, ['check-ignore', '--no-index', '--stdin'], {
            input: paths.join('\n'),
            allowFailure: true,
          });
          expect(selected(patterns, paths)).toEqual(ignored.split('\n').filter((line) => line !== ''));
        },
      ),
      { numRuns: 150 },
    );
  });
});
