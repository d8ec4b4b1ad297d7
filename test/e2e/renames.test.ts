import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { kb, kbOk, type KbRun } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const text = (changes: Readonly<Record<number, string>> = {}): string =>
  Array.from({ length: 12 }, (_, at) => `${changes[at] ?? `line ${at} of the plan`}\n`).join('');
const EDIT = { 2: 'an edit of here' };
const OTHER = { 9: 'an edit of there' };

describe('files that one of two clones has renamed', () => {
  let directory: string;
  let one: string;
  let other: string;

  beforeEach(async () => {
    directory = makeTemporaryDirectory();
    const remote = join(directory, 'remote.git');
    [one, other] = [join(directory, 'one'), join(directory, 'other')];
    await kbOk(directory, ['init', one, '--remote', remote]);
    put(one, { 'draft.md': text(), 'old/a.md': `a ${text()}`, 'old/b.md': `b\n${text({ 0: 'b', 1: 'b', 2: 'b' })}` });
    await kbOk(one, ['sync']);
    await kbOk(directory, ['clone', remote, other, '--depth', 'full']);
  });

  function put(where: string, files: Readonly<Record<string, string>>): void {
    for (const [path, data] of Object.entries(files)) {
      mkdirSync(dirname(join(where, path)), { recursive: true });
      writeFileSync(join(where, path), data);
    }
  }
  const read = (where: string, path: string): string => readFileSync(join(where, path), 'utf8');
  const move = (where: string, from: string, to: string): void => renameSync(join(where, from), join(where, to));

  /** Both clones hold the same, and native git has nothing to complain about in either. */
  async function requireSame(): Promise<void> {
    await kbOk(one, ['sync']);
    await kbOk(other, ['sync']);
    if (!nativeGit.available) return;
    for (const where of [one, other]) {
      expect(git(where, ['status', '--porcelain'])).toBe('');
      git(where, ['fsck', '--strict']);
    }
    expect(git(one, ['rev-parse', 'HEAD'])).toBe(git(other, ['rev-parse', 'HEAD']));
  }

  it('an edit here goes along with a rename there, and is said', async () => {
    move(one, 'draft.md', 'plan.md');
    put(one, { 'plan.md': text(OTHER) });
    await kbOk(one, ['sync']);
    put(other, { 'draft.md': text(EDIT) });
    const run = await kbOk(other, ['sync', '--json']);
    expect(run.json()).toMatchObject({
      ok: true,
      result: 'merged',
      conflicts: [],
      merged: [{ path: 'plan.md', from: 'draft.md', rules: ['renamed'] }],
    });
    await requireSame();
    expect(read(one, 'plan.md')).toBe(text({ ...EDIT, ...OTHER }));
    expect([existsSync(join(one, 'draft.md')), existsSync(join(other, 'draft.md'))]).toEqual([false, false]);
  });

  it('a rename here takes the edits of others along, also without --verbose it is said', async () => {
    put(one, { 'draft.md': text(OTHER) });
    await kbOk(one, ['sync']);
    move(other, 'draft.md', 'old/plan.md');
    const run = await kbOk(other, ['sync']);
    expect(run.stderr).toContain('draft.md is called old/plan.md now');
    await requireSame();
    expect(read(other, 'old/plan.md')).toBe(text(OTHER));
  });

  it('links to the renamed note stay as they are', async () => {
    put(one, { 'links.md': '[[draft]] and [the draft](draft.md)\n' });
    await kbOk(one, ['sync']);
    await kbOk(other, ['sync']);
    move(one, 'draft.md', 'plan.md');
    await kbOk(one, ['sync']);
    put(other, { 'draft.md': text(EDIT) });
    await kbOk(other, ['sync']);
    await requireSame();
    expect(read(other, 'links.md')).toBe('[[draft]] and [the draft](draft.md)\n');
  });

  it('a new note goes along with its folder', async () => {
    move(one, 'old', 'archive');
    await kbOk(one, ['sync']);
    put(other, { 'old/c.md': 'a new one\n' });
    const run = await kbOk(other, ['sync', '--json']);
    expect(run.json()).toMatchObject({ merged: [{ path: 'archive/c.md', from: 'old/c.md', rules: ['renamed'] }] });
    await requireSame();
    expect(readdirSync(join(other, 'archive')).sort()).toEqual(['a.md', 'b.md', 'c.md']);
    expect(existsSync(join(other, 'old'))).toBe(false);
  });

  it('a rename of kb run that could not go out at once', async () => {
    put(one, { 'draft.md': text(OTHER) });
    await kbOk(one, ['sync']);
    const script = "require('fs').renameSync('draft.md', 'plan.md')";
    await kbOk(other, ['run', '--no-push', '--', process.execPath, '-e', script]);
    const run = await kbOk(other, [
      'run',
      '--json',
      '--',
      process.execPath,
      '-e',
      "require('fs').writeFileSync('new.md', 'new')",
    ]);
    expect(run.json()).toMatchObject({ ok: true, landed: true });
    await requireSame();
    expect(read(one, 'plan.md')).toBe(text(OTHER));
  });

  it('a note that was appended to without the network goes along', async () => {
    await kbOk(other, ['note', '--append', 'draft.md', 'more of it', '--no-push', '--no-pull']);
    move(one, 'draft.md', 'plan.md');
    await kbOk(one, ['sync']);
    await kbOk(other, ['sync']);
    await requireSame();
    expect(read(one, 'plan.md')).toContain('more of it');
    expect(existsSync(join(one, 'draft.md'))).toBe(false);
  });

  it.skipIf(!nativeGit.available)('a merge commit where the local history holds one (needs native git)', async () => {
    move(one, 'draft.md', 'plan.md');
    await kbOk(one, ['sync']);
    put(other, { 'draft.md': text(EDIT) });
    git(other, ['-c', 'user.name=A', '-c', 'user.email=a@b', 'commit', '-qam', 'edit']);
    git(other, ['checkout', '-q', '-b', 'side', 'HEAD~1']);
    put(other, { 'side.md': 'side\n' });
    git(other, ['add', 'side.md']);
    git(other, ['-c', 'user.name=A', '-c', 'user.email=a@b', 'commit', '-qm', 'side']);
    git(other, ['checkout', '-q', 'main']);
    git(other, ['-c', 'user.name=A', '-c', 'user.email=a@b', 'merge', '-q', '--no-edit', 'side']);
    const run = await kbOk(other, ['sync', '--json']);
    expect(run.json()).toMatchObject({ merged: [{ path: 'plan.md', from: 'draft.md', rules: ['renamed'] }] });
    await requireSame();
    expect(read(one, 'plan.md')).toBe(text(EDIT));
  });

  it.skipIf(!nativeGit.available).each([false, true])(
    'only the spelling of a name, core.ignoreCase %s (needs native git)',
    async (ignoreCase) => {
      for (const where of [one, other]) git(where, ['config', 'core.ignorecase', String(ignoreCase)]);
      git(one, ['mv', '-f', 'draft.md', 'Draft.md']);
      await kbOk(one, ['sync']);
      put(other, { 'draft.md': text(EDIT) });
      const run = await kbOk(other, ['sync', '--json']);
      expect(run.json()).toMatchObject({ merged: [{ path: 'Draft.md', from: 'draft.md', rules: ['renamed'] }] });
      await requireSame();
      expect(read(one, 'Draft.md')).toBe(text(EDIT));
      expect(git(other, ['ls-files', '*raft.md'])).toBe('Draft.md\n');
    },
  );

  it('a file that is open in the editor while others rename it', async () => {
    const [editor, rename] = [join(directory, 'editor.cjs'), join(directory, 'rename.sh')];
    writeFileSync(
      editor,
      `const fs = require('fs'); const file = process.argv[2];
       fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('line 2 of the plan', 'an edit of here'));
       require('child_process').execFileSync(${JSON.stringify(rename)}, { env: process.env, stdio: 'ignore' });`,
    );
    const run = JSON.stringify(join(import.meta.dirname, '../../bin/run.js'));
    writeFileSync(rename, `#!/bin/sh\ncd ${one} && mv draft.md plan.md && ${process.execPath} ${run} sync --quiet\n`);
    chmodSync(rename, 0o755);
    const env = { EDITOR: `${process.execPath} ${editor}`, PATH: process.env['PATH'] };
    const edited = await kbOk(other, ['edit', 'draft.md', '--json'], { env });
    expect(edited.json()).toMatchObject({
      path: 'plan.md',
      from: 'draft.md',
      restored: false,
      landed: true,
      rules: ['renamed'],
    });
    await requireSame();
    expect(read(one, 'plan.md')).toBe(text(EDIT));
    expect(existsSync(join(one, 'draft.md'))).toBe(false);
  });

  it('uncommitted work comes along to a branch where its file has another name, and back', async () => {
    await kbOk(other, ['switch', 'renamed', '--create']);
    move(other, 'draft.md', 'plan.md');
    await kbOk(other, ['sync']);
    await kbOk(other, ['switch', 'main']);
    put(other, { 'draft.md': text(EDIT) });
    await kbOk(other, ['switch', 'renamed']);
    expect(read(other, 'plan.md')).toBe(text(EDIT));
    expect(existsSync(join(other, 'draft.md'))).toBe(false);
    await kbOk(other, ['switch', 'main']);
    expect(read(other, 'draft.md')).toBe(text(EDIT));
    expect(existsSync(join(other, 'plan.md'))).toBe(false);
  });

  it('what a failed run had changed comes back under the new name', async () => {
    const script = `require('fs').writeFileSync('draft.md', ${JSON.stringify(text(EDIT))}); process.exit(7)`;
    expect((await kb(other, ['run', '--', process.execPath, '-e', script])).code).toBe(7);
    move(one, 'draft.md', 'plan.md');
    await kbOk(one, ['sync']);
    await kbOk(other, ['sync']);
    const [saved] = (await kbOk(other, ['restore', '--json'])).json()['saved'] as { ref: string }[];
    await kbOk(other, ['restore', saved?.ref ?? '']);
    expect(read(other, 'plan.md')).toBe(text(EDIT));
    expect(existsSync(join(other, 'draft.md'))).toBe(false);
  });

  describe('renamed there, and its text contradicts the one here', () => {
    const MINE = text({ 2: 'mine' });
    const THEIRS = text({ 2: 'theirs' });

    async function meet(): Promise<KbRun> {
      move(one, 'draft.md', 'plan.md');
      put(one, { 'plan.md': THEIRS });
      await kbOk(one, ['sync']);
      put(other, { 'draft.md': MINE });
      return kb(other, ['sync', '--json']);
    }

    it('is a conflict under the new name; nothing here has changed', async () => {
      expect((await meet()).code).toBe(5);
      expect(read(other, 'draft.md')).toBe(MINE);
      const listed = await kbOk(other, ['conflicts', '--json']);
      expect(listed.json()).toMatchObject({ conflicts: [{ path: 'plan.md', from: 'draft.md', reason: 'overlap' }] });
    });

    it.each([
      ['--ours', MINE],
      ['--theirs', THEIRS],
      ['--both', text({ 2: 'theirs\nmine' })],
    ])('kb resolve plan.md %s', async (choice, expected) => {
      await meet();
      await kbOk(other, ['resolve', 'plan.md', choice]);
      await requireSame();
      expect(read(one, 'plan.md')).toBe(expected);
      expect([existsSync(join(one, 'draft.md')), existsSync(join(other, 'draft.md'))]).toEqual([false, false]);
    });

    it('--on-conflict copy puts ours beside the new name', async () => {
      await meet();
      await kbOk(other, ['sync', '--on-conflict', 'copy']);
      await requireSame();
      expect(read(one, 'plan.md')).toBe(THEIRS);
      const [copy = ''] = readdirSync(one).filter((name) => name.startsWith('plan (conflict'));
      expect(read(one, copy)).toBe(MINE);
    });
  });

  describe('each by its own name', () => {
    async function meet(...args: string[]): Promise<KbRun> {
      move(one, 'draft.md', 'there.md');
      put(one, { 'there.md': text(OTHER) });
      await kbOk(one, ['sync']);
      move(other, 'draft.md', 'here.md');
      put(other, { 'here.md': text(EDIT) });
      return kb(other, ['sync', '--json', ...args]);
    }

    it('is a conflict that names all three', async () => {
      const run = await meet();
      expect(run.code).toBe(5);
      expect(run.json()).toMatchObject({
        error: {
          code: 'E_CONFLICT',
          message: expect.stringContaining('here.md (others call it there.md)') as unknown,
          details: {
            conflicts: [{ path: 'here.md', remotePath: 'there.md', from: 'draft.md', reason: 'renamed_twice' }],
          },
        },
      });
      const listed = await kbOk(other, ['conflicts', '--json']);
      expect(listed.json()).toMatchObject({
        conflicts: [{ path: 'here.md', remotePath: 'there.md', from: 'draft.md', reason: 'renamed_twice' }],
      });
      expect(read(other, 'here.md')).toBe(text(EDIT));
    });

    it.each([
      ['--ours', ['here.md']],
      ['--theirs', ['there.md']],
      ['--both', ['here.md', 'there.md']],
    ])('kb resolve %s: %s', async (choice, names) => {
      await meet();
      await kbOk(other, ['resolve', 'here.md', choice]);
      await requireSame();
      const left = readdirSync(one).filter((name) => name.endsWith('.md'));
      expect(left.sort()).toEqual(names);
      for (const name of names) expect(read(one, name)).toBe(text({ ...EDIT, ...OTHER }));
    });

    it('--on-conflict copy keeps both names', async () => {
      const run = await meet('--on-conflict', 'copy');
      expect(run.json()).toMatchObject({ ok: true });
      await requireSame();
      for (const name of ['here.md', 'there.md']) expect(read(one, name)).toBe(text({ ...EDIT, ...OTHER }));
    });
  });

  describe('switched off', () => {
    async function meet(): Promise<KbRun> {
      move(one, 'draft.md', 'plan.md');
      await kbOk(one, ['sync']);
      put(other, { 'draft.md': text(EDIT) });
      return kb(other, ['sync', '--json']);
    }

    it.skipIf(!nativeGit.available).each(['merge.renames', 'diff.renames'])(
      'by %s of git (needs native git)',
      async (key) => {
        git(other, ['config', key, 'false']);
        const run = await meet();
        expect(run.json()).toMatchObject({
          error: { details: { conflicts: [{ path: 'draft.md', reason: 'deleted_remotely' }] } },
        });
      },
    );

    it('by kb.yaml, for a pattern of paths', async () => {
      put(one, { 'kb.yaml': 'merge:\n  without:\n    "draft*": [renamed]\n' });
      await kbOk(one, ['sync']);
      await kbOk(other, ['sync']);
      expect((await meet()).code).toBe(5);
    });

    it('not by kb.yaml with all: git follows renames too', async () => {
      put(one, { 'kb.yaml': 'merge:\n  without:\n    "*.md": all\n' });
      await kbOk(one, ['sync']);
      await kbOk(other, ['sync']);
      expect((await meet()).json()).toMatchObject({ merged: [{ path: 'plan.md', rules: ['renamed'] }] });
    });

    it.skipIf(!nativeGit.available)('folders by merge.directoryRenames of git (needs native git)', async () => {
      git(other, ['config', 'merge.directoryRenames', 'false']);
      move(one, 'old', 'archive');
      await kbOk(one, ['sync']);
      put(other, { 'old/c.md': 'a new one\n' });
      expect((await kbOk(other, ['sync', '--json'])).json()).toMatchObject({ merged: [] });
      expect(existsSync(join(other, 'old/c.md'))).toBe(true);
    });
  });
});
