import { createHash, randomBytes } from 'node:crypto';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBareRepository, hasGitHttpBackend, startGitServer, type GitServer } from '../support/http-backend.js';
import { kb, kbOk } from '../support/kb.js';
import { startLfsServer, type LfsServer } from '../support/lfs-server.js';
import { git, gitBuffer, gitEnvironment, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { gitLfs } from '../support/native-lfs.js';

const ATTRIBUTES = '*.bin filter=lfs diff=lfs merge=lfs -text\n';
const TOKEN = 'lfs-and-git-token';

let root: string;
let remote: string;
let gitServer: GitServer;
let lfs: LfsServer;
let url: string;
let place: string;
const env = { KB_GIT_AUTH_TOKEN: TOKEN };
const asPointers = { GIT_LFS_SKIP_SMUDGE: '1', GIT_LFS_SKIP_PUSH: '1' };

const sha = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
const pointerTo = (content: Buffer): string =>
  `version https://git-lfs.github.com/spec/v1\noid sha256:${sha(content)}\nsize ${content.length}\n`;
const onRemote = (path: string): string => git(remote, ['show', `main:${path}`]);
const inKb = (path: string): Buffer => readFileSync(join(place, path));
const objectPath = (directory: string, content: Buffer): string =>
  join(directory, 'lfs/objects', sha(content).slice(0, 2), sha(content).slice(2, 4), sha(content));

/** What a seed has pushed with native git and no git-lfs: pointers as they are, and contents put on the server by hand. */
function seed(files: Readonly<Record<string, Buffer | string>>, message = 'Seed'): void {
  const directory = join(root, 'seed');
  if (!existsSync(directory)) git(root, ['clone', '-q', remote, 'seed'], { env: asPointers });
  else git(directory, ['pull', '-q', 'origin', 'main'], { env: asPointers });
  for (const [path, content] of Object.entries(files)) writeFileSync(join(directory, path), content);
  // -c: on a machine with git-lfs its filter must not have a say.
  git(directory, [
    '-c',
    'filter.lfs.clean=cat',
    '-c',
    'filter.lfs.process=',
    '-c',
    'filter.lfs.required=false',
    'add',
    '-A',
  ]);
  git(directory, ['commit', '-q', '-m', message], { env: asPointers });
  git(directory, ['push', '-q', 'origin', 'HEAD:main'], { env: asPointers });
}

function agrees(): void {
  git(place, ['fsck', '--strict']);
  // Without git-lfs native git sees contents where it expects pointers.
  if (gitLfs.available) expect(git(place, ['status', '--porcelain'])).toBe('');
}

describe.skipIf(!nativeGit.available || !hasGitHttpBackend())(
  'large files (needs native git with http-backend)',
  () => {
    beforeEach(async () => {
      root = makeTemporaryDirectory();
      if (gitLfs.available) gitLfs.install();
      remote = createBareRepository(join(root, 'served'), 'kb.git');
      place = join(root, 'kb');
      gitServer = await startGitServer({ root: join(root, 'served'), auth: { token: TOKEN } });
      lfs = await startLfsServer({ git: gitServer.url, token: TOKEN, signed: 'Bearer for-transfers' });
      url = `${lfs.url}/kb.git`;
    });

    afterEach(async () => {
      await lfs.close();
      await gitServer.close();
    });

    const clone = (extra: Record<string, string> = {}): ReturnType<typeof kbOk> =>
      kbOk(root, ['clone', url, 'kb', '--json'], { env: { ...env, ...extra } });
    const sync = (extra: Record<string, string> = {}): ReturnType<typeof kbOk> =>
      kbOk(place, ['sync', '--json'], { env: { ...env, ...extra } });

    it('come with a clone and a pull, go out with a sync before the commit is seen, and both sides keep pointers', async () => {
      const [first, second, third] = [randomBytes(200_000), randomBytes(70_000), randomBytes(3_000_000)];
      lfs.put(first);
      seed({ '.gitattributes': ATTRIBUTES, 'a.bin': pointerTo(first), 'empty.bin': '', 'note.md': 'text\n' });
      expect((await clone()).json()).toMatchObject({ status: 'cloned', lfsMissing: [] });
      expect(inKb('a.bin').equals(first)).toBe(true);
      expect(inKb('empty.bin')).toHaveLength(0);
      expect(statSync(objectPath(join(place, '.git'), first)).size).toBe(first.length);
      agrees();

      lfs.put(second);
      seed({ 'a.bin': pointerTo(second) });
      expect((await sync()).json()).toMatchObject({ result: 'pulled', lfsMissing: [] });
      expect(inKb('a.bin').equals(second)).toBe(true);
      agrees();

      writeFileSync(join(place, 'b.bin'), third);
      expect((await kbOk(place, ['status', '--json'])).json()).toMatchObject({
        changes: [{ path: 'b.bin', kind: 'added' }],
      });
      let seenAtUpload: string | undefined;
      lfs.faults = ({ method }) => {
        if (method === 'PUT') seenAtUpload = git(remote, ['ls-tree', '--name-only', 'main']);
        return undefined;
      };
      expect((await sync()).json()).toMatchObject({ result: 'pushed' });
      expect(seenAtUpload).toBe('.gitattributes\na.bin\nempty.bin\nnote.md\n');
      expect(onRemote('b.bin')).toBe(pointerTo(third));
      expect(lfs.objects.get(sha(third))?.equals(third)).toBe(true);
      expect(inKb('b.bin').equals(third)).toBe(true);
      agrees();
      expect((await kbOk(place, ['status', '--json'])).json()).toMatchObject({ changes: [] });
    });

    it('ask nobody where nothing is large', async () => {
      seed({ '.gitattributes': ATTRIBUTES, 'note.md': 'text\n' });
      await clone();
      await kbOk(place, ['note', 'hello'], { env });
      await sync();
      expect(lfs.requests).toEqual([]);
      expect(existsSync(join(place, '.git/lfs'))).toBe(false);
      agrees();
    });

    it('that cannot be had leave the pointer, are named, and come with the next sync', async () => {
      const [gone, there] = [randomBytes(5000), randomBytes(6000)];
      lfs.put(there);
      seed({ '.gitattributes': ATTRIBUTES, 'gone.bin': pointerTo(gone), 'there.bin': pointerTo(there) });
      const cloned = await clone();
      expect(cloned.json()).toMatchObject({ lfsMissing: ['gone.bin'] });
      expect(cloned.stderr).toMatch(/1 large file could not be fetched.*gone\.bin.*does not have it.*next: kb sync/);
      expect(inKb('gone.bin').toString()).toBe(pointerTo(gone));
      expect(inKb('there.bin').equals(there)).toBe(true);
      agrees();
      expect((await kbOk(place, ['status', '--json'])).json()).toMatchObject({ changes: [], lfsMissing: ['gone.bin'] });

      // A pointer that lies there is committed as it is, and its neighbour may change.
      await kbOk(place, ['note', 'hello'], { env });
      expect(onRemote('gone.bin')).toBe(pointerTo(gone));
      expect((await sync()).json()).toMatchObject({ lfsMissing: ['gone.bin'] });
      lfs.put(gone);
      expect((await sync()).json()).toMatchObject({ result: 'up_to_date', lfsMissing: [] });
      expect(inKb('gone.bin').equals(gone)).toBe(true);
      agrees();
      expect(onRemote('gone.bin')).toBe(pointerTo(gone));
    });

    it('stay pointers with GIT_LFS_SKIP_SMUDGE, until a sync without it', async () => {
      const content = randomBytes(5000);
      lfs.put(content);
      seed({ '.gitattributes': ATTRIBUTES, 'a.bin': pointerTo(content) });
      await clone({ GIT_LFS_SKIP_SMUDGE: '1' });
      expect(inKb('a.bin').toString()).toBe(pointerTo(content));
      expect(lfs.requests).toEqual([]);
      agrees();
      await sync({ GIT_LFS_SKIP_SMUDGE: '1' });
      expect(lfs.requests).toEqual([]);
      await sync();
      expect(inKb('a.bin').equals(content)).toBe(true);
      agrees();
    });

    it('that cannot be sent keep the commit here, until they can', async () => {
      seed({ '.gitattributes': ATTRIBUTES, 'note.md': 'text\n' });
      await clone();
      const before = git(remote, ['rev-parse', 'main']);
      const content = randomBytes(5000);
      writeFileSync(join(place, 'a.bin'), content);
      lfs.faults = () => ({ status: 503 });
      const failed = await kb(place, ['sync', '--json'], { env });
      expect(failed.code).toBe(3);
      expect(failed.json()).toMatchObject({
        error: { code: 'E_NETWORK', details: { saved: expect.any(String) as string } },
      });
      expect(git(remote, ['rev-parse', 'main'])).toBe(before);
      agrees();
      lfs.faults = ({ path }) => (path.startsWith('/storage') ? { status: 413 } : undefined);
      const refused = await kb(place, ['sync', '--json'], { env });
      expect(refused.json()).toMatchObject({ error: { code: 'E_REFUSED', details: { path: 'a.bin' } } });
      expect(git(remote, ['rev-parse', 'main'])).toBe(before);
      lfs.faults = undefined;
      expect((await sync()).json()).toMatchObject({ result: 'pushed' });
      expect(onRemote('a.bin')).toBe(pointerTo(content));
      expect(lfs.objects.has(sha(content))).toBe(true);
      agrees();
    });

    it('go out with kb run, and come back with kb switch and kb restore', async () => {
      const [one, two, three] = [randomBytes(4000), randomBytes(5000), randomBytes(6000)];
      seed({ '.gitattributes': ATTRIBUTES, 'note.md': 'text\n' });
      await clone();
      writeFileSync(join(root, 'one'), one);
      await kbOk(place, ['run', '--', '/bin/cp', join(root, 'one'), 'a.bin'], { env });
      expect(onRemote('a.bin')).toBe(pointerTo(one));
      expect(lfs.objects.has(sha(one))).toBe(true);
      agrees();

      await kbOk(place, ['switch', '--create', 'other'], { env });
      writeFileSync(join(place, 'a.bin'), two);
      await sync();
      await kbOk(place, ['switch', 'main'], { env });
      expect(inKb('a.bin').equals(one)).toBe(true);
      rmSync(join(place, '.git/lfs'), { recursive: true });
      await kbOk(place, ['switch', 'other'], { env });
      expect(inKb('a.bin').equals(two)).toBe(true);
      agrees();

      writeFileSync(join(root, 'three'), three);
      const script = `/bin/cp ${join(root, 'three')} a.bin; exit 1`;
      expect((await kb(place, ['run', '--', '/bin/sh', '-c', script], { env })).code).toBe(1);
      expect(inKb('a.bin').equals(two)).toBe(true);
      agrees();
      const [saved = ''] = git(place, ['for-each-ref', '--format=%(refname)', 'refs/kb/stash']).trim().split('\n');
      await kbOk(place, ['restore', saved], { env });
      expect(inKb('a.bin').equals(three)).toBe(true);
    });

    it('that two have changed are a conflict, and both can be had', async () => {
      const [base, ours, theirs] = [randomBytes(100), randomBytes(100), randomBytes(100)];
      lfs.put(base);
      lfs.put(theirs);
      seed({ '.gitattributes': ATTRIBUTES, 'a.bin': pointerTo(base) });
      await clone();
      writeFileSync(join(place, 'a.bin'), ours);
      seed({ 'a.bin': pointerTo(theirs) });
      const failed = await kb(place, ['sync', '--json'], { env });
      expect(failed.code).toBe(5);
      expect(inKb('a.bin').equals(ours)).toBe(true);
      const copied = await kbOk(place, ['sync', '--on-conflict', 'copy', '--json'], { env });
      const [{ copy }] = copied.json()['conflicts'] as [{ copy: string }];
      expect([inKb('a.bin'), inKb(copy)].map(sha).sort()).toEqual([sha(ours), sha(theirs)].sort());
      expect(lfs.objects.has(sha(ours))).toBe(true);
      agrees();
    });

    it('are not changed by kb note and kb edit, which would write over the pointer', async () => {
      const content = randomBytes(5000);
      lfs.put(content);
      seed({ '.gitattributes': `${ATTRIBUTES}*.md filter=lfs\n`, 'a.md': pointerTo(content) });
      await clone();
      for (const args of [
        ['note', '--append', 'a.md', 'more'],
        ['note', '--replace', 'a.md', 'other'],
        ['edit', 'a.md'],
      ]) {
        const run = await kb(place, args, { env: { ...env, EDITOR: '/bin/true' } });
        expect([args[0], run.code]).toEqual([args[0], 2]);
        expect(run.stderr).toMatch(/kept by Git LFS/);
      }
      agrees();
    });

    it('are left by kb gc, and survive it', async () => {
      seed({ '.gitattributes': ATTRIBUTES, 'note.md': 'text\n' });
      await clone();
      const content = randomBytes(5000);
      writeFileSync(join(place, 'a.bin'), content);
      await sync();
      rmSync(join(place, 'a.bin'));
      await sync();
      await kbOk(place, ['gc'], { env });
      expect(readFileSync(objectPath(join(place, '.git'), content)).equals(content)).toBe(true);
    });

    it('another host gets no token, whoever names it', async () => {
      const other = await startLfsServer();
      try {
        const content = randomBytes(5000);
        other.put(content);
        const named = other.url.replace('127.0.0.1', 'localhost');
        seed({
          '.gitattributes': ATTRIBUTES,
          '.lfsconfig': `[lfs]\n\turl = ${named}/info/lfs\n`,
          'a.bin': pointerTo(content),
        });
        other.answer = (answer) =>
          JSON.parse(JSON.stringify(answer).replaceAll('127.0.0.1', 'localhost')) as typeof answer;
        const cloned = await clone({ GITHUB_TOKEN: '', KB_GIT_AUTH_TOKEN: TOKEN });
        expect(inKb('a.bin').equals(content)).toBe(true);
        expect(cloned.stderr).toMatch(/large files are at .*localhost.*\.lfsconfig/);
        expect(other.requests.length).toBeGreaterThan(1);
        for (const { headers } of other.requests) expect(headers.authorization).toBeUndefined();
        expect(lfs.requests).toEqual([]);
      } finally {
        await other.close();
      }
    });

    it('are in the lfs/objects of a remote on this machine', async () => {
      seed({ '.gitattributes': ATTRIBUTES, 'note.md': 'text\n' });
      await kbOk(root, ['clone', remote, 'kb']);
      const content = randomBytes(5000);
      writeFileSync(join(place, 'a.bin'), content);
      await kbOk(place, ['sync']);
      expect(readFileSync(objectPath(remote, content)).equals(content)).toBe(true);
      await kbOk(root, ['clone', `file://${remote}`, 'second']);
      expect(readFileSync(join(root, 'second/a.bin')).equals(content)).toBe(true);
    });

    describe.skipIf(!gitLfs.available)('and git-lfs (needs git-lfs)', () => {
      const withToken = (): string => url.replace('://', `://x:${TOKEN}@`);

      // The servers are in this process: a native git that talks to them must not keep it from answering.
      async function talk(directory: string, ...args: readonly string[]): Promise<string> {
        const { stdout, stderr } = await promisify(execFile)('git', args, {
          cwd: directory,
          env: gitEnvironment(),
          timeout: 60_000,
        });
        return stdout + stderr;
      }

      async function fsck(directory: string): Promise<void> {
        expect(await talk(directory, 'lfs', 'fsck')).toContain('OK');
      }

      it('take turns on one server and agree on every file', async () => {
        const [first, second, third] = [randomBytes(200_000), randomBytes(90_000), randomBytes(30)];
        await talk(root, 'clone', '-q', withToken(), 'native');
        const native = join(root, 'native');
        git(native, ['lfs', 'install', '--local']);
        writeFileSync(join(native, '.gitattributes'), ATTRIBUTES);
        writeFileSync(join(native, 'a.bin'), first);
        git(native, ['add', '-A']);
        git(native, ['commit', '-q', '-m', 'First']);
        await talk(native, 'push', '-q', 'origin', 'HEAD:main');
        expect(lfs.objects.has(sha(first))).toBe(true);

        await clone();
        expect(inKb('a.bin').equals(first)).toBe(true);
        agrees();
        await fsck(place);

        writeFileSync(join(place, 'a.bin'), second);
        mkdirSync(join(place, 'deep'));
        writeFileSync(join(place, 'deep/c.bin'), third);
        await sync();
        agrees();
        await fsck(place);
        expect(git(place, ['lfs', 'ls-files', '--name-only'])).toBe('a.bin\ndeep/c.bin\n');
        await talk(native, 'pull', '-q', 'origin', 'main');
        expect(readFileSync(join(native, 'a.bin')).equals(second)).toBe(true);
        expect(readFileSync(join(native, 'deep/c.bin')).equals(third)).toBe(true);
        await fsck(native);
        // What kb wrote is byte for byte what git-lfs makes of the same files.
        git(native, ['rm', '-q', '--cached', '-r', '.']);
        git(native, ['add', '-A']);
        expect(git(native, ['write-tree']).trim()).toBe(git(remote, ['rev-parse', 'main^{tree}']).trim());
      });

      it('agree on a repository that is half pointers', async () => {
        const content = randomBytes(5000);
        seed({ '.gitattributes': ATTRIBUTES, 'gone.bin': pointerTo(content) });
        await clone();
        agrees();
        lfs.put(content);
        await talk(place, '-c', `lfs.url=${withToken()}/info/lfs`, 'lfs', 'pull');
        expect(inKb('gone.bin').equals(content)).toBe(true);
        expect((await sync()).json()).toMatchObject({ lfsMissing: [] });
        agrees();
        await fsck(place);
        expect(gitBuffer(place, ['cat-file', '-p', 'HEAD:gone.bin']).toString()).toBe(pointerTo(content));
      });
    });
  },
);
