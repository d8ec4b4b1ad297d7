import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { GitConfig } from '../../src/config/git-config.js';
import { nodeDisk } from '../../src/disk/disk.js';
import type { KbError } from '../../src/errors.js';
import { httpSettings } from '../../src/kb/http-settings.js';
import { openRemote, type RemoteOptions } from '../../src/remote/open.js';
import type { Remote } from '../../src/remote/remote.js';
import { parseRemoteUrl } from '../../src/remote/url.js';
import { hasOpenssl, TestAuthority, type Certificate } from '../support/certificates.js';
import { startForwardProxy, type ForwardProxy, type ForwardProxyOptions } from '../support/forward-proxy.js';
import {
  createBareRepository,
  hasGitHttpBackend,
  startGitServer,
  type GitServer,
  type GitServerOptions,
} from '../support/http-backend.js';
import { gitEnvironment, makeTemporaryDirectory } from '../support/native-git.js';

let home: string;
const closing: (() => unknown)[] = [];

async function serve(options: Partial<GitServerOptions> = {}): Promise<GitServer> {
  const server = await startGitServer({ root: home, ...options });
  closing.push(() => server.close());
  return server;
}

async function proxy(options: ForwardProxyOptions = {}): Promise<ForwardProxy> {
  const started = await startForwardProxy(options);
  closing.push(() => started.close());
  return started;
}

async function open(address: string, env: NodeJS.ProcessEnv, options: Partial<RemoteOptions> = {}): Promise<Remote> {
  const all = { ...env, GIT_CONFIG_NOSYSTEM: '1' };
  const remote = await openRemote(parseRemoteUrl(address, { cwd: '/' }), {
    disk: nodeDisk,
    env: all,
    home,
    timeoutMs: 30_000,
    settings: () =>
      Promise.resolve(httpSettings(GitConfig.load({ disk: nodeDisk, env: all, home }), undefined, 'origin')),
    ...options,
  });
  closing.push(() => remote.close());
  return remote;
}

async function ask(
  address: string,
  env: NodeJS.ProcessEnv = {},
  options: Partial<RemoteOptions> = {},
): Promise<unknown> {
  return (await (await open(address, env, options)).discover('read', [])).head;
}

function config(text: string): void {
  writeFileSync(join(home, '.gitconfig'), text);
}

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
beforeEach(() => {
  home = makeTemporaryDirectory();
});

describe.skipIf(!hasGitHttpBackend())('which way a request goes (native git is the oracle)', () => {
  it.each<[string, NodeJS.ProcessEnv, string]>([
    ['http_proxy', { http_proxy: 'P' }, ''],
    ['an address without a scheme', { http_proxy: 'P-BARE' }, ''],
    ['ALL_PROXY', { ALL_PROXY: 'P' }, ''],
    ['https_proxy is not for http', { https_proxy: 'P' }, ''],
    ['http.proxy', {}, '[http]\nproxy = P\n'],
    ['http.proxy for another address', {}, '[http "http://other.example"]\nproxy = P\n'],
    ['an empty http.proxy', { http_proxy: 'P' }, '[http]\nproxy =\n'],
    ['NO_PROXY *', { http_proxy: 'P', NO_PROXY: '*' }, ''],
    ['NO_PROXY for http.proxy', { NO_PROXY: '127.0.0.1' }, '[http]\nproxy = P\n'],
    ['no_proxy before NO_PROXY', { http_proxy: 'P', NO_PROXY: '127.0.0.1', no_proxy: 'x' }, ''],
    ['a list', { http_proxy: 'P', NO_PROXY: 'a.example, 127.0.0.1' }, ''],
    ['a block', { http_proxy: 'P', NO_PROXY: '127.0.0.0/8' }, ''],
    ['another block', { http_proxy: 'P', NO_PROXY: '127.1.0.0/16' }, ''],
    ['part of an address', { http_proxy: 'P', NO_PROXY: '0.0.1' }, ''],
    ['an empty one', { http_proxy: 'P', NO_PROXY: '' }, ''],
  ])('%s', async (_, env, text) => {
    createBareRepository(home, 'kb.git');
    const [server, through] = [await serve(), await proxy()];
    const written = (value: string): string =>
      value.replace(/\bP\b(-BARE)?/, (__, bare) => (bare ? through.address : `http://${through.address}`));
    config(written(text));
    const used = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, written(value ?? '')]));
    expect(await ask(`${server.url}/kb.git`, used)).toBe('refs/heads/main');
    const ours = through.asked.length > 0;
    through.asked.length = 0;
    await promisify(execFile)('git', ['ls-remote', `${server.url}/kb.git`], {
      env: { ...gitEnvironment(), HOME: home, ...used },
    });
    expect(ours).toBe(through.asked.length > 0);
  });

  it.each([
    ['localhost', 'localhost'],
    ['a.localhost', 'localhost'],
    ['a.localhost', '.localhost'],
    ['localhost', '.localhost'],
    ['alocalhost.localhost', 'alocalhost'],
    ['a.localhost', 'a.localhost.'],
    ['127.0.0.2', '127.0.0.1'],
    ['127.0.0.2', '127.0.0.0/30'],
  ])('NO_PROXY for %s: %s', async (host, list) => {
    const through = await proxy({ status: 502 });
    const url = `http://${host}:${await closedPort()}/kb.git`;
    const env = { http_proxy: `http://${through.address}`, NO_PROXY: list };
    await ask(url, env).catch(() => undefined);
    const ours = through.asked.length > 0;
    through.asked.length = 0;
    await promisify(execFile)('git', ['ls-remote', url], { env: { ...gitEnvironment(), HOME: home, ...env } }).catch(
      () => undefined,
    );
    expect(ours).toBe(through.asked.length > 0);
  });

  it('credentials of a proxy: sent to it alone; refused and missing ones are told without them', async () => {
    createBareRepository(home, 'kb.git');
    const [server, through] = [await serve(), await proxy({ login: 'ann:proxy pass' })];
    const url = `${server.url}/kb.git`;
    expect(await ask(url, { http_proxy: `http://ann:proxy%20pass@${through.address}` })).toBe('refs/heads/main');
    expect(through.asked[0]).toBe(`POST ${url}/git-upload-pack`);
    expect(JSON.stringify(server.requests.map(({ headers }) => headers))).not.toContain('proxy-authorization');
    for (const [address, said] of [
      [`http://ann:wrong-pass@${through.address}`, 'refused'],
      [`http://${through.address}`, 'none were found'],
    ] as const) {
      const error = await ask(url, { http_proxy: address }).catch((caught: unknown) => caught as KbError);
      expect(error).toMatchObject({ code: 'E_AUTH', message: expect.stringContaining(said) as string });
      const { message, hint, details } = error as KbError;
      expect(JSON.stringify([message, hint, details])).not.toContain('wrong-pass');
    }
  });

  it('a proxy that is not there, and one that kb does not speak', async () => {
    const gone = await closedPort();
    await expect(ask('https://127.0.0.1:1/kb.git', { HTTPS_PROXY: `http://127.0.0.1:${gone}` })).rejects.toMatchObject({
      code: 'E_NETWORK',
      message: expect.stringContaining(`the proxy http://127.0.0.1:${gone}`) as string,
      hint: expect.stringContaining('HTTPS_PROXY') as string,
    });
    await expect(ask('https://127.0.0.1:1/kb.git', { ALL_PROXY: 'socks5://127.0.0.1:9' })).rejects.toMatchObject({
      code: 'E_USAGE',
      message: expect.stringContaining('socks5') as string,
    });
  });
});

describe.skipIf(!hasGitHttpBackend() || !hasOpenssl)('https with an authority of one’s own (needs openssl)', () => {
  let authority: TestAuthority;
  let tls: Certificate;
  let folder: string;
  beforeAll(() => {
    folder = makeTemporaryDirectory();
    authority = new TestAuthority(folder);
    tls = authority.issue('IP:127.0.0.1');
  });
  beforeEach(() => {
    createBareRepository(home, 'kb.git');
  });

  it('through a tunnel, on one connection; the proxy sees neither request nor credentials', async () => {
    const [server, through] = [await serve({ tls, auth: { token: 'the-right-token' } }), await proxy()];
    const env = {
      https_proxy: `http://${through.address}`,
      GIT_SSL_CAINFO: authority.file,
      KB_GIT_AUTH_TOKEN: 'the-right-token',
    };
    const remote = await open(`${server.url}/kb.git`, env);
    await remote.discover('read', []);
    await remote.discover('write', []);
    expect(through.asked).toEqual([`CONNECT ${new URL(server.url).host}`]);
    expect(through.headers.join()).not.toMatch(/"authorization"/i);
    // The host's certificate is checked at the end of the tunnel, too.
    await expect(ask(`${server.url}/kb.git`, { https_proxy: env.https_proxy })).rejects.toMatchObject({
      message: expect.stringMatching(/signed by itself|issuer/) as string,
    });
  });

  it('through a proxy that is reached by https', async () => {
    const [server, plain, through] = [
      await serve({ tls }),
      await serve(),
      await proxy({ tls, login: 'ann:pw-of-proxy' }),
    ];
    const address = `https://ann:pw-of-proxy@${through.address}`;
    const env = { https_proxy: address, http_proxy: address, GIT_SSL_CAINFO: authority.file };
    expect(await ask(`${server.url}/kb.git`, env)).toBe('refs/heads/main');
    expect(await ask(`${plain.url}/kb.git`, env)).toBe('refs/heads/main');
    expect(through.asked).toHaveLength(2);
  });

  it.each<[string, (ca: string) => string, (ca: string) => NodeJS.ProcessEnv]>([
    ['http.sslCAInfo', (ca) => `[http]\nsslCAInfo = ${ca}\n`, () => ({})],
    [
      'http.<url>.sslCAInfo',
      (ca) => `[http]\nsslCAInfo = /none\n[http "https://127.0.0.1:PORT"]\nsslCAInfo = ${ca}\n`,
      () => ({}),
    ],
    ['GIT_SSL_CAINFO before it', () => `[http]\nsslCAInfo = /none\n`, (ca) => ({ GIT_SSL_CAINFO: ca })],
    ['http.sslCAPath', (ca) => `[http]\nsslCAPath = ${ca}.d\n`, () => ({})],
    ['GIT_SSL_CAPATH', () => '', (ca) => ({ GIT_SSL_CAPATH: `${ca}.d` })],
  ])('%s', async (_, text, env) => {
    const server = await serve({ tls });
    mkdirSync(`${authority.file}.d`, { recursive: true });
    writeFileSync(join(`${authority.file}.d`, 'mine.pem'), nodeDisk.readFileSync(authority.file));
    config(text(authority.file).replace('PORT', new URL(server.url).port));
    expect(await ask(`${server.url}/kb.git`, env(authority.file))).toBe('refs/heads/main');
    config('');
    await expect(ask(`${server.url}/kb.git`)).rejects.toMatchObject({ code: 'E_NETWORK', retryable: false });
  });

  it('http.sslVerify=false and GIT_SSL_NO_VERIFY: not checked, with a warning', async () => {
    const server = await serve({ tls });
    const warnings: string[] = [];
    const warn = (text: string): void => void warnings.push(text);
    expect(await ask(`${server.url}/kb.git`, { GIT_SSL_NO_VERIFY: '1' }, { warn })).toBe('refs/heads/main');
    config('[http]\nsslVerify = false\n');
    expect(await ask(`${server.url}/kb.git`, {}, { warn })).toBe('refs/heads/main');
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain('not checked');
  });

  it('what is wrong with a certificate is told, and what to do', async () => {
    const env = { GIT_SSL_CAINFO: authority.file };
    const old = await serve({ tls: authority.issue('IP:127.0.0.1', -1) });
    await expect(ask(`${old.url}/kb.git`, env)).rejects.toMatchObject({
      message: expect.stringContaining('has expired') as string,
      hint: expect.stringContaining('clock') as string,
    });
    const other = await serve({ tls: authority.issue('DNS:other.example') });
    await expect(ask(`${other.url}/kb.git`, env)).rejects.toMatchObject({
      message: expect.stringContaining('DNS:other.example') as string,
    });
  });

  it('a certificate of one’s own: sent, and a locked key is asked for, on a terminal only', async () => {
    const own = authority.issue('DNS:client.example');
    const asks = { ...tls, ca: authority.file, requestCert: true, rejectUnauthorized: true };
    const server = await serve({
      tls: { ...asks, ca: nodeDisk.readFileSync(authority.file) } as GitServerOptions['tls'] & object,
    });
    const env = { GIT_SSL_CAINFO: authority.file };
    await expect(ask(`${server.url}/kb.git`, env)).rejects.toMatchObject({ code: 'E_NETWORK' });
    config(`[http]\nsslCert = ${own.certFile}\nsslKey = ${own.keyFile}\n`);
    expect(await ask(`${server.url}/kb.git`, env)).toBe('refs/heads/main');

    config(`[http]\nsslCert = ${own.certFile}\nsslKey = ${authority.lock(own, 'open sesame')}\n`);
    await expect(ask(`${server.url}/kb.git`, env)).rejects.toMatchObject({
      code: 'E_AUTH',
      message: expect.stringContaining('passphrase') as string,
    });
    const typing: RemoteOptions['ask'] = () => Promise.resolve('open sesame');
    expect(await ask(`${server.url}/kb.git`, env, { ask: typing })).toBe('refs/heads/main');
  });
});
