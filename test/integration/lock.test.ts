import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LOCK_NAME } from '../../src/lock/layout.js';
import { inspectLock, removeStaleLock, takeLockAway, withLock, type WaitReport } from '../../src/lock/lock.js';
import { leftIn, makeKb } from '../support/lock-fixtures.js';
import { bundleContender, Child, temporaryDirectory } from '../support/lock-processes.js';

const isLinux = process.platform === 'linux';
const canUnshare =
  isLinux && spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { stdio: 'ignore' }).status === 0;

const work = temporaryDirectory();
let script = '';
beforeAll(async () => {
  script = await bundleContender(work.path);
});
afterAll(() => work.remove());

function start(directory: string, mode: string, count = '0'): Child {
  return new Child(process.execPath, [script, 'kb', mode, directory, count]);
}

describe('a holder in another process', () => {
  it('is named to the one who waits, and followed as soon as it gives back', async () => {
    const directory = makeKb();
    const holder = start(directory, 'hold');
    await holder.line('held');
    expect(inspectLock(directory)).toMatchObject({ held: true, stale: false, owner: { pid: holder.process.pid } });
    expect(() => removeStaleLock(directory)).toThrow(expect.objectContaining({ code: 'E_LOCK_TIMEOUT' }));
    const reports: WaitReport[] = [];
    const onWait = (report: WaitReport): void => {
      if (reports.push(report) === 1) holder.process.stdin.end();
    };
    await withLock({ directory, operation: 'note', timeoutMs: 60_000, onWait }, () => Promise.resolve());
    expect(reports[0]).toMatchObject({ owner: { pid: holder.process.pid }, inProcess: false, place: 1 });
    expect(await holder.ended).toBe(0);
    expect(leftIn(directory)).toEqual([]);
  });

  it.each<NodeJS.Signals>(['SIGINT', 'SIGTERM', 'SIGHUP'])(
    'gives the lock back on %s, though nobody handles it',
    async (signal) => {
      const directory = makeKb();
      const holder = start(directory, 'hold');
      await holder.line('held');
      holder.process.kill(signal);
      expect(await holder.ended).toBe(signal);
      expect(existsSync(join(directory, LOCK_NAME))).toBe(false);
    },
  );

  it.skipIf(!isLinux)('is followed at once after SIGKILL (needs /proc)', async () => {
    const directory = makeKb();
    const holder = start(directory, 'hold');
    await holder.line('held');
    holder.process.kill('SIGKILL');
    await holder.ended;
    expect(inspectLock(directory)).toMatchObject({ held: true, stale: true });
    expect(await withLock({ directory, operation: 'note', timeoutMs: 0 }, () => Promise.resolve('in'))).toBe('in');
    expect(leftIn(directory)).toEqual([]);
  });

  it.skipIf(!isLinux)('is known to be dead while it is a zombie (needs /proc)', async () => {
    const directory = makeKb();
    // The shell's child is killed, and the shell, which would have to notice, has become `sleep`.
    const command = `"${process.execPath}" "${script}" kb hold "${directory}" <&0 & exec sleep 60`;
    const shell = new Child('sh', ['-c', command]);
    await shell.line('held');
    const holder = inspectLock(directory).owner?.pid ?? 0;
    expect(holder).toBeGreaterThan(1);
    process.kill(holder, 'SIGKILL'); // started by this test, two lines above
    while (!inspectLock(directory).stale) await new Promise((resolve) => setImmediate(resolve));
    expect(removeStaleLock(directory)).toMatchObject({ pid: holder });
    shell.process.kill('SIGKILL');
    await shell.ended;
  });

  it('keeps the lock when a check between long steps has beaten in place of the timer', async () => {
    const directory = makeKb();
    const block = (ms: number): void => {
      for (const start = performance.now(); performance.now() - start < ms;);
    };
    await withLock(
      { directory, operation: 'sync', timeoutMs: 0 },
      async (held) => {
        block(1100);
        held.assertHeld();
        await new Promise((resolve) => setTimeout(resolve, 1500)); // the timer comes, and looks at the time of the lock
        held.assertHeld();
      },
      { heartbeatMs: 1000 },
    );
    expect(leftIn(directory)).toEqual([]);
  });

  it('keeps the lock while its event loop is blocked', async () => {
    const directory = makeKb();
    const holder = start(directory, 'block', '2500');
    await holder.line('held');
    await withLock({ directory, operation: 'note', timeoutMs: 60_000 }, async () => {
      expect(await holder.line('still held')).toBe('still held');
    });
    expect(await holder.ended).toBe(0);
  });

  it('learns that its lock was taken away', async () => {
    const directory = makeKb();
    const holder = start(directory, 'block', '500');
    const id = (await holder.line('held')).split(' ')[1];
    expect(takeLockAway(directory, id?.slice(0, 8))).toMatchObject({ id });
    expect(await holder.line('failed')).toContain('was taken away from this process');
    await holder.ended;
  });
});

describe.skipIf(!canUnshare)('a holder in another pid namespace (needs unshare and the right to use it)', () => {
  function startElsewhere(directory: string): Child {
    const args = ['--pid', '--fork', '--kill-child', '--mount-proc', process.execPath, script, 'kb', 'hold', directory];
    return new Child('unshare', args);
  }

  it('is neither proved alive nor dead from here, nor are we from there', async () => {
    const directory = makeKb();
    const holder = startElsewhere(directory);
    await holder.line('held');
    const state = inspectLock(directory);
    expect(state).toMatchObject({ held: true, stale: false });
    expect(state.owner?.pid).toBeLessThan(10); // a number that here belongs to somebody else
    expect(() => removeStaleLock(directory)).toThrow(expect.objectContaining({ code: 'E_LOCK_TIMEOUT' }));
    holder.process.kill('SIGKILL');
    await holder.ended;
    expect(inspectLock(directory)).toMatchObject({ held: true, stale: false });
    const deps = { staleAfterMs: 300 };
    const early = withLock({ directory, operation: 'note', timeoutMs: 0 }, () => Promise.resolve(), deps);
    await expect(early).rejects.toMatchObject({ code: 'E_LOCK_TIMEOUT' });
    await withLock(
      { directory, operation: 'note', timeoutMs: 60_000 },
      (held) => Promise.resolve(held.assertHeld()),
      deps,
    );
    expect(leftIn(directory)).toEqual([]);
  });

  it('waits for us as we wait for it', async () => {
    const directory = makeKb();
    let other: Child | undefined;
    await withLock({ directory, operation: 'note', timeoutMs: 0 }, async () => {
      other = startElsewhere(directory);
      while (leftIn(directory).length < 5) await new Promise((resolve) => setTimeout(resolve, 20)); // it is in the line
      expect(other.lines).toEqual([]);
    });
    await other?.line('held');
    other?.process.stdin.end();
    await other?.ended;
    expect(leftIn(directory)).toEqual([]);
  });
});
