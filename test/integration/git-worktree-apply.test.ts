import { existsSync, lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FileMode } from '../../src/git/objects/tree.js';
import { git, nativeGit } from '../support/native-git.js';
import { type File, type Files, NativeWorktree, file } from '../unit/git/worktree/native-worktree.js';

const PATHS = [
  'a',
  'a/b',
  'a/b/c',
  'a/b/d',
  'a.md',
  'a-b',
  'a b/ä',
  'é.md',
  'e\u0301.md',
  'A',
  'z/y/x/w',
  'z/y',
  'z',
  '日記/本.md',
  '-x',
  'new\nline',
  '"q"',
];
const CONTENTS = ['one\n', 'two\n', 'no line break', '', 'a/b', '\r\n', '../outside', 'x'.repeat(5000)];

const item = fc.record<File>({
  mode: fc.constantFrom<FileMode>(0o100644, 0o100644, 0o100755, 0o120000, 0o160000),
  content: fc.constantFrom(...CONTENTS),
});

/** A tree: nothing is below a file. */
const tree = fc
  .dictionary(fc.constantFrom(...PATHS), item, { maxKeys: 8, noNullPrototype: true })
  .map((items): Files => {
    const files = new Map<string, File>();
    for (const [path, found] of Object.entries(items)) {
      const clashes = [...files.keys()].some((other) => other.startsWith(`${path}/`) || path.startsWith(`${other}/`));
      if (clashes) continue;
      files.set(path, { mode: found.mode, content: contentFor(found) });
    }
    return files;
  });

/** No system has an empty or endless link target; another repository is named by a commit. */
function contentFor({ mode, content }: File): string {
  if (mode === 0o160000) return '1234';
  return mode === 0o120000 && (content === '' || content.length > 1000) ? 'target' : content;
}

describe.skipIf(!nativeGit.available)('applying tree changes, seen by native git (needs native git)', () => {
  it('any sequence of trees ends clean, with the tree of the last one', () => {
    fc.assert(
      fc.property(fc.array(tree, { minLength: 1, maxLength: 5 }), (trees) => {
        const repository = new NativeWorktree();
        let before: Files = new Map();
        for (const after of trees) {
          expect(repository.worktree.obstacles(repository.changes(before, after), repository.index())).toEqual([]);
          repository.advance(before, after);
          expect(repository.status()).toEqual([]);
          expect(git(repository.root, ['write-tree'])).toBe(git(repository.root, ['rev-parse', 'HEAD^{tree}']));
          before = after;
        }
        git(repository.root, ['fsck', '--strict', '--no-dangling']);
      }),
      { numRuns: 40 },
    );
  });

  it('running a change again, from wherever a crash left it, ends in the same state', () => {
    fc.assert(
      fc.property(tree, tree, fc.nat(12), fc.boolean(), (before, after, stopAfter, keepOthers) => {
        const repository = new NativeWorktree();
        repository.advance(new Map(), before);
        const changes = repository.changes(before, after);
        const crash = new Error('stopped');
        const onFile = (done: number): void => {
          if (done === stopAfter) throw crash;
        };
        try {
          repository.worktree.apply(changes, repository.objects, { durable: false, keepOthers, onFile });
        } catch (error) {
          expect(error).toBe(crash);
        }
        repository.advance(before, after, { keepOthers });
        expect(repository.status()).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  it('writes content, executable bit and link targets byte by byte', () => {
    const repository = new NativeWorktree();
    repository.advance(
      new Map(),
      new Map([
        ['plain.md', file('a\r\nb')],
        ['bin/run', file('#!/bin/sh\n', 0o100755)],
        ['link', file('plain.md', 0o120000)],
        ['outside', file('../../etc', 0o120000)],
        ['sub', file('1234', 0o160000)],
      ]),
    );
    const at = (path: string): string => join(repository.root, path);
    expect(readFileSync(at('plain.md'), 'utf8')).toBe('a\r\nb');
    expect(lstatSync(at('plain.md')).mode & 0o111).toBe(0);
    expect(lstatSync(at('bin/run')).mode & 0o100).toBe(0o100);
    expect(readlinkSync(at('link'))).toBe('plain.md');
    expect(readlinkSync(at('outside'))).toBe('../../etc');
    expect(lstatSync(at('sub')).isDirectory()).toBe(true);
    expect(existsSync(at('etc'))).toBe(false);
  });
});
