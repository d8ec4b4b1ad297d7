import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { NoteResult } from '../../src/kb/note.js';
import { hasGitHttpBackend } from '../support/http-backend.js';
import { git } from '../support/native-git.js';
import {
  addTo,
  appendTo,
  cloneOf,
  errorOf,
  expectSettled,
  historyOf,
  holdLock,
  isPush,
  lineUp,
  makeSite,
  outcomeOf,
  pushesOf,
  serveSites,
  syncAt,
  timesOnRemote,
  valueOf,
  writeFiles,
  type QueueSite,
} from '../support/queue-site.js';

describe.skipIf(!hasGitHttpBackend())('a note with a key (needs native git with http-backend)', () => {
  const at = serveSites();

  function keysFile(site: QueueSite): string {
    return join(site.kb, '.git', 'kb', 'keys.json');
  }

  /** The same note again changes nothing and pushes nothing. */
  async function expectSameAgain(first: NoteResult, again: Promise<NoteResult>): Promise<void> {
    const { server } = at;
    server.reset();
    expect(await again).toMatchObject({ path: first.path, commit: first.commit, landed: true, changes: [], batch: 0 });
    expect(pushesOf(server)).toBe(0);
  }

  /** A commit that somebody makes with native git and pushes. */
  function pushNative(site: QueueSite, files: Readonly<Record<string, string>>, message: string): string {
    const work = join(site.root, 'native');
    rmSync(work, { recursive: true, force: true });
    git(site.root, ['clone', '-q', site.remote, work]);
    writeFiles(work, files);
    git(work, ['add', '-A']);
    git(work, ['commit', '-q', '-m', message]);
    git(work, ['push', '-q', 'origin', 'HEAD:main']);
    return git(work, ['rev-parse', 'HEAD']).trim();
  }

  it('is there once, whichever text comes with the key the next time', async () => {
    const { site } = at;
    const first = await addTo(site, { text: 'first.', id: 'key-1' });
    expect(git(site.remote, ['log', '-1', '--format=%(trailers:key=Kb-Id,valueonly)', 'main']).trim()).toBe('key-1');
    await addTo(site, 'another note.');
    await expectSameAgain(first, addTo(site, { text: 'other words.', id: 'key-1' }));
    expect(timesOnRemote(site, 'other words.')).toBe(0);
    expectSettled(site);
  });

  it('is another note under another key, also where one key begins as the other', async () => {
    const { site } = at;
    await addTo(site, { text: 'one.', id: 'key-1' });
    await addTo(site, { text: 'two.', id: 'key-12' });
    expect(historyOf(site.remote)).toHaveLength(2);
  });

  it('that two clones bring out at once is there once, and both give the same commit', async () => {
    const { site, server } = at;
    const other = join(site.root, 'other');
    await cloneOf(site, other, 'full');
    server.reset();
    let racing: Promise<PromiseSettledResult<NoteResult>> | undefined;
    server.latencyMs = 50;
    server.faults = (request) => {
      // The other clone comes between the first one's look and its push.
      if (isPush(request) && racing === undefined) {
        racing = outcomeOf(addTo(site, { text: 'mine.', id: 'key-1' }, { kb: other }));
        return { kind: 'reset' };
      }
      return undefined;
    };
    const first = await addTo(site, { text: 'mine.', id: 'key-1' });
    const second = valueOf(await (racing as NonNullable<typeof racing>));
    expect(second.commit).toBe(first.commit);
    expect(timesOnRemote(site, 'mine.')).toBe(1);
    expect(historyOf(site.remote)).toHaveLength(1);
  });

  it('that loses the race against a native push of the same key is found there', async () => {
    const { site, server } = at;
    let landed = '';
    server.faults = (request) => {
      if (isPush(request) && landed === '')
        landed = pushNative(site, { 'elsewhere.md': 'x\n' }, 'by hand\n\nKb-Id: key-1');
      return undefined;
    };
    const result = await addTo(site, { text: 'mine.', id: 'key-1' });
    expect(result).toMatchObject({ commit: landed, path: 'elsewhere.md', changes: [] });
    expect(timesOnRemote(site, 'mine.')).toBe(0);
    expectSettled(site);
  });

  it('that comes twice in one batch is one commit, and both writers are told of it', async () => {
    const { site, server } = at;
    const holding = await holdLock(site);
    const outcomes = await lineUp(site, [
      () => addTo(site, { text: 'once.', id: 'key-1' }),
      () => addTo(site, 'between.'),
      () => addTo(site, { text: 'once.', id: 'key-1' }),
    ]);
    await holding.release();
    const [first, between, again] = (await Promise.all(outcomes)).map(valueOf);
    expect(again).toMatchObject({ commit: first?.commit, path: first?.path, landed: true, changes: [], batch: 0 });
    expect([first?.batch, between?.batch]).toEqual([2, 2]);
    expect(pushesOf(server)).toBe(1);
    expect(timesOnRemote(site, 'once.')).toBe(1);
    expectSettled(site);
  });

  it('that appends is applied once', async () => {
    const { site } = at;
    const first = await addTo(site, { ...appendTo('diary.md', 'once.'), id: 'key-1' });
    await addTo(site, appendTo('diary.md', 'later.'));
    await expectSameAgain(first, addTo(site, { ...appendTo('diary.md', 'once.'), id: 'key-1' }));
    expect(timesOnRemote(site, 'once.')).toBe(1);
  });

  it('that was saved locally, without the remote, is found there, and lands once', async () => {
    const { site, server } = at;
    server.faults = () => ({ kind: 'reset' });
    const first = errorOf(await outcomeOf(addTo(site, { text: 'offline.', id: 'key-1' })));
    const again = errorOf(await outcomeOf(addTo(site, { text: 'offline.', id: 'key-1' })));
    expect([first.code, again.code]).toEqual(['E_NETWORK', 'E_NETWORK']);
    expect(again.details['saved']).toBe(first.details['saved']);
    server.faults = undefined;
    const landed = await addTo(site, { text: 'offline.', id: 'key-1' });
    expect(landed).toMatchObject({ commit: first.details['saved'], landed: true });
    expect(timesOnRemote(site, 'offline.')).toBe(1);
    expectSettled(site);
  });

  it('that is saved here and landed from elsewhere is there once, though the two would merge', async () => {
    const { site, server } = at;
    const other = join(site.root, 'other');
    await cloneOf(site, other, 'full');
    server.faults = () => ({ kind: 'reset' });
    // Here the name is taken by another note that waits for the network as well.
    await outcomeOf(addTo(site, { text: 'Same words.\n\nfirst.' }));
    const saved = errorOf(await outcomeOf(addTo(site, { text: 'Same words.\n\nkeyed.', id: 'key-1' })));
    expect(saved.code).toBe('E_NETWORK');
    server.faults = undefined;
    const first = await addTo(site, { text: 'Same words.\n\nkeyed.', id: 'key-1' }, { kb: other });
    await syncAt(site);
    expect(timesOnRemote(site, 'keyed.')).toBe(1);
    expect(timesOnRemote(site, 'first.')).toBe(1);
    await expectSameAgain(first, addTo(site, { text: 'Same words.\n\nkeyed.', id: 'key-1' }));
    expectSettled(site);
  });

  describe('in a clone of depth 1', () => {
    let shallow: string;

    async function makeShallow(): Promise<NoteResult> {
      const { site, server } = at;
      const first = await addTo(site, { text: 'long ago.', id: 'key-1' });
      await addTo(site, 'since then.');
      shallow = join(site.root, 'shallow');
      await cloneOf(site, shallow, 1);
      expect(existsSync(join(shallow, '.git', 'shallow'))).toBe(true);
      server.reset();
      return first;
    }
    const fetches = (): number =>
      at.server.requests.filter(({ method, path }) => method === 'POST' && path.endsWith('/git-upload-pack')).length;

    it('is found beyond the end of the history that is there: all of it is fetched, once', async () => {
      const { site, server } = at;
      const first = await makeShallow();
      const again = await addTo(site, { text: 'long ago.', id: 'key-1' }, { kb: shallow });
      expect(again).toMatchObject({ commit: first.commit, path: first.path, landed: true, changes: [] });
      expect([fetches(), pushesOf(server)]).toEqual([1, 0]);
      expect(existsSync(join(shallow, '.git', 'shallow'))).toBe(false);
      server.reset();
      await addTo(site, { text: 'new.', id: 'key-2' }, { kb: shallow });
      expect([fetches(), pushesOf(server)]).toEqual([0, 1]);
      expect(git(shallow, ['fsck', '--strict', '--full'])).toBe('');
      expect(git(shallow, ['status', '--porcelain'])).toBe('');
    });

    it('is found where it lies without fetching more', async () => {
      const { site, server } = at;
      await makeShallow();
      const first = await addTo(site, { text: 'new.', id: 'key-2' }, { kb: shallow });
      server.reset();
      await expectSameAgain(first, addTo(site, { text: 'new.', id: 'key-2' }, { kb: shallow }));
      expect(fetches()).toBe(0);
    });

    it('does not make a note without a key fetch anything', async () => {
      const { site, server } = at;
      await makeShallow();
      await addTo(site, 'no key.', { kb: shallow });
      expect([fetches(), pushesOf(server)]).toEqual([0, 1]);
      expect(existsSync(join(shallow, '.git', 'shallow'))).toBe(true);
    });

    it('of a path is found beyond the end of the history too', async () => {
      const site = await makeSite();
      const first = await addTo(site, { text: 'long ago.', id: 'key-1' });
      await addTo(site, 'since then.');
      shallow = join(site.root, 'shallow');
      await cloneOf({ ...site, url: `file://${site.remote}` }, shallow, 1);
      expect(existsSync(join(shallow, '.git', 'shallow'))).toBe(true);
      const again = await addTo(site, { text: 'long ago.', id: 'key-1' }, { kb: shallow });
      expect(again).toMatchObject({ commit: first.commit, path: first.path, landed: true, changes: [] });
      expect(existsSync(join(shallow, '.git', 'shallow'))).toBe(false);
      expect(git(shallow, ['fsck', '--strict', '--full'])).toBe('');
    });

    it('is found by a rider too', async () => {
      const { site } = at;
      const first = await makeShallow();
      const shallowSite = { ...site, kb: shallow };
      const holding = await holdLock(shallowSite);
      const outcomes = await lineUp(shallowSite, [
        () => addTo(shallowSite, 'no key.'),
        () => addTo(shallowSite, { text: 'long ago.', id: 'key-1' }),
      ]);
      await holding.release();
      const [, again] = (await Promise.all(outcomes)).map(valueOf);
      expect(again).toMatchObject({ commit: first.commit, path: first.path });
      expect(timesOnRemote(site, 'long ago.')).toBe(1);
    });
  });

  describe('in a squash merge, which puts several messages into one', () => {
    const MESSAGE = [
      'Squashed commit of the following:',
      '',
      'commit 1111111111111111111111111111111111111111',
      '',
      '    Add two.md',
      '',
      '    Kb-Id: key-2',
      '',
      'commit 2222222222222222222222222222222222222222',
      '',
      '    Add one.md',
      '',
      '    Kb-Id: key-1',
      '',
    ].join('\n');

    it.each([
      ['the path that was named', { text: 'whatever.', target: { kind: 'new', path: 'one.md' } }, 'one.md'],
      ['the file that holds its text', { text: 'the first text.' }, 'one.md'],
      ['the file that holds its text', { text: 'the second text.' }, 'two.md'],
    ] as const)('is found with %s', async (_how, note, path) => {
      const { site } = at;
      const files = { 'a.md': 'neither\n', 'one.md': 'the first text.\n', 'two.md': 'the second text.\n' };
      const commit = pushNative(site, files, MESSAGE);
      const id = path === 'one.md' ? 'key-1' : 'key-2';
      const result = await addTo(site, { ...note, id });
      expect(result).toMatchObject({ commit, path, landed: true, changes: [] });
      expectSettled(site);
      expect(historyOf(site.remote)).toHaveLength(1);
    });

    it('is found in the first commit that has it, where several have', async () => {
      const { site } = at;
      const first = pushNative(site, { 'one.md': 'x\n' }, 'One\n\nKb-Id: key-1');
      pushNative(site, { 'two.md': 'x\n' }, 'Two\n\nKb-Id: key-1');
      expect(await addTo(site, { text: 'mine.', id: 'key-1' })).toMatchObject({ commit: first, path: 'one.md' });
      expect(await addTo(site, { text: 'mine.', id: 'key-1' })).toMatchObject({ commit: first, path: 'one.md' });
    });

    it('is not found in a line that only speaks of a key', async () => {
      const { site } = at;
      pushNative(site, { 'one.md': 'x\n' }, 'About keys\n\nsee Kb-Id: key-1\nKb-Id: key-1 and more\nkb-id: key-1');
      expect(await addTo(site, { text: 'mine.', id: 'key-1' })).toMatchObject({ changes: [{ kind: 'added' }] });
    });
  });

  describe('whose list of keys', () => {
    const change = (text: string, over: Record<string, unknown>): string =>
      JSON.stringify({ ...(JSON.parse(text) as Record<string, unknown>), ...over });

    type Damage = (text: string, site: QueueSite) => string;

    async function expectUnharmed(damage: Damage): Promise<void> {
      const { site } = at;
      const first = await addTo(site, { text: 'first.', id: 'key-1' });
      await addTo(site, { text: 'second.', id: 'key-2' });
      await addTo(site, { text: 'third.', id: 'key-3' }); // the list is written when a key is looked for
      writeFileSync(keysFile(site), damage(readFileSync(keysFile(site), 'utf8'), site));
      await expectSameAgain(first, addTo(site, { text: 'first.', id: 'key-1' }));
      expect(historyOf(site.remote)).toHaveLength(3);
    }

    it.each<[string, Damage]>([
      ['is empty', () => ''],
      ['is cut', (text) => text.slice(0, -3)],
      ['is no object', () => '[]'],
      ['ends at a commit that is not here', (text) => change(text, { tip: '1'.repeat(40), keys: {} })],
      ['ends at no commit', (text) => change(text, { tip: null, keys: {} })],
      ['was made of a history that ended elsewhere', (text) => change(text, { shallow: 'x', keys: {} })],
      ['lacks the last keys', (text, site) => change(text, { tip: rev(site, 'HEAD~3'), keys: {} })],
    ])('%s', (_what, damage) => expectUnharmed(damage));

    it.each<[string, Damage]>([
      ['is null', () => 'null'],
      ['has keys that are null', (text) => change(text, { keys: null })],
      ['has keys that are no ids', (text) => change(text, { keys: { 'key-1': 'x', 'key-2': null } })],
    ])('%s', (_what, damage) => expectUnharmed(damage));

    it('is gone', async () => {
      const { site } = at;
      const first = await addTo(site, { text: 'first.', id: 'key-1' });
      rmSync(keysFile(site), { force: true });
      await expectSameAgain(first, addTo(site, { text: 'first.', id: 'key-1' }));
    });

    it('names a commit that is none, or has another key: what the commits say counts', async () => {
      const { site } = at;
      const first = await addTo(site, { text: 'first.', id: 'key-1' });
      const second = await addTo(site, { text: 'second.', id: 'key-2' });
      await addTo(site, { text: 'third.', id: 'key-3' });
      const text = readFileSync(keysFile(site), 'utf8');
      writeFileSync(keysFile(site), change(text, { keys: { 'key-1': second.commit, 'key-9': second.commit } }));
      await expectSameAgain(first, addTo(site, { text: 'first.', id: 'key-1' }));
      expect((await addTo(site, { text: 'ninth.', id: 'key-9' })).changes).toHaveLength(1);
      writeFileSync(keysFile(site), change(text, { keys: { 'key-1': '1'.repeat(40) } }));
      await expectSameAgain(first, addTo(site, { text: 'first.', id: 'key-1' }));
    });
  });

  it('that a rewritten remote has dropped is written again', async () => {
    const { site } = at;
    const first = await addTo(site, { text: 'dropped.', id: 'key-1' });
    await addTo(site, { text: 'also dropped.', id: 'key-2' });
    git(site.remote, [
      'update-ref',
      'refs/heads/main',
      git(site.remote, ['rev-list', '--max-parents=0', 'main']).trim(),
    ]);
    const again = await addTo(site, { text: 'dropped.', id: 'key-1' });
    expect(again.commit).not.toBe(first.commit);
    expect(again.landed).toBe(true);
    expect(timesOnRemote(site, 'dropped.')).toBe(1);
  });

  function rev(site: QueueSite, name: string): string {
    return git(site.kb, ['rev-parse', name]).trim();
  }
});
