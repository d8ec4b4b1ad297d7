import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasOpenssl, TestAuthority } from '../support/certificates.js';
import { startForwardProxy, type ForwardProxy } from '../support/forward-proxy.js';
import { createBareRepository, hasGitHttpBackend, startGitServer } from '../support/http-backend.js';
import { kb, type KbRun } from '../support/kb.js';
import { git, makeTemporaryDirectory } from '../support/native-git.js';

const SECRET = 'planted-secret+0123456789/abc';
const USER = 'ann';

/** Every form in which it could be told. */
const FORMS = [
  SECRET,
  encodeURIComponent(SECRET),
  Buffer.from(SECRET).toString('base64').replace(/=+$/, ''),
  ...[USER, 'x-access-token', 'oauth2'].map((user) =>
    Buffer.from(`${user}:${SECRET}`).toString('base64').replace(/=+$/, ''),
  ),
];

let tokenFile: string;
let authority: TestAuthority;
let proxy: ForwardProxy;

interface Planting {
  readonly env?: Readonly<Record<string, string>>;
  /** Of `~/.gitconfig`. */
  readonly gitConfig?: string;
  readonly userConfig?: string;
  readonly netrc?: string;
  /** Of the URL that is cloned. */
  readonly userinfo?: string;
  /** The secret is the proxy's: the server lets everybody in. */
  readonly isProxys?: boolean;
}

/** A user whose secret is in one place, and a program of each kind that writes down what it was given. */
class Site {
  readonly home = makeTemporaryDirectory();
  readonly place = makeTemporaryDirectory();
  readonly seen = makeTemporaryDirectory();
  readonly outputs: string[] = [];

  constructor(private readonly planting: Planting) {
    const { gitConfig = '', userConfig, netrc } = planting;
    writeFileSync(join(this.home, '.gitconfig'), gitConfig.replaceAll('$SEEN', this.seen));
    if (netrc !== undefined) writeFileSync(join(this.home, '.netrc'), netrc);
    if (userConfig !== undefined) {
      mkdirSync(join(this.home, '.config/kb'), { recursive: true });
      writeFileSync(join(this.home, '.config/kb/config.yaml'), userConfig.replaceAll('$SEEN', this.seen));
    }
    this.program('editor', `echo edited >> "$1"`);
    this.program('helper', `[ "$1" = get ] && printf 'username=${USER}\\npassword=%s\\n' "$(cat '${tokenFile}')"`);
    this.program('printer', `cat '${tokenFile}'`);
    this.program('work', 'echo worked >> worked.md');
  }

  async kb(directory: string, ...args: string[]): Promise<KbRun> {
    const run = await kb(directory, args, {
      env: {
        HOME: this.home,
        PATH: process.env['PATH'],
        GIT_SSL_CAINFO: authority.file,
        EDITOR: join(this.seen, 'editor'),
        KB_LOG_LEVEL: 'debug',
        KB_NO_AUTO_GC: '1',
        ...this.planting.env,
      },
    });
    this.outputs.push(`kb ${args[0]}: ${run.stdout}\n${run.stderr}`);
    return run;
  }

  /** Arguments and environment of every program that kb has started, and kb's own arguments. */
  processes(): { args: string; environments: string } {
    const read = (kind: string): string =>
      readdirSync(this.seen)
        .filter((name) => name.endsWith(`.${kind}`))
        .map((name) => readFileSync(join(this.seen, name), 'latin1'))
        .join('\n');
    return { args: read('args'), environments: read('env') };
  }

  private program(name: string, body: string): void {
    const path = join(this.seen, name);
    const log = `'${this.seen}/${name}'.$$`;
    writeFileSync(
      path,
      `#!/bin/sh\n{ echo "$@"; tr '\\0' ' ' < /proc/$PPID/cmdline; } > ${log}.args\nenv > ${log}.env\n${body}\nexit 0\n`,
    );
    chmodSync(path, 0o755);
  }
}

/** All files below, with what is in them; those where the secret was planted left out. */
function holders(directory: string): string[] {
  const planted = /(^|\/)(\.gitconfig|\.netrc|config\.yaml)$/;
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !planted.test(path) && holds(readFileSync(path, 'latin1')));
}

function holds(text: string): boolean {
  return FORMS.some((form) => text.includes(form));
}

describe.skipIf(!hasGitHttpBackend() || !hasOpenssl || !existsSync('/proc/self'))(
  'a secret is told nowhere (needs native git with http-backend, openssl and /proc)',
  () => {
    beforeAll(async () => {
      tokenFile = join(makeTemporaryDirectory(), 'token');
      writeFileSync(tokenFile, `${SECRET}\n`);
      authority = new TestAuthority(makeTemporaryDirectory());
      proxy = await startForwardProxy({ login: `${USER}:${SECRET}` });
    });
    afterAll(async () => {
      await proxy.close();
    });

    it.each<[string, (host: string) => Planting]>([
      ['the URL', () => ({ userinfo: `${USER}:${encodeURIComponent(SECRET)}@` })],
      ['KB_GIT_AUTH_TOKEN', () => ({ env: { KB_GIT_AUTH_TOKEN: SECRET } })],
      [
        'KB_GIT_REPO_URL',
        (host) => ({
          userinfo: `${USER}:${encodeURIComponent(SECRET)}@`,
          env: { KB_GIT_REPO_URL: `https://${USER}:${encodeURIComponent(SECRET)}@${host}/kb.git` },
        }),
      ],
      ['GITHUB_TOKEN', () => ({ env: { GITHUB_TOKEN: SECRET } })],
      ['GITLAB_TOKEN', () => ({ env: { GITLAB_TOKEN: SECRET } })],
      [
        'hosts: a variable',
        (host) => ({ env: { MY_OWN: SECRET }, userConfig: `hosts:\n  "${host}":\n    tokenEnv: MY_OWN\n` }),
      ],
      ['hosts: a file', (host) => ({ userConfig: `hosts:\n  "${host}":\n    tokenFile: ${tokenFile}\n` })],
      ['hosts: a command', (host) => ({ userConfig: `hosts:\n  "${host}":\n    tokenCommand: [$SEEN/printer]\n` })],
      ['a password file', () => ({ env: { KB_GIT_PASSWORD_FILE: tokenFile } })],
      ['a credential helper', () => ({ gitConfig: '[credential]\n\thelper = $SEEN/helper\n' })],
      ['~/.netrc', () => ({ netrc: `machine 127.0.0.1 login ${USER} password ${SECRET}\n` })],
      [
        'http.extraHeader',
        () => ({
          gitConfig: `[http]\n\textraHeader = "Authorization: Basic ${Buffer.from(`${USER}:${SECRET}`).toString('base64')}"\n`,
        }),
      ],
      [
        'insteadOf',
        (host) => ({
          gitConfig: `[url "https://${USER}:${encodeURIComponent(SECRET)}@${host}/"]\n\tinsteadOf = https://${host}/\n`,
        }),
      ],
      [
        'a proxy',
        () => ({
          env: { https_proxy: `http://${USER}:${encodeURIComponent(SECRET)}@${proxy.address}` },
          isProxys: true,
        }),
      ],
    ])(
      'planted in %s',
      async (name, plant) => {
        const root = makeTemporaryDirectory();
        createBareRepository(root, 'kb.git');
        const { isProxys = false, userinfo = '', env } = plant('');
        const auth = isProxys ? {} : { auth: { token: SECRET } };
        const server = await startGitServer({ root, tls: authority.issue('IP:127.0.0.1'), ...auth });
        try {
          const own = new URL(server.url).host;
          const site = new Site(plant(own));
          const clone = join(site.place, 'clone');
          const expectOk = async (directory: string, ...args: string[]): Promise<KbRun> => {
            const run = await site.kb(directory, ...args);
            expect([args[0], run.code, run.code === 0 ? '' : run.stderr]).toEqual([args[0], 0, '']);
            return run;
          };
          await expectOk(site.place, 'clone', `https://${userinfo}${own}/kb.git`, 'clone', '--verbose');
          // What the URL held is taken out of it, and is nowhere afterwards; the commands that need it are the next ones'.
          const hasAccess = name !== 'the URL';
          if (hasAccess) {
            await expectOk(clone, 'note', 'hello', '--path', 'a.md', '--verbose');
            await expectOk(clone, 'sync', '--json', '--verbose');
            await expectOk(clone, 'status', '--fetch', '--json');
            await expectOk(clone, 'doctor', '--verbose');
            await expectOk(clone, 'run', '--', join(site.seen, 'work'));
            await expectOk(clone, 'edit', 'a.md');
            git(clone, ['fsck', '--strict']);
          } else {
            await site.kb(clone, 'note', 'hello', '--path', 'a.md', '--verbose');
          }
          await expectOk(clone, 'config');
          await site.kb(clone, 'config', '--json');
          for (const status of [401, 403, 404, 407, 429, 500]) {
            server.faults = () => ({
              kind: 'status',
              status,
              // A host that says back what it was sent.
              body: `no: ${SECRET}`,
              headers: { 'WWW-Authenticate': 'Basic realm="x"' },
            });
            expect((await site.kb(clone, 'sync', '--verbose')).code).not.toBe(0);
          }
          expect((await site.kb(clone, 'doctor', '--json')).code).toBe(10);
          await site.kb(site.place, 'clone', `https://${userinfo}${own}/none.git`, 'none', '--json');

          for (const output of site.outputs) expect(holds(output) ? output : '').toBe('');
          expect(holders(site.place)).toEqual([]);
          expect(holders(site.home)).toEqual([]);
          const { args, environments } = site.processes();
          expect(args).not.toBe('');
          // Of kb's own arguments the URL that was typed is the only place where it may be.
          expect(holds(args)).toBe(false);
          if (env === undefined) expect(holds(environments)).toBe(false);
        } finally {
          await server.close();
        }
      },
      120_000,
    );
  },
);
