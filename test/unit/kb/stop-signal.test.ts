import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { KbError } from '../../../src/errors.js';
import { orStopped, StopSignal } from '../../../src/kb/stop-signal.js';

describe('StopSignal', () => {
  it('aborts with the first of its sources, for a reason that is a KbError', () => {
    const [one, other] = [new AbortController(), new AbortController()];
    const stop = new StopSignal([undefined, one.signal, other.signal]);
    expect(stop.signal.aborted).toBe(false);
    other.abort(new Error('enough'));
    one.abort(new Error('too late'));
    expect(stop.signal.reason).toMatchObject({ code: 'E_INTERRUPTED', cause: { message: 'enough' } });
  });

  it('passes a KbError on as it is', () => {
    const reason = new KbError('E_TERMINATED', 'ended');
    expect(new StopSignal([AbortSignal.abort(reason)]).signal.reason).toBe(reason);
  });

  it('never aborts without sources', () => {
    const stop = new StopSignal([undefined]);
    stop.release();
    expect(stop.signal.aborted).toBe(false);
  });

  it('keeps one listener on a source for however many, and none when all are released', () => {
    const { signal } = new AbortController();
    const stops = Array.from({ length: 100 }, () => new StopSignal([signal]));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    for (const stop of stops.slice(1)) stop.release();
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    stops[0]?.release();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('is heard again after all had gone', () => {
    const source = new AbortController();
    new StopSignal([source.signal]).release();
    const released = new StopSignal([source.signal]);
    const [first, second] = [new StopSignal([source.signal]), new StopSignal([source.signal])];
    released.release();
    source.abort();
    expect([released, first, second].map(({ signal }) => signal.aborted)).toEqual([false, true, true]);
  });
});

describe('orStopped', () => {
  it('gives the result, or the error, of the work', async () => {
    const { signal } = new AbortController();
    await expect(orStopped(Promise.resolve(1), signal)).resolves.toBe(1);
    await expect(orStopped(Promise.reject(new Error('failed')), signal)).rejects.toThrow('failed');
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('gives the reason as soon as the signal aborts; what becomes of the work then is nobody’s business', async () => {
    const stop = new AbortController();
    let fail!: (error: Error) => void;
    const result = orStopped(new Promise((_, reject) => (fail = reject)), stop.signal);
    stop.abort(new Error('enough'));
    await expect(result).rejects.toThrow('enough');
    fail(new Error('unheard')); // vitest fails the run on an unhandled rejection
    await expect(orStopped(Promise.reject(new Error('unheard')), stop.signal)).rejects.toThrow('enough');
    await new Promise(setImmediate);
  });
});
