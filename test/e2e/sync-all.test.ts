import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { expectNativeGitAgrees } from '../support/agree.js';
import { kb, kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const NAMES = ['ann', 'ben', 'cas', 'dan', 'eve', 'fay'];

describe.skipIf(!nativeGit.available)('kb sync --all (needs native git)', () => {
  let root: string;
  let env: { HOME: string };
  const at = (name: string): string => join(root, name);

  beforeEach(async () => {
    root = makeTemporaryDirectory();
    env = { HOME: join(root, 'home') };
    mkdirSync(env.HOME);
    for (const name of NAMES) {
      await kbOk(root, ['init', name, '--remote', `${name}.git`, '--name', name], { env });
      await kbOk(at(name), ['note', '--path', 'a.md', '--no-frontmatter', 'one'], { env });
    }
  });

  it('syncs every KB that is registered, from anywhere, and tells them in the order of their names', async () => {
    for (const name of NAMES) writeFileSync(join(at(name), `${name}.md`), `${name}\n`);
    const check = (await kbOk('/', ['sync', '--all', '--check', '--json'], { env })).json() as { kbs: object[] };
    expect(check.kbs).toMatchObject(NAMES.map((name) => ({ name, ok: true, check: true, result: 'pushed' })));
    const { kbs } = (await kbOk('/', ['sync', '--all', '--json'], { env })).json() as { kbs: object[] };
    expect(kbs).toMatchObject(NAMES.map((name) => ({ name, dir: at(name), ok: true, result: 'pushed', pushed: 1 })));
    for (const name of NAMES) {
      expectNativeGitAgrees(at(name), join(root, `${name}.git`));
      expect(git(at(name), ['show', `origin/main:${name}.md`])).toBe(`${name}\n`);
    }
    const { stdout } = await kbOk('/', ['sync', '--all'], { env });
    expect(stdout.split('\n').map((line) => line.split(':')[0])).toEqual([...NAMES, '']);
  });

  it('one that fails keeps none of the others back, and gives the exit code', async () => {
    for (const name of NAMES) writeFileSync(join(at(name), 'a.md'), `${name}\n`);
    writeFileSync(join(at('ben'), '.git/MERGE_HEAD'), git(at('ben'), ['rev-parse', 'HEAD']));
    rmSync(join(root, 'dan.git'), { recursive: true });
    rmSync(at('eve'), { recursive: true });
    const run = await kb('/', ['sync', '--all', '--json'], { env });
    const { error, ok } = run.json() as {
      ok: boolean;
      error: { code: string; message: string; details: { kbs: object[] } };
    };
    expect([run.code, ok, error.code]).toEqual([7, false, 'E_UNSAFE_STATE']);
    expect(error.message).toMatch(/^2 of 5 KBs were not synced: ben: .*; dan: /);
    expect(error.details.kbs).toMatchObject([
      { name: 'ann', ok: true, result: 'pushed' },
      { name: 'ben', ok: false, error: { code: 'E_UNSAFE_STATE', exitCode: 7 } },
      { name: 'cas', ok: true, result: 'pushed' },
      { name: 'dan', ok: false },
      { name: 'fay', ok: true, result: 'pushed' },
    ]);
    for (const name of ['ann', 'cas', 'fay']) expectNativeGitAgrees(at(name), join(root, `${name}.git`));
    const told = await kb('/', ['sync', '--all'], { env });
    expect(told.stderr).toContain(`eve: there is no KB at ${at('eve')} any more`);
    expect(existsSync(at('eve'))).toBe(false);
    expect(readFileSync(join(at('ben'), 'a.md'), 'utf8')).toBe('ben\n');
  });

  it('says so where none is registered, and takes no KB beside it', async () => {
    const empty = { HOME: join(root, 'nobody') };
    mkdirSync(empty.HOME);
    expect((await kb('/', ['sync', '--all'], { env: empty })).code).toBe(8);
    expect((await kb('/', ['sync', '--all', '--kb', 'ann'], { env })).code).toBe(2);
    expect((await kb('/', ['sync', '--all', '--branch', 'x'], { env })).code).toBe(2);
  });
});
