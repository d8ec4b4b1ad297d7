import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/** A bare repository with one commit, and another that mirrors it. */
function repositories(): { place: string; remote: string; mirror: string } {
  const place = makeTemporaryDirectory();
  const [seed, remote, mirror] = ['seed', 'remote.git', 'mirror.git'].map((name) => join(place, name)) as [
    string,
    string,
    string,
  ];
  git(place, ['init', '--quiet', seed]);
  git(seed, ['commit', '--quiet', '--allow-empty', '-m', 'first']);
  git(place, ['clone', '--quiet', '--bare', seed, remote]);
  git(place, ['clone', '--quiet', '--bare', '--mirror', remote, mirror]);
  return { place, remote, mirror };
}

describe.skipIf(!nativeGit.available)('addresses of remotes in git configuration (needs native git)', () => {
  it('insteadOf: cloned and synced through the short name, which native git understands too', async () => {
    const { place, remote } = repositories();
    const config = join(place, 'gitconfig');
    writeFileSync(config, `[url "${place}/"]\n\tinsteadOf = team:\n`);
    const env = { GIT_CONFIG_GLOBAL: config };
    await kbOk(place, ['clone', 'team:remote.git', 'kb'], { env });
    const clone = join(place, 'kb');
    expect(readFileSync(join(clone, '.git/config'), 'utf8')).toContain('url = team:remote.git');
    expect((await kbOk(place, ['clone', 'team:remote.git', 'kb', '--json'], { env })).json()).toMatchObject({
      status: 'already_cloned',
      url: remote,
    });
    await kbOk(clone, ['note', 'hello', '--path', 'a.md'], { env });
    expect(git(remote, ['show', 'main:a.md'])).toContain('hello');
    git(clone, ['fetch', '--quiet'], { env });
    expect(git(clone, ['status', '--porcelain', '--branch'], { env })).toBe('## main...origin/main\n');
  });

  it.each([
    ['pushInsteadOf', (place: string) => `[url "${place}/remote"]\n\tpushInsteadOf = ${place}/mirror\n`],
    ['pushurl', (place: string) => `[remote "origin"]\n\tpushurl = ${place}/remote.git\n`],
  ])('%s: pushes go there, and what others pushed there comes in before', async (_, text) => {
    const { place, remote, mirror } = repositories();
    const config = join(place, 'gitconfig');
    await kbOk(place, ['clone', mirror, 'kb']);
    writeFileSync(config, text(place));
    const env = { GIT_CONFIG_GLOBAL: config };
    git(place, ['clone', '--quiet', remote, 'other']);
    writeFileSync(join(place, 'other/b.md'), 'other\n');
    git(join(place, 'other'), ['add', '.']);
    git(join(place, 'other'), ['commit', '--quiet', '-m', 'other']);
    git(join(place, 'other'), ['push', '--quiet']);

    const before = git(mirror, ['rev-parse', 'main']);
    await kbOk(join(place, 'kb'), ['note', 'hello', '--path', 'a.md'], { env });
    expect(git(remote, ['ls-tree', '--name-only', 'main'])).toBe('a.md\nb.md\n');
    expect(git(mirror, ['rev-parse', 'main'])).toBe(before);
    git(join(place, 'kb'), ['fsck', '--strict']);
  });
});
