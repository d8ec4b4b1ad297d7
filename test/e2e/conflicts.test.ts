import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { kb, kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { kbOnTerminal, pseudoTerminal } from '../support/pseudo-terminal.js';

describe('kb conflicts and kb resolve', () => {
  let [one, other] = ['', ''];
  const text = (): string => readFileSync(join(other, 'note.md'), 'utf8');

  beforeEach(async () => {
    const directory = makeTemporaryDirectory();
    const remote = join(directory, 'remote.git');
    [one, other] = [join(directory, 'one'), join(directory, 'other')];
    await kbOk(directory, ['init', one, '--remote', remote]);
    writeFileSync(join(one, 'note.md'), 'a red fox\n');
    await kbOk(one, ['sync']);
    await kbOk(directory, ['clone', remote, other]);
    writeFileSync(join(one, 'note.md'), 'a grey fox\n');
    await kbOk(one, ['sync']);
    writeFileSync(join(other, 'note.md'), 'a brown fox\n');
  });

  it('names both ways on, lists it, and decides it', async () => {
    const failed = await kb(other, ['sync']);
    expect(failed.code).toBe(5);
    expect(failed.stderr).toMatch(/kb conflicts.*kb resolve note\.md/);
    expect((await kbOk(other, ['conflicts'])).stdout).toMatch(/^note\.md\tsync\toverlap\t\d{4}-\d\d-\d\dT/);
    expect((await kbOk(other, ['conflicts', '--json'])).json()).toMatchObject({
      ok: true,
      conflicts: [{ path: 'note.md', kind: 'sync', decided: null, regions: [{ ours: { line: 1, count: 1 } }] }],
    });
    expect((await kb(other, ['status', '--check'])).code).toBe(10);
    expect((await kbOk(other, ['status', '--json'])).json()).toMatchObject({ conflicts: ['note.md'] });
    expect((await kbOk(other, ['resolve', '--both', '--json'])).json()).toMatchObject({
      ok: true,
      resolved: [{ path: 'note.md', kind: 'sync', choice: 'both' }],
      left: [],
      landed: true,
    });
    expect(text()).toBe('a grey fox\na brown fox\n');
    expect((await kbOk(other, ['conflicts'])).stdout).toBe('');
    expect((await kb(other, ['status', '--check'])).code).toBe(0);
    expect((await kb(other, ['resolve', '--both'])).code).toBe(2);
  });

  it('--edit opens both in the editor; a text with markers is refused and kept', async () => {
    await kb(other, ['sync']);
    const editor = join(other, '..', 'editor.sh');
    writeFileSync(editor, '#!/bin/sh\n[ -n "$LEAVE" ] && echo more >> "$1" || echo "a fox" > "$1"\n');
    chmodSync(editor, 0o755);
    const env = { EDITOR: editor, PATH: '/usr/bin:/bin' };
    const refused = await kb(other, ['resolve', '--edit'], { env: { ...env, LEAVE: '1' } });
    expect(refused.code).toBe(2);
    const [, file = ''] = /your text is in (\S+)/.exec(refused.stderr) ?? [];
    expect(readFileSync(file, 'utf8')).toMatch(
      /^<{7} ours: .*\na brown fox\n\|{7} base: .*\na red fox\n={7}\na grey fox\n>{7} theirs: .*\nmore\n$/,
    );
    await kbOk(other, ['resolve', 'note.md', '--edit'], { env });
    expect(text()).toBe('a fox\n');
  });

  it('says what is missing where nobody can be asked', async () => {
    await kb(other, ['sync']);
    const run = await kb(other, ['resolve', 'note.md']);
    expect(run).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--ours, --theirs, --both or --edit') as string,
    });
    expect((await kb(other, ['resolve', 'else.md', '--ours'])).code).toBe(2);
    expect((await kb(other, ['resolve', '--ours', '--theirs'])).code).toBe(2);
    expect((await kb(other, ['resolve', 'note.md', '--all', '--ours'])).code).toBe(2);
  });

  describe.skipIf(!pseudoTerminal.available || !nativeGit.available)(
    'on a terminal (needs script of util-linux, and native git)',
    () => {
      const QUESTION = 'note.md (sync, overlap): take [o]urs, [t]heirs, [b]oth, or [e]dit? ';
      const stateOf = (): string[] =>
        [
          ['status', '--porcelain=v2', '--branch'],
          ['for-each-ref', '--format=%(objectname) %(refname)'],
          ['ls-files', '--stage'],
          ['ls-remote', 'origin'],
        ].map((args) => git(other, args));

      beforeEach(async () => {
        await kb(other, ['sync']);
      });

      it.each([
        ['b', 'both', 'a grey fox\na brown fox\n'],
        ['THEIRS', 'theirs', 'a grey fox\n'],
      ])('asks, and takes %s for an answer', async (answer, choice, expected) => {
        const { code, screen } = await kbOnTerminal(other, ['resolve'], [[QUESTION, `${answer}\r`]]);
        expect(code).toBe(0);
        expect(screen).toContain(`note.md: ${choice}`);
        expect(text()).toBe(expected);
        expect(git(other, ['show', 'origin/main:note.md'])).toBe(expected);
        expect(git(other, ['status', '--porcelain'])).toBe('');
      });

      it.each([
        ['nothing', '\r', 2, 'was not said; nothing was changed'],
        ['something else', 'x\r', 2, 'was not said; nothing was changed'],
        ['Ctrl-C', '\x03', 130, 'interrupted'],
        ['the end of the input', '\x04', 2, 'was not said; nothing was changed'],
      ])('%s leaves everything as it was', async (_what, typed, expected, said) => {
        const before = [...stateOf(), text()];
        const { code, screen } = await kbOnTerminal(other, ['resolve'], [[QUESTION, typed]]);
        expect(screen).toContain(said);
        expect(code).toBe(expected);
        expect([...stateOf(), text()]).toEqual(before);
        expect((await kbOk(other, ['conflicts'])).stdout).toMatch(/^note\.md\tsync\toverlap/);
      });
    },
  );
});
