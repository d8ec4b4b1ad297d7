import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { problemsOf } from '../support/crash-invariants.js';
import {
  LINES,
  pushFromElsewhere,
  siteAt,
  startKb,
  syncOnce,
  worldOf,
  write,
  type Site,
} from '../support/crash-site.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const REMOTE_LINES = LINES.replace('line 1\n', 'line 1, remotely\n');

describe.skipIf(!nativeGit.available)('an advance that was interrupted (needs native git)', () => {
  let site: Site;
  let from: string;
  let to: string;
  let journal: string;

  /** A KB whose remote has moved by one commit that is fetched already. */
  beforeEach(async () => {
    site = siteAt(join(makeTemporaryDirectory(), 'site'));
    mkdirSync(site.root);
    await startKb(site);
    from = rev('main');
    pushFromElsewhere(site, (work) =>
      write(work, { 'diary.md': REMOTE_LINES, 'inbox/two.md': null, 'inbox/remote.md': 'remote\n' }),
    );
    git(site.kb, ['fetch', '-q']);
    to = rev('origin/main');
    journal = join(site.kb, '.git/kb/advance.json');
  });

  function rev(name: string): string {
    return git(site.kb, ['rev-parse', name]).trim();
  }

  function leaveJournal(over: object | string = {}): void {
    mkdirSync(join(site.kb, '.git/kb'), { recursive: true });
    const step = { version: 1, branch: 'refs/heads/main', from, to, fromTree: rev('main^{tree}') };
    writeFileSync(journal, typeof over === 'string' ? over : JSON.stringify({ ...step, ...over }));
  }

  function onRemote(path: string): string {
    return git(site.remote, ['show', `main:${path}`]);
  }

  it.each([
    ['nothing was written', {}],
    ['some files were written', { 'diary.md': REMOTE_LINES, 'inbox/two.md': null }],
    ['all files were written', { 'diary.md': REMOTE_LINES, 'inbox/two.md': null, 'inbox/remote.md': 'remote\n' }],
  ])('is finished when %s', async (_when, done) => {
    leaveJournal();
    write(site.kb, done);
    await syncOnce(worldOf(site));
    expect(rev('main')).toBe(to);
    expect(existsSync(journal)).toBe(false);
    expect(problemsOf(site)).toEqual([]);
    expect(git(site.kb, ['reflog', '-1', '--format=%gs'])).toContain('finish an interrupted advance');
  });

  it('is finished when only the branch was still missing', async () => {
    git(site.kb, ['read-tree', '-u', '--reset', to]);
    leaveJournal();
    await syncOnce(worldOf(site));
    expect(rev('main')).toBe(to);
    expect(problemsOf(site)).toEqual([]);
  });

  it('is over when only the journal was left', async () => {
    git(site.kb, ['reset', '-q', '--hard', to]);
    leaveJournal();
    await syncOnce(worldOf(site));
    expect(existsSync(journal)).toBe(false);
    expect(problemsOf(site)).toEqual([]);
  });

  it('keeps edits to files that it does not touch', async () => {
    leaveJournal();
    write(site.kb, { 'inbox/one.md': 'one, edited\n', 'inbox/mine.md': 'mine\n' });
    await syncOnce(worldOf(site));
    expect([onRemote('inbox/one.md'), onRemote('inbox/mine.md')]).toEqual(['one, edited\n', 'mine\n']);
    expect(onRemote('diary.md')).toBe(REMOTE_LINES);
    expect(problemsOf(site)).toEqual([]);
  });

  it('keeps an edit to a file that it has written already', async () => {
    leaveJournal();
    write(site.kb, { 'diary.md': `${REMOTE_LINES}mine\n` });
    await syncOnce(worldOf(site));
    expect(onRemote('diary.md')).toBe(`${REMOTE_LINES}mine\n`);
    expect(problemsOf(site)).toEqual([]);
  });

  it('loses neither side of a file that was edited before it could be written', async () => {
    leaveJournal();
    write(site.kb, { 'diary.md': LINES.replace('line 10\n', 'line 10, locally\n') });
    // Merging is one right answer, stopping with a conflict another; taking the remote's edit back is none.
    await syncOnce(worldOf(site)).catch(() => undefined);
    expect(readFileSync(join(site.kb, 'diary.md'), 'utf8')).toContain('line 10, locally');
    expect(onRemote('diary.md')).toContain('line 1, remotely');
  });

  it('merges such a file as its attributes say: by union', async () => {
    leaveJournal();
    write(site.kb, {
      '.git/info/attributes': 'diary.md merge=union\n',
      'diary.md': LINES.replace('line 1\n', 'line 1, locally\n'),
    });
    await syncOnce(worldOf(site));
    expect(rev('main~')).toBe(to);
    expect(git(site.kb, ['reflog', '--format=%gs'])).toContain('finish an interrupted advance');
    for (const text of [readFileSync(join(site.kb, 'diary.md'), 'utf8'), onRemote('diary.md')]) {
      expect(text).toContain('line 1, locally\n');
      expect(text).toContain('line 1, remotely\n');
    }
    expect(problemsOf(site)).toEqual([]);
  });

  it('merges a file in Latin-1, byte by byte', async () => {
    const latin1 = (over: Record<string, string>): Buffer =>
      Buffer.from(
        LINES.replaceAll(/line (\d+)/g, (line) => over[line] ?? `${line} caf\xe9`),
        'latin1',
      );
    const file = join(site.kb, 'old.txt');
    const pushed = (over: Record<string, string>): void =>
      pushFromElsewhere(site, (work) => {
        writeFileSync(join(work, 'old.txt'), latin1(over));
      });
    pushed({});
    await syncOnce(worldOf(site));
    pushed({ 'line 1': 'remotely \xe8' });
    git(site.kb, ['fetch', '-q']);
    [from, to] = [rev('main'), rev('origin/main')];
    leaveJournal();
    writeFileSync(file, latin1({ 'line 10': 'locally \xfc' }));
    await syncOnce(worldOf(site));
    expect(rev('main~')).toBe(to);
    expect(git(site.kb, ['reflog', '--format=%gs'])).toContain('finish an interrupted advance');
    const merged = latin1({ 'line 1': 'remotely \xe8', 'line 10': 'locally \xfc' });
    expect(readFileSync(file).equals(merged)).toBe(true);
    expect(git(site.remote, ['rev-parse', 'main:old.txt']).trim()).toBe(
      git(site.kb, ['hash-object', '--no-filters', 'old.txt']).trim(),
    );
    expect(problemsOf(site)).toEqual([]);
  });

  it('merges no file that its attributes call binary', async () => {
    leaveJournal();
    const mine = LINES.replace('line 10\n', 'line 10, locally\n');
    write(site.kb, { '.git/info/attributes': 'diary.md -merge\n', 'diary.md': mine });
    await expect(syncOnce(worldOf(site))).rejects.toMatchObject({ code: 'E_CONFLICT' });
    expect(readFileSync(join(site.kb, 'diary.md'), 'utf8')).toBe(mine);
    expect(onRemote('diary.md')).toBe(REMOTE_LINES);
  });

  describe('of a sync whose local edits have landed', () => {
    /** The edits lie in the work tree and on the remote; the index and the branch know nothing of them. */
    beforeEach(() => {
      write(site.kb, { 'inbox/one.md': 'one, edited\n', 'inbox/mine.md': 'mine\n' });
      git(site.kb, ['reset', '-q', '--soft', to]);
      git(site.kb, ['read-tree', to]);
      git(site.kb, ['add', 'inbox/one.md', 'inbox/mine.md']);
      git(site.kb, ['commit', '-q', '-m', 'Mine']);
      git(site.kb, ['push', '-q', 'origin', 'main']);
      to = rev('main');
      const index = join(site.kb, '.git/index');
      git(site.kb, ['read-tree', from]);
      const fromTree = ((): string => {
        const env = { GIT_INDEX_FILE: `${index}.edits` };
        git(site.kb, ['read-tree', from], { env });
        git(site.kb, ['add', 'inbox/one.md', 'inbox/mine.md'], { env });
        return git(site.kb, ['write-tree'], { env }).trim();
      })();
      rmSync(`${index}.edits`);
      git(site.kb, ['update-ref', 'refs/heads/main', from]);
      leaveJournal({ fromTree });
    });

    it('is finished without another commit', async () => {
      await syncOnce(worldOf(site));
      expect(rev('main')).toBe(to);
      expect(problemsOf(site)).toEqual([]);
    });

    it.each([
      ['edited again', 'one, edited again\n'],
      ['put back as it was', 'one\n'],
    ])('keeps a file that was %s since', async (_how, content) => {
      write(site.kb, { 'inbox/one.md': content });
      await syncOnce(worldOf(site));
      expect(onRemote('inbox/one.md')).toBe(content);
      expect(problemsOf(site)).toEqual([]);
    });

    it('lets a new file stay away that was removed since', async () => {
      write(site.kb, { 'inbox/mine.md': null });
      await syncOnce(worldOf(site));
      expect(existsSync(join(site.kb, 'inbox/mine.md'))).toBe(false);
      expect(problemsOf(site)).toEqual([]);
    });
  });

  it('leaves alone a folder that took the place of a file', async () => {
    leaveJournal();
    write(site.kb, { 'diary.md': null });
    write(site.kb, { 'diary.md/inside.md': 'mine\n' });
    await syncOnce(worldOf(site)).catch(() => undefined);
    expect(readFileSync(join(site.kb, 'diary.md/inside.md'), 'utf8')).toBe('mine\n');
  });

  it('is given up when native git has moved the branch since', async () => {
    leaveJournal();
    git(site.kb, ['commit', '-q', '--allow-empty', '-m', 'Native']);
    await syncOnce(worldOf(site));
    expect(existsSync(journal)).toBe(false);
    expect(git(site.remote, ['log', '--format=%s', 'main'])).not.toContain('interrupted');
    expect(onRemote('diary.md')).toBe(REMOTE_LINES);
    expect(problemsOf(site)).toEqual([]);
  });

  it('does not reach into another branch that was checked out since', async () => {
    leaveJournal();
    git(site.kb, ['switch', '-q', '-c', 'other']);
    await syncOnce(worldOf(site));
    expect(readFileSync(join(site.kb, 'diary.md'), 'utf8')).toBe(LINES);
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
    expect(rev('other')).toBe(from);
  });

  it('does not reach into another branch when its own never had a commit', async () => {
    git(site.kb, ['switch', '-q', '-c', 'other']);
    leaveJournal({ from: null });
    git(site.kb, ['branch', '-q', '-D', 'main']);
    await syncOnce(worldOf(site));
    expect(readFileSync(join(site.kb, 'diary.md'), 'utf8')).toBe(LINES);
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
  });

  it('is given up when its branch is gone', async () => {
    leaveJournal({ branch: 'refs/heads/gone' });
    await syncOnce(worldOf(site));
    expect(existsSync(journal)).toBe(false);
    expect(git(site.kb, ['branch', '--list', 'gone'])).toBe('');
    expect(rev('main')).toBe(to);
    expect(problemsOf(site)).toEqual([]);
  });

  it.each([
    ['empty', ''],
    ['cut', '{"version":1,"branch":"refs/heads/main","fr'],
    ['of no object', '"advance"'],
    ['null', 'null'],
    ['of another version', { version: 2 }],
    ['with a branch outside refs/', { branch: '../../config' }],
    ['with something that is no id', { to: 'main' }],
    ['without a tree', { fromTree: undefined }],
    ['that names a commit that is not here', { to: '1'.repeat(40) }],
    ['that names a tree that is not here', { fromTree: '1'.repeat(40) }],
  ])('a journal %s stops nothing', async (_what, content) => {
    leaveJournal(content);
    write(site.kb, { 'inbox/mine.md': 'mine\n' });
    await syncOnce(worldOf(site));
    expect(existsSync(journal)).toBe(false);
    expect(onRemote('inbox/mine.md')).toBe('mine\n');
    expect(onRemote('diary.md')).toBe(REMOTE_LINES);
    expect(problemsOf(site)).toEqual([]);
  });
});
