import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../../src/disk/disk.js';
import { updateIndex } from '../../../../src/git/index/index-file.js';
import type { Leaf } from '../../../../src/git/objects/tree.js';
import type { RepoPath } from '../../../../src/git/paths.js';
import { foldingDisk } from './folding-disk.js';
import { WorktreeFolder } from './worktree-folder.js';

type Names = Record<string, string>;

/** `path: content`; `x:` before it makes it executable, `->` a link. */
function tree(folder: WorktreeFolder, names: Names): Record<string, Leaf> {
  return Object.fromEntries(
    Object.entries(names).map(([path, text]) => {
      if (text.startsWith('-> ')) return [path, folder.leaf(text.slice(3), 0o120000)];
      return [path, text.startsWith('x:') ? folder.leaf(text.slice(2), 0o100755) : folder.leaf(text)];
    }),
  );
}

describe('obstacles', () => {
  it.each<[string, Names, (folder: WorktreeFolder) => unknown, Names, string[]]>([
    ['nothing in the way', { 'a.md': '1' }, () => undefined, { 'a.md': '2', 'b/c.md': 'new' }, []],
    ['a changed file', { 'a.md': '1' }, (f) => f.write('a.md', 'mine'), { 'a.md': '2' }, ['a.md modified']],
    ['a changed file that goes away', { 'a.md': '1' }, (f) => f.write('a.md', 'mine'), {}, ['a.md modified']],
    [
      'a change elsewhere',
      { 'a.md': '1', 'b.md': '1' },
      (f) => f.write('b.md', 'mine'),
      { 'a.md': '2', 'b.md': '1' },
      [],
    ],
    ['a file that is the new version already', { 'a.md': '1' }, (f) => f.write('a.md', '2'), { 'a.md': '2' }, []],
    ['a file with new times and old content', { 'a.md': '1' }, (f) => f.write('a.md', '1'), { 'a.md': '2' }, []],
    [
      'a changed executable bit',
      { 'a.md': '1' },
      (f) => chmodSync(f.at('a.md'), 0o755),
      { 'a.md': '2' },
      ['a.md modified'],
    ],
    ['an untracked file', {}, (f) => f.write('a.md', 'mine'), { 'a.md': '1' }, ['a.md untracked']],
    ['an untracked file with the new content', {}, (f) => f.write('a.md', '1'), { 'a.md': '1' }, []],
    [
      'an ignored file',
      { '.gitignore': '*.log' },
      (f) => f.write('a.log', 'mine'),
      { '.gitignore': '*.log', 'a.log': '1' },
      ['a.log untracked'],
    ],
    ['a removed file', { 'a.md': '1' }, (f) => f.remove('a.md'), { 'a.md': '2' }, ['a.md deleted']],
    ['a removed file that goes away', { 'a.md': '1' }, (f) => f.remove('a.md'), {}, []],
    ['a file where a folder goes', {}, (f) => f.write('a', 'mine'), { 'a/b.md': '1' }, ['a untracked']],
    ['a tracked file that makes room for a folder', { a: '1' }, () => undefined, { 'a/b.md': '1' }, []],
    [
      'a changed file that makes room for a folder',
      { a: '1' },
      (f) => f.write('a', 'mine'),
      { 'a/b.md': '1' },
      ['a modified'],
    ],
    ['a folder that makes room for a file', { 'a/b.md': '1' }, () => undefined, { a: '1' }, []],
    [
      'a folder that holds something else',
      { 'a/b.md': '1' },
      (f) => f.write('a/c/mine.md', 'x'),
      { a: '1' },
      ['a/c/mine.md untracked'],
    ],
    [
      'a folder in the place of a file that goes with its folder',
      { 'a/b': '1' },
      (f) => f.remove('a/b').write('a/b/mine.md', 'x'),
      { a: '1' },
      ['a/b/mine.md untracked'],
    ],
    [
      'a folder with empty folders',
      { 'a/b.md': '1' },
      (f) => mkdirSync(f.at('a/x/y'), { recursive: true }),
      { a: '1' },
      [],
    ],
    [
      'an untracked folder where a file goes',
      {},
      (f) => f.write('a/mine.md', 'x'),
      { a: '1' },
      ['a/mine.md untracked'],
    ],
    ['an untracked empty folder where a file goes', {}, (f) => mkdirSync(f.at('a')), { a: '1' }, []],
    ['a repository where a file goes', {}, (f) => f.write('a/.git/HEAD', 'x'), { a: '1' }, ['a/.git/HEAD untracked']],
    [
      'a link where a folder is',
      { 'a/b.md': '1' },
      (f) => f.remove('a').link('a', '..'),
      { 'a/b.md': '2' },
      ['a symlink'],
    ],
    ['a link where a folder goes', {}, (f) => f.link('a', '..'), { 'a/b.md': '1' }, ['a symlink']],
    ['a link above a file that goes away', { 'a/b.md': '1' }, (f) => f.remove('a').link('a', '..'), {}, []],
    ['a tracked link that makes room for a folder', { a: '-> x' }, () => undefined, { 'a/b.md': '1' }, []],
    [
      'a link to elsewhere than recorded',
      { a: '-> x' },
      (f) => f.remove('a').link('a', 'y'),
      { a: '1' },
      ['a modified'],
    ],
    ['a link where a file is', { a: 'x' }, (f) => f.remove('a').link('a', 'x'), { a: '2' }, ['a modified']],
    ['a folder where a file goes away', { a: '1' }, (f) => f.remove('a').write('a/mine.md', 'x'), {}, []],
    [
      'a folder where a file changes',
      { a: '1' },
      (f) => f.remove('a').write('a/mine.md', 'x'),
      { a: '2' },
      ['a/mine.md untracked'],
    ],
  ])('%s', (_name, before, edit, after, expected) => {
    const folder = new WorktreeFolder();
    folder.commit(tree(folder, before));
    edit(folder);
    expect(folder.obstacles(tree(folder, after)).map(({ path, reason }) => `${path} ${reason}`)).toEqual(expected);
  });

  it('content that is in the index alone', () => {
    const folder = new WorktreeFolder().commit({});
    const { mode, oid } = folder.leaf('staged');
    const stat = { ctimeNs: 0n, mtimeNs: 0n, dev: 0, ino: 0, uid: 0, gid: 0, size: 0 };
    updateIndex(nodeDisk, folder.gitDir, () => ({ changes: new Map([['a.md' as RepoPath, { mode, oid, stat }]]) }));
    expect(folder.obstacles({ 'a.md': folder.leaf('other') })).toEqual([{ path: 'a.md', reason: 'staged' }]);
    expect(folder.obstacles({ 'a.md': folder.leaf('staged') })).toEqual([]);
  });

  it('local edits that were committed from the work tree, before the index knows', () => {
    const folder = new WorktreeFolder();
    folder.commit({ 'a.md': folder.leaf('1') }).write('a.md', 'mine');
    const changes = [{ path: 'a.md' as RepoPath, before: folder.leaf('mine'), after: folder.leaf('merged') }];
    expect(folder.worktree.obstacles(changes, folder.index())).toEqual([]);
  });

  it('links kept as files: the target is compared, not the kind', () => {
    const folder = new WorktreeFolder({ symlinks: false });
    folder.commit({ link: folder.leaf('target', 0o120000) });
    expect(folder.listing()).toEqual({ link: 'target' });
    expect(folder.obstacles({ link: folder.leaf('other', 0o120000) })).toEqual([]);
    folder.write('link', 'mine');
    expect(folder.obstacles({ link: folder.leaf('other', 0o120000) })).toEqual([{ path: 'link', reason: 'modified' }]);
  });

  it('without fileMode the executable bit is not looked at', () => {
    const folder = new WorktreeFolder({ fileMode: false });
    folder.commit({ 'a.md': folder.leaf('1') });
    chmodSync(folder.at('a.md'), 0o755);
    expect(folder.obstacles({ 'a.md': folder.leaf('2') })).toEqual([]);
  });

  it('looks at nothing but the paths that change', () => {
    const asked = new Set<string>();
    const watched = new Proxy(nodeDisk, {
      get:
        (target, name: keyof Disk) =>
        (...args: unknown[]) => {
          asked.add(String(args[0]));
          return (target[name] as (...all: unknown[]) => unknown)(...args);
        },
    });
    const folder = new WorktreeFolder({}, () => watched);
    const many = Object.fromEntries(
      Array.from({ length: 50 }, (_, at) => [`f${at % 5}/n${at}.md`, folder.leaf(String(at))]),
    );
    folder.commit(many);
    const index = folder.index();
    asked.clear();
    folder.worktree.obstacles(folder.to({ ...many, 'f1/n1.md': folder.leaf('new') }), index);
    expect([...asked].filter((path) => path.startsWith(folder.root)).sort()).toEqual([
      folder.at('f1'),
      folder.at('f1/n1.md'),
    ]);
  });

  it('refuses an unsafe path before looking', () => {
    const folder = new WorktreeFolder().commit({});
    expect(() => folder.obstacles({ '.git/config': folder.leaf('x') })).toThrow(
      expect.objectContaining({ code: 'E_UNSAFE_STATE' }),
    );
  });

  describe('on a volume that folds names', () => {
    const fold = (): WorktreeFolder => new WorktreeFolder({ ignoreCase: true }, foldingDisk);

    it('finds another file under the same name', () => {
      const folder = fold().commit({}).write('A.md', 'mine');
      expect(folder.obstacles({ 'a.md': folder.leaf('1') })).toEqual([{ path: 'A.md', reason: 'collision' }]);
    });

    it('lets a file be renamed to its own name in another case', () => {
      const folder = fold();
      folder.commit({ 'A.md': folder.leaf('1'), 'x.md': folder.leaf('1') });
      const after = { 'a.md': folder.leaf('2'), 'x.md': folder.leaf('1') };
      expect(folder.obstacles(after)).toEqual([]);
      folder.commit(after);
      expect(folder.listing()).toEqual({ 'a.md': '2', 'x.md': '1' });
    });

    it('still sees an edit of the file that is renamed', () => {
      const folder = fold();
      folder.commit({ 'A.md': folder.leaf('1') });
      writeFileSync(folder.at('A.md'), 'mine');
      expect(folder.obstacles({ 'a.md': folder.leaf('2') })).toEqual([{ path: 'A.md', reason: 'modified' }]);
    });
  });

  it('applying never loses what obstacles passed', () => {
    const path = fc.constantFrom('a', 'b', 'a/b', 'a/c', 'a/b/c', 'd/e');
    const content = fc.constantFrom('1', '2', 'x:1', '-> t');
    const names = fc.dictionary(path, content, { maxKeys: 5, noNullPrototype: true }).map((all) => {
      const kept: Names = {};
      for (const [name, text] of Object.entries(all)) {
        if (!Object.keys(kept).some((other) => other.startsWith(`${name}/`) || name.startsWith(`${other}/`)))
          kept[name] = text;
      }
      return kept;
    });
    const edit = fc.tuple(path, fc.constantFrom('write', 'remove', 'link', 'folder'));
    fc.assert(
      fc.property(names, fc.array(edit, { maxLength: 4 }), names, (before, edits, after) => {
        const folder = new WorktreeFolder();
        folder.commit(tree(folder, before));
        for (const [at, [name, what]] of edits.entries()) {
          try {
            if (what === 'write') folder.write(name, `mine ${at}`);
            else if (what === 'remove') folder.remove(name);
            else if (what === 'link') symlinkSync(join('mine', String(at)), folder.at(name));
            else mkdirSync(folder.at(name), { recursive: true });
          } catch {
            // does not fit what is there
          }
        }
        const mine = Object.entries(folder.listing()).filter(([, text]) => text.includes('mine'));
        fc.pre(folder.obstacles(tree(folder, after)).length === 0);
        folder.apply(tree(folder, after));
        const now = folder.listing();
        for (const [name, text] of mine) expect([name, now[name]]).toEqual([name, text]);
        for (const { path: name, after: leaf } of folder.to(tree(folder, after))) {
          if (leaf !== undefined)
            expect([name, now[name]?.replace(/^-> /, '')]).toEqual([
              name,
              folder.objects.read(leaf.oid).data.toString(),
            ]);
        }
      }),
      { numRuns: 150 },
    );
  });
});
