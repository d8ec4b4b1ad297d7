import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import { CLONE_RECORD } from '../../src/kb/clone-record.js';
import { LOCK_NAME } from '../../src/lock/layout.js';
import { currentProcess, parseProcessStat, type OwnerRecord } from '../../src/lock/owner.js';
import { kb, kbOk } from '../support/kb.js';
import { plantLock } from '../support/lock-fixtures.js';
import { makeTemporaryDirectory } from '../support/native-git.js';

/** Every signal that a process can notice, written down. */
const LISTENER = `
  const { appendFileSync } = require('node:fs');
  const { signals } = require('node:os').constants;
  for (const name of Object.keys(signals)) {
    try { process.on(name, () => appendFileSync(process.argv[1], name + '\\n')); } catch {}
  }
  setInterval(() => {}, 1000);
  process.stdout.write('ready');
`;

/**
 * A file in a KB can name any process: somebody who could write there must not get kb to end it.
 * Signal 0, which asks whether a process is there, is none.
 */
describe.skipIf(process.platform !== 'linux')('a process that a file names is never signalled (needs /proc)', () => {
  let stranger: ChildProcess;
  let heard: string;
  let root: string;
  let started = '';

  beforeEach(async () => {
    const place = makeTemporaryDirectory();
    heard = join(place, 'signals');
    root = join(place, 'kb');
    await kbOk(place, ['init', root]);
    await kbOk(root, ['note', 'first']);
    stranger = spawn(process.execPath, ['-e', LISTENER, heard], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(stranger.stdout as NonNullable<typeof stranger.stdout>, 'data');
    started = parseProcessStat(readFileSync(`/proc/${stranger.pid ?? 0}/stat`, 'latin1'))?.startTime ?? '';
  });

  afterEach(() => {
    stranger.kill('SIGKILL');
  });

  const record = (startTime: string): OwnerRecord => ({
    ...currentProcess(nodeDisk),
    pid: stranger.pid ?? 0,
    startTime,
    id: 'ab'.repeat(16),
    operation: 'note',
    command: 'kb note',
    since: '2026-01-02T03:04:05.000Z',
  });

  function expectUntouched(): void {
    expect(existsSync(heard) ? readFileSync(heard, 'utf8') : '').toBe('');
    expect([stranger.exitCode, stranger.signalCode]).toEqual([null, null]);
  }

  it('as the holder of the lock: waited for, named, taken from by force', async () => {
    plantLock(root, record(started));
    expect((await kb(root, ['note', 'waits', '--lock-timeout', '300ms'])).code).toBe(6);
    expect((await kb(root, ['unlock'])).code).toBe(6);
    expect((await kbOk(root, ['status', '--json'])).json()).toMatchObject({ lock: { held: true, stale: false } });
    await kbOk(root, ['unlock', '--force', '--id', 'abababab']);
    expect(existsSync(join(root, LOCK_NAME))).toBe(false);
    await kbOk(root, ['note', 'second']);
    expectUntouched();
  });

  it('as a holder that has ended, its number used again', async () => {
    plantLock(root, record('1'));
    await kbOk(root, ['unlock']);
    plantLock(root, record('1'));
    await kbOk(root, ['run', '--', process.execPath, '-e', '']);
    expectUntouched();
  });

  it('as a gc at work', async () => {
    writeFileSync(join(root, '.git/gc.pid'), `${stranger.pid ?? 0} ${hostname()}`);
    expect((await kb(root, ['gc'])).code).toBe(7);
    expectUntouched();
  });

  it('as a clone under way', async () => {
    const directory = join(root, '..', 'elsewhere');
    mkdirSync(directory);
    const { pid, startTime, host, bootId, pidNamespace } = record(started);
    const facts = { phase: 'receiving objects', done: 1, total: 2, bytes: 3, error: null };
    const text = JSON.stringify({
      version: 1,
      url: root,
      startedAt: '2026-01-02T03:04:05.000Z',
      process: { pid, startTime, host, bootId, pidNamespace },
      ...facts,
    });
    writeFileSync(join(directory, CLONE_RECORD), text);
    const status = await kb(root, ['status', '--kb', directory, '--json']);
    expect(status.json()).toMatchObject({ cloning: { state: 'running', pid } });
    await kb(root, ['clone', root, directory, '--timeout', '1s']);
    await kb(root, ['clone', root, directory, '--wait', '--timeout', '1s']);
    expectUntouched();
  });
});
