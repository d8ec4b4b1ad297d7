import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { isKbError, KnowledgeBase, withLock, type KbError, type LockWait, type Report } from '../../src/index.js';
import { expectNativeGitAgrees, expectSound, filesOnRemote } from '../support/agree.js';
import { startGitServer, type GitServer } from '../support/http-backend.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const LINES = Array.from({ length: 9 }, (_, at) => `line ${at + 1}`).join('\n') + '\n';

describe.skipIf(!nativeGit.available)('the library (needs native git)', () => {
  let root: string;
  let remote: string;
  let env: NodeJS.ProcessEnv;
  let ann: KnowledgeBase;

  beforeEach(async () => {
    root = makeTemporaryDirectory();
    remote = join(root, 'remote.git');
    env = {
      HOME: root,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: 'Ann',
      GIT_AUTHOR_EMAIL: 'ann@example.com',
      TZ: 'UTC',
    };
    ann = await KnowledgeBase.init('ann', { env, cwd: root, remote: 'remote.git' });
    await ann.note({ text: LINES, target: { kind: 'new', path: 'a.md' }, frontmatter: false });
  });

  const read = (...path: string[]): string => readFileSync(join(root, ...path), 'utf8');
  const ben = (): Promise<KnowledgeBase> => KnowledgeBase.clone('remote.git', 'ben', { env, cwd: root });
  const lockIsThere = (): boolean => existsSync(join(root, 'ann', '.kb_operations.lock'));
  const failure = (work: Promise<unknown>): Promise<KbError> =>
    work.then(
      (value) => expect.fail(`it did not fail: ${JSON.stringify(value)}`),
      (error: unknown) => (isKbError(error) ? error : expect.fail(`no KbError: ${String(error)}`)),
    );

  /** Holds the KB's lock until told otherwise. */
  async function holdLock(): Promise<{ release: () => Promise<void> }> {
    let release!: () => void;
    const released = new Promise<void>((resolve) => (release = resolve));
    let body!: Promise<void>;
    await new Promise<void>((resolve) => {
      body = withLock(
        ann.root,
        'hold',
        async () => {
          resolve();
          await released;
        },
        { env },
      );
    });
    return {
      release: () => {
        release();
        return body;
      },
    };
  }

  describe('KnowledgeBase', () => {
    it('makes, clones, opens; the second time it opens what is there', async () => {
      const cloned = await ben();
      expect(cloned.root).toBe(join(root, 'ben'));
      expect((await ben()).root).toBe(cloned.root);
      expect((await KnowledgeBase.init('ann', { env, cwd: root })).root).toBe(ann.root);
      expect((await KnowledgeBase.open({ kb: join(root, 'ann', '.git'), env })).root).toBe(ann.root);
      expect((await KnowledgeBase.open({ env: { ...env, KB_PATH: cloned.root } })).root).toBe(cloned.root);
      expectNativeGitAgrees(cloned.root, remote);
    });

    it('writes notes as the command does by default', async () => {
      const plain = await ann.note('Call the mill');
      expect(plain).toMatchObject({
        landed: true,
        branch: 'main',
        batch: 1,
        path: expect.stringMatching(/^\d{4}-\d\d-\d\d-call-the-mill\.md$/) as string,
      });
      expect(read('ann', plain.path)).toMatch(/^---\ndate: \d{4}-\d\d-\d\d\n---\n\nCall the mill\n$/);
      const tagged = await ann.note({
        text: 'x',
        target: { kind: 'new', title: 'T' },
        tags: ['ops'],
        properties: { n: '1' },
        message: 'Mine',
      });
      expect(read('ann', tagged.path)).toContain('tags: [ops]\ntitle: T\n');
      expect(git(remote, ['log', '-1', '--format=%an %s', 'main']).trim()).toBe('Ann Mine');
      await ann.note({ text: 'y', target: { kind: 'append', path: tagged.path } }, { author: 'Ben <ben@example.com>' });
      expect(git(remote, ['log', '-1', '--format=%an', 'main']).trim()).toBe('Ben');
      expectNativeGitAgrees(ann.root, remote);
    });

    it('changes nothing the second time with the same id', async () => {
      const first = await ann.note({ text: 'once', id: 'job-1' });
      expect(await ann.note({ text: 'once', id: 'job-1' })).toMatchObject({
        commit: first.commit,
        path: first.path,
        changes: [],
      });
      expect(await failure(ann.note({ text: 'x', id: 'no spaces' }))).toMatchObject({ code: 'E_USAGE' });
    });

    it('keeps a note local without pull or push', async () => {
      expect(await ann.note({ text: 'here', pull: false })).toMatchObject({ landed: false });
      expect(await ann.note({ text: 'too', push: false })).toMatchObject({ landed: false });
      expect(await ann.sync()).toMatchObject({ result: 'pushed', pushed: 2 });
      expectNativeGitAgrees(ann.root, remote);
    });

    it('syncs, tells its state, unlocks', async () => {
      writeFileSync(join(root, 'ann', 'b.md'), 'b\n');
      expect((await ann.status()).changes).toEqual([{ path: 'b.md', kind: 'added', committable: true }]);
      expect(await failure(ann.sync({ commit: false }))).toMatchObject({ code: 'E_UNSAFE_STATE' });
      expect(await ann.sync({ message: 'Add b' })).toMatchObject({ result: 'pushed', changes: [] });
      expect(await ann.status({ fetch: true })).toMatchObject({ changes: [], ahead: 0, behind: 0 });
      expect(await ann.unlock()).toEqual({ removed: false, holder: null, gitLocks: [] });
      expectNativeGitAgrees(ann.root, remote);
    });

    it('an option that is there but undefined is one that was left out', async () => {
      writeFileSync(join(root, 'ann', 'b.md'), 'b\n');
      const loose: object = { direction: undefined, commit: undefined, message: undefined, onConflict: undefined };
      expect(await ann.sync(loose)).toMatchObject({ result: 'pushed' });
    });

    it('follows what others do to the KB between calls', async () => {
      git(ann.root, ['gc', '--quiet', '--prune=now']);
      writeFileSync(join(root, 'ann', 'kb.yaml'), 'notes:\n  dir: journal\n');
      await ann.sync();
      expect((await ann.note('after gc')).path).toMatch(/^journal\//);
      git(ann.root, ['switch', '--quiet', '-c', 'other']);
      expect(await ann.note('on another branch')).toMatchObject({ branch: 'other', landed: true });
      expectNativeGitAgrees(ann.root, remote);
    });

    it('does many things at once: each lands, in one line of history', async () => {
      const other = await ben();
      const work = Array.from({ length: 12 }, (_, at) =>
        at % 4 === 0
          ? ann.edit('a.md', (text) => text.replace(`line ${(at % 8) + 1}\n`, `line ${(at % 8) + 1} by ann\n`))
          : (at % 2 === 0 ? ann : other).note({ text: `note ${at}`, target: { kind: 'new', name: `n${at}` } }),
      );
      const results = await Promise.all([...work, ann.sync(), other.sync(), ann.status()]);
      expect(results).toHaveLength(15);
      await ann.sync();
      await other.sync();
      const files = [...filesOnRemote(remote).keys()].filter((name) => name.startsWith('n'));
      expect(files.sort()).toEqual(['n1.md', 'n10.md', 'n11.md', 'n2.md', 'n3.md', 'n5.md', 'n6.md', 'n7.md', 'n9.md']);
      expect(git(remote, ['rev-list', '--count', '--merges', 'main']).trim()).toBe('0');
      expect(read('ann', 'a.md')).toContain('line 1 by ann\n');
      expectNativeGitAgrees(ann.root, remote);
      expectNativeGitAgrees(other.root, remote);
    });

    it.skipIf(!existsSync('/proc/self/fd'))('holds nothing open between calls (needs /proc)', async () => {
      git(ann.root, ['gc', '--quiet']);
      await ann.sync();
      const open = (): number => readdirSync('/proc/self/fd').length;
      const before = open();
      for (let round = 0; round < 10; round += 1) {
        await ann.note(`note ${round}`);
        await ann.status();
        await ann.edit('a.md', (text) => `${text}${round}\n`);
        await failure(ann.edit('../out.md', () => 'x'));
        await ann.withLock(() => ann.sync());
      }
      expect(open()).toBeLessThanOrEqual(before);
    });

    it('after close takes no more calls, and has waited for those under way', async () => {
      let isDone = false;
      const note = ann.note('last').then(() => (isDone = true));
      await ann.close();
      expect(isDone).toBe(true);
      await note;
      expect(await failure(ann.status())).toMatchObject({ code: 'E_USAGE' });
      expect(await failure(ann.withLock(() => 1))).toMatchObject({ code: 'E_USAGE' });
    });

    it('tells each call what it does, and survives a listener that fails', async () => {
      const heard: Report[] = [];
      const failures: unknown[] = [];
      const listeners = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.on('uncaughtException', (error) => failures.push(error));
      try {
        await ann.note('one', { onReport: (event) => heard.push(event) });
        await ann.note('two', {
          onReport: () => {
            throw new Error('the listener is broken');
          },
        });
        await new Promise((resolve) => setTimeout(resolve, 5));
      } finally {
        process.removeAllListeners('uncaughtException');
        for (const listener of listeners) process.on('uncaughtException', listener);
      }
      expect(heard).toContainEqual(expect.objectContaining({ kind: 'step' }));
      expect(failures[0]).toMatchObject({ message: 'the listener is broken' });
      expect(await ann.status()).toMatchObject({ ahead: 0, changes: [] });
    });
  });

  describe('edit', () => {
    it('gives the newest text and shares what comes back', async () => {
      const other = await ben();
      await other.edit('a.md', (text) => text.replace('line 9', 'line 9 by ben'));
      const done = await ann.edit('a.md', (text, file) => {
        expect(file).toMatchObject({ path: 'a.md', isNew: false });
        return text.replace('line 1\n', 'line 1 by ann\n');
      });
      expect(done).toMatchObject({
        result: 'edited',
        landed: true,
        merged: false,
        changes: [{ path: 'a.md', kind: 'modified' }],
      });
      expect(git(remote, ['log', '-1', '--format=%H %s', 'main']).trim()).toBe(`${String(done.commit)} Update a.md`);
      expect(filesOnRemote(remote).get('a.md')).toBe(
        LINES.replace('line 1\n', 'line 1 by ann\n').replace('line 9', 'line 9 by ben'),
      );
      expectNativeGitAgrees(ann.root, remote);
    });

    it('holds no lock while the text is changed', async () => {
      await ann.edit('a.md', async (text) => {
        expect(lockIsThere()).toBe(false);
        await (await KnowledgeBase.open({ kb: ann.root, env })).note('meanwhile');
        return `${text}end\n`;
      });
      expect(read('ann', 'a.md')).toBe(`${LINES}end\n`);
      expectNativeGitAgrees(ann.root, remote);
    });

    it.each([
      ['undefined', () => undefined],
      ['the same text', (text: string) => text],
    ])('changes nothing for %s', async (_what, change) => {
      const before = git(remote, ['rev-parse', 'main']).trim();
      expect(await ann.edit('a.md', change)).toMatchObject({
        result: 'unchanged',
        commit: before,
        landed: true,
        changes: [],
      });
      expect(git(remote, ['rev-parse', 'main']).trim()).toBe(before);
    });

    it('makes a new file, with folders', async () => {
      const done = await ann.edit('deep/er/new.md', (text, { isNew }) => `${text}new ${isNew}\n`);
      expect(done).toMatchObject({
        result: 'edited',
        changes: [{ path: 'deep/er/new.md', kind: 'added' }],
        wikilink: '[[new]]',
      });
      expect(filesOnRemote(remote).get('deep/er/new.md')).toBe('new true\n');
      expectNativeGitAgrees(ann.root, remote);
    });

    it('may empty a file: a program means what it says', async () => {
      await ann.edit('a.md', () => '');
      expect(filesOnRemote(remote).get('a.md')).toBe('');
    });

    it('merges with what others wrote meanwhile', async () => {
      const other = await ben();
      const done = await ann.edit('a.md', async (text) => {
        await other.edit('a.md', (theirs) => theirs.replace('line 9', 'line 9 by ben'));
        return text.replace('line 1\n', 'line 1 by ann\n');
      });
      expect(done).toMatchObject({ result: 'edited', merged: true, landed: true });
      expect(filesOnRemote(remote).get('a.md')).toBe(
        LINES.replace('line 1\n', 'line 1 by ann\n').replace('line 9', 'line 9 by ben'),
      );
      expectNativeGitAgrees(ann.root, remote);
    });

    it('adds nothing when others made the same change meanwhile', async () => {
      const other = await ben();
      const change = (text: string): string => text.replace('line 5', 'LINE 5');
      const done = await ann.edit('a.md', async (text) => {
        await other.edit('a.md', change);
        return change(text);
      });
      expect(done).toMatchObject({
        result: 'unchanged',
        landed: true,
        commit: git(remote, ['rev-parse', 'main']).trim(),
      });
      expectNativeGitAgrees(ann.root, remote);
    });

    it('pushes nothing when both changed the same lines; both versions can be reached', async () => {
      const other = await ben();
      const error = await failure(
        ann.edit('a.md', async (text) => {
          await other.edit('a.md', (theirs) => theirs.replace('line 5', 'line 5 by ben'));
          return text.replace('line 5', 'line 5 by ann');
        }),
      );
      expect(error).toMatchObject({ code: 'E_CONFLICT', details: { path: 'a.md', reason: 'overlap' } });
      const { ours, theirs, base } = error.details as Record<string, string>;
      expect(git(ann.root, ['cat-file', 'blob', ours!])).toBe(LINES.replace('line 5', 'line 5 by ann'));
      expect(git(ann.root, ['cat-file', 'blob', theirs!])).toBe(LINES.replace('line 5', 'line 5 by ben'));
      expect(git(ann.root, ['cat-file', 'blob', base!])).toBe(LINES);
      expect(filesOnRemote(remote).get('a.md')).toBe(LINES.replace('line 5', 'line 5 by ben'));
      expect(lockIsThere()).toBe(false);
      // the KB itself is well: it has what others wrote, and the last sync did not fail
      expectNativeGitAgrees(ann.root, remote);
      expect((await ann.status()).lastSync).toMatchObject({ result: 'ok', conflicts: [] });
    });

    it('is judged by what the remote has in the end, not by what was seen of it last', async () => {
      const other = await ben();
      const done = await ann.edit('a.md', async (text) => {
        const again = await KnowledgeBase.open({ kb: ann.root, env });
        await again.edit('a.md', (now) => now.replace('line 5', 'something else'));
        await other.edit('a.md', (now) => now.replace('something else', 'ours'));
        return text.replace('line 5', 'ours');
      });
      expect(done).toMatchObject({ result: 'unchanged', landed: true });
      expectNativeGitAgrees(ann.root, remote);
    });

    it('lets notes that wait behind it out although it cannot be merged itself', async () => {
      const other = await ben();
      let note: Promise<{ landed: boolean }> | undefined;
      const error = await failure(
        ann.edit('a.md', async (text) => {
          await other.edit('a.md', (theirs) => theirs.replace('line 5', 'theirs'));
          const held = await holdLock();
          setTimeout(() => {
            note = ann.note('behind it');
          }, 50);
          setTimeout(() => void held.release(), 150);
          return text.replace('line 5', 'ours');
        }),
      );
      expect(error).toMatchObject({ code: 'E_CONFLICT' });
      expect(await note).toMatchObject({ landed: true });
      expectNativeGitAgrees(ann.root, remote);
    });

    it('brings a file back that others deleted meanwhile, executable bit and all, and says so', async () => {
      const script = join(root, 'ann', 'run.sh');
      writeFileSync(script, '#!/bin/sh\n', { mode: 0o755 });
      await ann.sync();
      const other = await ben();
      const warnings: string[] = [];
      const done = await ann.edit(
        'run.sh',
        async (text) => {
          rmSync(join(root, 'ben', 'run.sh'));
          await other.sync();
          return `${text}date\n`;
        },
        { onReport: (event) => event.kind === 'warning' && warnings.push(event.text) },
      );
      expect(done).toMatchObject({ result: 'edited', restored: true, landed: true });
      expect(warnings).toEqual([expect.stringContaining('run.sh was deleted by others')]);
      expect(git(remote, ['ls-tree', 'main', 'run.sh'])).toMatch(/^100755 /);
      expectNativeGitAgrees(ann.root, remote);
    });

    it.each([
      ['a folder', 'new.md/inside.md', 'type'],
      ['another spelling', 'NEW.md', 'taken'],
      ['a file with other text', 'new.md', 'overlap'],
    ])('keeps a new file out where others put %s meanwhile', async (_what, theirs, reason) => {
      const other = await ben();
      const error = await failure(
        ann.edit('new.md', async () => {
          await other.edit(theirs, () => 'this note is theirs\n');
          return 'this note is ours\n';
        }),
      );
      expect(error).toMatchObject({ code: 'E_CONFLICT', details: { reason } });
      expect(git(ann.root, ['cat-file', 'blob', String(error.details['ours'])])).toBe('this note is ours\n');
      expect(filesOnRemote(remote).get(theirs)).toBe('this note is theirs\n');
    });

    it('takes bytes as they are', async () => {
      const latin = Buffer.from('caf\xe9\r\nno end', 'latin1');
      await ann.editBytes('latin.txt', () => latin);
      expect(readFileSync(join(root, 'ann', 'latin.txt'))).toEqual(latin);
      expect(await failure(ann.edit('latin.txt', (text) => text))).toMatchObject({
        code: 'E_USAGE',
        hint: expect.stringContaining('editBytes') as string,
      });
      const next = Buffer.from([0, 255, 13, 10]);
      const done = await ann.editBytes('latin.txt', (data) => {
        data.fill(0); // what is given is a copy
        return next;
      });
      expect(done).toMatchObject({ result: 'edited', merged: false });
      expect(readFileSync(join(root, 'ann', 'latin.txt'))).toEqual(next);
      const bom = '\ufeffa\r\nb\r\n';
      await ann.edit('bom.md', () => bom);
      expect(await ann.edit('bom.md', (text) => text.replace('a', 'A'))).toMatchObject({ result: 'edited' });
      expect(read('ann', 'bom.md')).toBe('\ufeffA\r\nb\r\n');
      expectNativeGitAgrees(ann.root, remote);
    });

    it.each([
      ['outside the KB', '../a.md', 'E_USAGE'],
      ["git's own folder", '.git/config', 'E_USAGE'],
      ['a folder', 'dir', 'E_USAGE'],
      ['below a file', 'a.md/b.md', 'E_USAGE'],
      ['a link', 'link', 'E_USAGE'],
      ['below a link', 'linkdir/x.md', 'E_USAGE'],
      ['another spelling of a file', 'A.md', 'E_USAGE'],
      ['an uncommitted edit', 'dirty.md', 'E_UNSAFE_STATE'],
      ['a file that is in no commit', 'untracked.md', 'E_UNSAFE_STATE'],
      ['an uncommitted deletion', 'gone.md', 'E_UNSAFE_STATE'],
    ])('refuses %s before anything is asked', async (_what, path, code) => {
      const at = (name: string): string => join(root, 'ann', name);
      mkdirSync(at('dir'));
      for (const name of ['dir/x.md', 'dirty.md', 'gone.md']) writeFileSync(at(name), 'x\n');
      git(at('.'), ['config', 'core.symlinks', 'true']);
      symlinkSync('a.md', at('link'));
      symlinkSync('dir', at('linkdir'));
      await ann.sync();
      writeFileSync(at('dirty.md'), 'y\n');
      writeFileSync(at('untracked.md'), 'y\n');
      rmSync(at('gone.md'));
      let asked = false;
      const error = await failure(
        ann.edit(path, () => {
          asked = true;
          return 'z';
        }),
      );
      expect([error.code, asked, lockIsThere()]).toEqual([code, false, false]);
    });

    it('names the file of another spelling', async () => {
      expect(await failure(ann.edit('A.MD', () => 'x'))).toMatchObject({ hint: 'edit that one: kb edit a.md' });
    });

    it('loses no edit that was made in the work tree meanwhile', async () => {
      const error = await failure(
        ann.edit('a.md', (text) => {
          writeFileSync(join(root, 'ann', 'a.md'), 'by hand\n');
          return `${text}end\n`;
        }),
      );
      expect(error).toMatchObject({ code: 'E_UNSAFE_STATE' });
      expect(read('ann', 'a.md')).toBe('by hand\n');
      expect(filesOnRemote(remote).get('a.md')).toBe(LINES);
    });

    it('goes on with the version that is here while the remote is away, and the edit goes out later', async () => {
      renameSync(remote, `${remote}.away`);
      const warnings: string[] = [];
      const server = await startGitServer({ root: makeTemporaryDirectory() });
      const { url } = server;
      await server.close();
      git(ann.root, ['config', 'remote.origin.url', `${url}/kb.git`]);
      const error = await failure(
        ann.edit('a.md', (text) => `${text}offline\n`, {
          onReport: (event) => event.kind === 'warning' && warnings.push(event.text),
        }),
      );
      expect(error).toMatchObject({
        code: 'E_NETWORK',
        details: { saved: git(ann.root, ['rev-parse', 'main']).trim() },
      });
      expect(warnings).toEqual([expect.stringContaining('this is the version that was pulled last')]);
      renameSync(`${remote}.away`, remote);
      git(ann.root, ['config', 'remote.origin.url', remote]);
      await ann.sync();
      expect(filesOnRemote(remote).get('a.md')).toBe(`${LINES}offline\n`);
      expectNativeGitAgrees(ann.root, remote);
    });

    it('stays local with push: false', async () => {
      expect(await ann.edit('a.md', () => 'x\n', { push: false, message: 'Quietly' })).toMatchObject({
        landed: false,
        url: null,
      });
      expect(git(ann.root, ['log', '-1', '--format=%s']).trim()).toBe('Quietly');
      expect(filesOnRemote(remote).get('a.md')).toBe(LINES);
    });

    it('works in a KB without a commit, and without a remote', async () => {
      const alone = await KnowledgeBase.init('alone', { env, cwd: root });
      expect(await alone.edit('x.md', () => undefined)).toMatchObject({
        result: 'unchanged',
        commit: null,
        landed: false,
      });
      expect(await alone.edit('x.md', () => 'x\n')).toMatchObject({ result: 'edited', landed: false });
      expect(git(alone.root, ['show', 'HEAD:x.md'])).toBe('x\n');
      expectSound(alone.root);
    });

    it("passes on what the program's own function throws", async () => {
      class Mine extends Error {}
      const mine = new Mine('mine');
      await expect(ann.edit('a.md', () => Promise.reject(mine))).rejects.toBe(mine);
      await expect(ann.withLock(() => Promise.reject(mine))).rejects.toBe(mine);
      expect(lockIsThere()).toBe(false);
    });
  });

  describe('run', () => {
    const script = (text: string): string[] => ['-e', `const fs = require('node:fs'); ${text}`];

    it('commits what a program changed, quietly, and kb in it joins', async () => {
      const done = await ann.run(
        process.execPath,
        script("console.log('noise'); fs.writeFileSync('made.md', 'made')"),
        {
          message: 'Made',
        },
      );
      expect(done).toMatchObject({ result: 'landed', child: { exitCode: 0, signal: null }, left: [] });
      expect(git(remote, ['log', '-1', '--format=%s', 'main'])).toBe('Made\n');
      expectNativeGitAgrees(ann.root, remote);
    });

    it('joins the lock around it', async () => {
      await ann.withLock(async () => {
        await ann.run(process.execPath, script("fs.writeFileSync('made.md', 'made')"), { lockTimeout: '2s' });
      });
      expect(filesOnRemote(remote).get('made.md')).toBe('made');
    });

    it('fails as the program does, and puts its changes away', async () => {
      const error = await failure(ann.run(process.execPath, script("fs.writeFileSync('a.md', 'x'); process.exit(3)")));
      expect(error).toMatchObject({ code: 'E_COMMAND', exitCode: 3, details: { child: { exitCode: 3 } } });
      expect(git(ann.root, ['show', `${String(error.details['stash'])}:a.md`])).toBe('x');
      expect(read('ann', 'a.md')).toBe(LINES);
      for (const wrong of [{ timeout: 'soon' }, { rateLimit: '5' }, { cwd: '..' }])
        expect(await failure(ann.run('true', [], wrong))).toMatchObject({ code: 'E_USAGE' });
      expectNativeGitAgrees(ann.root, remote);
    });

    it('is ended by its signal, with all that it did put away', async () => {
      const stop = new AbortController();
      const ready = join(root, 'ready');
      const code = `fs.writeFileSync('a.md', 'x'); fs.writeFileSync(${JSON.stringify(ready)}, ''); setTimeout(() => {}, 60_000)`;
      const error = failure(ann.run(process.execPath, script(code), { signal: stop.signal }));
      while (!existsSync(ready)) await new Promise((resolve) => setTimeout(resolve, 5));
      stop.abort();
      expect(await error).toMatchObject({ code: 'E_INTERRUPTED', details: { child: { signal: 'SIGINT' } } });
      expect([read('ann', 'a.md'), lockIsThere()]).toEqual([LINES, false]);
      expectNativeGitAgrees(ann.root, remote);
    });
  });

  describe('withLock', () => {
    it('is alone, in order, for every path into the KB', async () => {
      mkdirSync(join(root, 'ann', 'sub'));
      let inside = 0;
      const order: number[] = [];
      await Promise.all(
        Array.from({ length: 8 }, (_, at) =>
          withLock(
            at % 2 === 0 ? ann.root : join(ann.root, 'sub'),
            'count',
            async ({ root: place, token }) => {
              expect([place, token, lockIsThere()]).toEqual([ann.root, expect.stringMatching(/^[0-9a-f]{32}$/), true]);
              expect((inside += 1)).toBe(1);
              await new Promise((resolve) => setTimeout(resolve, 2));
              order.push(at);
              inside -= 1;
              return at;
            },
            { env },
          ),
        ),
      );
      expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      expect(lockIsThere()).toBe(false);
    });

    it('takes a relative path from cwd, and no name of a registered KB', async () => {
      expect(await withLock('ann', 'x', ({ root: place }) => place, { env, cwd: root })).toBe(ann.root);
      await KnowledgeBase.init('other', { env, cwd: root, name: 'ann' });
      expect(await withLock('ann', 'x', ({ root: place }) => place, { env, cwd: root })).toBe(ann.root);
      expect(await failure(withLock('nowhere', 'x', () => 1, { env, cwd: root }))).toMatchObject({ code: 'E_NO_KB' });
    });

    it('waits as long as it may, and names the holder', async () => {
      const held = await holdLock();
      const waits: LockWait[] = [];
      const error = await failure(
        withLock(ann.root, 'x', () => 1, { env, timeoutMs: 30, onWait: (wait) => waits.push(wait) }),
      );
      expect(error).toMatchObject({ code: 'E_LOCK_TIMEOUT', message: expect.stringContaining('kb hold') as string });
      expect(waits[0]).toMatchObject({
        place: 2,
        holder: expect.stringContaining('kb hold') as string,
        waitedMs: expect.any(Number) as number,
      });
      expect(await failure(ann.withLock(() => 1, { timeout: '20ms' }))).toMatchObject({ code: 'E_LOCK_TIMEOUT' });
      expect(await failure(ann.sync({}, { lockTimeout: '20ms' }))).toMatchObject({ code: 'E_LOCK_TIMEOUT' });
      await held.release();
    });

    it.each([
      ['both timeouts', { timeoutMs: 1, timeout: '1s' }],
      ['a negative time', { timeoutMs: -1 }],
      ['no number', { timeoutMs: Number.NaN }],
      ['no duration', { timeout: 'soon' }],
    ])('refuses %s', async (_what, options) => {
      expect(await failure(withLock(ann.root, 'x', () => 1, { env, ...options }))).toMatchObject({ code: 'E_USAGE' });
      expect(await failure(ann.withLock(() => 1, options))).toMatchObject({ code: 'E_USAGE' });
    });

    it.each(['', 'two words', 'new\nline', 'x'.repeat(61)])('refuses the operation %j', async (operation) => {
      expect(await failure(withLock(ann.root, operation, () => 1, { env }))).toMatchObject({ code: 'E_USAGE' });
    });

    it('lets calls inside join, however deep, and takes them one after another', async () => {
      const landed = await ann.withLock(async ({ token }) => {
        const own = readFileSync(join(root, 'ann/.kb_operations.lock/owner.json'), 'utf8');
        expect(own).toContain(token);
        const notes = await Promise.all(
          Array.from({ length: 5 }, (_, at) => ann.note({ text: `n ${at}`, target: { kind: 'append', path: 'a.md' } })),
        );
        const deep = await withLock(
          ann.root,
          'deeper',
          async (inner) => {
            expect(inner.token.startsWith(`${token}.`)).toBe(true);
            await ann.edit('b.md', async () => {
              await ann.sync();
              return 'b\n';
            });
            return withLock(ann.root, 'deepest', () => ann.note('deepest'), { env });
          },
          { env, timeoutMs: 2000 },
        );
        expect(readFileSync(join(root, 'ann/.kb_operations.lock/owner.json'), 'utf8')).toBe(own);
        return [...notes, deep].map((note) => note.landed);
      });
      expect(landed).toEqual([true, true, true, true, true, true]);
      expect(read('ann', 'a.md').match(/n \d/g)).toHaveLength(5);
      expect(lockIsThere()).toBe(false);
      expectNativeGitAgrees(ann.root, remote);
    });

    it('joins no lock of another KB', async () => {
      const other = await ben();
      await ann.withLock(async () => {
        await other.withLock(() => {
          expect(existsSync(join(root, 'ben', '.kb_operations.lock'))).toBe(true);
        });
        await other.note('there');
      });
      expectNativeGitAgrees(other.root, remote);
    });

    it('does not let waiting notes of others out between the steps of its body', async () => {
      let outside: Promise<unknown> | undefined;
      await ann.withLock(async () => {
        outside = outsideOfThis(() => ann.note({ text: 'outside', target: { kind: 'new', name: 'outside' } }));
        await new Promise((resolve) => setTimeout(resolve, 50));
        await ann.note('inside');
        expect(filesOnRemote(remote).has('outside.md')).toBe(false);
      });
      await outside;
      expect(filesOnRemote(remote).has('outside.md')).toBe(true);
      expectNativeGitAgrees(ann.root, remote);
    });

    it('waits for a call that nobody awaited', async () => {
      let note: Promise<unknown> | undefined;
      await ann.withLock(() => {
        note = ann.edit('a.md', async (text) => {
          await ann.note('from inside of the edit');
          return `${text}end\n`;
        });
      });
      expect(filesOnRemote(remote).get('a.md')).toBe(`${LINES}end\n`);
      await note;
      expectNativeGitAgrees(ann.root, remote);
    });

    it('what is called after the end of the body takes the lock for itself', async () => {
      let later: Promise<void> | undefined;
      await ann.withLock(() => {
        later = new Promise((resolve, reject) => {
          setTimeout(() => {
            ann.withLock(() => expect(lockIsThere()).toBe(true)).then(resolve, reject);
          }, 30);
        });
      });
      expect(lockIsThere()).toBe(false);
      await later;
    });

    it('a program started inside joins by the token', async () => {
      const inner = await ann.withLock(({ token }) =>
        // as another process would see it: nothing of this flow of control, only the variable
        outsideOfThis(async () => {
          const child = { ...env, KB_LOCK_TOKEN: token };
          const kb = await KnowledgeBase.open({ kb: ann.root, env: child, lockTimeout: '2s' });
          return kb.note('by the child');
        }),
      );
      expect(inner).toMatchObject({ landed: true });
      expectNativeGitAgrees(ann.root, remote);
    });

    it('tells the body when the lock is taken away, lets nothing in it write, and fails', async () => {
      const errors: KbError[] = [];
      const error = await failure(
        ann.withLock(async ({ signal, assertHeld, token }) => {
          await outsideOfThis(() => ann.unlock({ force: true, id: token.slice(0, 8) }));
          expect(assertHeld).toThrow(expect.objectContaining({ code: 'E_LOCK_LOST' }));
          expect(signal.aborted).toBe(true);
          errors.push(await failure(ann.note('too late')), await failure(withLock(ann.root, 'x', () => 1, { env })));
        }),
      );
      expect([error, ...errors].map(({ code }) => code)).toEqual(['E_LOCK_LOST', 'E_LOCK_LOST', 'E_LOCK_LOST']);
      expect([...filesOnRemote(remote).keys()]).toEqual(['a.md']);
      expect(await ann.note('in time')).toMatchObject({ landed: true });
    });
  });

  describe('an AbortSignal', () => {
    const stopped = { code: 'E_INTERRUPTED', exitCode: 130 };

    it('that is aborted already lets nothing begin', async () => {
      const signal = AbortSignal.abort();
      const before = git(remote, ['rev-parse', 'main']);
      for (const call of [
        KnowledgeBase.open({ kb: ann.root, env, signal }),
        KnowledgeBase.clone('remote.git', 'cy', { env, cwd: root, signal }),
        KnowledgeBase.init('dora', { env, cwd: root, signal }),
        withLock(ann.root, 'x', () => 1, { env, signal }),
        ann.withLock(() => 1, { signal }),
        ann.note('x', { signal }),
        ann.edit('a.md', () => 'x', { signal }),
        ann.sync({}, { signal }),
        ann.run('true', [], { signal }),
        ann.status({}, { signal }),
        ann.unlock({}, { signal }),
      ])
        expect(await failure(call)).toMatchObject(stopped);
      expect([existsSync(join(root, 'cy')), existsSync(join(root, 'dora'))]).toEqual([false, false]);
      expect(git(remote, ['rev-parse', 'main'])).toBe(before);
    });

    it.each([
      ['note', (signal: AbortSignal) => ann.note('x', { signal })],
      ['edit', (signal: AbortSignal) => ann.edit('a.md', () => 'x', { signal })],
      ['sync', (signal: AbortSignal) => ann.sync({}, { signal })],
      ['withLock', (signal: AbortSignal) => ann.withLock(() => 1, { signal })],
    ])('ends the wait of %s for the lock', async (_what, call) => {
      const held = await holdLock();
      const stop = new AbortController();
      const error = failure(call(stop.signal));
      setTimeout(() => stop.abort(), 60);
      expect(await error).toMatchObject(stopped);
      await held.release();
      expect(lockIsThere()).toBe(false);
      expect(await ann.status()).toMatchObject({ ahead: 0, changes: [] });
      expect([...filesOnRemote(remote).keys()]).toEqual(['a.md']);
    });

    it('of the whole object ends its calls', async () => {
      const stop = new AbortController();
      const mine = await KnowledgeBase.open({ kb: ann.root, env, signal: stop.signal });
      const held = await holdLock();
      const error = failure(mine.sync());
      setTimeout(() => stop.abort(), 30);
      expect(await error).toMatchObject(stopped);
      await held.release();
      expect(await failure(mine.status())).toMatchObject(stopped);
    });

    it('ends an edit while the text is being changed', async () => {
      const stop = new AbortController();
      let seen: AbortSignal | undefined;
      const error = failure(
        ann.edit(
          'a.md',
          (_text, { signal }) => {
            seen = signal;
            setTimeout(() => stop.abort(new Error('changed my mind')), 10);
            return new Promise<string>(() => undefined);
          },
          { signal: stop.signal },
        ),
      );
      expect(await error).toMatchObject({ ...stopped, cause: { message: 'changed my mind' } });
      expect(seen?.aborted).toBe(true);
      expect([lockIsThere(), filesOnRemote(remote).get('a.md')]).toEqual([false, LINES]);
    });

    it('reaches the body of a lock, which ends by itself', async () => {
      const stop = new AbortController();
      const result = ann.withLock(
        async ({ signal }) => {
          stop.abort();
          expect(signal.aborted).toBe(true);
          await ann.sync();
          return 'done';
        },
        { signal: stop.signal },
      );
      expect(await result).toBe('done');
    });

    it("ends a call while the remote's hook is at work", async () => {
      const before = git(remote, ['rev-parse', 'main']);
      mkdirSync(join(remote, 'hooks'), { recursive: true });
      const ready = join(root, 'ready');
      writeFileSync(join(remote, 'hooks/pre-receive'), `#!/bin/sh\n: >${ready}\nexec sleep 60\n`, { mode: 0o755 });
      const stop = new AbortController();
      const path = { ...env, PATH: process.env['PATH'] };
      const mine = await KnowledgeBase.open({ kb: ann.root, env: path });
      const error = failure(mine.edit('a.md', () => 'x', { signal: stop.signal }));
      while (!existsSync(ready)) await new Promise((resolve) => setTimeout(resolve, 5));
      stop.abort();
      expect(await error).toMatchObject(stopped);
      expect([git(remote, ['rev-parse', 'main']), read('ann', 'a.md'), lockIsThere()]).toEqual([before, LINES, false]);
    });

    it('does not pile up listeners on a signal that lives long', async () => {
      const warnings: Error[] = [];
      const note = (warning: Error): void => void warnings.push(warning);
      process.on('warning', note);
      const stop = new AbortController();
      await Promise.all(Array.from({ length: 30 }, () => ann.status({}, { signal: stop.signal })));
      await new Promise(setImmediate);
      process.off('warning', note);
      expect(warnings).toEqual([]);
    });

    describe('over http', () => {
      let server: GitServer;
      beforeEach(async () => {
        git(remote, ['config', 'http.receivepack', 'true']);
        server = await startGitServer({ root });
        git(ann.root, ['config', 'remote.origin.url', `${server.url}/remote.git`]);
        return () => server.close();
      });

      it('an edit that could not be merged is not called saved when the remote goes away', async () => {
        const error = await failure(
          ann.edit('a.md', async (text) => {
            const again = await KnowledgeBase.open({ kb: ann.root, env });
            await again.edit('a.md', (now) => now.replace('line 5', 'theirs'));
            server.faults = () => ({ kind: 'reset' });
            return text.replace('line 5', 'ours');
          }),
        );
        expect(error).toMatchObject({ code: 'E_CONFLICT', details: { reason: 'overlap' } });
        expect(git(ann.root, ['cat-file', 'blob', String(error.details['ours'])])).toContain('ours\n');
        expect(read('ann', 'a.md')).toBe(LINES.replace('line 5', 'theirs'));
      });

      it.each([
        ['note', (signal: AbortSignal) => ann.note('x', { signal })],
        ['edit', (signal: AbortSignal) => ann.edit('a.md', () => 'x', { signal })],
        ['sync', (signal: AbortSignal) => ann.sync({}, { signal })],
        ['status', (signal: AbortSignal) => ann.status({ fetch: true }, { signal })],
        [
          'clone',
          (signal: AbortSignal) => KnowledgeBase.clone(`${server.url}/remote.git`, 'cy', { env, cwd: root, signal }),
        ],
      ])('cuts the requests of %s', async (_what, call) => {
        const before = git(remote, ['rev-parse', 'main']);
        server.faults = () => ({ kind: 'stall' });
        const stop = new AbortController();
        const error = failure(call(stop.signal));
        setTimeout(() => stop.abort(), 150);
        expect(await error).toMatchObject(stopped);
        server.faults = undefined;
        expect([lockIsThere(), existsSync(join(root, 'cy'))]).toEqual([false, false]);
        expect([git(remote, ['rev-parse', 'main']), git(ann.root, ['rev-parse', 'main'])]).toEqual([before, before]);
        expect(git(ann.root, ['status', '--porcelain'])).toBe('');
        expectSound(ann.root);
        expect(await ann.note('goes on')).toMatchObject({ landed: true });
      });
    });
  });

  it('touches nothing of the process', async () => {
    const before = { env: JSON.stringify(process.env), cwd: process.cwd(), exitCode: process.exitCode };
    const written: unknown[] = [];
    const spies = [process.stdout, process.stderr].map((stream) =>
      vi.spyOn(stream, 'write').mockImplementation((text) => written.push(text) > 0),
    );
    try {
      const mine = await KnowledgeBase.open({ kb: ann.root, env });
      await mine.note('x');
      await failure(mine.edit('a.md/x', () => 'x'));
      await mine.withLock(() => mine.sync());
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
    expect(written).toEqual([]);
    expect({ env: JSON.stringify(process.env), cwd: process.cwd(), exitCode: process.exitCode }).toEqual(before);
  });
});

const waiting: (() => void)[] = [];
setInterval(() => {
  for (const start of waiting.splice(0)) start();
}, 1).unref();

/** Does something as another part of the process would: in no lock's flow of control. */
function outsideOfThis<T>(work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => void waiting.push(() => void work().then(resolve, reject)));
}
