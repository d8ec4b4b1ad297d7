import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { kb } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/** Two KBs of one remote, both with a change of note.md that the other one does not have. */
async function twoWriters(base: string, first: string, second: string): Promise<{ one: string; other: string }> {
  const directory = makeTemporaryDirectory();
  const [remote, one, other] = [join(directory, 'remote.git'), join(directory, 'one'), join(directory, 'other')];
  await kb(directory, ['init', one, '--remote', remote]);
  writeFileSync(join(one, 'note.md'), base);
  await kb(one, ['sync']);
  await kb(directory, ['clone', remote, other, '--depth', 'full']);
  writeFileSync(join(one, 'note.md'), first);
  expect(await kb(one, ['sync'])).toMatchObject({ code: 0 });
  writeFileSync(join(other, 'note.md'), second);
  return { one, other };
}

const text = (directory: string): string => readFileSync(join(directory, 'note.md'), 'utf8');

describe('kb sync with edits that a line merge cannot put together', () => {
  it('merges them by rules, says which under --json, and what was there first comes first', async () => {
    const { one, other } = await twoWriters('- a\n', '- a\n- first\n', '- a\n- second\n');
    const run = await kb(other, ['sync', '--json']);
    expect(run.json()).toMatchObject({
      ok: true,
      result: 'merged',
      merged: [{ path: 'note.md', rules: ['list-items'] }],
    });
    expect(text(other)).toBe('- a\n- first\n- second\n');
    await kb(one, ['sync']);
    expect(text(one)).toBe('- a\n- first\n- second\n');
  });

  it('names the rules under --verbose only', async () => {
    const quiet = await twoWriters('- a\n', '- a\n- first\n', '- a\n- second\n');
    expect((await kb(quiet.other, ['sync'])).stderr).not.toContain('list-items');
    const loud = await twoWriters('- a\n', '- a\n- first\n', '- a\n- second\n');
    expect((await kb(loud.other, ['sync', '--verbose'])).stderr).toContain('note.md: merged by list-items');
  });

  it('names no rule where lines alone sufficed', async () => {
    const { other } = await twoWriters('a\nb\nc\n', 'A\nb\nc\n', 'a\nb\nC\n');
    expect((await kb(other, ['sync', '--json'])).json()).toMatchObject({ merged: [{ path: 'note.md', rules: [] }] });
  });

  it('stops with exit 5 where there are two answers, and changes nothing', async () => {
    const { other } = await twoWriters('a red fox\n', 'a grey fox\n', 'a brown fox\n');
    expect((await kb(other, ['sync'])).code).toBe(5);
    expect(text(other)).toBe('a brown fox\n');
  });

  it('collects the rules of many commits that are replayed', async () => {
    const { other } = await twoWriters('# T\n\n- a\n', '# T\n\n- a\n- first\n', '# T\n\n- a\n- second\n');
    await kb(other, ['sync'], { env: { KB_GIT_ENABLED: 'false' } });
    writeFileSync(join(other, 'note.md'), text(other).replace('# T', '# Title'));
    await kb(other, ['sync'], { env: { KB_GIT_ENABLED: 'false' } });
    writeFileSync(join(other, 'note.md'), `${text(other)}- third\n`);
    const run = await kb(other, ['sync', '--json']);
    expect(run.json()).toMatchObject({ ok: true, conflicts: [], pushed: 3 });
    expect(text(other)).toBe('# Title\n\n- a\n- first\n- second\n- third\n');
  });

  it.skipIf(!nativeGit.available)('leaves a repository that native git accepts (needs native git)', async () => {
    const { other } = await twoWriters('- a\n', '- a\n- first\n', '- a\n- second\n');
    await kb(other, ['sync']);
    expect(git(other, ['status', '--porcelain'])).toBe('');
    git(other, ['fsck', '--strict']);
    expect(git(other, ['show', 'origin/main:note.md'])).toBe('- a\n- first\n- second\n');
  });
});
