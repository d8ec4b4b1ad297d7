import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNativeGitAgrees } from '../support/agree.js';
import { kb, kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

describe.skipIf(!nativeGit.available)('kb clone --branch (needs native git)', () => {
  const root = makeTemporaryDirectory();
  const remote = join(root, 'remote.git');

  beforeAll(async () => {
    await kbOk(root, ['init', 'first', '--remote', 'remote.git']);
    await kbOk(join(root, 'first'), ['note', '--path', 'first.md', 'one']);
    for (const name of ['drafts', 'team/notes', 'team/plans']) git(remote, ['branch', name]);
    git(join(root, 'first'), ['commit', '-q', '--allow-empty', '-m', 'only on main']);
    git(join(root, 'first'), ['push', '-q', 'origin', 'main']);
    git(remote, ['tag', 'v1', 'main']);
  });

  it('brings that branch alone, and goes on with it as `git clone --single-branch` does', async () => {
    const run = await kbOk(root, ['clone', '--branch', 'team/notes', 'remote.git', 'notes', '--json']);
    expect(run.json()).toMatchObject({ branch: 'team/notes', head: git(remote, ['rev-parse', 'drafts']).trim() });
    const clone = join(root, 'notes');
    git(root, ['clone', '-q', '--single-branch', '--branch', 'team/notes', remote, 'native']);
    const settings = (directory: string): string =>
      git(directory, ['config', '--local', '--get-regexp', '^(remote|branch)\\.']);
    expect(settings(clone)).toBe(settings(join(root, 'native')));
    expect(git(clone, ['for-each-ref', '--format=%(refname)']).trim().split('\n')).toEqual([
      'refs/heads/team/notes',
      'refs/remotes/origin/team/notes',
    ]);
    await kbOk(clone, ['note', 'on the branch']);
    git(clone, ['fetch', '-q']);
    expectNativeGitAgrees(clone, remote);
    expect(git(remote, ['rev-list', '--count', 'main..team/notes']).trim()).toBe('1');
  });

  it('names the branches that there are, where it is none of them, and leaves nothing behind', async () => {
    const run = await kb(root, ['clone', '--branch', 'team/note', 'remote.git', 'none', '--json']);
    expect(run.code).toBe(2);
    expect(run.json()).toMatchObject({
      error: {
        code: 'E_USAGE',
        message: expect.stringContaining(
          'has no branch team/note: it has drafts, main, team/notes, team/plans',
        ) as string,
        hint: expect.stringContaining('--branch team/notes') as string,
        details: { branches: ['drafts', 'main', 'team/notes', 'team/plans'] },
      },
    });
    expect(existsSync(join(root, 'none'))).toBe(false);
  });

  it('takes no tag for a branch: the KB is read-only, and says so', async () => {
    const run = await kbOk(root, ['clone', '--branch', 'v1', 'remote.git', 'tag', '--json']);
    expect(run.json()).toMatchObject({ branch: null, head: git(remote, ['rev-parse', 'v1^{commit}']).trim() });
    const note = await kb(join(root, 'tag'), ['note', 'one more', '--json']);
    expect(note.json()).toMatchObject({ error: { code: 'E_UNSAFE_STATE', details: { pinned: 'v1' } } });
  });
});
