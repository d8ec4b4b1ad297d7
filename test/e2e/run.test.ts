import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { expectNativeGitAgrees, expectSound } from '../support/agree.js';
import { createBareRepository, startGitServer, type GitServer } from '../support/http-backend.js';
import { kb, kbOk, type KbRun } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const ENTRY = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const TOKEN = 'a-very-secret-token';

/** A command that needs nothing but Node. */
function js(code: string): string[] {
  return ['--', process.execPath, '-e', `const fs = require('node:fs'); ${code}`];
}

/** Code that calls kb, by its name without its path in the environment's way. */
function callKb(...args: string[]): string {
  const command = JSON.stringify([ENTRY, ...args]);
  return `{ const r = require('node:child_process').spawnSync(process.execPath, ${command}, { encoding: 'utf8' });
    if (r.status !== 0) { console.error(r.stderr); process.exit(r.status); } }`;
}

describe.skipIf(!nativeGit.available)('kb run (needs native git)', () => {
  const root = makeTemporaryDirectory();
  let server: GitServer;
  let number = 0;
  let remote: string;
  let clone: string;
  const env = { KB_GIT_AUTH_TOKEN: TOKEN };

  beforeAll(async () => {
    server = await startGitServer({ root, auth: { token: TOKEN } });
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    number += 1;
    remote = createBareRepository(root, `remote${number}.git`);
    clone = join(root, `clone${number}`);
    await kbOk(root, ['clone', `${server.url}/remote${number}.git`, clone], { env });
    await kbOk(clone, ['note', '--path', 'one.md', '--no-frontmatter', 'first'], { env });
    server.reset();
  });
  afterEach(() => {
    server.faults = undefined;
    expect(git(clone, ['for-each-ref', 'refs/kb/run'])).toBe('');
    expect(existsSync(join(clone, '.kb_operations.lock'))).toBe(false);
    expectSound(clone);
    expectSound(remote);
  });

  const run = (args: readonly string[], options: Parameters<typeof kb>[2] = {}): Promise<KbRun> =>
    kb(clone, ['run', ...args], { ...options, env: { ...env, ...options.env } });
  const onRemote = (path: string): string => git(remote, ['show', `main:${path}`]);
  const appear = async (file: string): Promise<void> => {
    await expect.poll(() => existsSync(file), { timeout: 20_000 }).toBe(true);
  };

  it('lands what the command changed, with its output untouched and one line on stderr', async () => {
    const done = await run(js("fs.appendFileSync('one.md', 'more\\n'); console.log('out'); console.error('err')"));
    expect([done.code, done.stdout]).toEqual([0, 'out\n']);
    expect(done.stderr).toMatch(/^err\n✓ main [0-9a-f]{10} landed: 1 file, \+1 −0 \([^)]+\)\n$/);
    expect(onRemote('one.md')).toBe('first\nmore\n');
    expectNativeGitAgrees(clone, remote);
  });

  it('needs one request to pull and two to push, and one when nothing changed', async () => {
    await run(js("fs.writeFileSync('two.md', 'x')"));
    expect(server.requests.length).toBe(3);
    server.reset();
    await run(js(''));
    expect(server.requests.length).toBe(1);
  });

  it('prints one JSON object, and what the command prints to stderr', async () => {
    const done = await run(['--json', ...js("fs.renameSync('one.md', 'two.md'); console.log('out')")]);
    expect(done.stderr).toBe('out\n');
    expect(done.json()).toEqual({
      ok: true,
      result: 'landed',
      branch: 'main',
      commit: git(remote, ['rev-parse', 'main']).trim(),
      landed: true,
      child: { exitCode: 0, signal: null, durationMs: expect.any(Number) as number },
      changes: [{ path: 'two.md', kind: 'renamed', from: 'one.md', added: 0, deleted: 0 }],
      left: [],
      merged: [],
      requests: expect.any(Number) as number,
      waitedMs: expect.any(Number) as number,
      durationMs: expect.any(Number) as number,
    });
  });

  it('passes the exit code of a failed command on, and tells kb’s outcome and the command’s apart', async () => {
    const done = await run(['--json', ...js("fs.writeFileSync('two.md', 'x'); process.exit(42)")]);
    expect(done.code).toBe(42);
    const stash = git(clone, ['for-each-ref', '--format=%(refname)', 'refs/kb/stash']).trim();
    expect(done.json()).toMatchObject({
      ok: false,
      error: {
        code: 'E_COMMAND',
        exitCode: 42,
        hint: `get it back with: kb restore ${stash}`,
        details: {
          child: { exitCode: 42, signal: null },
          stash,
          changes: [{ path: 'two.md', kind: 'added', added: 1, deleted: 0 }],
        },
      },
    });
    expectNativeGitAgrees(clone, remote);
    await kbOk(clone, ['restore', stash], { env });
    await kbOk(clone, ['sync'], { env });
    expect(onRemote('two.md')).toBe('x');
  });

  it.each<[string, readonly string[], number]>([
    ['no command', [], 2],
    ['no command after the dashes', ['--'], 2],
    ['no dashes before the command', [process.execPath, '-v'], 2],
    ['an unknown flag', ['--bogus', '--', 'x'], 2],
    ['a session branch that is not checked out', ['--session-branch', 'x', '--', 'x'], 7],
    ['a timeout that is none', ['--timeout', 'soon', '--', 'x'], 2],
    ['a rate limit that is none', ['--rate-limit', '5', '--', 'x'], 2],
    ['a folder outside', ['--cwd', '..', '--', 'x'], 2],
    ['KB_TOPICS_ONLY without topics', ['--topics-only', '--', 'x'], 2],
    ['no such program', ['--', 'no-such-program'], 127],
  ])('refuses %s', async (_, args, code) => {
    const before = git(remote, ['rev-parse', 'main']);
    const done = await run(['--json', ...args]);
    expect([done.code, done.json()]).toMatchObject([code, { ok: false, error: { exitCode: code } }]);
    expect(git(remote, ['rev-parse', 'main'])).toBe(before);
  });

  it('kb inside of it works under the same lock, also in a run inside of the run', async () => {
    const inner = ['run', ...js(`fs.writeFileSync('inner.md', 'x'); ${callKb('note', '--path', 'deepest.md', 'x')}`)];
    const done = await run(
      js(`fs.writeFileSync('outer.md', 'x'); ${callKb('note', '--path', 'noted.md', 'x')} ${callKb(...inner)}`),
    );
    expect([done.code, done.stderr]).toEqual([0, expect.stringContaining('landed: 1 file')]);
    expect(git(remote, ['log', '--format=%s', '-4', 'main'])).toBe(
      'Run node: Add outer.md\nRun node: Add inner.md\nAdd deepest.md\nAdd noted.md\n',
    );
    expectNativeGitAgrees(clone, remote);
  });

  it('others wait, and come in when it is done', async () => {
    const go = join(root, `go${number}`);
    const running = run(
      js(
        `fs.writeFileSync('run.md', 'x'); while (!fs.existsSync(${JSON.stringify(go)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)`,
      ),
    );
    await appear(join(clone, 'run.md'));
    const refused = await kb(clone, ['note', '--lock-timeout', '300ms', '--json', 'no'], { env });
    expect(refused.json()).toMatchObject({
      error: { code: 'E_LOCK_TIMEOUT', message: expect.stringContaining('kb run') as string },
    });
    const note = kbOk(clone, ['note', '--path', 'note.md', 'x'], { env });
    writeFileSync(go, '');
    expect([(await running).code, (await note).code]).toEqual([0, 0]);
    expectNativeGitAgrees(clone, remote);
  });

  it('KB_GIT_AUTH_TOKEN reaches the command only where kb has it, and the lock’s token nobody else', async () => {
    const done = await run(js("fs.writeFileSync('env.md', Object.keys(process.env).sort().join(' '))"), {
      env: { KB_GIT_AUTH_TOKEN: undefined },
    });
    expect(done.code).toBe(4); // this KB cannot be pulled without it
    await run(
      js("fs.writeFileSync('env.md', Object.keys(process.env).filter((n) => /^KB_/.test(n)).sort().join(' '))"),
    );
    expect(onRemote('env.md')).toBe('KB_GIT_AUTH_TOKEN KB_LOCK_TOKEN KB_PATH');
    expect(JSON.stringify(readFileSync(join(clone, '.git/config'), 'utf8'))).not.toContain(TOKEN);
  });

  describe('signals', () => {
    const BUSY = "fs.writeFileSync('busy.md', 'x'); setTimeout(() => process.exit(99), 60_000);";
    async function startBusy(
      code: string,
      args: readonly string[] = [],
    ): Promise<{ pid: number; ended: Promise<KbRun> }> {
      let pid = 0;
      const ended = run([...args, '--json', ...js(code)], { onStart: (started) => (pid = started) });
      await appear(join(clone, 'busy.md'));
      return { pid, ended };
    }

    it.each([
      ['SIGINT', 130, 'E_INTERRUPTED', 'SIGINT'],
      ['SIGTERM', 143, 'E_TERMINATED', 'SIGTERM'],
      ['SIGHUP', 143, 'E_TERMINATED', 'SIGTERM'],
    ] as const)('%s ends the command, its changes are saved, exit code %d', async (signal, code, name, sent) => {
      const { pid, ended } = await startBusy(BUSY);
      process.kill(pid, signal);
      const done = await ended;
      expect(done.code).toBe(code);
      expect(done.json()).toMatchObject({
        error: { code: name, details: { child: { signal: sent }, stash: expect.any(String) as string } },
      });
      expect(git(clone, ['status', '--porcelain'])).toBe('');
    });

    it('a second one ends a command that does not listen at once', async () => {
      const { pid, ended } = await startBusy(`process.on('SIGINT', () => fs.writeFileSync('heard.md', 'x')); ${BUSY}`);
      process.kill(pid, 'SIGINT');
      await appear(join(clone, 'heard.md'));
      const start = performance.now();
      process.kill(pid, 'SIGINT');
      const done = await ended;
      expect(performance.now() - start).toBeLessThan(8000); // less than the time that it would be given
      expect([done.code, done.json()]).toMatchObject([130, { error: { details: { child: { signal: 'SIGKILL' } } } }]);
      expect(git(clone, ['status', '--porcelain'])).toBe('');
    });

    it('a command that makes good use of the time it is given is still not committed', async () => {
      const { pid, ended } = await startBusy(
        `process.on('SIGTERM', () => { fs.writeFileSync('last.md', 'x'); process.exit(0); }); ${BUSY}`,
      );
      process.kill(pid, 'SIGTERM');
      const done = await ended;
      expect([done.code, done.json()]).toMatchObject([
        143,
        { error: { details: { child: { exitCode: 0 }, changes: [{ path: 'busy.md' }, { path: 'last.md' }] } } },
      ]);
    });

    it('--timeout: exit code 124', async () => {
      const done = await run(['--timeout', '300ms', '--json', ...js(BUSY)]);
      expect([done.code, done.json()]).toMatchObject([124, { error: { code: 'E_TIMEOUT' } }]);
      expect(git(clone, ['status', '--porcelain'])).toBe('');
    });

    it.skipIf(process.platform !== 'linux')(
      'kill -9: the lock stays as long as the command lives; what it changed stays in the files (needs /proc)',
      async () => {
        const go = join(root, `go${number}`);
        const { pid, ended } = await startBusy(
          `${BUSY} setInterval(() => { if (fs.existsSync(${JSON.stringify(go)})) { fs.writeFileSync('late.md', 'x'); process.exit(0); } }, 20)`,
        );
        process.kill(pid, 'SIGKILL');
        const refused = await kb(clone, ['note', '--lock-timeout', '1500ms', '--json', 'no'], { env });
        expect(refused.json()).toMatchObject({ error: { code: 'E_LOCK_TIMEOUT' } });
        expect((await kb(clone, ['unlock', '--json'])).code).toBe(6);
        const status = (await kbOk(clone, ['status', '--json'], { env })).json();
        expect(status['lock']).toMatchObject({ held: true, stale: false, holder: { pid } });
        writeFileSync(go, '');
        expect((await ended).signal).toBe('SIGKILL'); // told only now: the command has kb's stderr open
        const note = await kbOk(clone, ['note', '--path', 'note.md', '--json', 'x'], { env });
        expect(note.json()['warnings']).toEqual([
          expect.stringContaining('was interrupted; its changes are left in the files'),
        ]);
        expect(git(clone, ['status', '--porcelain'])).toBe('?? busy.md\n?? late.md\n');
        await kbOk(clone, ['sync'], { env });
        expectNativeGitAgrees(clone, remote);
      },
    );

    it('unlock --force ends it: exit code 11, nothing is pushed, and what it changed stays in the files', async () => {
      const before = git(remote, ['rev-parse', 'main']);
      const { ended } = await startBusy(BUSY);
      const { lock } = (await kbOk(clone, ['status', '--json'], { env })).json() as {
        lock: { holder: { id: string } };
      };
      await kbOk(clone, ['unlock', '--force', '--id', lock.holder.id]);
      const done = await ended;
      expect([done.code, done.json()]).toMatchObject([
        11,
        { error: { code: 'E_LOCK_LOST', details: { child: { signal: 'SIGTERM' } } } },
      ]);
      expect(git(remote, ['rev-parse', 'main'])).toBe(before);
      expect(git(clone, ['status', '--porcelain'])).toContain('?? busy.md');
      await kbOk(clone, ['sync'], { env });
      expectNativeGitAgrees(clone, remote);
    });
  });

  describe('a remote that goes wrong', () => {
    const change = js("fs.appendFileSync('one.md', 'more\\n')");

    it('lands once, also when the reply to the push is lost', async () => {
      let lost = 0;
      server.faults = ({ path, method }) =>
        method === 'POST' && path.endsWith('git-receive-pack') && (lost += 1) === 1
          ? { kind: 'lose-reply' }
          : undefined;
      const done = await run(['--json', ...change]);
      expect(done.json()).toMatchObject({ ok: true, result: 'landed' });
      expect(lost).toBeGreaterThan(0);
      expect(git(remote, ['rev-list', '--count', 'main']).trim()).toBe('2');
      expectNativeGitAgrees(clone, remote);
    });

    it('keeps the commit when it is away, exit code 3, and the next sync lands it', async () => {
      const url = git(clone, ['config', 'remote.origin.url']).trim();
      git(clone, ['config', 'remote.origin.url', 'http://127.0.0.1:1/x.git']);
      const done = await run(['--json', ...change]);
      git(clone, ['config', 'remote.origin.url', url]);
      expect([done.code, done.json()]).toMatchObject([
        3,
        {
          error: {
            code: 'E_NETWORK',
            details: { saved: git(clone, ['rev-parse', 'HEAD']).trim(), child: { exitCode: 0 } },
          },
        },
      ]);
      await kbOk(clone, ['sync'], { env });
      expect(onRemote('one.md')).toBe('first\nmore\n');
      expectNativeGitAgrees(clone, remote);
    });
  });

  it('against a repository in a directory', async () => {
    await kbOk(root, ['clone', remote, `local${number}`]);
    const local = join(root, `local${number}`);
    const done = await kb(local, [
      'run',
      '--message',
      'By hand',
      '--author',
      'Ben <ben@example.com>',
      ...js("fs.writeFileSync('two.md', 'x')"),
    ]);
    expect(done.code).toBe(0);
    expect(git(remote, ['log', '-1', '--format=%an %s', 'main'])).toBe('Ben By hand\n');
    expectNativeGitAgrees(local, remote);
  });
});
