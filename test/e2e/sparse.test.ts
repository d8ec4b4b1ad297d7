import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { expectNativeGitAgrees, expectSound } from '../support/agree.js';
import { kb, kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const FILES: Readonly<Record<string, string>> = {
  'root.md': 'root\n',
  'team/above.md': 'above\n',
  'team/notes/in.md': 'one\ntwo\nthree\n',
  'team/notes/deep/er.md': 'deeper\n',
  'team/other/out.md': 'one\ntwo\nthree\n',
  'far/away.md': 'away\n',
  'far/link.md': 'x\n',
};
const INSIDE = ['root.md', 'team/above.md', 'team/notes/deep/er.md', 'team/notes/in.md'];

describe.skipIf(!nativeGit.available)('a KB with some of the folders (needs native git)', () => {
  let root: string;
  let remote: string;
  let place: string;

  beforeEach(async () => {
    root = makeTemporaryDirectory();
    remote = join(root, 'remote.git');
    place = join(root, 'kb');
    git(root, ['init', '-q', '--bare', 'remote.git']);
    git(root, ['init', '-q', 'first']);
    put('first', FILES);
    git(join(root, 'first'), ['add', '-A']);
    git(join(root, 'first'), ['commit', '-q', '-m', 'Start']);
    git(join(root, 'first'), ['push', '-q', remote, 'HEAD:main']);
    await kbOk(root, ['clone', '--sparse', 'team/notes', 'remote.git', 'kb']);
  });

  function put(where: string, files: Readonly<Record<string, string | null>>): void {
    for (const [path, text] of Object.entries(files)) {
      const at = join(root, where, path);
      if (text === null) rmSync(at, { recursive: true });
      else {
        mkdirSync(dirname(at), { recursive: true });
        writeFileSync(at, text);
      }
    }
  }

  /** A commit that somebody else pushes, with all of the files. */
  function pushFromElsewhere(files: Readonly<Record<string, string | null>>): void {
    git(join(root, 'first'), ['pull', '-q', remote, 'main']);
    put('first', files);
    git(join(root, 'first'), ['add', '-A']);
    git(join(root, 'first'), ['commit', '-q', '-m', 'Elsewhere']);
    git(join(root, 'first'), ['push', '-q', remote, 'HEAD:main']);
  }

  const here = (): string[] =>
    git(place, ['ls-files', '-t'])
      .trim()
      .split('\n')
      .flatMap((line) => (line.startsWith('H ') ? [line.slice(2)] : []));
  const onRemote = (path: string): string => git(remote, ['show', `main:${path}`]);
  const inKb = (path: string): string => readFileSync(join(place, path), 'utf8');

  it('is what native git makes of the same folders', async () => {
    expectNativeGitAgrees(place, remote);
    expect(here()).toEqual(INSIDE);
    for (const path of Object.keys(FILES)) expect(existsSync(join(place, path))).toBe(INSIDE.includes(path));
    expect(existsSync(join(place, 'far'))).toBe(false);
    git(root, ['clone', '-q', remote, 'native']);
    git(join(root, 'native'), ['sparse-checkout', 'set', 'team/notes']);
    for (const file of ['info/sparse-checkout', 'config.worktree'])
      expect(inKb(`.git/${file}`)).toBe(readFileSync(join(root, 'native/.git', file), 'utf8'));
    expect(git(place, ['config', 'extensions.worktreeConfig']).trim()).toBe('true');
    expect(git(place, ['ls-files', '-t'])).toBe(git(join(root, 'native'), ['ls-files', '-t']));
    expect(git(place, ['sparse-checkout', 'list']).trim()).toBe('team/notes');
    expect((await kbOk(place, ['status', '--json'])).json()).toMatchObject({
      fileCount: 4,
      sparse: ['team/notes'],
      changes: [],
    });
  });

  it('follows what native git chooses afterwards, folders more and all', async () => {
    git(place, ['sparse-checkout', 'add', 'far']);
    await kbOk(place, ['note', '--path', 'far/new.md', 'there']);
    expect(inKb('far/new.md')).toContain('there');
    expectNativeGitAgrees(place, remote);
    git(place, ['sparse-checkout', 'set', 'team/other']);
    pushFromElsewhere({ 'team/notes/in.md': 'changed\n', 'team/other/out.md': 'changed\n' });
    await kbOk(place, ['sync']);
    expect(inKb('team/other/out.md')).toBe('changed\n');
    expect(existsSync(join(place, 'team/notes/in.md'))).toBe(false);
    expectNativeGitAgrees(place, remote);
    git(place, ['sparse-checkout', 'disable']);
    await kbOk(place, ['note', '--path', 'far/last.md', 'there']);
    expect(inKb('far/last.md')).toContain('there');
    expect((await kbOk(place, ['status', '--json'])).json()).toMatchObject({ fileCount: 9, sparse: null });
    expectNativeGitAgrees(place, remote);
  });

  it('lands a note outside of it, and does not show it here', async () => {
    const run = await kbOk(place, ['note', '--path', 'far/new.md', '--no-frontmatter', 'there', '--json']);
    expect(run.json()).toMatchObject({ landed: true, path: 'far/new.md' });
    expect(onRemote('far/new.md')).toBe('there\n');
    expect(existsSync(join(place, 'far'))).toBe(false);
    expectNativeGitAgrees(place, remote);
    await kbOk(place, ['note', '--append', 'far/away.md', 'more']);
    expect(onRemote('far/away.md')).toMatch(/^away\n.* more\n$/);
    expectNativeGitAgrees(place, remote);
    // a name that is taken out there is taken
    const taken = await kb(place, ['note', '--path', 'far/new.md', 'again', '--json']);
    expect(taken.json()).toMatchObject({ error: { code: 'E_USAGE' } });
  });

  it('pulls what changed outside of it, into the index alone', async () => {
    pushFromElsewhere({
      'far/away.md': 'changed\n',
      'far/link.md': null,
      'far/link.md/inside.md': 'a folder now\n',
      'new/folder/x.md': 'x\n',
      'team/notes/in.md': 'one\nTWO\nthree\n',
    });
    await kbOk(place, ['sync']);
    expect(inKb('team/notes/in.md')).toBe('one\nTWO\nthree\n');
    expect([existsSync(join(place, 'far')), existsSync(join(place, 'new'))]).toEqual([false, false]);
    expectNativeGitAgrees(place, remote);
  });

  it('merges local commits with remote ones outside of it, and conflicts there are told and settled', async () => {
    await kbOk(place, ['note', '--append', 'team/other/out.md', '--no-push', '--no-pull', 'mine']);
    pushFromElsewhere({ 'team/other/out.md': 'ONE\ntwo\nthree\n' });
    await kbOk(place, ['sync']);
    expect(onRemote('team/other/out.md')).toMatch(/^ONE\ntwo\nthree\n.* mine\n$/);
    expectNativeGitAgrees(place, remote);

    await kbOk(place, ['note', '--replace', 'far/away.md', '--no-push', '--no-pull', ...match('far/away.md'), 'mine']);
    pushFromElsewhere({ 'far/away.md': 'theirs\n' });
    const run = await kb(place, ['sync', '--json']);
    expect(run.json()).toMatchObject({ error: { code: 'E_CONFLICT' } });
    expect(git(place, ['status', '--porcelain'])).toBe('');
    await kbOk(place, ['sync', '--on-conflict', 'copy']);
    expect(git(remote, ['ls-tree', '-r', '--name-only', 'main'])).toMatch(/far\/away \(conflict .*\)\.md/);
    expect(existsSync(join(place, 'far'))).toBe(false);
    expectNativeGitAgrees(place, remote);
  });

  function match(path: string): string[] {
    return ['--if-match', git(place, ['rev-parse', `HEAD:${path}`]).trim()];
  }

  it('takes a file outside that is here all the same for any other file', async () => {
    put('kb', { 'far/away.md': 'edited here\n', 'far/made.md': 'made here\n' });
    const status = (await kbOk(place, ['status', '--json'])).json();
    expect(status['changes']).toEqual([
      { path: 'far/away.md', kind: 'modified', committable: true },
      { path: 'far/made.md', kind: 'added', committable: true },
    ]);
    await kbOk(place, ['sync']);
    expect([onRemote('far/away.md'), onRemote('far/made.md')]).toEqual(['edited here\n', 'made here\n']);
    expectNativeGitAgrees(place, remote);
    pushFromElsewhere({ 'far/away.md': 'changed there\n' });
    await kbOk(place, ['sync']);
    expect(inKb('far/away.md')).toBe('changed there\n');
    expectNativeGitAgrees(place, remote);
    git(place, ['sparse-checkout', 'reapply']);
    expect(existsSync(join(place, 'far'))).toBe(false);
    expectNativeGitAgrees(place, remote);
  });

  it('stops before it overwrites what lies outside and is in no commit', async () => {
    put('kb', { 'far/away.md': 'edited here\n' });
    pushFromElsewhere({ 'far/away.md': 'changed there\n' });
    const run = await kb(place, ['sync', '--pull-only', '--json']);
    expect(run.json()).toMatchObject({ error: { code: 'E_UNSAFE_STATE' } });
    expect(inKb('far/away.md')).toBe('edited here\n');
  });

  it('runs a command that writes outside of it, and undoes one that fails', async () => {
    const node = process.execPath;
    const script = (exit: number): string =>
      `const fs = require('node:fs'); fs.mkdirSync('far', { recursive: true }); fs.writeFileSync('far/away.md', 'by the run ${exit}\\n'); fs.writeFileSync('far/made.md', '${exit}\\n'); process.exitCode = ${exit}`;
    await kb(place, ['run', '--', node, '-e', script(3)]);
    expect(existsSync(join(place, 'far'))).toBe(false);
    expectNativeGitAgrees(place, remote);
    const [saved] = git(place, ['for-each-ref', '--format=%(refname)', 'refs/kb/stash']).trim().split('\n');
    await kbOk(place, ['restore', saved ?? '']);
    expect([inKb('far/away.md'), inKb('far/made.md')]).toEqual(['by the run 3\n', '3\n']);
    await kbOk(place, ['sync']);
    expectNativeGitAgrees(place, remote);
    await kbOk(place, ['run', '--', node, '-e', script(0)]);
    expect(onRemote('far/made.md')).toBe('0\n');
    expectNativeGitAgrees(place, remote);
  });

  it('switches to another branch, and leaves out there what it leaves out here', async () => {
    git(join(root, 'first'), ['switch', '-q', '-c', 'drafts']);
    put('first', { 'far/away.md': 'draft\n', 'far/only.md': 'draft\n', 'team/notes/in.md': 'draft\n' });
    git(join(root, 'first'), ['add', '-A']);
    git(join(root, 'first'), ['commit', '-q', '-m', 'Drafts']);
    git(join(root, 'first'), ['push', '-q', remote, 'HEAD:drafts']);
    await kbOk(place, ['switch', 'drafts']);
    expect(inKb('team/notes/in.md')).toBe('draft\n');
    expect(existsSync(join(place, 'far'))).toBe(false);
    expectNativeGitAgrees(place, remote);
    await kbOk(place, ['switch', 'main']);
    expect(inKb('team/notes/in.md')).toBe(FILES['team/notes/in.md']);
    expectNativeGitAgrees(place, remote);
  });

  it('is packed by kb gc without losing what is not here', async () => {
    await kbOk(place, ['gc']);
    expectNativeGitAgrees(place, remote);
    git(place, ['sparse-checkout', 'disable']);
    expect(inKb('far/away.md')).toBe('away\n');
  });

  it('is edited by kb edit outside of it as well', async () => {
    const editor = join(root, 'editor.sh');
    writeFileSync(editor, '#!/bin/sh\necho edited >> "$1"\n', { mode: 0o755 });
    const run = await kb(place, ['edit', 'far/away.md'], { env: { EDITOR: editor, PATH: process.env['PATH'] } });
    expect(run.code).toBe(0);
    expect(onRemote('far/away.md')).toBe('away\nedited\n');
    expectNativeGitAgrees(place, remote);
  });

  it.each([
    ['written by hand', (): void => writeFileSync(join(place, '.git/info/sparse-checkout'), '/*\n!far/*.md\n')],
    ['chosen as such', (): void => void git(place, ['sparse-checkout', 'set', '--no-cone', '*.md', '!far'])],
    ['without their file', (): void => rmSync(join(place, '.git/info/sparse-checkout'))],
  ])('is refused with patterns, %s, before anything changes', async (_how, damage) => {
    damage();
    const before = readFileSync(join(place, '.git/index'));
    for (const args of [['note', 'x'], ['sync'], ['status']]) {
      const run = await kb(place, [...args, '--json']);
      expect(run.json()).toMatchObject({
        error: { code: 'E_UNSAFE_STATE', hint: expect.stringContaining('git sparse-checkout') as string },
      });
    }
    expect(readFileSync(join(place, '.git/index'))).toEqual(before);
  });

  it('can be cloned with several folders, of strange names too, one of which is not there yet', async () => {
    const names = ['far', 'team/we ird*', 'not/yet'];
    pushFromElsewhere({ 'team/we ird*/x.md': 'x\n' });
    const run = await kbOk(root, ['clone', ...names.flatMap((name) => ['--sparse', name]), 'remote.git', 'two']);
    expect(run.stderr).toContain('not/yet');
    place = join(root, 'two');
    expect(here()).toEqual(['far/away.md', 'far/link.md', 'root.md', 'team/above.md', 'team/we ird*/x.md']);
    expectNativeGitAgrees(place, remote);
    git(root, ['clone', '-q', remote, 'native']);
    git(join(root, 'native'), ['sparse-checkout', 'set', '--skip-checks', ...names]);
    expect(inKb('.git/info/sparse-checkout')).toBe(
      readFileSync(join(root, 'native/.git/info/sparse-checkout'), 'utf8'),
    );
  });

  it.each([
    ['root.md', 'is a file'],
    ['../up', 'leads out of its folder'],
    ['/abs', 'absolute'],
    ['.git', "git's own folder"],
    ['a\nb', 'line break'],
  ])('is not cloned with %j', async (folder, why) => {
    const run = await kb(root, ['clone', '--sparse', folder, 'remote.git', 'bad', '--json']);
    expect(run.json()).toMatchObject({ error: { code: 'E_USAGE', message: expect.stringContaining(why) as string } });
    expect(existsSync(join(root, 'bad'))).toBe(false);
  });

  it('reads an index of native git in which a file came back into sight', () => {
    put('kb', { 'far/away.md': 'away\n' });
    expect(git(place, ['status', '--porcelain'])).toBe('');
    expectSound(place);
  });
});
