import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  mkdirSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { expectNativeGitAgrees, filesOnRemote } from '../support/agree.js';
import { createBareRepository } from '../support/http-backend.js';
import { kb, kbOk, type KbOptions } from '../support/kb.js';
import { git, gitEnvironment, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { makeKey, openSsh, writeProgram } from '../support/sshd.js';

const PATH = process.env['PATH'] ?? '';

function find(program: string): string | undefined {
  return PATH.split(':')
    .map((directory) => join(directory, program))
    .find((path) => existsSync(path));
}

/** A KB, its remote, and a user with their own git configuration. */
class Desk {
  readonly place = makeTemporaryDirectory();
  readonly home = makeTemporaryDirectory();
  readonly bin = join(this.place, 'bin');
  readonly temporary = join(this.place, 'tmp');
  readonly remote = createBareRepository(this.place, 'kb.git');
  readonly directory = join(this.place, 'clone');
  readonly env: Record<string, string>;

  constructor(programs: readonly string[], env: Readonly<Record<string, string>> = {}) {
    mkdirSync(this.bin);
    mkdirSync(this.temporary);
    for (const name of programs) symlinkSync(find(name) ?? '/nowhere', join(this.bin, name));
    this.env = { HOME: this.home, PATH: this.bin, TMPDIR: this.temporary, ...env };
    this.configure([
      ['user.name', 'Ann Author'],
      ['user.email', 'ann@example.com'],
      ['commit.gpgSign', 'true'],
    ]);
  }

  get options(): KbOptions {
    return { env: this.env };
  }

  configure(values: readonly (readonly [string, string])[], file = join(this.home, '.gitconfig')): void {
    for (const [key, value] of values) git(this.place, ['config', '--file', file, key, value]);
  }

  /** Native git says of every commit from the remote's branch whether its signature is good, and whose it is. */
  verified(which: 'all' | 'signed' = 'all'): string[] {
    const env = { ...gitEnvironment(), ...this.env, PATH };
    const run = spawnSync('git', ['log', '--format=%G? %GS|%an|%cn|%s', 'main'], { cwd: this.remote, env });
    const all = run.stdout.toString().trim().split('\n');
    if (which === 'signed') return all.filter((line) => !line.startsWith('N '));
    for (const oid of git(this.remote, ['rev-list', 'main']).trim().split('\n'))
      execFileSync('git', ['verify-commit', oid], { cwd: this.remote, env, stdio: 'ignore' });
    return all;
  }
}

/** Every kind of commit that kb makes, and native git finds each of them well signed. */
async function signsAll(desk: Desk): Promise<void> {
  const { directory, options, remote } = desk;
  await kbOk(desk.place, ['clone', remote, directory], options);
  await kbOk(directory, ['note', '--path', 'one.md', 'a note'], options);
  await kbOk(directory, ['note', '--append', 'one.md', 'more'], options);
  writeFileSync(join(directory, 'by hand.md'), 'by hand\n');
  await kbOk(directory, ['sync'], options);
  const script = "require('fs').writeFileSync('run.md', 'run\\n')";
  await kbOk(directory, ['run', '--', process.execPath, '-e', script], options);
  // A local commit with a signature of its own is replayed, and signed again.
  const ann = { GIT_COMMITTER_NAME: 'Ann Author', GIT_COMMITTER_EMAIL: 'ann@example.com' };
  const native = { ...gitEnvironment(), ...desk.env, ...ann, PATH };
  const gitHere = (cwd: string, ...args: string[]): void =>
    void execFileSync('git', args, { cwd, env: native, stdio: 'pipe' });
  const elsewhere = join(desk.place, 'elsewhere');
  gitHere(desk.place, 'clone', '-q', remote, elsewhere);
  writeFileSync(join(elsewhere, 'theirs.md'), 'theirs\n');
  gitHere(elsewhere, 'add', '.');
  gitHere(elsewhere, 'commit', '-q', '-m', 'Theirs');
  gitHere(elsewhere, 'push', '-q');
  writeFileSync(join(directory, 'local.md'), 'local\n');
  gitHere(directory, 'add', '.');
  gitHere(directory, 'commit', '-q', '-m', 'Local');
  await kbOk(directory, ['sync'], options);
  // Local history with a merge in it is not replayed: a merge commit is made.
  gitHere(directory, 'checkout', '-q', '-b', 'side');
  gitHere(directory, 'commit', '-q', '--allow-empty', '-m', 'Side');
  gitHere(directory, 'checkout', '-q', 'main');
  gitHere(directory, 'merge', '-q', '--no-ff', '-m', 'Own merge', 'side');
  gitHere(elsewhere, 'pull', '-q', '--rebase');
  gitHere(elsewhere, 'commit', '-q', '--allow-empty', '-m', 'Theirs again');
  gitHere(elsewhere, 'push', '-q');
  await kbOk(directory, ['sync'], options);
  expectNativeGitAgrees(directory, remote);
  const lines = desk.verified();
  expect(lines.length).toBeGreaterThanOrEqual(10);
  expect(lines.join('\n')).toContain('Merge the remote branch');
  for (const line of lines) expect(line).toMatch(/^G .*ann@example\.com/);
  expect(readdirSync(desk.temporary)).toEqual([]);
}

describe.skipIf(!nativeGit.available || !openSsh.available)('signed with ssh (needs ssh-keygen and native git)', () => {
  let desk: Desk;
  let key: string;

  beforeEach(() => {
    desk = new Desk(['ssh-keygen']);
    key = join(desk.home, 'id_ed25519');
    makeKey(key);
    trust(desk, key);
    desk.configure([
      ['gpg.format', 'ssh'],
      ['user.signingKey', '~/id_ed25519'],
    ]);
  });

  function trust(where: Desk, file: string, name = 'ann@example.com'): void {
    const signers = join(where.home, 'signers');
    const before = existsSync(signers) ? readFileSync(signers, 'utf8') : '';
    writeFileSync(signers, `${before}${name} ${readFileSync(`${file}.pub`, 'utf8')}`);
    where.configure([['gpg.ssh.allowedSignersFile', signers]]);
  }

  it('every kind of commit is signed', () => signsAll(desk));

  it('nothing is signed, and nothing started, where nobody asks for it', async () => {
    desk.configure([
      ['commit.gpgSign', 'false'],
      ['gpg.ssh.program', '/nowhere'],
    ]);
    await kbOk(desk.place, ['clone', desk.remote, desk.directory], desk.options);
    await kbOk(desk.directory, ['note', 'unsigned'], desk.options);
    expect(git(desk.remote, ['cat-file', '-p', 'main'])).not.toContain('gpgsig');
  });

  it.each(['key::', '', 'gpg.ssh.defaultKeyCommand'])('a key of the agent, named by %j', async (prefix) => {
    const started = execFileSync('ssh-agent', ['-s'], { encoding: 'utf8' });
    const [, socket = ''] = /SSH_AUTH_SOCK=([^;]+)/.exec(started) ?? [];
    const [, pid = ''] = /SSH_AGENT_PID=(\d+)/.exec(started) ?? [];
    try {
      execFileSync('ssh-add', ['-q', key], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: 'pipe' });
      desk.env['SSH_AUTH_SOCK'] = socket;
      rmSync(key);
      const text = readFileSync(`${key}.pub`, 'utf8').trim();
      if (prefix.startsWith('gpg.')) {
        desk.configure([['user.signingKey', '']]);
        const command = writeProgram(desk.place, 'default key', `echo 'key::${text}'`);
        desk.configure([['gpg.ssh.defaultKeyCommand', `"${command}" --first`]]);
      } else desk.configure([['user.signingKey', `${prefix}${text}`]]);
      await kbOk(desk.place, ['clone', desk.remote, desk.directory], desk.options);
      await kbOk(desk.directory, ['note', 'with a key of the agent'], desk.options);
      expect(desk.verified()).toHaveLength(1);
    } finally {
      process.kill(Number(pid));
    }
  });

  it('the program gets no secret, no shell, and git its arguments', async () => {
    const seen = join(desk.place, 'seen');
    const real = find('ssh-keygen') ?? '';
    const spy = writeProgram(
      desk.place,
      'spy $(x)',
      `/usr/bin/env >>'${seen}'; echo "$*" >>'${seen}'; exec '${real}' "$@"`,
    );
    desk.configure([['gpg.ssh.program', spy]]);
    const secrets = { KB_GIT_AUTH_TOKEN: 'hush-one-1', GITHUB_TOKEN: 'hush-two-2', MY_PASSWORD: 'hush-three-3' };
    const options = { env: { ...desk.env, ...secrets } };
    await kbOk(desk.place, ['clone', desk.remote, desk.directory], options);
    await kbOk(desk.directory, ['note', 'spied upon'], options);
    expect(readFileSync(seen, 'utf8')).toContain(`-Y sign -n git -f ${key} `);
    expect(readFileSync(seen, 'utf8')).not.toContain('hush-');
    expect(desk.verified()).toHaveLength(1);
    expect(git(desk.directory, ['reflog', '-1', '--format=%gn <%ge> %gs'])).toMatch(
      /^Ann Author <ann@example\.com> kb note: Add .*spied-upon\.md\n$/,
    );
  });

  it('without a name nothing is written, and the message says what to type', async () => {
    await kbOk(desk.place, ['clone', desk.remote, desk.directory], desk.options);
    const env = { ...desk.env, HOME: makeTemporaryDirectory(), GIT_AUTHOR_NAME: undefined };
    const failed = await kb(desk.directory, ['note', 'by nobody'], { env });
    expect(failed.code).toBe(2);
    expect(failed.stderr).toContain('git config --global user.name');
    expect(existsSync(join(desk.directory, '.git/kb/queue'))).toBe(false);
    expect(git(desk.directory, ['status', '--porcelain'])).toBe('');
  });

  it.each<[string, (at: Desk) => void, number, string]>([
    ['no key named', (at) => at.configure([['user.signingKey', '']]), 2, 'user.signingKey is not set'],
    ['a file that is not there', (at) => at.configure([['user.signingKey', '~/gone']]), 2, 'names no file'],
    ['a format that kb lacks', (at) => at.configure([['gpg.format', 'x509']]), 2, 'gpg.format x509'],
    ['a missing program', (at) => at.configure([['gpg.ssh.program', 'not-here']]), 4, 'not-here was not found'],
    ['no signature', (at) => at.configure([['gpg.ssh.program', '/bin/true']]), 4, 'left no signature'],
    [
      'a key that cannot sign',
      (at) => writeFileSync(join(at.home, 'id_ed25519'), 'no key'),
      4,
      'ssh-keygen ended with',
    ],
  ])('%s: an error before anything is written', async (_title, spoil, code, message) => {
    await kbOk(desk.place, ['clone', desk.remote, desk.directory], desk.options);
    await kbOk(desk.directory, ['note', '--path', 'one.md', 'signed'], desk.options);
    spoil(desk);
    const before = git(desk.directory, ['rev-parse', 'HEAD']);
    const run = 'require("fs").writeFileSync("run.md", "run")';
    for (const args of [
      ['note', 'unsigned'],
      ['note', '--no-push', 'unsigned'],
      ['run', '--', process.execPath, '-e', run],
    ]) {
      const failed = await kb(desk.directory, [args[0] ?? '', '--json', ...args.slice(1)], desk.options);
      expect(failed.json()).toMatchObject({ ok: false, error: { exitCode: code } });
      expect(failed.stdout).toContain(message);
      expect(git(desk.directory, ['rev-parse', 'HEAD'])).toBe(before);
      expectNativeGitAgrees(desk.directory, desk.remote);
    }
    writeFileSync(join(desk.directory, 'by hand.md'), 'by hand\n');
    expect((await kb(desk.directory, ['sync', '--json'], desk.options)).json()).toMatchObject({
      error: { exitCode: code },
    });
    expect(git(desk.directory, ['status', '--porcelain'])).toBe('?? "by hand.md"\n');
    expect(JSON.parse((await kb(desk.directory, ['status', '--json'], desk.options)).stdout)).toMatchObject({
      queue: [],
    });
    // Reading needs no key.
    await kbOk(desk.directory, ['sync', '--check'], desk.options);
  });

  it('whoever brings a note out commits and signs it; one who does not sign leaves it to those who do', async () => {
    await kbOk(desk.place, ['clone', desk.remote, desk.directory], desk.options);
    await kbOk(desk.directory, ['note', '--path', 'one.md', 'the first'], desk.options);
    const bob = makeTemporaryDirectory();
    makeKey(join(bob, 'id_ed25519'));
    desk.configure(
      [
        ['user.name', 'Bob'],
        ['user.email', 'bob@example.com'],
        ['commit.gpgSign', 'true'],
        ['gpg.format', 'ssh'],
        ['user.signingKey', '~/id_ed25519'],
      ],
      join(bob, '.gitconfig'),
    );
    trust(desk, join(bob, 'id_ed25519'), 'bob@example.com');
    const plain = makeTemporaryDirectory();
    // The run holds the lock until both notes wait behind it.
    const script = `const fs = require('fs');
      const queue = ${JSON.stringify(join(desk.directory, '.git/kb/queue'))};
      const until = () => fs.existsSync(queue) && fs.readdirSync(queue).filter((name) => name.endsWith('.entry')).length >= 2;
      const wait = () => until() ? fs.writeFileSync('run-' + Date.now() + '.md', 'run') : setTimeout(wait, 20);
      wait();`;
    const names = { GIT_AUTHOR_NAME: 'Bob', GIT_AUTHOR_EMAIL: 'bob@example.com' };
    for (const [holder, signer] of [
      ['ann', 'ann@example.com'],
      ['plain', undefined],
    ] as const) {
      const holderEnv = holder === 'ann' ? desk.env : { ...desk.env, HOME: plain };
      const run = kbOk(desk.directory, ['run', '--', process.execPath, '-e', script], { env: holderEnv });
      await expect
        .poll(async () => JSON.parse((await kb(desk.directory, ['status', '--json'], desk.options)).stdout) as unknown)
        .toMatchObject({ lock: { held: true } });
      const notes = ['x', 'y'].map((name) =>
        kbOk(desk.directory, ['note', '--path', `${holder}-${name}.md`, name], {
          env: { ...desk.env, HOME: bob, ...names },
        }),
      );
      await Promise.all([run, ...notes]);
      const made = desk.verified('signed').filter((line) => line.includes(`${holder}-`));
      expect(made).toHaveLength(2);
      for (const line of made) {
        expect(line).toContain('|Bob|');
        expect(line).toMatch(
          signer === undefined
            ? /^G bob@example\.com\|Bob\|Bob/
            : /^G (ann@example\.com\|Bob\|Ann Author|bob@example\.com\|Bob\|Bob)/,
        );
      }
      if (signer !== undefined) expect(made.join('\n')).toContain(`G ${signer}|Bob|Ann Author`);
    }
    expect([...filesOnRemote(desk.remote).keys()]).toHaveLength(7);
  });
});

describe.skipIf(!nativeGit.available || find('gpg') === undefined)(
  'signed with openpgp (needs gpg and native git)',
  () => {
    let keys: string;
    const environment = (): Record<string, string> => ({ GNUPGHOME: keys });

    beforeAll(() => {
      // The agent's socket lies in it, and its whole path may have 107 characters.
      keys = mkdtempSync(join(tmpdir(), 'g-'));
      chmodSync(keys, 0o700);
      const args = [
        '--batch',
        '--quiet',
        '--passphrase',
        '',
        '--quick-gen-key',
        'Ann Author <ann@example.com>',
        'ed25519',
        'sign',
        'never',
      ];
      execFileSync('gpg', args, { env: { ...process.env, GNUPGHOME: keys }, stdio: 'pipe' });
    });
    afterAll(() => {
      spawnSync('gpgconf', ['--kill', 'all'], { env: { ...process.env, GNUPGHOME: keys } });
      rmSync(keys, { recursive: true, force: true });
    });

    it('every kind of commit is signed, with the key that carries the name', () =>
      signsAll(new Desk(['gpg', 'gpg-agent'], environment())));

    it('a key that is not there: an error that names program and key', async () => {
      const desk = new Desk(['gpg', 'gpg-agent'], environment());
      desk.configure([['user.signingKey', '0123456789ABCDEF']]);
      await kbOk(desk.place, ['clone', desk.remote, desk.directory], desk.options);
      const failed = await kb(desk.directory, ['note', 'unsigned'], desk.options);
      expect(failed.code).toBe(4);
      expect(failed.stderr).toMatch(/signed with 0123456789ABCDEF: gpg ended with exit code \d+: .*(secret|key)/i);
      expect(failed.stderr).toContain('gpg -bsau');
      expect(git(desk.remote, ['for-each-ref'])).toBe('');
    });
  },
);
