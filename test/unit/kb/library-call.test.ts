import { describe, expect, it } from 'vitest';
import { KbError } from '../../../src/errors.js';
import { callBack, makeCall } from '../../../src/kb/library-call.js';

const full = Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' });
const outcome = (thrown: unknown, isStopped: boolean): Promise<unknown> => {
  const stop = new AbortController();
  return makeCall({}, { signal: stop.signal }, () => {
    if (isStopped) stop.abort();
    throw thrown;
  }).catch((error: unknown) => error);
};

describe('what a call rejects with', () => {
  it.each([
    ['a bug', new TypeError('x is undefined'), 'E_INTERNAL'],
    ['no error at all', 'text', 'E_INTERNAL'],
    ['a full disk', full, 'E_STORAGE'],
    ['an error of kb', new KbError('E_CONFLICT', 'both'), 'E_CONFLICT'],
  ])('%s', async (_what, thrown, code) => {
    expect(await outcome(thrown, false)).toMatchObject({ name: 'KbError', code });
  });

  it.each([
    ['a bug', new TypeError('x is undefined')],
    ['a full disk', full],
    ['a cut connection', new KbError('E_NETWORK', 'cut')],
  ])('the reason of the signal, whatever became of what it stopped: %s', async (_what, thrown) => {
    expect(await outcome(thrown, true)).toMatchObject({
      code: 'E_INTERRUPTED',
      message: expect.stringContaining('stopped by the caller') as string,
    });
  });

  it.each([
    ['a lost lock', new KbError('E_LOCK_LOST', 'taken away')],
    ['a saved edit', new KbError('E_NETWORK', 'cut', { details: { saved: 'c0ffee' } })],
    ['a note in the hands of another', new KbError('E_INTERRUPTED', 'goes out', { details: { queued: '1' } })],
    [
      'a stop that says more',
      new KbError('E_INTERRUPTED', 'while make ran', { details: { stash: 'refs/kb/stash/1' } }),
    ],
  ])('what says more than that it was stopped: %s', async (_what, thrown) => {
    expect(await outcome(thrown, true)).toBe(thrown);
  });

  it("the program's own error as it is, stopped or not", async () => {
    const mine = { not: 'even an Error' };
    const stop = new AbortController();
    const call = makeCall({ signal: stop.signal }, {}, () =>
      callBack(() => {
        stop.abort();
        throw mine as unknown as Error;
      }),
    );
    await expect(call).rejects.toBe(mine);
  });
});

it('a call gets the environment and directory that it is given, else those of the process', async () => {
  const env = { A: '1' };
  expect(await makeCall({ env, cwd: '/tmp' }, {}, (world) => Promise.resolve([world.env, world.cwd]))).toEqual([
    env,
    '/tmp',
  ]);
  expect(
    await makeCall({}, {}, (world) => Promise.resolve(world.env === process.env && world.cwd === process.cwd())),
  ).toBe(true);
});
