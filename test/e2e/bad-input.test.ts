import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { expectSound } from '../support/agree.js';
import { createBareRepository, startGitServer, type Fault, type GitServer } from '../support/http-backend.js';
import { kb, kbOk, type KbOptions } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const TOKEN = 'a-very-secret-token';

describe.skipIf(!nativeGit.available)(
  'bad input: its exit code, a message, a hint, and nothing changed (needs native git)',
  () => {
    const root = makeTemporaryDirectory();
    let server: GitServer;
    let name = 0;
    let remote: string;
    let clone: string;

    beforeAll(async () => {
      server = await startGitServer({ root, auth: { token: TOKEN } });
    });
    afterAll(() => server.close());

    beforeEach(async () => {
      name += 1;
      remote = createBareRepository(root, `remote${name}.git`);
      server.faults = undefined;
      await kbOk(root, ['clone', `${server.url}/remote${name}.git`, `clone${name}`], {
        env: { KB_GIT_AUTH_TOKEN: TOKEN },
      });
      clone = join(root, `clone${name}`);
      await run(['note', '--path', 'one.md', '--no-frontmatter', 'first']);
      server.reset();
    });
    afterEach(() => {
      server.faults = undefined;
    });

    const withToken = { KB_GIT_AUTH_TOKEN: TOKEN };
    const run = (args: readonly string[], options: KbOptions = {}): ReturnType<typeof kbOk> =>
      kbOk(clone, args, { ...options, env: { ...withToken, ...options.env } });

    /** Runs a command that must fail, and checks all that the contract says of errors. */
    async function expectRefusal(
      args: readonly string[],
      code: string,
      exitCode: number,
      options: KbOptions & { directory?: string; saved?: boolean } = {},
    ): Promise<{ message: string; hint: string; details: Record<string, unknown> }> {
      const before = options.saved === true ? undefined : stateOf(clone, remote);
      const env = { ...withToken, ...options.env };
      const json = await kb(options.directory ?? clone, [...args, '--json'], { ...options, env });
      expect(json.json()).toMatchObject({
        ok: false,
        error: {
          code,
          exitCode,
          message: expect.stringMatching(/\S/) as string,
          hint: expect.stringMatching(/\S/) as string,
        },
      });
      expect(json.code).toBe(exitCode);
      expect(json.stdout + json.stderr).not.toContain(TOKEN);
      if (before !== undefined) expect(stateOf(clone, remote)).toEqual(before);
      expect(existsSync(join(clone, '.kb_operations.lock'))).toBe(false);
      return (json.json() as { error: { message: string; hint: string; details: Record<string, unknown> } }).error;
    }

    describe('on the command line', () => {
      it.each<[string, readonly string[], KbOptions?]>([
        ['an unknown flag', ['note', '--bogus', 'text']],
        ['an unknown command', ['nope']],
        ['an empty note', ['note', '   ']],
        ['nothing on standard input', ['note'], { input: '' }],
        ['text that is no UTF-8', ['note'], { input: Buffer.from([0x66, 0xff, 0xfe]) }],
        ['two sources of text', ['note', '--file', 'one.md', 'words']],
        ['a path outside the KB', ['note', '--path', '../out.md', 'x']],
        ['an absolute path', ['note', '--path', '/tmp/out.md', 'x']],
        ['a path into .git', ['note', '--path', '.git/hooks/post-checkout', 'x']],
        ['a path into .git by another spelling', ['note', '--path', '.GIT/config', 'x']],
        ['a path into .git through an invisible character', ['note', '--path', '.g\u200cit/config', 'x']],
        ['the path of the lock', ['note', '--path', '.kb_operations.lock', 'x']],
        ['a path that is taken', ['note', '--path', 'one.md', 'x']],
        ['a note to append to that is not there', ['note', '--append', 'none.md', 'x']],
        ['a template that is not there', ['note', '--template', 'none', 'x']],
        ['flags that exclude each other', ['note', '--daily', '--append', 'one.md', 'x']],
        ['an id with blanks', ['note', '--id', 'a b', 'x']],
        ['an author without an address', ['note', '--author', 'Ann', 'x']],
        ['a duration that is none', ['note', '--lock-timeout', 'soon', 'x']],
        ['a depth that is none', ['clone', 'x', '--depth', '0']],
        ['an ssh URL with a password', ['clone', 'ssh://git:secret@example.invalid/x.git']],
        ['an ssh URL that would be an option', ['clone', 'ssh://-oProxyCommand=id/x.git']],
        ['a URL that would be an option', ['clone', '--upload-pack=x']],
        ['no identity', ['note', 'x'], { env: { GIT_AUTHOR_NAME: undefined, GIT_AUTHOR_EMAIL: undefined } }],
      ])('%s is exit 2', async (_, args, options) => {
        await expectRefusal(args, 'E_USAGE', 2, options);
      });

      it('no KB is exit 8', async () => {
        await expectRefusal(['note', 'x'], 'E_NO_KB', 8, { directory: makeTemporaryDirectory() });
        await expectRefusal(['note', 'x', '--kb', 'unknown-name'], 'E_NO_KB', 8, {
          directory: makeTemporaryDirectory(),
        });
      });

      it('a URL behind -- that would be an option is exit 2', async () => {
        const result = await kb(clone, ['clone', '--', '--upload-pack=x'], { env: withToken });
        expect([result.code, result.stderr]).toEqual([2, expect.stringContaining('cannot begin with "-"')]);
      });

      it('prints message and hint as two plain lines without --json', async () => {
        const result = await kb(clone, ['note', '--path', 'one.md', 'x'], { env: withToken });
        expect(result.stdout).toBe('');
        expect(result.stderr).toMatch(/^kb: there is a file at one\.md already\n\S[^\n]+\n$/);
      });
    });

    describe('in the KB', () => {
      it('a path through a symlink is refused', async () => {
        const outside = makeTemporaryDirectory();
        symlinkSync(outside, join(clone, 'link'));
        await expectRefusal(['note', '--path', 'link/x.md', 'x'], 'E_UNSAFE_STATE', 7);
        expect(readdirSync(outside)).toEqual([]);
      });

      it('a detached HEAD is exit 7', async () => {
        git(clone, ['checkout', '--quiet', '--detach']);
        await expectRefusal(['note', 'x'], 'E_UNSAFE_STATE', 7);
        await expectRefusal(['sync'], 'E_UNSAFE_STATE', 7);
      });

      it('a file in the way is exit 7 and keeps its bytes', async () => {
        await elsewhere('other.md', 'from elsewhere');
        writeFileSync(join(clone, 'other.md'), 'mine');
        const { message } = await expectRefusal(['note', 'x'], 'E_UNSAFE_STATE', 7, { saved: true });
        expect(message).toContain('other.md');
        expect(readFileSync(join(clone, 'other.md'), 'utf8')).toBe('mine');
      });

      it('a dirty note to append to is exit 7', async () => {
        writeFileSync(join(clone, 'one.md'), 'being edited');
        await expectRefusal(['note', '--append', 'one.md', 'x'], 'E_UNSAFE_STATE', 7);
      });

      it.each([
        ['a merge', 'MERGE_HEAD'],
        ['a cherry-pick', 'CHERRY_PICK_HEAD'],
        ['a revert', 'REVERT_HEAD'],
      ])('%s of native git in progress is exit 7', async (_, file) => {
        writeFileSync(join(clone, '.git', file), git(clone, ['rev-parse', 'HEAD']));
        await expectRefusal(['note', 'x'], 'E_UNSAFE_STATE', 7);
        await expectRefusal(['sync'], 'E_UNSAFE_STATE', 7);
      });

      it('a rebase of native git in progress is exit 7', async () => {
        mkdirSync(join(clone, '.git', 'rebase-merge'));
        await expectRefusal(['note', 'x'], 'E_UNSAFE_STATE', 7);
      });

      it('index.lock held is exit 7, and is not removed', async () => {
        writeFileSync(join(clone, '.git', 'index.lock'), '');
        await expectRefusal(['note', 'x'], 'E_UNSAFE_STATE', 7);
        expect(existsSync(join(clone, '.git', 'index.lock'))).toBe(true);
      });

      it('a tracked lock path is exit 7', async () => {
        git(clone, [
          'update-index',
          '--add',
          '--cacheinfo',
          `100644,${git(clone, ['rev-parse', 'HEAD:one.md']).trim()},.kb_operations.lock`,
        ]);
        git(clone, ['commit', '--quiet', '-m', 'plant']);
        await expectRefusal(['note', 'x'], 'E_UNSAFE_STATE', 7);
      });

      it.each([
        ['a wrong type', 'notes: 7\n'],
        ['an unknown key', 'nots:\n  dir: x\n'],
        ['a command', 'exec: rm -rf /\n'],
        ['a secret', 'token: abc\n'],
        ['broken YAML', 'a: [\n'],
        ['a folder outside', 'notes:\n  dir: ../..\n'],
      ])('a kb.yaml with %s is exit 2 and names the file', async (_, text) => {
        writeFileSync(join(clone, 'kb.yaml'), text);
        const { message } = await expectRefusal(['note', 'x'], 'E_USAGE', 2);
        expect(message).toContain('kb.yaml');
      });

      it('an invalid variable is exit 2 and names it', async () => {
        const { message } = await expectRefusal(['note', 'x'], 'E_USAGE', 2, { env: { KB_GIT_AUTO_PUSH: 'maybe' } });
        expect(message).toContain('KB_GIT_AUTO_PUSH');
      });

      it.skipIf(process.getuid?.() !== 0)(
        'a read-only directory is exit 9 (needs root to become another user)',
        async () => {
          // root may write anywhere; a bind-mounted read-only volume is the same for everybody
          const { spawnSync } = await import('node:child_process');
          const script = `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && cd "$1" && exec "$2" "$3" note x --json`;
          const entry = new URL('../../bin/run.js', import.meta.url).pathname;
          const before = stateOf(clone, remote);
          const result = spawnSync('unshare', ['--mount', 'sh', '-c', script, 'sh', clone, process.execPath, entry], {
            encoding: 'utf8',
            env: { ...process.env, ...withToken, HOME: root, GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@b' },
          });
          expect(JSON.parse(result.stdout)).toMatchObject({ ok: false, error: { code: 'E_STORAGE', exitCode: 9 } });
          expect(result.status).toBe(9);
          expect(stateOf(clone, remote)).toEqual(before);
        },
      );

      it.skipIf(process.getuid?.() !== 0)('a full disk is exit 9 (needs root to mount a small volume)', async () => {
        const { spawnSync } = await import('node:child_process');
        const volume = makeTemporaryDirectory();
        if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', volume]).status !== 0)
          throw new Error('cannot mount a tmpfs');
        try {
          await kbOk(volume, ['clone', `${server.url}/remote${name}.git`, 'kb'], { env: withToken });
          const full = join(volume, 'kb');
          writeFileSync(join(volume, 'ballast'), fillOf(volume));
          const head = git(full, ['rev-parse', 'HEAD']);
          const tip = git(remote, ['rev-parse', 'main']);
          const incompressible = randomBytes(60_000).toString('base64');
          const result = await kb(full, ['note', '--title', 'big', '--json'], {
            env: withToken,
            input: incompressible,
          });
          expect(result.json()).toMatchObject({ ok: false, error: { code: 'E_STORAGE', exitCode: 9 } });
          expect(git(full, ['rev-parse', 'HEAD'])).toBe(head);
          expect(git(remote, ['rev-parse', 'main'])).toBe(tip);
          expectSound(full);
          // A clone onto it leaves nothing behind.
          const second = await kb(volume, ['clone', `${server.url}/remote${name}.git`, 'second', '--json'], {
            env: withToken,
          });
          expect(second.code).toBe(9);
          expect(existsSync(join(volume, 'second'))).toBe(false);
        } finally {
          spawnSync('umount', [volume]);
        }
      });
    });

    describe('at the remote', () => {
      it('a wrong token is exit 4 and names the sources that were tried', async () => {
        const { message, hint } = await expectRefusal(['note', 'x'], 'E_AUTH', 4, {
          env: { KB_GIT_AUTH_TOKEN: 'not-the-right-one' },
        });
        expect(message + hint).toContain('KB_GIT_AUTH_TOKEN');
        expect(message + hint).not.toContain('not-the-right-one');
      });

      it('no token is exit 4', async () => {
        await expectRefusal(['note', 'x'], 'E_AUTH', 4, { env: { KB_GIT_AUTH_TOKEN: undefined } });
      });

      it.each([
        [401, 'E_AUTH', 4],
        [403, 'E_AUTH', 4],
        [404, 'E_AUTH', 4],
      ] as const)('status %i is %s', async (status, code, exitCode) => {
        server.faults = () => ({ kind: 'status', status });
        await expectRefusal(['note', 'x'], code, exitCode);
        await expectRefusal(['sync'], code, exitCode);
      });

      it.each<[string, Fault]>([
        ['status 429', { kind: 'status', status: 429 }],
        ['status 429 with a time to come back', { kind: 'status', status: 429, headers: { 'retry-after': '3600' } }],
        ['status 500', { kind: 'status', status: 500 }],
        ['status 503', { kind: 'status', status: 503 }],
        ['a connection that is cut', { kind: 'reset' }],
        ['a reply that is cut', { kind: 'cut', at: 30 }],
        ['a reply of other bytes', { kind: 'status', status: 200, body: '<html>hello</html>' }],
      ])('%s is exit 3, and the note is saved and lands with the next sync', async (_, fault) => {
        server.faults = () => fault;
        const tip = git(remote, ['rev-parse', 'main']);
        const { details } = await expectRefusal(['note', 'saved for later'], 'E_NETWORK', 3, { saved: true });
        expect(details['saved']).toBe(git(clone, ['rev-parse', 'HEAD']).trim());
        expect(git(remote, ['rev-parse', 'main'])).toBe(tip);
        expect(git(clone, ['status', '--porcelain'])).toBe('');
        expectSound(clone);
        server.faults = undefined;
        expect((await run(['sync', '--json'])).json()).toMatchObject({ result: 'pushed', pushed: 1 });
        expect(
          git(remote, ['log', '--format=%s', 'main'])
            .split('\n')
            .filter((line) => line.includes('saved-for-later')),
        ).toHaveLength(1);
      });

      it('a host that cannot be reached is exit 3, and the note lands later', async () => {
        const port = await freePort();
        git(clone, ['config', 'remote.origin.url', `http://127.0.0.1:${port}/gone.git`]);
        await expectRefusal(['note', 'offline'], 'E_NETWORK', 3, { saved: true });
        expect(git(clone, ['rev-list', '--count', 'origin/main..main']).trim()).toBe('1');
        git(clone, ['config', 'remote.origin.url', `${server.url}/remote${name}.git`]);
        expect((await run(['sync', '--json'])).json()).toMatchObject({ result: 'pushed' });
      });

      it('a push whose reply is lost lands once, and the note is reported as landed', async () => {
        let lost = 0;
        server.faults = (request) =>
          request.method === 'POST' && request.path.includes('receive-pack') && lost++ === 0
            ? { kind: 'lose-reply' }
            : undefined;
        const result = (await run(['note', 'reply lost', '--json'])).json();
        expect(result).toMatchObject({ landed: true });
        expect(git(remote, ['rev-parse', 'main']).trim()).toBe(result['commit']);
        expect(git(remote, ['rev-list', '--count', 'main']).trim()).toBe('2');
      });

      it('a push whose reply is always lost is exit 3, and still lands once', async () => {
        let pushes = 0;
        server.faults = (request) =>
          request.method === 'POST' && request.path.includes('receive-pack')
            ? (pushes++, { kind: 'lose-reply' })
            : pushes > 0
              ? { kind: 'reset' }
              : undefined;
        await expectRefusal(['note', 'silence'], 'E_NETWORK', 3, { saved: true });
        server.faults = undefined;
        await run(['sync']);
        expect(
          git(remote, ['log', '--format=%s', 'main'])
            .split('\n')
            .filter((line) => line.includes('silence')),
        ).toHaveLength(1);
      });

      it('a reply to a note that is cut anywhere never loses or doubles it', async () => {
        for (const at of [0, 1, 4, 40, 100, 200, 400]) {
          let cuts = 0;
          server.faults = () => (cuts++ === at % 2 ? { kind: 'cut', at } : undefined);
          const result = await kb(clone, ['note', `cut at ${at}`], { env: withToken });
          expect([0, 3]).toContain(result.code);
          server.faults = undefined;
          await run(['sync']);
          expect(
            git(remote, ['log', '--format=%s', 'main'])
              .split('\n')
              .filter((line) => line.endsWith(`-cut-at-${at}.md`)),
          ).toHaveLength(1);
        }
        expectSound(remote);
        expectSound(clone);
      });

      it("a hook's refusal is exit 14 with the server's message made harmless", async () => {
        const hook = join(remote, 'hooks', 'pre-receive');
        mkdirSync(join(remote, 'hooks'), { recursive: true });
        writeFileSync(hook, '#!/bin/sh\nprintf "no \\033[31mnotes\\033[0m today\\n" >&2\nexit 1\n');
        chmodSync(hook, 0o755);
        const { message } = await expectRefusal(['note', 'x'], 'E_REFUSED', 14);
        expect(message).toContain('no \\x1b[31mnotes');
        expect(message).not.toContain('\u001b');
      });

      it('credentials are not sent to another machine over plain http', async () => {
        const { message } = await expectRefusal(
          ['clone', 'http://user:hunter22@example.invalid/x.git', 'away'],
          'E_AUTH',
          4,
          { directory: root },
        );
        expect(message).not.toContain('hunter22');
        expect(existsSync(join(root, 'away'))).toBe(false);
      });

      it('a token in the URL is used for the clone and written nowhere', async () => {
        const address = `${server.url}/remote${name}.git`.replace('//', `//ann:${TOKEN}@`);
        const result = await kbOk(root, ['clone', address, `by-url${name}`, '--json']);
        expect(result.stdout + result.stderr).not.toContain(TOKEN);
        const written = readdirSync(join(root, `by-url${name}`), { recursive: true, withFileTypes: true }).filter(
          (entry) => entry.isFile(),
        );
        const guilty = written.filter((entry) => readFileSync(join(entry.parentPath, entry.name)).includes(TOKEN));
        expect(guilty).toEqual([]);
        expect(written.length).toBeGreaterThan(5);
      });

      it('a failed clone leaves no directory', async () => {
        server.faults = (request) => (request.method === 'POST' ? { kind: 'cut', at: 300 } : undefined);
        await expectRefusal(['clone', `${server.url}/remote${name}.git`, 'half'], 'E_NETWORK', 3, { directory: root });
        expect(existsSync(join(root, 'half'))).toBe(false);
      });
    });

    it('a clone that is interrupted leaves the directory as it was, exit 130', async () => {
      const target = makeTemporaryDirectory();
      server.faults = () => ({ kind: 'stall' });
      const result = await kb(target, ['clone', `${server.url}/remote${name}.git`, '.', '--json'], {
        env: withToken,
        onStart: (pid) => setTimeout(() => process.kill(pid, 'SIGINT'), 700),
      });
      expect(result.code).toBe(130);
      expect(result.json()).toMatchObject({ error: { code: 'E_INTERRUPTED' } });
      expect(readdirSync(target)).toEqual([]);
    });

    /** Somebody else puts a file into the remote. */
    async function elsewhere(path: string, text: string): Promise<void> {
      const other = join(makeTemporaryDirectory(), 'other');
      git(root, ['clone', '--quiet', remote, other]);
      writeFileSync(join(other, path), text);
      git(other, ['add', '.']);
      git(other, ['commit', '--quiet', '-m', 'elsewhere']);
      git(other, ['push', '--quiet']);
      return Promise.resolve();
    }
  },
);

/** Everything that a refused command must leave as it was. */
function stateOf(clone: string, remote: string): object {
  const files = readdirSync(clone)
    .filter((entry) => entry !== '.git')
    .sort()
    .map((entry) => [entry, lstatSync(join(clone, entry)).isFile() ? readFileSync(join(clone, entry), 'utf8') : '']);
  return {
    files,
    head: readFileSync(join(clone, '.git', 'HEAD'), 'utf8'),
    branch: git(clone, ['rev-parse', 'main']),
    status: git(clone, ['status', '--porcelain'], { allowFailure: true }),
    remote: git(remote, ['rev-parse', 'main']),
  };
}

/** Bytes that fill the volume but for a few pages. */
function fillOf(volume: string): Buffer {
  const { bavail, bsize } = statfsSync(volume);
  return Buffer.alloc(Math.max(0, (bavail - 4) * bsize), 1);
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 1;
}
