import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { cloneKb, type CloneResult } from '../../src/kb/clone.js';
import type { Report } from '../../src/kb/surroundings.js';
import { switchBranch } from '../../src/kb/switch.js';
import { expectSound } from '../support/agree.js';
import { note, pushFromElsewhere, siteAt, syncOnce, withKb, worldOf, write, type Site } from '../support/crash-site.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { runFailing, runScript } from '../support/run-site.js';

const NOTES = '# Notes\n\none\n\ntwo\n\nthree\n';

describe.skipIf(!nativeGit.available)('submodules (needs native git)', () => {
  let site: Site;
  let library: string;
  /** Two commits of the other repository; the KB records the first. */
  let commits: readonly [string, string];
  let cloned: CloneResult;
  let warnings: string[];

  const report = (event: Report): void => {
    if (event.kind === 'warning') warnings.push(event.text);
  };
  const inKb = (...args: string[]): string => git(site.kb, args).trim();
  const inLib = (...args: string[]): string => git(join(site.kb, 'lib'), args).trim();
  const native = (cwd: string, ...args: string[]): string => git(cwd, ['-c', 'protocol.file.allow=always', ...args]);
  const checkOutSubmodule = (): string => native(site.kb, 'submodule', '--quiet', 'update', '--init');
  /** Without the trim: a change that is not staged begins with a blank. */
  const status = (): string => git(site.kb, ['status', '--porcelain', '--untracked-files=all']);
  const recorded = (repository: string, revision: string): string =>
    git(repository, ['ls-tree', revision, 'lib']).trim();
  const gitlink = (commit: string): string => `160000 commit ${commit}\tlib`;
  const switchTo = (branch: string, create = false): Promise<unknown> =>
    withKb(worldOf(site, { report }), (kb) => switchBranch(kb, { branch, create, uncommitted: 'bring' }));

  beforeEach(async () => {
    site = siteAt(join(makeTemporaryDirectory(), 'site'));
    warnings = [];
    mkdirSync(site.home, { recursive: true });
    library = join(site.root, 'library');
    git(site.root, ['init', '-q', 'library']);
    const commit = (content: string): string => {
      write(library, { 'code.txt': content });
      git(library, ['add', '-A']);
      git(library, ['commit', '-q', '-m', content]);
      return git(library, ['rev-parse', 'HEAD']).trim();
    };
    commits = [commit('first'), commit('second')];
    git(site.root, ['init', '-q', '--bare', 'remote.git']);
    const maker = join(site.root, 'maker');
    git(site.root, ['init', '-q', maker]);
    write(maker, { 'a.md': NOTES, '.gitmodules': `[submodule "lib"]\n\tpath = lib\n\turl = ${library}\n` });
    git(maker, ['add', '-A']);
    git(maker, ['update-index', '--add', '--cacheinfo', `160000,${commits[0]},lib`]);
    git(maker, ['commit', '-q', '-m', 'With a submodule']);
    git(maker, ['push', '-q', site.remote, 'HEAD:main', 'HEAD:other']);
    const request = { depth: 1, timeout: '60s', insecure: false, url: site.remote, directory: site.kb };
    cloned = await cloneKb(worldOf(site, { report }), request);
  });

  /** Every way in which kb writes, with what native git sees of the submodule the same before and after. */
  async function goThrough(): Promise<void> {
    const before = status();
    const module = existsSync(join(site.kb, 'lib/.git')) ? inLib('rev-parse', 'HEAD') : undefined;
    const agrees = (): void => {
      expect(status()).toBe(before);
      expect(inKb('ls-files', '--stage', 'lib')).toBe(`160000 ${commits[0]} 0\tlib`);
      expect(recorded(site.kb, 'HEAD')).toBe(gitlink(commits[0]));
      expect(recorded(site.remote, 'main')).toBe(gitlink(commits[0]));
      if (module !== undefined) expect(inLib('rev-parse', 'HEAD')).toBe(module);
      expectSound(site.kb);
    };
    await note(worldOf(site), { text: 'a note' });
    agrees();
    await runScript(site, 'echo by a script > script.md');
    agrees();
    await runFailing(site, 'echo undone > undone.md; exit 3');
    agrees();
    write(site.kb, { 'a.md': NOTES.replace('one', 'ours') });
    await syncOnce(worldOf(site));
    agrees();
    pushFromElsewhere(site, (work) => write(work, { 'a.md': NOTES.replace('one', 'ours').replace('three', 'theirs') }));
    await syncOnce(worldOf(site), { direction: 'pull' });
    expect(readFileSync(join(site.kb, 'a.md'), 'utf8')).toContain('theirs');
    agrees();
    await switchTo('other');
    expect(status()).toBe(before);
    await switchTo('main');
    agrees();
  }

  it('are named by the clone, once, and their folder is empty', () => {
    expect(cloned.submodules).toEqual(['lib']);
    expect(warnings).toEqual(['the submodule lib is left as it is (git submodule update --init brings the files)']);
    expect(existsSync(join(site.kb, 'lib'))).toBe(true);
    expect(status()).toBe('');
  });

  it('that are not checked out: the empty folder is no deletion', async () => {
    await goThrough();
    expect(status()).toBe('');
  });

  it('that are checked out', async () => {
    checkOutSubmodule();
    await goThrough();
    expect(status()).toBe('');
    expect(readFileSync(join(site.kb, 'lib/code.txt'), 'utf8')).toBe('first');
  });

  it('with another commit checked out, edits and new files in them', async () => {
    checkOutSubmodule();
    inLib('checkout', '-q', commits[1]);
    write(site.kb, { 'lib/code.txt': 'edited', 'lib/new.txt': 'new' });
    await goThrough();
    expect(status()).toBe(' M lib\n');
    expect(inLib('status', '--porcelain')).toBe('M code.txt\n?? new.txt');
  });

  it('another commit that is staged is committed as it is staged, whatever is checked out', async () => {
    checkOutSubmodule();
    inLib('checkout', '-q', commits[1]);
    inKb('add', 'lib');
    inLib('checkout', '-q', commits[0]);
    await syncOnce(worldOf(site));
    expect(recorded(site.remote, 'main')).toBe(gitlink(commits[1]));
    expect(status()).toBe(' M lib\n');
    checkOutSubmodule();
    expect(status()).toBe('');
    expectSound(site.kb);
  });

  it('one that git submodule add has staged is committed with its .gitmodules', async () => {
    native(site.kb, 'submodule', '--quiet', 'add', library, 'second');
    expect(status()).toBe('M  .gitmodules\nA  second\n');
    await syncOnce(worldOf(site));
    expect(git(site.remote, ['ls-tree', 'main', 'second']).trim()).toBe(`160000 commit ${commits[1]}\tsecond`);
    expect(git(site.remote, ['show', 'main:.gitmodules'])).toContain('[submodule "second"]');
    expect(status()).toBe('');
    expectSound(site.kb);
  });

  it('one that is staged stays so beside a run, and one that a run stages is in its commit', async () => {
    checkOutSubmodule();
    inLib('checkout', '-q', commits[1]);
    inKb('add', 'lib');
    await runScript(site, 'echo by a script > script.md');
    expect(recorded(site.remote, 'main')).toBe(gitlink(commits[0]));
    expect(status()).toBe('M  lib\n');
    await runFailing(site, 'echo undone > undone.md; exit 3');
    expect(status()).toBe('M  lib\n');
    inKb('reset', '-q', 'lib');
    await runScript(site, 'git add lib');
    expect(recorded(site.remote, 'main')).toBe(gitlink(commits[1]));
    expect(status()).toBe('');
    expectSound(site.kb);
  });

  it('one that is staged comes along to another branch', async () => {
    checkOutSubmodule();
    inLib('checkout', '-q', commits[1]);
    inKb('add', 'lib');
    await switchTo('other');
    expect(recorded(site.kb, 'HEAD')).toBe(gitlink(commits[0]));
    expect(status()).toMatch(/^( M|M ) lib\n$/);
    expect(inLib('rev-parse', 'HEAD')).toBe(commits[1]);
    expectSound(site.kb);
  });

  it('follow what others record, and the files in them wait for git', async () => {
    checkOutSubmodule();
    pushFromElsewhere(site, (work) => git(work, ['update-index', '--cacheinfo', `160000,${commits[1]},lib`]));
    await syncOnce(worldOf(site), { direction: 'pull' });
    expect(recorded(site.kb, 'HEAD')).toBe(gitlink(commits[1]));
    expect([inLib('rev-parse', 'HEAD'), status()]).toEqual([commits[0], ' M lib\n']);
    checkOutSubmodule();
    expect(status()).toBe('');
  });

  it('that others remove stay on disk with the files in them, as git leaves them', async () => {
    checkOutSubmodule();
    pushFromElsewhere(site, (work) => {
      rmdirSync(join(work, 'lib'));
    });
    await syncOnce(worldOf(site), { direction: 'pull' });
    expect(recorded(site.kb, 'HEAD')).toBe('');
    expect(readFileSync(join(site.kb, 'lib/code.txt'), 'utf8')).toBe('first');
    expect(status()).toBe('?? lib/\n');
    await note(worldOf(site), { text: 'a note' });
    expect(status()).toBe('?? lib/\n');
  });
});
