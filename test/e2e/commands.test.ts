import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { expectNativeGitAgrees, expectSound, filesOnRemote } from '../support/agree.js';
import { kb, kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/** Two clones, `ann` and `ben`, of a bare repository in a directory. `ann` holds one note. */
interface Place {
  readonly root: string;
  readonly remote: string;
  readonly ann: string;
  readonly ben: string;
}

async function makePlace(): Promise<Place> {
  const root = makeTemporaryDirectory();
  const place = { root, remote: join(root, 'remote.git'), ann: join(root, 'ann'), ben: join(root, 'ben') };
  await kbOk(root, ['init', 'ann', '--remote', 'remote.git']);
  await kbOk(place.ann, ['note', '--path', 'first.md', '--no-frontmatter', 'one\ntwo\nthree\nfour\nfive']);
  await kbOk(root, ['clone', 'remote.git', 'ben']);
  return place;
}

const read = (...path: string[]): string => readFileSync(join(...path), 'utf8');

describe.skipIf(!nativeGit.available)('the commands, checked by native git (needs native git)', () => {
  let place: Place;
  beforeEach(async () => {
    place = await makePlace();
  });

  describe('kb init and kb clone', () => {
    it('makes a KB and its remote that native git accepts', () => {
      expectNativeGitAgrees(place.ann, place.remote);
      expectNativeGitAgrees(place.ben, place.remote);
      expect(git(place.remote, ['rev-parse', '--is-bare-repository']).trim()).toBe('true');
    });

    it('does nothing the second time', async () => {
      expect((await kbOk(place.root, ['init', 'ann', '--remote', 'remote.git', '--json'])).json()).toMatchObject({
        status: 'already_initialized',
      });
      expect((await kbOk(place.root, ['clone', 'remote.git', 'ben', '--json'])).json()).toMatchObject({
        ok: true,
        status: 'already_cloned',
        fileCount: 1,
      });
    });

    it('tells what it cloned', async () => {
      const run = await kbOk(place.root, ['clone', 'remote.git', 'cy', '--json']);
      expect(run.json()).toMatchObject({
        ok: true,
        status: 'cloned',
        dir: join(place.root, 'cy'),
        branch: 'main',
        shallow: false,
        fileCount: 1,
      });
      expect(run.json()['head']).toBe(git(place.remote, ['rev-parse', 'main']).trim());
    });

    it('fetches only the newest commit, or all with --depth full', async () => {
      await kbOk(place.ann, ['note', 'second']);
      await kbOk(place.root, ['clone', 'remote.git', 'shallow']);
      expect(git(join(place.root, 'shallow'), ['rev-list', '--count', 'HEAD']).trim()).toBe('1');
      await kbOk(place.root, ['clone', '--depth', 'full', 'remote.git', 'full']);
      expect(git(join(place.root, 'full'), ['rev-list', '--count', 'HEAD']).trim()).toBe('2');
      expectSound(join(place.root, 'shallow'));
      const run = await kbOk(join(place.root, 'shallow'), ['note', 'from the shallow clone', '--json']);
      expect(run.json()).toMatchObject({ landed: true });
      expectNativeGitAgrees(join(place.root, 'shallow'), place.remote);
    });

    it('clones into an existing empty directory without replacing it', async () => {
      const target = join(place.root, 'mounted');
      mkdirSync(target);
      const before = statSync(target).ino;
      await kbOk(place.root, ['clone', 'remote.git', 'mounted']);
      expect(statSync(target).ino).toBe(before);
      expectNativeGitAgrees(target, place.remote);
    });

    it('touches nothing in a directory that holds something else', async () => {
      const target = join(place.root, 'busy');
      mkdirSync(target);
      writeFileSync(join(target, 'mine.txt'), 'mine');
      const run = await kb(place.root, ['clone', 'remote.git', 'busy', '--json']);
      expect(run.code).toBe(8);
      expect(run.json()).toMatchObject({ ok: false, error: { code: 'E_NO_KB', exitCode: 8 } });
      expect(git(target, ['-C', target, 'status'], { allowFailure: true })).toBe('');
      expect(read(target, 'mine.txt')).toBe('mine');
    });

    it('clears away what a killed clone left', async () => {
      const target = join(place.root, 'again');
      mkdirSync(join(target, '.kb_clone_abcdef', 'git'), { recursive: true });
      mkdirSync(join(target, '.kb_clone_abcdef', 'tree'));
      writeFileSync(join(target, '.kb_clone_abcdef', 'tree', 'half.md'), 'ha');
      await kbOk(place.root, ['clone', 'remote.git', 'again']);
      expect(existsSync(join(target, 'half.md'))).toBe(false);
      expect(existsSync(join(target, '.kb_clone_abcdef'))).toBe(false);
      expectNativeGitAgrees(target, place.remote);
    });

    it('clones an empty remote and makes its branch with the first note', async () => {
      git(place.root, ['init', '--quiet', '--bare', 'empty.git']);
      await kbOk(place.root, ['clone', 'empty.git', 'fresh']);
      const run = await kbOk(join(place.root, 'fresh'), ['note', 'the very first', '--json']);
      expect(run.json()).toMatchObject({ landed: true });
      expectNativeGitAgrees(join(place.root, 'fresh'), join(place.root, 'empty.git'));
    });

    it('is found by the name it was registered under', async () => {
      await kbOk(place.root, ['clone', 'remote.git', 'named', '--name', 'team']);
      expect((await kbOk(place.root, ['list', '--json'])).json()).toMatchObject({
        ok: true,
        kbs: [{ name: 'team', present: true }],
      });
      const run = await kbOk(place.root, ['note', 'by name', '--json', '--kb', 'team']);
      expect(run.json()).toMatchObject({ kb: join(place.root, 'named') });
    });
  });

  describe('kb note', () => {
    it('prints the path of the note in a pipe', async () => {
      const run = await kbOk(place.ann, ['note', 'Call the mill']);
      expect(run.stdout).toMatch(/^\d{4}-\d\d-\d\d-call-the-mill\.md\n$/);
      expect(run.stderr).toBe('');
      expectNativeGitAgrees(place.ann, place.remote);
      expect(filesOnRemote(place.remote).get(run.stdout.trim())).toMatch(
        /^---\ndate: \d{4}-\d\d-\d\d\n---\n+Call the mill\n$/,
      );
    });

    it('never overwrites: the next free name', async () => {
      const paths = [];
      for (const text of ['Same Words', 'same words', 'SAME WORDS'])
        paths.push((await kbOk(place.ann, ['note', text])).stdout.trim());
      expect(paths.map((path) => path.slice(11))).toEqual(['same-words.md', 'same-words-2.md', 'same-words-3.md']);
    });

    it('uses inbox/ when there is one', async () => {
      mkdirSync(join(place.ann, 'inbox'));
      writeFileSync(join(place.ann, 'inbox', 'readme.md'), 'inbox');
      await kbOk(place.ann, ['sync']);
      expect((await kbOk(place.ann, ['note', 'idea'])).stdout).toMatch(/^inbox\//);
    });

    it('takes title, tags and properties into the front matter', async () => {
      const run = await kbOk(place.ann, [
        'note',
        '--title',
        'Rye: a study',
        '--tag',
        'flour',
        '--tag',
        'rye',
        '--property',
        'rating=5',
        'body',
      ]);
      expect(read(place.ann, run.stdout.trim())).toMatch(
        /^---\ndate: [^\n]+\ntags: \[flour, rye\]\ntitle: "Rye: a study"\nrating: 5\n---\n\nbody\n$/,
      );
    });

    it('reads a pipe, a dash and a file', async () => {
      writeFileSync(join(place.root, 'text.txt'), 'from a file\n');
      for (const [args, input, text] of [
        [['note'], 'from a pipe\n', 'from a pipe'],
        [['note', '-'], 'by a dash\n', 'by a dash'],
        [['note', '--file', '../text.txt'], '', 'from a file'],
      ] as const) {
        const run = await kbOk(place.ann, args, { input });
        expect(read(place.ann, run.stdout.trim())).toContain(`${text}\n`);
      }
    });

    it('takes the text from the editor', async () => {
      const editor = join(place.root, 'editor.mjs');
      writeFileSync(
        editor,
        'import { appendFileSync } from "node:fs"; appendFileSync(process.argv[2], "from the editor\\n");',
      );
      const run = await kbOk(place.ann, ['note', '--edit'], {
        env: { EDITOR: `${process.execPath} ${editor}`, PATH: process.env['PATH'] },
      });
      expect(read(place.ann, run.stdout.trim())).toContain('from the editor\n');
    });

    it('keeps the text of the editor in a file when the note cannot be written', async () => {
      const editor = join(place.root, 'editor.mjs');
      writeFileSync(
        editor,
        'import { appendFileSync } from "node:fs"; appendFileSync(process.argv[2], "precious\\n");',
      );
      const env = { EDITOR: `${process.execPath} ${editor}`, PATH: process.env['PATH'], TMPDIR: place.root };
      const run = await kb(place.ann, ['note', '--edit', '--append', 'missing.md'], { env });
      expect(run.code).toBe(2);
      const file = /your text is in (\S+)/.exec(run.stderr)?.[1] ?? '';
      expect(readFileSync(file, 'utf8')).toBe('precious\n');
      const landed = await kbOk(place.ann, ['note', '--edit'], { env });
      expect(landed.stderr).not.toContain('your text is in');
    });

    it('takes global flags in front of the command, too', async () => {
      const run = await kbOk(place.root, ['--kb', place.ann, '--quiet', 'status', '--json']);
      expect(run.json()).toMatchObject({ ok: true, dir: place.ann });
    });

    it('appends to a note, all other bytes kept', async () => {
      writeFileSync(join(place.ann, 'log.md'), '# Log\r\n\r\nold\r\n');
      await kbOk(place.ann, ['sync']);
      await kbOk(place.ann, ['note', '--append', 'log.md', 'new']);
      expect(read(place.ann, 'log.md')).toMatch(/^# Log\r\n\r\nold\r\n- \d\d:\d\d new\r\n$/);
      expectNativeGitAgrees(place.ann, place.remote);
    });

    it("appends to a heading of today's note as Obsidian places it", async () => {
      mkdirSync(join(place.ann, '.obsidian'));
      writeFileSync(
        join(place.ann, '.obsidian', 'daily-notes.json'),
        '{"folder":"days","format":"YYYY/MM-DD","template":"templates/day"}',
      );
      mkdirSync(join(place.ann, 'templates'));
      writeFileSync(join(place.ann, 'templates', 'day.md'), '# {{title}}\n\n## Log\n\n## Done\n');
      await kbOk(place.ann, ['sync']);
      const run = await kbOk(place.ann, ['note', '--daily', '--heading', '## Log', 'deployed']);
      const day = new Date().toISOString();
      expect(run.stdout).toBe(`days/${day.slice(0, 4)}/${day.slice(5, 10)}.md\n`);
      await kbOk(place.ann, ['note', '--daily', '--heading', '## Log', 'again']);
      expect(read(place.ann, run.stdout.trim())).toMatch(
        /^# \d\d-\d\d\n\n## Log\n+- \d\d:\d\d deployed\n- \d\d:\d\d again\n\n## Done\n$/,
      );
      expectNativeGitAgrees(place.ann, place.remote);
    });

    it('replaces a note only while it is the blob that was read', async () => {
      const blob = git(place.ann, ['rev-parse', 'HEAD:first.md']).trim();
      await kbOk(place.ann, ['note', '--replace', 'first.md', '--if-match', blob, 'all new']);
      const run = await kb(place.ann, ['note', '--replace', 'first.md', '--if-match', blob, 'too late']);
      expect(run.code).toBe(5);
      expect(read(place.ann, 'first.md')).toBe('all new\n');
    });

    it('does the same thing once under the same --id', async () => {
      const first = (await kbOk(place.ann, ['note', '--id', 'build-7', 'once', '--json'])).json();
      const again = (await kbOk(place.ann, ['note', '--id', 'build-7', 'once', '--json'])).json();
      const elsewhere = (await kbOk(place.ben, ['note', '--id', 'build-7', 'once', '--json'])).json();
      for (const other of [again, elsewhere])
        expect(other).toMatchObject({ commit: first['commit'], path: first['path'], landed: true, changes: [] });
      expect([...filesOnRemote(place.remote).keys()].filter((name) => name.endsWith('once.md'))).toHaveLength(1);
    });

    it('shows what it would write with --dry-run and changes nothing', async () => {
      const before = git(place.remote, ['rev-parse', 'main']);
      const run = await kbOk(place.ann, ['note', '--dry-run', 'maybe']);
      expect(run.stdout).toContain('maybe\n');
      expect(run.stderr).toMatch(/-maybe\.md\n$/);
      expect(git(place.remote, ['rev-parse', 'main'])).toBe(before);
      expectNativeGitAgrees(place.ann, place.remote);
    });

    it('keeps a note local with --no-push, and lands it with the next sync', async () => {
      const run = (await kbOk(place.ann, ['note', '--no-push', 'later', '--json'])).json();
      expect(run).toMatchObject({ landed: false });
      expect(git(place.remote, ['rev-list', '--count', 'main']).trim()).toBe('1');
      expect((await kbOk(place.ann, ['sync', '--json'])).json()).toMatchObject({ result: 'pushed', pushed: 1 });
      expectNativeGitAgrees(place.ann, place.remote);
    });

    it("leaves other people's uncommitted files alone", async () => {
      writeFileSync(join(place.ann, 'first.md'), 'being edited');
      writeFileSync(join(place.ann, 'draft.md'), 'draft');
      await kbOk(place.ann, ['note', 'unrelated']);
      expect(git(place.ann, ['status', '--porcelain']).trim().split('\n').sort()).toEqual([
        '?? draft.md',
        'M first.md',
      ]);
      expect(read(place.ann, 'first.md')).toBe('being edited');
    });
  });

  describe('kb sync', () => {
    it('commits, merges what others wrote, and pushes', async () => {
      writeFileSync(join(place.ann, 'first.md'), 'ONE\ntwo\nthree\nfour\nfive\n');
      writeFileSync(join(place.ben, 'first.md'), 'one\ntwo\nthree\nfour\nFIVE\n');
      writeFileSync(join(place.ben, 'new.md'), 'new\n');
      expect((await kbOk(place.ann, ['sync', '--json'])).json()).toMatchObject({
        ok: true,
        result: 'pushed',
        pulled: 0,
        pushed: 1,
        merged: [],
      });
      const run = (await kbOk(place.ben, ['sync', '--json'])).json();
      expect(run).toMatchObject({
        result: 'merged',
        pulled: 1,
        pushed: 1,
        merged: [{ path: 'first.md' }],
        conflicts: [],
      });
      expect(read(place.ben, 'first.md')).toBe('ONE\ntwo\nthree\nfour\nFIVE\n');
      expectNativeGitAgrees(place.ben, place.remote);
      expect((await kbOk(place.ann, ['sync', '--json'])).json()).toMatchObject({ result: 'pulled', pulled: 1 });
      expectNativeGitAgrees(place.ann, place.remote);
      expect((await kbOk(place.ann, ['sync', '--json'])).json()).toMatchObject({ result: 'up_to_date', changes: [] });
    });

    it('stops at a conflict with exit 5 and leaves branch and files untouched', async () => {
      writeFileSync(join(place.ann, 'first.md'), 'ann\n');
      await kbOk(place.ann, ['sync']);
      writeFileSync(join(place.ben, 'first.md'), 'ben\n');
      writeFileSync(join(place.ben, 'other.md'), 'other\n');
      const before = git(place.ben, ['rev-parse', 'HEAD']);
      const run = await kb(place.ben, ['sync', '--json']);
      expect(run.code).toBe(5);
      expect(run.json()).toMatchObject({
        ok: false,
        error: { code: 'E_CONFLICT', details: { conflicts: [{ path: 'first.md', reason: 'overlap' }] } },
      });
      expect(git(place.ben, ['rev-parse', 'HEAD'])).toBe(before);
      expect(git(place.ben, ['status', '--porcelain']).trim().split('\n').sort()).toEqual([
        '?? other.md',
        'M first.md',
      ]);
      expect(read(place.ben, 'first.md')).toBe('ben\n');
      expect(git(place.ben, ['show', 'refs/remotes/origin/main:first.md'])).toBe('ann\n');
      expectSound(place.ben);
      expect((await kb(place.ben, ['status', '--check'])).code).toBe(10);
    });

    describe('--on-conflict', () => {
      const conflict = async (ann: string, ben: string): Promise<void> => {
        writeFileSync(join(place.ann, 'first.md'), ann);
        await kbOk(place.ann, ['sync']);
        writeFileSync(join(place.ben, 'first.md'), ben);
      };

      it('copy keeps both, the local one under a name that says so', async () => {
        await conflict('ann\n', 'ben\n');
        const run = (await kbOk(place.ben, ['sync', '--on-conflict', 'copy', '--json'])).json();
        expect(run).toMatchObject({
          result: 'merged',
          conflicts: [{ path: 'first.md', reason: 'overlap', kept: 'both' }],
        });
        const files = filesOnRemote(place.remote);
        const copy = [...files.keys()].find((name) => /^first \(conflict \d{4}-\d\d-\d\d .+\)\.md$/.test(name));
        expect([files.get('first.md'), files.get(copy ?? '')]).toEqual(['ann\n', 'ben\n']);
        expectNativeGitAgrees(place.ben, place.remote);
      });

      it('ours takes the local file as it is', async () => {
        await conflict('ann\n', 'ann and ben\n');
        await kbOk(place.ben, ['sync', '--on-conflict', 'ours']);
        expect(filesOnRemote(place.remote)).toEqual(new Map([['first.md', 'ann and ben\n']]));
        expectNativeGitAgrees(place.ben, place.remote);
      });

      it("theirs takes the remote's file, and the local one stays reachable by name", async () => {
        await conflict('ann\n', 'ben\n');
        const run = await kbOk(place.ben, ['sync', '--on-conflict', 'theirs']);
        expect(read(place.ben, 'first.md')).toBe('ann\n');
        const backup = /refs\/kb\/backup\/\S+/.exec(run.stderr)?.[0] ?? '';
        expect(git(place.ben, ['show', `${backup}:first.md`])).toBe('ben\n');
        expectNativeGitAgrees(place.ben, place.remote);
      });

      it('an edit is kept where the other side deleted the file', async () => {
        rmSync(join(place.ann, 'first.md'));
        await kbOk(place.ann, ['sync']);
        writeFileSync(join(place.ben, 'first.md'), 'edited\n');
        expect((await kb(place.ben, ['sync'])).code).toBe(5);
        await kbOk(place.ben, ['sync', '--on-conflict', 'copy']);
        expect(filesOnRemote(place.remote)).toEqual(new Map([['first.md', 'edited\n']]));
      });

      it('a file that meets a folder becomes a copy beside it', async () => {
        mkdirSync(join(place.ann, 'topic'));
        writeFileSync(join(place.ann, 'topic', 'a.md'), 'a');
        await kbOk(place.ann, ['sync']);
        writeFileSync(join(place.ben, 'topic'), 'a file');
        await kbOk(place.ben, ['sync', '--on-conflict', 'ours']);
        const files = filesOnRemote(place.remote);
        expect(files.get('topic/a.md')).toBe('a');
        expect([...files].find(([name]) => name.startsWith('topic (conflict'))?.[1]).toBe('a file');
        expectNativeGitAgrees(place.ben, place.remote);
      });
    });

    it('stops with exit 7 at local edits with --no-commit', async () => {
      writeFileSync(join(place.ann, 'draft.md'), 'draft');
      const run = await kb(place.ann, ['sync', '--no-commit']);
      expect([run.code, run.stderr]).toEqual([7, expect.stringContaining('draft.md')]);
      expect(git(place.ann, ['status', '--porcelain'])).toBe('?? draft.md\n');
    });

    it('pulls only, and keeps local edits that are not in the way', async () => {
      await kbOk(place.ann, ['note', '--path', 'theirs.md', 'x']);
      writeFileSync(join(place.ben, 'draft.md'), 'draft');
      expect((await kbOk(place.ben, ['sync', '--pull-only', '--json'])).json()).toMatchObject({
        result: 'pulled',
        pushed: 0,
      });
      expect(git(place.ben, ['status', '--porcelain'])).toBe('?? draft.md\n');
      expect(existsSync(join(place.ben, 'theirs.md'))).toBe(true);
    });

    it('pushes only, and stops with exit 7 when the remote has moved', async () => {
      writeFileSync(join(place.ben, 'mine.md'), 'mine');
      expect((await kbOk(place.ben, ['sync', '--push-only', '--json'])).json()).toMatchObject({ result: 'pushed' });
      writeFileSync(join(place.ann, 'other.md'), 'other');
      expect((await kb(place.ann, ['sync', '--push-only'])).code).toBe(7);
    });

    it('says what it would do with --check and does nothing', async () => {
      await kbOk(place.ann, ['note', 'x']);
      writeFileSync(join(place.ben, 'draft.md'), 'draft');
      const before = git(place.ben, ['rev-parse', 'HEAD']);
      expect((await kbOk(place.ben, ['sync', '--check', '--json'])).json()).toMatchObject({
        check: true,
        result: 'merged',
        remoteMoved: true,
        changes: [{ path: 'draft.md', kind: 'added' }],
      });
      expect(git(place.ben, ['rev-parse', 'HEAD'])).toBe(before);
      expect(git(place.ben, ['status', '--porcelain'])).toBe('?? draft.md\n');
    });

    it('carries every kind of change: type, mode, symlink, folder to file and back', async () => {
      const { ann, ben } = place;
      mkdirSync(join(ann, 'folder'));
      writeFileSync(join(ann, 'folder', 'a.md'), 'a');
      writeFileSync(join(ann, 'script.sh'), '#!/bin/sh\n', { mode: 0o755 });
      symlinkSync('first.md', join(ann, 'link'));
      await kbOk(ann, ['sync']);
      await kbOk(ben, ['sync']);
      expectNativeGitAgrees(ben, place.remote);
      rmSync(join(ann, 'folder'), { recursive: true });
      writeFileSync(join(ann, 'folder'), 'now a file');
      rmSync(join(ann, 'link'));
      mkdirSync(join(ann, 'link'));
      writeFileSync(join(ann, 'link', 'in.md'), 'in');
      await kbOk(ann, ['sync']);
      await kbOk(ben, ['sync']);
      for (const clone of [ann, ben]) expectNativeGitAgrees(clone, place.remote);
      expect(read(ben, 'folder')).toBe('now a file');
      expect(read(ben, 'link', 'in.md')).toBe('in');
    });

    it('merges a local history that holds merges with one merge commit', async () => {
      await kbOk(place.root, ['clone', '--depth', 'full', 'remote.git', 'deep']);
      const deep = join(place.root, 'deep');
      git(deep, ['checkout', '--quiet', '-b', 'side']);
      writeFileSync(join(deep, 'side.md'), 'side');
      git(deep, ['add', '.']);
      git(deep, ['commit', '--quiet', '-m', 'side']);
      git(deep, ['checkout', '--quiet', 'main']);
      git(deep, ['merge', '--quiet', '--no-ff', '-m', 'merge side', 'side']);
      await kbOk(place.ann, ['note', 'moved on']);
      expect((await kbOk(deep, ['sync', '--json'])).json()).toMatchObject({ result: 'merged' });
      expectNativeGitAgrees(deep, place.remote);
    });

    it("never commits Obsidian's workspace", async () => {
      mkdirSync(join(place.ann, '.obsidian'));
      writeFileSync(join(place.ann, '.obsidian', 'workspace.json'), '{}');
      writeFileSync(join(place.ann, '.obsidian', 'app.json'), '{}');
      await kbOk(place.ann, ['sync']);
      expect([...filesOnRemote(place.remote).keys()].filter((name) => name.startsWith('.obsidian'))).toEqual([
        '.obsidian/app.json',
      ]);
    });
  });

  describe('kb status', () => {
    it('tells all that a health check needs', async () => {
      writeFileSync(join(place.ann, 'draft.md'), 'draft');
      await kbOk(place.ann, ['note', '--no-push', 'not yet shared']);
      const status = (await kbOk(place.ann, ['status', '--json'])).json();
      expect(status).toMatchObject({
        ok: true,
        initialized: true,
        cloning: null,
        dir: place.ann,
        remote: place.remote,
        branch: 'main',
        head: git(place.ann, ['rev-parse', 'HEAD']).trim(),
        upstream: 'origin/main',
        ahead: 1,
        behind: 0,
        shallow: false,
        changes: [{ path: 'draft.md', kind: 'added', committable: true }],
        conflicts: [],
        fileCount: 2,
        lock: { held: false, holder: null, stale: false },
        queue: [],
        unpushed: 1,
        lastSync: { result: 'ok', error: null },
      });
      expect((await kbOk(place.ann, ['status', '--porcelain'])).stdout).toBe('main 1 0 1 free ok\n');
      expect((await kb(place.ann, ['status', '--check'])).code).toBe(0);
    });

    it('sees with --fetch that the remote has moved', async () => {
      await kbOk(place.ann, ['note', 'x']);
      expect((await kbOk(place.ben, ['status', '--json'])).json()).toMatchObject({ behind: 0 });
      expect((await kbOk(place.ben, ['status', '--fetch', '--json'])).json()).toMatchObject({ behind: null });
    });

    it('finds no KB outside one', async () => {
      const run = await kb(place.root, ['status', '--json']);
      expect([run.code, run.json()]).toEqual([8, expect.objectContaining({ ok: false })]);
      expect((await kb(place.root, ['status', '--check'])).code).toBe(10);
    });
  });

  describe('kb config', () => {
    it('names the source of each value and masks secrets', async () => {
      writeFileSync(join(place.ann, 'kb.yaml'), 'notes:\n  dir: inbox\n');
      const run = await kbOk(place.ann, ['config', '--json'], {
        env: { KB_GIT_AUTH_TOKEN: 'very-secret-token', KB_LOCK_TIMEOUT: '2m' },
      });
      const settings = run.json()['settings'] as { key: string; value: unknown; source: string }[];
      const find = (key: string): unknown => settings.find((setting) => setting.key === key);
      expect(find('notes.dir')).toMatchObject({
        value: 'inbox',
        source: expect.stringContaining('kb.yaml:2') as string,
      });
      expect(find('lockTimeout')).toMatchObject({ source: 'KB_LOCK_TIMEOUT' });
      expect(run.stdout).not.toContain('very-secret-token');
    });
  });

  it('says who it is', async () => {
    expect((await kbOk(place.root, ['--version'])).stdout).toMatch(/^kb \d+\.\d+\.\d+ /);
  });
});
