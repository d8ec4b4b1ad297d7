import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { isKbError, type KbError } from '../../src/errors.js';
import { listConflicts, type ConflictsResult } from '../../src/kb/conflicts/list.js';
import type { Choice } from '../../src/kb/conflicts/record.js';
import { editFile } from '../../src/kb/edit.js';
import { resolveConflicts, type ResolveResult } from '../../src/kb/resolve.js';
import { findProblems, readStatus } from '../../src/kb/status.js';
import { problemsOf } from '../support/crash-invariants.js';
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
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const line3 = (text: string): string => LINES.replace('line 3\n', `${text}\n`);
const NAME = 'refs/kb/conflict/sync/main';

describe.skipIf(!nativeGit.available)('conflicts and what is decided about them (needs native git)', () => {
  let site: Site;
  beforeEach(async () => {
    site = siteAt(makeTemporaryDirectory());
    await startKb(site);
  });

  const onRemote = (path: string): string => git(site.remote, ['show', `main:${path}`]);
  const here = (path: string): string => readFileSync(join(site.kb, path), 'utf8');
  const refs = (): string[] =>
    git(site.kb, ['for-each-ref', '--format=%(refname)', 'refs/kb']).split('\n').filter(Boolean);
  const listed = (): Promise<ConflictsResult['conflicts']> =>
    withKb(worldOf(site), async (kb) => (await listConflicts(kb)).conflicts);
  const resolve = (
    choice: Choice,
    over: { path?: string; all?: boolean; edit?: (text: string) => string | undefined } = {},
  ): Promise<ResolveResult> =>
    withKb(worldOf(site), (kb) =>
      resolveConflicts(kb, {
        ...(over.path === undefined ? {} : { path: over.path }),
        all: over.all ?? false,
        choose: () => Promise.resolve(choice),
        edit: ({ data }) => {
          const made = over.edit?.(data.toString());
          return Promise.resolve(made === undefined ? undefined : Buffer.from(made));
        },
      }),
    );

  async function failingSync(): Promise<KbError> {
    try {
      await syncOnce(worldOf(site));
    } catch (error) {
      if (isKbError(error, 'E_CONFLICT')) return error;
      throw error;
    }
    throw new Error('there was no conflict');
  }

  /** Both sides changed line 3 of the diary; ours is uncommitted. */
  async function meet(ours = line3('ours'), theirs = line3('theirs')): Promise<KbError> {
    pushFromElsewhere(site, (work) => write(work, { 'diary.md': theirs }));
    write(site.kb, { 'diary.md': ours });
    return failingSync();
  }

  function expectSettled(): void {
    expect(refs().filter((name) => name.includes('/conflict/'))).toEqual([]);
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
    expect(git(site.kb, ['rev-parse', 'main'])).toBe(git(site.remote, ['rev-parse', 'main']));
    expect(problemsOf(site)).toEqual([]);
  }

  it('a sync that fails keeps both versions by name, says where, and changes nothing else', async () => {
    const error = await meet();
    expect(error.message).toContain(`${NAME}:ours/diary.md`);
    expect(error.message).toContain(`${NAME}:theirs/diary.md`);
    expect(error.hint).toContain('kb resolve diary.md');
    expect(git(site.kb, ['show', `${NAME}:ours/diary.md`])).toBe(line3('ours'));
    expect(git(site.kb, ['show', `${NAME}:theirs/diary.md`])).toBe(line3('theirs'));
    expect(git(site.kb, ['show', `${NAME}:base/diary.md`])).toBe(LINES);
    expect(await listed()).toMatchObject([
      {
        path: 'diary.md',
        kind: 'sync',
        reason: 'overlap',
        branch: 'main',
        decided: null,
        ours: { name: `${NAME}:ours/diary.md` },
        regions: [{ ours: { line: 4, count: 1 }, theirs: { line: 4, count: 1 } }],
      },
    ]);
    expect(here('diary.md')).toBe(line3('ours'));
    git(site.kb, ['gc', '-q', '--prune=now']);
    expect(git(site.kb, ['show', `${NAME}:ours/diary.md`])).toBe(line3('ours'));
    git(site.kb, ['fsck', '--strict']);
  });

  it('counts in kb status as it is listed, until it is settled', async () => {
    await meet();
    await failingSync();
    const status = await withKb(worldOf(site), (kb) => readStatus(kb, { fetch: false }));
    expect(status.conflicts).toEqual(['diary.md']);
    expect(findProblems(status).join()).toContain('1 files are in conflict: diary.md');
    await resolve('ours');
    const after = await withKb(worldOf(site), (kb) => readStatus(kb, { fetch: false }));
    expect(findProblems(after)).toEqual([]);
  });

  it.each<[Choice, string]>([
    ['ours', line3('ours')],
    ['theirs', line3('theirs')],
    ['both', line3('theirs\nours')],
    ['edit', line3('made of both')],
  ])('kb resolve --%s brings it out, and both versions are in the history', async (choice, expected) => {
    await meet();
    const result = await resolve(choice, {
      edit: (text) => {
        expect(text).toMatch(/^<{7} ours.*\nours\n\|{7} base.*\nline 3\n={7}\ntheirs\n>{7} theirs/m);
        return line3('made of both');
      },
    });
    expect(result).toMatchObject({ resolved: [{ path: 'diary.md', choice }], left: [], landed: true });
    expect(onRemote('diary.md')).toBe(expected);
    expect(here('diary.md')).toBe(expected);
    expectSettled();
    const [first = '', second = ''] = git(site.remote, ['log', '-1', '--format=%P', 'main']).trim().split(' ');
    expect([first, second].map((commit) => git(site.remote, ['show', `${commit}:diary.md`])).sort()).toEqual(
      [line3('ours'), line3('theirs')].sort(),
    );
  });

  it('refuses a text that still has markers, and nothing is decided', async () => {
    await meet();
    await expect(resolve('edit', { edit: (text) => `${text}more\n` })).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(resolve('edit', { edit: (text) => text })).rejects.toMatchObject({ code: 'E_USAGE' });
    expect(await listed()).toMatchObject([{ decided: null }]);
  });

  it('takes markers that are the text of a note for text', async () => {
    const about = `${'<'.repeat(7)} HEAD\n`;
    await meet(line3(`ours\n${about.trim()}`), line3('theirs'));
    await resolve('edit', {
      edit: (text) => {
        expect(text).toContain('<<<<<<<< ours');
        return line3(about.trim());
      },
    });
    expect(onRemote('diary.md')).toBe(line3(about.trim()));
  });

  it('keeps each decision until the last one, and then brings all out', async () => {
    pushFromElsewhere(site, (work) => write(work, { 'diary.md': line3('theirs'), 'inbox/one.md': 'theirs\n' }));
    write(site.kb, { 'diary.md': line3('ours'), 'inbox/one.md': 'ours\n', 'new.md': 'new\n' });
    await failingSync();
    await expect(resolve('ours')).rejects.toMatchObject({ code: 'E_USAGE' });
    expect(await resolve('ours', { path: 'diary.md' })).toMatchObject({ left: ['inbox/one.md'], landed: false });
    await failingSync();
    expect(await listed()).toMatchObject([
      { path: 'diary.md', decided: 'ours' },
      { path: 'inbox/one.md', decided: null },
    ]);
    await resolve('theirs', { path: 'inbox/one.md' });
    expect([onRemote('diary.md'), onRemote('inbox/one.md'), onRemote('new.md')]).toEqual([
      line3('ours'),
      'theirs\n',
      'new\n',
    ]);
    expectSettled();
  });

  it('--all decides all the same way', async () => {
    pushFromElsewhere(site, (work) => write(work, { 'diary.md': line3('theirs'), 'inbox/one.md': null }));
    write(site.kb, { 'diary.md': line3('ours'), 'inbox/one.md': 'ours\n' });
    await failingSync();
    await resolve('both', { all: true });
    expect([onRemote('diary.md'), onRemote('inbox/one.md')]).toEqual([line3('theirs\nours'), 'ours\n']);
    expectSettled();
  });

  it.each<[Choice, boolean]>([
    ['ours', false],
    ['theirs', true],
    ['both', true],
  ])('deleted here and edited there, --%s', async (choice, isThere) => {
    pushFromElsewhere(site, (work) => write(work, { 'diary.md': line3('theirs') }));
    write(site.kb, { 'diary.md': null });
    await failingSync();
    await resolve(choice, { path: 'diary.md' });
    expect(existsSync(join(site.kb, 'diary.md'))).toBe(isThere);
    expectSettled();
  });

  it('--both of files that are no text keeps two of them', async () => {
    pushFromElsewhere(site, (work) => write(work, { 'a.bin': 'theirs\0' }));
    write(site.kb, { 'a.bin': 'ours\0' });
    await failingSync();
    await expect(resolve('edit')).rejects.toMatchObject({ code: 'E_USAGE' });
    await resolve('both');
    const [copy = ''] = git(site.kb, ['ls-files', '-z'])
      .split('\0')
      .filter((name) => name.startsWith('a (conflict'));
    expect([onRemote('a.bin'), onRemote(copy)]).toEqual(['theirs\0', 'ours\0']);
  });

  describe("the remote's file changed again after the decision was asked for", () => {
    it.each<[Choice]>([['ours'], ['edit']])('elsewhere in it: that is merged in (%s)', async (choice) => {
      await meet();
      pushFromElsewhere(site, (work) => write(work, { 'diary.md': line3('theirs').replace('line 10', 'line ten') }));
      await resolve(choice, { edit: () => line3('ours') });
      expect(onRemote('diary.md')).toBe(line3('ours').replace('line 10', 'line ten'));
      expectSettled();
    });

    it.each<[Choice]>([['ours'], ['edit']])('in the same place: it is open again (%s)', async (choice) => {
      await meet();
      pushFromElsewhere(site, (work) => write(work, { 'diary.md': line3('something else') }));
      await expect(resolve(choice, { edit: () => line3('ours') })).rejects.toMatchObject({ code: 'E_CONFLICT' });
      expect(await listed()).toMatchObject([{ decided: null, theirs: { name: `${NAME}:theirs/diary.md` } }]);
      expect(git(site.kb, ['show', `${NAME}:theirs/diary.md`])).toBe(line3('something else'));
      expect(here('diary.md')).toBe(line3('ours'));
      await resolve('both');
      expect(onRemote('diary.md')).toBe(line3('something else\nours'));
      expectSettled();
    });
  });

  it('what is edited in the file after the decision goes along', async () => {
    await meet();
    write(site.kb, { 'second.md': 'x\n' });
    pushFromElsewhere(site, (work) => write(work, { 'other.md': 'x\n' }));
    await withKb(worldOf(site), (kb) =>
      resolveConflicts(kb, {
        all: false,
        choose: () => Promise.resolve('edit'),
        edit: () => {
          write(site.kb, { 'diary.md': line3('ours').replace('line 10', 'line ten') });
          return Promise.resolve(Buffer.from(line3('both')));
        },
      }),
    );
    expect(onRemote('diary.md')).toBe(line3('both').replace('line 10', 'line ten'));
    expectSettled();
  });

  it('is over as soon as a sync succeeds, whatever settled it', async () => {
    await meet();
    write(site.kb, { 'diary.md': line3('theirs') });
    await syncOnce(worldOf(site));
    expect(await listed()).toEqual([]);
    expectSettled();
  });

  it('a local commit in the middle that cannot be replayed: all of them go out, as they were', async () => {
    for (const text of ['one', 'two', 'three', 'four']) {
      write(site.kb, { 'diary.md': line3(text), [`${text}.md`]: text });
      git(site.kb, ['add', '-A']);
      git(site.kb, ['commit', '-q', '-m', `Local ${text}`]);
    }
    pushFromElsewhere(site, (work) => write(work, { 'diary.md': line3('theirs') }));
    const error = await failingSync();
    expect(error.message).toContain('local commit 1 of 4');
    expect(error.message).toContain('"Local one"');
    expect(git(site.kb, ['show', `${NAME}:ours/diary.md`])).toBe(line3('four'));
    await resolve('ours');
    expect(onRemote('diary.md')).toBe(line3('four'));
    expect(onRemote('two.md')).toBe('two');
    expect(git(site.remote, ['log', '--format=%s', 'main'])).toContain('Local three');
    expectSettled();
  });

  it('a note behind a conflict of older local commits is kept as one more of them, and goes out when they do', async () => {
    write(site.kb, { 'log.md': 'log\n' });
    await syncOnce(worldOf(site));
    write(site.kb, { 'diary.md': line3('ours') });
    git(site.kb, ['commit', '-qam', 'Local']);
    pushFromElsewhere(site, (work) => write(work, { 'diary.md': line3('theirs'), 'log.md': 'log\ntheirs\n' }));
    const append = { kind: 'append', path: 'log.md' } as const;
    for (const text of ['first', 'second']) {
      const error: unknown = await note(worldOf(site), { text, target: append }).catch((thrown: unknown) => thrown);
      if (!isKbError(error, 'E_CONFLICT')) throw error;
      const { saved } = error.details;
      expect(error.message).toContain(`saved locally as ${String(saved).slice(0, 10)}`);
      expect(git(site.kb, ['rev-parse', 'HEAD']).trim()).toBe(saved);
    }
    expect(here('log.md')).toBe('log\n- 03:04 first\n- 03:04 second\n');
    expect((await listed()).map(({ path }) => path)).toEqual(['diary.md']);
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
    await resolve('ours');
    expect(onRemote('diary.md')).toBe(line3('ours'));
    for (const text of ['first', 'second', 'theirs']) expect(onRemote('log.md').split(text)).toHaveLength(2);
    expectSettled();
  });

  it('one whose conflict a later one has taken back is no conflict', async () => {
    for (const text of ['ours', 'line 3']) {
      write(site.kb, { 'diary.md': line3(text), 'new.md': text });
      git(site.kb, ['add', '-A']);
      git(site.kb, ['commit', '-q', '-m', text]);
    }
    pushFromElsewhere(site, (work) => write(work, { 'diary.md': line3('theirs') }));
    await syncOnce(worldOf(site));
    expect([onRemote('diary.md'), onRemote('new.md')]).toEqual([line3('theirs'), 'line 3']);
    expectSettled();
  });

  describe('of kb edit', () => {
    const failEdit = (): Promise<unknown> =>
      withKb(worldOf(site), (kb) =>
        editFile(kb, {
          path: 'diary.md',
          push: true,
          change: () => {
            pushFromElsewhere(site, (work) => write(work, { 'diary.md': line3('theirs') }));
            return Promise.resolve(Buffer.from(line3('ours')));
          },
        }),
      );

    it.each<[Choice, string]>([
      ['ours', line3('ours')],
      ['theirs', line3('theirs')],
      ['both', line3('theirs\nours')],
      ['edit', line3('of both')],
    ])('keeps the text by name, and --%s decides', async (choice, expected) => {
      await expect(failEdit()).rejects.toMatchObject({
        code: 'E_CONFLICT',
        message: expect.stringContaining('refs/kb/conflict/edit/') as string,
      });
      const [item] = await listed();
      expect(item).toMatchObject({ path: 'diary.md', kind: 'edit', reason: 'overlap' });
      expect(git(site.kb, ['show', item?.ours?.name ?? ''])).toBe(line3('ours'));
      expect(git(site.kb, ['show', item?.theirs?.name ?? ''])).toBe(line3('theirs'));
      await resolve(choice, { edit: () => line3('of both') });
      expect(onRemote('diary.md')).toBe(expected);
      expect(await listed()).toEqual([]);
      if (choice === 'theirs') {
        const [backup = ''] = refs();
        expect(git(site.kb, ['show', `${backup}:ours/diary.md`])).toBe(line3('ours'));
      }
    });

    it('others went on meanwhile: merged in, or open again', async () => {
      await expect(failEdit()).rejects.toMatchObject({ code: 'E_CONFLICT' });
      pushFromElsewhere(site, (work) => write(work, { 'diary.md': line3('something else') }));
      await expect(resolve('ours')).rejects.toMatchObject({ code: 'E_CONFLICT' });
      await resolve('ours');
      expect(onRemote('diary.md')).toBe(line3('ours'));
      expect(await listed()).toEqual([]);
    });
  });

  describe('copies of --on-conflict copy', () => {
    const [mine, their] = ['the plan as we have it', 'the plan as they have it'];

    async function makeCopy(ours = line3(mine), theirs = line3(their), path = 'diary.md'): Promise<string> {
      pushFromElsewhere(site, (work) => write(work, { [path]: theirs }));
      write(site.kb, { [path]: ours });
      await syncOnce(worldOf(site), { onConflict: 'copy' });
      const [item] = await listed();
      expect(item).toMatchObject({ kind: 'copy', path, since: expect.stringMatching(/^\d{4}-\d\d-\d\d$/) as string });
      return item?.copy ?? '';
    }

    it.each<[Choice, string]>([
      ['ours', line3(mine)],
      ['theirs', line3(their)],
      ['both', line3(`${their}\n${mine}`)],
      ['edit', line3('of both')],
    ])('--%s makes one file of the two', async (choice, expected) => {
      const copy = await makeCopy();
      await resolve(choice, { edit: () => line3('of both') });
      expect(onRemote('diary.md')).toBe(expected);
      expect(existsSync(join(site.kb, copy))).toBe(false);
      expectSettled();
    });

    it.each<Choice>(['both', 'edit'])(
      '--%s of two texts that say nothing alike begins with both of them',
      async (choice) => {
        await makeCopy(line3('apples'), line3('a train'));
        await resolve(choice, { edit: (text) => text });
        expect(onRemote('diary.md').split('\n')).toEqual(
          expect.arrayContaining(['line 2', 'apples', 'a train', 'line 4']),
        );
        expectSettled();
      },
    );

    it('--both of what is no text gives the copy a name of its own', async () => {
      const copy = await makeCopy('ours\0', 'theirs\0', 'a.bin');
      await resolve('both', { path: copy });
      expect([onRemote('a.bin'), onRemote('a-2.bin')]).toEqual(['theirs\0', 'ours\0']);
      expect(await listed()).toEqual([]);
      expectSettled();
    });
  });

  it("native git's own merge is listed, and left to native git", async () => {
    write(site.kb, { 'diary.md': line3('ours') });
    git(site.kb, ['commit', '-q', '-am', 'Ours']);
    pushFromElsewhere(site, (work) => write(work, { 'diary.md': line3('theirs') }));
    git(site.kb, ['fetch', '-q']);
    git(site.kb, ['merge', '-q', 'origin/main'], { allowFailure: true });
    const [item] = await listed();
    expect(item).toMatchObject({
      path: 'diary.md',
      kind: 'git',
      next: expect.stringContaining('git merge --continue') as string,
    });
    expect(git(site.kb, ['show', item?.theirs?.name ?? ''])).toBe(line3('theirs'));
    await expect(resolve('ours', { path: 'diary.md' })).rejects.toMatchObject({ code: 'E_UNSAFE_STATE' });
  });
});
