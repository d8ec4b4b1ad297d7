import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { expectNativeGitAgrees, expectSound, filesOnRemote } from '../support/agree.js';
import { kb, kbEnvironment, kbOk, type KbOptions, type KbRun } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const entry = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const LINES = 'one\ntwo\nthree\nfour\nfive\n';

describe.skipIf(!nativeGit.available)('kb edit (needs native git)', () => {
  let root: string;
  let remote: string;
  let ann: string;
  let temporary: string;

  beforeEach(async () => {
    root = makeTemporaryDirectory();
    remote = join(root, 'remote.git');
    ann = join(root, 'ann');
    temporary = join(root, 'tmp');
    mkdirSync(temporary);
    await kbOk(root, ['init', 'ann', '--remote', 'remote.git']);
    await kbOk(ann, ['note', '--path', 'a.md', '--no-frontmatter', LINES.trimEnd()]);
    await kbOk(root, ['clone', 'remote.git', 'ben']);
  });

  /** The environment with an editor made of these lines of JavaScript; `file` is what it was given. */
  function editor(...lines: string[]): NonNullable<KbOptions['env']> {
    const script = join(root, `editor-${readdirSync(root).length}.mjs`);
    const header = [
      "import * as fs from 'node:fs'; import { spawnSync } from 'node:child_process';",
      'const file = process.argv[2]; const text = fs.readFileSync(file, "utf8");',
      'const write = (data) => fs.writeFileSync(file, data);',
      `const kb = (where, command, ...args) => spawnSync(process.execPath, [${JSON.stringify(entry)}, command, '--kb', where, ...args], { env: ${JSON.stringify(kbEnvironment())} }).status;`,
    ];
    writeFileSync(script, [...header, ...lines].join('\n'));
    return { EDITOR: `${process.execPath} ${script}`, PATH: process.env['PATH'], TMPDIR: temporary };
  }

  const edit = (env: NonNullable<KbOptions['env']>, ...args: string[]): Promise<KbRun> =>
    kb(ann, ['edit', ...args], { env });
  const onRemote = (path: string): string | undefined => filesOnRemote(remote).get(path);
  const replace = (from: string, to: string): string =>
    `write(text.replace(${JSON.stringify(from)}, ${JSON.stringify(to)}));`;
  /** Another clone changes the file while it is open. */
  const benReplaces = (from: string, to: string): string =>
    `if (kb(${JSON.stringify(join(root, 'ben'))}, 'note', '--replace', 'a.md', text.replace(${JSON.stringify(from)}, ${JSON.stringify(to)}))) process.exit(9);`;

  /** The text that a failed edit left behind, by the file that was named; it is the only thing that was left. */
  function kept(run: KbRun): string {
    const [file = expect.fail(`no file is named: ${run.stderr}${run.stdout}`)] =
      /[^\s"]*\/\.kb_tmp_edit[^\s":;]*/.exec(run.stderr + run.stdout) ?? [];
    expect(readdirSync(temporary)).toEqual([basename(dirname(file))]);
    return readFileSync(file, 'utf8');
  }

  it('opens the editor on the newest version and shares what was saved', async () => {
    await kbOk(join(root, 'ben'), ['note', '--replace', 'a.md', LINES.replace('five', 'FIVE')]);
    const run = await edit(editor(replace('one', 'ONE')), 'a.md');
    expect([run.code, run.stdout, run.stderr]).toEqual([0, 'a.md\n', '']);
    expect(onRemote('a.md')).toBe('ONE\ntwo\nthree\nfour\nFIVE\n');
    expect(git(remote, ['log', '-1', '--format=%an: %s', 'main'])).toBe('Ann Author: Update a.md\n');
    expect(readdirSync(temporary)).toEqual([]);
    expectNativeGitAgrees(ann, remote);
  });

  it('gives a receipt as JSON, and keeps what the editor prints out of it', async () => {
    const env = editor('console.log("drawn by the editor");', replace('one', 'ONE'));
    const run = await edit(env, 'a.md', '--json', '--author', 'Cy <cy@example.com>', '-m', 'By hand');
    expect(run.json()).toEqual({
      ok: true,
      kb: ann,
      path: 'a.md',
      result: 'edited',
      commit: git(remote, ['rev-parse', 'main']).trim(),
      branch: 'main',
      landed: true,
      merged: false,
      rules: [],
      restored: false,
      url: null,
      wikilink: '[[a]]',
      changes: [expect.objectContaining({ path: 'a.md', kind: 'modified' })],
      waitedMs: expect.any(Number) as number,
      durationMs: expect.any(Number) as number,
    });
    expect(run.stderr).toBe('drawn by the editor\n');
    expect(git(remote, ['log', '-1', '--format=%an <%ae> %s', 'main'])).toBe('Cy <cy@example.com> By hand\n');
  });

  it('gives the editor a private copy of the same name, away from the KB', async () => {
    const env = editor(
      'const mode = (path) => (fs.statSync(path).mode & 0o777).toString(8);',
      'const folder = file.slice(0, file.lastIndexOf("/"));',
      'write([file, mode(file), mode(folder)].join("\\n"));',
    );
    await edit(env, 'folder/script.PY');
    const [file = '', ...modes] = (onRemote('folder/script.PY') ?? '').split('\n');
    expect(basename(file)).toBe('script.PY');
    expect(dirname(dirname(file))).toBe(temporary);
    expect(modes).toEqual(['600', '700']);
  });

  it('merges with what others wrote while the file was open', async () => {
    const run = await edit(editor(benReplaces('five', 'FIVE'), replace('one', 'ONE')), 'a.md', '--json');
    expect(run.json()).toMatchObject({ ok: true, landed: true, merged: true });
    expect(onRemote('a.md')).toBe('ONE\ntwo\nthree\nfour\nFIVE\n');
    expectNativeGitAgrees(ann, remote);
  });

  it('keeps the text where it cannot be merged, says where, and pushes nothing', async () => {
    const run = await edit(editor(benReplaces('three', 'theirs'), replace('three', 'mine')), 'a.md');
    expect([run.code, run.stdout]).toEqual([5, '']);
    expect(run.stderr).toContain('a.md was not changed: others changed the same lines');
    expect(run.stderr).toContain('bring it together with theirs: kb resolve a.md --edit');
    expect(kept(run)).toBe(LINES.replace('three', 'mine'));
    expect(onRemote('a.md')).toBe(LINES.replace('three', 'theirs'));
    expectSound(ann);
    expect(git(ann, ['status', '--porcelain'])).toBe('');
    // the way out that the message names
    const both = LINES.replace('three', 'mine and theirs');
    expect(
      (await kb(ann, ['resolve', 'a.md', '--edit'], { env: editor(`write(${JSON.stringify(both)});`) })).code,
    ).toBe(0);
    expect(onRemote('a.md')).toBe(both);
  });

  it('tells a program the same: the code, the blobs, the file', async () => {
    const run = await edit(editor(benReplaces('three', 'theirs'), replace('three', 'mine')), 'a.md', '--json');
    const { error } = run.json() as { error: { code: string; exitCode: number; details: Record<string, string> } };
    expect(error).toMatchObject({ code: 'E_CONFLICT', exitCode: 5, details: { path: 'a.md', reason: 'overlap' } });
    expect(readFileSync(error.details['file'] ?? '', 'utf8')).toBe(LINES.replace('three', 'mine'));
    expect(git(ann, ['cat-file', 'blob', error.details['ours'] ?? ''])).toBe(LINES.replace('three', 'mine'));
  });

  it('brings back what others deleted meanwhile, and says so', async () => {
    const ben = join(root, 'ben');
    const env = editor(
      `fs.rmSync(${JSON.stringify(join(ben, 'a.md'))});`,
      `if (kb(${JSON.stringify(ben)}, 'sync')) process.exit(9);`,
      replace('one', 'ONE'),
    );
    const run = await edit(env, 'a.md', '--json');
    expect(run.json()).toMatchObject({ ok: true, restored: true, warnings: [expect.stringContaining('it is back')] });
    expect(onRemote('a.md')).toBe(LINES.replace('one', 'ONE'));
    expectNativeGitAgrees(ann, remote);
  });

  it.each([
    ['is left as it was', ''],
    ['is written again with the same text', 'write(text);'],
    ['is emptied', 'write("");'],
    ['is left with nothing but blanks', 'write(" \\n\\n");'],
  ])('does nothing when the file %s', async (_what, line) => {
    const before = git(remote, ['rev-parse', 'main']).trim();
    const run = await edit(editor(line), 'a.md', '--json');
    expect([run.code, run.json()]).toEqual([
      0,
      expect.objectContaining({ ok: true, result: 'unchanged', commit: before, changes: [] }),
    ]);
    expect((await edit(editor(line), 'a.md')).stdout).toBe('');
    expect(git(remote, ['rev-parse', 'main']).trim()).toBe(before);
    expect(onRemote('a.md')).toBe(LINES);
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('makes a new file; an empty one is none', async () => {
    const empty = await edit(editor('write("");'), 'new/idea.md', '--json');
    expect(empty.json()).toMatchObject({ ok: true, result: 'unchanged' });
    expect(onRemote('new/idea.md')).toBeUndefined();
    expect((await edit(editor('write("an idea");'), 'new/idea.md')).stdout).toBe('new/idea.md\n');
    expect(onRemote('new/idea.md')).toBe('an idea');
    expectNativeGitAgrees(ann, remote);
  });

  it('bytes in, bytes out', async () => {
    const env = editor(
      'const data = fs.readFileSync(file);',
      'write(Buffer.concat([data, Buffer.from([0xff, 0xfe, 0x00, 0x0d, 0x0a, 0xe9])]));',
    );
    const bytes = Buffer.from('caf\xe9\r\n', 'latin1');
    writeFileSync(join(ann, 'old.txt'), bytes);
    await kbOk(ann, ['sync']);
    expect((await edit(env, 'old.txt')).code).toBe(0);
    expect(readFileSync(join(ann, 'old.txt'))).toEqual(
      Buffer.concat([bytes, Buffer.from([0xff, 0xfe, 0, 13, 10, 0xe9])]),
    );
    expectNativeGitAgrees(ann, remote);
  });

  it('stays local with --no-push', async () => {
    const run = await edit(editor(replace('one', 'ONE')), 'a.md', '--no-push', '--json');
    expect(run.json()).toMatchObject({ ok: true, landed: false, result: 'edited' });
    expect(onRemote('a.md')).toBe(LINES);
    await kbOk(ann, ['sync']);
    expect(onRemote('a.md')).toBe(LINES.replace('one', 'ONE'));
  });

  it.each([
    ['there is no editor', ['a.md'], { EDITOR: undefined }, 2, 'no editor is set'],
    ['the path leads out', ['../a.md'], {}, 2, "cannot be a note's path"],
    ['the path is a folder', ['folder'], {}, 2, 'folder is a folder'],
    ['the file has uncommitted edits', ['dirty.md'], {}, 7, 'kb sync'],
    ['no path is given', [], {}, 2, 'Missing 1 required arg'],
  ] as const)('stops before the editor opens when %s', async (_what, args, over, code, message) => {
    mkdirSync(join(ann, 'folder'));
    for (const name of ['dirty.md', 'folder/b.md']) writeFileSync(join(ann, name), 'x\n');
    await kbOk(ann, ['sync']);
    writeFileSync(join(ann, 'dirty.md'), 'y\n');
    const opened = join(root, 'opened');
    const run = await edit({ ...editor(`fs.writeFileSync(${JSON.stringify(opened)}, '');`), ...over }, ...args);
    expect([run.code, run.stdout]).toEqual([code, '']);
    expect(run.stderr).toContain(message);
    expect(() => statSync(opened)).toThrow('ENOENT');
    expect(readFileSync(join(ann, 'dirty.md'), 'utf8')).toBe('y\n');
  });

  it('does not wait for the lock to say that there is no editor', async () => {
    mkdirSync(join(ann, '.kb_operations.lock'));
    const env = { ...editor(), EDITOR: undefined };
    expect((await edit(env, 'a.md', '--lock-timeout', '100ms')).code).toBe(2);
    expect((await edit(editor(), 'a.md', '--lock-timeout', '100ms')).code).toBe(6);
  });

  it.each([
    ['ends with an error', 'process.exit(3);', 2, 'exit code 3'],
    ['is ended by Ctrl-C', 'process.kill(process.pid, "SIGINT"); setTimeout(() => {}, 1000);', 130, 'interrupted'],
    ['is killed', 'process.kill(process.pid, "SIGKILL"); setTimeout(() => {}, 1000);', 2, 'the editor'],
  ])('writes nothing when the editor %s, and keeps the text', async (_what, line, code, message) => {
    const run = await edit(editor('write("half a thought");', line), 'a.md');
    expect([run.code, run.stdout]).toEqual([code, '']);
    expect(run.stderr).toContain(message);
    expect(kept(run)).toBe('half a thought');
    expect(onRemote('a.md')).toBe(LINES);
    rmSync(temporary, { recursive: true });
    mkdirSync(temporary);
    // where there is no text, nothing is left behind
    expect((await edit(editor(line), 'a.md')).code).toBe(code);
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('says so when the editor cannot be started', async () => {
    const run = await edit({ ...editor(), EDITOR: '/no/such/editor' }, 'a.md');
    expect([run.code, run.stderr.includes('exit code 127')]).toEqual([2, true]);
    const noShell = await edit({ ...editor(), PATH: root }, 'a.md');
    expect([noShell.code, noShell.stderr.includes('could not be started')]).toEqual([2, true]);
    expect(readdirSync(temporary)).toEqual([]);
  });

  describe('signals while the editor is open', () => {
    /** Sends the signal to kb alone as soon as the editor has written; the editor then waits for its file to go on. */
    async function signalled(signal: NodeJS.Signals, ...after: string[]): Promise<KbRun> {
      const ready = join(root, 'ready');
      const go = join(root, 'go');
      const wait = `while (!fs.existsSync(${JSON.stringify(go)})) await new Promise((resolve) => setTimeout(resolve, 5));`;
      const env = editor(replace('one', 'ONE'), `fs.writeFileSync(${JSON.stringify(ready)}, '');`, wait, ...after);
      let pid = 0;
      const run = kb(ann, ['edit', 'a.md'], { env, onStart: (started) => (pid = started) });
      const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;
      while (!exists(ready)) await new Promise((resolve) => setTimeout(resolve, 5));
      process.kill(pid, signal);
      await new Promise((resolve) => setTimeout(resolve, 100));
      writeFileSync(go, '');
      return run;
    }

    it('Ctrl-C is the key of the editor: kb goes on', async () => {
      const run = await signalled('SIGINT');
      expect([run.code, run.stdout]).toEqual([0, 'a.md\n']);
      expect(onRemote('a.md')).toBe(LINES.replace('one', 'ONE'));
    });

    it('SIGTERM ends both; the text stays', async () => {
      const run = await signalled(
        'SIGTERM',
        'await new Promise((resolve) => setTimeout(resolve, 2000)); write("ran on");',
      );
      expect(run.code).toBe(143);
      expect(kept(run)).toBe(LINES.replace('one', 'ONE'));
      expect(onRemote('a.md')).toBe(LINES);
      expectNativeGitAgrees(ann, remote);
    });
  });

  it('keeps the text when the lock does not come, and waits for it no longer than told', async () => {
    const env = editor(replace('one', 'ONE'), `fs.mkdirSync(${JSON.stringify(join(ann, '.kb_operations.lock'))});`);
    const run = await edit(env, 'a.md', '--lock-timeout', '300ms');
    expect(run.code).toBe(6);
    expect(kept(run)).toBe(LINES.replace('one', 'ONE'));
  });

  it('keeps the text when the remote refuses', async () => {
    const hook = join(remote, 'hooks/pre-receive');
    mkdirSync(dirname(hook), { recursive: true });
    writeFileSync(hook, '#!/bin/sh\necho not today >&2\nexit 1\n', { mode: 0o755 });
    const run = await edit(editor(replace('one', 'ONE')), 'a.md');
    expect([run.code, run.stderr.includes('not today')]).toEqual([14, true]);
    expect(kept(run)).toBe(LINES.replace('one', 'ONE'));
    expectNativeGitAgrees(ann, remote);
  });

  it('edits the version that is here while the remote is away; the commit goes out later', async () => {
    git(ann, ['config', 'remote.origin.url', 'http://127.0.0.1:9/kb.git']);
    const run = await edit(editor(replace('one', 'ONE')), 'a.md');
    expect(run.code).toBe(3);
    expect(run.stderr).toContain('this is the version that was pulled last');
    expect(run.stderr).toContain('saved locally');
    expect(readdirSync(temporary)).toEqual([]);
    git(ann, ['config', 'remote.origin.url', remote]);
    await kbOk(ann, ['sync']);
    expect(onRemote('a.md')).toBe(LINES.replace('one', 'ONE'));
    expectNativeGitAgrees(ann, remote);
  });

  it('holds no lock while the editor is open', async () => {
    const env = editor(
      `if (fs.existsSync(${JSON.stringify(join(ann, '.kb_operations.lock'))})) process.exit(8);`,
      `if (kb(${JSON.stringify(ann)}, 'note', 'meanwhile', '--path', 'b.md', '--lock-timeout', '0')) process.exit(9);`,
      replace('one', 'ONE'),
    );
    expect(await edit(env, 'a.md')).toMatchObject({ code: 0 });
    expect([...filesOnRemote(remote).keys()]).toEqual(['a.md', 'b.md']);
    expectNativeGitAgrees(ann, remote);
  });

  it('takes the path from the KB, however it is written', async () => {
    mkdirSync(join(ann, 'sub'));
    const run = await kb(join(ann, 'sub'), ['edit', './a.md'], { env: editor(replace('one', 'ONE')) });
    expect([run.code, run.stdout]).toEqual([0, 'a.md\n']);
  });
});
