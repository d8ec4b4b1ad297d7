import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findLink, type LinkRequest, type LinkResult } from '../../src/kb/link.js';
import { hasGitHttpBackend } from '../support/http-backend.js';
import { git } from '../support/native-git.js';
import {
  cloneOf,
  errorOf,
  expectSettled,
  historyOf,
  outcomeOf,
  serveSites,
  syncAt,
  withSite,
  world,
  writeFiles,
  type QueueSite,
} from '../support/queue-site.js';

describe.skipIf(!hasGitHttpBackend())('more history, where it is needed (needs native git with http-backend)', () => {
  const at = serveSites();

  /** A shallow KB of the site's remote, asked over http or by its path. */
  async function shallowKb(way: string): Promise<QueueSite> {
    const { site } = at;
    const url = way === 'http' ? site.url : site.remote;
    const shallow = { ...site, url, kb: join(site.root, 'shallow') };
    await cloneOf(shallow, shallow.kb, 1);
    return shallow;
  }

  /** Commits on the remote's branch, the first of which takes `inbox/one.md` away. */
  function growRemote(count: number, parent = 'refs/heads/main'): void {
    const { site } = at;
    const start = git(site.remote, ['rev-parse', parent]).trim();
    const stream = Array.from({ length: count }, (_, n) => {
      const from = n === 0 ? `from ${start}\nD inbox/one.md\n` : '';
      const text = `grown ${n}\n`;
      return `commit refs/heads/main\ncommitter A <a@b> ${1_800_000_000 + n} +0000\ndata 6\nGrown\n${from}M 644 inline grown-${n % 7}.md\ndata ${text.length}\n${text}\n`;
    });
    git(site.remote, ['fast-import', '--quiet', '--force'], { input: stream.join('') });
  }

  /** What `git fetch --depth 1` of another program leaves: the branch's new end, and nothing that leads to it. */
  function fetchOnlyTip({ kb, remote }: QueueSite): void {
    git(kb, ['fetch', '-q', '--depth=1', `file://${remote}`, '+main:refs/remotes/origin/main']);
  }

  function commitLocally({ kb }: QueueSite, files: Readonly<Record<string, string>>): void {
    writeFiles(kb, files);
    git(kb, ['add', '-A']);
    git(kb, ['commit', '-q', '-m', 'Local']);
  }

  const fetches = (): number =>
    at.server.requests.filter(({ method, path }) => method === 'POST' && path.endsWith('upload-pack')).length;

  describe.each(['http', 'path'])('from a remote by %s', (way) => {
    it('is fetched as far as local and remote history meet, and what others deleted stays deleted', async () => {
      growRemote(200);
      const kb = await shallowKb(way);
      commitLocally(kb, { 'mine.md': 'mine\n' });
      growRemote(20);
      fetchOnlyTip(kb);
      at.server.reset();
      const result = await syncAt(kb);
      expect(result).toMatchObject({ result: 'merged', pulled: 20, pushed: 1 });
      expect(historyOf(at.site.remote).at(-1)).toBe('Ann Author: Local');
      expect(git(at.site.remote, ['ls-tree', '-r', '--name-only', 'main'])).not.toContain('inbox/one.md');
      expectSettled(kb);
      // not more than was needed: the older half of the history stays away
      expect(Number(git(kb.kb, ['rev-list', '--count', 'HEAD']))).toBeLessThan(120);
      git(kb.kb, ['fetch', '-q', '--unshallow', `file://${at.site.remote}`]);
      expect(git(kb.kb, ['rev-list', '--count', 'HEAD'])).toBe(git(at.site.remote, ['rev-list', '--count', 'main']));
      expectSettled(kb);
    });

    it('is fetched whole where the way is long, in few requests', async () => {
      const kb = await shallowKb(way);
      commitLocally(kb, { 'mine.md': 'mine\n' });
      growRemote(2000);
      fetchOnlyTip(kb);
      at.server.reset();
      expect(await syncAt(kb)).toMatchObject({ result: 'merged', pulled: 2000 });
      expect(fetches()).toBeLessThanOrEqual(6);
      expect(existsSync(join(kb.kb, '.git/shallow'))).toBe(false);
      expectSettled(kb);
    });

    it('is not fetched where the end of a rewritten branch leads to what was missing', async () => {
      growRemote(3);
      const kb = await shallowKb(way);
      commitLocally(kb, { 'mine.md': 'mine\n' });
      growRemote(2, 'refs/heads/main~1');
      at.server.reset();
      expect(await syncAt(kb)).toMatchObject({ pulled: 2, pushed: 1 });
      if (way === 'http') expect(fetches()).toBe(1);
      expect(git(at.site.remote, ['ls-tree', '-r', '--name-only', 'main'])).not.toContain('inbox/one.md');
      expect(historyOf(at.site.remote).filter((line) => line.startsWith('Ann'))).toEqual(['Ann Author: Local']);
      expectSettled(kb);
    });

    describe('for a link', () => {
      const VIEW = 'permalink: https://view.example/{commit}/{path}\n';
      const linkAt = (kb: QueueSite, path: string, over: Partial<LinkRequest> = {}): Promise<LinkResult> => {
        writeFiles(kb.kb, { 'kb.yaml': VIEW });
        return withSite(kb, {}, (opened) => findLink(opened, { path, ...over }));
      };

      it('to a file that is gone, is fetched as far as the newest commit that had it', async () => {
        const landed = git(at.site.remote, ['rev-parse', 'main']).trim();
        growRemote(200);
        const kb = await shallowKb(way);
        growRemote(10);
        at.server.reset();
        const { commit, url } = await linkAt(kb, 'inbox/one.md');
        expect(url).toBe(`https://view.example/${landed}/inbox/one.md`);
        expect(commit).toBe(landed);
        if (way === 'http') expect(fetches()).toBe(3);
        rmSync(join(kb.kb, 'kb.yaml'));
        await syncAt(kb);
        expectSettled(kb);
        // Known from now on.
        at.server.reset();
        await linkAt(kb, 'inbox/one.md');
        expect(at.server.requests).toEqual([]);
      });

      it('to one that is there, or not on the remote yet, is not asked for', async () => {
        growRemote(20);
        const kb = await shallowKb(way);
        at.server.reset();
        writeFiles(kb.kb, { 'mine.md': 'mine\n' });
        await linkAt(kb, 'diary.md');
        expect(errorOf(await outcomeOf(linkAt(kb, 'mine.md')))).toMatchObject({ code: 'E_UNSAFE_STATE' });
        expect(at.server.requests).toEqual([]);
        expect(git(kb.kb, ['rev-list', '--count', 'HEAD']).trim()).toBe('1');
      });

      it('to one that never was, is not fetched whole, unless it is asked for', async () => {
        growRemote(1500);
        const kb = await shallowKb(way);
        const error = errorOf(await outcomeOf(linkAt(kb, 'inbox/one.md')));
        expect(error).toMatchObject({ code: 'E_USAGE', hint: expect.stringContaining('--deep') as string });
        expect(git(kb.kb, ['rev-list', '--count', 'HEAD']).trim()).toBe('1361');
        expect((await linkAt(kb, 'inbox/one.md', { deep: true })).path).toBe('inbox/one.md');
        expect(existsSync(join(kb.kb, '.git/shallow'))).toBe(false);
        const never = errorOf(await outcomeOf(linkAt(kb, 'never.md', { deep: true })));
        expect(never.message).not.toContain('as far as');
      });

      it('of a checkout of an older commit, is fetched until a branch is seen to lead to it', async () => {
        growRemote(40);
        const kb = await shallowKb(way);
        const older = git(at.site.remote, ['rev-parse', 'main~30']).trim();
        git(kb.kb, ['fetch', '-q', '--depth=1', `file://${at.site.remote}`, older]);
        git(kb.kb, ['checkout', '-q', '--detach', older]);
        expect((await linkAt(kb, 'diary.md')).commit).toBe(older);
      });

      it('is not asked for where the remote is not to be asked', async () => {
        growRemote(20);
        const kb = await shallowKb(way);
        at.server.reset();
        writeFiles(kb.kb, { 'kb.yaml': VIEW });
        const env = { ...world(kb).env, KB_GIT_ENABLED: 'false' };
        const asked = withSite(kb, { over: { env } }, (opened) => findLink(opened, { path: 'inbox/one.md' }));
        expect(errorOf(await outcomeOf(asked))).toMatchObject({ code: 'E_USAGE' });
        expect(at.server.requests).toEqual([]);
      });
    });

    it('is asked for in vain where the remote has dropped it: only what came after it is local work', async () => {
      growRemote(3);
      const kb = await shallowKb(way);
      replaceHistory();
      commitLocally(kb, { 'mine.md': 'mine\n' });
      expect(await syncAt(kb)).toMatchObject({ pushed: 1 });
      expect(git(at.site.remote, ['ls-tree', '-r', '--name-only', 'main']).trim()).toBe('mine.md\nother.md');
      expectSettled(kb);
    });

    it('is an error where it can neither be had nor done without, and nothing is changed', async () => {
      const { site } = at;
      growRemote(3);
      const kb = await shallowKb(way);
      replaceHistory();
      commitLocally(kb, { 'mine.md': 'mine\n' });
      // as if the branch had never been seen
      fetchOnlyTip(kb);
      const before = [git(site.remote, ['rev-parse', 'main']), git(kb.kb, ['rev-parse', 'HEAD'])];
      const error = errorOf(await outcomeOf(syncAt(kb)));
      expect(error.code).toBe('E_UNSAFE_STATE');
      expect(error.message).toContain('cannot be told');
      expect([git(site.remote, ['rev-parse', 'main']), git(kb.kb, ['rev-parse', 'HEAD'])]).toEqual(before);
      expect(git(kb.kb, ['status', '--porcelain'])).toBe('');
    });

    it("waits for native git's shallow.lock, and changes nothing while it is there", async () => {
      growRemote(5);
      const kb = await shallowKb(way);
      commitLocally(kb, { 'mine.md': 'mine\n' });
      growRemote(5);
      fetchOnlyTip(kb);
      const lock = join(kb.kb, '.git/shallow.lock');
      writeFileSync(lock, '');
      const error = errorOf(await outcomeOf(syncAt(kb)));
      expect(error).toMatchObject({ code: 'E_UNSAFE_STATE' });
      expect(error.message).toContain('shallow.lock');
      rmSync(lock);
      expect(await syncAt(kb)).toMatchObject({ result: 'merged', pulled: 5 });
      expectSettled(kb);
    });
  });

  /** Puts an unrelated branch in the place of the remote's, and forgets everything else there. */
  function replaceHistory(): void {
    const { remote } = at.site;
    const file = 'M 644 inline other.md\ndata 6\nother\n';
    const stream = `commit refs/heads/new\ncommitter A <a@b> 1800000000 +0000\ndata 6\nOther\n${file}\n`;
    git(remote, ['fast-import', '--quiet'], { input: stream });
    git(remote, ['update-ref', 'refs/heads/main', 'refs/heads/new']);
    git(remote, ['update-ref', '-d', 'refs/heads/new']);
    git(remote, ['-c', 'gc.reflogExpire=now', 'reflog', 'expire', '--expire=now', '--all']);
    git(remote, ['-c', 'gc.pruneExpire=now', 'gc', '-q', '--prune=now']);
  }
});
