import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { isKbError } from '../../../src/errors.js';
import { holdKb, keepOthersOut, type Hold } from '../../../src/kb/hold.js';
import { initKb } from '../../../src/kb/init.js';
import { insideOf, isRunning, LOCK_TOKEN } from '../../../src/kb/joined-locks.js';
import { openKbAt, type Kb } from '../../../src/kb/open.js';
import { surroundings } from '../../../src/kb/surroundings.js';
import { takeLockAway, withLock } from '../../../src/lock/lock.js';
import { makeKb } from '../../support/lock-fixtures.js';

let root: string;

beforeEach(async () => {
  root = makeKb();
  const world = surroundings({ env: envOf(), cwd: root });
  await initKb(world, { directory: join(root, 'kb'), branch: 'main' });
});

function envOf(token?: string): NodeJS.ProcessEnv {
  return {
    HOME: join(root, 'home'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'Ann',
    GIT_AUTHOR_EMAIL: 'ann@example.com',
    ...(token === undefined ? {} : { [LOCK_TOKEN]: token }),
  };
}

/** The KB as a command sees it whose environment holds this token. */
function open(token?: string, lockTimeout = '10s'): Promise<Kb> {
  return openKbAt(surroundings({ env: envOf(token), cwd: root }), join(root, 'kb'), { lockTimeout });
}

async function hold<T>(token: string | undefined, body: (held: Hold) => Promise<T>, lockTimeout?: string): Promise<T> {
  return holdKb(await open(token, lockTimeout), 'note', body);
}

async function failureOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no error',
    (error: unknown) => (isKbError(error) ? error.code : String(error)),
  );
}

const moment = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('holdKb', () => {
  it('is no part of a run without a token', async () => {
    await hold(undefined, async (held) => {
      expect([held.isNested, held.token]).toEqual([false, held.id]);
    });
  });

  it('joins the lock that the token names, at any depth', async () => {
    await hold(undefined, (outer) =>
      hold(outer.token, (middle) =>
        hold(middle.token, async (inner) => {
          expect([middle.isNested, inner.isNested]).toEqual([true, true]);
          expect(inner.token).toBe([outer.id, middle.id, inner.id].join('.'));
          inner.assertHeld();
        }),
      ),
    );
  });

  it('serialises those that join', async () => {
    let [inside, most] = [0, 0];
    await hold(undefined, (outer) =>
      Promise.all(
        Array.from({ length: 5 }, () =>
          hold(outer.token, async () => {
            most = Math.max(most, (inside += 1));
            await moment(5);
            inside -= 1;
          }),
        ),
      ),
    );
    expect(most).toBe(1);
  });

  it.each([
    ['of no lock', () => 'f'.repeat(32)],
    ['that is none', () => '../..'],
    ['of a lock that is inside of another', (outer: Hold) => `${'f'.repeat(32)}.${outer.id}`],
  ])('waits like everybody with a token %s', async (_, token) => {
    await hold(undefined, async (outer) => {
      expect(await failureOf(hold(token(outer), async () => undefined, '50ms'))).toBe('E_LOCK_TIMEOUT');
    });
  });

  it('joins as far as the token holds', async () => {
    await hold(undefined, (outer) =>
      hold(`${outer.id}.${'f'.repeat(32)}`, async (held) => expect(held.token).toBe(`${outer.id}.${held.id}`)),
    );
  });

  it('waits with a token whose run is over', async () => {
    const token = await hold(undefined, async (outer) => outer.token);
    await hold(token, async (held) => expect(held.isNested).toBe(false));
  });

  it('takes a place in the line of all when the run around it ends while it waits', async () => {
    const inside = { directory: insideOf(await open(), 1), operation: 'note', timeoutMs: 10_000 };
    let waiting: Promise<boolean> | undefined;
    await withLock(inside, () =>
      hold(undefined, async (outer) => {
        waiting = hold(outer.token, async (held) => {
          held.assertHeld();
          return held.isNested;
        });
        await moment(30);
      }),
    );
    expect(await waiting).toBe(false);
  });

  it('notices that the lock around it was taken away', async () => {
    await hold(undefined, (outer) =>
      hold(outer.token, async (inner) => {
        takeLockAway(join(root, 'kb'), undefined);
        expect(await failureOf(Promise.resolve().then(() => inner.assertHeld()))).toBe('E_LOCK_LOST');
        if (!inner.lost.aborted) await new Promise((resolve) => inner.lost.addEventListener('abort', resolve));
        expect(isKbError(inner.lost.reason, 'E_LOCK_LOST')).toBe(true);
      }),
    );
  });
});

describe('keepOthersOut', () => {
  it('lets nobody in who has joined, and nobody waits for ever', async () => {
    const order: string[] = [];
    await hold(undefined, async (outer) => {
      const kb = await open();
      const early = hold(outer.token, async () => {
        order.push('early begins');
        await moment(30);
        order.push('early ends');
      });
      await moment(10);
      let late: Promise<void> | undefined;
      await keepOthersOut(kb, outer, 'run', async () => {
        order.push('alone begins');
        late = hold(outer.token, async () => void order.push('late'));
        await moment(50);
        order.push('alone ends');
      });
      await Promise.all([early, late]);
    });
    expect(order).toEqual(['early begins', 'early ends', 'alone begins', 'alone ends', 'late']);
  });
});

describe('isRunning', () => {
  it('is true while all locks of the token are held', async () => {
    const kb = await open();
    const token = await hold(undefined, (outer) =>
      hold(outer.token, async (inner) => {
        expect([isRunning(kb, outer.token), isRunning(kb, inner.token)]).toEqual([true, true]);
        return inner.token;
      }),
    );
    expect([isRunning(kb, token), isRunning(kb, token.slice(0, 32))]).toEqual([false, false]);
  });

  it('is false for a run inside of one that is over, even if its own lock is still there', async () => {
    const kb = await open();
    await hold(undefined, (outer) =>
      hold(outer.token, async (inner) => {
        takeLockAway(join(root, 'kb'), undefined);
        expect(isRunning(kb, inner.token)).toBe(false);
      }),
    );
  });

  it('is false where nobody was ever inside', async () => {
    const kb = await open();
    await hold(undefined, async (outer) => expect(isRunning(kb, `${outer.id}.${'f'.repeat(32)}`)).toBe(false));
  });
});
