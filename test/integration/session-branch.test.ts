import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addNote, type NoteRequest, type NoteResult } from '../../src/kb/note.js';
import { switchBranch } from '../../src/kb/switch.js';
import { sync, type SyncRequest, type SyncResult } from '../../src/kb/sync.js';
import { expectSound } from '../support/agree.js';
import {
  note,
  pushFromElsewhere,
  setRemoteUrl,
  siteAt,
  startKb,
  syncOnce,
  withKb,
  worldOf,
  write,
  type Site,
} from '../support/crash-site.js';
import { Stage } from '../support/crash-stage.js';
import { hasGitHttpBackend, startGitServer, type GitServer } from '../support/http-backend.js';
import { git, makeTemporaryDirectory } from '../support/native-git.js';
import { noteRequest } from '../support/queue-site.js';

const NOW = { epochMs: Date.UTC(2026, 0, 2, 3, 4, 5), offsetMinutes: 0 };

describe.skipIf(!hasGitHttpBackend())('session branches (needs native git with http-backend)', () => {
  const root = makeTemporaryDirectory();
  let server: GitServer;
  let site: Site;
  let count = 0;
  beforeAll(async () => {
    server = await startGitServer({ root });
  });
  afterAll(() => server.close());

  beforeEach(async () => {
    server.faults = undefined;
    count += 1;
    site = siteAt(join(root, `s${count}`));
    mkdirSync(site.root);
    await startKb(site);
    git(site.remote, ['config', 'http.receivepack', 'true']);
    setRemoteUrl(site, `${server.url}/s${count}/remote.git`);
  });

  const inKb = (...args: string[]): string => git(site.kb, args).trim();
  const onRemote = (...args: string[]): string => git(site.remote, args).trim();
  const subjects = (branch: string): string[] =>
    onRemote('log', '--format=%s', branch, '--not', 'main').split('\n').filter(Boolean);
  const status = (): string => inKb('status', '--porcelain', '--untracked-files=all');
  const write1 = (
    session: string,
    over: Partial<NoteRequest> & Pick<NoteRequest, 'text'>,
    env: object = {},
  ): Promise<NoteResult> =>
    withKb(worldOf(site, { env: { SESSION_BRANCH: session, ...env } }), (kb) =>
      addNote(kb, noteRequest(kb, { target: { kind: 'new', path: `${over.text}.md` }, now: NOW, ...over })),
    );
  const syncBranch = (branch: string, over: Partial<SyncRequest> = {}): Promise<SyncResult> =>
    withKb(worldOf(site), (kb) => sync(kb, { direction: 'both', commit: true, branch, ...over }));
  const isUntouched = (before: string): void => {
    expect(inKb('symbolic-ref', 'HEAD')).toBe('refs/heads/main');
    expect(status()).toBe(before);
    expectSound(site.kb);
    expectSound(site.remote);
  };

  it('a note makes its branch from the default branch, with upstream, and touches nothing else', async () => {
    write(site.kb, { 'mine.md': 'uncommitted\n', 'diary.md': 'edited\n' });
    pushFromElsewhere(site, (work) => write(work, { 'later.md': 'later\n' }));
    const [before, head] = [status(), inKb('rev-parse', 'HEAD')];
    server.reset();
    const result = await write1('agents/a', { text: 'one' });
    expect(result).toMatchObject({ branch: 'agents/a', landed: true, path: 'one.md', batch: 1 });
    expect(subjects('agents/a')).toEqual(['Add one.md']);
    expect(onRemote('rev-parse', 'agents/a^')).toBe(onRemote('rev-parse', 'main'));
    expect(inKb('rev-parse', 'HEAD')).toBe(head);
    expect(inKb('rev-parse', 'agents/a')).toBe(result.commit);
    expect(inKb('rev-parse', '--symbolic-full-name', 'agents/a@{u}')).toBe('refs/remotes/origin/agents/a');
    expect(existsSync(join(site.kb, 'one.md'))).toBe(false);
    isUntouched(before);
    server.reset();
    expect(await write1('agents/a', { text: 'two' })).toMatchObject({ branch: 'agents/a', landed: true });
    expect(server.requests.length).toBe(2);
    expect(subjects('agents/a')).toEqual(['Add two.md', 'Add one.md']);
    isUntouched(before);
  });

  it('sends only what the remote does not have', async () => {
    let sent = 0;
    server.faults = ({ method, path, headers }) => {
      if (method === 'POST' && path.endsWith('git-receive-pack')) sent += Number(headers['content-length'] ?? 0);
      return undefined;
    };
    write(site.kb, {
      'large.bin': Buffer.from(Array.from({ length: 200_000 }, (_, at) => (at * 7919) % 251)).toString('latin1'),
    });
    await syncOnce(worldOf(site));
    sent = 0;
    await write1('small', { text: 'one' });
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThan(2000);
  });

  it('joins a branch that is on the remote, and keeps sessions apart', async () => {
    pushFromElsewhere(site, (work) => {
      git(work, ['switch', '-q', '-c', 'there']);
      write(work, { 'there.md': 'there\n' });
    });
    await Promise.all([
      write1('there', { text: 'one' }),
      write1('other', { text: 'one' }),
      note(worldOf(site), { text: 'for main' }),
    ]);
    expect(onRemote('ls-tree', '--name-only', 'there').split('\n')).toEqual(
      expect.arrayContaining(['there.md', 'one.md']),
    );
    expect(subjects('other')).toEqual(['Add one.md']);
    expect(onRemote('log', '-1', '--format=%s', 'main')).toContain('for-main');
    // An append sees the branch that it goes to, not the files that lie here.
    await expect(write1('other', { text: 'x', target: { kind: 'append', path: 'there.md' } })).rejects.toMatchObject({
      code: 'E_USAGE',
    });
    await write1('there', { text: 'x', target: { kind: 'append', path: 'there.md' } });
    expect(onRemote('show', 'there:there.md')).toContain('x');
    isUntouched('');
  });

  it('notes for several branches that wait go out with one holder, each to its own branch', async () => {
    const stage = new Stage(site);
    const told: Promise<unknown>[] = [];
    const text = (branch: string, at: number): string => `${branch}-${at}`;
    await stage.whileHeld(async () => {
      let waiting = 0;
      for (const branch of ['a', 'main', 'b', 'a', 'main', 'b']) {
        const writer = stage.start(text(branch, (waiting += 1)));
        const env = { ...writer.world.env, ...(branch === 'main' ? {} : { SESSION_BRANCH: branch }) };
        told.push(
          note({ ...writer.world, env }, { text: 'w', target: { kind: 'new', path: `${text(branch, waiting)}.md` } }),
        );
        await stage.untilWaiting(waiting, writer);
      }
    });
    await Promise.all(told);
    stage.end();
    expect(subjects('a').sort()).toEqual(['Add a-1.md', 'Add a-4.md']);
    expect(subjects('b').sort()).toEqual(['Add b-3.md', 'Add b-6.md']);
    expect(onRemote('log', '-2', '--format=%s', 'main').split('\n').sort()).toEqual(['Add main-2.md', 'Add main-5.md']);
    isUntouched('');
    expect(readdirSync(join(site.kb, '.git/kb/queue')).filter((name) => !name.endsWith('.acks'))).toEqual([]);
  });

  it('an entry that is queued for a branch lands there after a switch, whoever brings it out', async () => {
    const stage = new Stage(site);
    await stage.whileHeld(async () => {
      await stage.leaveEntry({ target: { kind: 'new', path: 'queued.md' } });
    });
    stage.end();
    await withKb(worldOf(site), (kb) => switchBranch(kb, { branch: 'next', create: true, uncommitted: 'bring' }));
    await note(worldOf(site), { text: 'on next', target: { kind: 'new', path: 'next.md' } });
    expect(subjects('next')).toEqual(['Add next.md']);
    expect(onRemote('log', '-1', '--format=%s', 'main')).toBe('Add queued.md');
    expect(inKb('rev-parse', 'main')).toBe(onRemote('rev-parse', 'main'));
    expect(existsSync(join(site.kb, 'queued.md'))).toBe(false);
    expect(status()).toBe('');
    expectSound(site.kb);
  });

  it('a note for another branch is not made again when its push has landed and its holder died', async () => {
    const stage = new Stage(site);
    await stage.whileHeld(async () => {
      const writer = stage.start('writer');
      const env = { ...writer.world.env, SESSION_BRANCH: 'dead' };
      const told = note({ ...writer.world, env }, { text: 'w', target: { kind: 'append', path: 'diary.md' } });
      told.catch(() => undefined);
      await stage.untilQueued(writer);
      writer.kill();
      await told.catch(() => undefined);
    });
    // The holder dies when its push has landed: before the answer is written.
    const holder = stage.start('holder', { kind: 'kill', at: Number.MAX_SAFE_INTEGER });
    server.faults = ({ method, path }) => {
      if (method === 'POST' && path.endsWith('git-receive-pack') && existsSync(join(site.remote, 'refs/heads/dead')))
        holder.kill();
      return undefined;
    };
    const pushed = note(holder.world, { text: 'main', target: { kind: 'new', path: 'main.md' } });
    await pushed.catch(() => undefined);
    holder.end();
    server.faults = undefined;
    await note(worldOf(site), { text: 'last', target: { kind: 'new', path: 'last.md' } });
    stage.end();
    expect(subjects('dead')).toEqual(['Append to diary.md']);
    expectSound(site.kb);
  });

  it('offline it is a commit of the session branch, which its next note or kb sync --branch brings out', async () => {
    const url = inKb('config', 'remote.origin.url');
    await write1('s', { text: 'one' });
    setRemoteUrl(site, 'http://127.0.0.1:9/none.git');
    await expect(write1('s', { text: 'two' })).rejects.toMatchObject({
      code: 'E_NETWORK',
      hint: expect.stringContaining('kb sync --branch s') as string,
    });
    await expect(write1('t', { text: 'three' })).rejects.toMatchObject({ code: 'E_NETWORK' });
    isUntouched('');
    setRemoteUrl(site, url);
    expect(await syncBranch('s')).toMatchObject({ result: 'pushed', branch: 's', pushed: 1 });
    expect(subjects('s')).toEqual(['Add two.md', 'Add one.md']);
    await write1('t', { text: 'four' });
    expect(subjects('t')).toEqual(['Add four.md', 'Add three.md']);
    await expect(syncBranch('nowhere')).rejects.toMatchObject({ code: 'E_USAGE' });
    isUntouched('');
  });

  it('kb sync --branch brings in what others wrote there, and replays what is here onto it', async () => {
    await write1('s', { text: 'one' });
    await write1('s', { text: 'two', push: false });
    pushFromElsewhere(site, (work) => {
      git(work, ['switch', '-q', 's']);
      write(work, { 'elsewhere.md': 'x\n' });
    });
    write(site.kb, { 'uncommitted.md': 'u\n' });
    expect(await syncBranch('s', { direction: 'pull' })).toMatchObject({ pulled: 1, pushed: 0 });
    expect(await syncBranch('s')).toMatchObject({ pushed: 1 });
    expect(subjects('s')).toEqual(['Add two.md', 'From elsewhere', 'Add one.md']);
    isUntouched('?? uncommitted.md');
  });

  it('works in a KB whose files are in the middle of something', async () => {
    writeFileSync(join(site.kb, '.git/MERGE_HEAD'), `${inKb('rev-parse', 'HEAD')}\n`);
    expect(await write1('s', { text: 'one' })).toMatchObject({ landed: true });
    rmSync(join(site.kb, '.git/MERGE_HEAD'));
    git(site.kb, ['worktree', 'add', '-q', join(site.root, 'tree'), 's']);
    await expect(write1('s', { text: 'two' })).rejects.toMatchObject({ code: 'E_UNSAFE_STATE' });
  });

  it('names its branch after the session', async () => {
    expect(await write1('agents/{id}', { text: 'one' }, { SESSION_ID: '42' })).toMatchObject({ branch: 'agents/42' });
    await expect(write1('agents/{id}', { text: 'one' })).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(write1('agents/{id}', { text: 'one' }, { SESSION_ID: '../x y' })).rejects.toMatchObject({
      code: 'E_USAGE',
    });
    await expect(write1('-x', { text: 'one' })).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});
