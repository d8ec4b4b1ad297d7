import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { KbError } from '../../src/errors.js';
import { holdKb } from '../../src/kb/hold.js';
import { restoreSaved } from '../../src/kb/restore.js';
import { recoverInterruptedRun } from '../../src/kb/run/recover.js';
import { systemClock } from '../../src/kb/surroundings.js';
import { takeLockAway } from '../../src/lock/lock.js';
import { expectNativeGitAgrees, expectSound } from '../support/agree.js';
import { LINES, note, pushFromElsewhere, syncOnce, withKb, worldOf, write, type Site } from '../support/crash-site.js';
import { git, nativeGit } from '../support/native-git.js';
import { leftByRun, logOf, makeRunSite, refsUnder, runFailing, runScript, stateOf } from '../support/run-site.js';

const changed = (line: number, text: string): string => LINES.replace(`line ${line}\n`, `${text}\n`);

describe.skipIf(!nativeGit.available)('kb run (needs native git)', () => {
  let site: Site;
  const read = (path: string): string => readFileSync(join(site.kb, path), 'utf8');
  const onRemote = (path: string): string => git(site.remote, ['show', `main:${path}`]);
  const rev = (name: string, where = site.kb): string => git(where, ['rev-parse', name]).trim();

  beforeEach(async () => {
    site = await makeRunSite();
  });
  afterEach(() => {
    expect(leftByRun(site)).toEqual([]);
    expectSound(site.kb);
    expectSound(site.remote);
  });

  describe('of a command that ends well', () => {
    it('lands every kind of change as one commit', async () => {
      const result = await runScript(
        site,
        'echo more >> diary.md; echo new > new.md; rm inbox/one.md; mv inbox/two.md two.md; chmod +x deep/er/three.md',
      );
      expectNativeGitAgrees(site.kb, site.remote);
      expect(result).toMatchObject({ result: 'landed', landed: true, branch: 'main', left: [], merged: [] });
      expect(result.commit).toBe(rev('main', site.remote));
      expect(result.child).toMatchObject({ exitCode: 0, signal: null });
      expect(result.changes).toEqual([
        { path: 'deep/er/three.md', kind: 'modified', added: 0, deleted: 0 },
        { path: 'diary.md', kind: 'modified', added: 1, deleted: 0 },
        { path: 'inbox/one.md', kind: 'deleted', added: 0, deleted: 1 },
        { path: 'new.md', kind: 'added', added: 1, deleted: 0 },
        { path: 'two.md', kind: 'renamed', from: 'inbox/two.md', added: 0, deleted: 0 },
      ]);
      expect(git(site.remote, ['log', '-1', '--format=%an <%ae>%n%B', 'main']).trim()).toBe(
        [
          'Ann <ann@example.com>',
          'Run sh: 5 files\n',
          'Update deep/er/three.md\nUpdate diary.md\nDelete inbox/one.md\nAdd new.md\nRename inbox/two.md → two.md',
        ].join('\n'),
      );
    });

    it('makes no commit and no push when nothing changed', async () => {
      const before = rev('main', site.remote);
      const result = await runScript(site, 'echo x > scratch; rm scratch; touch diary.md');
      expect(result).toMatchObject({ result: 'nothing', commit: null, landed: false, changes: [], requests: 0 });
      expect([rev('main', site.remote), rev('main')]).toEqual([before, before]);
      expect(stateOf(site).trim()).toBe('');
    });

    it('works on what others have pushed before', async () => {
      pushFromElsewhere(site, (work) => write(work, { 'theirs.md': 'theirs\n' }));
      await runScript(site, 'cp theirs.md copy.md');
      expect(onRemote('copy.md')).toBe('theirs\n');
      expectNativeGitAgrees(site.kb, site.remote);
    });

    it('replays its commit upon what others push meanwhile, and tells the id that landed', async () => {
      const elsewhere = join(site.root, 'elsewhere');
      const script = `git clone -q ${site.remote} ${elsewhere} && cd ${elsewhere} && echo theirs > theirs.md && git add . &&
        git -c user.name=B -c user.email=b@c commit -qm Theirs && git push -q origin main && cd ${site.kb} && echo more >> diary.md`;
      const result = await runScript(site, script);
      expect(result).toMatchObject({ result: 'landed', changes: [{ path: 'diary.md', added: 1 }] });
      expect(result.commit).toBe(rev('main', site.remote));
      expect(logOf(site.remote, '-2', 'main')).toEqual([
        'Run sh: Update diary.md',
        'M\tdiary.md',
        'Theirs',
        'A\ttheirs.md',
      ]);
      expectNativeGitAgrees(site.kb, site.remote);
    });

    it('keeps the commit locally with --no-push, and the next run brings it out', async () => {
      const before = rev('main', site.remote);
      const result = await runScript(site, 'echo more >> diary.md', { push: false, message: 'Mine' });
      expect(result).toMatchObject({ result: 'saved', landed: false, commit: rev('main') });
      expect(rev('main', site.remote)).toBe(before);
      expect(stateOf(site).trim()).toBe('');
      await runScript(site, 'echo new > new.md');
      expect(logOf(site.remote, '-2', '--format=%s', 'main').filter((line) => !line.includes('\t'))).toEqual([
        'Run sh: Add new.md',
        'Mine',
      ]);
    });

    it('has the environment that kb has, KB_PATH and KB_LOCK_TOKEN, and the rest of its input', async () => {
      await runScript(site, 'echo "$KB_PATH $SOME $(pwd) $(printf %s $KB_LOCK_TOKEN | wc -c)" > env.md', {
        env: { SOME: 'thing' },
      });
      expect(onRemote('env.md')).toBe(`${site.kb} thing ${site.kb} 32\n`);
    });

    it('starts in the folder of --cwd', async () => {
      await runScript(site, 'pwd > here', { cwd: 'deep/er' });
      expect(onRemote('deep/er/here')).toBe(`${site.kb}/deep/er\n`);
    });

    it('takes arguments as they are: no shell is involved', async () => {
      await runScript(site, '', { command: ['touch', '$HOME; a  b'] });
      expect(existsSync(join(site.kb, '$HOME; a  b'))).toBe(true);
      expectNativeGitAgrees(site.kb, site.remote);
    });

    it('makes the first commit of an empty KB without a remote', async () => {
      git(site.root, ['init', '-q', 'empty']);
      const empty = { ...site, kb: join(site.root, 'empty') };
      expect(await runScript(empty, 'echo first > first.md')).toMatchObject({ result: 'saved', landed: false });
      expect(logOf(empty.kb)).toEqual(['Run sh: Add first.md', 'A\tfirst.md']);
      expectNativeGitAgrees(empty.kb);
    });

    it('pushes what the command committed itself', async () => {
      const commit = 'git -c user.name=B -c user.email=b@c commit -q';
      const result = await runScript(site, `echo a >> diary.md; ${commit} -am Own; echo b > rest.md`);
      expect(logOf(site.remote, '-2', 'main')).toEqual(['Run sh: Add rest.md', 'A\trest.md', 'Own', 'M\tdiary.md']);
      expect(result.changes.map(({ path }) => path)).toEqual(['diary.md', 'rest.md']);
      expectNativeGitAgrees(site.kb, site.remote);
      const own = await runScript(site, `echo c >> diary.md; ${commit} -am Again`);
      expect(own).toMatchObject({
        result: 'landed',
        commit: rev('main', site.remote),
        changes: [{ path: 'diary.md' }],
      });
      expectNativeGitAgrees(site.kb, site.remote);
    });

    it('never commits the state of an open Obsidian window', async () => {
      const result = await runScript(site, 'mkdir .obsidian; echo {} > .obsidian/workspace.json; echo x > x.md');
      expect(result.changes.map(({ path }) => path)).toEqual(['x.md']);
      expect(existsSync(join(site.kb, '.obsidian/workspace.json'))).toBe(true);
    });

    it('leaves repositories in the KB alone, and says so once', async () => {
      git(site.kb, ['init', '-q', 'old']);
      const warnings: string[] = [];
      await runFailing(site, 'git init -q new; echo x > new/x.md; exit 1', { warnings });
      expect(warnings.sort()).toEqual([
        'new is a repository of its own and is left alone',
        'old is a repository of its own and is left alone',
      ]);
      expect(read('new/x.md')).toBe('x\n');
    });

    it('says what it cannot bring into a KB, and commits the rest', async () => {
      const warnings: string[] = [];
      await runScript(site, "echo x > 'a\\b.md'; echo y > y.md", { warnings });
      expect(warnings).toEqual([expect.stringContaining('left alone: "a\\\\b.md"')]);
      expect(onRemote('y.md')).toBe('y\n');
      expect(git(site.kb, ['status', '--porcelain'])).toBe('?? "a\\\\b.md"\n');
    });
  });

  describe('and what people have not committed', () => {
    /** A changed, a staged, a staged and changed, a deleted, an untracked file, and one only intended to be added. */
    function makeDirty(): string {
      write(site.kb, { 'diary.md': changed(1, 'mine'), 'inbox/one.md': 'staged\n', 'inbox/two.md': 'staged\n' });
      git(site.kb, ['add', 'inbox']);
      write(site.kb, { 'inbox/two.md': 'changed again\n', 'deep/er/three.md': null, 'draft.md': 'draft\n' });
      return stateOf(site);
    }

    it('is in no commit of the run, and as it was after it', async () => {
      const dirty = makeDirty();
      const result = await runScript(site, 'echo new > new.md; echo x >> becomes-folder');
      expect(result.changes.map(({ path }) => path)).toEqual(['becomes-folder', 'new.md']);
      expect(logOf(site.remote, '-1', 'main')).toEqual(['Run sh: 2 files', 'M\tbecomes-folder', 'A\tnew.md']);
      expect(stateOf(site)).toBe(dirty);
    });

    it('is told from the lines that the run changed in the same file', async () => {
      write(site.kb, { 'diary.md': changed(1, 'mine') });
      const warnings: string[] = [];
      await runScript(site, 'echo more >> diary.md', { warnings });
      expect(onRemote('diary.md')).toBe(`${LINES}more\n`);
      expect(read('diary.md')).toBe(`${changed(1, 'mine')}more\n`);
      expect(git(site.kb, ['status', '--porcelain'])).toBe(' M diary.md\n');
      expect(git(site.kb, ['diff', '--numstat'])).toBe('1\t1\tdiary.md\n');
      expect(warnings).toEqual([]);
    });

    it('is told from the run by no lines of a file that is not merged by lines, nor by a union of both', async () => {
      write(site.kb, {
        '.git/info/attributes': 'diary.md -merge\ninbox/one.md merge=union\n',
        'diary.md': changed(1, 'mine'),
        'inbox/one.md': 'mine\n',
      });
      const warnings: string[] = [];
      await runScript(site, 'echo more >> diary.md; echo theirs > inbox/one.md', { warnings });
      expect([onRemote('diary.md'), onRemote('inbox/one.md')]).toEqual([`${changed(1, 'mine')}more\n`, 'theirs\n']);
      expect(warnings).toEqual([expect.stringContaining('uncommitted before, in: diary.md, inbox/one.md')]);
      expectNativeGitAgrees(site.kb, site.remote);
    });

    it('goes along, and is told, where the two cannot be told apart', async () => {
      write(site.kb, { 'diary.md': changed(1, 'mine'), 'draft.md': 'draft\n' });
      const warnings: string[] = [];
      await runScript(site, 'sed -i s/mine/theirs/ diary.md; echo more >> draft.md', { warnings });
      expect([onRemote('diary.md'), onRemote('draft.md')]).toEqual([changed(1, 'theirs'), 'draft\nmore\n']);
      expect(warnings).toEqual([expect.stringContaining('uncommitted before, in: diary.md, draft.md')]);
      expectNativeGitAgrees(site.kb, site.remote);
    });

    it('stays a deletion of theirs when the run puts a folder in its place', async () => {
      write(site.kb, { 'becomes-folder': null });
      await runScript(site, 'mkdir becomes-folder; echo x > becomes-folder/x.md');
      expect(onRemote('becomes-folder/x.md')).toBe('x\n');
      expectNativeGitAgrees(site.kb, site.remote);
    });

    it('is left alone although the command stages it', async () => {
      const dirty = makeDirty();
      await runFailing(site, 'git add -A; exit 1');
      expect(stateOf(site)).toBe(dirty);
      await runScript(site, 'git add -A; echo x > x.md; git add x.md; rm x.md');
      expect(stateOf(site)).toBe(dirty);
      await runScript(site, 'git add -A; echo y > y.md');
      expect(stateOf(site)).toBe(dirty);
      expect(refsUnder(site, 'refs/kb/stash')).toEqual([]);
    });
  });

  describe('of a command that fails', () => {
    function makeDirty(): string {
      write(site.kb, { 'diary.md': changed(1, 'mine'), 'inbox/one.md': 'staged\n', 'inbox/two.md': 'staged\n' });
      git(site.kb, ['add', 'inbox']);
      write(site.kb, { 'inbox/two.md': 'changed again\n', 'deep/er/three.md': null, 'draft.md': 'draft\n' });
      return stateOf(site);
    }
    const WILD = `echo more >> diary.md; echo x > inbox/one.md; rm inbox/two.md draft.md becomes-folder; mkdir -p deep/er becomes-folder
      echo back > deep/er/three.md; echo in > becomes-folder/in.md; rm -r becomes-file; echo file > becomes-file; chmod +x diary.md
      mkdir -p a/b/c; echo new > a/b/c/new.md; ln -s diary.md link; git add a becomes-file`;

    it('saves what it changed, and puts files and index back as they were', async () => {
      const [dirty, head] = [makeDirty(), rev('main')];
      const error = await runFailing(site, `${WILD}; exit 3`);
      expect(error).toMatchObject({ code: 'E_COMMAND', exitCode: 3 });
      expect(error.message).toMatch(
        /^sh ended with exit code 3; what it changed \(11 files\) is taken out of the files and saved as refs\/kb\/stash\//,
      );
      expect(stateOf(site)).toBe(dirty);
      expect([rev('main'), rev('main', site.remote)]).toEqual([head, head]);
      expect(existsSync(join(site.kb, 'a'))).toBe(false);
      const [stash = ''] = refsUnder(site, 'refs/kb/stash');
      expect(error.details).toMatchObject({ stash, child: { exitCode: 3, signal: null } });
      expect(rev(`${stash}^`)).toBe(head);
      expect(git(site.kb, ['show', `${stash}:a/b/c/new.md`])).toBe('new\n');
    });

    it('says how to get it back, and that works', async () => {
      const script = 'echo more >> diary.md; echo new > new.md; rm inbox/one.md; chmod +x inbox/two.md';
      const error = await runFailing(site, `${script}; exit 1`);
      expect(git(site.kb, ['status', '--porcelain'])).toBe('');
      const [, ref = ''] = /^get it back with: kb restore (.*)$/.exec(error.hint) ?? [];
      await withKb(worldOf(site), (kb) => restoreSaved(kb, { ref, onConflict: 'fail' }));
      expect(git(site.kb, ['status', '--porcelain'])).toBe(
        ' M diary.md\n D inbox/one.md\n M inbox/two.md\n?? new.md\n',
      );
      expect([read('diary.md'), statSync(join(site.kb, 'inbox/two.md')).mode & 0o100]).toEqual([
        `${LINES}more\n`,
        0o100,
      ]);
      await syncOnce(worldOf(site));
      expect(onRemote('new.md')).toBe('new\n');
      expectNativeGitAgrees(site.kb, site.remote);
    });

    it('tells what changed as for one that ends well', async () => {
      const error = await runFailing(site, 'mv inbox/one.md one.md; exit 1');
      expect(error.details['changes']).toEqual([
        { path: 'one.md', kind: 'renamed', from: 'inbox/one.md', added: 0, deleted: 0 },
      ]);
    });

    it('throws it away with discard', async () => {
      const dirty = makeDirty();
      const error = await runFailing(site, `${WILD}; exit 1`, { onFailure: 'discard' });
      expect(error.message).toContain('what it changed (11 files) is thrown away');
      expect(stateOf(site)).toBe(dirty);
      expect(refsUnder(site, 'refs/kb')).toEqual([]);
    });

    it('leaves it in the files with keep', async () => {
      const error = await runFailing(site, 'echo more >> diary.md; exit 1', { onFailure: 'keep' });
      expect(error).toMatchObject({
        hint: 'commit it with: kb sync',
        details: { stash: null, changes: [{ path: 'diary.md' }] },
      });
      expect(git(site.kb, ['status', '--porcelain'])).toBe(' M diary.md\n');
    });

    it('has nothing to say of changes where there are none', async () => {
      const error = await runFailing(site, 'exit 9');
      expect(error).toMatchObject({ message: 'sh ended with exit code 9; it changed nothing', exitCode: 9 });
      expect(refsUnder(site, 'refs/kb')).toEqual([]);
    });

    it('is told by 128 and its number when a signal ended it', async () => {
      const error = await runFailing(site, 'kill -KILL $$');
      expect(error).toMatchObject({ message: 'sh was ended by SIGKILL; it changed nothing', exitCode: 137 });
      expect(error.details['child']).toMatchObject({ exitCode: null, signal: 'SIGKILL' });
    });

    it.each([
      ['that does not exist', ['no-such-program'], 127],
      ['that is not executable', ['./diary.md'], 126],
      ['that is a folder', ['./inbox'], 126],
    ] as const)('of a program %s nothing is run', async (_, command, exitCode) => {
      const error = await runFailing(site, '', { command: [...command] });
      expect(error).toMatchObject({ code: 'E_COMMAND', exitCode });
      expect(error.message).toMatch(/; nothing was run$/);
    });

    it('of a program that is not executable says so', async () => {
      const error = await runFailing(site, '', { command: ['./diary.md'] });
      expect(error.message).toBe('"./diary.md" could not be started: it is not executable; nothing was run');
    });

    it('of an argument with a NUL nothing is run', async () => {
      expect(await runFailing(site, '', { command: ['echo', 'a\0b'] })).toMatchObject({ code: 'E_USAGE' });
    });

    it('keeps its own commits, and says so', async () => {
      const warnings: string[] = [];
      const commit = 'git -c user.name=B -c user.email=b@c commit -q';
      await runFailing(site, `echo a >> diary.md; ${commit} -am Own; echo b > rest.md; exit 1`, { warnings });
      expect(logOf(site.kb, '-1')).toEqual(['Own', 'M\tdiary.md']);
      expect(git(site.kb, ['status', '--porcelain'])).toBe('');
      expect(warnings).toEqual([expect.stringContaining('stay on main')]);
    });

    it('does not touch a file that somebody changes while it is put back', async () => {
      const warnings: string[] = [];
      const error = await runFailing(site, 'echo run > inbox/one.md; exit 1', {
        warnings,
        world: { disk: editedWhenLocked(join(site.kb, 'inbox/one.md'), 'edited since\n') },
      });
      expect(read('inbox/one.md')).toBe('edited since\n');
      expect(git(site.kb, ['show', `${String(error.details['stash'])}:inbox/one.md`])).toBe('run\n');
      expect(warnings).toEqual(['changed again meanwhile, and not put back: inbox/one.md']);
    });
  });

  describe('and ignored files', () => {
    beforeEach(async () => {
      write(site.kb, { '.gitignore': '*.log\nbuild/\n' });
      await syncOnce(worldOf(site));
      write(site.kb, { 'old.log': 'old\n', 'build/old.o': 'old\n' });
    });
    const survivors = (): boolean[] => ['old.log', 'build/old.o'].map((path) => existsSync(join(site.kb, path)));

    it('are not committed', async () => {
      await runScript(site, 'echo x > new.log; echo x > build/new.o; echo x > x.md');
      expect(logOf(site.remote, '-1', 'main')).toEqual(['Run sh: Add x.md', 'A\tx.md']);
    });

    it.each(['stash', 'discard'] as const)(
      'are not taken for new ones where a failed command changed the rules (%s)',
      async (onFailure) => {
        for (const script of ['rm .gitignore', 'echo > .gitignore', 'mv .gitignore inbox/']) {
          await runFailing(site, `${script}; echo x > made.log; exit 1`, { onFailure });
          expect(survivors()).toEqual([true, true]);
          expect(git(site.kb, ['status', '--porcelain'])).toBe('');
        }
      },
    );

    it('are taken out where a failed command ignored them', async () => {
      await runFailing(site, "echo '*.tmp' >> .gitignore; echo x > made.tmp; mkdir d; echo y > d/made.tmp; exit 1");
      expect(git(site.kb, ['status', '--porcelain'])).toBe('');
      const [stash = ''] = refsUnder(site, 'refs/kb/stash');
      expect(git(site.kb, ['show', `${stash}:d/made.tmp`])).toBe('y\n');
    });

    it('are committed where the command says that they are to be', async () => {
      await runScript(site, "echo 'build/' > .gitignore");
      expect(onRemote('old.log')).toBe('old\n');
    });
  });

  describe('--path', () => {
    it('commits what it selects, and leaves and names the rest', async () => {
      const warnings: string[] = [];
      const script = 'mkdir -p topics/a; for f in a.md topics/b.md topics/a/c.md topics/d.txt; do echo x > $f; done';
      const result = await runScript(site, script, { paths: ['/topics/**/*.md'], warnings });
      expect(result.changes.map(({ path }) => path)).toEqual(['topics/a/c.md', 'topics/b.md']);
      expect(result.left).toEqual(['a.md', 'topics/d.txt']);
      expect(warnings).toEqual(['not selected by --path, and left uncommitted: a.md, topics/d.txt']);
      expect(git(site.kb, ['status', '--porcelain', '--untracked-files=all'])).toBe('?? a.md\n?? topics/d.txt\n');
    });

    it('makes no commit when it selects nothing', async () => {
      expect(await runScript(site, 'echo x > a.md', { paths: ['b.md'] })).toMatchObject({
        result: 'nothing',
        left: ['a.md'],
      });
      expect(git(site.kb, ['status', '--porcelain'])).toBe('?? a.md\n');
    });

    it('is wrong before anything is run', async () => {
      expect(await runFailing(site, 'echo x > a.md', { paths: ['# no'] })).toMatchObject({ code: 'E_USAGE' });
      expect(existsSync(join(site.kb, 'a.md'))).toBe(false);
    });
  });

  describe('--topics-only', () => {
    beforeEach(async () => {
      write(site.kb, { 'topics/a.md': 'a\n' });
      await syncOnce(worldOf(site));
    });

    it('starts in topics/ and lands what is changed in there', async () => {
      await runScript(site, 'echo more >> a.md', { topicsOnly: true });
      expect(onRemote('topics/a.md')).toBe('a\nmore\n');
    });

    it.each([
      ['a file', 'echo x >> ../diary.md; echo y > b.md'],
      ['a commit of its own', 'echo x >> ../diary.md; git -c user.name=B -c user.email=b@c commit -qam Own'],
    ])('fails with exit 7 for a change outside of it: %s', async (_, script) => {
      const before = rev('main', site.remote);
      const error = await runFailing(site, script, { topicsOnly: true });
      expect(error).toMatchObject({
        code: 'E_UNSAFE_STATE',
        exitCode: 7,
        details: { outside: ['diary.md'], child: { exitCode: 0 } },
      });
      expect(rev('main', site.remote)).toBe(before);
      expect(git(site.kb, ['status', '--porcelain'])).toBe('');
    });

    it('allows a folder below it, and no other', async () => {
      mkdirSync(join(site.kb, 'topics/sub'));
      await runScript(site, 'echo x > x.md', { topicsOnly: true, cwd: 'topics/sub' });
      expect(onRemote('topics/sub/x.md')).toBe('x\n');
      expect(await runFailing(site, 'true', { topicsOnly: true, cwd: 'inbox' })).toMatchObject({ code: 'E_USAGE' });
    });
  });

  describe('--cwd is refused, and nothing is run,', () => {
    it.each(['../elsewhere', '/', '.git', '.git/objects', 'diary.md', 'nowhere', 'out'])('for %s', async (cwd) => {
      symlinkSync(site.root, join(site.kb, 'out'));
      const error = await runFailing(site, `touch ${site.root}/ran`, { cwd });
      expect(error).toMatchObject({ code: 'E_USAGE' });
      expect(existsSync(join(site.root, 'ran'))).toBe(false);
    });
  });

  describe('--rate-limit', () => {
    it('refuses one run more with exit 6 and the time to wait, and nothing is run', async () => {
      let nowMs = 1_800_000_000_000;
      const clock = { ...systemClock, wall: () => nowMs };
      const limited = { rateLimit: { runs: 2, withinMs: 60_000 }, world: { clock } };
      await runScript(site, 'true', limited);
      nowMs += 20_000;
      await runFailing(site, 'exit 1', limited); // a failure is a start, too
      nowMs += 10_000;
      const error = await runFailing(site, 'touch ran', limited);
      expect(error).toMatchObject({
        code: 'E_LOCK_TIMEOUT',
        exitCode: 6,
        retryable: true,
        details: { retryAfterMs: 30_000 },
      });
      expect(error.hint).toBe('run it again in 30 s');
      expect(existsSync(join(site.kb, 'ran'))).toBe(false);
      nowMs += 30_000;
      await runScript(site, 'true', limited);
      nowMs -= 3_600_000; // the clock is set back: what lies in the future does not count
      await runScript(site, 'true', limited);
    });
  });

  describe('without a reachable remote', () => {
    it('works on what is here, keeps the commit, and ends with E_NETWORK', async () => {
      git(site.kb, ['config', 'remote.origin.url', 'http://127.0.0.1:1/kb.git']);
      const warnings: string[] = [];
      const error = await runFailing(site, 'echo more >> diary.md', { warnings });
      git(site.kb, ['config', 'remote.origin.url', site.remote]);
      expect(error).toMatchObject({
        code: 'E_NETWORK',
        exitCode: 3,
        details: { saved: rev('main'), child: { exitCode: 0 }, stash: null },
      });
      expect(error.details['changes']).toMatchObject([{ path: 'diary.md', added: 1 }]);
      expect(warnings).toEqual([expect.stringContaining('works on what is here')]);
      expect(stateOf(site).trim()).toBe('');
      await syncOnce(worldOf(site));
      expect(onRemote('diary.md')).toBe(`${LINES}more\n`);
    });
  });

  describe('when others changed the same lines meanwhile', () => {
    const script = (then: string): string => {
      const elsewhere = join(site.root, 'elsewhere');
      return `git clone -q ${site.remote} ${elsewhere} && (cd ${elsewhere} && sed -i 's/^line 3$/theirs/' diary.md &&
        git -c user.name=B -c user.email=b@c commit -qam Theirs && git push -q origin main) && sed -i 's/^line 3$/ours/' diary.md; ${then}`;
    };

    it.each(['stash', 'discard'] as const)(
      'stops with exit 5 and saves what the run changed (%s)',
      async (onFailure) => {
        const error = await runFailing(site, script('echo new > new.md'), { onFailure });
        expect(error).toMatchObject({
          code: 'E_CONFLICT',
          exitCode: 5,
          details: { conflicts: [{ path: 'diary.md' }] },
        });
        const stash = String(error.details['stash']);
        expect(error.hint).toContain(stash);
        expect(git(site.kb, ['show', `${stash}:diary.md`])).toBe(changed(3, 'ours'));
        expect(git(site.kb, ['status', '--porcelain'])).toBe('');
        expect(onRemote('diary.md')).toBe(changed(3, 'theirs'));
        await note(worldOf(site), { text: 'the KB goes on' });
        expectNativeGitAgrees(site.kb, site.remote);
      },
    );

    it('leaves it in the files with keep', async () => {
      const error = await runFailing(site, script('true'), { onFailure: 'keep' });
      expect(error).toMatchObject({ code: 'E_CONFLICT', details: { stash: null } });
      expect(read('diary.md')).toBe(changed(3, 'ours'));
      await syncOnce(worldOf(site), { onConflict: 'copy' });
      expectNativeGitAgrees(site.kb, site.remote);
    });
  });

  it('saves what it changed when the remote refuses it', async () => {
    const hook = join(site.remote, 'hooks/pre-receive');
    mkdirSync(join(site.remote, 'hooks'), { recursive: true });
    writeFileSync(hook, '#!/bin/sh\necho no runs here; exit 1\n');
    chmodSync(hook, 0o755);
    const error = await runFailing(site, 'echo more >> diary.md');
    expect(error).toMatchObject({ code: 'E_REFUSED', exitCode: 14, details: { child: { exitCode: 0 } } });
    expect(git(site.kb, ['show', `${String(error.details['stash'])}:diary.md`])).toBe(`${LINES}more\n`);
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
  });

  describe('ends the command', () => {
    /** A command that leaves a process in the background; both write until they are ended. */
    const busy = (traps = ''): string => `${traps} sh -c "${traps} ${loop('background.txt')}" & ${loop('busy.txt')}`;
    /** Not for ever: should the test fail, nobody would end it. */
    const loop = (file: string): string => `for i in $(seq -s ' ' 500); do echo x >> ${file}; sleep 0.02; done`;
    const writing = async (): Promise<void> => {
      await expect.poll(() => existsSync(join(site.kb, 'background.txt')), { timeout: 10_000 }).toBe(true);
    };

    const impatient = {
      ...systemClock,
      sleep: (ms: number, signal?: AbortSignal): Promise<void> => systemClock.sleep(Math.min(ms, 500), signal),
    };

    it('and all that it started after --timeout, with exit 124', async () => {
      const error = await runFailing(site, busy(), { timeoutMs: 300 });
      expect(error).toMatchObject({
        code: 'E_TIMEOUT',
        exitCode: 124,
        details: { child: { exitCode: null, signal: 'SIGTERM' } },
      });
      expect(error.message).toMatch(/^sh did not end within 300 ms and was ended; what it changed \(2 files\)/);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(git(site.kb, ['status', '--porcelain'])).toBe('');
    });

    it('also when only what it started does not end when asked to', async () => {
      const script = `sh -c "trap '' TERM; ${loop('background.txt')}" & sleep 30`;
      await runFailing(site, script, { timeoutMs: 300, world: { clock: impatient } });
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(git(site.kb, ['status', '--porcelain'])).toBe('');
    });

    it('a stopped one, too', async () => {
      const error = await runFailing(site, 'kill -STOP $$', { timeoutMs: 200 });
      expect(error.details['child']).toMatchObject({ signal: 'SIGTERM' });
    });

    it('with SIGKILL when it does not end within the grace', async () => {
      const error = await runFailing(site, busy("trap '' TERM;"), { timeoutMs: 300, world: { clock: impatient } });
      expect(error.details['child']).toMatchObject({ signal: 'SIGKILL' });
    });

    it.each([
      ['E_INTERRUPTED', 130, 'SIGINT'],
      ['E_TERMINATED', 143, 'SIGTERM'],
    ] as const)('when it is asked to: %s', async (code, exitCode, signal) => {
      const stop = new AbortController();
      // what a shell starts in the background ignores SIGINT: it is ended when the grace is over
      const failing = runFailing(site, busy(), { world: { signal: stop.signal, clock: impatient } });
      await writing();
      stop.abort(new KbError(code, 'by the test'));
      const error = await failing;
      expect(error).toMatchObject({ code, exitCode, details: { child: { signal } } });
      expect(git(site.kb, ['status', '--porcelain'])).toBe('');
      expect(refsUnder(site, 'refs/kb/stash')).toEqual([error.details['stash']]);
    });

    it('at once when it is asked again', async () => {
      const [stop, kill] = [new AbortController(), new AbortController()];
      const failing = runFailing(site, busy("trap '' TERM INT;"), {
        world: { signal: stop.signal },
        kill: kill.signal,
      });
      await writing();
      const start = performance.now();
      stop.abort(new KbError('E_INTERRUPTED', 'by the test'));
      kill.abort();
      expect(await failing).toMatchObject({ code: 'E_INTERRUPTED', details: { child: { signal: 'SIGKILL' } } });
      expect(performance.now() - start).toBeLessThan(5000);
    });

    it('and commits nothing when the lock is taken away', async () => {
      const before = rev('main', site.remote);
      const failing = runFailing(site, busy());
      await writing();
      takeLockAway(site.kb, undefined);
      const error = await failing;
      expect(error).toMatchObject({ code: 'E_LOCK_LOST', exitCode: 11, details: { child: { signal: 'SIGTERM' } } });
      expect(git(site.kb, ['status', '--porcelain'])).toBe('?? background.txt\n?? busy.txt\n');
      expect(rev('main', site.remote)).toBe(before);
      await recover(site);
      expect(git(site.kb, ['status', '--porcelain'])).toBe('?? background.txt\n?? busy.txt\n');
    });

    it('never starts it when it is asked to before', async () => {
      const stop = new AbortController();
      const report = (): void => stop.abort(new KbError('E_INTERRUPTED', 'by the test'));
      await runFailing(site, 'touch ran', { world: { signal: stop.signal }, onChild: report });
      expect(existsSync(join(site.kb, 'ran'))).toBe(false);
    });
  });

  describe('with what the command leaves in git', () => {
    it('on another branch: commits nothing, and says so', async () => {
      const error = await runFailing(site, 'git switch -qc other; echo x > x.md');
      expect(error).toMatchObject({ code: 'E_UNSAFE_STATE', details: { child: { exitCode: 0 } } });
      expect(error.message).toBe('sh left the branch main; nothing was committed, what it changed is in the files');
      expect(git(site.kb, ['status', '--porcelain'])).toBe('?? x.md\n');
    });

    it('index.lock, of a command that failed: its changes stay in the files', async () => {
      const error = await runFailing(site, 'echo x > x.md; touch .git/index.lock; exit 1');
      expect(error).toMatchObject({ code: 'E_COMMAND', exitCode: 1 });
      expect(error.message).toContain('left in the files');
      renameSync(join(site.kb, '.git/index.lock'), join(site.root, 'index.lock'));
      await recover(site);
      expect(git(site.kb, ['status', '--porcelain'])).toBe('?? x.md\n');
    });
  });

  describe('and kb inside of the command', () => {
    /** A script that tells its token, then waits until the test lets it go on. */
    const waiting = (then = ''): string =>
      `echo $KB_LOCK_TOKEN > ${site.root}/token.new; mv ${site.root}/token.new ${site.root}/token
       for i in $(seq 1000); do [ -e ${site.root}/go ] && break; sleep 0.02; done; rm ${site.root}/go; ${then}`;
    const token = async (): Promise<string> => {
      await expect.poll(() => existsSync(join(site.root, 'token')), { timeout: 10_000 }).toBe(true);
      return readFileSync(join(site.root, 'token'), 'utf8').trim();
    };
    const inside = async (): Promise<{ env: NodeJS.ProcessEnv }> => {
      const { env } = worldOf(site);
      return { env: { ...env, PATH: process.env['PATH'], KB_LOCK_TOKEN: await token() } };
    };
    const goOn = (): void => writeFileSync(join(site.root, 'go'), '');

    it('its notes land at once, and the run commits the rest', async () => {
      const running = runScript(site, `echo rest > rest.md; ${waiting()}`);
      await note(worldOf(site, await inside()), { text: 'from inside', target: { kind: 'new', path: 'in.md' } });
      expect(onRemote('in.md')).toContain('from inside');
      expect(git(site.kb, ['status', '--porcelain'])).toBe('?? rest.md\n');
      goOn();
      expect(await running).toMatchObject({ result: 'landed', changes: [{ path: 'rest.md' }] });
      expectNativeGitAgrees(site.kb, site.remote);
    });

    it('a sync commits also what people had not: the run has nothing to do with it any more', async () => {
      write(site.kb, { 'diary.md': changed(1, 'mine') });
      const running = runFailing(site, `echo rest > rest.md; ${waiting('echo later > later.md; exit 1')}`);
      await syncOnce(worldOf(site, await inside()));
      goOn();
      expect((await running).details['changes']).toMatchObject([{ path: 'later.md' }]);
      expect([onRemote('diary.md'), onRemote('rest.md')]).toEqual([changed(1, 'mine'), 'rest\n']);
      expectNativeGitAgrees(site.kb, site.remote);
    });

    it('a run inside leaves what the outer one has changed so far, and puts away its own only', async () => {
      const running = runScript(site, `echo outer > outer.md; ${waiting()}`);
      const world = await inside();
      expect(await runFailing(site, 'echo x >> outer.md; echo inner > inner.md; exit 1', { world })).toMatchObject({
        exitCode: 1,
      });
      expect([read('outer.md'), existsSync(join(site.kb, 'inner.md'))]).toEqual(['outer\n', false]);
      expect(await runScript(site, 'echo two > two.md', { world })).toMatchObject({
        result: 'landed',
        changes: [{ path: 'two.md' }],
      });
      goOn();
      expect(await running).toMatchObject({ changes: [{ path: 'outer.md', added: 1 }] });
      expect(logOf(site.remote, '-2', 'main')).toEqual([
        'Run sh: Add outer.md',
        'A\touter.md',
        'Run sh: Add two.md',
        'A\ttwo.md',
      ]);
      expectNativeGitAgrees(site.kb, site.remote);
    });

    it.each([
      ['ends well', 'echo outer >> inbox/one.md'],
      ['fails', 'echo outer >> inbox/one.md; exit 1'],
    ])(
      'what people had not committed in a file that a run inside committed stays theirs when the outer one %s',
      async (_, then) => {
        write(site.kb, { 'diary.md': changed(1, 'mine') });
        const running = runScript(site, waiting(then)).catch((error: unknown) => error);
        await runScript(site, 'echo inner >> diary.md', { world: await inside() });
        goOn();
        await running;
        expect(onRemote('diary.md')).toBe(`${LINES}inner\n`);
        expect(read('diary.md')).toBe(`${changed(1, 'mine')}inner\n`);
        expect(git(site.kb, ['status', '--porcelain'])).toBe(' M diary.md\n');
      },
    );

    it('one that is still at work when the command has ended is waited for', async () => {
      const running = runScript(site, `echo rest > rest.md; ${waiting()}`);
      const late = runScript(site, `sleep 0.5; echo late > late.md`, { world: await inside() });
      await expect.poll(() => existsSync(join(site.kb, '.git/kb/inside/1/.kb_operations.lock'))).toBe(true);
      goOn();
      expect(await late).toMatchObject({ result: 'landed' });
      expect(await running).toMatchObject({ result: 'landed' });
      expect(logOf(site.remote, '-2', 'main').filter((line) => line.startsWith('A'))).toEqual([
        'A\trest.md',
        'A\tlate.md',
      ]);
    });
  });
});

/** A disk on which somebody changes a file at the moment when git's index is locked. */
function editedWhenLocked(path: string, content: string): Disk {
  return new Proxy(nodeDisk, {
    get: (target, name: keyof Disk) => {
      if (name !== 'linkSync') return target[name] as unknown;
      return (from: string, to: string): void => {
        target.linkSync(from, to);
        if (to.endsWith('.git/index.lock')) writeFileSync(path, content);
      };
    },
  });
}

/** What the next command does before anything else. */
async function recover(site: Site): Promise<void> {
  await withKb(worldOf(site), (kb) =>
    holdKb(kb, 'sync', async (hold) => {
      recoverInterruptedRun(kb, { who: 'Ann <ann@example.com> 1 +0000', fence: () => hold.assertHeld() });
    }),
  );
}
