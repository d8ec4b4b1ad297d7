import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hasGitHttpBackend, installHook } from '../support/http-backend.js';
import { kb, kbOk, type KbOptions, type KbRun } from '../support/kb.js';
import {
  expectSettled,
  historyOf,
  holdLock,
  lineOf,
  lineUp,
  pushesOf,
  queueOf,
  serveSites,
  timesOnRemote,
  until,
  valueOf,
  type QueueSite,
} from '../support/queue-site.js';

describe.skipIf(!hasGitHttpBackend())('commands that wait for one KB (need native git with http-backend)', () => {
  const at = serveSites();

  /** Starts notes one after the other, each when the one before stands in the queue. */
  async function startNotes(
    notes: readonly { args: readonly string[]; options?: KbOptions }[],
  ): Promise<Promise<KbRun>[]> {
    const outcomes = await lineUp(
      at.site,
      notes.map(
        ({ args, options }) =>
          () =>
            kb(at.site.kb, ['note', ...args], options),
      ),
    );
    return outcomes.map(async (outcome) => valueOf(await outcome));
  }

  const texts = (count: number): string[] =>
    Array.from({ length: count }, (_, number) => `note ${String(number + 10)}.`);

  function expectEachOnce(site: QueueSite, wanted: readonly string[]): void {
    expect(wanted.map((text) => [text, timesOnRemote(site, text)])).toEqual(wanted.map((text) => [text, 1]));
  }

  it('land together, in one push, and the status shows them waiting in their order', async () => {
    const { site, server } = at;
    const wanted = texts(6);
    const pids: number[] = [];
    const holding = await holdLock(site);
    const runs = await startNotes(
      wanted.map((text, number) => ({
        args: [text, '--json', '--message', text],
        options: { env: { GIT_AUTHOR_NAME: `Writer ${number}` }, onStart: (pid) => pids.push(pid) },
      })),
    );
    const turn = kb(site.kb, ['sync', '--json'], { onStart: (pid) => pids.push(pid) });
    await lineOf(site, 7);
    const status = (await kbOk(site.kb, ['status', '--json'])).json() as {
      lock: { held: boolean };
      queue: { place: number; who: string; since: string; operation: string; state: string }[];
    };
    expect(status.lock.held).toBe(true);
    expect(status.queue.map(({ place, operation, state }) => [place, operation, state])).toEqual([
      ...wanted.map((_, number) => [number + 1, 'note', 'entry']),
      [7, 'sync', 'turn'],
    ]);
    status.queue.forEach(({ who, since }, number) => {
      expect(who).toMatch(new RegExp(`^\\S+@\\S+ pid ${pids[number] ?? 0}$`));
      expect(Date.parse(since)).toBeGreaterThan(Date.now() - 120_000);
    });
    expect((await kbOk(site.kb, ['status'])).stdout).toContain(`pid ${pids[0] ?? 0}`);
    await holding.release();
    for (const run of await Promise.all(runs)) {
      expect(run.code, run.stderr).toBe(0);
      expect(run.json()).toMatchObject({ ok: true, landed: true, batch: 6, queued: false });
    }
    expect((await turn).json()).toMatchObject({ ok: true, result: 'up_to_date' });
    expect(pushesOf(server)).toBe(1);
    expect(historyOf(site.remote)).toEqual(wanted.map((text, number) => `Writer ${number}: ${text}`));
    expectSettled(site);
    expect(((await kbOk(site.kb, ['status', '--json'])).json() as typeof status).queue).toEqual([]);
  });

  it('tell a program their place while they wait, and how long they still will', async () => {
    const { site } = at;
    const holding = await holdLock(site);
    const runs = await startNotes([
      { args: ['first.', '--json'] },
      { args: ['second.', '--json', '--verbose', '--lock-timeout', '90s'] },
    ]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await holding.release();
    const [, second] = await Promise.all(runs);
    const events = (second?.stderr ?? '')
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { event: string; place: number; givesUpInMs: number });
    const [waiting] = events.filter(({ event }) => event === 'waiting');
    expect(waiting).toMatchObject({ event: 'waiting', place: 2 });
    expect(waiting?.givesUpInMs).toBeGreaterThan(60_000);
    expect(waiting?.givesUpInMs).toBeLessThanOrEqual(90_000);
  });

  it('that are interrupted while they wait leave nothing; one that is killed lands all the same', async () => {
    const { site } = at;
    const pids: number[] = [];
    const onStart = (pid: number): void => void pids.push(pid);
    const holding = await holdLock(site);
    const runs = await startNotes([
      { args: ['interrupted.', '--json'], options: { onStart } },
      { args: ['terminated.', '--json'], options: { onStart } },
      { args: ['killed.', '--json'], options: { onStart } },
      { args: ['timed out.', '--json', '--lock-timeout', '1s'] },
      { args: ['stays.', '--json'] },
    ]);
    (['SIGINT', 'SIGTERM', 'SIGKILL'] as const).forEach((signal, number) => process.kill(pids[number] ?? 0, signal));
    const ended = await Promise.all(runs.slice(0, 4));
    expect(ended.map(({ code, signal }) => code ?? signal)).toEqual([130, 143, 'SIGKILL', 6]);
    expect(ended[3]?.json()).toMatchObject({
      ok: false,
      error: { code: 'E_LOCK_TIMEOUT', exitCode: 6, retryable: true },
    });
    expect(queueOf(site).look().waiting).toHaveLength(2);
    await holding.release();
    expect((await runs[4])?.json()).toMatchObject({ ok: true, batch: 2 });
    expectEachOnce(site, ['killed.', 'stays.']);
    for (const text of ['interrupted.', 'terminated.', 'timed out.']) expect(timesOnRemote(site, text)).toBe(0);
    expectSettled(site);
  });

  it.each([
    ['arrives', 'pre-receive'],
    ['has landed', 'post-receive'],
  ] as const)('each land once when the holder is killed while its push %s', async (_when, hook) => {
    const { site } = at;
    const reached = join(site.root, 'reached');
    const open = join(site.root, 'open');
    installHook(site.remote, hook, `touch '${reached}'; while [ ! -e '${open}' ]; do sleep 0.02; done`);
    const pids: number[] = [];
    const wanted = texts(4);
    const holding = await holdLock(site);
    const runs = await startNotes(
      wanted.map((text) => ({ args: [text, '--json'], options: { onStart: (pid) => pids.push(pid) } })),
    );
    const released = holding.release();
    await until(() => existsSync(reached), 'the push is under way');
    process.kill(pids[0] ?? 0, 'SIGKILL');
    await runs[0];
    writeFileSync(open, '');
    await released;
    for (const run of (await Promise.all(runs)).slice(1)) expect(run.json()).toMatchObject({ ok: true, landed: true });
    expectEachOnce(site, wanted);
    expect(historyOf(site.remote)).toHaveLength(4);
    expectSettled(site);
  });

  it('say that the outcome is open (exit 12) when their time is up in a holder’s hands, and land once', async () => {
    const { site } = at;
    const reached = join(site.root, 'reached');
    const open = join(site.root, 'open');
    installHook(site.remote, 'pre-receive', `touch '${reached}'; while [ ! -e '${open}' ]; do sleep 0.02; done`);
    const holding = await holdLock(site);
    const runs = await startNotes([
      { args: ['the holder’s own.', '--json'] },
      { args: ['claimed.', '--json', '--id', 'key-1', '--lock-timeout', '5s'] },
    ]);
    const released = holding.release();
    await until(() => existsSync(reached), 'the push is under way');
    const claimed = await runs[1];
    expect(claimed?.code).toBe(12);
    expect(claimed?.json()).toMatchObject({ error: { code: 'E_QUEUED', exitCode: 12, retryable: false } });
    const { queue } = (await kbOk(site.kb, ['status', '--json'])).json() as { queue: { state: string }[] };
    expect(queue.map(({ state }) => state)).toEqual(['claimed', 'claimed']);
    writeFileSync(open, '');
    await released;
    expect((await runs[0])?.json()).toMatchObject({ ok: true, batch: 2 });
    const again = (await kbOk(site.kb, ['note', 'claimed.', '--id', 'key-1', '--json'])).json();
    expect(again).toMatchObject({ changes: [], landed: true });
    expectEachOnce(site, ['the holder’s own.', 'claimed.']);
    expectSettled(site);
  });

  it('without their remote exit 3, each with its own local commit, and land with the next sync', async () => {
    const { site, server } = at;
    server.faults = () => ({ kind: 'reset' });
    const wanted = texts(3);
    const holding = await holdLock(site);
    const runs = await startNotes(wanted.map((text) => ({ args: [text, '--json'] })));
    await holding.release();
    const saved = (await Promise.all(runs)).map((run) => {
      expect(run.code).toBe(3);
      const { error } = run.json() as { error: { details: { saved?: string } } };
      return error.details.saved;
    });
    expect(new Set(saved).size).toBe(3);
    server.faults = undefined;
    expect((await kbOk(site.kb, ['sync', '--json'])).json()).toMatchObject({ result: 'pushed', pushed: 3 });
    expectEachOnce(site, wanted);
    expectSettled(site);
  });
});
