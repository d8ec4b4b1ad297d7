import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ALIKE, likeness, piecesOf } from '../../../src/merge/likeness.js';
import { git, makeTemporaryDirectory, nativeGit } from '../../support/native-git.js';

const line = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a\n', 'bb\n', 'ccc ccc\n', 'd\r\n', '\n', 'ä ö\n', 'lone \r in it\n') },
  { weight: 1, arbitrary: fc.constantFrom('x'.repeat(63) + '\n', 'y'.repeat(64) + '\r\n', 'z'.repeat(200) + '\n') },
  { weight: 1, arbitrary: fc.nat(9).map((digit) => `line ${digit}\n`) },
);
// Not a NUL at the beginning of a line: git's hash does not see it.
const file = fc.tuple(fc.array(line, { minLength: 1, maxLength: 40 }), fc.constantFrom('', '', '', 'bin\0\n'));

it.skipIf(!nativeGit.available)('two files are as much alike as git says (needs native git)', () => {
  const root = makeTemporaryDirectory();
  git(root, ['init', '-q']);
  const store = (data: string): string => git(root, ['hash-object', '-w', '--stdin'], { input: data }).trim();
  const treeOf = (name: string, data: string): string =>
    git(root, ['mktree'], { input: `100644 blob ${store(data)}\t${name}\n` }).trim();
  const seen = new Set<number>();
  const property = fc.property(file, file, ([lines, ending], [others, otherEnding]) => {
    // What they begin with, so that most are alike to some degree.
    const common = lines.slice(0, 20);
    const [a, b] = [lines.join('') + ending, [...common, ...others].join('') + otherEnding];
    if (a === b) return;
    const raw = git(root, ['diff-tree', '-r', '-M1%', treeOf('a', a), treeOf('b', b)]);
    const percent = Number(/ R(\d+)\t/.exec(raw)?.[1] ?? 0);
    const score = likeness(piecesOf(Buffer.from(a)), piecesOf(Buffer.from(b)), ALIKE / 100);
    expect(Math.floor((score * 100) / ALIKE)).toBe(percent);
    seen.add(percent);
  });
  fc.assert(property, { numRuns: 100, seed: 20_261_126 });
  expect(seen.size).toBeGreaterThan(20);
});

it('an empty file is like no other', () => {
  expect(likeness(piecesOf(Buffer.alloc(0)), piecesOf(Buffer.alloc(0)), 0)).toBe(0);
});
