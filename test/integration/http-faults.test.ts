import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Oid } from '../../src/git/ids.js';
import type { RemoteClock, RemoteOptions } from '../../src/remote/open.js';
import type { PushOutcome, Remote } from '../../src/remote/remote.js';
import type { Fault, Faults, GitServer, GitServerOptions } from '../support/http-backend.js';
import { nodeDisk } from '../../src/disk/disk.js';
import { KbError } from '../../src/errors.js';
import { asOid, branchRef } from '../../src/git/ids.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import { pktLine } from '../../src/remote/protocol/pkt-line.js';
import { openRemote } from '../../src/remote/open.js';
import { parseRemoteUrl } from '../../src/remote/url.js';
import { createBareRepository, hasGitHttpBackend, installHook, startGitServer } from '../support/http-backend.js';
import { git, makeTemporaryDirectory } from '../support/native-git.js';

const main = branchRef('main');

let root: string;
let bare: string;
let work: string;
let before: Oid;
let after: Oid;
/** What `after` has and `before` has not. */
let newObjects: Oid[];
const servers: GitServer[] = [];
const remotes: Remote[] = [];
const closers: (() => Promise<void>)[] = [];

function tip(directory: string, rev = 'HEAD'): Oid {
  return asOid(git(directory, ['rev-parse', rev]).trim());
}

async function serve(options: Partial<GitServerOptions> = {}): Promise<GitServer> {
  const server = await startGitServer({ root, ...options });
  servers.push(server);
  return server;
}

async function open(address: string, options: Partial<RemoteOptions> = {}): Promise<Remote> {
  const url = parseRemoteUrl(address, { cwd: '/' });
  const opened = await openRemote(url, { disk: nodeDisk, env: {}, timeoutMs: 60_000, ...options });
  remotes.push(opened);
  return opened;
}

function push(remote: Remote, fence?: () => void): Promise<PushOutcome> {
  const objects = ObjectStore.open(nodeDisk, join(work, '.git'));
  return remote.push({
    ref: main,
    from: before,
    to: after,
    objects,
    oids: newObjects,
    shallow: new Set(),
    ...(fence === undefined ? {} : { fence }),
  });
}

async function fetchAll(remote: Remote): Promise<Buffer> {
  const parts: Buffer[] = [];
  await remote.fetch({
    wants: [before],
    haves: [],
    shallow: new Set(),
    sink: { write: (chunk) => void parts.push(Buffer.from(chunk)) },
  });
  return Buffer.concat(parts);
}

async function errorOf(promise: Promise<unknown>): Promise<KbError> {
  const result = await promise.then(
    (value) => new Error(`it worked: ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  if (result instanceof KbError) return result;
  throw result as Error;
}

function always(fault: Fault): () => Fault {
  return () => fault;
}

/** The fault for one request only. */
function at(number: number, fault: Fault): Faults {
  return (request) => (request.number === number ? fault : undefined);
}

/** A server that writes these bytes to whoever connects, then closes. */
async function rawServer(reply: string, onConnection?: (socket: Socket) => void): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(reply));
    onConnection?.(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => new Promise((resolve) => server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Time that passes only by sleeping. */
function fakeClock(): RemoteClock & { slept: number[] } {
  const slept: number[] = [];
  let now = 0;
  return {
    slept,
    now: () => now,
    sleep: (milliseconds) => {
      slept.push(milliseconds);
      now += milliseconds;
      return Promise.resolve();
    },
  };
}

describe.skipIf(!hasGitHttpBackend())('what goes wrong over HTTP (needs native git with http-backend)', () => {
  beforeEach(() => {
    root = makeTemporaryDirectory();
    bare = createBareRepository(root, 'kb.git');
    work = join(root, 'work');
    git(root, ['clone', '--quiet', bare, work]);
    for (const name of ['one.md', 'two.md']) {
      writeFileSync(join(work, name), `${name}\n`);
      git(work, ['add', '.']);
      git(work, ['commit', '--quiet', '-m', name]);
      if (name === 'one.md') git(work, ['push', '--quiet', 'origin', 'HEAD:main']);
    }
    before = tip(work, 'HEAD~1');
    after = tip(work);
    newObjects = git(work, ['rev-list', '--objects', after, `^${before}`])
      .trim()
      .split('\n')
      .map((line) => asOid(line.slice(0, 40)));
  });

  afterEach(async () => {
    for (const opened of remotes.splice(0)) void opened.close();
    for (const server of servers.splice(0)) await server.close();
    for (const close of closers.splice(0)) await close();
    rmSync(root, { recursive: true, force: true });
  });

  describe('statuses', () => {
    it.each<[number, string, boolean, RegExp]>([
      [401, 'E_AUTH', false, /no credentials were found \(looked at the URL, KB_GIT_AUTH_TOKEN/],
      [403, 'E_AUTH', false, /does not allow this/],
      [404, 'E_AUTH', false, /not found, or not visible to these credentials/],
      [410, 'E_AUTH', false, /not found, or not visible/],
      [418, 'E_NETWORK', false, /HTTP status 418/],
      [429, 'E_NETWORK', true, /limits requests/],
      [500, 'E_NETWORK', true, /HTTP status 500/],
      [502, 'E_NETWORK', true, /HTTP status 502/],
      [503, 'E_NETWORK', true, /is busy/],
    ])('%i becomes %s', async (status, code, retryable, message) => {
      const server = await serve({ faults: always({ kind: 'status', status, body: 'no \u001b[31mway' }) });
      const opened = await open(`${server.url}/kb.git`);
      for (const attempt of [
        () => opened.discover('read', []),
        () => opened.discover('write', []),
        () => fetchAll(opened),
        () => push(opened),
      ]) {
        const error = await errorOf(attempt());
        expect(error).toMatchObject({ code, retryable });
        expect(error.message).toMatch(message);
        expect(error.message).toContain('no \\x1b[31mway');
        expect(error.hint).not.toBe('');
      }
    });

    it('a wrong token: names its source, never its value', async () => {
      const server = await serve({ auth: { token: 'the-right-token' } });
      const opened = await open(`${server.url}/kb.git`, { env: { KB_GIT_AUTH_TOKEN: 'the-wrong-token' } });
      const error = await errorOf(opened.discover('read', []));
      expect(error).toMatchObject({ code: 'E_AUTH', message: expect.stringContaining('KB_GIT_AUTH_TOKEN') as string });
      expect(JSON.stringify([error.message, error.hint, error.details, error.stack])).not.toContain('the-wrong-token');
    });

    it('the right token works, with any name, in every step', async () => {
      const server = await serve({ auth: { token: 'the-right-token' } });
      const opened = await open(`${server.url}/kb.git`, {
        env: { KB_GIT_AUTH_TOKEN: 'the-right-token', GITHUB_USERNAME: 'ann' },
      });
      expect((await opened.discover('write', [])).refs.get(main)).toBe(before);
      await fetchAll(opened);
      expect(await push(opened)).toEqual({ kind: 'landed' });
      expect(server.requests.every((request) => request.status === 200)).toBe(true);
      expect(server.connections).toBe(1);
    });

    it.each([429, 503])('%i with a short Retry-After is waited out', async (status) => {
      const clock = fakeClock();
      const server = await serve({ faults: at(1, { kind: 'status', status, headers: { 'Retry-After': '7' } }) });
      const opened = await open(`${server.url}/kb.git`, { clock });
      expect((await opened.discover('read', [])).refs.get(main)).toBe(before);
      expect(clock.slept).toEqual([7000]);
      expect(server.requests).toHaveLength(2);
      expect(server.connections).toBe(1);
    });

    it.each([
      ['longer than is polite to wait', '11', 60_000],
      ['longer than the deadline', '5', 4_000],
    ])('a Retry-After %s is left to the caller', async (_title, seconds, timeoutMs) => {
      const server = await serve({
        faults: always({ kind: 'status', status: 429, headers: { 'Retry-After': seconds } }),
      });
      const opened = await open(`${server.url}/kb.git`, { timeoutMs, clock: fakeClock() });
      expect(await errorOf(opened.discover('read', []))).toMatchObject({
        code: 'E_NETWORK',
        retryable: true,
        details: { retryAfterMs: Number(seconds) * 1000 },
      });
      expect(server.requests).toHaveLength(1);
    });

    it('waits end at the deadline even if the server never has enough', async () => {
      const clock = fakeClock();
      const server = await serve({ faults: always({ kind: 'status', status: 503, headers: { 'Retry-After': '9' } }) });
      const error = await errorOf(
        (await open(`${server.url}/kb.git`, { timeoutMs: 30_000, clock })).discover('write', []),
      );
      expect(error).toMatchObject({ code: 'E_NETWORK', details: { retryAfterMs: 9000 } });
      expect(clock.slept).toEqual([9000, 9000, 9000]);
    });

    it('a push that was limited (429) is sent again, fenced again', async () => {
      let fenced = 0;
      const server = await serve({ faults: at(2, { kind: 'status', status: 429, headers: { 'Retry-After': '1' } }) });
      const opened = await open(`${server.url}/kb.git`, { clock: fakeClock() });
      expect(await push(opened, () => (fenced += 1))).toEqual({ kind: 'landed' });
      expect(fenced).toBe(2);
    });

    it('a push that is too large (413) is refused', async () => {
      const server = await serve({ faults: at(2, { kind: 'status', status: 413 }) });
      expect(await push(await open(`${server.url}/kb.git`))).toMatchObject({ kind: 'refused' });
    });
  });

  describe('replies that are cut', () => {
    it.each<[string, boolean, (remote: Remote) => Promise<unknown>]>([
      ['discover to read', false, (remote) => remote.discover('read', [])],
      ['discover to write', false, (remote) => remote.discover('write', [])],
      ['fetch', false, fetchAll],
      ['discover to read, v0', true, (remote) => remote.discover('read', [])],
      ['fetch, v0', true, fetchAll],
    ])('%s: at every byte, an error and never a wrong success', async (_title, protocolV0Only, act) => {
      const server = await serve({ protocolV0Only, recordReplies: true });
      const whole = await act(await open(`${server.url}/kb.git`));
      const recorded = [...server.requests];
      const length = recorded.at(-1)?.reply?.body.length ?? 0;
      expect(length).toBeGreaterThan(60);
      for (let position = 0; position <= length; position += 1) {
        server.reset();
        server.faults = ({ number }) => {
          const of = recorded[number - 1];
          if (of === undefined) return undefined; // whatever else is asked for gets a true answer
          return number === recorded.length ? { kind: 'replay', of, cutAt: position } : { kind: 'replay', of };
        };
        const opened = await open(`${server.url}/kb.git`);
        const result = await act(opened).catch((error: unknown) => error);
        void opened.close();
        if (position < length) expect(result).toMatchObject({ name: 'KbError', code: 'E_NETWORK' });
        else expect(result).toEqual(whole);
      }
    });

    it('push: at every byte of the reply the commit has landed, or the outcome is open', async () => {
      const server = await serve();
      const kinds: string[] = [];
      // The report and what git adds to it are under 150 bytes; beyond its end a cut does nothing.
      for (let position = 0; position < 150; position += 1) {
        writeFileSync(join(bare, main), `${before}\n`);
        server.reset();
        server.faults = at(2, { kind: 'cut', at: position });
        const opened = await open(`${server.url}/kb.git`);
        const outcome = await push(opened);
        void opened.close();
        expect(['landed', 'unknown']).toContain(outcome.kind);
        if (outcome.kind === 'unknown') expect(outcome.cause.code).toBe('E_NETWORK');
        expect(readFileSync(join(bare, main), 'utf8').trim()).toBe(after);
        kinds.push(outcome.kind);
      }
      expect(kinds[0]).toBe('unknown');
      expect(kinds.at(-1)).toBe('landed');
      expect(kinds.lastIndexOf('unknown')).toBeLessThan(kinds.indexOf('landed'));
    });

    it('accepted, reply lost: the outcome is open, and it has landed', async () => {
      const server = await serve({ faults: at(2, { kind: 'lose-reply' }) });
      const outcome = await push(await open(`${server.url}/kb.git`));
      expect(outcome).toMatchObject({ kind: 'unknown', cause: { code: 'E_NETWORK' } });
      expect(tip(bare, 'main')).toBe(after);
    });

    it.each<[string, Fault]>([
      ['cut before anything is read', { kind: 'reset' }],
      ['502 from a gateway', { kind: 'status', status: 502 }],
      [
        'a web page instead of a report',
        { kind: 'status', status: 200, headers: { 'Content-Type': 'text/html' }, body: '<html>' },
      ],
      ['503 that asks to come back', { kind: 'status', status: 503, headers: { 'Retry-After': '1' } }],
    ])('a push whose request is out, then %s: open, sent once', async (_title, fault) => {
      const server = await serve({ faults: at(2, fault) });
      expect(await push(await open(`${server.url}/kb.git`))).toMatchObject({ kind: 'unknown' });
      expect(server.requests).toHaveLength(2);
      expect(tip(bare, 'main')).toBe(before);
    });

    it('a push that finds nobody listening has changed nothing, and says so', async () => {
      const server = await serve();
      const opened = await open(`${server.url}/kb.git`);
      await opened.discover('write', []);
      await server.close();
      servers.length = 0;
      expect(await errorOf(push(opened))).toMatchObject({ code: 'E_NETWORK', details: { errno: 'ECONNREFUSED' } });
    });
  });

  describe('connections', () => {
    it('one that the server closed meanwhile is replaced: fetch and push go on', async () => {
      const server = await serve();
      const opened = await open(`${server.url}/kb.git`);
      await opened.discover('write', []);
      server.dropConnections();
      await fetchAll(opened);
      server.dropConnections();
      expect(await push(opened)).toEqual({ kind: 'landed' });
      expect(server.connections).toBe(3);
    });

    it('nobody listens', async () => {
      const server = await serve();
      const { url } = server;
      await server.close();
      servers.length = 0;
      const error = await errorOf((await open(`${url}/kb.git`)).discover('read', []));
      expect(error).toMatchObject({
        code: 'E_NETWORK',
        retryable: true,
        message: expect.stringContaining('connection was refused') as string,
      });
    });

    it('an unknown host', async () => {
      const error = await errorOf((await open('https://kb-test.invalid/kb.git')).discover('read', []));
      expect(error).toMatchObject({ code: 'E_NETWORK', message: expect.stringContaining('host name') as string });
    });

    it('silence ends at the idle timeout', async () => {
      const server = await serve({ faults: always({ kind: 'stall' }) });
      const error = await errorOf((await open(`${server.url}/kb.git`, { idleTimeoutMs: 50 })).discover('read', []));
      expect(error).toMatchObject({ code: 'E_NETWORK', details: { timedOut: true } });
    });

    it('everything ends at the deadline', async () => {
      const server = await serve({ faults: always({ kind: 'stall' }) });
      const opened = await open(`${server.url}/kb.git`, { timeoutMs: 50 });
      expect(await errorOf(opened.discover('read', []))).toMatchObject({
        code: 'E_NETWORK',
        details: { timedOut: true },
      });
      expect(await errorOf(opened.discover('read', []))).toMatchObject({
        code: 'E_NETWORK',
        details: { timedOut: true },
      });
    });

    it('a push into silence is open', async () => {
      const server = await serve({ faults: at(2, { kind: 'stall' }) });
      const opened = await open(`${server.url}/kb.git`, { idleTimeoutMs: 300 });
      expect(await push(opened)).toMatchObject({ kind: 'unknown', cause: { details: { timedOut: true } } });
    });

    it('abort: before, during, and its own reason comes out', async () => {
      const server = await serve({ faults: always({ kind: 'stall' }) });
      const reason = new KbError('E_LOCK_LOST', 'the lock was taken away');
      expect(
        await errorOf((await open(`${server.url}/kb.git`, { signal: AbortSignal.abort(reason) })).discover('read', [])),
      ).toBe(reason);
      const controller = new AbortController();
      const opened = await open(`${server.url}/kb.git`, { signal: controller.signal });
      const running = errorOf(opened.discover('read', []));
      setTimeout(() => controller.abort(), 20);
      expect(await running).toMatchObject({ code: 'E_INTERRUPTED' });
    });

    it.each([
      ['no HTTP at all', 'SSH-2.0-OpenSSH_9\r\n', /not HTTP/],
      [
        'a web page',
        'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>',
        /does not answer as a git server/,
      ],
      [
        'a plain-file repository',
        'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n',
        /does not answer as a git server/,
      ],
      ['nothing', '', /cut|closed/],
      ['head without end', 'HTTP/1.1 200 OK\r\nContent-', /cut|closed|HTTP/],
      [
        'a list of refs with rubbish',
        'HTTP/1.1 200 OK\r\nContent-Type: application/x-git-receive-pack-advertisement\r\n\r\n001f# service=git-receive-pack\n0000000bbogus\u001b\n0000',
        /not a ref: "bogus\\\\x1b"/,
      ],
      [
        'a reply that goes on after its end',
        'HTTP/1.1 200 OK\r\nContent-Type: application/x-git-receive-pack-advertisement\r\n\r\n001f# service=git-receive-pack\n000000000004',
        /follows the end/,
      ],
      [
        'an error in the protocol',
        'HTTP/1.1 200 OK\r\nContent-Type: application/x-git-receive-pack-advertisement\r\n\r\n001cERR access denied: kb\u202e\n',
        /access denied: kb\\u202e/,
      ],
    ])('a server that sends %s', async (_title, reply, message) => {
      const address = await rawServer(reply);
      const error = await errorOf((await open(`${address}/kb.git`)).discover('write', []));
      expect(error.code).toMatch(/E_NETWORK|E_AUTH/);
      expect(error.message).toMatch(message);
    });

    it('a list of refs without end does not fill the memory', async () => {
      const server = createServer((_request, response) => {
        response.writeHead(200, { 'Content-Type': 'application/x-git-receive-pack-advertisement' });
        const line = Buffer.from(
          `${(41 + 20_000 + 4).toString(16).padStart(4, '0')}${before} refs/${'x'.repeat(20_000 - 5)}`,
        );
        const more = (): void => {
          while (!response.destroyed && response.write(line));
        };
        response.on('drain', more);
        more();
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      closers.push(
        () =>
          new Promise((resolve) => {
            server.closeAllConnections();
            server.close(() => resolve());
          }),
      );
      const opened = await open(`http://127.0.0.1:${(server.address() as AddressInfo).port}/kb.git`);
      expect(await errorOf(opened.discover('write', []))).toMatchObject({
        code: 'E_NETWORK',
        message: expect.stringContaining('longer than') as string,
      });
    });

    it('a server that gives up in the middle of a fetch is quoted safely', async () => {
      const body = ['packfile\n', '\x02a: 50%\r', '\x03out of memory \u001b]0;owned\u0007']
        .map((data) => pktLine(data).toString())
        .join('');
      const address = await rawServer(
        `HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      const error = await errorOf(fetchAll(await open(`${address}/kb.git`)));
      expect(error).toMatchObject({
        code: 'E_NETWORK',
        message: expect.stringContaining('out of memory \\x1b]0;owned\\x07') as string,
      });
    });

    it('a hook that kills the push ends in a verdict, not in silence', async () => {
      installHook(bare, 'pre-receive', 'kill -9 $PPID');
      const server = await serve();
      const outcome = await push(await open(`${server.url}/kb.git`));
      expect(outcome.kind).toBe('unknown');
      expect(tip(bare, 'main')).toBe(before);
    });
  });

  describe('redirects', () => {
    it('on the same origin keep the credentials, and the rest follows there', async () => {
      const server = await serve({ auth: { token: 'the-right-token' } });
      server.faults = (request) =>
        request.path.startsWith('/old')
          ? { kind: 'redirect', location: request.path.replace('/old', '/kb.git'), status: 301 }
          : undefined;
      const opened = await open(`${server.url}/old`, { env: { KB_GIT_AUTH_TOKEN: 'the-right-token' } });
      expect((await opened.discover('write', [])).refs.get(main)).toBe(before);
      expect(await push(opened)).toEqual({ kind: 'landed' });
      expect(server.requests.map((request) => request.path)).toEqual([
        '/old/info/refs?service=git-receive-pack',
        '/kb.git/info/refs?service=git-receive-pack',
        '/kb.git/git-receive-pack',
      ]);
      expect(server.connections).toBe(1);
    });

    it('of the first request to read as well', async () => {
      const server = await serve();
      server.faults = (request) =>
        request.path.startsWith('/old')
          ? { kind: 'redirect', location: request.path.replace('/old', '/kb.git') }
          : undefined;
      const opened = await open(`${server.url}/old`);
      expect((await opened.discover('read', [])).refs.get(main)).toBe(before);
    });

    it('to another origin carry no credentials, ever', async () => {
      const target = await serve();
      const server = await serve();
      server.faults = (request) => ({ kind: 'redirect', location: `${target.url}${request.path}` });
      const opened = await open(`${server.url.replace('://', '://ann:open-sesame@')}/kb.git`);
      await opened.discover('write', []);
      expect(await push(opened)).toEqual({ kind: 'landed' });
      expect(server.requests[0]?.headers.authorization).toBeDefined();
      expect(target.requests).toHaveLength(2);
      expect(target.requests.map((request) => request.headers.authorization)).toEqual([undefined, undefined]);
    });

    it('to another origin that wants credentials: says why none were sent', async () => {
      const target = await serve({ auth: { token: 'the-right-token' } });
      const server = await serve();
      server.faults = (request) => ({ kind: 'redirect', location: `${target.url}${request.path}` });
      const opened = await open(`${server.url}/kb.git`, { env: { KB_GIT_AUTH_TOKEN: 'the-right-token' } });
      const error = await errorOf(opened.discover('read', []));
      expect(error).toMatchObject({
        code: 'E_AUTH',
        message: expect.stringContaining('a redirect led to another host') as string,
      });
      expect(JSON.stringify(target.requests)).not.toContain('authorization');
    });

    it.each([
      ['for ever', (path: string) => path, /too often/],
      ['to a page', () => '/sign-in', /no git repository/],
      ['to nowhere', () => '', /to nowhere|no git repository|too often/],
      ['to a file', () => 'file:///etc/passwd', /file: address/],
      ['with a password', () => 'http://ann:open-sesame@127.0.0.1:1/x', /no git repository/],
    ])('%s are refused', async (_title, target, message) => {
      const server = await serve();
      server.faults = (request) => ({ kind: 'redirect', location: target(request.path) });
      const error = await errorOf((await open(`${server.url}/kb.git`)).discover('write', []));
      expect(error).toMatchObject({ code: 'E_NETWORK' });
      expect(error.message).toMatch(message);
      expect(error.message).not.toContain('sesame');
    });

    it('in the middle of the conversation are refused; a push that got one has changed nothing', async () => {
      const target = await serve();
      const server = await serve();
      server.faults = (request) =>
        request.number === 2 ? { kind: 'redirect', location: `${target.url}${request.path}`, status: 307 } : undefined;
      expect(await errorOf(push(await open(`${server.url}/kb.git`)))).toMatchObject({ code: 'E_NETWORK' });
      expect(target.requests).toHaveLength(0);
    });
  });
});
