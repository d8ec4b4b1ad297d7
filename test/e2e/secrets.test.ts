import { execFileSync } from 'node:child_process';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashObject } from '../../src/git/objects/object.js';
import { hasOpenssl, TestAuthority } from '../support/certificates.js';
import { startForwardProxy, type ForwardProxy } from '../support/forward-proxy.js';
import {
  createBareRepository,
  hasGitHttpBackend,
  startGitServer,
  type ServedRequest,
} from '../support/http-backend.js';
import type { KbRun } from '../support/kb.js';
import { git, makeTemporaryDirectory } from '../support/native-git.js';
import { SecretSite, type Planting, type Seen } from '../support/secret-site.js';
import { SecretSweep } from '../support/secret-sweep.js';

const SECRET = 'planted-secret+0123456789/abc';
const USER = 'ann';
const USERINFO = `${USER}:${encodeURIComponent(SECRET)}@`;
const BASIC = `Basic ${Buffer.from(`${USER}:${SECRET}`).toString('base64')}`;
const HELPER = '[credential]\n\thelper = $SEEN/helper\n';
const sweep = new SecretSweep(SECRET, [USER, 'x-access-token', 'oauth2']);

/** Where it was put: not a place where it leaked to. */
const PLANTED = /(^|\/)(\.gitconfig|\.netrc|\.git-credentials|\.config\/kb\/config\.yaml)$/;
/** What the user starts with kb gets the user's environment as it is; so do kb's own processes in the foreground. */
const USERS_OWN = new Set(['editor', 'work', 'kb']);

/** The first line of what is found anywhere; empty where nothing is. */
function leaks(site: SecretSite, ownFiles: RegExp = PLANTED): string[] {
  const inOutputs = site.outputs.filter((output) => sweep.holds(output));
  const inFiles = [site.place, site.home, site.temporary].flatMap((place) => sweep.holders(place, ownFiles));
  const inProcesses = site
    .seen()
    .flatMap(({ program, args, env }: Seen) => [
      ...(sweep.holds(args.replace(/\bclone https:\/\/\S+/, '')) ? [`arguments of ${program}: ${args}`] : []),
      ...(!USERS_OWN.has(program) && sweep.holds(env) ? [`environment of ${program}: ${env}`] : []),
    ]);
  return [...inOutputs, ...inFiles, ...inProcesses];
}

describe.skipIf(!hasGitHttpBackend() || !hasOpenssl || !existsSync('/proc/self'))(
  'a secret is told nowhere (needs native git with http-backend, openssl and /proc)',
  () => {
    let tokenFile: string;
    let appKey: string;
    let authority: TestAuthority;
    let proxy: ForwardProxy;
    /** Another origin, and what came to it. */
    const foreign = { url: '', heard: [] as string[], close: (): void => undefined };

    beforeAll(async () => {
      tokenFile = join(makeTemporaryDirectory(), 'token');
      writeFileSync(tokenFile, `${SECRET}\n`, { mode: 0o600 });
      authority = new TestAuthority(makeTemporaryDirectory());
      appKey = join(makeTemporaryDirectory(), 'app.pem');
      execFileSync('openssl', ['genrsa', '-traditional', '-out', appKey, '2048'], { stdio: 'ignore' });
      proxy = await startForwardProxy({ login: `${USER}:${SECRET}` });
      const { key, cert } = authority.issue('IP:127.0.0.1');
      const server = createServer({ key, cert }, (request, response) => {
        foreign.heard.push(`${request.url} ${JSON.stringify(request.headers)}`);
        response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="elsewhere"' }).end();
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      foreign.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
      foreign.close = () => void server.close();
    });
    afterAll(async () => {
      foreign.close();
      await proxy.close();
    });

    const sources: readonly [string, (host: string) => Planting][] = [
      ['the URL', () => ({ userinfo: USERINFO, isGoneAfterClone: true })],
      ['the URL as a name alone', () => ({ userinfo: `${encodeURIComponent(SECRET)}@`, isGoneAfterClone: true })],
      ['KB_GIT_AUTH_TOKEN', () => ({ env: { KB_GIT_AUTH_TOKEN: SECRET }, gitConfig: HELPER })],
      [
        'KB_GIT_REPO_URL',
        (host) => ({
          userinfo: USERINFO,
          env: { KB_GIT_REPO_URL: `https://${USERINFO}${host}/kb.git` },
          gitConfig: HELPER,
        }),
      ],
      ['GITHUB_TOKEN', () => ({ env: { GITHUB_TOKEN: SECRET } })],
      ['GH_TOKEN', () => ({ env: { GH_TOKEN: SECRET } })],
      ['GITLAB_TOKEN', () => ({ env: { GITLAB_TOKEN: SECRET } })],
      [
        'hosts: a variable',
        (host) => ({ env: { MY_OWN_TOKEN: SECRET }, userConfig: `hosts:\n  "${host}":\n    tokenEnv: MY_OWN_TOKEN\n` }),
      ],
      ['hosts: a file', (host) => ({ userConfig: `hosts:\n  "${host}":\n    tokenFile: $TOKEN\n` })],
      ['hosts: a command', (host) => ({ userConfig: `hosts:\n  "${host}":\n    tokenCommand: [$SEEN/printer]\n` })],
      ['a password file', () => ({ env: { KB_GIT_PASSWORD_FILE: tokenFile } })],
      ['a credential helper', () => ({ gitConfig: HELPER })],
      [
        'a snippet of a credential helper',
        () => ({
          gitConfig: `[credential]\n\thelper = "!f() { $SEEN/helper $1; }; : ${SECRET}; f"\n`,
        }),
      ],
      ['~/.netrc', () => ({ netrc: `machine 127.0.0.1 login ${USER} password ${SECRET}\n` })],
      ['http.extraHeader', () => ({ gitConfig: `[http]\n\textraHeader = "Authorization: ${BASIC}"\n` })],
      ['insteadOf', (host) => ({ gitConfig: `[url "https://${USERINFO}${host}/"]\n\tinsteadOf = https://${host}/\n` })],
      [
        'a proxy of the environment',
        () => ({ env: { https_proxy: `http://${USERINFO}${proxy.address}` }, isProxys: true }),
      ],
      ['http.proxy', () => ({ gitConfig: `[http]\n\tproxy = http://${USERINFO}${proxy.address}\n`, isProxys: true })],
      [
        'a token that a GitHub App was given',
        (host) => ({
          userConfig: `hosts:\n  "${host}":\n    githubApp: { id: 4711, installation: 42, privateKeyFile: ${appKey}, apiUrl: "https://${host}/api" }\n`,
        }),
      ],
    ];

    it.each(sources)(
      'planted in %s',
      async (_, plant) => {
        const root = makeTemporaryDirectory();
        createBareRepository(root, 'kb.git');
        const { isProxys = false, userinfo = '' } = plant('');
        const auth = isProxys ? {} : { auth: { token: SECRET } };
        const server = await startGitServer({ root, tls: authority.issue('IP:127.0.0.1'), ...auth });
        const host = new URL(server.url).host;
        const { isGoneAfterClone = false, ...planting } = plant(host);
        const site = new SecretSite(planting, tokenFile, { GIT_SSL_CAINFO: authority.file, KB_NO_AUTO_GC: '1' });
        const app = ({ path }: ServedRequest): { kind: 'status'; status: number; body: string } | undefined =>
          path.startsWith('/api/')
            ? {
                kind: 'status',
                status: 201,
                body: JSON.stringify({ token: SECRET, expires_at: new Date(Date.now() + 3_600_000).toISOString() }),
              }
            : undefined;
        server.faults = app;
        const clone = join(site.place, 'clone');
        const expectOk = async (directory: string, ...args: string[]): Promise<KbRun> => {
          const run = await site.kb(directory, ...args);
          expect([args[0], run.code, run.code === 0 ? '' : run.stderr]).toEqual([args[0], 0, '']);
          expect(leaks(site)).toEqual([]);
          return run;
        };
        try {
          if (userinfo === `${encodeURIComponent(SECRET)}@`) {
            // A name alone: this server wants a password, and says back the name.
            server.faults = echo(401);
            expect((await site.kb(site.place, 'clone', `https://${userinfo}${host}/kb.git`, 'clone')).code).toBe(4);
            expect(leaks(site)).toEqual([]);
            return;
          }
          await expectOk(site.place, 'clone', `https://${userinfo}${host}/kb.git`, 'clone', '--verbose');
          if (!isGoneAfterClone) {
            await expectOk(clone, 'note', 'hello', '--path', 'a.md', '--verbose');
            await expectOk(clone, 'sync', '--json', '--verbose');
            await expectOk(clone, 'status', '--fetch', '--json');
            await expectOk(clone, 'doctor', '--verbose');
            await expectOk(clone, 'run', '--', join(site.seenDirectory, 'work'));
            await expectOk(clone, 'edit', 'a.md');
            await expectOk(clone, 'note', 'aside', '--session-branch', 'aside', '--json');
            await expectOk(clone, 'switch', 'aside');
            await expectOk(clone, 'switch', 'main');
            git(clone, ['fsck', '--strict']);
          } else {
            expect((await site.kb(clone, 'note', 'hello', '--path', 'a.md', '--verbose')).code).toBe(4);
          }
          await expectOk(clone, 'config');
          await expectOk(clone, 'config', '--json');
          await expectOk(clone, 'branch');
          await expectOk(clone, 'list', '--json');
          await expectOk(clone, 'gc');
          for (const status of [400, 401, 403, 404, 407, 413, 429, 500]) {
            server.faults = (request) => app(request) ?? echo(status)(request);
            const run = await site.kb(
              clone,
              'note',
              `status ${status}`,
              ...(status % 2 === 0 ? ['--json'] : []),
              '--verbose',
            );
            expect(run.code).not.toBe(0);
          }
          server.faults = (request) =>
            app(request) ?? { kind: 'redirect', location: `${foreign.url}${request.path}`, status: 307 };
          expect((await site.kb(clone, 'sync', '--verbose')).code).toBe(4);
          server.faults = (request) => app(request) ?? { kind: 'reset' };
          expect((await site.kb(clone, 'sync', '--verbose')).code).toBe(3);
          expect((await site.kb(clone, 'doctor', '--json')).code).toBe(10);
          server.faults = app;
          const crashed = await site.crash(clone, 'sync', '--verbose');
          if (!isProxys) expect([crashed.code, crashed.stderr]).toEqual([1, expect.stringContaining('TypeError')]);
          await site.kb(site.place, 'clone', `https://${userinfo}${host}/none.git`, 'none', '--json');
          expect(leaks(site)).toEqual([]);
          expect(site.seen().map(({ program }) => program)).toContain('kb');
          expect(foreign.heard.filter((heard) => sweep.holds(heard))).toEqual([]);
          const keyLines = readFileSync(appKey, 'utf8')
            .split('\n')
            .filter((line) => line.length === 64);
          expect(site.outputs.filter((output) => keyLines.some((line) => output.includes(line)))).toEqual([]);
        } finally {
          await server.close();
        }
      },
      180_000,
    );

    it('the sweep finds what leaks: in each form, in each place', async () => {
      const site = new SecretSite({}, tokenFile, {});
      const forms = [
        SECRET,
        encodeURIComponent(SECRET),
        Buffer.from(SECRET).toString('base64'),
        BASIC,
        Buffer.from(`oauth2:${SECRET}`).toString('base64url'),
        JSON.stringify({ SECRET }),
      ];
      for (const form of forms) {
        site.outputs.splice(0, Infinity, `something ${form} else`);
        expect([form, leaks(site).length]).toEqual([form, 1]);
      }
      site.outputs.length = 0;
      for (const place of [site.home, site.place, site.temporary])
        mkdirSync(join(place, 'deep/er'), { recursive: true });
      writeFileSync(join(site.place, 'deep/er/config'), `url = https://${USERINFO}host/`);
      writeFileSync(join(site.home, 'deep', Buffer.from(SECRET).toString('hex')), '');
      writeFileSync(join(site.temporary, 'deep/er/log'), SECRET);
      writeFileSync(join(site.seenDirectory, 'helper.1.env'), `X=${SECRET}`);
      writeFileSync(join(site.seenDirectory, 'helper.1.args'), `get ${SECRET}`);
      expect(leaks(site)).toHaveLength(5);
      // The recording is that of the real streams and processes.
      await site.kb(site.place, 'note', SECRET);
      expect(leaks(site).filter((leak) => leak.startsWith('arguments of kb'))).toHaveLength(1);
    });

    it('kb gc in the background knows no secret at all', async () => {
      const root = makeTemporaryDirectory();
      const remote = createBareRepository(root, 'kb.git');
      const site = new SecretSite(
        {
          env: {
            KB_GIT_AUTH_TOKEN: SECRET,
            GITHUB_TOKEN: SECRET,
            KB_GIT_REPO_URL: `https://${USERINFO}host/kb.git`,
            https_proxy: `http://${USERINFO}host:1`,
            MY_API_KEY: SECRET,
          },
          gitConfig: '[gc]\n\tauto = 1\n',
        },
        tokenFile,
        {},
      );
      await site.kb(site.place, 'clone', remote, 'clone');
      const clone = join(site.place, 'clone');
      // Git, and kb, estimate the number of loose objects by those whose id begins with 17.
      for (let number = 0, found = 0; found < 3; number += 1) {
        const oid = hashObject('blob', Buffer.from(String(number)));
        if (!oid.startsWith('17')) continue;
        git(clone, ['hash-object', '-w', '--stdin'], { input: String(number) });
        found += 1;
      }
      expect((await site.kb(clone, 'note', 'hello')).stderr).not.toContain('Error');
      const isThere = (): boolean => site.seen().some(({ program }) => program === 'gc');
      for (let waited = 0; waited < 100 && !isThere(); waited += 1)
        await new Promise((resolve) => setTimeout(resolve, 50));
      expect(site.seen().map(({ program }) => program)).toContain('gc');
      expect(leaks(site)).toEqual([]);
    });
  },
);

/** A host that says back what it was sent, as it came and taken apart. */
function echo(status: number): (request: ServedRequest) => {
  kind: 'status';
  status: number;
  body: string;
  headers: Readonly<Record<string, string>>;
} {
  return ({ headers }) => {
    const sent = headers.authorization ?? '';
    const [, encoded = ''] = sent.split(' ');
    const plain = Buffer.from(encoded, 'base64').toString();
    return {
      kind: 'status',
      status,
      body: `no: ${sent} ${plain} ${plain.split(':').slice(1).join(':')} ${encodeURIComponent(plain)}`,
      headers: { 'WWW-Authenticate': 'Basic realm="x"' },
    };
  };
}
