import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cloneKb } from '../../src/kb/clone.js';
import { collectGarbage } from '../../src/kb/gc.js';
import { clone, siteAt, startKb, syncOnce, withKb, worldOf, write, type Site } from '../support/crash-site.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

async function started(): Promise<Site> {
  const site = siteAt(makeTemporaryDirectory());
  await startKb(site);
  return site;
}

const config = (site: Site): string => join(site.kb, '.git/config');

describe.skipIf(!nativeGit.available)('repositories of other forms (needs native git)', () => {
  it.each<[string, (site: Site) => void, RegExp]>([
    [
      'a repository with SHA-256 ids',
      (site) => {
        git(site.kb, ['config', 'core.repositoryformatversion', '1']);
        git(site.kb, ['config', 'extensions.objectformat', 'sha256']);
      },
      /sha256/,
    ],
    ['a format from the future', (site) => git(site.kb, ['config', 'core.repositoryformatversion', '2']), /format 2/],
    [
      'refs in a reftable',
      (site) =>
        appendFileSync(config(site), '[core]\nrepositoryformatversion = 1\n[extensions]\nrefstorage = reftable\n'),
      /reftable/,
    ],
    [
      'an extension that nobody knows',
      (site) => appendFileSync(config(site), '[core]\nrepositoryformatversion = 1\n[extensions]\nnovelty = true\n'),
      /extensions\.novelty/,
    ],
    [
      'borrowed objects',
      (site) => writeFileSync(join(site.kb, '.git/objects/info/alternates'), join(site.remote, 'objects\n')),
      /alternates|borrow/i,
    ],
  ])('%s: refused before anything changes', async (_name, make, said) => {
    const site = await started();
    mkdirSync(join(site.kb, '.git/objects/info'), { recursive: true });
    make(site);
    write(site.kb, { 'new.md': 'new\n' });
    const before = readFileSync(join(site.kb, '.git/index'));
    await expect(syncOnce(worldOf(site))).rejects.toMatchObject({
      code: 'E_UNSAFE_STATE',
      message: expect.stringMatching(said) as string,
    });
    expect(readFileSync(join(site.kb, '.git/index')).equals(before)).toBe(true);
  });

  it('a linked work tree: refused, naming it', async () => {
    const site = await started();
    const linked = join(site.root, 'linked');
    git(site.kb, ['worktree', 'add', '-q', linked, '-b', 'other']);
    await expect(withKb(worldOf(site, { cwd: linked }), () => undefined)).rejects.toMatchObject({
      code: 'E_UNSAFE_STATE',
    });
  });

  it('a remote with SHA-256 ids: refused, and nothing is left', async () => {
    const root = makeTemporaryDirectory();
    git(root, ['init', '-q', '--bare', '--object-format=sha256', 'remote.git']);
    const site = siteAt(root);
    await expect(clone(site, worldOf(site))).rejects.toMatchObject({
      message: expect.stringMatching(/sha-?256|objectformat/i) as string,
    });
  });

  it('per-worktree settings and precious objects: works, and removes nothing', async () => {
    const site = await started();
    git(site.kb, ['config', 'core.repositoryformatversion', '1']);
    git(site.kb, ['config', 'extensions.worktreeConfig', 'true']);
    git(site.kb, ['config', '--worktree', 'core.autocrlf', 'input']);
    git(site.kb, ['config', 'extensions.preciousObjects', 'true']);
    write(site.kb, { 'crlf.md': 'a\r\n' });
    await syncOnce(worldOf(site));
    expect(git(site.remote, ['show', 'main:crlf.md'])).toBe('a\n');
    await expect(withKb(worldOf(site), (kb) => collectGarbage(kb))).rejects.toMatchObject({ code: 'E_UNSAFE_STATE' });
  });

  it('a submodule is left alone, checked out or not', async () => {
    const root = makeTemporaryDirectory();
    const site = siteAt(root);
    git(root, ['init', '-q', '--bare', 'remote.git']);
    const maker = join(root, 'maker');
    git(root, ['init', '-q', maker]);
    write(maker, { 'a.md': 'a\n', '.gitmodules': '[submodule "lib"]\npath = lib\nurl = ../lib\n' });
    git(maker, ['add', '-A']);
    git(maker, ['update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(40)},lib`]);
    git(maker, ['commit', '-q', '-m', 'With a submodule']);
    git(maker, ['push', '-q', site.remote, 'HEAD:main']);
    await cloneKb(worldOf(site), { depth: 1, timeout: '60s', insecure: false, url: site.remote, directory: site.kb });
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
    write(site.kb, { 'a.md': 'changed\n' });
    await syncOnce(worldOf(site));
    expect(git(site.remote, ['ls-tree', 'main', 'lib'])).toBe(`160000 commit ${'1'.repeat(40)}\tlib\n`);
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
  });
});
