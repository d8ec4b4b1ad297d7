import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../src/disk/disk.js';
import { initRepository } from '../../../src/git/init-repository.js';
import { checkedOutBranch, openKb, openKbAt, optional, type Kb } from '../../../src/kb/open.js';
import { upstreamOf } from '../../../src/kb/upstream.js';
import { surroundings } from '../../../src/kb/surroundings.js';

let root: string;

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'kb-open-')));
  initRepository(nodeDisk, join(root, '.git'), { bare: false, branch: 'main' });
});
afterEach(() => rmSync(root, { recursive: true }));

function world(env: NodeJS.ProcessEnv = {}): ReturnType<typeof surroundings> {
  return surroundings({ cwd: root, env: { HOME: join(root, 'home'), GIT_CONFIG_NOSYSTEM: '1', ...env } });
}

async function open(env: NodeJS.ProcessEnv = {}): Promise<Kb> {
  const kb = await openKb(world(env), {});
  kb.objects.close();
  return kb;
}

function configure(text: string): void {
  writeFileSync(join(root, '.git/config'), `[core]\n\trepositoryformatversion = 0\n${text}`);
}

describe('openKb', () => {
  it.each([
    ['another format', '[core]\nrepositoryformatversion = 2', /repository format 2/],
    ['SHA-256', '[core]\nrepositoryformatversion = 1\n[extensions]\nobjectFormat = sha256', /sha256 object ids/],
    ['reftable', '[core]\nrepositoryformatversion = 1\n[extensions]\nrefStorage = reftable', /reftable/],
    ['a work tree elsewhere', '[core]\nworktree = ../other', /core\.worktree/],
    ['a sparse checkout by patterns', '[core]\nsparseCheckout = true', /sparse checkout by patterns/],
    [
      'a partial clone without trees',
      '[remote "origin"]\npromisor = true\npartialclonefilter = tree:0',
      /partial clone by "tree:0"/,
    ],
    [
      'a partial clone of several remotes',
      '[extensions]\npartialClone = origin\n[remote "other"]\npromisor = true',
      /several remotes/,
    ],
  ])('refuses %s', async (_what, text, message) => {
    configure(text);
    await expect(open()).rejects.toMatchObject({
      code: 'E_UNSAFE_STATE',
      message: expect.stringMatching(message) as string,
    });
  });

  it.each([
    ['[remote "origin"]\npromisor = true\npartialclonefilter = blob:none', 'blob:none'],
    ['[remote "origin"]\npartialclonefilter = blob:limit=1m', 'blob:limit=1m'],
    ['[extensions]\npartialClone = origin', 'blob:none'],
  ])('knows a partial clone: %j', async (text, filter) => {
    configure(text);
    expect((await open()).promisor).toEqual({ remoteName: 'origin', filter });
  });

  it('heeds the configuration per work tree', async () => {
    configure('[extensions]\nworktreeConfig = true');
    await open();
    writeFileSync(join(root, '.git/config.worktree'), '[core]\nworktree = ../other');
    await expect(open()).rejects.toMatchObject({ code: 'E_UNSAFE_STATE' });
  });

  it('refuses a bare repository', async () => {
    configure('[core]\nbare = true');
    await expect(open()).rejects.toMatchObject({ code: 'E_NO_KB' });
  });

  it.each(['file', 'link'])('refuses a .git that is a %s', async (kind) => {
    rmSync(join(root, '.git'), { recursive: true });
    if (kind === 'file') writeFileSync(join(root, '.git'), 'gitdir: /elsewhere');
    else symlinkSync('/tmp', join(root, '.git'));
    await expect(open()).rejects.toMatchObject({
      code: 'E_UNSAFE_STATE',
      hint: 'use a clone of its own: kb clone URL',
    });
  });

  it('says that there is none', async () => {
    await expect(openKbAt(world(), join(root, 'none'), {})).rejects.toMatchObject({ code: 'E_NO_KB' });
  });

  it('takes KB_PATH, and the flag before it', async () => {
    mkdirSync(join(root, 'inner'));
    initRepository(nodeDisk, join(root, 'inner/.git'), { bare: false, branch: 'main' });
    expect((await open({ KB_PATH: 'inner' })).root).toBe(join(root, 'inner'));
    const kb = await openKb(world({ KB_PATH: 'inner' }), { kb: '.' });
    kb.objects.close();
    expect(kb.root).toBe(root);
  });

  it.each([
    ['core.filemode', 'filemode = false', { fileMode: false }],
    ['core.symlinks', 'symlinks = false', { symlinks: false }],
    ['core.ignorecase', 'ignorecase = true', { ignoreCase: true }],
    ['core.trustctime', 'trustctime = false', { trustCtime: false }],
    ['core.precomposeunicode', 'precomposeunicode = true', { precomposeUnicode: process.platform === 'darwin' }],
  ])('passes %s on to the work tree', async (_key, line, expected) => {
    const usual = { fileMode: true, symlinks: true, ignoreCase: false, trustCtime: true, precomposeUnicode: false };
    configure(`[core]\n${line}`);
    expect((await open()).worktree.settings).toMatchObject({ ...usual, ...expected });
  });
});

describe('checkedOutBranch', () => {
  it('is the one of HEAD, with no commit yet', async () => {
    expect(checkedOutBranch(await open())).toEqual({ name: 'main', ref: 'refs/heads/main', commit: undefined });
  });

  it('refuses a detached HEAD', async () => {
    writeFileSync(join(root, '.git/HEAD'), `${'1'.repeat(40)}\n`);
    const kb = await open();
    expect(() => checkedOutBranch(kb)).toThrow(
      expect.objectContaining({ code: 'E_UNSAFE_STATE', message: expect.stringContaining('detached') as string }),
    );
  });

  it('refuses another branch than the settings ask for', async () => {
    writeFileSync(join(root, 'kb.yaml'), 'branch: notes\n');
    const kb = await open();
    expect(() => checkedOutBranch(kb)).toThrow(/on branch "main", but the settings ask for "notes"/);
  });
});

describe('upstreamOf', () => {
  it.each([
    ['no remote', '', undefined],
    [
      'the usual remote',
      '[remote "origin"]\nurl = /r.git',
      { remoteName: 'origin', ref: 'refs/heads/main', tracking: 'refs/remotes/origin/main' },
    ],
    [
      'a remote of the branch',
      '[remote "hub"]\nurl = /r.git\n[branch "main"]\nremote = hub',
      { remoteName: 'hub', ref: 'refs/heads/main', tracking: 'refs/remotes/hub/main' },
    ],
    [
      'another name there',
      '[remote "origin"]\nurl = /r.git\n[branch "main"]\nmerge = refs/heads/trunk',
      { remoteName: 'origin', ref: 'refs/heads/trunk', tracking: 'refs/remotes/origin/trunk' },
    ],
    ['a remote without a URL', '[branch "main"]\nremote = gone', undefined],
  ])('%s', async (_what, text, expected) => {
    configure(text);
    expect(upstreamOf(await open(), 'main')).toEqual(
      expected === undefined ? undefined : { url: '/r.git', ...expected },
    );
  });

  it('refuses a merge setting that is no ref', async () => {
    configure('[remote "origin"]\nurl = /r.git\n[branch "main"]\nmerge = ../../config');
    const kb = await open();
    expect(() => upstreamOf(kb, 'main')).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });
});

it('optional leaves out what is not there', () => {
  expect([optional('a', 1), optional('a', undefined), optional('a', '')]).toEqual([{ a: 1 }, {}, { a: '' }]);
});
