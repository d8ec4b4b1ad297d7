import { execFile } from 'node:child_process';
import { generateKeyPairSync, verify } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GitConfig } from '../../src/config/git-config.js';
import type { HostEntry } from '../../src/config/host-settings.js';
import { nodeDisk } from '../../src/disk/disk.js';
import type { KbError } from '../../src/errors.js';
import { httpSettings } from '../../src/kb/http-settings.js';
import { openRemote, type RemoteOptions } from '../../src/remote/open.js';
import type { Remote } from '../../src/remote/remote.js';
import { parseRemoteUrl } from '../../src/remote/url.js';
import {
  createBareRepository,
  hasGitHttpBackend,
  startGitServer,
  type Fault,
  type GitServer,
  type GitServerOptions,
} from '../support/http-backend.js';
import { gitEnvironment, makeTemporaryDirectory } from '../support/native-git.js';

const USER = 'ann';
const PASSWORD = 'the-right-password';

let home: string;
let log: string;
let server: GitServer;
const closing: (() => unknown)[] = [];

async function serve(options: Partial<GitServerOptions> = {}): Promise<GitServer> {
  server = await startGitServer({ root: home, auth: { username: USER, password: PASSWORD }, ...options });
  closing.push(() => server.close());
  return server;
}

function config(text: string): void {
  writeFileSync(join(home, '.gitconfig'), text);
}

interface Opening extends Partial<RemoteOptions> {
  readonly hosts?: Readonly<Record<string, HostEntry>>;
}

async function open(address: string, { hosts, ...options }: Opening = {}): Promise<Remote> {
  const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'], GIT_CONFIG_NOSYSTEM: '1', ...options.env };
  const remote = await openRemote(parseRemoteUrl(address, { cwd: '/' }), {
    disk: nodeDisk,
    timeoutMs: 30_000,
    home,
    settings: () =>
      Promise.resolve(
        httpSettings(GitConfig.load({ disk: nodeDisk, env, home }), new Map(Object.entries(hosts ?? {})), 'origin'),
      ),
    ...options,
    env,
  });
  closing.push(() => remote.close());
  return remote;
}

async function refusal(opened: Promise<Remote>): Promise<KbError> {
  return (await opened).discover('read', []).then(
    () => expect.unreachable('it was let in'),
    (error: unknown) => error as KbError,
  );
}

/** A helper that writes down what it is told, and answers with what `answer` prints. */
function helperScript(path: string, answer: string): string {
  writeFileSync(
    path,
    `#!/bin/sh\n{ echo "$@"; cat; echo; } >> '${log}'\n[ "$1" = get ] || [ "$2" = get ] || exit 0\n${answer}\n`,
  );
  chmodSync(path, 0o755);
  return path;
}

/** What the helpers were told; challenges are left out: git sends them only from 2.41 on. */
function told(): string {
  const text = existsSync(log) ? readFileSync(log, 'utf8') : '';
  return text.replace(/^wwwauth\[\]=.*\n/gm, '');
}

const RIGHT = `printf 'username=${USER}\\npassword=${PASSWORD}\\n'`;
const WRONG = `printf 'username=${USER}\\npassword=the-wrong-password\\n'`;

describe.skipIf(!hasGitHttpBackend())('credentials over http (needs native git with http-backend)', () => {
  beforeEach(() => {
    home = makeTemporaryDirectory();
    log = join(home, 'told.log');
    createBareRepository(home, 'kb.git');
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  describe('credential.helper: what the helpers are told is what native git tells them', () => {
    it.each<[string, string | ((bin: string) => string), string, string]>([
      ['an absolute path', (bin) => join(bin, 'helper'), RIGHT, ''],
      ['an absolute path with arguments', (bin) => `${join(bin, 'helper')} --flag`, RIGHT, ''],
      ['a shell snippet', (bin) => `!f() { '${bin}/helper' "$@"; }; f`, RIGHT, ''],
      ['a name on PATH', 'kbtest', RIGHT, ''],
      ['a name with arguments', "kbtest --file '/a b'", RIGHT, ''],
      ['refused', 'kbtest', WRONG, ''],
      ['fails', 'kbtest', 'exit 3', ''],
      ['useHttpPath', 'kbtest', RIGHT, 'useHttpPath = true\n'],
      ['a user name', 'kbtest', RIGHT, `username = ${USER}\n`],
      ['knows nothing', 'kbtest', 'true', ''],
      ['an expired password', 'kbtest', `${RIGHT}; echo password_expiry_utc=1000`, ''],
    ])('%s', async (name, form, answer, more) => {
      await serve();
      const bin = join(home, 'bin');
      mkdirSync(bin);
      helperScript(join(bin, 'helper'), answer);
      helperScript(join(bin, 'git-credential-kbtest'), answer);
      const helper = (typeof form === 'string' ? form : form(bin)).replaceAll('"', '\\"');
      config(`[credential]\n\thelper = "${helper}"\n\t${more}`);
      const path = `${bin}:${process.env['PATH'] ?? ''}`;
      const url = `${server.url}/kb.git`;

      const outcome = await (await open(url, { env: { PATH: path } })).discover('read', []).then(
        () => 'let in',
        (error: unknown) => (error as KbError).code,
      );
      const ours = told();
      rmSync(log, { force: true });
      const native = await promisify(execFile)('git', ['ls-remote', url], {
        env: { ...gitEnvironment(), HOME: home, PATH: path },
      }).then(
        () => 'let in',
        () => 'E_AUTH',
      );
      // Native git 2.39 does not know that passwords expire.
      if (name !== 'an expired password') expect([outcome, ours]).toEqual([native, told()]);
      else expect([outcome, ours]).toEqual(['E_AUTH', expect.stringMatching(/^get\n/) as string]);
    });

    it('one after the other, until name and password are there; an empty value takes back those before it', async () => {
      await serve();
      const [never, first, second] = ['never', 'first', 'second'].map((name) => join(home, name)) as [
        string,
        string,
        string,
      ];
      helperScript(never, RIGHT);
      helperScript(first, `echo username=${USER}`);
      helperScript(second, `echo password=${PASSWORD}`);
      config(`[credential]\n\thelper = ${never}\n\thelper =\n\thelper = ${first}\n\thelper = ${second}\n`);
      await (await open(`${server.url}/kb.git`)).discover('read', []);
      expect(told().split('\n')).toContain(`username=${USER}`);
      const ours = told();
      rmSync(log);
      await promisify(execFile)('git', ['ls-remote', `${server.url}/kb.git`], {
        env: { ...gitEnvironment(), HOME: home },
      });
      expect(ours).toBe(told());
    });

    it('another host’s helper is not asked', async () => {
      await serve();
      helperScript(join(home, 'helper'), RIGHT);
      config(`[credential "https://other.example"]\n\thelper = ${join(home, 'helper')}\n`);
      expect((await refusal(open(`${server.url}/kb.git`))).code).toBe('E_AUTH');
      expect(existsSync(log)).toBe(false);
    });

    it('what a helper says on stderr is told, without the secret in it; the token of kb is not in its environment', async () => {
      await serve();
      helperScript(join(home, 'helper'), `env >> '${log}'; echo "no key ring for $LOGNAME" >&2; exit 1`);
      config(`[credential]\n\thelper = ${join(home, 'helper')}\n`);
      const error = await refusal(
        open(`${server.url}/kb.git`, { env: { KB_GIT_AUTH_TOKEN: 'a-wrong-token', LOGNAME: 'ann' } }),
      );
      expect(error.message).toContain('ended with exit code 1: no key ring for ann');
      expect(told()).toContain('GIT_TERMINAL_PROMPT=0');
      expect(told()).not.toContain('a-wrong-token');
    });

    it('store: its file is read without git, and never written', async () => {
      await serve();
      config('[credential]\n\thelper = store\n');
      const file = join(home, '.git-credentials');
      const text = `https://x:y@other.example\n${server.url.replace('://', `://${USER}:the%2Dright-password@`)}\n`;
      writeFileSync(file, text);
      expect((await (await open(`${server.url}/kb.git`)).discover('read', [])).head).toBe('refs/heads/main');
      expect(readFileSync(file, 'utf8')).toBe(text);
      config(`[credential]\n\thelper = store --file ~/elsewhere\n`);
      expect((await refusal(open(`${server.url}/kb.git`))).code).toBe('E_AUTH');
      writeFileSync(join(home, 'elsewhere'), text);
      await (await open(`${server.url}/kb.git`)).discover('write', []);
    });
  });

  it('refused by the host: the next source, and the request is made again', async () => {
    await serve();
    helperScript(join(home, 'helper'), WRONG);
    config(`[credential]\n\thelper = ${join(home, 'helper')}\n`);
    writeFileSync(
      join(home, '.netrc'),
      `machine other.example login x password y\nmachine 127.0.0.1\n\tlogin ${USER}\n`,
    );
    const env = { KB_GIT_AUTH_TOKEN: 'a-wrong-token' };
    const error = await refusal(open(`${server.url}/kb.git`, { env }));
    expect(error).toMatchObject({ code: 'E_AUTH', exitCode: 4 });
    expect(error.message).toMatch(/credentials from KB_GIT_AUTH_TOKEN, credential.helper .*helper were refused/);
    expect(error.details['sources']).toEqual(expect.arrayContaining(['KB_GIT_AUTH_TOKEN', '~/.netrc']) as string[]);
    expect(`${error.message}${JSON.stringify(error.details)}`).not.toMatch(/wrong-(token|password)/);

    writeFileSync(join(home, '.netrc'), `machine 127.0.0.1 login ${USER} password ${PASSWORD}\n`);
    const opened = await open(`${server.url}/kb.git`, { env });
    await opened.discover('write', []);
    server.reset();
    await opened.discover('write', []);
    expect(server.requests.map(({ status }) => status)).toEqual([200]); // what was accepted stays
  });

  it('hosts of the user configuration: a variable, a file read again each time, a command', async () => {
    await serve();
    const host = server.url.replace('http://', '');
    const file = join(home, 'password');
    const attempt = async (entry: HostEntry, env: NodeJS.ProcessEnv = {}): Promise<void> => {
      await (
        await open(`${server.url}/kb.git`, { env, hosts: { [host]: { username: USER, ...entry } } })
      ).discover('read', []);
    };
    await attempt({ tokenEnv: 'MY_SECRET' }, { MY_SECRET: PASSWORD });
    writeFileSync(file, 'the-old-password\n');
    await expect(attempt({ tokenFile: file })).rejects.toMatchObject({ code: 'E_AUTH' });
    writeFileSync(file, `${PASSWORD}\nsecond line\n`);
    await attempt({ tokenFile: file });
    await attempt({ tokenCommand: ['sh', '-c', 'echo "$0"', PASSWORD] });
    await expect(attempt({ tokenCommand: [join(home, 'no-such-program')] })).rejects.toMatchObject({
      message: expect.stringContaining('was not found') as string,
    });
    await attempt({}, { KB_GIT_PASSWORD_FILE: file, KB_GIT_USERNAME: USER });
    // No 401 on the way: what costs nothing goes out with the first request.
    expect(server.requests.filter(({ status }) => status === 401)).toHaveLength(2);
  });

  it('the terminal is asked last, once for both remotes of a process, and helpers get to keep what was accepted', async () => {
    await serve();
    helperScript(join(home, 'helper'), 'true');
    config(`[credential]\n\thelper = ${join(home, 'helper')}\n`);
    const asked: string[] = [];
    const ask: NonNullable<RemoteOptions['ask']> = ({ text, hidden }) => {
      asked.push(`${text}${hidden ? '(hidden)' : ''}`);
      return Promise.resolve(hidden ? PASSWORD : USER);
    };
    await (await open(`${server.url}/kb.git`, { ask })).discover('read', []);
    await (await open(`${server.url}/kb.git`, { ask })).discover('read', []);
    const { host } = new URL(server.url);
    expect(asked).toEqual([`User name for ${host}: `, `Password or token for ${USER}@${host}: (hidden)`]);
    expect(told()).toContain(`store\nprotocol=http\nhost=${host}\nusername=${USER}\npassword=${PASSWORD}\n`);
  });

  describe('a GitHub App', () => {
    let api: Server;
    let apiUrl: string;
    const seen: IncomingMessage[] = [];
    let answer: { status: number; body: string; headers?: Record<string, string> };
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

    beforeEach(async () => {
      seen.length = 0;
      api = createServer((request, response) => {
        seen.push(request);
        response.writeHead(answer.status, { 'Content-Type': 'application/json', ...answer.headers }).end(answer.body);
      });
      await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
      apiUrl = `http://127.0.0.1:${(api.address() as AddressInfo).port}/api/v3`;
      closing.push(() => {
        api.closeAllConnections();
        api.close();
      });
      await serve({ auth: { token: 'installation-token' } });
      writeFileSync(join(home, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    });

    function connect(installation: string): Promise<Remote> {
      const env = {
        KB_GITHUB_APP_ID: '4711',
        KB_GITHUB_APP_INSTALLATION_ID: installation,
        KB_GITHUB_APP_PRIVATE_KEY_FILE: join(home, 'key.pem'),
        KB_GITHUB_API_URL: apiUrl,
      };
      return open(`${server.url}/kb.git`, { env });
    }

    it('its key gets a token of the installation, kept in memory until it ends', async () => {
      const body = (expires: number): string =>
        JSON.stringify({ token: 'installation-token', expires_at: new Date(expires).toISOString() });
      answer = { status: 201, body: body(Date.now() + 3_600_000) };
      await (await connect('1')).discover('read', []);
      await (await connect('1')).discover('write', []);
      expect(seen.map(({ method, url }) => [method, url])).toEqual([
        ['POST', '/api/v3/app/installations/1/access_tokens'],
      ]);
      const [header = '', claims = '', signature = ''] = (seen[0]?.headers.authorization ?? '')
        .replace('Bearer ', '')
        .split('.');
      expect(
        verify('RSA-SHA256', Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, 'base64url')),
      ).toBe(true);
      const { iss, iat, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, number>;
      expect(iss).toBe('4711');
      expect((exp ?? 0) - (iat ?? 0)).toBeLessThanOrEqual(600);

      answer = { status: 201, body: body(Date.now() + 1000) };
      await (await connect('2')).discover('read', []);
      await (await connect('2')).discover('read', []);
      expect(seen).toHaveLength(3);
    });

    it('what the API refuses is told, and its proof follows no redirect', async () => {
      answer = { status: 404, body: '{"message":"Integration not found"}' };
      expect((await refusal(connect('3'))).message).toContain('HTTP status 404: Integration not found');
      answer = { status: 307, body: '', headers: { Location: `${server.url}/app/installations/3/access_tokens` } };
      server.reset();
      expect((await refusal(connect('3'))).message).toContain('redirects');
      expect(server.requests.every(({ path }) => !path.includes('installations'))).toBe(true);
    });
  });

  describe('answers of hosts', () => {
    const as = (status: number, body: string, headers: Record<string, string> = {}): Fault => ({
      kind: 'status',
      status,
      body,
      headers,
    });
    it.each<[string, Fault, Record<string, unknown>, RegExp]>([
      [
        'GitHub: a token that is wrong',
        as(401, 'Invalid username or token. Password authentication is not supported for Git operations.'),
        { code: 'E_AUTH' },
        /credentials from KB_GIT_AUTH_TOKEN were refused.*Invalid username or token/,
      ],
      ['GitLab: the same', as(401, 'HTTP Basic: Access denied.'), { code: 'E_AUTH' }, /Access denied/],
      [
        'GitHub: no right to write',
        as(403, 'Write access to repository not granted.'),
        { code: 'E_AUTH', details: expect.objectContaining({ reason: 'no_write_access' }) as object },
        /does not allow this.*KB_GIT_AUTH_TOKEN/,
      ],
      [
        'GitLab: no right to write',
        as(403, 'You are not allowed to push code to this project.'),
        { hint: expect.stringContaining('right to write') as string },
        /not allowed to push/,
      ],
      [
        'Gitea: no right to write',
        as(403, '{"message":"User permission denied for writing."}', { 'Content-Type': 'application/json' }),
        { hint: expect.stringContaining('right to write') as string },
        /denied for writing/,
      ],
      [
        'GitHub: single sign-on',
        as(403, 'The organization has enabled or enforced SAML SSO.', {
          'X-GitHub-SSO': 'required; url=https://github.com/orgs/acme/sso?authorization_request=abc',
        }),
        { code: 'E_AUTH', hint: expect.stringContaining('https://github.com/orgs/acme/sso') as string },
        /single sign-on/,
      ],
      [
        'a limit of requests with 403',
        as(403, 'API rate limit exceeded', {
          'X-RateLimit-Remaining': '0',
          'X-RateLimit-Reset': String(Math.floor(Date.now() / 1000) + 3600),
        }),
        {
          code: 'E_NETWORK',
          retryable: true,
          details: expect.objectContaining({ retryAfterMs: expect.any(Number) as number }) as object,
        },
        /limits requests/,
      ],
      ['a limit of requests with 429', as(429, '', { 'Retry-After': '3600' }), { code: 'E_NETWORK' }, /in 3600 s/],
      ['GitHub: not to be seen', as(404, 'Repository not found.'), { code: 'E_AUTH' }, /not visible/],
    ])('%s', async (_, fault, expected, message) => {
      await serve({ auth: { token: 'fine' }, faults: () => fault });
      const error = await refusal(open(`${server.url}/kb.git`, { env: { KB_GIT_AUTH_TOKEN: 'fine' } }));
      expect(error).toMatchObject(expected);
      expect(error.message).toMatch(message);
    });

    it('a short limit is waited for', async () => {
      await serve({ auth: { token: 'fine' } });
      server.faults = ({ number }) => (number === 1 ? as(403, 'slow down', { 'Retry-After': '1' }) : undefined);
      const slept: number[] = [];
      const clock = {
        now: () => performance.now(),
        sleep: (ms: number): Promise<void> => {
          slept.push(ms);
          return Promise.resolve();
        },
      };
      await (await open(`${server.url}/kb.git`, { env: { KB_GIT_AUTH_TOKEN: 'fine' }, clock })).discover('read', []);
      expect(slept).toEqual([1000]);
    });
  });

  describe('http.extraHeader', () => {
    it('goes with every request, several of a name too; an Authorization stands for the credentials', async () => {
      const basic = Buffer.from(`${USER}:${PASSWORD}`).toString('base64');
      config(
        `[http]\n\textraHeader = X-Never: there\n\textraHeader =\n\textraHeader = X-One: a\n\textraHeader = X-One: b\n` +
          `[http "http://127.0.0.1"]\n\textraHeader = X-Other-Port: c\n`,
      );
      await serve();
      writeFileSync(
        join(home, '.gitconfig'),
        `${readFileSync(join(home, '.gitconfig'), 'utf8')}[http "${server.url}"]\n\textraHeader = AUTHORIZATION: Basic ${basic}\n`,
      );
      await (await open(`${server.url}/kb.git`)).discover('read', []);
      const [ours] = server.requests;
      server.reset();
      await promisify(execFile)('git', ['ls-remote', `${server.url}/kb.git`], {
        env: { ...gitEnvironment(), HOME: home },
      });
      const native = server.requests[0];
      for (const name of ['x-one', 'x-never', 'x-other-port', 'authorization'])
        expect([name, ours?.headers[name]]).toEqual([name, native?.headers[name]]);
      expect(ours?.headers['x-one']).toBe('a, b');
      expect(ours?.status).toBe(200);
    });

    it('goes to no other origin, and is in no message', async () => {
      const other = await serve({ auth: { token: 'other' } });
      await serve({ faults: ({ path }) => ({ kind: 'redirect', location: `${other.url}${path}` }) });
      config('[http]\n\textraHeader = "X-Key: a-secret-in-a-header"\n');
      const error = await refusal(open(`${server.url}/kb.git`));
      expect(error.message).toContain('redirect led to another host');
      expect(server.requests[0]?.headers['x-key']).toBe('a-secret-in-a-header');
      expect(other.requests.length).toBeGreaterThan(0);
      for (const { headers } of other.requests) expect(JSON.stringify(headers)).not.toContain('a-secret');

      config('[http]\n\textraHeader = "a-secret-without-a-name"\n');
      await expect(open(`${server.url}/kb.git`)).rejects.toMatchObject({
        message: expect.stringMatching(/^(?!.*a-secret).*http\.extraHeader/) as string,
      });
    });
  });
});
