import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { expectNativeGitAgrees, expectSound, filesOnRemote } from '../support/agree.js';
import { createBareRepository, installHook } from '../support/http-backend.js';
import { kb, kbOk, type KbOptions } from '../support/kb.js';
import { git, gitEnvironment, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { openSsh, startSshd, writeProgram, type Sshd } from '../support/sshd.js';

describe.skipIf(!nativeGit.available || !openSsh.available)('kb over ssh (needs sshd and native git)', () => {
  let sshd: Sshd;
  let place: string;
  let bare: string;
  let home: string;
  let options: KbOptions;

  beforeAll(async () => {
    sshd = await startSshd();
  });
  afterAll(() => sshd.close());
  beforeEach(() => {
    sshd.forget();
    place = makeTemporaryDirectory();
    home = makeTemporaryDirectory();
    bare = createBareRepository(place, 'kb.git');
    options = { env: { GIT_SSH: sshd.program, HOME: home } };
  });

  const native = (cwd: string, args: string[]): Promise<unknown> =>
    promisify(execFile)('git', args, { cwd, env: gitEnvironment({ GIT_SSH: sshd.program }) });
  const clone = async (): Promise<string> => {
    await kbOk(place, ['clone', sshd.url(bare), 'clone'], options);
    return join(place, 'clone');
  };

  it('clone, note, append, sync: one connection unmoved, two moved, and native git agrees', async () => {
    const directory = await clone();
    expect(sshd.starts()).toHaveLength(1);
    await kbOk(directory, ['note', '--path', 'one.md', 'the first'], options);
    expectNativeGitAgrees(directory, bare);

    sshd.forget();
    await kbOk(directory, ['note', '--append', 'one.md', 'unmoved'], options);
    expect(sshd.starts()).toHaveLength(1);

    await native(place, ['clone', '--quiet', sshd.url(bare), 'native']);
    writeFileSync(join(place, 'native', 'theirs.md'), 'theirs\n');
    await native(join(place, 'native'), ['add', '.']);
    await native(join(place, 'native'), ['commit', '--quiet', '-m', 'theirs']);
    await native(join(place, 'native'), ['push', '--quiet']);
    sshd.forget();
    await kbOk(directory, ['note', '--append', 'one.md', 'moved'], options);
    expect(sshd.starts()).toHaveLength(2);
    expectNativeGitAgrees(directory, bare);
    expect(existsSync(join(directory, 'theirs.md'))).toBe(true);

    sshd.forget();
    const synced = (await kbOk(directory, ['sync', '--json'], options)).json();
    expect(synced).toMatchObject({ result: 'up_to_date', requests: 1 });
    expect(sshd.starts()).toHaveLength(1);
    // Native git goes on from kb's clone, with the address that it holds.
    await native(directory, ['fetch', '--quiet']);
    expect(git(directory, ['status', '--porcelain', '--branch'])).toBe('## main...origin/main\n');
  });

  it('several writers at once: each note lands exactly once', async () => {
    const directory = await clone();
    await kbOk(directory, ['note', 'the first'], options);
    await kbOk(place, ['clone', sshd.url(bare), 'second'], options);
    const texts = Array.from({ length: 8 }, (_, number) => `note number ${number}`);
    const runs = await Promise.all(
      texts.map((text, number) => kb(number % 2 === 0 ? directory : join(place, 'second'), ['note', text], options)),
    );
    expect(runs.map(({ code, stderr }) => (code === 0 ? '' : stderr)).join('')).toBe('');
    const contents = [...filesOnRemote(bare).values()].join('');
    for (const text of texts) expect(contents.split(`${text}\n`)).toHaveLength(2);
    expectSound(bare);
  });

  it('a hook that refuses is exit 14, with what it says', async () => {
    const directory = await clone();
    await kbOk(directory, ['note', 'the first'], options);
    installHook(bare, 'pre-receive', "printf 'not \\033[31mtoday\\n' >&2; exit 1");
    const before = git(bare, ['rev-parse', 'main']);
    const run = await kb(directory, ['note', 'the second', '--json'], options);
    expect(run.code).toBe(14);
    expect(run.stdout).toContain('not \\\\x1b[31mtoday');
    expect(git(bare, ['rev-parse', 'main'])).toBe(before);
    expectNativeGitAgrees(directory, bare);
  });

  it.each(['request', 'reply'])('a push whose %s is cut lands exactly once', async (what) => {
    const directory = await clone();
    await kbOk(directory, ['note', '--path', 'log.md', 'the first'], options);
    // The first push of this ssh is cut: in its request nothing can have arrived, in its reply all has.
    const flag = join(place, 'was-cut');
    const script = join(place, 'cut.mjs');
    writeFileSync(
      script,
      `import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
const args = process.argv.slice(2);
const isCut = args.at(-1).startsWith('git-receive-pack') && !existsSync(${JSON.stringify(flag)});
const child = spawn(${JSON.stringify(sshd.program)}, args, { stdio: ['pipe', 'pipe', 'inherit'] });
let sent = 0;
process.stdin.on('data', (chunk) => {
  sent += chunk.length;
  if (isCut && sent > 100) writeFileSync(${JSON.stringify(flag)}, '');
  if (isCut && sent > 100 && ${JSON.stringify(what)} === 'request') {
    child.stdin.write(chunk.subarray(0, 100), () => { child.kill('SIGKILL'); process.exit(255); });
  } else child.stdin.write(chunk);
});
process.stdin.on('end', () => child.stdin.end());
child.stdout.on('data', (chunk) => {
  if (isCut && sent > 100) { child.on('close', () => process.exit(255)); return; }
  process.stdout.write(chunk);
});
child.stdin.on('error', () => undefined);
child.on('close', (code) => process.exit(code ?? 255));
`,
    );
    const env = { ...options.env, GIT_SSH: undefined, GIT_SSH_VARIANT: 'ssh' };
    const run = await kb(directory, ['note', '--append', 'log.md', 'exactly once'], {
      env: { ...env, GIT_SSH_COMMAND: `'${process.execPath}' '${script}'` },
    });
    expect(existsSync(flag)).toBe(true);
    expect(run.code).toBe(0);
    expect(filesOnRemote(bare).get('log.md')?.split('exactly once')).toHaveLength(2);
    expectNativeGitAgrees(directory, bare);
  });

  it('a host that cannot be reached keeps the note here, and the next sync brings it out', async () => {
    const directory = await clone();
    await kbOk(directory, ['note', 'the first'], options);
    const gone = writeProgram(place, 'ssh', 'echo "ssh: connect to host x port 22: Connection refused" >&2; exit 255');
    const run = await kb(directory, ['note', 'the second', '--json'], { env: { ...options.env, GIT_SSH: gone } });
    expect(run.code).toBe(3);
    expect(run.json()).toMatchObject({
      error: { code: 'E_NETWORK', details: { saved: expect.stringMatching(/^[0-9a-f]{40}$/) as string } },
    });
    await kbOk(directory, ['sync'], options);
    expect([...filesOnRemote(bare).values()].join('')).toContain('the second');
  });

  it('--ssh-key and --known-hosts are kept for later, and native git uses them too', async () => {
    const bin = join(place, 'bin');
    const args = join(place, 'args');
    // Not the program of the tests that knows the key already: the plain client, without the machine's own files.
    writeProgram(
      bin,
      'ssh',
      `echo "$*" >>'${args}'; exec '${openSsh.client}' -F none -o IdentityAgent=none -o GlobalKnownHostsFile=none "$@"`,
    );
    const env = { PATH: bin, HOME: home };
    const address = sshd.url(bare);
    const refused = await kb(place, ['clone', address, 'clone', '--json'], { env });
    expect(refused.code).toBe(4);
    expect(existsSync(join(place, 'clone'))).toBe(false);
    await kbOk(place, ['clone', address, 'clone', '--ssh-key', sshd.key, '--known-hosts', sshd.knownHosts], { env });
    const directory = join(place, 'clone');
    await kbOk(directory, ['note', 'with its own key'], { env });
    expect(readFileSync(args, 'utf8')).toContain(`-i ${sshd.key} -o IdentitiesOnly=yes -o UserKnownHostsFile=`);
    const own = gitEnvironment({ PATH: `${bin}:${process.env['PATH'] ?? ''}` });
    await promisify(execFile)('git', ['fetch', '--quiet'], { cwd: directory, env: own });
    expectNativeGitAgrees(directory, bare);

    const missing = await kb(place, ['clone', address, 'other', '--ssh-key', join(place, 'nowhere')], { env });
    expect(missing.code).toBe(2);
    const both = await kb(place, ['clone', address, 'other', '--ssh-key', sshd.key], {
      env: { ...env, GIT_SSH_COMMAND: 'ssh' },
    });
    expect(both).toMatchObject({ code: 2 });
    expect(both.stderr).toContain('GIT_SSH_COMMAND is set');
    const local = await kb(place, ['clone', bare, 'other', '--ssh-key', sshd.key], { env });
    expect(local).toMatchObject({ code: 2 });
    expect(existsSync(join(place, 'other'))).toBe(false);
  });

  it('kb init takes --ssh-key and --known-hosts for its remote too, and says the address with its user', async () => {
    const bin = join(place, 'bin');
    const plain = `exec '${openSsh.client}' -F none -o IdentityAgent=none -o GlobalKnownHostsFile=none "$@"`;
    writeProgram(bin, 'ssh', plain);
    const env = { PATH: bin, HOME: home };
    const directory = join(place, 'new');
    const flags = ['--ssh-key', sshd.key, '--known-hosts', sshd.knownHosts];
    const alone = await kb(place, ['init', directory, ...flags], { env });
    expect(alone.code).toBe(2);
    expect(existsSync(directory)).toBe(false);
    await kbOk(place, ['init', directory, '--remote', sshd.url(bare), ...flags], { env });
    await kbOk(directory, ['note', 'from a KB that began here'], { env });
    expect([...filesOnRemote(bare).values()].join('')).toContain('from a KB that began here');
    const own = gitEnvironment({ PATH: `${bin}:${process.env['PATH'] ?? ''}` });
    await promisify(execFile)('git', ['fetch', '--quiet'], { cwd: directory, env: own });
    expectNativeGitAgrees(directory, bare);

    git(directory, ['config', '--unset', 'core.sshCommand']);
    const refused = await kb(directory, ['sync', '--pull-only'], { env });
    expect(refused.code).toBe(4);
    expect(refused.stderr).toContain(`${sshd.user}@127.0.0.1`);
    rmSync(bare, { recursive: true });
    const missing = await kb(directory, ['sync', '--pull-only'], options);
    expect(missing.stderr).toContain(sshd.url(bare));
  });

  it('fetches over insteadOf, pushes to pushInsteadOf: an address of each kind', async () => {
    const config = join(home, '.gitconfig');
    writeFileSync(
      config,
      `[user]\n\tname = A\n\temail = a@b\n[url "${place}/"]\n\tinsteadOf = https://kb.example/\n` +
        `[url "${sshd.url(place)}/"]\n\tpushInsteadOf = https://kb.example/\n`,
    );
    await kbOk(place, ['clone', 'https://kb.example/kb.git', 'clone'], options);
    expect(sshd.starts()).toEqual([]);
    await kbOk(join(place, 'clone'), ['note', 'out through ssh'], options);
    expect(sshd.starts()).toHaveLength(1);
    expect([...filesOnRemote(bare).values()].join('')).toContain('out through ssh');
    expectNativeGitAgrees(join(place, 'clone'), bare);
  });

  it('a hook that speaks on after the push has landed is heard out', async () => {
    const directory = await clone();
    await kbOk(directory, ['note', 'the first'], options);
    const done = join(place, 'hook-is-done');
    installHook(bare, 'post-receive', `echo first; sleep 1; echo second; echo third && touch '${done}'`);
    await kbOk(directory, ['note', 'the second'], options);
    expect(existsSync(done)).toBe(true);
  });

  it.each(['v2', 'v0'])('partial clones and deepening, protocol %s', async (version) => {
    const server = version === 'v2' ? sshd : await startSshd({ acceptsProtocol: false });
    try {
      for (const setting of ['allowFilter', 'allowAnySHA1InWant', 'allowReachableSHA1InWant'])
        git(bare, ['config', `uploadpack.${setting}`, 'true']);
      const env = { ...options.env, GIT_SSH: server.program };
      const work = join(place, 'work');
      git(place, ['clone', '--quiet', bare, work]);
      const grow = (count: number): void => {
        for (let n = 0; n < count; n += 1) {
          writeFileSync(join(work, `grown-${n % 3}.md`), `grown ${n} ${count}\n`);
          mkdirSync(join(work, 'far'), { recursive: true });
          writeFileSync(join(work, 'far', 'away.md'), `away ${n} ${count}\n`);
          git(work, ['add', '.']);
          git(work, ['commit', '--quiet', '-m', `Grown ${n}`]);
        }
        git(work, ['push', '--quiet', 'origin', 'HEAD:main']);
      };
      grow(5);
      const directory = join(place, 'clone');
      await kbOk(place, ['clone', server.url(bare), directory, '--sparse', 'near'], { env });
      const missing = (): string[] =>
        git(directory, ['rev-list', '--objects', '--missing=print', 'HEAD'])
          .split('\n')
          .filter((line) => line.startsWith('?'));
      expect(missing()).toHaveLength(1);
      // A file that was left with the remote is fetched when it is edited.
      await kbOk(directory, ['note', '--append', 'far/away.md', 'from afar'], { env });
      expect(missing()).toEqual([]);
      expect(filesOnRemote(bare).get('far/away.md')).toMatch(/^away 4 5\n.*from afar\n$/);

      // Local and remote work meet only beyond what is here: that much is fetched.
      const shallow = join(place, 'shallow');
      await kbOk(place, ['clone', server.url(bare), shallow], { env });
      writeFileSync(join(shallow, 'mine.md'), 'mine\n');
      git(shallow, ['add', '.']);
      git(shallow, ['commit', '--quiet', '-m', 'Local']);
      git(work, ['pull', '--quiet', '--rebase', 'origin', 'main']);
      grow(6);
      git(shallow, ['fetch', '--quiet', '--depth=1', `file://${bare}`, '+main:refs/remotes/origin/main']);
      expect((await kbOk(shallow, ['sync', '--json'], { env })).json()).toMatchObject({ result: 'merged', pushed: 1 });
      expectNativeGitAgrees(shallow, bare);
      expect(filesOnRemote(bare).get('mine.md')).toBe('mine\n');
    } finally {
      if (server !== sshd) await server.close();
    }
  });

  it('core.sshCommand of the clone is honoured, one in kb.yaml is not', async () => {
    const directory = await clone();
    await kbOk(directory, ['note', 'the first'], options);
    const env = { HOME: home };
    git(directory, ['config', 'core.sshCommand', `'${sshd.program}'`]);
    await kbOk(directory, ['note', 'by the command of the clone'], { env });
    git(directory, ['config', '--unset', 'core.sshCommand']);
    const evil = join(place, 'evil-was-here');
    for (const line of ['core.sshCommand', 'sshCommand', 'ssh-command']) {
      writeFileSync(join(directory, 'kb.yaml'), `${line}: touch ${evil}\n`);
      await kb(directory, ['sync'], { env });
    }
    expect(existsSync(evil)).toBe(false);
  });

  it('no secret reaches ssh, its arguments, or what is kept', async () => {
    const seen = join(place, 'seen');
    const spy = writeProgram(place, 'spy', `{ env; echo "$*"; } >>'${seen}'; exec '${sshd.program}' "$@"`);
    const secrets = { KB_GIT_AUTH_TOKEN: 'hush-one-1', GITHUB_TOKEN: 'hush-two-2', MY_PASSWORD: 'hush-three-3' };
    const env = { HOME: home, GIT_SSH: spy, GIT_SSH_VARIANT: 'ssh', ...secrets };
    await kbOk(place, ['clone', sshd.url(bare), 'clone'], { env });
    await kbOk(join(place, 'clone'), ['note', 'the first'], { env });
    expect(readFileSync(seen, 'utf8')).toContain('git-receive-pack');
    expect(readFileSync(seen, 'utf8')).not.toContain('hush-');
    expect(readFileSync(join(place, 'clone', '.git', 'config'), 'utf8')).not.toContain('hush-');
  });
});
