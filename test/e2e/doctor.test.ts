import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBareRepository, hasGitHttpBackend, startGitServer, type GitServer } from '../support/http-backend.js';
import { kb, kbOk, type KbOptions } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { openSsh, startSshd, type Sshd } from '../support/sshd.js';

interface Line {
  readonly check: string;
  readonly status: string;
  readonly text: string;
  readonly mend: string | null;
}

/** What `kb doctor --json` says, and that each line that is not in order says how to mend it. */
async function doctor(
  directory: string,
  args: readonly string[] = [],
  options: KbOptions = {},
): Promise<{ code: number | null; lines: readonly Line[]; told: (check: string, status: string) => string }> {
  const run = await kb(directory, ['doctor', '--json', ...args], options);
  const json = run.json();
  const error = json['error'] as { code: string; details: { checks?: Line[] } } | undefined;
  if (error !== undefined) expect([error.code, run.code]).toEqual(['E_UNHEALTHY', 10]);
  const lines = (error?.details.checks ?? json['checks']) as Line[];
  for (const { status, text, mend } of lines) {
    expect([status, text, mend !== null]).toEqual([status, text, status !== 'ok']);
    if (mend !== null) expect(mend).not.toBe('');
  }
  expect(run.code).toBe(lines.some(({ status }) => status === 'problem') ? 10 : 0);
  return {
    code: run.code,
    lines,
    told: (check, status) =>
      lines
        .filter((line) => line.check === check && line.status === status)
        .map(({ text, mend }) => (mend === null ? text : `${text} -> ${mend}`))
        .join('\n'),
  };
}

describe.skipIf(!nativeGit.available)('kb doctor in a KB (needs native git)', () => {
  let remote: string;

  async function freshKb(): Promise<string> {
    const place = makeTemporaryDirectory();
    remote = join(place, 'remote.git');
    await kbOk(place, ['init', 'kb', '--remote', remote]);
    const directory = join(place, 'kb');
    await kbOk(directory, ['note', 'first', '--path', 'a.md']);
    await kbOk(directory, ['note', 'second', '--path', 'b.md']);
    return directory;
  }

  it('finds nothing wrong with a sound one, changes nothing, and names each thing that it looked at', async () => {
    const directory = await freshKb();
    git(directory, ['gc', '--quiet']);
    const before = [readdirSync(join(directory, '.git')), git(directory, ['for-each-ref'])];
    const { code, lines } = await doctor(directory);
    expect(code).toBe(0);
    expect(lines.filter(({ status }) => status !== 'ok')).toEqual([]);
    expect([...new Set(lines.map(({ check }) => check))]).toEqual([
      'kb',
      'configuration',
      'permissions',
      'disk',
      'repository',
      'lock',
      'unsupported',
      'reachability',
      'clock',
    ]);
    expect([readdirSync(join(directory, '.git')), git(directory, ['for-each-ref'])]).toEqual(before);
    const text = await kbOk(directory, ['doctor']);
    expect(text.stdout).toMatch(/^ok {7}kb: the KB in /m);
    expect(text.stdout).toMatch(/can be pushed to/);
  });

  it.each<[string, (directory: string) => void, string, 'warning' | 'problem', RegExp]>([
    [
      'a pack that was cut off',
      (directory) => {
        git(directory, ['gc', '--quiet']);
        const folder = join(directory, '.git/objects/pack');
        const pack = join(folder, readdirSync(folder).find((name) => name.endsWith('.pack')) as string);
        chmodSync(pack, 0o644);
        truncateSync(pack, readFileSync(pack).length - 7);
      },
      'repository',
      'problem',
      /pack-.*\.pack is damaged: its end .*-> clone the KB again/,
    ],
    [
      'a pack without its index',
      (directory) => {
        git(directory, ['gc', '--quiet']);
        const folder = join(directory, '.git/objects/pack');
        unlinkSync(join(folder, readdirSync(folder).find((name) => name.endsWith('.idx')) as string));
      },
      'repository',
      'warning',
      /has no index.*-> git index-pack/,
    ],
    [
      'an index with a flipped bit',
      (directory) => {
        const file = join(directory, '.git/index');
        const bytes = readFileSync(file);
        bytes[20] = (bytes[20] as number) ^ 1;
        writeFileSync(file, bytes);
      },
      'repository',
      'problem',
      /index.* checksum/,
    ],
    [
      'a file of the index that is not stored',
      (directory) => {
        const oid = git(directory, ['rev-parse', 'HEAD:a.md']).trim();
        unlinkSync(join(directory, '.git/objects', oid.slice(0, 2), oid.slice(2)));
      },
      'repository',
      'problem',
      /the index names 1 objects that are not stored/,
    ],
    [
      'a ref to nowhere',
      (directory) => writeFileSync(join(directory, '.git/refs/heads/gone'), `${'1'.repeat(40)}\n`),
      'repository',
      'problem',
      /refs\/heads\/gone leads to 1111/,
    ],
    [
      'a merge that git has not finished',
      (directory) => writeFileSync(join(directory, '.git/MERGE_HEAD'), git(directory, ['rev-parse', 'HEAD'])),
      'repository',
      'problem',
      /git merge.*-> .*git merge --abort/,
    ],
    [
      'a lock file of git',
      (directory) => writeFileSync(join(directory, '.git/HEAD.lock'), ''),
      'lock',
      'warning',
      /HEAD\.lock.*-> .*kb unlock/,
    ],
    [
      'a detached HEAD',
      (directory) => git(directory, ['checkout', '--quiet', '--detach']),
      'configuration',
      'problem',
      /HEAD.*-> /,
    ],
    [
      'a submodule',
      (directory) => {
        const head = git(directory, ['rev-parse', 'HEAD']).trim();
        git(directory, ['update-index', '--add', '--cacheinfo', `160000,${head},sub`]);
      },
      'unsupported',
      'warning',
      /the submodule sub is left as it is -> .*git submodule update/,
    ],
    [
      'a hook of git',
      (directory) => {
        mkdirSync(join(directory, '.git/hooks'), { recursive: true });
        writeFileSync(join(directory, '.git/hooks/pre-commit'), '#!/bin/sh\n', { mode: 0o755 });
      },
      'unsupported',
      'warning',
      /not run by kb: pre-commit/,
    ],
    [
      'no remote',
      (directory) => git(directory, ['remote', 'remove', 'origin']),
      'kb',
      'warning',
      /has no remote.*-> .*git remote add/,
    ],
    [
      'a remote that is gone',
      (directory) => git(directory, ['remote', 'set-url', 'origin', join(directory, 'nowhere.git')]),
      'reachability',
      'problem',
      /nowhere\.git/,
    ],
    [
      'another form of repository',
      (directory) => git(directory, ['config', 'core.repositoryformatversion', '7']),
      'kb',
      'problem',
      /repository format 7/,
    ],
    ['a damaged HEAD', (directory) => writeFileSync(join(directory, '.git/HEAD'), 'what?\n'), 'kb', 'problem', /HEAD/],
    [
      'settings that cannot be read',
      (directory) => writeFileSync(join(directory, 'kb.yaml'), 'remote: [\n'),
      'kb',
      'problem',
      /kb\.yaml/,
    ],
    [
      'a commit of tomorrow',
      (directory) => {
        const tomorrow = new Date(Date.now() + 3 * 86_400_000).toISOString();
        git(directory, ['commit', '--quiet', '--allow-empty', '-m', 'x'], { env: { GIT_COMMITTER_DATE: tomorrow } });
      },
      'clock',
      'warning',
      /dated 3 days in the future/,
    ],
  ])('says what is wrong with %s, and how to mend it', async (_, damage, check, status, message) => {
    const directory = await freshKb();
    damage(directory);
    const { told, lines } = await doctor(directory);
    expect([told(check, status), lines]).toEqual([expect.stringMatching(message), lines]);
  });

  it('a lock that a killed kb left', async () => {
    const directory = await freshKb();
    const killed = kb(directory, ['run', '--', process.execPath, '-e', 'process.kill(process.ppid, "SIGKILL")']);
    expect((await killed).signal).toBe('SIGKILL');
    const { told } = await doctor(directory);
    expect(told('lock', 'warning')).toMatch(/was left by .* who is gone -> .*kb unlock/);
    expect(told('repository', 'warning')).toMatch(/was killed before it was done -> .*kb sync/);
  });

  it('nobody to sign as: a problem, with what to set', async () => {
    const directory = await freshKb();
    const { told } = await doctor(directory, [], { env: { GIT_AUTHOR_NAME: undefined, GIT_AUTHOR_EMAIL: undefined } });
    expect(told('configuration', 'problem')).toMatch(
      /nobody to sign as.*-> set it with: git config --global user\.name/,
    );
  });

  it('a remote that is switched off is not asked', async () => {
    const directory = await freshKb();
    const { told, lines } = await doctor(directory, [], { env: { KB_GIT_ENABLED: 'false' } });
    expect(told('configuration', 'warning')).toMatch(/KB_GIT_ENABLED is false/);
    expect(lines.map(({ check }) => check)).not.toContain('reachability');
  });

  it.skipIf(process.platform === 'win32')('a file of secrets that others may read', async () => {
    const home = makeTemporaryDirectory();
    writeFileSync(join(home, '.netrc'), 'machine example.com login a password b\n', { mode: 0o644 });
    const { told } = await doctor(makeTemporaryDirectory(), [], { env: { HOME: home } });
    expect(told('permissions', 'warning')).toMatch(/\.netrc holds secrets.*-> chmod 600/);
    chmodSync(join(home, '.netrc'), 0o600);
    expect((await doctor(makeTemporaryDirectory(), [], { env: { HOME: home } })).told('permissions', 'warning')).toBe(
      '',
    );
  });

  it('what was named and is not there is the mistake of the command', async () => {
    const place = makeTemporaryDirectory();
    expect((await kb(place, ['doctor', '--kb', 'nowhere'])).code).toBe(8);
    expect((await kb(place, ['doctor', 'ext::sh'])).code).toBe(2);
  });
});

describe.skipIf(!hasGitHttpBackend())('kb doctor URL (needs native git with http-backend)', () => {
  const TOKEN = 'a-token-that-is-never-told';
  let server: GitServer;
  let place: string;

  beforeAll(async () => {
    const root = makeTemporaryDirectory();
    createBareRepository(root, 'kb.git');
    server = await startGitServer({ root, auth: { token: TOKEN } });
    place = makeTemporaryDirectory();
  });
  afterAll(() => server.close());

  it('outside of a KB: which source would be used, and that the remote lets it read and push', async () => {
    server.faults = undefined;
    const home = makeTemporaryDirectory();
    mkdirSync(join(home, '.config/kb'), { recursive: true });
    const host = new URL(server.url).host;
    writeFileSync(join(home, '.config/kb/config.yaml'), `hosts:\n  "${host}":\n    tokenEnv: MY_TOKEN\n`);
    appendFileSync(join(home, '.netrc'), `machine 127.0.0.1 login ann password ${TOKEN}\n`, { mode: 0o600 });
    const { code, told, lines } = await doctor(place, [`${server.url}/kb.git`], {
      env: { HOME: home, GITLAB_TOKEN: TOKEN, MY_TOKEN: TOKEN },
    });
    expect(code).toBe(0);
    expect(told('credentials', 'ok').split('\n')).toEqual([
      `hosts.${host} of the user configuration: sent to ${server.url}/kb.git first`,
      `GITLAB_TOKEN: sent to ${server.url}/kb.git when those before are refused`,
      `~/.netrc: sent to ${server.url}/kb.git when those before are refused`,
      expect.stringMatching(/^nothing in the URL, KB_GIT_AUTH_TOKEN, GITHUB_TOKEN, GH_TOKEN, /),
    ]);
    expect(told('reachability', 'ok')).toMatch(/can be read .*\n.*can be pushed to/);
    expect(told('clock', 'ok')).toMatch(/agrees with that of the remote/);
    expect(JSON.stringify(lines)).not.toContain(TOKEN);
  });

  it('KB_GIT_REPO_URL without a KB: its own credentials are found, sent and never told', async () => {
    const repoUrl = `${server.url.replace('://', `://ann:${TOKEN}@`)}/kb.git`;
    for (const args of [[], [`${server.url}/kb.git`]]) {
      const run = await doctor(place, args, { env: { KB_GIT_REPO_URL: repoUrl } });
      expect(run.told('credentials', 'ok')).toMatch(/^the URL: sent to .* first$/m);
      expect(run.code).toBe(0);
      expect(JSON.stringify(run.lines)).not.toContain(TOKEN);
    }
  });

  it('credentials that are refused, and none at all', async () => {
    const wrong = await doctor(place, [`${server.url}/kb.git`], { env: { KB_GIT_AUTH_TOKEN: 'another-secret' } });
    expect(wrong.told('reachability', 'problem')).toMatch(
      /credentials from KB_GIT_AUTH_TOKEN were refused.*-> .*kb help auth/,
    );
    expect(JSON.stringify(wrong.lines)).not.toContain('another-secret');
    const none = await doctor(place, [`${server.url}/kb.git`]);
    expect(none.told('credentials', 'warning')).toMatch(/no credentials for .*-> set KB_GIT_AUTH_TOKEN/);
  });

  it.each([
    [-3 * 60_000, 'warning', /this clock is 3 min ahead of that of the remote/],
    [2 * 3_600_000, 'problem', /this clock is 120 min|this clock is 2 h behind that of the remote -> .*timedatectl/],
  ])('a server whose clock is off by %i ms', async (off, status, message) => {
    server.faults = () => ({
      kind: 'status',
      status: 404,
      headers: { Date: new Date(Date.now() + off).toUTCString() },
    });
    const { told } = await doctor(place, [`${server.url}/kb.git`]);
    expect(told('clock', status)).toMatch(message);
  });

  it('no network: says so, and all that needs none is looked at', async () => {
    const { told, code } = await doctor(place, ['http://127.0.0.1:9/kb.git']);
    expect(code).toBe(10);
    expect(told('reachability', 'problem')).toMatch(/nothing listens there -> /);
    expect(told('configuration', 'ok')).toMatch(/signed by Ann Author/);
    expect(told('clock', 'ok')).toMatch(/no server to compare it with/);
  });

  it('through a proxy: which one, without its password', async () => {
    const { told, lines } = await doctor(place, ['http://example.invalid/kb.git'], {
      env: { http_proxy: 'http://ann:proxy-secret@127.0.0.1:9' },
    });
    expect(told('reachability', 'ok')).toBe('through the proxy http://127.0.0.1:9 (http_proxy)');
    expect(told('reachability', 'problem')).not.toBe('');
    expect(JSON.stringify(lines)).not.toContain('proxy-secret');
  });
});

describe.skipIf(!nativeGit.available || !openSsh.available)('kb doctor over ssh (needs sshd and native git)', () => {
  let sshd: Sshd;
  let place: string;
  let url: string;

  beforeAll(async () => {
    sshd = await startSshd();
    place = makeTemporaryDirectory();
    url = sshd.url(createBareRepository(place, 'kb.git'));
  });
  afterAll(() => sshd.close());

  it('the program, the host and the key are in order', async () => {
    const { told } = await doctor(place, [url], { env: { GIT_SSH: sshd.program } });
    expect(told('reachability', 'ok')).toMatch(
      /through the program .* \(GIT_SSH\)\n.*can be read.*\n.*can be pushed to.*\nthe host is known/,
    );
    expect(told('credentials', 'ok')).toBe('');
  });

  it('no client, and a host that is not known', async () => {
    const none = await doctor(place, [url]);
    expect(none.told('reachability', 'problem')).toMatch(/ssh.* -> /);
    const unknown = await doctor(place, [url], {
      env: {
        GIT_SSH_COMMAND: `${openSsh.client} -F none -o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null`,
      },
    });
    expect(unknown.told('reachability', 'problem')).toMatch(/host key of .* is not known yet.*-> .*ssh-keyscan/);
  });
});
