import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { currentProcess } from '../../src/lock/owner.js';
import { Killed } from '../support/failing-disk.js';
import { hasGitHttpBackend } from '../support/http-backend.js';
import { git } from '../support/native-git.js';
import {
  addTo,
  appendTo,
  cloneOf,
  errorOf,
  expectSettled,
  outcomeOf,
  serveSites,
  syncAt,
  timesOnRemote,
  type QueueSite,
} from '../support/queue-site.js';

describe.skipIf(!hasGitHttpBackend())('notes that were saved offline (needs native git with http-backend)', () => {
  const at = serveSites();

  async function elsewhere(site: QueueSite): Promise<QueueSite> {
    const kb = join(site.root, 'elsewhere');
    await cloneOf(site, kb, 1);
    return { ...site, kb };
  }

  async function saveOffline(...notes: Parameters<typeof addTo>[1][]): Promise<void> {
    at.server.faults = () => ({ kind: 'reset' });
    for (const note of notes) expect(errorOf(await outcomeOf(addTo(at.site, note))).code).toBe('E_NETWORK');
    at.server.faults = undefined;
  }

  it('stay appends when others have appended to the same file meanwhile', async () => {
    const { site } = at;
    const other = await elsewhere(site);
    await saveOffline(appendTo('diary.md', 'mine 1.'), appendTo('diary.md', 'mine 2.'));
    await addTo(other, appendTo('diary.md', 'theirs.'));
    await syncAt(site);
    const lines = git(site.remote, ['show', 'main:diary.md']).trim().split('\n').slice(-3);
    expect(lines.map((line) => line.replace(/^- \S+ /, ''))).toEqual(['theirs.', 'mine 1.', 'mine 2.']);
    expectSettled(site);
    expect(readdirSync(join(site.kb, '.git/kb/saved'))).toEqual([]);
  });

  it('get the next free name when another note has got theirs, and two of the same text stay two', async () => {
    const { site } = at;
    const other = await elsewhere(site);
    const note = { text: 'the same.', target: { kind: 'new', name: 'same.md' }, frontmatter: false } as const;
    await saveOffline(note);
    await addTo(other, note, { author: 'Bob' });
    await syncAt(site);
    expect(timesOnRemote(site, 'the same.')).toBe(2);
    expectSettled(site);
  });

  it('are made again also when the network fails a second time in between', async () => {
    const { site, server } = at;
    const other = await elsewhere(site);
    await saveOffline(appendTo('diary.md', 'mine.'));
    await addTo(other, appendTo('diary.md', 'theirs 1.'));
    // The push of the note that was made again gets no reply, nor does anything after it.
    let isDown = false;
    server.faults = (request) => {
      isDown ||= request.path.endsWith('git-receive-pack') && request.method === 'POST';
      return isDown ? { kind: 'reset' } : undefined;
    };
    expect(errorOf(await outcomeOf(syncAt(site))).code).toBe('E_NETWORK');
    server.faults = undefined;
    await addTo(other, appendTo('diary.md', 'theirs 2.'));
    await syncAt(site);
    expect(['mine.', 'theirs 1.', 'theirs 2.'].map((text) => timesOnRemote(site, text))).toEqual([1, 1, 1]);
    expectSettled(site);
  });

  it.each([
    ['were made again', 'diary.md'],
    ['went out as they were', 'other.md'],
  ])(
    'that %s are not made a third time when who pushed them was killed before its branch followed',
    async (_, path) => {
      const { site } = at;
      await addTo(site, { text: 'other', target: { kind: 'new', path: 'other.md' } });
      const other = await elsewhere(site);
      await saveOffline(appendTo('diary.md', 'mine.'));
      await addTo(other, appendTo(path, 'theirs.'));
      let isDead = false;
      const disk = new Proxy(nodeDisk, {
        get: (target, name: keyof Disk) => {
          const call = target[name] as ((...args: unknown[]) => unknown) | undefined;
          if (call === undefined) return undefined; // not every disk roams
          return (...args: unknown[]): unknown => {
            isDead ||= name === 'openSync' && String(args[0]).includes('advance.json');
            if (isDead && name !== 'closeSync') throw new Killed();
            return call.apply(target, args);
          };
        },
      });
      const identity = { ...currentProcess(nodeDisk), startTime: '1' };
      await outcomeOf(syncAt(site, { over: { disk, identity } }));
      expect([isDead, timesOnRemote(site, 'mine.')]).toEqual([true, 1]);
      await addTo(other, appendTo('diary.md', 'theirs again.'));
      await syncAt(site);
      expect(timesOnRemote(site, 'mine.')).toBe(1);
      expectSettled(site);
      expect(readdirSync(join(site.kb, '.git/kb/saved'))).toEqual([]);
    },
  );

  it('that can be made no more are merged as text', async () => {
    const { site } = at;
    const other = await elsewhere(site);
    await saveOffline(appendTo('diary.md', 'mine.'));
    git(other.kb, ['rm', '-q', 'diary.md']);
    git(other.kb, ['-c', 'user.name=A', '-c', 'user.email=a@b', 'commit', '-q', '-m', 'Gone']);
    git(other.kb, ['push', '-q', site.remote, 'HEAD:main']); // by path: the server is in this process
    expect(errorOf(await outcomeOf(syncAt(site)))).toMatchObject({ code: 'E_CONFLICT' });
    await syncAt(site, {}, { onConflict: 'ours' });
    expect(timesOnRemote(site, 'mine.')).toBe(1);
    expectSettled(site);
  });
});
