import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import { IgnoreRules } from '../../src/git/worktree/ignore.js';
import { git, gitBuffer, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/** Whether git ignores each path, where folder `N` holds the N-th ignore file. Nothing else has to exist. */
function askGit(root: string, paths: readonly string[]): boolean[] {
  const answer = gitBuffer(root, ['check-ignore', '--no-index', '--stdin', '-z', '-v', '-n'], {
    input: `${paths.join('\0')}\0`,
    allowFailure: true,
  });
  const fields = answer.toString('utf8').split('\0');
  return paths.map((_, at) => {
    const pattern = fields[at * 4 + 2] ?? '';
    return pattern !== '' && !pattern.startsWith('!');
  });
}

function askKb(root: string, paths: readonly string[], ignoreCase: boolean): boolean[] {
  const outside = IgnoreRules.outside(nodeDisk, root, { gitDir: join(root, '.git'), ignoreCase });
  const rulesOf = new Map<string, IgnoreRules>();
  return paths.map((path) => {
    const parts = path.split('/');
    const folder = parts[0] ?? '';
    const rules = rulesOf.get(folder) ?? outside.enter(folder);
    rulesOf.set(folder, rules);
    // as a scan does: a folder that is ignored is not entered
    for (let count = 2; count < parts.length; count += 1)
      if (rules.ignores(parts.slice(0, count).join('/'), true)) return true;
    return rules.ignores(path, false);
  });
}

function makeRepository(ignoreFiles: readonly (string | Buffer)[], ignoreCase = false): string {
  const root = makeTemporaryDirectory();
  git(root, ['init', '-q']);
  git(root, ['config', 'core.ignoreCase', String(ignoreCase)]);
  for (const [at, content] of ignoreFiles.entries()) {
    mkdirSync(join(root, String(at)));
    writeFileSync(join(root, String(at), '.gitignore'), content);
  }
  return root;
}

const NAMES = [
  'a',
  'b',
  'ab',
  'a.md',
  'b.md',
  'A.MD',
  'a b',
  'a ',
  '!a',
  '#a',
  '[a]',
  'a-b',
  'é',
  'é.md',
  'x1',
  '^',
  'a\\b',
  '*',
  '日記',
  ']',
  '-',
];
const PATHS = [
  ...NAMES,
  ...['a', 'b', 'é'].flatMap((folder) => NAMES.map((name) => `${folder}/${name}`)),
  ...['a/b/a', 'a/b/ab', 'b/a/b/a', 'a/a/a/a', 'ab/a/b/x1', 'ab/x/b', 'x/ab', 'a/x/y/b.md'],
];

const pieces = fc.constantFrom(
  'a',
  'b',
  'x',
  '.md',
  '*',
  '**',
  '?',
  '/',
  '/',
  '/**/',
  '**/',
  '/**',
  '[ab]',
  '[!a]',
  '[^b]',
  '[a-c]',
  '[]a]',
  '[!]a]',
  '[a',
  '[[:alpha:]]',
  '[[:digit:]x]',
  '[[:nope:]]',
  '[a-]',
  '[-a]',
  '[\\]]',
  '[\\a-c]',
  '[:a:]',
  '[[:]',
  '[[:a]',
  '\\',
  '\\*',
  '\\!',
  '\\#',
  '\\ ',
  ' ',
  '!',
  '#',
  'é',
  '日',
  '1',
  '-',
  ']',
  'A',
  '[A]',
  '[é]',
  '[A-B]',
  '\r',
  '\t',
  '\\/',
  '^',
);
const pattern = fc.array(pieces, { minLength: 1, maxLength: 6 }).map((all) => all.join(''));
const ignoreFile = fc.array(pattern, { minLength: 1, maxLength: 4 }).map((lines) => lines.join('\n'));

describe.skipIf(!nativeGit.available)('ignore rules against native git (needs native git)', () => {
  for (const ignoreCase of [false, true]) {
    it(`agree on random ignore files${ignoreCase ? ', case ignored' : ''}`, () => {
      fc.assert(
        fc.property(fc.array(ignoreFile, { minLength: 60, maxLength: 60 }), (files) => {
          const root = makeRepository(files, ignoreCase);
          const paths = files.flatMap((_, at) => PATHS.map((path) => `${at}/${path}`));
          const expected = askGit(root, paths);
          const actual = askKb(root, paths, ignoreCase);
          const differing = paths
            .map((path, at) => ({ file: files[Number(path.split('/')[0])], path, git: expected[at], kb: actual[at] }))
            .filter(({ git: theirs, kb }) => theirs !== kb);
          expect(differing.slice(0, 5)).toEqual([]);
        }),
        { numRuns: 15 },
      );
    });
  }

  it.each(['\\A', '\\a', 'a\\B', '*\\A'])('agree on %s, case ignored', (line) => {
    const root = makeRepository([line], true);
    const paths = PATHS.map((path) => `0/${path}`);
    expect(askKb(root, paths, true)).toEqual(askGit(root, paths));
  });

  it.each([
    ['a byte order mark', '\ufeffa\n'],
    ['Windows line ends', 'a\r\nb\r\n'],
    ['no line break at the end', 'b\na'],
    ['a NUL in a line', 'a\0x\nb'],
    ['a trailing backslash', 'a\\'],
    ['only a slash', '/'],
    ['an escaped space at the end', 'a\\ \n'],
    ['a name in another encoding', Buffer.from([0xe9, 0x0a])],
    ['? against one character of two bytes', '?'],
    ['?? against one character of two bytes', '??'],
  ])('agree on %s', (_name, content) => {
    const root = makeRepository([content]);
    const paths = PATHS.map((path) => `0/${path}`);
    const ignored = (answers: readonly boolean[]): string[] => paths.filter((_path, at) => answers[at]);
    expect(ignored(askKb(root, paths, false))).toEqual(ignored(askGit(root, paths)));
  });
});
