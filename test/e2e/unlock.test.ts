import { spawnSync } from 'node:child_process';
import { existsSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { expectNativeGitAgrees } from '../support/agree.js';
import { createBareRepository, startGitServer, type GitServer } from '../support/http-backend.js';
import { kb, kbEnvironment, kbOk, type KbRun } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

describe.skipIf(!nativeGit.available)('kb unlock (needs native git)', () => {
  const root = makeTemporaryDirectory();
  let server: GitServer;
  let number = 0;
  let remote: string;
  let clone: string;

  beforeAll(async () => {
    server = await startGitServer({ root });
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    number += 1;
    server.latencyMs = 0;
    remote = createBareRepository(root, `remote${number}.git`);
    clone = join(root, `clone${number}`);
    await kbOk(root, ['clone', `${server.url}/remote${number}.git`, clone]);
    await kbOk(clone, ['note', 'first']);
  });

  /** A note whose first request takes so long that the lock can be looked at meanwhile. */
  async function startSlowNote(): Promise<{ pid: number; ended: Promise<KbRun> }> {
    server.latencyMs = 3000;
    let pid = 0;
    const ended = kb(clone, ['note', 'slow', '--json'], { onStart: (started) => (pid = started) });
    while (!existsSync(join(clone, '.kb_operations.lock'))) await new Promise((resolve) => setTimeout(resolve, 20));
    return { pid, ended };
  }

  const lockId = async (): Promise<string> => {
    const { lock } = (await kbOk(clone, ['status', '--json'])).json() as { lock: { holder: { id: string } } };
    return lock.holder.id;
  };

  it('says that there is no lock', async () => {
    expect((await kbOk(clone, ['unlock', '--json'])).json()).toEqual({
      ok: true,
      removed: false,
      holder: null,
      gitLocks: [],
    });
  });

  it('leaves the lock of a living holder alone: exit 6, and names it', async () => {
    const slow = await startSlowNote();
    const run = await kb(clone, ['unlock', '--json']);
    expect(run.code).toBe(6);
    expect(run.json()).toMatchObject({
      error: { code: 'E_LOCK_TIMEOUT', message: expect.stringContaining(`pid ${slow.pid}`) as string },
    });
    expect((await slow.ended).code).toBe(0);
  });

  it('takes it away with --force and its id; the former holder then fails with exit 11 and pushes nothing', async () => {
    const slow = await startSlowNote();
    expect((await kb(clone, ['unlock', '--force', '--id', '00000000'])).code).toBe(2);
    expect((await kb(clone, ['unlock', '--force'])).code).toBe(2);
    const tip = git(remote, ['rev-parse', 'main']);
    const run = await kbOk(clone, ['unlock', '--force', '--id', await lockId(), '--json']);
    expect(run.json()).toMatchObject({ removed: true, holder: { pid: slow.pid, command: 'kb note' } });
    const ended = await slow.ended;
    expect([ended.code, ended.json()]).toEqual([11, expect.objectContaining({ ok: false })]);
    expect(git(remote, ['rev-parse', 'main'])).toBe(tip);
    server.latencyMs = 0;
    await kbOk(clone, ['note', 'next']);
    expectNativeGitAgrees(clone, remote);
  });

  it('removes the lock of a holder that was killed; the next command would have done so by itself', async () => {
    const slow = await startSlowNote();
    process.kill(slow.pid, 'SIGKILL');
    await slow.ended;
    server.latencyMs = 0;
    expect((await kbOk(clone, ['status', '--json'])).json()).toMatchObject({ lock: { held: true, stale: true } });
    expect((await kbOk(clone, ['unlock', '--json'])).json()).toMatchObject({
      removed: true,
      holder: { pid: slow.pid },
    });
    expect((await kbOk(clone, ['status', '--json'])).json()).toMatchObject({ lock: { held: false } });
    await kbOk(clone, ['note', 'next']);
    expectNativeGitAgrees(clone, remote);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'is not needed after %s: the lock is released, nothing is half done',
    async (signal) => {
      const slow = await startSlowNote();
      process.kill(slow.pid, signal);
      const ended = await slow.ended;
      expect(ended.code).toBe(signal === 'SIGINT' ? 130 : 143);
      expect(existsSync(join(clone, '.kb_operations.lock'))).toBe(false);
      server.latencyMs = 0;
      expectNativeGitAgrees(clone, remote);
    },
  );

  it('waits for the holder, says so, and gives up in time with exit 6', async () => {
    const slow = await startSlowNote();
    const run = await kb(clone, ['note', 'impatient', '--lock-timeout', '600ms']);
    expect(run.code).toBe(6);
    expect(run.stderr).toContain(`pid ${slow.pid}`);
    expect((await slow.ended).code).toBe(0);
  });

  it("clears git's lock files that are old and nobody's, and leaves fresh ones", async () => {
    const [old, fresh] = [join(clone, '.git', 'index.lock'), join(clone, '.git', 'HEAD.lock')];
    for (const file of [old, fresh]) writeFileSync(file, '');
    const past = statSync(old).mtimeMs / 1000 - 11 * 60;
    utimesSync(old, past, past);
    expect((await kbOk(clone, ['unlock', '--json'])).json()).toMatchObject({
      removed: false,
      gitLocks: ['index.lock'],
    });
    expect([existsSync(old), existsSync(fresh)]).toEqual([false, true]);
  });

  it('runs, as every command in these tests does, where PATH leads to no program at all', () => {
    expect(spawnSync('git', ['--version'], { env: kbEnvironment() }).error).toMatchObject({ code: 'ENOENT' });
  });
});
