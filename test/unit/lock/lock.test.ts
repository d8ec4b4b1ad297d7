import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { nodeDisk } from '../../../src/disk/disk.js';
import { KbError } from '../../../src/errors.js';
import { LOCK_NAME, OWNER_FILE, SIDE_NAME } from '../../../src/lock/layout.js';
import {
  inspectLock,
  releaseAllSync,
  removeStaleLock,
  takeLockAway,
  withLock,
  type HeldLock,
  type LockDependencies,
  type LockRequest,
  type WaitReport,
} from '../../../src/lock/lock.js';
import {
  FakeClock,
  fates,
  leftIn,
  madeUpOwner,
  madeUpProcess,
  makeKb,
  plantLock,
  watchedDisk,
} from '../../support/lock-fixtures.js';

function setUp(overrides: Partial<LockDependencies> = {}) {
  const directory = makeKb();
  const clock = new FakeClock();
  const liveness = fates({ ann: 'alive', dead: 'dead' });
  const deps: Partial<LockDependencies> = { clock, identity: madeUpProcess('ann'), liveness, ...overrides };
  const request: LockRequest = { directory, operation: 'note', command: 'kb note', timeoutMs: 10_000 };
  return { directory, clock, deps, request, lock: join(directory, LOCK_NAME) };
}

async function errorOf(work: () => unknown): Promise<KbError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof KbError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('withLock', () => {
  it('holds the lock while the body runs and leaves nothing behind', async () => {
    const { directory, deps, request, lock } = setUp();
    const result = await withLock(
      request,
      async (held) => {
        held.assertHeld();
        const record: unknown = JSON.parse(readFileSync(join(lock, OWNER_FILE), 'utf8'));
        expect(record).toMatchObject({ format: 1, id: held.id, operation: 'note', command: 'kb note', user: 'ann' });
        return 42;
      },
      deps,
    );
    expect(result).toBe(42);
    expect(leftIn(directory)).toEqual([]);
  });

  it.each(['a rejection', 'a synchronous throw'])('gives the lock back after %s', async (kind) => {
    const { directory, deps, request } = setUp();
    const body =
      kind === 'a rejection'
        ? () => Promise.reject(new Error('body'))
        : () => {
            throw new Error('body');
          };
    await expect(withLock(request, body, deps)).rejects.toThrow('body');
    expect(leftIn(directory)).toEqual([]);
  });

  it('lets callers of one process in one at a time, first come first served, under one real path', async () => {
    const { directory, deps, request } = setUp();
    const alias = join(makeKb(), 'alias');
    symlinkSync(directory, alias);
    const order: number[] = [];
    let inside = 0;
    await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        withLock(
          { ...request, timeoutMs: 1e9, directory: index % 2 === 0 ? directory : alias },
          async () => {
            expect(++inside).toBe(1);
            order.push(index);
            await new Promise((resolve) => setImmediate(resolve));
            inside--;
          },
          deps,
        ),
      ),
    );
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('tells a waiter of the same process at once who holds the lock', async () => {
    const { deps, request } = setUp();
    const reports: WaitReport[] = [];
    let second: Promise<void> | undefined;
    await withLock(
      request,
      async () => {
        second = withLock({ ...request, onWait: (report) => reports.push(report) }, () => Promise.resolve(), deps);
        expect(reports).toMatchObject([{ inProcess: true, place: 2, owner: { user: 'ann' } }]);
        await new Promise((resolve) => setImmediate(resolve));
      },
      deps,
    );
    await second;
  });

  it('reports a wait at once, every second, and when the holder changes', async () => {
    const { directory, clock, deps, request, lock } = setUp({ liveness: fates({ ann: 'alive', bob: 'alive' }) });
    plantLock(directory, madeUpOwner('ann'));
    const startMs = clock.nowMs;
    clock.onSleep = () => {
      if (clock.nowMs - startMs > 2500 && existsSync(lock) && inspectLock(directory, deps).owner?.user === 'ann') {
        rmSync(lock, { recursive: true });
        plantLock(directory, madeUpOwner('bob'));
      }
      if (clock.nowMs - startMs > 3000) rmSync(lock, { recursive: true, force: true });
    };
    const seen: Array<[string | undefined, number]> = [];
    const onWait = ({ owner, waitedMs }: WaitReport) => seen.push([owner?.user, Math.floor(waitedMs / 500) * 500]);
    await withLock({ ...request, onWait }, () => Promise.resolve(), deps);
    expect(seen).toEqual([
      ['ann', 0],
      ['ann', 1000],
      ['ann', 2000],
      ['bob', 2500],
    ]);
  });

  it('gives up after the time given, naming the holder', async () => {
    const { directory, deps, request } = setUp();
    plantLock(directory, madeUpOwner('ann'));
    const error = await errorOf(() => withLock({ ...request, timeoutMs: 3000 }, () => Promise.resolve(), deps));
    expect(error.code).toBe('E_LOCK_TIMEOUT');
    expect(error.message).toMatch(
      /^waited 3 s for the lock on .*: it is held by ann@test-host pid 4000000 \(kb note, for /,
    );
    expect(error.details).toMatchObject({ holder: { user: 'ann', pid: 4_000_000 }, waitedMs: 3000 });
    expect(leftIn(directory)).toEqual([LOCK_NAME, join(LOCK_NAME, OWNER_FILE)]);
  });

  it('gives up in the queue of its own process as well', async () => {
    const { deps, request } = setUp();
    const error = await withLock(
      request,
      () => errorOf(() => withLock({ ...request, timeoutMs: 2000 }, () => Promise.resolve(), deps)),
      deps,
    );
    expect(error).toMatchObject({ code: 'E_LOCK_TIMEOUT', details: { holder: { user: 'ann' }, waitedMs: 2000 } });
  });

  it('tries once with no time to wait', async () => {
    const { directory, clock, deps, request } = setUp();
    const startMs = clock.nowMs;
    expect(await withLock({ ...request, timeoutMs: 0 }, () => Promise.resolve('in'), deps)).toBe('in');
    plantLock(directory, madeUpOwner('ann'));
    expect((await errorOf(() => withLock({ ...request, timeoutMs: 0 }, () => Promise.resolve(), deps))).code).toBe(
      'E_LOCK_TIMEOUT',
    );
    expect(clock.nowMs).toBe(startMs);
  });

  it.each([
    ['an ordinary abort', undefined, 'E_INTERRUPTED'],
    ['an abort with a KbError as its reason', new KbError('E_TERMINATED', 'SIGTERM'), 'E_TERMINATED'],
  ])('ends the wait on %s', async (_title, reason, code) => {
    for (const where of ['before', 'on disk', 'in process']) {
      const { directory, clock, deps, request } = setUp();
      const stop = new AbortController();
      const wait = (): Promise<KbError> =>
        errorOf(() => withLock({ ...request, signal: stop.signal }, () => Promise.resolve(), deps));
      if (where === 'before') stop.abort(reason);
      if (where === 'on disk') plantLock(directory, madeUpOwner('ann'));
      clock.onSleep = () => stop.abort(reason);
      const error = await (where === 'in process' ? withLock(request, wait, deps) : wait());
      expect([where, error.code]).toEqual([where, code]);
      expect(leftIn(directory)).toHaveLength(where === 'on disk' ? 2 : 0);
    }
  });

  it('says so when there is no directory', async () => {
    const { directory, deps, request } = setUp();
    const error = await errorOf(() =>
      withLock({ ...request, directory: join(directory, 'no') }, () => Promise.resolve(), deps),
    );
    expect(error.code).toBe('E_NO_KB');
  });

  it.each(['EROFS', 'EACCES', 'ENOSPC', 'EDQUOT'])(
    'turns %s while making the lock into E_STORAGE in plain words',
    async (code) => {
      for (const call of ['mkdirSync', 'writeSync', 'renameSync']) {
        const { directory, deps, request } = setUp();
        const disk = watchedDisk((name, path) => {
          if (name === call) throw Object.assign(new Error(code), { code, path: String(path) });
        });
        const error = await errorOf(() => withLock(request, () => Promise.resolve(), { ...deps, disk }));
        expect([call, error.code]).toEqual([call, 'E_STORAGE']);
        expect(error.message).toMatch(
          /^could not lock .*: (the file system is read-only|permission denied|no space left|the disk quota)/,
        );
        expect(leftIn(directory)).toEqual([]);
      }
    },
  );

  it('returns what the body did even when the lock cannot be removed, and passes it over next time', async () => {
    const { directory, deps, request, lock } = setUp();
    let isBroken = false;
    const disk = watchedDisk((name, path) => {
      if (isBroken && name === 'renameSync' && path === lock) throw Object.assign(new Error('EIO'), { code: 'EIO' });
    });
    const body = (): Promise<string> => {
      isBroken = true;
      return Promise.resolve('landed');
    };
    expect(await withLock(request, body, { ...deps, disk })).toBe('landed');
    isBroken = false;
    expect(inspectLock(directory, deps)).toMatchObject({ held: true, stale: true });
    expect(await withLock({ ...request, timeoutMs: 0 }, () => Promise.resolve('next'), deps)).toBe('next');
    expect(leftIn(directory)).toEqual([]);
  });
});

describe('a lock somebody left', () => {
  it('of a dead owner is taken over at once', async () => {
    const { directory, clock, deps, request } = setUp();
    plantLock(directory, madeUpOwner('dead'));
    const startMs = clock.nowMs;
    expect(await withLock(request, (held) => Promise.resolve(held.id), deps)).toMatch(/^[0-9a-f]{32}$/);
    expect(clock.nowMs).toBe(startMs);
    expect(leftIn(directory)).toEqual([]);
  });

  it.each<[string, (lock: string, directory: string) => void]>([
    ['an owner of unknown fate', (_lock, directory) => plantLock(directory, madeUpOwner('far away'))],
    ['an empty directory, as plain mkdir makes it', (lock) => mkdirSync(lock)],
    ['an empty record', (_lock, directory) => plantLock(directory, '')],
    ['garbage', (_lock, directory) => plantLock(directory, '{"pid": -1, "id"')],
    ['a huge record', (_lock, directory) => plantLock(directory, Buffer.alloc(5000, 32))],
    [
      'a link in place of the record',
      (lock) => {
        mkdirSync(lock);
        symlinkSync('/etc/passwd', join(lock, OWNER_FILE));
      },
    ],
    ['a directory in place of the record', (lock) => mkdirSync(join(lock, OWNER_FILE), { recursive: true })],
  ])('by %s is taken over only after 120 s without a change', async (_title, plant) => {
    const { directory, clock, deps, request, lock } = setUp();
    plant(lock, directory);
    const startMs = clock.nowMs;
    expect(
      (await errorOf(() => withLock({ ...request, timeoutMs: 119_000 }, () => Promise.resolve(), deps))).code,
    ).toBe('E_LOCK_TIMEOUT');
    expect(clock.nowMs - startMs).toBe(119_000);
    await withLock({ ...request, timeoutMs: 300_000 }, (held) => Promise.resolve(held.assertHeld()), deps);
    expect(clock.nowMs - startMs).toBeGreaterThanOrEqual(239_000);
    expect(clock.nowMs - startMs).toBeLessThan(241_000);
    expect(existsSync(lock)).toBe(false);
  });

  it('keeps what others put into the directory', async () => {
    const { directory, deps, request, lock } = setUp();
    plantLock(directory, madeUpOwner('dead'));
    writeFileSync(join(lock, 'note.md'), 'mine');
    await withLock(request, () => Promise.resolve(), deps);
    const kept = leftIn(directory).find((path) => path.endsWith('note.md'));
    expect(kept).toMatch(new RegExp(`^${SIDE_NAME}/gone_`));
  });

  it('is not taken over while its heartbeat goes on', async () => {
    const { directory, clock, deps, request, lock } = setUp();
    plantLock(directory, madeUpOwner('far away'));
    clock.onSleep = () => utimesSync(lock, clock.nowMs / 1000, Math.floor(clock.nowMs / 60_000));
    const error = await errorOf(() => withLock({ ...request, timeoutMs: 600_000 }, () => Promise.resolve(), deps));
    expect(error.code).toBe('E_LOCK_TIMEOUT');
  });

  it.each<[string, (lock: string) => void]>([
    ['a file', (lock) => writeFileSync(lock, '')],
    ['a link to a directory', (lock) => symlinkSync('/tmp', lock)],
    ['a dangling link', (lock) => symlinkSync('nowhere', lock)],
  ])('that is %s is refused', async (_title, plant) => {
    const { directory, deps, request, lock } = setUp();
    plant(lock);
    expect((await errorOf(() => withLock(request, () => Promise.resolve(), deps))).code).toBe('E_UNSAFE_STATE');
    expect((await errorOf(() => inspectLock(directory, deps))).code).toBe('E_UNSAFE_STATE');
    expect((await errorOf(() => takeLockAway(directory, undefined, deps))).code).toBe('E_UNSAFE_STATE');
    expect(leftIn(directory)).toEqual([LOCK_NAME]);
  });

  it.each(['file', 'link'])('has a side folder that is a %s: refused, nothing written through it', async (kind) => {
    const { directory, deps, request } = setUp();
    const elsewhere = makeKb();
    if (kind === 'file') writeFileSync(join(directory, SIDE_NAME), '');
    else symlinkSync(elsewhere, join(directory, SIDE_NAME));
    expect((await errorOf(() => withLock(request, () => Promise.resolve(), deps))).code).toBe('E_UNSAFE_STATE');
    expect(leftIn(elsewhere)).toEqual([]);
  });
});

describe('assertHeld', () => {
  it.each<[string, (lock: string, directory: string) => void]>([
    ['was taken away by force', (_lock, directory) => void takeLockAway(directory, undefined)],
    ['was deleted', (lock) => rmSync(lock, { recursive: true })],
    [
      'is another owner’s by now',
      (lock, directory) => {
        rmSync(lock, { recursive: true });
        plantLock(directory, madeUpOwner('bob'));
      },
    ],
    ['has no record any more', (lock) => rmSync(join(lock, OWNER_FILE))],
    ['has a damaged record', (lock) => writeFileSync(join(lock, OWNER_FILE), '{}')],
    [
      'was moved and a file put there',
      (lock) => {
        renameSync(lock, `${lock}.old`);
        mkdirSync(lock);
      },
    ],
  ])('throws E_LOCK_LOST when the lock %s, and aborts `lost`', async (_title, lose) => {
    const { directory, deps, request, lock } = setUp();
    await withLock(
      request,
      async (held) => {
        held.assertHeld();
        lose(lock, directory);
        expect(held.lost.aborted).toBe(false);
        expect(await errorOf(() => held.assertHeld())).toMatchObject({ code: 'E_LOCK_LOST' });
        expect(held.lost.aborted).toBe(true);
        expect(held.lost.reason).toMatchObject({ code: 'E_LOCK_LOST' });
        expect(await errorOf(() => held.assertHeld())).toMatchObject({ code: 'E_LOCK_LOST' });
      },
      deps,
    );
  });

  it('does not mind who touched the directory: the id decides', async () => {
    const { deps, request, lock } = setUp();
    await withLock(
      request,
      async (held) => {
        utimesSync(lock, 1, 1);
        held.assertHeld();
      },
      deps,
    );
  });

  it('does not take away the next owner’s lock when it gives its own back', async () => {
    const { directory, deps, request, lock } = setUp();
    await withLock(
      request,
      async () => {
        rmSync(lock, { recursive: true });
        plantLock(directory, madeUpOwner('bob'));
      },
      deps,
    );
    expect(inspectLock(directory, deps).owner?.user).toBe('bob');
  });

  it('throws once the lock was given back', async () => {
    const { deps, request } = setUp();
    let kept: HeldLock | undefined;
    await withLock(request, async (held) => void (kept = held), deps);
    expect(() => kept?.assertHeld()).toThrow(expect.objectContaining({ code: 'E_LOCK_LOST' }));
  });

  it('fails closed when the lock cannot be read', async () => {
    const { deps, request } = setUp();
    let isBroken = false;
    const disk = watchedDisk((name) => {
      if (isBroken && name === 'lstatSync') throw Object.assign(new Error('EIO'), { code: 'EIO' });
    });
    await withLock(
      request,
      async (held) => {
        isBroken = true;
        expect(await errorOf(() => held.assertHeld())).toMatchObject({ code: 'E_STORAGE' });
        isBroken = false;
      },
      { ...deps, disk },
    );
  });

  it('beats when long synchronous work has starved the timer', async () => {
    const { clock, deps, request, lock } = setUp();
    await withLock(
      request,
      async (held) => {
        clock.nowMs += 50_000;
        held.assertHeld();
        expect(Math.round(statSync(lock).mtimeMs)).toBe(Math.round(clock.nowMs));
      },
      deps,
    );
  });
});

describe('the heartbeat', () => {
  afterEach(() => vi.useRealTimers());

  async function holding(
    work: (held: HeldLock, lock: string, directory: string) => Promise<void>,
    overrides: Partial<LockDependencies> = {},
  ): Promise<void> {
    const { deps, request, lock, directory } = setUp(overrides);
    await withLock(
      request,
      async (held) => {
        await work(held, lock, directory);
      },
      { ...deps, heartbeatMs: 1000 },
    );
  }

  it('touches the directory and writes nothing into it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    await holding(async (held, lock) => {
      const seen = new Set<number>();
      for (let beat = 0; beat < 5; beat++) {
        await vi.advanceTimersByTimeAsync(1000);
        seen.add(statSync(lock).mtimeMs);
      }
      expect(seen.size).toBe(5);
      expect(leftIn(lock)).toEqual([OWNER_FILE]);
      held.assertHeld();
    });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('goes on after an hour’s sleep of the machine when the lock is still ours', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    await holding(async (held, lock) => {
      vi.setSystemTime(Date.now() + 3_600_000);
      await vi.advanceTimersByTimeAsync(1000);
      expect(held.lost.aborted).toBe(false);
      expect(Math.round(statSync(lock).mtimeMs)).toBe(Date.now());
    });
  });

  it.each<[string, (lock: string, directory: string) => void]>([
    ['deleted', (lock) => rmSync(lock, { recursive: true })],
    [
      'taken by another',
      (lock, directory) => {
        rmSync(lock, { recursive: true });
        plantLock(directory, madeUpOwner('bob'));
      },
    ],
    [
      'replaced by a file',
      (lock) => {
        rmSync(lock, { recursive: true });
        writeFileSync(lock, '');
      },
    ],
  ])('aborts `lost`, without a throw from the timer, when the lock was %s', async (title, lose) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    await holding(async (held, lock, directory) => {
      lose(lock, directory);
      await vi.advanceTimersByTimeAsync(5000);
      expect(held.lost.aborted).toBe(true);
      if (title === 'taken by another') expect(inspectLock(directory).owner?.user).toBe('bob');
      else rmSync(lock, { force: true });
    });
  });

  it('keeps trying after a disk error', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    let isBroken = false;
    const disk = watchedDisk((name) => {
      if (isBroken && (name === 'lstatSync' || name === 'utimesSync'))
        throw Object.assign(new Error('EIO'), { code: 'EIO' });
    });
    await holding(
      async (held, lock) => {
        isBroken = true;
        await vi.advanceTimersByTimeAsync(10_000);
        expect(held.lost.aborted).toBe(false);
        isBroken = false;
        await vi.advanceTimersByTimeAsync(2000);
        expect(statSync(lock).mtimeMs).toBeGreaterThan(Date.now() - 1500);
      },
      { disk },
    );
  });
});

describe('inspectLock, removeStaleLock, takeLockAway', () => {
  it('see nothing where nothing is', () => {
    const { directory, deps } = setUp();
    expect(inspectLock(directory, deps)).toEqual({ held: false, stale: false });
    expect(removeStaleLock(directory, deps)).toBeUndefined();
    expect(takeLockAway(directory, undefined, deps)).toBeUndefined();
    expect(leftIn(directory)).toEqual([]);
  });

  it('read without writing', () => {
    const { directory, deps } = setUp();
    plantLock(directory, madeUpOwner('dead'));
    const disk = watchedDisk((name) => {
      if (!['lstatSync', 'openSync', 'readSync', 'closeSync', 'realpathSync'].includes(name))
        throw new Error(`${name} while looking`);
    });
    expect(inspectLock(directory, { ...deps, disk })).toMatchObject({
      held: true,
      stale: true,
      owner: { user: 'dead' },
    });
  });

  it('tell the age of the lock', () => {
    const { directory, deps, clock } = setUp();
    plantLock(directory, madeUpOwner('ann'));
    clock.nowMs = Date.parse(madeUpOwner('ann').since) + 5000;
    expect(inspectLock(directory, deps)).toMatchObject({ held: true, stale: false, ageMs: 5000 });
  });

  it('remove a dead owner’s lock and say whose it was', () => {
    const { directory, deps } = setUp();
    plantLock(directory, madeUpOwner('dead'));
    expect(removeStaleLock(directory, deps)).toMatchObject({ user: 'dead' });
    expect(leftIn(directory)).toEqual([]);
  });

  it.each([
    ['ann', 'which is running'],
    ['far away', 'which cannot be proved gone from here'],
  ])('leave the lock of %s alone', async (user, why) => {
    const { directory, deps } = setUp();
    plantLock(directory, madeUpOwner(user, 'abcdef0123456789'.repeat(2)));
    const error = await errorOf(() => removeStaleLock(directory, deps));
    expect(error.code).toBe('E_LOCK_TIMEOUT');
    expect(error.message).toContain(`${user}@test-host pid 4000000`);
    expect(error.message).toContain(why);
    expect(error.hint).toContain('kb unlock --force --id abcdef01');
    expect(inspectLock(directory, deps).owner?.user).toBe(user);
  });

  it('leave a damaged lock to force', async () => {
    const { directory, deps } = setUp();
    plantLock(directory, 'garbage');
    expect(inspectLock(directory, deps)).toMatchObject({ held: true, stale: false, damaged: true });
    expect((await errorOf(() => removeStaleLock(directory, deps))).code).toBe('E_LOCK_TIMEOUT');
    expect((await errorOf(() => takeLockAway(directory, 'abcdef01', deps))).code).toBe('E_USAGE');
    expect(takeLockAway(directory, undefined, deps)).toBeUndefined();
    expect(leftIn(directory)).toEqual([]);
  });

  it('take a lock away by the first 8 characters of its id, and no other', async () => {
    const { directory, deps } = setUp();
    plantLock(directory, madeUpOwner('ann', 'abcdef0123456789'.repeat(2)));
    for (const id8 of ['abcdef02', 'abcdef0', '', 'abcdef0123456789'.repeat(2)]) {
      expect([id8, (await errorOf(() => takeLockAway(directory, id8, deps))).code]).toEqual([id8, 'E_USAGE']);
    }
    expect(takeLockAway(directory, 'abcdef01', deps)).toMatchObject({ user: 'ann' });
    expect(leftIn(directory)).toEqual([]);
  });
});

describe('releaseAllSync', () => {
  it('gives back what is held and leaves the line, but touches nobody else’s lock', async () => {
    const { directory, clock, deps, request, lock } = setUp();
    await withLock(
      request,
      async (held) => {
        releaseAllSync();
        expect(leftIn(directory)).toEqual([]);
        expect(() => held.assertHeld()).toThrow();
        plantLock(directory, madeUpOwner('bob'));
        releaseAllSync();
        expect(existsSync(lock)).toBe(true);
      },
      deps,
    );
    expect(inspectLock(directory, deps).owner?.user).toBe('bob');
    const waiting = errorOf(() => withLock({ ...request, timeoutMs: 1000 }, () => Promise.resolve(), deps));
    clock.onSleep = () => {
      releaseAllSync();
      expect(existsSync(join(directory, SIDE_NAME))).toBe(false);
    };
    expect((await waiting).code).toBe('E_LOCK_TIMEOUT');
    expect(nodeDisk.readdirSync(directory)).toEqual([LOCK_NAME]);
  });
});
