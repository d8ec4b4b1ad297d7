import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBareRepository, startGitServer, type GitServer } from '../support/http-backend.js';
import { entry, kb, kbEnvironment, kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/*
 * `kb note` asks its remote in a program of its own, before the rest of kb is loaded (src/cli/ask-first.ts). It must ask
 * no more than before, ask nothing where nothing is to be asked, and keep secrets and signals in mind all the same.
 */

const TOKEN = 'tok-5f2b9c71d0';

describe.skipIf(!nativeGit.available)('what kb note asks before it is loaded (needs native git)', () => {
  let place: string;
  let clone: string;
  let server: GitServer;

  beforeEach(async () => {
    place = makeTemporaryDirectory();
    createBareRepository(place, 'kb.git');
    git(place, ['clone', '--quiet', 'kb.git', 'seed']);
    writeFileSync(join(place, 'seed/first.md'), 'first\n');
    git(join(place, 'seed'), ['add', '.']);
    git(join(place, 'seed'), ['commit', '--quiet', '-m', 'first']);
    git(join(place, 'seed'), ['push', '--quiet', 'origin', 'HEAD:main']);
    git(join(place, 'kb.git'), ['symbolic-ref', 'HEAD', 'refs/heads/main']);
    server = await startGitServer({ root: place });
    await kbOk(place, ['clone', `${server.url}/kb.git`, 'clone']);
    clone = join(place, 'clone');
    server.reset();
  });

  afterEach(() => server.close());

  function moveRemote(name: string): void {
    const other = mkdtempSync(join(place, 'other-'));
    git(place, ['clone', '--quiet', 'kb.git', other]);
    writeFileSync(join(other, name), `${name}\n`);
    git(other, ['add', '.']);
    git(other, ['commit', '--quiet', '-m', name]);
    git(other, ['push', '--quiet', 'origin', 'HEAD:main']);
  }

  const asked = (): string[] =>
    server.requests.map(({ method, path }) => `${method} ${path.replace(/^\/kb\.git\//, '')}`);
  const LOOK = 'GET info/refs?service=git-receive-pack';

  it('is all that a note asks: two requests, three where the branch has moved, on one connection', async () => {
    await kbOk(clone, ['note', 'x', '--path', 'a.md']);
    expect(asked()).toEqual([LOOK, 'POST git-receive-pack']);
    moveRemote('b.md');
    server.reset();
    await kbOk(clone, ['note', 'y', '--path', 'c.md']);
    expect(asked()).toEqual([LOOK, 'POST git-upload-pack', 'POST git-receive-pack']);
    expect(server.connections).toBe(1);
    expect(git(join(place, 'kb.git'), ['ls-tree', '--name-only', 'main'])).toBe('a.md\nb.md\nc.md\nfirst.md\n');
    git(clone, ['fsck', '--strict']);
    expect(git(clone, ['status', '--porcelain'])).toBe('');
  });

  it.each([
    ['without settings', undefined],
    ['with a kb.yaml', 'notes:\n  dir: inbox\n'],
  ])('is asked before there is a text, or a lock: %s', async (_, settings) => {
    if (settings !== undefined) {
      writeFileSync(join(clone, 'kb.yaml'), settings);
      await kbOk(clone, ['sync']);
      server.reset();
    }
    const child = spawn(process.execPath, [entry, 'note', '--path', 'a.md', '-'], { cwd: clone, env: kbEnvironment() });
    const ended = once(child, 'close');
    while (server.requests.length === 0 && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect([asked(), existsSync(join(clone, '.kb_operations.lock'))]).toEqual([[LOOK], false]);
    child.stdin.end('the text');
    expect(await ended).toEqual([0, null]);
    expect(git(join(place, 'kb.git'), ['show', 'main:a.md'])).toContain('the text');
  });

  it('is asked of the KB that was named, also from elsewhere', async () => {
    for (const [at, args] of [['--kb', clone], [`--kb=${clone}`]].entries())
      await kbOk(place, ['note', 'x', '--path', `${at}.md`, ...args]);
    expect(asked()).toEqual([LOOK, 'POST git-receive-pack', LOOK, 'POST git-receive-pack']);
  });

  it.each([
    ['--no-pull', ['--no-pull']],
    ['--no-push', ['--dry-run', '--no-push']],
    ['--dry-run', ['--dry-run']],
    ['--help', ['--help']],
  ])('is nothing with %s', async (_, flags) => {
    await kbOk(clone, ['note', 'x', '--path', 'a.md', ...flags]);
    expect(asked()).toEqual([]);
  });

  it.each([
    ['KB_GIT_ENABLED', 'false'],
    ['KB_GIT_AUTO_PUSH', 'false'],
  ])('is nothing with %s=%s, or no more than the cycle itself asks', async (name, value) => {
    await kbOk(clone, ['note', 'x', '--path', 'a.md'], { env: { [name]: value } });
    expect(asked()).not.toContain(LOOK);
  });

  it('is asked again for another branch, and never pushed to the wrong one', async () => {
    await kbOk(clone, ['note', 'x', '--path', 'a.md'], { env: { SESSION_BRANCH: 'session-1' } });
    expect(git(join(place, 'kb.git'), ['ls-tree', '--name-only', 'main'])).toBe('first.md\n');
    expect(git(join(place, 'kb.git'), ['ls-tree', '--name-only', 'session-1'])).toBe('a.md\nfirst.md\n');
  });

  it('is nothing while somebody has the lock', async () => {
    const [held, go] = [join(place, 'held'), join(place, 'go')];
    const script = `require('fs').writeFileSync(${JSON.stringify(held)},'');
      setInterval(() => require('fs').existsSync(${JSON.stringify(go)}) && process.exit(), 20)`;
    const run = kbOk(clone, ['run', '--', process.execPath, '-e', script]);
    while (!existsSync(held)) await new Promise((resolve) => setTimeout(resolve, 20));
    server.reset();
    const note = kbOk(clone, ['note', 'x', '--path', 'a.md']);
    const queue = join(clone, '.git/kb/queue');
    // Queued: it has been loaded, and waits.
    while (!existsSync(queue) || readdirSync(queue).length === 0)
      await new Promise((resolve) => setTimeout(resolve, 20));
    expect(asked()).toEqual([]);
    writeFileSync(go, '');
    await Promise.all([run, note]);
    expect(git(join(place, 'kb.git'), ['ls-tree', '--name-only', 'main'])).toBe('a.md\nfirst.md\n');
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('is given up on %s', async (signal) => {
    server.faults = () => ({ kind: 'stall' });
    const started = performance.now();
    const { code, stderr } = await kb(clone, ['note', 'x', '--path', 'a.md'], {
      onStart: (pid) => {
        const poll = setInterval(() => {
          // The lock is held: all of kb is there, and waits for the answer in a moment.
          if (!existsSync(join(clone, '.kb_operations.lock'))) return;
          clearInterval(poll);
          setTimeout(() => process.kill(pid, signal), 500);
        }, 10);
      },
    });
    expect({ code, stderr }).toEqual({ code: signal === 'SIGINT' ? 130 : 143, stderr: expect.any(String) as string });
    // Without the signal it would wait for two minutes.
    expect(performance.now() - started).toBeLessThan(60_000);
    expect(existsSync(join(clone, '.kb_operations.lock'))).toBe(false);
    server.faults = undefined;
    await kbOk(clone, ['sync']);
    expect(git(clone, ['status', '--porcelain'])).toBe('');
  });

  it('fails as the cycle fails: the note is kept', async () => {
    await server.close();
    const { code, stderr } = await kb(clone, ['note', 'x', '--path', 'a.md']);
    expect(code).toBe(3);
    expect(stderr).toContain('saved locally');
    server = await startGitServer({ root: place });
    git(clone, ['config', 'remote.origin.url', `${server.url}/kb.git`]);
    await kbOk(clone, ['sync']);
    expect(git(join(place, 'kb.git'), ['ls-tree', '--name-only', 'main'])).toBe('a.md\nfirst.md\n');
  });

  it('is tried with credentials, which a message of the rest of kb does not tell either', async () => {
    await server.close();
    server = await startGitServer({ root: place, auth: { token: TOKEN } });
    git(clone, ['config', 'remote.origin.url', `${server.url}/kb.git`]);
    const wrong = await kb(clone, ['note', 'x', '--path', 'a.md'], { env: { KB_GIT_AUTH_TOKEN: 'wrong-one' } });
    expect(wrong.code).toBe(4);
    expect(wrong.stderr).toContain('KB_GIT_AUTH_TOKEN');
    expect(wrong.stderr).not.toContain('wrong-one');
    mkdirSync(join(place, 'kb.git/hooks'), { recursive: true });
    const hook = `#!/bin/sh\necho "you sent ${TOKEN}"\nexit 1\n`;
    writeFileSync(join(place, 'kb.git/hooks/pre-receive'), hook, { mode: 0o755 });
    // Read by what asks first, and by nothing else.
    writeFileSync(join(place, '.netrc'), `machine 127.0.0.1 login ann password ${TOKEN}\n`, { mode: 0o600 });
    const refused = await kb(clone, ['note', 'x', '--path', 'b.md'], { env: { HOME: place } });
    expect(refused.code).toBe(14);
    expect(refused.stderr).toContain('you sent ***');
    expect(refused.stderr + refused.stdout).not.toContain(TOKEN);
  });
});
