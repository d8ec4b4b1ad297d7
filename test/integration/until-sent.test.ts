import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { asOid, branchRef } from '../../src/git/ids.js';
import { untilSent } from '../../src/kb/until-sent.js';
import { systemClock } from '../../src/kb/surroundings.js';
import { nodeDisk } from '../../src/disk/disk.js';
import { openRemote } from '../../src/remote/open.js';
import type { Remote } from '../../src/remote/remote.js';
import { parseRemoteUrl } from '../../src/remote/url.js';

/*
 * The time in which a server is busy is used for work that blocks this thread. Invariant: that work begins when the
 * request has left. Here the work is to wait, without letting the event loop turn, until a server in another thread has
 * got the request: one that has not left by then never comes.
 */

/** In its thread: counts the requests whose head has come, and answers each as a git server would. */
const SERVER = `
  const { workerData, parentPort } = require('node:worker_threads');
  const { createServer } = require('node:http');
  const packet = (text) => (text.length + 4).toString(16).padStart(4, '0') + text;
  const refs = packet('# service=git-receive-pack\\n') + '0000' +
    packet('1'.repeat(40) + ' refs/heads/main\\0report-status ofs-delta\\n') + '0000';
  createServer((request, response) => {
    Atomics.add(workerData, 0, 1);
    Atomics.notify(workerData, 0);
    request.resume().on('end', () => {
      response.setHeader('Content-Type', request.method === 'GET'
        ? 'application/x-git-receive-pack-advertisement'
        : 'application/x-git-receive-pack-result');
      response.end(request.method === 'GET' ? refs : packet('unpack ok\\n') + packet('ok refs/heads/main\\n') + '0000');
    });
  }).listen(0, '127.0.0.1', function () { parentPort.postMessage(this.address().port); });
`;

/** On a busy machine a connection takes longer than is waited for it. */
const patient = { ...systemClock, sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms * 1000, signal) };

const counter = new Int32Array(new SharedArrayBuffer(4));
let server: Worker;
let remote: Remote;

beforeEach(async () => {
  counter[0] = 0;
  server = new Worker(SERVER, { eval: true, workerData: counter });
  const port = await new Promise<number>((resolve) => server.once('message', resolve));
  remote = await openRemote(parseRemoteUrl(`http://127.0.0.1:${port}/kb.git`, { cwd: '/' }), {
    disk: nodeDisk,
    env: {},
    timeoutMs: 30_000,
  });
});

afterEach(async () => {
  await remote.close();
  await server.terminate();
});

/** Whether the server has got so many requests, waited for with this thread stopped. */
function hasGot(count: number): boolean {
  for (let got = 0; got < count;) {
    if (Atomics.wait(counter, 0, got, 5000) === 'timed-out') return false;
    got = Atomics.load(counter, 0);
  }
  return true;
}

it('a question has left when the work for the wait begins, on a connection that was not there before', async () => {
  const asking = remote.discover('write', [branchRef('main')]);
  await untilSent(remote, asking, patient);
  expect(hasGot(1)).toBe(true);
  await asking;
});

it('a push has left, too, which looks for a dead connection first', async () => {
  await remote.discover('write', [branchRef('main')]);
  const oid = asOid('1'.repeat(40));
  const objects = { find: () => undefined, read: () => undefined, has: () => true } as never;
  const ref = branchRef('main');
  const pushing = remote.push({ ref, from: oid, to: asOid('2'.repeat(40)), objects, oids: [], shallow: new Set() });
  await untilSent(remote, pushing, patient);
  expect(hasGot(2)).toBe(true);
  await pushing;
});

it('what never leaves is not waited for', async () => {
  const never = new Promise<never>(() => undefined);
  await expect(untilSent(remote, never, systemClock)).resolves.toBeUndefined();
});

it('what has failed is not waited for, and fails nobody else', async () => {
  const failed = Promise.reject(new Error('no'));
  const clock = { ...systemClock, sleep: () => new Promise<void>(() => undefined) };
  await untilSent(remote, failed, clock);
  await expect(failed).rejects.toThrow('no');
});
