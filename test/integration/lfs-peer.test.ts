import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import { KbError } from '../../src/errors.js';
import { openHttpPeer, type HttpPeerOptions } from '../../src/lfs/http-peer.js';
import { openLocalPeer } from '../../src/lfs/local-peer.js';
import type { LfsPeer } from '../../src/lfs/peer.js';
import type { LfsObject, LfsOid } from '../../src/lfs/pointer.js';
import { LfsStore } from '../../src/lfs/store.js';
import { parseRemoteUrl } from '../../src/remote/url.js';
import { startLfsServer, type LfsServer, type LfsServerOptions } from '../support/lfs-server.js';
import { makeTemporaryDirectory } from '../support/native-git.js';
import { initRepository } from '../../src/git/init-repository.js';

let store: LfsStore;
const closing: (() => unknown)[] = [];

beforeEach(() => {
  store = new LfsStore(nodeDisk, join(makeTemporaryDirectory(), 'lfs'));
});

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function serve(options: LfsServerOptions = {}): Promise<LfsServer> {
  const server = await startLfsServer(options);
  closing.push(() => server.close());
  return server;
}

async function open(server: LfsServer, over: Partial<HttpPeerOptions> = {}): Promise<LfsPeer> {
  const peer = await openHttpPeer(parseRemoteUrl(`${server.url}/kb.git/info/lfs`, { cwd: '/' }), store, {
    disk: nodeDisk,
    env: {},
    timeoutMs: Infinity,
    wall: () => Date.now(),
    random: () => 0,
    ...over,
  });
  closing.push(() => peer.close());
  return peer;
}

function objectOf(content: Buffer): LfsObject {
  return { oid: createHash('sha256').update(content).digest('hex') as LfsOid, size: content.length };
}

function putHere(content: Buffer): LfsObject {
  const incoming = store.receive();
  incoming.write(content);
  return incoming.finish();
}

const isHere = (object: LfsObject, content: Buffer): boolean =>
  store.has(object) && readFileSync(store.pathOf(object.oid)).equals(content);

const temporary = (): string[] => readdirSync(join(store.directory, 'tmp'));

async function failure(work: Promise<unknown>): Promise<KbError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof KbError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

describe('an LFS server', () => {
  it('gives many files, a few at a time, in batches of 100', async () => {
    const server = await serve({ latencyMs: 2 });
    const contents = Array.from({ length: 205 }, (_, at) => Buffer.from(`file ${at}`));
    const objects = contents.map((content) => server.put(content) as LfsObject);
    const told: number[] = [];
    const peer = await open(server);
    expect(await peer.fetch({ objects, onProgress: ({ done }) => told.push(done) })).toEqual(new Map());
    for (const [at, object] of objects.entries()) expect(isHere(object, contents[at] as Buffer)).toBe(true);
    const batches = server.requests.filter(({ body }) => body !== undefined);
    expect(batches.map(({ body }) => body?.objects.length)).toEqual([100, 100, 5]);
    expect(server.mostAtOnce).toBeLessThanOrEqual(4);
    expect(server.mostAtOnce).toBeGreaterThan(1);
    expect(told.at(-1)).toBe(205);
    expect(temporary()).toEqual([]);
  });

  it('takes files, verified, and none twice', async () => {
    const server = await serve({ token: 'secret-token', signed: 'Bearer for-transfers' });
    const content = randomBytes(3_000_000);
    const object = putHere(content);
    const peer = await open(server, { env: { KB_GIT_AUTH_TOKEN: 'secret-token' } });
    await peer.send({ objects: [object], ref: 'refs/heads/main' });
    expect(server.objects.get(object.oid)?.equals(content)).toBe(true);
    expect(server.requests.map(({ method, path }) => `${method} ${path.split(/[?]/)[0]?.slice(0, 8)}`)).toEqual([
      'POST /kb.git/',
      'PUT /storage',
      'POST /verify/',
    ]);
    expect(server.requests[0]?.body).toMatchObject({ operation: 'upload', ref: { name: 'refs/heads/main' } });
    expect(server.requests[1]?.headers).toMatchObject({
      authorization: 'Bearer for-transfers',
      'content-length': '3000000',
    });
    await peer.send({ objects: [object] });
    expect(server.requests).toHaveLength(4);
  });

  it('credentials go to the LFS server alone', async () => {
    const storage = await serve();
    const server = await serve({ token: 'secret-token', storage: storage.url });
    const object = storage.put(Buffer.from('content')) as LfsObject;
    server.put(Buffer.from('content'));
    const peer = await open(server, { env: { KB_GIT_AUTH_TOKEN: 'secret-token' } });
    expect(await peer.fetch({ objects: [object] })).toEqual(new Map());
    expect(server.requests.at(-1)?.headers.authorization).toMatch(/^Basic /);
    expect(storage.requests).toHaveLength(1);
    expect(storage.requests[0]?.headers.authorization).toBeUndefined();
    // At the server itself they are what transfers without a header of their own need.
    const own = await serve({ token: 'secret-token' });
    own.put(Buffer.from('other'));
    const second = await open(own, { env: { KB_GIT_AUTH_TOKEN: 'secret-token' } });
    expect(await second.fetch({ objects: [objectOf(Buffer.from('other'))] })).toEqual(new Map());
    // A header of the server goes before the user's credentials.
    const signed = await serve({ token: 'secret-token', signed: 'Bearer theirs' });
    signed.put(Buffer.from('third'));
    const third = await open(signed, { env: { KB_GIT_AUTH_TOKEN: 'secret-token' } });
    expect(await third.fetch({ objects: [objectOf(Buffer.from('third'))] })).toEqual(new Map());
  });

  it('may send a download elsewhere, and what it gave for one place stays there', async () => {
    const elsewhere = await serve();
    const server = await serve({ signed: 'Bearer for-this-place' });
    const object = elsewhere.put(Buffer.from('content')) as LfsObject;
    server.put(Buffer.from('content'));
    server.faults = ({ path }) =>
      path.startsWith('/storage') ? { status: 302, headers: { Location: `${elsewhere.url}${path}&x=1` } } : undefined;
    const peer = await open(server);
    expect(await peer.fetch({ objects: [object] })).toEqual(new Map());
    expect(elsewhere.requests[0]?.headers.authorization).toBeUndefined();
  });

  it('a content that is not what was promised: another, longer, shorter', async () => {
    const server = await serve();
    const promised = objectOf(Buffer.from('promised'));
    const peer = await open(server);
    for (const content of ['PROMISED', 'promised and more', 'prom']) {
      server.objects.set(promised.oid, Buffer.from(content));
      const failed = await peer.fetch({ objects: [promised] });
      expect(failed.get(promised.oid)?.message).toMatch(/something else/);
      expect(store.has(promised)).toBe(false);
      expect(existsSync(store.pathOf(promised.oid))).toBe(false);
      expect(temporary()).toEqual([]);
    }
  });

  it('is asked again when a transfer was cut or it was busy', async () => {
    const server = await serve();
    const object = server.put(randomBytes(100_000)) as LfsObject;
    let faults = 0;
    server.faults = ({ path, method }) => {
      if (!path.startsWith('/storage') || (faults += 1) > 2) return undefined;
      return method === 'GET' && faults === 1 ? { cutAt: 50_000 } : { status: 500 };
    };
    const peer = await open(server);
    expect(await peer.fetch({ objects: [object] })).toEqual(new Map());
    expect(store.has(object)).toBe(true);
  });

  it('is asked for a new address when one has expired', async () => {
    const server = await serve();
    const object = server.put(Buffer.from('content')) as LfsObject;
    let asked = 0;
    server.answer = (answer) => {
      asked += 1;
      const { download } = answer['actions'] as { download: Record<string, unknown> };
      return { ...answer, actions: { download: { ...download, expires_in: asked === 1 ? 1 : 3600 } } };
    };
    const peer = await open(server);
    expect(await peer.fetch({ objects: [object] })).toEqual(new Map());
    expect(asked).toBe(2);
  });

  it('says of each file why it could not be had', async () => {
    const server = await serve();
    const there = server.put(Buffer.from('there')) as LfsObject;
    const missing = objectOf(Buffer.from('missing'));
    const peer = await open(server);
    const failed = await peer.fetch({ objects: [missing, there] });
    expect([...failed.keys()]).toEqual([missing.oid]);
    expect(failed.get(missing.oid)).toMatchObject({ code: 'E_NETWORK', retryable: false });
    expect(store.has(there)).toBe(true);
  });

  it.each([
    [401, 'E_AUTH'],
    [403, 'E_AUTH'],
    [404, 'E_AUTH'],
    [413, 'E_REFUSED'],
    [422, 'E_REFUSED'],
    [507, 'E_REFUSED'],
    [509, 'E_REFUSED'],
    [500, 'E_NETWORK'],
    [429, 'E_NETWORK'],
  ])('that answers nothing but %i', async (status, code) => {
    const server = await serve();
    server.faults = () => ({
      status,
      headers: { 'Content-Type': 'application/vnd.git-lfs+json' },
      body: '{"message":"the reason"}',
    });
    const peer = await open(server);
    const error = await failure(peer.send({ objects: [putHere(Buffer.from('content'))] }));
    expect(error.code).toBe(code);
    expect(error.message).toContain('the reason');
  });

  it('is sent nothing whole of a file that is damaged here', async () => {
    const server = await serve();
    const content = randomBytes(2_500_000);
    const object = putHere(content);
    content[2_400_000] = (content[2_400_000] ?? 0) ^ 1;
    writeFileSync(store.pathOf(object.oid), content);
    const peer = await open(server);
    expect(await failure(peer.send({ objects: [object] }))).toMatchObject({ code: 'E_CORRUPT' });
    expect(server.objects.size).toBe(0);
    expect(readdirSync(join(store.directory, 'bad'))).toEqual([object.oid]);
    const missing = await failure(peer.send({ objects: [object] }));
    expect(missing.message).toMatch(/neither here nor on the LFS server/);
  });

  it('must have verified what it took', async () => {
    const server = await serve();
    server.faults = ({ path }) => (path.startsWith('/verify') ? { status: 404 } : undefined);
    const peer = await open(server);
    const error = await failure(peer.send({ objects: [putHere(Buffer.from('content'))] }));
    expect(error).toMatchObject({ code: 'E_REFUSED', retryable: false });
    expect(error.message).toContain('did not confirm');
  });
});

describe('a repository on this machine', () => {
  it('gives and takes files by its own lfs/objects', async () => {
    const remote = makeTemporaryDirectory();
    initRepository(nodeDisk, remote, { bare: true, branch: 'main' });
    const peer = openLocalPeer(remote, store, { disk: nodeDisk });
    const content = randomBytes(2_000_000);
    const object = putHere(content);
    await peer.send({ objects: [object] });
    const there = join(remote, 'lfs/objects', object.oid.slice(0, 2), object.oid.slice(2, 4), object.oid);
    expect(readFileSync(there).equals(content)).toBe(true);

    const other = objectOf(Buffer.from('other'));
    const otherPath = join(remote, 'lfs/objects', other.oid.slice(0, 2), other.oid.slice(2, 4), other.oid);
    mkdirSync(dirname(otherPath), { recursive: true });
    writeFileSync(otherPath, 'other');
    const damaged = objectOf(Buffer.from('right'));
    const damagedPath = join(remote, 'lfs/objects', damaged.oid.slice(0, 2), damaged.oid.slice(2, 4), damaged.oid);
    mkdirSync(dirname(damagedPath), { recursive: true });
    writeFileSync(damagedPath, 'wrong');
    const failed = await peer.fetch({ objects: [other, damaged, objectOf(Buffer.from('nowhere'))] });
    expect(isHere(other, Buffer.from('other'))).toBe(true);
    expect([...failed.values()].map(({ code }) => code)).toEqual(['E_CORRUPT', 'E_NETWORK']);
    expect(existsSync(damagedPath)).toBe(true);
    expect(store.has(damaged)).toBe(false);
  });
});
