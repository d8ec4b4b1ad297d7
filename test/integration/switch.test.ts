import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { cloneKb } from '../../src/kb/clone.js';
import { listBranches } from '../../src/kb/branch.js';
import { restoreSaved } from '../../src/kb/restore.js';
import type { Report } from '../../src/kb/surroundings.js';
import { switchBranch, type SwitchRequest, type SwitchResult } from '../../src/kb/switch.js';
import { expectSound } from '../support/agree.js';
import {
  LINES,
  note,
  pushFromElsewhere,
  siteAt,
  startKb,
  syncOnce,
  withKb,
  worldOf,
  write,
  type Site,
} from '../support/crash-site.js';
import { Stage } from '../support/crash-stage.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

describe.skipIf(!nativeGit.available)('kb switch (needs native git)', () => {
  let site: Site;
  const read = (path: string): string => readFileSync(join(site.kb, path), 'utf8');
  const to = (branch: string, over: Partial<SwitchRequest> = {}): Promise<SwitchResult> =>
    withKb(worldOf(site), (kb) => switchBranch(kb, { branch, create: false, uncommitted: 'bring', ...over }));
  const inKb = (...args: string[]): string => git(site.kb, args).trim();
  const status = (): string[] =>
    git(site.kb, ['status', '--porcelain', '--untracked-files=all']).split('\n').filter(Boolean);
  const leftovers = (): string => inKb('for-each-ref', 'refs/kb');
  /** The remote gets a branch that differs from main in diary.md, line 5, and has a file of its own. */
  const pushDrafts = (): void => {
    pushFromElsewhere(site, (work) => {
      git(work, ['switch', '-q', '-c', 'drafts']);
      write(work, { 'diary.md': LINES.replace('line 5\n', 'drafted\n'), 'draft.md': 'draft\n', 'inbox/two.md': null });
    });
  };
  const agrees = (): void => {
    expectSound(site.kb);
    expect(existsSync(join(site.kb, '.git/kb/switch.json'))).toBe(false);
  };

  beforeEach(async () => {
    site = siteAt(join(makeTemporaryDirectory(), 'site'));
    mkdirSync(site.root);
    await startKb(site);
  });

  it('fetches a branch that only the remote has, and tracks it as native git would', async () => {
    pushDrafts();
    const result = await to('drafts');
    expect(result).toMatchObject({ result: 'switched', branch: 'drafts', previous: 'main', carried: [], unpushed: 0 });
    expect(inKb('rev-parse', 'HEAD')).toBe(git(site.remote, ['rev-parse', 'drafts']).trim());
    expect(inKb('symbolic-ref', 'HEAD')).toBe('refs/heads/drafts');
    expect(inKb('rev-parse', '--symbolic-full-name', '@{u}')).toBe('refs/remotes/origin/drafts');
    expect(git(site.kb, ['config', '--get-all', 'remote.origin.fetch']).trim().split('\n')).toEqual([
      '+refs/heads/main:refs/remotes/origin/main',
      '+refs/heads/drafts:refs/remotes/origin/drafts',
    ]);
    expect(inKb('reflog', '-1', '--format=%gs')).toBe('checkout: moving from main to drafts');
    expect([read('draft.md'), existsSync(join(site.kb, 'inbox/two.md'))]).toEqual(['draft\n', false]);
    expect(status()).toEqual([]);
    agrees();
    git(site.kb, ['switch', '-q', '-']);
    expect((await to('drafts')).changes.map(({ path }) => path)).toEqual(['diary.md', 'draft.md', 'inbox/two.md']);
    expect(status()).toEqual([]);
    git(site.kb, ['fetch', '-q']);
    await note(worldOf(site), { text: 'on the draft' });
    expect(git(site.remote, ['log', '-1', '--format=%an', 'drafts']).trim()).toBe('Ann');
    expect(inKb('rev-parse', 'HEAD')).toBe(git(site.remote, ['rev-parse', 'drafts']).trim());
  });

  it('makes a branch from where the KB is, whose first sync makes it on the remote', async () => {
    expect(await to('new/one', { create: true })).toMatchObject({
      result: 'created',
      commit: inKb('rev-parse', 'main'),
    });
    await expect(to('new/one', { create: true })).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(to('main', { create: true })).rejects.toMatchObject({ code: 'E_USAGE' });
    await note(worldOf(site), { text: 'first' });
    expect(inKb('status', '-sb').split('\n')[0]).toBe('## new/one...origin/new/one');
    expect(git(site.remote, ['rev-list', '--count', 'main..new/one']).trim()).toBe('1');
    agrees();
    expect(await to('new/one')).toMatchObject({ result: 'already_there' });
  });

  it('has switched when the disk is full at the very end: what came along stays saved, and a warning says so', async () => {
    pushDrafts();
    write(site.kb, { 'diary.md': LINES.replace('line 10\n', 'mine\n') });
    let refused = 0;
    const disk = new Proxy(nodeDisk, {
      get: (target, name: keyof Disk): unknown => {
        if (name !== 'linkSync') return target[name];
        return (from: string, to: string): void => {
          const isEnd = to.includes('refs/kb/stash/') && inKb('symbolic-ref', 'HEAD').endsWith('/drafts');
          if (!isEnd) return target.linkSync(from, to);
          refused += 1;
          throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'link' });
        };
      },
    });
    const warnings: string[] = [];
    const report = (event: Report): void => {
      if (event.kind === 'warning') warnings.push(event.text);
    };
    const request: SwitchRequest = { branch: 'drafts', create: false, uncommitted: 'bring' };
    const result = await withKb(worldOf(site, { disk, report }), (kb) => switchBranch(kb, request));
    expect([result.result, refused]).toEqual(['switched', 1]);
    expect(warnings).toEqual([expect.stringContaining('saved there as well')]);
    expect(leftovers()).toContain('refs/kb/stash/');
    expect(read('diary.md')).toContain('mine');
    agrees();
  });

  it('takes uncommitted work along, merged, with what was staged still staged', async () => {
    pushDrafts();
    write(site.kb, {
      'diary.md': LINES.replace('line 10\n', 'mine\n'),
      'inbox/one.md': null,
      'a/new.md': 'new\n',
      'staged.md': 's\n',
    });
    git(site.kb, ['add', 'staged.md']);
    const before = status();
    const result = await to('drafts');
    expect(result).toMatchObject({ merged: [{ path: 'diary.md', rules: [] }], saved: null });
    expect(result.carried).toEqual(['a/new.md', 'diary.md', 'inbox/one.md', 'staged.md']);
    expect(read('diary.md')).toBe(LINES.replace('line 5\n', 'drafted\n').replace('line 10\n', 'mine\n'));
    expect(status()).toEqual(before);
    expect(leftovers()).toBe('');
    agrees();
    await to('main');
    expect(read('diary.md')).toBe(LINES.replace('line 10\n', 'mine\n'));
    expect(status()).toEqual(before);
    await syncOnce(worldOf(site));
    expect(status()).toEqual([]);
    expect(git(site.remote, ['show', 'main:staged.md'])).toBe('s\n');
  });

  it('switches nothing where uncommitted work does not fit, or leaves it behind, saved', async () => {
    pushDrafts();
    write(site.kb, { 'diary.md': LINES.replace('line 5\n', 'mine\n'), 'other.md': 'other\n' });
    const before = status();
    await expect(to('drafts')).rejects.toMatchObject({
      code: 'E_CONFLICT',
      message: expect.stringContaining('diary.md') as string,
      hint: expect.stringContaining('kb switch --save drafts') as string,
    });
    expect([inKb('symbolic-ref', 'HEAD'), read('diary.md')]).toEqual([
      'refs/heads/main',
      LINES.replace('line 5\n', 'mine\n'),
    ]);
    expect([status(), leftovers()]).toEqual([before, '']);
    const { saved } = await to('drafts', { uncommitted: 'save' });
    expect(saved).not.toBeNull();
    expect([status(), read('diary.md'), existsSync(join(site.kb, 'other.md'))]).toEqual([
      [],
      LINES.replace('line 5\n', 'drafted\n'),
      false,
    ]);
    agrees();
    await to('main');
    await withKb(worldOf(site), (kb) => restoreSaved(kb, { ref: String(saved), onConflict: 'fail' }));
    expect([status(), read('other.md')]).toEqual([before, 'other\n']);
  });

  it('in a sparse KB brings no folder that was left out', async () => {
    pushFromElsewhere(site, (work) => {
      git(work, ['switch', '-q', '-c', 'drafts']);
      write(work, { 'deep/four.md': 'four\n', 'deep/er/three.md': 'changed\n', 'inbox/in.md': 'in\n' });
    });
    rmSync(site.kb, { recursive: true });
    const request = { depth: 1, timeout: '60s', insecure: false, url: site.remote, directory: site.kb } as const;
    await cloneKb(worldOf(site), { ...request, sparse: ['inbox'] });
    await to('drafts');
    expect([existsSync(join(site.kb, 'deep')), read('inbox/in.md'), status()]).toEqual([false, 'in\n', []]);
    await to('main');
    expect([existsSync(join(site.kb, 'deep')), existsSync(join(site.kb, 'inbox/in.md')), status()]).toEqual([
      false,
      false,
      [],
    ]);
    agrees();
  });

  it('never writes over an ignored file', async () => {
    pushDrafts();
    writeFileSync(join(site.kb, '.git/info/exclude'), 'draft.md\n');
    write(site.kb, { 'draft.md': 'mine\n' });
    await expect(to('drafts')).rejects.toMatchObject({ code: 'E_UNSAFE_STATE' });
    expect([read('draft.md'), inKb('symbolic-ref', 'HEAD')]).toEqual(['mine\n', 'refs/heads/main']);
  });

  it('leaves unpushed commits on their branch, and says how many', async () => {
    await note(worldOf(site), { text: 'local', push: false, pull: false });
    await to('side', { create: true });
    expect(await to('main')).toMatchObject({ unpushed: null });
    const result = await to('side');
    expect(result).toMatchObject({ previous: 'main', unpushed: 1 });
    expect(inKb('rev-list', '--count', 'origin/main..main')).toBe('1');
  });

  it('comes back from a commit that is checked out without a branch', async () => {
    git(site.kb, ['checkout', '-q', '--detach']);
    expect(await to('main')).toMatchObject({ previous: null, branch: 'main' });
    expect(inKb('symbolic-ref', 'HEAD')).toBe('refs/heads/main');
    agrees();
  });

  it.each(['-x', '@', 'HEAD', 'a..b', 'a b', 'x.lock', '.x', 'a//b', ''])('takes no name %j', async (name) => {
    await expect(to(name)).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(to(name, { create: true })).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('refuses what is nowhere, occupied elsewhere, unsafe, or against the settings', async () => {
    await expect(to('nowhere')).rejects.toMatchObject({
      code: 'E_USAGE',
      hint: expect.stringContaining('--create') as string,
    });
    git(site.kb, ['worktree', 'add', '-q', '-b', 'there', join(site.root, 'there')]);
    await expect(to('there')).rejects.toMatchObject({
      code: 'E_UNSAFE_STATE',
      message: expect.stringContaining(join(site.root, 'there')) as string,
    });
    git(site.kb, ['worktree', 'remove', join(site.root, 'there')]);
    expect(await to('there')).toMatchObject({ result: 'switched' });
    writeFileSync(join(site.kb, '.git/MERGE_HEAD'), `${inKb('rev-parse', 'HEAD')}\n`);
    await expect(to('main')).rejects.toMatchObject({ code: 'E_UNSAFE_STATE' });
    rmSync(join(site.kb, '.git/MERGE_HEAD'));
    writeFileSync(join(site.kb, '.git/index.lock'), '');
    await expect(to('main')).rejects.toMatchObject({ code: 'E_UNSAFE_STATE' });
    rmSync(join(site.kb, '.git/index.lock'));
    const pinned = worldOf(site, { env: { KB_GIT_BRANCH: 'there' } });
    const against = withKb(pinned, (kb) => switchBranch(kb, { branch: 'main', create: false, uncommitted: 'bring' }));
    await expect(against).rejects.toMatchObject({ code: 'E_UNSAFE_STATE' });
    expect(inKb('symbolic-ref', 'HEAD')).toBe('refs/heads/there');
  });

  it('without the network takes a branch as it was last seen, or makes one', async () => {
    pushDrafts();
    await to('drafts');
    await to('main');
    git(site.kb, ['branch', '-q', '-D', 'drafts']);
    git(site.kb, ['config', 'remote.origin.url', 'http://127.0.0.1:9/none.git']);
    expect(await to('drafts')).toMatchObject({ result: 'switched' });
    expect(await to('offline', { create: true })).toMatchObject({ result: 'created' });
    await expect(to('unknown')).rejects.toMatchObject({ code: 'E_NETWORK' });
    agrees();
  });

  it('an empty KB too has branches', async () => {
    git(site.kb, ['update-ref', '-d', 'refs/remotes/origin/main']);
    const empty = join(site.root, 'empty');
    git(site.root, ['init', '-q', empty]);
    const there = (branch: string): Promise<SwitchResult> =>
      withKb(worldOf(site, { cwd: empty }), (kb) => switchBranch(kb, { branch, create: true, uncommitted: 'bring' }));
    writeFileSync(join(empty, 'a.md'), 'a\n');
    expect(await there('first')).toMatchObject({ result: 'created', commit: null, carried: ['a.md'] });
    expect(git(empty, ['status', '--porcelain=v2', '--branch']).split('\n')[1]).toBe('# branch.head first');
    expect(readFileSync(join(empty, 'a.md'), 'utf8')).toBe('a\n');
  });

  it('finishes a switch that was killed half-way, and keeps what was edited since', async () => {
    pushDrafts();
    await to('drafts');
    await to('main');
    const [from, drafts] = [inKb('rev-parse', 'main'), inKb('rev-parse', 'drafts')];
    const treeOf = (commit: string): string => inKb('rev-parse', `${commit}^{tree}`);
    const step = { version: 1, from: 'refs/heads/main', fromCommit: from, to: 'refs/heads/drafts', toCommit: drafts };
    const journal = { ...step, createdFrom: null, fromFiles: treeOf(from), toFiles: treeOf(drafts), saved: null };
    mkdirSync(join(site.kb, '.git/kb'), { recursive: true });
    writeFileSync(join(site.kb, '.git/kb/switch.json'), JSON.stringify(journal));
    write(site.kb, {
      'diary.md': LINES.replace('line 5\n', 'since then\n'),
      'draft.md': 'draft\n',
      'inbox/two.md': 'kept\n',
    });
    await syncOnce(worldOf(site), { direction: 'pull' });
    expect(inKb('symbolic-ref', 'HEAD')).toBe('refs/heads/drafts');
    expect(read('diary.md')).toBe(LINES.replace('line 5\n', 'drafted\n'));
    const copy =
      status()
        .find((line) => line.includes('diary (kept'))
        ?.slice(3)
        .replaceAll('"', '') ?? '';
    expect(read(copy)).toBe(LINES.replace('line 5\n', 'since then\n'));
    expect(status()).toEqual([`?? "${copy}"`, '?? inbox/two.md']);
    agrees();
  });

  describe('files in Latin-1', () => {
    const text = (...edits: readonly [string, string][]): Buffer =>
      Buffer.from(
        edits.reduce((all, [line, other]) => all.replace(line, other), LINES.replaceAll('line', 'caf\xe9')),
        'latin1',
      );
    const drafted = ['caf\xe9 1\n', 'draft\xe8\n'] as const;
    const edited = ['caf\xe9 10\n', 'edit\xfc\n'] as const;
    const file = (): Buffer => readFileSync(join(site.kb, 'old.txt'));
    const editHere = (): void => {
      writeFileSync(join(site.kb, 'old.txt'), text([...edited]));
    };

    beforeEach(async () => {
      for (const branch of ['main', 'drafts']) {
        pushFromElsewhere(site, (work) => {
          if (branch === 'drafts') git(work, ['switch', '-q', '-c', branch]);
          writeFileSync(join(work, 'old.txt'), branch === 'main' ? text() : text([...drafted]));
        });
      }
      await syncOnce(worldOf(site));
    });

    it('are merged byte by byte when uncommitted edits come along', async () => {
      editHere();
      expect(await to('drafts')).toMatchObject({ result: 'switched', merged: [{ path: 'old.txt', rules: [] }] });
      expect(file().equals(text([...drafted], [...edited]))).toBe(true);
      expect(status()).toEqual([' M old.txt']);
      agrees();
    });

    it('are merged byte by byte when a switch is finished that was killed half-way', async () => {
      await to('drafts');
      await to('main');
      const [from, drafts] = [inKb('rev-parse', 'main'), inKb('rev-parse', 'drafts')];
      const step = { version: 1, from: 'refs/heads/main', fromCommit: from, to: 'refs/heads/drafts', toCommit: drafts };
      const files = { fromFiles: inKb('rev-parse', 'main^{tree}'), toFiles: inKb('rev-parse', 'drafts^{tree}') };
      writeFileSync(
        join(site.kb, '.git/kb/switch.json'),
        JSON.stringify({ ...step, ...files, createdFrom: null, saved: null }),
      );
      editHere();
      await syncOnce(worldOf(site), { direction: 'pull' });
      expect(inKb('symbolic-ref', 'HEAD')).toBe('refs/heads/drafts');
      expect(file().equals(text([...drafted], [...edited]))).toBe(true);
      expect(status()).toEqual([' M old.txt']);
      agrees();
    });
  });

  it('a note that waits for its turn lands on its own branch, whatever was switched to meanwhile', async () => {
    const stage = new Stage(site);
    let waiting: Promise<void> | undefined;
    await stage.whileHeld(async () => {
      const writer = stage.start('writer');
      waiting = note(writer.world, { text: 'for main', push: false, pull: false });
      waiting.catch(() => undefined);
      await stage.untilWaiting(1, writer);
      git(site.kb, ['switch', '-q', '-c', 'other']);
    });
    await waiting;
    stage.end();
    expect(inKb('log', '-1', '--format=%s', 'main')).toContain('for-main');
    expect(inKb('rev-list', '--count', 'main..other')).toBe('0');
  });

  it('kb branch tells what native git tells', async () => {
    pushDrafts();
    await to('drafts');
    await note(worldOf(site), { text: 'unpushed', push: false, pull: false });
    git(site.kb, ['branch', '-q', '--no-track', 'alone', 'main']);
    const list = await withKb(worldOf(site, { env: { SESSION_BRANCH: 'alone' } }), listBranches);
    expect(list.current).toBe('drafts');
    const rows = list.branches.map((one) => [one.name, one.kind, one.commit, one.upstream, one.ahead, one.behind]);
    const oid = (name: string): string => inKb('rev-parse', name);
    expect(rows).toEqual([
      ['alone', 'local', oid('alone'), null, null, null],
      ['drafts', 'local', oid('drafts'), 'origin/drafts', 1, 0],
      ['main', 'local', oid('main'), 'origin/main', 0, 0],
      ['origin/drafts', 'remote', oid('origin/drafts'), null, null, null],
      ['origin/main', 'remote', oid('origin/main'), null, null, null],
    ]);
    expect(list.branches.filter(({ current }) => current).map(({ name }) => name)).toEqual(['drafts']);
    expect(list.branches.filter(({ session }) => session).map(({ name }) => name)).toEqual(['alone']);
    expect(inKb('branch', '-vv')).toMatch(/\* drafts +[0-9a-f]+ \[origin\/drafts: ahead 1\]/);
  });
});
