import { createHash, randomBytes } from 'node:crypto';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBareRepository, hasGitHttpBackend, startGitServer, type GitServer } from '../support/http-backend.js';
import { kb, kbOk } from '../support/kb.js';
import { startLfsServer, type LfsServer } from '../support/lfs-server.js';
import { git, gitBuffer, gitEnvironment, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { gitLfs } from '../support/native-lfs.js';
import { canMount, Volume } from '../support/volume.js';

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

    describe.skipIf(!canMount)('on a small volume (needs Linux and root)', () => {
      const MIB = 1024 * 1024;
      let volume: Volume;
      const freeMib = (): number => statfsSync(volume.path).bfree * (statfsSync(volume.path).bsize / MIB);

      beforeEach(() => {
        volume = new Volume('size=100m');
        place = join(volume.path, 'kb');
      });
      afterEach(() => volume.unmount());

      it('a clone stops before the volume is full of large files, and leaves nothing', async () => {
        const files = Object.fromEntries(Array.from({ length: 5 }, (_, n) => [`${n}.bin`, Buffer.alloc(12 * MIB, n)]));
        for (const content of Object.values(files)) lfs.put(content);
        const pointers = Object.entries(files).map(([path, content]) => [path, pointerTo(content)] as const);
        seed({ '.gitattributes': ATTRIBUTES, ...Object.fromEntries(pointers) });
        const run = await kb(root, ['clone', url, place, '--json'], { env });
        expect(run.code).toBe(9);
        expect(run.json()).toMatchObject({
          error: {
            code: 'E_STORAGE',
            message: expect.stringMatching(/before the volume was full.*large files/) as string,
          },
        });
        expect(readdirSync(volume.path)).toEqual([]);
        // The pointers alone take no room.
        await kbOk(root, ['clone', url, place], { env: { ...env, GIT_LFS_SKIP_SMUDGE: '1' } });
        expect(inKb('0.bin').toString()).toBe(pointerTo(files['0.bin'] ?? Buffer.alloc(0)));
        agrees();
      });

      it('a sync stops before a byte of what does not fit is fetched, and goes on when there is room', async () => {
        seed({ '.gitattributes': ATTRIBUTES, 'note.md': 'text\n' });
        await kbOk(root, ['clone', url, place], { env });
        const content = Buffer.alloc(30 * MIB, 'x');
        lfs.put(content);
        const ballast = join(volume.path, 'ballast');
        writeFileSync(ballast, Buffer.alloc(45 * MIB));
        seed({ 'a.bin': pointerTo(content) });
        const before = freeMib();
        const run = await kb(place, ['sync', '--json'], { env });
        expect(run.code).toBe(9);
        expect(run.stdout).toMatch(/60 MiB more are needed/);
        expect(before - freeMib()).toBeLessThan(1);
        expect(existsSync(join(place, 'a.bin'))).toBe(false);
        agrees();

        // A pointer that lies there already stays: that sync is done, and says what it could not bring.
        await sync({ GIT_LFS_SKIP_SMUDGE: '1' });
        expect((await sync()).json()).toMatchObject({
          result: 'up_to_date',
          lfsMissing: ['a.bin'],
          warnings: [expect.stringMatching(/60 MiB more are needed.*; next: kb sync/) as string],
        });
        expect(before - freeMib()).toBeLessThan(1);
        expect(inKb('a.bin').toString()).toBe(pointerTo(content));
        agrees();
        rmSync(ballast);
        expect((await sync()).json()).toMatchObject({ lfsMissing: [] });
        expect(inKb('a.bin').equals(content)).toBe(true);
        agrees();
      });

      it('a pointer that claims more than the volume has, and that the server does not know, stops nobody', async () => {
        const claim = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 9007199254740991\n`;
        seed({ '.gitattributes': ATTRIBUTES, 'a.bin': claim, 'note.md': 'text\n' });
        const run = await kbOk(root, ['clone', url, place, '--json'], { env });
        expect(run.json()).toMatchObject({ lfsMissing: ['a.bin'] });
        agrees();
      });
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

      /** Every file that git tracks there and that is on disk, by what it holds. */
      function filesIn(directory: string): Map<string, string> {
        const paths = git(directory, ['ls-files', '-z']).split('\0').filter(Boolean);
        const here = paths.filter((path) => existsSync(join(directory, path)));
        return new Map(here.map((path) => [path, sha(readFileSync(join(directory, path)))]));
      }

      /** Native git's status with nothing to go by but contents: what it knows of times differs from clone to clone. */
      function changedByContent(directory: string): string {
        for (const path of git(directory, ['ls-files', '-z']).split('\0').filter(Boolean))
          if (existsSync(join(directory, path))) utimesSync(join(directory, path), 1, 1);
        return git(directory, ['status', '--porcelain']);
      }

      it('check out the same files, whatever .gitattributes in folders say and however a clone is made', async () => {
        const sizes = [1, 100, 1023, 1024, 1025, 70_000, 1_200_000];
        const contents = sizes.map((size) => randomBytes(size));
        for (const content of contents) lfs.put(content);
        const oldForm = pointerTo(contents[1] as Buffer).replace('git-lfs.github.com', 'hawser.github.com');
        const text = (lines: number): string => 'a line with $Id$ in it\n'.repeat(lines);
        const texts = Object.fromEntries([1, 40, 60_000].map((lines) => [`${lines}.md`, text(lines)]));
        const pointers = Object.fromEntries(contents.map((content, n) => [`${sizes[n]}.dat`, pointerTo(content)]));
        const folders: Record<string, Record<string, string>> = {
          '': { '.gitattributes': '*.dat filter=lfs diff=lfs merge=lfs -text\n', ...pointers, ...texts },
          // Sorts before the attributes and after them; and blobs that are elsewhere too, where they mean another thing.
          '!first/': { ...pointers, ...texts },
          'crlf/': { '.gitattributes': '*.md text eol=crlf\n', ...texts },
          'crlf/deep/er/': { '.gitattributes': '*.md ident\n', ...texts, ...pointers },
          'ident/': { '.gitattributes': '*.md ident\n', ...texts },
          'none/': { '.gitattributes': '*.dat !filter !diff !merge\n', ...pointers },
          'own/': {
            '.gitattributes': '*.txt filter=lfs\n*.md filter=lfs eol=crlf text\n',
            'empty.txt': '',
            'pointer.md': pointerTo(contents[6] as Buffer),
          },
        };
        // What git-lfs would write in another way is a local change from the beginning, for native git too.
        const odd = [
          ['own/old.txt', oldForm],
          ['own/no-end.txt', pointerTo(contents[5] as Buffer).trimEnd()],
          ['own/plain.txt', 'no pointer\n'],
          ['own/long.txt', `${pointerTo(contents[0] as Buffer)}${'x'.repeat(1100)}\n`],
        ] as const;
        const files = Object.entries(folders).flatMap(([folder, list]) =>
          Object.entries(list).map(([path, content]) => [folder + path, content] as const),
        );
        git(root, ['init', '-q', 'raw']);
        const raw = join(root, 'raw');
        const commitRaw = (list: readonly (readonly [string, string])[], ...refs: readonly string[]): void => {
          const lines = list.map(([path, content]) => {
            const oid = git(raw, ['hash-object', '-w', '--stdin', '--no-filters'], { input: content }).trim();
            return `100644 ${oid}\t${path}\0`;
          });
          git(raw, ['update-index', '-z', '--add', '--index-info'], { input: lines.join('') });
          git(raw, ['commit', '-q', '-m', 'Raw']);
          git(raw, ['push', '-q', remote, ...refs.map((ref) => `HEAD:refs/${ref}`)], { env: asPointers });
        };
        commitRaw([...files, ...odd], 'heads/side', 'tags/v1');
        git(raw, ['rm', '-q', '--cached', ...odd.map(([path]) => path)]);
        commitRaw([], 'heads/main');

        const ways: readonly (readonly [string, readonly string[], readonly string[]])[] = [
          ['plain', [], []],
          ['whole', ['--depth', 'full'], []],
          ['branch', ['--branch', 'side'], ['--branch', 'side']],
          ['tag', ['--branch', 'v1'], ['--branch', 'v1']],
          ['sparse', ['--sparse', 'crlf/deep', '--sparse', 'own'], ['--sparse']],
        ];
        for (const [name, own, natively] of ways) {
          const [mine, theirs] = [join(root, name), join(root, `native-${name}`)];
          const run = await kbOk(root, ['clone', url, name, '--json', ...own], { env });
          expect(run.json()).toMatchObject({ lfsMissing: [] });
          await talk(root, 'clone', '-q', ...natively, withToken(), theirs);
          if (name === 'sparse') await talk(theirs, 'sparse-checkout', 'set', 'crlf/deep', 'own');
          expect([name, filesIn(mine)]).toEqual([name, filesIn(theirs)]);
          expect([name, changedByContent(mine)]).toEqual([name, changedByContent(theirs)]);
          git(mine, ['fsck', '--strict']);
        }

        // A pull: other contents, and other attributes over files that stay.
        const more = randomBytes(2_000_000);
        lfs.put(more);
        commitRaw(
          [
            ['1024.dat', pointerTo(more)],
            ['none/new.dat', pointerTo(more)],
            ['crlf/deep/er/new.dat', pointerTo(more)],
            ['crlf/1.md', 'another $Id$\n'],
            ['ident/.gitattributes', '*.md ident text eol=crlf\n'],
            ['ident/40.md', 'another $Id$\n'],
            ['own/empty.txt', pointerTo(contents[2] as Buffer)],
          ],
          'heads/main',
        );
        for (const name of ['plain', 'whole', 'sparse']) {
          const [mine, theirs] = [join(root, name), join(root, `native-${name}`)];
          const run = await kbOk(mine, ['sync', '--json'], { env });
          expect(run.json()).toMatchObject({ result: 'pulled', lfsMissing: [] });
          await talk(theirs, 'pull', '-q', '--ff-only');
          expect([name, filesIn(mine)]).toEqual([name, filesIn(theirs)]);
          git(mine, ['fsck', '--strict']);
        }
      }, 120_000);

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
