import { createHash, randomBytes } from 'node:crypto';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createBareRepository } from '../support/http-backend.js';
import { kb, kbOk, type KbOptions, type KbRun } from '../support/kb.js';
import { startLfsServer, type LfsServer } from '../support/lfs-server.js';
import { git, gitEnvironment, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { gitLfs } from '../support/native-lfs.js';
import { openSsh, startSshd, writeProgram, type Sshd } from '../support/sshd.js';

const ATTRIBUTES = '*.bin filter=lfs diff=lfs merge=lfs -text\n';
const TOKEN = 'token-of-git-lfs-authenticate';
const SECRET = Buffer.from(`x:${TOKEN}`).toString('base64');
const SIGNED = 'Bearer for-transfers-alone';

const sha = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
const pointerTo = (content: Buffer): string =>
  `version https://git-lfs.github.com/spec/v1\noid sha256:${sha(content)}\nsize ${content.length}\n`;

describe.skipIf(!nativeGit.available || !openSsh.available)('large files over ssh (needs sshd and native git)', () => {
  let sshd: Sshd;
  let programs: string;
  let root: string;
  let bare: string;
  let place: string;
  let lfs: LfsServer;
  let options: KbOptions;

  beforeAll(async () => {
    programs = makeTemporaryDirectory();
    sshd = await startSshd({ programs });
  });
  afterAll(() => sshd.close());
  beforeEach(async () => {
    sshd.forget();
    if (gitLfs.available) gitLfs.install();
    root = makeTemporaryDirectory();
    place = join(root, 'kb');
    bare = createBareRepository(root, 'served.git');
    lfs = await startLfsServer({ token: TOKEN, signed: SIGNED });
    options = { env: { GIT_SSH: sshd.program, HOME: makeTemporaryDirectory() } };
    grant({ href: `${lfs.url}/x/info/lfs`, header: { Authorization: `Basic ${SECRET}` } });
  });
  afterEach(() => lfs.close());

  /** What the server's `git-lfs-authenticate` does; it writes down its arguments, each on a line of its own. */
  const serverRuns = (script: string): string =>
    writeProgram(programs, 'git-lfs-authenticate', `printf '%s\\n' "$@" >>'${join(root, 'asked')}'\n${script}`);
  function grant(answer: unknown): void {
    writeFileSync(join(root, 'answer'), JSON.stringify(answer));
    serverRuns(`cat '${join(root, 'answer')}'`);
  }
  const asked = (): string[] =>
    existsSync(join(root, 'asked')) ? readFileSync(join(root, 'asked'), 'utf8').split('\n').slice(0, -1) : [];

  function seed(files: Readonly<Record<string, Buffer | string>>, repository = bare): void {
    const work = join(root, 'seed');
    git(root, ['clone', '-q', repository, work], { env: { GIT_LFS_SKIP_SMUDGE: '1' } });
    for (const [path, content] of Object.entries({ '.gitattributes': ATTRIBUTES, ...files }))
      writeFileSync(join(work, path), content);
    // -c: on a machine with git-lfs its filter must not have a say.
    const noFilter = ['clean=cat', 'process=', 'required=false'].flatMap((value) => ['-c', `filter.lfs.${value}`]);
    git(work, [...noFilter, 'add', '-A']);
    git(work, ['commit', '-q', '-m', 'Seed']);
    git(work, ['push', '-q', 'origin', 'HEAD:main'], { env: { GIT_LFS_SKIP_PUSH: '1' } });
    rmSync(work, { recursive: true });
  }

  const clone = (repository = bare): Promise<KbRun> =>
    kbOk(root, ['clone', sshd.url(repository), 'kb', '--json'], options);

  /** Arguments are for everybody on a machine to read, and so is what was printed. */
  function expectNoSecret(...runs: readonly KbRun[]): void {
    for (const text of [...sshd.starts(), ...runs.flatMap(({ stdout, stderr }) => [stdout, stderr])])
      for (const secret of [SECRET, TOKEN, SIGNED.slice(7)]) expect(text).not.toContain(secret);
  }

  function agrees(): void {
    git(place, ['fsck', '--strict']);
    if (gitLfs.available) expect(git(place, ['status', '--porcelain'])).toBe('');
  }

  it('come with a clone, and go out with sync, run and note, where the server of the remote says', async () => {
    const [first, second, third] = [randomBytes(200_000), randomBytes(70_000), randomBytes(3_000_000)];
    lfs.put(first);
    seed({ 'a.bin': pointerTo(first) });
    const cloned = await clone();
    expect(cloned.json()).toMatchObject({ status: 'cloned', lfsMissing: [] });
    expect(readFileSync(join(place, 'a.bin')).equals(first)).toBe(true);
    expect(asked()).toEqual([bare, 'download']);
    expect(sshd.starts().at(-1)).toMatch(new RegExp(` git-lfs-authenticate '${bare}' download$`));
    agrees();

    writeFileSync(join(place, 'b.bin'), second);
    const synced = await kbOk(place, ['sync', '--json', '--verbose'], options);
    expect(synced.json()).toMatchObject({ result: 'pushed' });
    expect(asked().slice(2)).toEqual([bare, 'upload']);
    writeFileSync(join(root, 'third'), third);
    const ran = await kbOk(place, ['run', '--', '/bin/cp', join(root, 'third'), 'c.bin'], options);
    for (const [path, content] of Object.entries({ 'b.bin': second, 'c.bin': third })) {
      expect(git(bare, ['show', `main:${path}`])).toBe(pointerTo(content));
      expect(lfs.objects.get(sha(content))?.equals(content)).toBe(true);
    }
    agrees();
    expectNoSecret(cloned, synced, ran);
    // Each request carries what belongs to it: the question what ssh gave, a transfer what the answer named.
    for (const { path, headers } of lfs.requests)
      expect(headers.authorization).toBe(path.endsWith('/batch') ? `Basic ${SECRET}` : SIGNED);
  });

  it('a refusal changes nothing; what was saved while nobody answered goes out with the next note', async () => {
    seed({ 'note.md': 'text\n' });
    await clone();
    const content = randomBytes(5000);
    writeFileSync(join(place, 'a.bin'), content);
    const before = git(bare, ['rev-parse', 'main']);
    serverRuns("echo 'ERROR: You are not allowed to upload to this project.' >&2; exit 1");
    const refused = await kb(place, ['sync', '--json'], options);
    expect(refused.code).toBe(4);
    expect(refused.json()).toMatchObject({ error: { code: 'E_AUTH', details: { ssh: 'read-only' } } });
    expect(git(bare, ['rev-parse', 'main'])).toBe(before);
    expect(git(place, ['status', '--porcelain'])).toBe('?? a.bin\n');

    serverRuns('exit 1');
    const cut = await kb(place, ['sync', '--json'], options);
    expect(cut.code).toBe(3);
    expect(cut.json()).toMatchObject({
      error: { code: 'E_NETWORK', details: { saved: expect.any(String) as string } },
    });
    expect(git(bare, ['rev-parse', 'main'])).toBe(before);
    agrees();
    grant({ href: `${lfs.url}/x/info/lfs`, header: { Authorization: `Basic ${SECRET}` } });
    await kbOk(place, ['note', 'hello'], options);
    expect(git(bare, ['show', 'main:a.bin'])).toBe(pointerTo(content));
    expect(lfs.objects.has(sha(content))).toBe(true);
    agrees();
  });

  it('a server without git-lfs-authenticate: pointers, and an error that names the way out', async () => {
    rmSync(join(programs, 'git-lfs-authenticate'));
    seed({ 'a.bin': pointerTo(randomBytes(5000)) });
    const cloned = await clone();
    expect(cloned.json()).toMatchObject({ lfsMissing: ['a.bin'] });
    expect(cloned.stderr).toMatch(/does not say over ssh where its large files are/);
    agrees();
    writeFileSync(join(place, 'b.bin'), randomBytes(5000));
    const before = git(bare, ['rev-parse', 'main']);
    const run = await kb(place, ['sync', '--json'], options);
    expect(run.code).toBe(3);
    expect(run.json()).toMatchObject({
      error: {
        code: 'E_NETWORK',
        hint: expect.stringContaining('git config lfs.url') as string,
        details: { ssh: 'no-lfs', saved: expect.any(String) as string },
      },
    });
    expect(git(bare, ['rev-parse', 'main'])).toBe(before);
    agrees();
  });

  it('credentials that the LFS server refuses are exit 4, and nowhere to be read', async () => {
    seed({ 'note.md': 'text\n' });
    await clone();
    writeFileSync(join(place, 'a.bin'), randomBytes(5000));
    const wrong = Buffer.from('x:another-token-altogether').toString('base64');
    grant({ href: `${lfs.url}/x/info/lfs`, header: { Authorization: `Basic ${wrong}` } });
    const run = await kb(place, ['sync', '--json', '--verbose'], options);
    expect(run.code).toBe(4);
    expect(run.json()).toMatchObject({ error: { code: 'E_AUTH' } });
    expect(run.stderr + run.stdout).toContain('git-lfs-authenticate');
    expect(run.stderr + run.stdout).not.toContain(wrong);
    expectNoSecret(run);
  });

  it.each([
    ['an address in the clear', { href: 'http://192.0.2.1/x' }, /not encrypted/],
    ['an address of another kind', { href: 'ftp://192.0.2.1/x' }, /another kind/],
    ['a header that is none', { href: 'https://192.0.2.1/x', header: { 'a\r\nb': 'c' } }, /a header that is none/],
    ['no answer', 'Welcome!', /too early/],
  ])('%s leads nowhere', async (_title, answer, message) => {
    grant(answer);
    seed({ 'a.bin': pointerTo(randomBytes(5000)) });
    const cloned = await clone();
    expect(cloned.json()).toMatchObject({ lfsMissing: ['a.bin'] });
    expect(cloned.stderr).toMatch(message);
    agrees();
  });

  it.each([
    ['expires_at', '2020-01-01T00:00:00Z'],
    ['expires_in', 1],
  ])('what is good for too short a time is asked for anew (%s)', async (name, value) => {
    const href = `${lfs.url}/x/info/lfs`;
    grant({ href, header: { Authorization: `Basic ${SECRET}` } });
    const old = JSON.stringify({ href, header: { Authorization: 'Basic eDp3cm9uZw==' }, [name]: value });
    const [first, answer] = [join(root, 'first'), join(root, 'answer')];
    writeFileSync(first, old);
    serverRuns(`if [ -f '${first}' ]; then cat '${first}'; rm '${first}'; else cat '${answer}'; fi`);
    const content = randomBytes(5000);
    lfs.put(content);
    seed({ 'a.bin': pointerTo(content) });
    expect((await clone()).json()).toMatchObject({ lfsMissing: [] });
    expect(asked()).toEqual([bare, 'download', bare, 'download']);
  });

  it('no path is a command, nor an option', async () => {
    const name = "it's a $(touch pwned); `touch pwned` & -oProxyCommand=touch\\ pwned!.git";
    mkdirSync(join(root, '-odd'));
    const odd = createBareRepository(join(root, '-odd'), name);
    const content = randomBytes(5000);
    lfs.put(content);
    seed({ 'a.bin': pointerTo(content) }, odd);
    await kbOk(root, ['clone', sshd.url(odd.split('/').map(encodeURIComponent).join('/')), 'kb'], options);
    expect(readFileSync(join(place, 'a.bin')).equals(content)).toBe(true);
    expect(asked()).toEqual([odd, 'download']);
    git(place, ['config', 'lfs.url', 'ssh://-oProxyCommand=touch%20pwned/x']);
    writeFileSync(join(place, 'b.bin'), randomBytes(5000));
    expect((await kb(place, ['sync'], options)).code).toBe(2);
    git(place, ['config', 'lfs.url', `${sshd.user}@127.0.0.1:-oProxyCommand=touch pwned`]);
    expect((await kb(place, ['sync'], options)).code).toBe(2);
    for (const directory of [root, place, options.env?.['HOME'] ?? ''])
      expect(readdirSync(directory)).not.toContain('pwned');
  });

  it('a repository sends nobody to another ssh server', async () => {
    seed({
      'a.bin': pointerTo(randomBytes(5000)),
      '.lfsconfig': `[lfs]\n\turl = ${sshd.url('/elsewhere.git')}\n`,
    });
    const cloned = await clone();
    expect(cloned.stderr).toMatch(/only https addresses are taken from a repository/);
    expect(cloned.json()).toMatchObject({ lfsMissing: ['a.bin'] });
    expect(asked()).toEqual([]);
  });

  it.skipIf(!gitLfs.available)('git-lfs asks the same question and finds the same (needs git-lfs)', async () => {
    const content = randomBytes(5000);
    lfs.put(content);
    seed({ 'a.bin': pointerTo(content) });
    await promisify(execFile)('git', ['clone', '-q', sshd.url(bare), 'native'], {
      cwd: root,
      env: gitEnvironment({ GIT_SSH: sshd.program }),
      timeout: 60_000,
    });
    expect(readFileSync(join(root, 'native/a.bin')).equals(content)).toBe(true);
    const native = asked();
    await clone();
    expect(asked().slice(native.length)).toEqual(native);
  });
});
