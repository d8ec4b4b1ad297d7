import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { initKb } from '../../src/kb/init.js';
import { takeLockAway } from '../../src/lock/lock.js';
import { expectNativeGitAgrees } from '../support/agree.js';
import { hasGitHttpBackend, installHook, type Fault, type ServedRequest } from '../support/http-backend.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import {
  addTo,
  appendTo,
  errorOf,
  expectSettled,
  fromElsewhere,
  historyOf,
  holdLock,
  isPush,
  lineOf,
  lineUp,
  makeSite,
  mortal,
  outcomeOf,
  pushesOf,
  queueOf,
  serveSites,
  syncAt,
  timesOnRemote,
  until,
  valueOf,
  world,
  writeFiles,
  type QueueSite,
} from '../support/queue-site.js';

type Outcome = PromiseSettledResult<unknown>;

const TEXTS = ['note 1.', 'note 2.', 'note 3.'] as const;

function expectEachOnce(site: QueueSite, texts: readonly string[]): void {
  expect(texts.map((text) => [text, timesOnRemote(site, text)])).toEqual(texts.map((text) => [text, 1]));
}

/** Lets a push wait in the remote's hook until it is told to go on. */
function gateOf(site: QueueSite, hook = 'pre-receive'): { isReached: () => boolean; open: () => void } {
  const reached = join(site.root, 'reached');
  const open = join(site.root, 'open');
  installHook(site.remote, hook, `touch '${reached}'; while [ ! -e '${open}' ]; do sleep 0.02; done`);
  return { isReached: () => existsSync(reached), open: () => writeFileSync(open, '') };
}

describe.skipIf(!hasGitHttpBackend())('a batch whose push got no reply (needs native git with http-backend)', () => {
  const at = serveSites();

  /** The given fault for the first push, none for the others. */
  const firstPush =
    (fault: () => Fault | undefined) =>
    (request: ServedRequest): Fault | undefined =>
      isPush(request) && pushesOf(at.server) === 1 ? fault() : undefined;

  async function startAll(
    texts: readonly string[],
  ): Promise<{ outcomes: Promise<Outcome>[]; release(): Promise<void> }> {
    const { site } = at;
    const holding = await holdLock(site);
    const outcomes = await lineUp(
      site,
      texts.map((text) => () => addTo(site, text)),
    );
    return { outcomes, release: holding.release };
  }

  it('is answered when it turns out to have landed, and pushed no second time', async () => {
    const { site, server } = at;
    server.faults = firstPush(() => ({ kind: 'lose-reply' }));
    const { outcomes, release } = await startAll(TEXTS);
    await release();
    const results = (await Promise.all(outcomes)).map(valueOf);
    expect(results).toMatchObject(TEXTS.map(() => ({ landed: true, batch: 3 })));
    expect(pushesOf(server)).toBe(1);
    expectEachOnce(site, TEXTS);
    expect(historyOf(site.remote)).toHaveLength(3);
    expectSettled(site);
  });

  it('is pushed again, under the same ids, when it did not land', async () => {
    const { site, server } = at;
    server.faults = firstPush(() => ({ kind: 'reset' }));
    const { outcomes, release } = await startAll(TEXTS);
    await release();
    for (const outcome of outcomes) expect(valueOf(await outcome)).toMatchObject({ landed: true, batch: 3 });
    expectEachOnce(site, TEXTS);
    expect(historyOf(site.remote)).toHaveLength(3);
    expectSettled(site);
  });

  it('is followed by the notes that came meanwhile', async () => {
    const { site, server } = at;
    const gate = gateOf(site, 'post-receive');
    server.faults = firstPush(() => ({ kind: 'lose-reply' }));
    const { outcomes, release } = await startAll(TEXTS);
    const released = release();
    await until(gate.isReached, 'the push has landed');
    const later = await lineUp(site, [() => addTo(site, 'later 1.'), () => addTo(site, 'later 2.')]);
    gate.open();
    await released;
    for (const outcome of [...outcomes, ...later]) expect(valueOf(await outcome)).toMatchObject({ landed: true });
    expectEachOnce(site, [...TEXTS, 'later 1.', 'later 2.']);
    expect(historyOf(site.remote)).toHaveLength(5);
    expectSettled(site);
  });

  it('is no failure of the sync that it rode with, when only the notes that came after it cannot go out', async () => {
    const { site, server } = at;
    const gate = gateOf(site, 'post-receive');
    const losesFirst = firstPush(() => ({ kind: 'lose-reply' }));
    server.faults = losesFirst;
    writeFiles(site.kb, { 'local.md': 'local edit.\n' });
    const turn = outcomeOf(syncAt(site, { over: fromElsewhere(site) }));
    await until(gate.isReached, 'the push has landed');
    const later = await lineUp(site, [() => addTo(site, 'later.')]);
    server.faults = (request) => (isPush(request) && pushesOf(server) > 1 ? { kind: 'reset' } : losesFirst(request));
    gate.open();
    expect(valueOf(await turn)).toMatchObject({ result: 'pushed' });
    expect(errorOf(await (later[0] as Promise<Outcome>))).toMatchObject({ code: 'E_NETWORK' });
    server.faults = undefined;
    await syncAt(site);
    expectEachOnce(site, ['local edit.', 'later.']);
    expectSettled(site);
  });

  it('is no failure of the sync that it rode with, when only its parts cannot go out', async () => {
    const { site, server } = at;
    const refusesTwoOrMore = `while read old new ref; do test "$(git rev-list --count $old..$new)" -lt 2 || exit 1; done`;
    installHook(site.remote, 'pre-receive', refusesTwoOrMore);
    writeFiles(site.kb, { 'local.md': 'local edit.\n' });
    const holding = await holdLock(site);
    const turn = outcomeOf(syncAt(site, { over: fromElsewhere(site) }));
    await lineOf(site, 1);
    const notes = await lineUp(site, [() => addTo(site, 'note 1.')]);
    server.faults = () => (pushesOf(server) > 2 ? { kind: 'reset' } : undefined);
    await holding.release();
    expect(valueOf(await turn)).toMatchObject({ result: 'pushed' });
    const error = errorOf(await (notes[0] as Promise<Outcome>));
    expect(error).toMatchObject({ code: 'E_NETWORK', details: { saved: expect.any(String) as string } });
    server.faults = undefined;
    await syncAt(site);
    expectEachOnce(site, ['local edit.', 'note 1.']);
    expectSettled(site);
  });

  describe.each([
    ['and that landed', 'lose-reply', 1],
    ['and that never arrived', 'reset', 2],
  ] as const)('%s, from a holder that died right then', (_what, kind, pushes) => {
    it('is settled by the next of those who wait', async () => {
      const { site, server } = at;
      const dying = mortal();
      const holding = await holdLock(site);
      const outcomes = await lineUp(site, [
        () => dying.run(() => addTo(site, 'of the dead.', { over: dying.over })),
        ...TEXTS.map((text) => () => addTo(site, text)),
      ]);
      server.faults = firstPush(() => {
        dying.kill();
        return { kind };
      });
      await holding.release();
      const [dead, ...living] = await Promise.all(outcomes);
      expect(dead?.status).toBe('rejected');
      for (const outcome of living) expect(valueOf(outcome)).toMatchObject({ landed: true });
      expect(pushesOf(server)).toBe(pushes);
      expectEachOnce(site, ['of the dead.', ...TEXTS]);
      expect(historyOf(site.remote)).toHaveLength(4);
      expectSettled(site);
    });

    it('is settled by the next command, where nobody waits any more', async () => {
      const { site, server } = at;
      const dying = mortal();
      const holding = await holdLock(site);
      const outcomes = await lineUp(
        site,
        TEXTS.map((text) => () => dying.run(() => addTo(site, text, { over: dying.over }))),
      );
      server.faults = firstPush(() => {
        dying.kill();
        return { kind };
      });
      await holding.release();
      await Promise.all(outcomes);
      expect(queueOf(site).look().claimed).toHaveLength(3);
      await syncAt(site);
      expectEachOnce(site, TEXTS);
      expect(historyOf(site.remote)).toHaveLength(3);
      expectSettled(site);
    });

    it('stays in the queue while the remote cannot be asked, and nothing in it is lost or doubled', async () => {
      const { site, server } = at;
      const dying = mortal();
      const holding = await holdLock(site);
      const outcomes = await lineUp(site, [
        () => dying.run(() => addTo(site, 'of the dead.', { over: dying.over })),
        ...TEXTS.map((text) => () => addTo(site, text)),
      ]);
      let isDown = false;
      server.faults = (request) => {
        if (isDown || !isPush(request)) return isDown ? { kind: 'reset' } : undefined;
        dying.kill();
        isDown = true;
        return { kind };
      };
      await holding.release();
      const [, ...living] = await Promise.all(outcomes);
      for (const outcome of living) expect(errorOf(outcome)).toMatchObject({ code: 'E_QUEUED', exitCode: 12 });
      expect(queueOf(site).look().claimed).toHaveLength(4);

      // Who comes while the doubt lasts is not held up by it.
      const alone = errorOf(await outcomeOf(addTo(site, 'alone.')));
      expect(alone).toMatchObject({ code: 'E_NETWORK', details: { saved: expect.any(String) as string } });
      expect(git(site.kb, ['log', '-1', '--format=%H'])).toContain(alone.details['saved']);

      server.faults = undefined;
      await syncAt(site);
      expectEachOnce(site, ['of the dead.', ...TEXTS, 'alone.']);
      expect(historyOf(site.remote)).toHaveLength(5);
      expectSettled(site);
    });

    it('does not lose the note of a holder that waited while the remote cannot be asked', async () => {
      const { site, server } = at;
      const dying = mortal();
      let isDown = false;
      server.faults = (request) => {
        if (isDown || !isPush(request)) return isDown ? { kind: 'reset' } : undefined;
        dying.kill();
        isDown = true;
        return { kind };
      };
      const first = await holdLock(site);
      const dead = await lineUp(site, [() => dying.run(() => addTo(site, 'of the dead.', { over: dying.over }))]);
      await first.release();
      await Promise.all(dead);
      const second = await holdLock(site);
      const outcomes = await lineUp(site, [() => addTo(site, 'waited 1.'), () => addTo(site, 'waited 2.')]);
      await second.release();
      for (const outcome of await Promise.all(outcomes)) {
        const error = errorOf(outcome);
        // Exit 3 promises that it is saved as a local commit, exit 12 that it is in the queue.
        const isSaved = error.code === 'E_NETWORK' && typeof error.details['saved'] === 'string';
        expect(isSaved || error.code === 'E_QUEUED', `${error.code}: ${error.message}`).toBe(true);
      }
      server.faults = undefined;
      await syncAt(site);
      expectEachOnce(site, ['of the dead.', 'waited 1.', 'waited 2.']);
      expectSettled(site);
    });
  });

  it('is saved as local commits, under the ids that may have landed, when the remote is gone after it', async () => {
    const { site, server } = at;
    let isDown = false;
    server.faults = (request) => {
      if (isDown) return { kind: 'reset' };
      isDown = isPush(request);
      return isDown ? { kind: 'lose-reply' } : undefined;
    };
    const { outcomes, release } = await startAll(TEXTS);
    await release();
    const errors = (await Promise.all(outcomes)).map(errorOf);
    expect(errors.map(({ code, exitCode }) => [code, exitCode])).toEqual(TEXTS.map(() => ['E_NETWORK', 3]));
    const landed = git(site.remote, ['rev-list', '--reverse', 'main']).trim().split('\n').slice(1);
    expect(errors.map(({ details }) => details['saved'])).toEqual(landed);
    server.faults = undefined;
    await syncAt(site);
    expectEachOnce(site, TEXTS);
    expectSettled(site);
  });
});

describe.skipIf(!hasGitHttpBackend())('a batch without its remote (needs native git with http-backend)', () => {
  const at = serveSites();

  it('becomes local commits, each told to its own writer, and goes out with the next sync', async () => {
    const { site, server } = at;
    server.faults = () => ({ kind: 'reset' });
    const holding = await holdLock(site);
    const outcomes = await lineUp(site, [
      ...TEXTS.map((text) => () => addTo(site, { text, message: text })),
      () => addTo(site, appendTo('missing.md', 'bad.')),
    ]);
    await holding.release();
    const [bad, ...errors] = (await Promise.all(outcomes)).map(errorOf).reverse();
    expect(bad?.code).toBe('E_USAGE');
    errors.reverse().forEach((error, number) => {
      expect(error).toMatchObject({ code: 'E_NETWORK', exitCode: 3 });
      const saved = String(error.details['saved']);
      expect(git(site.kb, ['log', '-1', '--format=%s', saved])).toBe(`${TEXTS[number] ?? ''}\n`);
    });
    expect(historyOf(site.kb)).toEqual(TEXTS.map((text) => `Ann: ${text}`));
    expectNativeGitAgrees(site.kb);
    server.faults = undefined;
    server.reset();
    await syncAt(site);
    expect(pushesOf(server)).toBe(1);
    expect(historyOf(site.remote)).toEqual(TEXTS.map((text) => `Ann: ${text}`));
    expectEachOnce(site, TEXTS);
    expectSettled(site);
  });

  it('saves the holder’s own note too, when the network fails in the middle of a batch that is taken apart', async () => {
    const { site, server } = at;
    const dying = mortal();
    server.faults = () => {
      dying.kill();
      return { kind: 'reset' };
    };
    const holding = await holdLock(site);
    const dead = await lineUp(site, [() => dying.run(() => addTo(site, 'of the dead.', { over: dying.over }))]);
    await holding.release();
    await Promise.all(dead);
    expect(queueOf(site).look().claimed).toHaveLength(1);
    // What the dead one claimed comes first. The remote refuses the two together, and is gone when they come one by one.
    server.reset();
    installHook(
      site.remote,
      'pre-receive',
      `while read old new ref; do test "$(git rev-list --count $old..$new)" -lt 2 || exit 1; done`,
    );
    let refused = 0;
    server.faults = (request) => {
      if (isPush(request)) refused += 1;
      return refused > 2 ? { kind: 'reset' } : undefined;
    };
    const error = errorOf(await outcomeOf(addTo(site, { text: 'the holder’s own.', message: 'own' })));
    expect(error).toMatchObject({ code: 'E_NETWORK' });
    expect(git(site.kb, ['log', '-1', '--format=%s', String(error.details['saved'])])).toBe('own\n');
    server.faults = undefined;
    installHook(site.remote, 'pre-receive', 'exit 0');
    await syncAt(site);
    expectEachOnce(site, ['of the dead.', 'the holder’s own.']);
    expectSettled(site);
  });
});

describe.skipIf(!nativeGit.available)('a batch in a KB without a remote (needs native git)', () => {
  it('becomes local commits, and nobody is told that they landed', async () => {
    const root = makeTemporaryDirectory();
    const site: QueueSite = { root, remote: '', url: '', kb: join(root, 'kb') };
    await initKb(world(site), { directory: site.kb, branch: 'main' });
    const holding = await holdLock(site);
    const outcomes = await lineUp(
      site,
      TEXTS.map((text) => () => addTo(site, { text, message: text })),
    );
    await holding.release();
    const results = (await Promise.all(outcomes)).map(valueOf);
    expect(results).toMatchObject(TEXTS.map(() => ({ landed: false, batch: 0, queued: false, url: null })));
    expect(historyOf(site.kb)).toEqual(TEXTS.map((text) => `Ann: ${text}`));
    expect(git(site.kb, ['rev-list', '--reverse', 'main']).trim().split('\n')).toEqual(
      results.map(({ commit }) => commit),
    );
    expect(queueOf(site).look()).toMatchObject({ waiting: [], claimed: [], plans: [] });
    expectNativeGitAgrees(site.kb);
  });
});

describe.skipIf(!hasGitHttpBackend())(
  'a note that does not wait to the end (needs native git with http-backend)',
  () => {
    const at = serveSites();

    it.each([
      ['whose time is up', 'E_LOCK_TIMEOUT', 6],
      ['that is interrupted', 'E_INTERRUPTED', 130],
    ] as const)('%s while nobody has claimed it, is taken back and never lands', async (_what, code, exitCode) => {
      const { site } = at;
      const interrupt = new AbortController();
      const isTimeout = code === 'E_LOCK_TIMEOUT';
      const holding = await holdLock(site);
      const outcomes = await lineUp(site, [
        () =>
          addTo(
            site,
            'taken back.',
            isTimeout ? { flags: { lockTimeout: '500ms' } } : { over: { signal: interrupt.signal } },
          ),
        () => addTo(site, 'stays.'),
      ]);
      if (!isTimeout) interrupt.abort();
      const error = errorOf(await (outcomes[0] as Promise<Outcome>));
      expect([error.code, error.exitCode]).toEqual([code, exitCode]);
      expect(error.details['queued']).toBeUndefined();
      expect(queueOf(site).look().waiting).toHaveLength(1);
      await holding.release();
      expect(valueOf(await (outcomes[1] as Promise<Outcome>))).toMatchObject({ landed: true, batch: 1 });
      expect(timesOnRemote(site, 'taken back.')).toBe(0);
      expectSettled(site);
    });

    it.each([
      ['whose time is up', 'E_QUEUED', 12],
      ['that is interrupted', 'E_INTERRUPTED', 130],
    ] as const)('%s when a holder has claimed it, says so, and lands once', async (_what, code, exitCode) => {
      const { site } = at;
      const gate = gateOf(site);
      const interrupt = new AbortController();
      const isTimeout = code === 'E_QUEUED';
      const holding = await holdLock(site);
      const outcomes = await lineUp(site, [
        () => addTo(site, 'the holder’s own.'),
        () =>
          addTo(
            site,
            { text: 'claimed.', id: 'key-1' },
            isTimeout ? { flags: { lockTimeout: '3s' } } : { over: { signal: interrupt.signal } },
          ),
      ]);
      const released = holding.release();
      await until(gate.isReached, 'the push is under way');
      if (!isTimeout) interrupt.abort();
      const error = errorOf(await (outcomes[1] as Promise<Outcome>));
      expect([error.code, error.exitCode]).toEqual([code, exitCode]);
      expect(error.details['queued']).toEqual(expect.any(String));
      gate.open();
      await released;
      expect(valueOf(await (outcomes[0] as Promise<Outcome>))).toMatchObject({ landed: true, batch: 2 });
      expectEachOnce(site, ['the holder’s own.', 'claimed.']);
      const again = await addTo(site, { text: 'claimed.', id: 'key-1' });
      expect(git(site.remote, ['log', '-1', '--format=%(trailers:key=Kb-Id,valueonly)', again.commit])).toContain(
        'key-1',
      );
      expectEachOnce(site, ['claimed.']);
      expectSettled(site);
    });

    it('and that holds the lock itself, in the middle of its push, leaves the others to the next of them', async () => {
      const { site } = at;
      const gate = gateOf(site);
      const interrupt = new AbortController();
      const holding = await holdLock(site);
      const outcomes = await lineUp(site, [
        () => addTo(site, 'interrupted.', { over: { signal: interrupt.signal } }),
        ...TEXTS.map((text) => () => addTo(site, text)),
      ]);
      const released = holding.release();
      await until(gate.isReached, 'the push is under way');
      interrupt.abort();
      expect(errorOf(await (outcomes[0] as Promise<Outcome>)).code).toBe('E_INTERRUPTED');
      gate.open();
      await released;
      for (const outcome of outcomes.slice(1)) expect(valueOf(await outcome)).toMatchObject({ landed: true });
      expectEachOnce(site, ['interrupted.', ...TEXTS]);
      expectSettled(site);
    });
  },
);

describe.skipIf(!hasGitHttpBackend())('a holder whose lock is taken away (needs native git with http-backend)', () => {
  const at = serveSites();

  it('before its push, pushes nothing any more; the next one brings out all that it had claimed', async () => {
    const { site, server } = at;
    const holding = await holdLock(site);
    const outcomes = await lineUp(site, [
      () => addTo(site, 'the holder’s own.'),
      ...TEXTS.map((text) => () => addTo(site, text)),
    ]);
    server.latencyMs = 100; // the question is under way while the holder claims and plans
    let isTaken = false;
    server.faults = () => {
      if (!isTaken) expect(queueOf(site).look().claimed).toHaveLength(4);
      if (!isTaken) takeLockAway(site.kb, undefined);
      isTaken = true;
      return undefined;
    };
    await holding.release();
    const [own, ...others] = await Promise.all(outcomes);
    for (const outcome of others) expect(valueOf(outcome)).toMatchObject({ landed: true });
    expect(pushesOf(server)).toBe(1);
    expectEachOnce(site, TEXTS);
    // Its own note was in the queue as well: whoever was faster decided about it, and it was told which.
    const isLost = own?.status === 'rejected' && errorOf(own).code === 'E_LOCK_LOST';
    if (!isLost && own?.status === 'rejected') expect(errorOf(own).code).toBe('E_QUEUED');
    expect(timesOnRemote(site, 'the holder’s own.')).toBe(isLost ? 0 : 1);
    expectSettled(site);
  });

  it('before its push, takes its own note back where nobody has it yet', async () => {
    const { site, server } = at;
    const holding = await holdLock(site);
    const outcomes = await lineUp(site, [() => addTo(site, 'taken back.')]);
    server.faults = () => {
      if (server.requests.length === 1) takeLockAway(site.kb, undefined);
      return undefined;
    };
    await holding.release();
    expect(errorOf(await (outcomes[0] as Promise<Outcome>))).toMatchObject({ code: 'E_LOCK_LOST', exitCode: 11 });
    expect(queueOf(site).look()).toMatchObject({ waiting: [], claimed: [], plans: [] });
    await addTo(site, 'next.');
    expectEachOnce(site, ['next.']);
    expect(timesOnRemote(site, 'taken back.')).toBe(0);
    expectSettled(site);
  });

  it('that never waited and has no entry, loses nothing but its own note', async () => {
    const { site, server } = at;
    server.faults = () => {
      if (server.requests.length === 1) takeLockAway(site.kb, undefined);
      return undefined;
    };
    expect(errorOf(await outcomeOf(addTo(site, 'lost.'))).code).toBe('E_LOCK_LOST');
    expect(pushesOf(server)).toBe(0);
    await addTo(site, 'next.');
    expect(timesOnRemote(site, 'lost.')).toBe(0);
    expectSettled(site);
  });

  it('after it wrote down its push, cannot tell what will become of it, and the next one brings it out', async () => {
    const { site, server } = at;
    const renameSync = ((from: string, to: string) => {
      nodeDisk.renameSync(from, to);
      if (to.endsWith('.plan')) takeLockAway(site.kb, undefined);
    }) as Disk['renameSync'];
    const holding = await holdLock(site);
    const outcomes = await lineUp(site, [
      () => addTo(site, 'written down.', { over: { disk: { ...nodeDisk, renameSync } } }),
    ]);
    await holding.release();
    expect(errorOf(await (outcomes[0] as Promise<Outcome>))).toMatchObject({ code: 'E_QUEUED', exitCode: 12 });
    expect(pushesOf(server)).toBe(0);
    expect(queueOf(site).look()).toMatchObject({ claimed: [expect.anything()], plans: [expect.anything()] });
    await addTo(site, 'next.');
    expect(pushesOf(server)).toBe(1);
    expectEachOnce(site, ['written down.', 'next.']);
    expectSettled(site);
  });

  it('while its push is under way, still lands each note once', async () => {
    const { site } = at;
    const gate = gateOf(site);
    const holding = await holdLock(site);
    const outcomes = await lineUp(site, [
      () => addTo(site, 'the holder’s own.'),
      ...TEXTS.map((text) => () => addTo(site, text)),
    ]);
    const released = holding.release();
    await until(gate.isReached, 'the push is under way');
    takeLockAway(site.kb, undefined);
    gate.open();
    await released;
    const [own, ...others] = await Promise.all(outcomes);
    for (const outcome of others) expect(valueOf(outcome)).toMatchObject({ landed: true });
    expect(own?.status === 'fulfilled' || errorOf(own as Outcome).code === 'E_QUEUED').toBe(true);
    expectEachOnce(site, ['the holder’s own.', ...TEXTS]);
    expect(historyOf(site.remote)).toHaveLength(4);
    expectSettled(site);
  });
});

describe.skipIf(!hasGitHttpBackend())('notes on a remote that is a path (need native git)', () => {
  it('go out together, and each lands once although their holder died after its push', async () => {
    const site = await makeSite();
    const dying = mortal();
    const holding = await holdLock(site);
    const outcomes = await lineUp(site, [
      () => dying.run(() => addTo(site, 'of the dead.', { over: dying.over })),
      ...TEXTS.map((text) => () => addTo(site, text)),
    ]);
    installHook(site.remote, 'post-receive', `touch '${join(site.root, 'landed')}'; sleep 0.5`);
    await holding.release();
    await until(() => existsSync(join(site.root, 'landed')), 'the push has landed');
    dying.kill();
    const [, ...living] = await Promise.all(outcomes);
    for (const outcome of living) expect(valueOf(outcome)).toMatchObject({ landed: true, batch: 4 });
    expectEachOnce(site, ['of the dead.', ...TEXTS]);
    expect(historyOf(site.remote)).toHaveLength(4);
    expectSettled(site);
  });
});
