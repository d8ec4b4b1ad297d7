import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { RemoteOptions } from '../../src/remote/open.js';
import type { Remote } from '../../src/remote/remote.js';
import type { GitServer, GitServerOptions } from '../support/http-backend.js';
import { nodeDisk } from '../../src/disk/disk.js';
import { openRemote } from '../../src/remote/open.js';
import { parseRemoteUrl } from '../../src/remote/url.js';
import { createBareRepository, hasGitHttpBackend, startGitServer } from '../support/http-backend.js';
import { makeTemporaryDirectory } from '../support/native-git.js';

const available = hasGitHttpBackend() && spawnSync('openssl', ['version'], { stdio: 'ignore' }).status === 0;

const servers: GitServer[] = [];

/** A certificate for this address, signed by itself. */
function certificate(directory: string, subject: string): { key: Buffer; cert: Buffer; file: string } {
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=kb test',
      '-addext',
      `subjectAltName=${subject}`,
      '-keyout',
      key,
      '-out',
      cert,
    ],
    { stdio: 'ignore' },
  );
  return { key: readFileSync(key), cert: readFileSync(cert), file: cert };
}

async function serve(options: GitServerOptions): Promise<GitServer> {
  const server = await startGitServer(options);
  servers.push(server);
  return server;
}

function open(address: string, options: Partial<RemoteOptions> = {}): Promise<Remote> {
  return openRemote(parseRemoteUrl(address, { cwd: '/' }), { disk: nodeDisk, env: {}, timeoutMs: 30_000, ...options });
}

describe.skipIf(!available)('https (needs native git with http-backend, and openssl)', () => {
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
  });

  it('a certificate that nobody vouches for is refused, before any credential is sent; GIT_SSL_CAINFO vouches', async () => {
    const root = makeTemporaryDirectory();
    createBareRepository(root, 'kb.git');
    const tls = certificate(root, 'IP:127.0.0.1');
    const server = await serve({ root, tls, auth: { token: 'the-right-token' } });
    const env = { KB_GIT_AUTH_TOKEN: 'the-right-token' };
    await expect((await open(`${server.url}/kb.git`, { env })).discover('read', [])).rejects.toMatchObject({
      code: 'E_NETWORK',
      retryable: false,
      message: expect.stringContaining('signed by itself') as string,
      hint: expect.stringContaining('GIT_SSL_CAINFO') as string,
    });
    expect(server.requests).toHaveLength(0);

    const trusting = await open(`${server.url}/kb.git`, { env: { ...env, GIT_SSL_CAINFO: tls.file } });
    expect((await trusting.discover('read', [])).head).toBe('refs/heads/main');
    await trusting.discover('write', []);
    expect(server.connections).toBe(1);
    void trusting.close();
  });

  it('a certificate for another host is refused', async () => {
    const root = makeTemporaryDirectory();
    const tls = certificate(root, 'DNS:other.example');
    const server = await serve({ root, tls });
    const opened = await open(`${server.url}/kb.git`, { env: { GIT_SSL_CAINFO: tls.file } });
    await expect(opened.discover('read', [])).rejects.toMatchObject({
      message: expect.stringContaining('another host name') as string,
    });
  });

  it('GIT_SSL_CAINFO that names no file', async () => {
    const opened = await open('https://127.0.0.1:1/kb.git', { env: { GIT_SSL_CAINFO: '/no/such/file.pem' } });
    await expect(opened.discover('read', [])).rejects.toMatchObject({
      code: 'E_USAGE',
      message: expect.stringContaining('/no/such/file.pem') as string,
    });
  });

  it('http.pinnedPubkey: another key than the pinned one gets no request, whoever vouches for it', async () => {
    const root = makeTemporaryDirectory();
    createBareRepository(root, 'kb.git');
    const tls = certificate(root, 'IP:127.0.0.1');
    const server = await serve({ root, tls, auth: { token: 'the-right-token' } });
    const env = { KB_GIT_AUTH_TOKEN: 'the-right-token', GIT_SSL_CAINFO: tls.file };
    const pem = execFileSync('openssl', ['x509', '-in', tls.file, '-noout', '-pubkey']);
    const der = execFileSync('openssl', ['pkey', '-pubin', '-outform', 'der'], { input: pem });
    const [pemFile, derFile] = [join(root, 'pin.pem'), join(root, 'pin.der')];
    writeFileSync(pemFile, pem);
    writeFileSync(derFile, der);
    const right = `sha256//${createHash('sha256').update(der).digest('base64')}`;
    const wrong = `sha256//${createHash('sha256').update('another key').digest('base64')}`;
    const asked = async (pin: string, sslVerify?: string): Promise<unknown> => {
      const values: Readonly<Record<string, string | undefined>> = { pinnedPubkey: pin, sslVerify };
      const http = (key: string): string[] => [values[key]].filter((value) => value !== undefined);
      const settings = { http, credential: () => [], host: () => undefined };
      const remote = await open(`${server.url}/kb.git`, { env, settings: () => Promise.resolve(settings) });
      try {
        return (await remote.discover('read', [])).head;
      } finally {
        await remote.close();
      }
    };
    for (const pin of [right, `${wrong};${right}`, pemFile, derFile]) expect(await asked(pin)).toBe('refs/heads/main');
    server.reset();
    for (const verify of ['true', 'false']) {
      await expect(asked(wrong, verify)).rejects.toMatchObject({
        code: 'E_NETWORK',
        retryable: false,
        message: expect.stringContaining(`it is ${right}`) as string,
      });
    }
    for (const pin of ['sha256//short', `${right};md5//x`, '/no/such/file', tls.file.replace('cert', 'key') + 'x'])
      await expect(asked(pin)).rejects.toMatchObject({ code: 'E_USAGE' });
    expect(server.requests).toHaveLength(0);
  });

  it('a redirect from https to http is refused', async () => {
    const root = makeTemporaryDirectory();
    createBareRepository(root, 'kb.git');
    const tls = certificate(root, 'IP:127.0.0.1');
    const plain = await serve({ root });
    const server = await serve({
      root,
      tls,
      faults: (request) => ({ kind: 'redirect', location: `${plain.url}${request.path}` }),
    });
    const opened = await open(`${server.url}/kb.git`, { env: { GIT_SSL_CAINFO: tls.file } });
    await expect(opened.discover('write', [])).rejects.toMatchObject({
      code: 'E_NETWORK',
      message: expect.stringContaining('from https to http') as string,
    });
    expect(plain.requests).toHaveLength(0);
  });
});
