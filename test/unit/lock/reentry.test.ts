import { describe, expect, it } from 'vitest';
import { KbError } from '../../../src/errors.js';
import { joinHeldLock, runInside, type JoinableLock } from '../../../src/lock/reentry.js';

const lock = (token: string): JoinableLock => ({ token, assertHeld: () => undefined });
const tokenHere = (directory: string): Promise<string | undefined> =>
  joinHeldLock(directory, (token) => Promise.resolve(token));
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('a call', () => {
  it('joins the lock around it, the innermost on the same directory', async () => {
    expect(await tokenHere('/kb')).toBeUndefined();
    await runInside('/kb', lock('a'), async () => {
      expect([await tokenHere('/kb'), await tokenHere('/other')]).toEqual(['a', undefined]);
      await runInside('/other', lock('b'), async () => {
        expect([await tokenHere('/kb'), await tokenHere('/other')]).toEqual(['a', 'b']);
        await runInside('/kb', lock('a.c'), async () => {
          await pause(1);
          expect([await tokenHere('/kb'), await tokenHere('/other')]).toEqual(['a.c', 'b']);
        });
        expect(await tokenHere('/kb')).toBe('a');
      });
    });
    expect(await tokenHere('/kb')).toBeUndefined();
  });

  it('joins no lock of another flow of control', async () => {
    let inOther!: () => void;
    const other = new Promise<void>((resolve) => (inOther = resolve)).then(() => tokenHere('/kb'));
    await runInside('/kb', lock('a'), async () => {
      inOther();
      expect(await other).toBeUndefined();
    });
  });

  it('gives what the call gives, and throws what it throws', async () => {
    await runInside('/kb', lock('a'), async () => {
      await expect(joinHeldLock('/kb', () => Promise.reject(new Error('mine')))).rejects.toThrow('mine');
    });
    await expect(runInside('/kb', lock('a'), () => Promise.reject(new Error('mine')))).rejects.toThrow('mine');
  });

  it('does not even begin when the lock was lost', async () => {
    const lost: JoinableLock = {
      token: 'a',
      assertHeld: () => {
        throw new KbError('E_LOCK_LOST', 'taken away');
      },
    };
    let began = false;
    await runInside('/kb', lost, async () => {
      const call = joinHeldLock('/kb', () => Promise.resolve((began = true)));
      await expect(call).rejects.toMatchObject({ code: 'E_LOCK_LOST' });
    });
    expect(began).toBe(false);
  });
});

describe('the end of a body', () => {
  it('waits for calls that joined, also when nobody awaited them or they fail, and for calls that those make', async () => {
    const ended: string[] = [];
    await runInside('/kb', lock('a'), () => {
      void joinHeldLock('/kb', async () => {
        await pause(5);
        // the body has ended by now; this is a step of a call that has not
        expect(await tokenHere('/kb')).toBe('a');
        void joinHeldLock('/kb', async () => {
          await pause(5);
          ended.push('inner');
        });
        ended.push('outer');
      });
      joinHeldLock('/kb', () => pause(2).then(() => Promise.reject(new Error('mine')))).catch(() =>
        ended.push('failed'),
      );
      return Promise.resolve();
    });
    expect(ended).toEqual(['failed', 'outer', 'inner']);
  });

  it('comes also when the body failed', async () => {
    let isDone = false;
    const body = runInside('/kb', lock('a'), () => {
      void joinHeldLock('/kb', () => pause(5).then(() => (isDone = true)));
      return Promise.reject(new Error('mine'));
    });
    await expect(body).rejects.toThrow('mine');
    expect(isDone).toBe(true);
  });

  it('is final: what the body or an ended call has left in a timer joins no more, but a lock further out', async () => {
    const late: Promise<string | undefined>[] = [];
    const later = (): void => void late.push(pause(10).then(() => tokenHere('/kb')));
    await runInside('/kb', lock('a'), async () => {
      await runInside('/kb', lock('a.b'), async () => {
        later();
        await joinHeldLock('/kb', () => Promise.resolve(later()));
      });
      expect(await Promise.all(late)).toEqual(['a', 'a']);
      later();
    });
    expect(await late[2]).toBeUndefined();
  });
});
