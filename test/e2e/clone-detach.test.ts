import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startGitServer, type GitServer } from '../support/http-backend.js';
import { kb, kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const TOKEN = 'a-very-secret-token';

describe.skipIf(!nativeGit.available)('a clone in the background (needs native git)', () => {
  const repositories = makeTemporaryDirectory();
  let server: GitServer;
  let root: string;
  let url: string;

  beforeAll(async () => {
    const work = makeTemporaryDirectory();
    git(work, ['init', '--quiet']);
    mkdirSync(join(work, 'notes'));
    for (let number = 0; number < 20; number += 1) writeFileSync(join(work, `notes/${number}.md`), `${number}\n`);
    git(work, ['add', '.']);
    git(work, ['commit', '--quiet', '-m', 'all']);
    git(repositories, ['clone', '--quiet', '--bare', work, 'team.git']);
    server = await startGitServer({ root: repositories, auth: { token: TOKEN } });
    url = server.url.replace('http://', `http://x:${TOKEN}@`) + '/team.git';
  });
  afterAll(() => server.close());
  beforeEach(() => {
    root = makeTemporaryDirectory();
    server.reset();
    // Slow enough to be looked at while it clones.
    server.latencyMs = 1200;
  });
  afterEach(() => {
    server.faults = () => undefined;
  });

  async function detach(): Promise<void> {
    const run = await kbOk(root, ['clone', '--detach', url, 'team', '--json']);
    expect(run.json()).toMatchObject({ ok: true, status: 'cloning', dir: join(root, 'team'), head: null });
  }

  async function cloning(): Promise<{ state: string; pid: number }> {
    const { cloning: found } = (await kbOk(root, ['status', '--kb', 'team', '--json'])).json();
    return found as { state: string; pid: number };
  }

  /** The server stays silent, so that the clone goes on for as long as the test likes. */
  function stall(): void {
    server.faults = () => ({ kind: 'stall' });
  }

  it('returns at once; status shows how far it is, and --wait ends when it ends', async () => {
    await detach();
    const status = await kbOk(root, ['status', '--kb', 'team', '--json']);
    expect(status.json()).toMatchObject({
      initialized: false,
      dir: join(root, 'team'),
      cloning: { state: 'running', phase: expect.any(String) as string, done: 0, total: 0, bytes: 0, error: null },
    });
    const inside = join(root, 'team');
    expect((await kbOk(inside, ['status', '--porcelain'])).stdout).toBe('cloning\n');
    expect((await kbOk(inside, ['status'])).stdout).toMatch(/^cloning into .*\n.*wait for it: kb clone --wait\n$/);
    const check = await kb(inside, ['status', '--check', '--json']);
    expect(check.code).toBe(10);
    expect(check.json()).toMatchObject({ error: { code: 'E_UNHEALTHY', details: { status: { initialized: false } } } });

    const waited = await kbOk(inside, ['clone', '--wait', '--json']);
    expect(waited.json()).toMatchObject({ ok: true, status: 'cloned', fileCount: 20, branch: 'main' });
    expect(readdirSync(inside).sort()).toEqual(['.git', 'notes']);
    expect(git(inside, ['status', '--porcelain', '--ignored'])).toBe('');
    expect((await kbOk(inside, ['clone', '--wait', '--json'])).json()).toMatchObject({ status: 'already_cloned' });
  });

  it('an edit meanwhile goes nowhere, not even into a KB around it, and says what to wait for', async () => {
    git(root, ['init', '--quiet']);
    stall();
    await detach();
    const { pid } = await cloning();
    const inside = join(root, 'team');
    for (const [directory, args, hint] of [
      [root, ['--kb', inside], `kb clone --wait --kb ${inside}`],
      [inside, [], 'kb clone --wait'],
    ] as const) {
      const run = await kb(directory, ['note', ...args, 'lost?', '--json']);
      expect(run.code).toBe(8);
      expect(run.json()).toMatchObject({ error: { code: 'E_NO_KB', hint: expect.stringContaining(hint) as string } });
    }
    expect((await kb(join(root, 'team'), ['sync'])).code).toBe(8);
    process.kill(pid, 'SIGKILL');
  });

  it('others who want the same join it: one clone is made', async () => {
    await detach();
    const runs = await Promise.all([
      kb(root, ['clone', '--detach', url, 'team', '--json']),
      kb(root, ['clone', '--wait', url, 'team', '--json']),
      kb(root, ['clone', url, 'team', '--json']),
      kb(root, ['clone', '--wait', '--kb', 'team', '--json']),
    ]);
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    expect(runs.map((run) => run.json()['status'])).toEqual(['cloning', 'cloned', 'already_cloned', 'cloned']);
    // Where the branch is, and the pack.
    expect(server.requests.filter(({ method, status }) => method === 'POST' && status === 200)).toHaveLength(2);
    const other = await kb(root, ['clone', '--detach', `${server.url}/other.git`, 'team', '--json']);
    expect(other.code).toBe(8);
  });

  it('how it failed is kept for --wait and status, until the next clone', async () => {
    server.faults = () => ({ kind: 'status', status: 403 });
    await detach();
    const waited = await kb(root, ['clone', '--wait', '--kb', 'team', '--json']);
    expect(waited.code).toBe(4);
    expect(waited.json()).toMatchObject({
      error: { code: 'E_AUTH', hint: expect.stringContaining('kb clone') as string },
    });
    const status = await kbOk(root, ['status', '--kb', 'team', '--json']);
    expect(status.json()).toMatchObject({
      initialized: false,
      cloning: { state: 'failed', error: { code: 'E_AUTH' } },
    });
    expect(readdirSync(join(root, 'team'))).toEqual(['.kb_clone_progress.json']);
    const note = await kb(root, ['note', '--kb', 'team', 'x', '--json']);
    expect(note.json()).toMatchObject({
      error: { code: 'E_NO_KB', message: expect.stringMatching(/failed: /) as string },
    });
    server.faults = () => undefined;
    expect((await kbOk(root, ['clone', url, 'team', '--json'])).json()).toMatchObject({ status: 'cloned' });
    expect(readdirSync(join(root, 'team')).sort()).toEqual(['.git', 'notes']);
  });

  it('killed, it is restarted by the next clone', async () => {
    stall();
    await detach();
    const { pid } = await cloning();
    process.kill(pid, 'SIGKILL');
    for (let tries = 0; (await cloning()).state === 'running' && tries < 20; tries += 1) await sleep(100);
    expect((await cloning()).state).toBe('interrupted');
    const waited = await kb(root, ['clone', '--wait', '--kb', 'team', '--json']);
    expect(waited.json()).toMatchObject({ error: { code: 'E_INTERRUPTED', exitCode: 130 } });
    server.faults = () => undefined;
    await detach();
    expect((await kbOk(root, ['clone', '--wait', url, 'team', '--json'])).json()).toMatchObject({ status: 'cloned' });
    expect(readdirSync(join(root, 'team')).sort()).toEqual(['.git', 'notes']);
  });

  it('terminated, it clears up and says so', async () => {
    stall();
    await detach();
    const { pid } = await cloning();
    await sleep(700);
    process.kill(pid, 'SIGTERM');
    const waited = await kb(root, ['clone', '--wait', '--kb', 'team', '--json']);
    expect(waited.code).toBe(143);
    expect(readdirSync(join(root, 'team'))).toEqual(['.kb_clone_progress.json']);
  });

  it.skipIf(!existsSync('/proc/self/cmdline'))(
    'keeps the token out of its arguments and its record (needs /proc)',
    async () => {
      stall();
      await detach();
      const { pid } = await cloning();
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toMatch(/clone\0--background\0$/);
      expect(readFileSync(join(root, 'team/.kb_clone_progress.json'), 'utf8')).not.toContain(TOKEN);
      process.kill(pid, 'SIGKILL');
    },
  );

  it('says at once what is wrong with the request', async () => {
    mkdirSync(join(root, 'taken'));
    writeFileSync(join(root, 'taken/file'), '');
    expect((await kb(root, ['clone', '--detach', url, 'taken', '--json'])).code).toBe(8);
    expect((await kb(root, ['clone', '--detach', url, 'team', '--timeout', 'never', '--json'])).code).toBe(2);
    expect((await kb(root, ['clone', '--detach', '--wait', url, 'team', '--json'])).code).toBe(2);
    expect((await kb(root, ['clone', '--wait', '--json'])).code).toBe(8);
    expect((await kb(root, ['clone', '--background', '--json'])).code).toBe(2);
    expect(readdirSync(root)).toEqual(['taken']);
  });
});
