import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readDiff, type DiffRequest, type DiffResult } from '../../src/kb/diff.js';
import { git, gitBuffer, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { cloneOf, errorOf, makeSite, outcomeOf, withSite, world, type QueueSite } from '../support/queue-site.js';

/** As kb tells it: no renames, whole ids, and lines that changed where the search for them put them. */
const NATIVE = ['-c', 'diff.indentHeuristic=false', 'diff', '--no-renames', '--full-index', '--no-ext-diff'];

const at = (root: string): QueueSite => ({ root, remote: root, url: root, kb: root });
const diff = (site: QueueSite, over: Partial<DiffRequest> = {}): Promise<DiffResult> =>
  withSite(site, {}, (kb) => readDiff(kb, { paths: [], ...over }));

function put(root: string, files: Readonly<Record<string, string | Buffer | null>>): void {
  for (const [path, data] of Object.entries(files)) {
    const place = join(root, path);
    if (data === null) {
      rmSync(place, { force: true });
      continue;
    }
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, data);
  }
}

function commit(root: string, files: Readonly<Record<string, string | Buffer | null>>): string {
  put(root, files);
  git(root, ['add', '-A']);
  git(root, ['commit', '-q', '--allow-empty', '-m', 'state']);
  return git(root, ['rev-parse', 'HEAD']).trim();
}

function repository(): string {
  const root = makeTemporaryDirectory();
  git(root, ['init', '-q']);
  return root;
}

/** What native git says of the same, new files included. */
function native(root: string, ...args: string[]): string {
  git(root, ['add', '-A', '-N']);
  const text = git(root, [...NATIVE, ...args]);
  git(root, ['reset', '-q']);
  return text;
}

const LINES = Array.from({ length: 30 }, (_, n) => (n % 7 === 0 ? `Heading ${n}  \n` : `- item ${n}\n`));

describe.skipIf(!nativeGit.available)('kb diff (needs native git)', () => {
  it('prints of local edits what git diff prints', async () => {
    const root = repository();
    commit(root, {
      'a.md': LINES.join(''),
      'no newline.md': 'one\ntwo',
      'gone.md': 'gone\n',
      'ünï "q".md': 'x\n',
      'mode.sh': 'echo\n',
      'binary.bin': Buffer.from([0, 1, 2]),
      'empty.md': '',
      'filled.md': '',
      'link.md': 'a file\n',
      'crlf.md': 'one\r\ntwo\r\n',
    });
    const edited = [...LINES];
    edited[3] = '- edited\n';
    edited.splice(9, 1);
    edited.splice(20, 0, '- one more\n', '- and another\n');
    put(root, {
      'a.md': edited.join(''),
      'no newline.md': 'one\ntwo\nthree',
      'gone.md': null,
      'ünï "q".md': 'y\n',
      'binary.bin': Buffer.from([0, 1, 3]),
      'empty.md': null,
      'filled.md': 'now\n',
      'link.md': null,
      'crlf.md': 'one\r\n2\r\n',
      'new/deep.md': 'new\n',
      'new empty.md': '',
    });
    chmodSync(join(root, 'mode.sh'), 0o755);
    symlinkSync('a.md', join(root, 'link.md'));
    const told = await diff(at(root));
    expect(told.diff.toString()).toBe(native(root, 'HEAD'));
    expect(told).toMatchObject({ from: git(root, ['rev-parse', 'HEAD']).trim(), to: null });
    expect(told.changes.find(({ path }) => path === 'a.md')).toMatchObject({ kind: 'modified', added: 3, deleted: 2 });
    expect((await diff(at(root), { paths: ['new/', 'a.md'] })).changes.map(({ path }) => path)).toEqual([
      'a.md',
      'new/deep.md',
    ]);
  });

  it.each([5, 6, 7])('makes one hunk of changes with %i lines between them, or two, as git does', async (between) => {
    const root = repository();
    commit(root, { 'a.md': LINES.join('') });
    const edited = LINES.map((line, n) => (n === 8 || n === 9 + between ? 'edited\n' : line));
    put(root, { 'a.md': edited.join('') });
    const told = (await diff(at(root))).diff.toString();
    expect(told).toBe(native(root, 'HEAD'));
    expect(told.match(/^@@/gm)).toHaveLength(between > 6 ? 2 : 1);
  });

  it('makes patches that git apply takes, of random texts', { timeout: 120_000 }, async () => {
    const root = repository();
    const other = join(makeTemporaryDirectory(), 'other');
    const line = fc.constantFrom('one\n', 'two\n', '\n', 'three\n', 'four', 'five\r\n', '# six\n', 'a\0b\n');
    const text = fc.array(line, { maxLength: 40 }).map((lines) => lines.join(''));
    const names = fc.constantFrom('a.md', 'b b.md', 'd/ü.md', 'd/e\t.md');
    const files = fc.dictionary(names, text, { maxKeys: 4 });
    let alike = 0;
    let all = 0;
    await fc.assert(
      fc.asyncProperty(files, files, async (before, after) => {
        git(root, ['rm', '-rqf', '--ignore-unmatch', '.']);
        const first = commit(root, before);
        put(root, Object.fromEntries(Object.keys(before).map((name) => [name, null])));
        put(root, after);
        const told = (await diff(at(root))).diff;
        all += 1;
        if (told.toString() === native(root, 'HEAD')) alike += 1;
        const second = commit(root, {});
        expect((await diff(at(root), { commit: second })).diff).toEqual(told);
        if (told.includes('Binary files')) return;
        rmSync(other, { recursive: true, force: true });
        git(root, ['worktree', 'prune']);
        git(root, ['worktree', 'add', '-q', '--detach', other, first]);
        if (told.length > 0) git(other, ['apply', '--index', '--whitespace=nowarn'], { input: told });
        expect(git(other, ['write-tree'])).toBe(git(root, ['rev-parse', 'HEAD^{tree}']));
      }),
      { numRuns: 60 },
    );
    // Two ways to put the changed lines can be equally short.
    expect(alike / all).toBeGreaterThan(0.8);
  });

  it('takes a commit by its id, the first digits of it, a branch or a tag', async () => {
    const root = repository();
    const first = commit(root, { 'a.md': 'one\n' });
    const second = commit(root, { 'a.md': 'two\n' });
    git(root, ['tag', 'light', first]);
    git(root, ['tag', '-a', '-m', 'x', 'full', second]);
    put(root, { 'a.md': 'three\n' });
    for (const name of [second, second.slice(0, 8), 'main', 'full', 'refs/heads/main'])
      expect(await diff(at(root), { commit: name })).toMatchObject({ from: first, to: second });
    expect(await diff(at(root), { commit: 'light' })).toMatchObject({ from: null, to: first });
    expect((await diff(at(root), { commit: first })).diff.toString()).toBe(
      gitBuffer(root, ['show', '--format=', '--full-index', first]).toString(),
    );
    expect((await diff(at(root), { since: 'light' })).diff.toString()).toBe(native(root, first));
    const blob = git(root, ['rev-parse', 'main:a.md']).trim();
    for (const name of ['nothing', 'fffffff', '../x', '-x', first.replace(/./g, '0'), blob])
      expect(errorOf(await outcomeOf(diff(at(root), { commit: name })))).toMatchObject({ code: 'E_USAGE' });
  });

  it('fetches what came before the oldest commit of a shallow KB', async () => {
    const site = await makeSite();
    const work = join(site.root, 'work');
    git(site.root, ['clone', '-q', site.remote, work]);
    for (let n = 0; n < 5; n += 1) commit(work, { 'diary.md': `${n}\n` });
    git(work, ['push', '-q', 'origin', 'HEAD:main']);
    const kb = { ...site, kb: join(site.root, 'shallow') };
    await cloneOf(kb, kb.kb, 1);
    // A name that nobody knows is no reason to fetch history.
    expect(errorOf(await outcomeOf(diff(kb, { commit: 'nothing' })))).toMatchObject({ code: 'E_USAGE' });
    expect(git(kb.kb, ['rev-list', '--count', 'HEAD']).trim()).toBe('1');
    const alone = { over: { env: { ...world(kb).env, KB_GIT_ENABLED: 'false' } } };
    const unasked = withSite(kb, alone, (opened) => readDiff(opened, { paths: [], commit: 'main' }));
    expect(errorOf(await outcomeOf(unasked))).toMatchObject({ code: 'E_UNSAFE_STATE' });
    expect((await diff(kb, { commit: 'main' })).diff.toString()).toBe(git(work, [...NATIVE, 'HEAD~1', 'HEAD']));
    const older = git(work, ['rev-parse', 'HEAD~4']).trim();
    expect((await diff(kb, { since: older.slice(0, 12) })).from).toBe(older);
    git(kb.kb, ['fsck', '--strict']);
  });
});
