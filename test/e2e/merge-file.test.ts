import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { kb } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const entry = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

function files(base: string | Buffer, ours: string | Buffer, theirs: string | Buffer): string {
  const directory = makeTemporaryDirectory();
  writeFileSync(join(directory, 'base'), base);
  writeFileSync(join(directory, 'ours'), ours);
  writeFileSync(join(directory, 'theirs'), theirs);
  return directory;
}

const merge = (directory: string, ...flags: string[]): ReturnType<typeof kb> =>
  kb(directory, ['merge-file', 'base', 'ours', 'theirs', ...flags]);

describe('kb merge-file', () => {
  it('prints the merged text, exit 0; --path says what kind of text it is', async () => {
    const directory = files('- a\n', '- a\n- mine\n', '- a\n- yours\n');
    expect(await merge(directory, '--path', 'notes/x.md')).toMatchObject({ code: 0, stdout: '- a\n- mine\n- yours\n' });
    expect(await merge(directory)).toMatchObject({ code: 1 });
    const { code, stderr } = await merge(directory, '--path', 'notes/x.md', '--verbose');
    expect(code).toBe(0);
    expect(stderr).toContain('merged by list-items');
  });

  it('exit 1 and diff3 markers where a conflict is left', async () => {
    const directory = files('a red fox\n', 'a grey fox\n', 'a brown fox\n');
    const labels = ['-L', 'HEAD', '-L', 'parent', '-L', 'origin'];
    expect(await merge(directory, '--path', 'x.md', '--marker-size', '9', ...labels)).toMatchObject({
      code: 1,
      stdout: `${'<'.repeat(9)} HEAD\na grey fox\n${'|'.repeat(9)} parent\na red fox\n${'='.repeat(9)}\na brown fox\n${'>'.repeat(9)} origin\n`,
    });
  });

  it('--output writes the text to a file; a binary conflict leaves it alone', async () => {
    const directory = files('- a\n', '- a\n- mine\n', '- a\n- yours\n');
    expect(await merge(directory, '--path', 'x.md', '--output', 'ours')).toMatchObject({ code: 0, stdout: '' });
    expect(readFileSync(join(directory, 'ours'), 'utf8')).toBe('- a\n- mine\n- yours\n');
    const binary = files('\0a', '\0b', '\0c');
    const { code, stdout, stderr } = await merge(binary, '--output', 'ours');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('no text');
    expect(readFileSync(join(binary, 'ours'), 'utf8')).toBe('\0b');
  });

  it('--json says what it did', async () => {
    const merged = await merge(files('- a\n', '- a\n- mine\n', '- a\n- yours\n'), '--path', 'x.md', '--json');
    expect(merged.json()).toEqual({
      ok: true,
      result: 'merged',
      path: 'x.md',
      rules: ['list-items'],
      conflicts: 0,
      reason: null,
      text: '- a\n- mine\n- yours\n',
    });
    const latin1 = Buffer.from('\xe9\nb\nc\n', 'latin1');
    const other = await merge(files('\n', latin1, latin1), '--json');
    expect(other.json()).toMatchObject({ ok: true, text: null, base64: latin1.toString('base64') });
    const left = await merge(files('a\n', 'b\n', 'c\n'), '--json');
    expect(left.code).toBe(1);
    expect(left.json()).toMatchObject({ ok: true, result: 'conflict', conflicts: 1, reason: 'overlap' });
  });

  it('exit 2 for everything that is wrong, and nothing is written', async () => {
    const directory = files('a\n', 'b\n', 'c\n');
    expect((await kb(directory, ['merge-file', 'base', 'ours', 'nothing'])).code).toBe(2);
    expect((await kb(directory, ['merge-file', 'base', 'ours'])).code).toBe(2);
    expect((await merge(directory, '--marker-size', '0')).code).toBe(2);
    expect((await merge(directory, '--output', 'no/such/folder')).code).toBe(2);
    expect((await merge(directory, '--output', 'out', '-L', '1', '-L', '2', '-L', '3', '-L', '4')).code).toBe(2);
    expect(existsSync(join(directory, 'out'))).toBe(false);
  });
});

describe.skipIf(!nativeGit.available)("kb merge-file as native git's merge driver (needs native git)", () => {
  function repository(): string {
    const directory = makeTemporaryDirectory();
    git(directory, ['init', '-q']);
    git(directory, ['config', 'merge.kb.name', 'notes']);
    // the two lines of docs/merging.md
    git(directory, [
      'config',
      'merge.kb.driver',
      `"${process.execPath}" "${entry}" merge-file %O %A %B --path %P --output %A --marker-size %L`,
    ]);
    writeFileSync(join(directory, '.gitattributes'), '*.md merge=kb\n');
    return directory;
  }

  function commit(directory: string, text: string, message: string): void {
    writeFileSync(join(directory, 'note.md'), text);
    git(directory, ['add', '.']);
    git(directory, ['commit', '-q', '-m', message]);
  }

  function diverge(directory: string, base: string, ours: string, theirs: string): void {
    commit(directory, base, 'base');
    git(directory, ['switch', '-q', '-c', 'other']);
    commit(directory, theirs, 'theirs');
    git(directory, ['switch', '-q', 'main']);
    commit(directory, ours, 'ours');
  }

  it('merges what git alone would leave as a conflict', () => {
    const directory = repository();
    diverge(directory, '- a\n', '- a\n- mine\n', '- a\n- yours\n');
    git(directory, ['merge', '-q', '--no-edit', 'other']);
    expect(readFileSync(join(directory, 'note.md'), 'utf8')).toBe('- a\n- mine\n- yours\n');
    expect(git(directory, ['status', '--porcelain'])).toBe('');
    git(directory, ['fsck', '--strict']);
  });

  it('leaves the rest to the person, with markers in the file', () => {
    const directory = repository();
    diverge(directory, 'a red fox\n', 'a grey fox\n', 'a brown fox\n');
    git(directory, ['merge', '-q', '--no-edit', 'other'], { allowFailure: true });
    expect(git(directory, ['status', '--porcelain'])).toBe('UU note.md\n');
    expect(readFileSync(join(directory, 'note.md'), 'utf8')).toMatch(
      /^<{7} .*\na grey fox\n\|{7} .*\na red fox\n={7}\na brown fox\n>{7} .*\n$/,
    );
  });
});
