import { chmodSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeDisk, programDisk } from '../../src/disk/disk.js';
import type { Oid } from '../../src/git/ids.js';
import type { FileMode } from '../../src/git/objects/tree.js';
import { type WorktreeChange, scanChanges } from '../../src/git/worktree/status.js';
import type { SecondLookFrom } from '../../src/git/worktree/second-look.js';
import type { UntrackedCache } from '../../src/git/worktree/untracked-cache.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { andWaitForAnswers } from '../support/second-look.js';
import { openCache, settle } from '../support/untracked-cache.js';
import { type File, type Files, NativeWorktree, file } from '../unit/git/worktree/native-worktree.js';

const LETTERS: Readonly<Record<WorktreeChange['kind'], string>> = {
  added: 'A',
  modified: 'M',
  deleted: 'D',
  type: 'T',
  unmerged: 'U',
};

/** What `git status --porcelain -z` would say of these changes. */
function asPorcelain(repository: NativeWorktree, changes: readonly WorktreeChange[]): string[] {
  const index = repository.index();
  const lines = new Map<string, string>();
  const untracked: string[] = [];
  for (const { path, kind, staged, nestedRepository } of changes) {
    const letters = lines.get(path) ?? '  ';
    if (kind === 'unmerged') lines.set(path, 'UU');
    else if (staged) lines.set(path, `${LETTERS[kind]}${letters[1] ?? ''}`);
    else if (kind === 'added' && index.get(path) === undefined)
      untracked.push(`?? ${path}${nestedRepository === true ? '/' : ''}`);
    else lines.set(path, `${letters[0] ?? ''}${LETTERS[kind]}`);
  }
  return [...[...lines].map(([path, letters]) => `${letters} ${path}`), ...untracked].sort();
}

function scan(
  repository: NativeWorktree,
  excludesFile?: string,
  cache?: UntrackedCache,
  secondLook?: SecondLookFrom,
): string[] {
  const headTree = git(repository.root, ['rev-parse', 'HEAD^{tree}']).trim() as Oid;
  const { worktree, objects } = repository;
  const changes = scanChanges(worktree, repository.index(), {
    headTree,
    objects,
    ...(excludesFile === undefined ? {} : { excludesFile }),
    ...(cache === undefined ? {} : { cache }),
    ...(secondLook === undefined ? {} : { secondLook }),
  });
  cache?.save();
  return asPorcelain(repository, changes);
}

function statusOf(repository: NativeWorktree): string[] {
  return repository
    .status()
    .map((line) => line.replace(/^(?:DD|AU|UD|UA|DU|AA|UU) /, 'UU '))
    .sort();
}

const NAMES = ['a', 'b', 'a.md', 'b.log', 'ä ö', 'new\nline', 'A', '-x', '"q"', 'build', '.hidden'];
const FOLDERS = ['', 'a', 'b', 'build', 'a/b', 'docs', 'docs/build', 'a/b/c'];
const path = fc
  .tuple(fc.constantFrom(...FOLDERS), fc.constantFrom(...NAMES))
  .map(([folder, name]) => (folder === '' ? name : `${folder}/${name}`));
const PATTERNS = [
  '*.log',
  'build',
  'build/',
  '/a',
  '!a.md',
  '*',
  '!*.md',
  '!*/',
  'a/b',
  '**/b',
  'docs/**',
  '.hidden',
  '# no',
  'ä*',
  '[ab]',
  '!b',
  '/docs/*',
  '!docs/build',
];
const ignoreFile = fc
  .array(fc.constantFrom(...PATTERNS), { minLength: 1, maxLength: 4 })
  .map((lines) => `${lines.join('\n')}\n`);

type Step = (repository: NativeWorktree) => void;
type Trace = 'read-tree' | 'status';

function inWorktree(work: (at: (path: string) => string, repository: NativeWorktree) => void): Step {
  return (repository) => {
    try {
      work((name) => join(repository.root, name), repository);
    } catch {
      // a step that does not fit what the earlier ones left is skipped
    }
  };
}

function place(target: string): void {
  rmSync(target, { recursive: true, force: true });
  mkdirSync(dirname(target), { recursive: true });
}

const onPath = (
  name: string,
  work: (name: string, at: (path: string) => string, repository: NativeWorktree) => void,
): fc.Arbitrary<{ name: string; step: Step }> =>
  path.map((target) => ({
    name: `${name} ${target}`,
    step: inWorktree((at, repository) => work(target, at, repository)),
  }));

const edit = fc.oneof(
  onPath('write one', (name, at) => (place(at(name)), writeFileSync(at(name), 'one\n'))),
  onPath('write two', (name, at) => (place(at(name)), writeFileSync(at(name), 'two\n'))),
  onPath('overwrite', (name, at) => writeFileSync(at(name), 'six\n')),
  onPath('remove', (name, at) => rmSync(at(name), { recursive: true })),
  onPath('make executable', (name, at) => chmodSync(at(name), 0o755)),
  onPath('touch', (name, at) => utimesSync(at(name), 1_000_000, 1_000_000)),
  onPath('new content, old times', (name, at) => {
    const { atime, mtime } = statSync(at(name));
    writeFileSync(at(name), 'ten\n');
    utimesSync(at(name), atime, mtime);
  }),
  onPath('new file, old times of its folder', (name, at) => {
    const { atime, mtime } = statSync(dirname(at(name)));
    writeFileSync(at(name), 'x');
    utimesSync(dirname(at(name)), atime, mtime);
  }),
  onPath('rename', (name, at) => renameSync(at(name), at(`${name}2`))),
  onPath('exchange with its neighbour', (name, at) => {
    renameSync(at(name), at('exchanged'));
    renameSync(at('b'), at(name));
    renameSync(at('exchanged'), at('b'));
  }),
  onPath('link', (name, at) => (place(at(name)), symlinkSync('docs', at(name)))),
  onPath('empty folder', (name, at) => mkdirSync(at(name), { recursive: true })),
  onPath(
    'file in folder',
    (name, at) => (mkdirSync(at(name), { recursive: true }), writeFileSync(at(`${name}/inner`), 'x')),
  ),
  onPath('nested repository', (name, at) => (place(at(name)), git(dirname(at(name)), ['init', '-q', at(name)]))),
  onPath('nested repository with a commit', (name, at) => {
    place(at(name));
    git(dirname(at(name)), ['init', '-q', at(name)]);
    git(at(name), ['commit', '-q', '--allow-empty', '-m', 'x']);
  }),
  onPath(
    '.git that is no repository',
    (name, at) => (
      mkdirSync(at(`${name}/.git`), { recursive: true }),
      writeFileSync(at(`${name}/.git/x`), 'x'),
      writeFileSync(at(`${name}/y`), 'x')
    ),
  ),
  onPath('git add', (name, _at, { root }) => git(root, ['add', '-f', '--', name], { allowFailure: true })),
  onPath('git add -N', (name, _at, { root }) => git(root, ['add', '-f', '-N', '--', name], { allowFailure: true })),
  onPath('git rm --cached', (name, _at, { root }) =>
    git(root, ['rm', '-q', '-r', '-f', '--cached', '--', name], { allowFailure: true }),
  ),
  onPath('assume unchanged', (name, _at, { root }) =>
    git(root, ['update-index', '--assume-unchanged', name], { allowFailure: true }),
  ),
  onPath('skip work tree', (name, _at, { root }) =>
    git(root, ['update-index', '--skip-worktree', name], { allowFailure: true }),
  ),
  fc.tuple(fc.constantFrom(...FOLDERS), ignoreFile).map(([folder, content]) => ({
    name: `ignore in ${folder}: ${content}`,
    step: inWorktree((at) => {
      mkdirSync(at(folder), { recursive: true });
      writeFileSync(at(join(folder, '.gitignore')), content);
    }),
  })),
  ignoreFile.map((content) => ({
    name: `info/exclude: ${content}`,
    step: inWorktree((at) => writeFileSync(at('.git/info/exclude'), content)),
  })),
);

const item = fc.record<File>({
  mode: fc.constantFrom<FileMode>(0o100644, 0o100644, 0o100755, 0o120000),
  content: fc.constantFrom('one\n', 'two\n', 'three\n'),
});
const tree = fc.dictionary(path, item, { maxKeys: 10, noNullPrototype: true }).map((items): Files => {
  const files = new Map<string, File>();
  for (const [name, found] of Object.entries(items)) {
    if (![...files.keys()].some((other) => other.startsWith(`${name}/`) || name.startsWith(`${other}/`)))
      files.set(name, found);
  }
  return files;
});

describe.skipIf(!nativeGit.available)('scanChanges against git status (needs native git)', () => {
  it.each([
    ['in one thread', undefined, 60],
    ['with all files but one looked at by a second thread', { files: 2, start: andWaitForAnswers }, 40],
  ])('agrees over random work trees, %s', (_how, secondLook, numRuns) => {
    fc.assert(
      fc.property(tree, fc.array(edit, { maxLength: 12 }), (files, steps) => {
        const repository = new NativeWorktree();
        repository.advance(new Map(), files);
        for (const { step } of steps) step(repository);
        const found = scan(repository, undefined, undefined, secondLook);
        expect(found).toEqual(statusOf(repository));
      }),
      { numRuns },
    );
  });

  it.each([
    ['as a library has it', nodeDisk],
    ['entering folders, as the program does', programDisk],
  ])('agrees over random work trees with what it remembers of earlier scans, %s', (_how, disk) => {
    let recalled = 0;
    fc.assert(
      fc.property(
        tree,
        fc.array(edit, { maxLength: 8 }),
        fc.array(edit, { maxLength: 6 }),
        fc.constantFrom<Trace[]>([], ['read-tree'], ['status']),
        (files, before, after, traces) => {
          const repository = new NativeWorktree({}, disk);
          repository.advance(new Map(), files);
          for (const { step } of before) step(repository);
          // makes the TREE extension valid to the root, as after a commit of kb
          if (traces.includes('read-tree')) git(repository.root, ['read-tree', 'HEAD'], { allowFailure: true });
          settle();
          expect(scan(repository, undefined, openCache(repository.root))).toEqual(statusOf(repository));
          if (traces.includes('status')) git(repository.root, ['status']);
          for (const { step } of after) step(repository);
          const cache = openCache(repository.root);
          const recall = cache?.recall.bind(cache);
          if (cache !== undefined && recall !== undefined)
            cache.recall = (...request) => {
              const items = recall(...request);
              recalled += items === undefined ? 0 : 1;
              return items;
            };
          expect(scan(repository, undefined, cache)).toEqual(statusOf(repository));
        },
      ),
      { numRuns: 30 },
    );
    // not on a volume whose time stamps kb does not rely upon
    if (openCache(makeTemporaryDirectory()) !== undefined) expect(recalled).toBeGreaterThan(10);
  });

  it('agrees with core.excludesFile behind the other rules', () => {
    const repository = new NativeWorktree();
    repository.advance(new Map(), new Map([['kept.md', file('x')]]));
    const excludesFile = join(repository.root, '.git', 'my-excludes');
    writeFileSync(excludesFile, '*.log\n*.tmp\n');
    writeFileSync(join(repository.root, '.git/info/exclude'), '!b.tmp\n');
    writeFileSync(join(repository.root, '.gitignore'), '!a.log\n');
    for (const name of ['a.log', 'b.log', 'a.tmp', 'b.tmp']) writeFileSync(join(repository.root, name), 'x');
    git(repository.root, ['config', 'core.excludesFile', excludesFile]);
    expect(scan(repository, excludesFile)).toEqual(['?? .gitignore', '?? a.log', '?? b.tmp']);
    expect(statusOf(repository)).toEqual(['?? .gitignore', '?? a.log', '?? b.tmp']);
  });

  it('agrees on files that are unmerged', () => {
    const repository = new NativeWorktree();
    repository.advance(
      new Map(),
      new Map([
        ['a.md', file('base\n')],
        ['gone.md', file('base\n')],
      ]),
    );
    git(repository.root, ['checkout', '-q', '-b', 'other']);
    writeFileSync(join(repository.root, 'a.md'), 'theirs\n');
    writeFileSync(join(repository.root, 'gone.md'), 'theirs\n');
    git(repository.root, ['commit', '-q', '-a', '-m', 'theirs']);
    git(repository.root, ['checkout', '-q', 'main']);
    writeFileSync(join(repository.root, 'a.md'), 'ours\n');
    rmSync(join(repository.root, 'gone.md'));
    git(repository.root, ['commit', '-q', '-a', '-m', 'ours']);
    git(repository.root, ['merge', 'other'], { allowFailure: true });
    expect(scan(repository)).toEqual(['UU a.md', 'UU gone.md']);
    expect(statusOf(repository)).toEqual(['UU a.md', 'UU gone.md']);
  });

  it('agrees on submodules: clean, moved on, not checked out', () => {
    const repository = new NativeWorktree();
    const commit = (folder: string): string => {
      git(join(repository.root, folder), ['commit', '-q', '--allow-empty', '-m', 'x']);
      return git(join(repository.root, folder), ['rev-parse', 'HEAD']).trim();
    };
    const items = new Map<string, File>();
    for (const name of ['clean', 'moved', 'empty']) {
      if (name !== 'empty') git(repository.root, ['init', '-q', name]);
      items.set(name, file(name === 'empty' ? '1234' : commit(name), 0o160000));
    }
    repository.advance(new Map(), items);
    commit('moved');
    writeFileSync(join(repository.root, 'clean', 'ignored-by-kb.md'), 'x');
    git(repository.root, ['config', 'diff.ignoreSubmodules', 'dirty']);
    expect(scan(repository)).toEqual([' M moved']);
    expect(statusOf(repository)).toEqual([' M moved']);
  });

  it.each(['a folder', 'a file that names one'])(
    'leaves a repository alone whose name is no UTF-8: .git is %s',
    (kind) => {
      const repository = new NativeWorktree();
      repository.advance(new Map(), new Map([['a.md', file('x')]]));
      const name = Buffer.concat([Buffer.from(`${repository.root}/caf`), Buffer.of(0xe9)]);
      const inside = join(repository.root, 'inside');
      git(repository.root, ['init', '-q', ...(kind === 'a folder' ? [] : ['--separate-git-dir', 'apart']), 'inside']);
      if (kind !== 'a folder') {
        renameSync(join(repository.root, 'apart'), join(inside, 'apart'));
        writeFileSync(join(inside, '.git'), 'gitdir: apart\n');
      }
      writeFileSync(join(inside, 'of-another.md'), 'x');
      renameSync(inside, name);
      expect(scan(repository)).toEqual(['?? caf\udce9/']);
      expect(git(repository.root, ['status', '--porcelain', '-uall'])).toBe('?? "caf\\351/"\n');
    },
  );

  it.each([
    ['EACCES', ['?? other/']],
    ['ENOENT', ['?? other/x.md']],
  ])('does not fail on a .git file that cannot be read: %s', (code, found) => {
    const readFileSync = ((path: string, options: undefined) => {
      if (path.endsWith('other/.git')) throw Object.assign(new Error(code), { code });
      return nodeDisk.readFileSync(path, options);
    }) as typeof nodeDisk.readFileSync;
    const repository = new NativeWorktree({}, { ...nodeDisk, readFileSync });
    repository.advance(new Map(), new Map([['a.md', file('x')]]));
    mkdirSync(join(repository.root, 'other'));
    writeFileSync(join(repository.root, 'other', '.git'), 'gitdir: nowhere\n');
    writeFileSync(join(repository.root, 'other', 'x.md'), 'x');
    expect(scan(repository)).toEqual(found);
  });

  it('passes over a folder that must not be entered, and shows a file that must not be read as edited', () => {
    const refuse = (isClosed: (path: string) => boolean, call: unknown): never =>
      ((path: string, ...more: unknown[]) => {
        if (isClosed(path)) throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
        return (call as (...all: unknown[]) => unknown)(path, ...more);
      }) as never;
    const repository = new NativeWorktree(
      {},
      {
        ...nodeDisk,
        lstatSync: refuse((path) => path.includes('/closed/'), nodeDisk.lstatSync),
        readdirSync: refuse((path) => path.endsWith('/closed'), nodeDisk.readdirSync),
        openSync: refuse((path) => path.endsWith('/b.md'), nodeDisk.openSync),
      },
    );
    const files = new Map([
      ['a.md', file('x')],
      ['b.md', file('x')],
    ]);
    repository.advance(new Map(), files);
    mkdirSync(join(repository.root, 'closed'));
    writeFileSync(join(repository.root, 'closed', 'x.md'), 'x');
    writeFileSync(join(repository.root, 'b.md'), 'y');
    writeFileSync(join(repository.root, 'new.md'), 'x');
    expect(scan(repository)).toEqual([' M b.md', '?? new.md']);
  });

  it('goes by an ignore file that is left out by a sparse checkout', () => {
    const repository = new NativeWorktree();
    repository.advance(new Map(), new Map([['app/.gitignore', file('build/\n!kept.o\n*.o\n')]]));
    for (const name of ['app/build/x', 'app/y.o', 'app/new']) {
      mkdirSync(dirname(join(repository.root, name)), { recursive: true });
      writeFileSync(join(repository.root, name), 'x');
    }
    rmSync(join(repository.root, 'app/.gitignore'));
    const all = [' D app/.gitignore', '?? app/build/x', '?? app/new', '?? app/y.o'];
    expect(scan(repository)).toEqual(all);
    expect(statusOf(repository)).toEqual(all);
    git(repository.root, ['update-index', '--skip-worktree', 'app/.gitignore']);
    expect(scan(repository)).toEqual(['?? app/new']);
    expect(statusOf(repository)).toEqual(['?? app/new']);
  });

  it("never reports kb's lock and temporary files", () => {
    const repository = new NativeWorktree();
    repository.advance(new Map(), new Map([['a.md', file('x')]]));
    mkdirSync(join(repository.root, '.kb_operations.lock'));
    writeFileSync(join(repository.root, '.kb_operations.lock', 'owner.json'), '{}');
    writeFileSync(join(repository.root, '.kb_tmp_note_1_abc'), 'half');
    expect(scan(repository)).toEqual([]);
  });

  it('reads names that are no UTF-8', () => {
    const repository = new NativeWorktree();
    repository.advance(new Map(), new Map([['a.md', file('x')]]));
    const name = Buffer.concat([Buffer.from(`${repository.root}/caf`), Buffer.of(0xe9)]);
    writeFileSync(name, 'x');
    expect(scan(repository)).toEqual(['?? caf\udce9']);
    git(repository.root, ['add', '.']);
    expect(scan(repository)).toEqual(['A  caf\udce9']);
    writeFileSync(name, 'xx');
    expect(scan(repository)).toEqual(['AM caf\udce9']);
  });
});
