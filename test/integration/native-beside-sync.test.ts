import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { surroundings } from '../../src/kb/surroundings.js';
import { openKbAt } from '../../src/kb/open.js';
import { sync } from '../../src/kb/sync.js';
import { expectNativeGitAgrees } from '../support/agree.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

describe.skipIf(!nativeGit.available)('kb sync beside native git (needs native git)', () => {
  it.each([
    ['takes files away', ['sparse-checkout', 'set', '--cone', 'other'], false],
    ['only looks', ['status'], true],
  ] as const)('while it %s', async (_name, args, goesOn) => {
    const root = makeTemporaryDirectory();
    const [remote, kb] = [join(root, 'remote.git'), join(root, 'kb')];
    git(root, ['init', '-q', '--bare', remote]);
    git(root, ['init', '-q', kb]);
    for (const folder of ['other', 'team']) {
      mkdirSync(join(kb, folder));
      writeFileSync(join(kb, folder, 'in.md'), `${folder}\n`);
    }
    git(kb, ['add', '-A']);
    git(kb, ['commit', '-q', '-m', 'Start']);
    git(kb, ['remote', 'add', 'origin', remote]);
    git(kb, ['push', '-q', '-u', 'origin', 'HEAD']);
    const branch = git(kb, ['symbolic-ref', '--short', 'HEAD']).trim();
    writeFileSync(join(kb, 'other/in.md'), 'edited\n');

    let hasRun = false;
    const meanwhile = ((path: string | Buffer, ...rest: []) => {
      if (!hasRun && path.toString().endsWith('team/in.md')) {
        hasRun = true;
        git(kb, args);
      }
      return nodeDisk.lstatSync(path, ...rest);
    }) as Disk['lstatSync'];
    const syncWith = async (disk: Disk): Promise<unknown> => {
      const env = { HOME: root, GIT_CONFIG_NOSYSTEM: '1', GIT_AUTHOR_NAME: 'Ann', GIT_AUTHOR_EMAIL: 'ann@example.com' };
      const opened = await openKbAt(surroundings({ env, cwd: kb, disk }), kb, {});
      return sync(opened, { direction: 'both', commit: true }).then(
        (result) => result.result,
        (error: unknown) => error,
      );
    };
    const result = await syncWith({ ...nodeDisk, lstatSync: meanwhile });
    expect(hasRun).toBe(true);
    if (goesOn) expect(result).toBe('pushed');
    else expect(result).toMatchObject({ code: 'E_UNSAFE_STATE', retryable: true });
    expect(await syncWith(nodeDisk)).toBe(goesOn ? 'up_to_date' : 'pushed');
    expect(git(remote, ['ls-tree', '-r', '--name-only', branch])).toBe('other/in.md\nteam/in.md\n');
    expect(git(remote, ['show', `${branch}:other/in.md`])).toBe('edited\n');
    expectNativeGitAgrees(kb, remote);
  });
});
