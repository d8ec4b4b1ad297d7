import { describe, expect, it } from 'vitest';
import { asRefName, branchRef } from '../../../src/git/ids.js';
import { FirstQuestion } from '../../../src/kb/ask-ahead.js';
import { surroundings, systemClock, type Report, type Surroundings } from '../../../src/kb/surroundings.js';
import type { Upstream } from '../../../src/kb/upstream.js';
import type { Remote } from '../../../src/remote/remote.js';

const upstream: Upstream = {
  remoteName: 'origin',
  url: 'https://host/kb.git',
  ref: branchRef('main'),
  tracking: asRefName('refs/remotes/origin/main'),
};

function begin(): {
  question: FirstQuestion;
  remote: Remote;
  abort: AbortController;
  closed: () => number;
  taker: Promise<unknown>;
} {
  let closed = 0;
  const remote = { close: () => Promise.resolve(void (closed += 1)) } as Remote;
  const abort = new AbortController();
  let taken: (ask: Surroundings['ask']) => void = () => undefined;
  const taker = new Promise<Surroundings['ask']>((resolve) => (taken = resolve));
  const question = new FirstQuestion({ upstream, remote, abort, taken, warnings: ['not checked'], atMs: 10_000 });
  return { question, remote, abort, closed: () => closed, taker };
}

const at = (ms: number, over: Partial<Surroundings> = {}): Surroundings =>
  surroundings({ clock: { ...systemClock, monotonic: () => ms }, ...over });

describe('a question that was asked ahead', () => {
  it('is taken once', () => {
    const { question, remote } = begin();
    expect(question.take(upstream, at(10_500))).toBe(remote);
    expect(question.take(upstream, at(10_500))).toBeUndefined();
  });

  it('says nothing any more after a second', () => {
    const { question, remote } = begin();
    expect(question.take(upstream, at(11_001))).toBeUndefined();
    expect(question.take(upstream, at(11_000))).toBe(remote);
  });

  it.each<[string, Partial<Upstream>]>([
    ['address', { url: 'https://elsewhere/kb.git' }],
    ['address for pushes', { pushUrl: 'https://elsewhere/kb.git' }],
    ['branch', { ref: branchRef('other') }],
    ['remote', { remoteName: 'fork' }],
  ])('is not taken for another %s', (_, other) => {
    expect(begin().question.take({ ...upstream, ...other }, at(10_000))).toBeUndefined();
  });

  it('tells what its user should know, ends with the signal, and asks the person who is there', async () => {
    const { question, abort, taker } = begin();
    const told: Report[] = [];
    const stop = new AbortController();
    const ask = (): Promise<string> => Promise.resolve('a password');
    question.take(upstream, at(10_000, { signal: stop.signal, report: (event) => told.push(event), ask }));
    expect(told).toEqual([{ kind: 'warning', text: 'not checked' }]);
    expect(await taker).toBe(ask);
    expect(abort.signal.aborted).toBe(false);
    const reason = new Error('stopped');
    stop.abort(reason);
    expect(abort.signal.reason).toBe(reason);
  });

  it('ends at once where the signal came before', () => {
    const { question, abort } = begin();
    question.take(upstream, at(10_000, { signal: AbortSignal.abort(new Error('stopped')) }));
    expect(abort.signal.aborted).toBe(true);
  });

  it('is closed where nobody takes it, and left alone where somebody has', async () => {
    const nobody = begin();
    await nobody.question.drop();
    await nobody.question.drop();
    expect(nobody.closed()).toBe(1);
    const taken = begin();
    taken.question.take(upstream, at(10_000));
    await taken.question.drop();
    expect(taken.closed()).toBe(0);
  });
});
