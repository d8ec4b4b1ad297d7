import { lutimesSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { GitIndex } from '../../src/git/index/index-file.js';
import { scanLocalEdits } from '../../src/kb/local-edits.js';
import { expectSound } from '../support/agree.js';
import { clone, note, siteAt, syncOnce, withKb, worldOf, type Site } from '../support/crash-site.js';
import { git, gitBuffer, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/** The same numbers for the same seed. */
function chance(seed: number): <T>(choices: readonly T[]) => T {
  let state = Math.imul(seed, 2654435761) >>> 0;
  return (choices) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return choices[Math.floor((state / 2 ** 32) * choices.length)] as (typeof choices)[number];
  };
}

type Pick = ReturnType<typeof chance>;

const TEXTS = [
  'one\ntwo\n', 'one\r\ntwo\r\n', 'mixed\r\nends\n', 'no end', 'crlf\r\nno end', 'lone\rcr\n', 'lone\rcr\r\n', '', '\n', '\r\n',
  'nul\0\n', 'nul\0\r\n', 'soft\x01\n', `${'long enough '.repeat(30)}\x01\r\n`, 'eof\r\n\x1a', 'a\r\r\nb\n', 'é\r\n',
  '$Id$\n', 'x $Id: 0123 $ y\r\n', '$Id: by other system $\n', '$Id: open\n', '$Id$ $Id: a\n$ $Id$',
].map((text) => Buffer.from(text)); // prettier-ignore
TEXTS.push(Buffer.from([0xe9, 0x0d, 0x0a, 0xff]));

const PATHS = ['a.md', 'b.txt', 'c.bin', 'sub/a.md', 'sub/b.txt', 'sub/deep/c.md', 'other/b.md', 'd.u16', 'other/é.md'];
const LINES = [
  '* text=auto', '* text', '*.md text eol=crlf', '*.md text eol=lf', '*.txt text=auto eol=crlf', '*.bin binary', '*.bin -text', '*.txt crlf', '*.txt crlf=input',
  '*.md ident', '*.md -text', '*.txt !text', '[attr]note text eol=crlf ident', '*.md note', 'sub/** eol=crlf', '* eol=lf', '*.txt filter=unknown', '*.md text=input',
]; // prettier-ignore
const SETTINGS = [
  '', '[core]\nautocrlf = true\n', '[core]\nautocrlf = input\n', '[core]\neol = crlf\n', '[core]\nautocrlf = false\neol = lf\n', '[core]\nsafecrlf = false\nautocrlf = TRUE\n',
]; // prettier-ignore

function contentFor(path: string, pick: Pick, isBlob: boolean): Buffer {
  if (!path.endsWith('.u16')) return pick(TEXTS);
  const text = pick(['one\ntwo\n', 'é\r\n', 'x', '😀\n']);
  return isBlob ? Buffer.from(text) : Buffer.from(`\ufeff${text}`, 'utf16le');
}

function attributesFile(pick: Pick): string {
  const lines = Array.from({ length: pick([0, 1, 2, 3]) }, () => pick(LINES));
  return [...lines, '*.u16 working-tree-encoding=UTF-16LE-BOM'].join('\n') + '\n';
}

function put(root: string, path: string, content: Buffer | string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

/** A commit whose blobs are these bytes, whatever the attributes say. */
function commitRaw(site: Site, work: string, files: ReadonlyMap<string, Buffer>): void {
  for (const [path, content] of files) {
    const oid = gitBuffer(work, ['hash-object', '-w', '--stdin', '--no-filters'], { input: content }).toString().trim();
    git(work, ['update-index', '--add', '--cacheinfo', `100644,${oid},${path}`]);
  }
  git(work, ['commit', '-q', '-m', 'Raw']);
  git(work, ['push', '-q', site.remote, 'HEAD:main']);
}

const filesOf = (root: string, paths: readonly string[]): Record<string, string> =>
  Object.fromEntries(paths.map((path) => [path, readFileSync(join(root, path), 'latin1')]));

describe.skipIf(!nativeGit.available)('contents as attributes have them (needs native git)', () => {
  it.each(Array.from({ length: 24 }, (_, at) => at + 1))(
    'native git and kb agree on files and blobs, whoever checks out and commits (seed %i)',
    async (seed) => {
      const pick = chance(seed);
      const site = siteAt(makeTemporaryDirectory());
      const settings = pick(SETTINGS);
      put(site.home, '.gitconfig', settings);
      const env = { HOME: site.home, XDG_CONFIG_HOME: join(site.home, '.config') };
      const native = (cwd: string, ...args: string[]): string => git(cwd, args, { env });
      // A blob that no commit of a file gives is a change at the second look: git cannot tell one at once, by its times.
      const expectClean = (): void => {
        for (const line of native(site.kb, 'status', '--porcelain', '-z').split('\0').filter(Boolean)) {
          const path = line.slice(3);
          const now = native(site.kb, 'hash-object', `--path=${path}`, path).trim();
          expect([line, native(site.kb, 'rev-parse', `:${path}`).trim()]).not.toEqual([line, now]);
        }
      };
      const pull = (): void => {
        // Its files are older than its index, so that it takes none for changed that only its content would tell of.
        utimesSync(join(site.root, 'follower/.git/index'), Date.now() / 1000 + 60, Date.now() / 1000 + 60);
        native(join(site.root, 'follower'), 'pull', '-q', '--ff-only');
      };
      const [maker, own, follower] = ['maker', 'own', 'follower'].map((name) => join(site.root, name));
      if (maker === undefined || own === undefined || follower === undefined) throw new Error('unreachable');
      git(site.root, ['init', '-q', '--bare', 'remote.git']);
      git(site.root, ['init', '-q', maker]);
      const first = new Map(PATHS.map((path) => [path, contentFor(path, pick, true)]));
      first.set('.gitattributes', Buffer.from(attributesFile(pick)));
      if (pick([true, false])) first.set('sub/.gitattributes', Buffer.from(`${pick(LINES)}\n`));
      commitRaw(site, maker, first);

      for (const place of [own, follower]) native(site.root, 'clone', '-q', site.remote, place);
      await clone(site, worldOf(site));
      const all = [...first.keys()];
      expect({ settings, files: filesOf(site.kb, all) }).toEqual({ settings, files: filesOf(own, all) });
      expectClean();

      // The same edits, committed by both.
      const edited = [...PATHS.filter(() => pick([true, false])), 'new.md', 'sub/new.txt'];
      for (const path of edited) {
        const content = contentFor(path, pick, false);
        for (const place of [own, site.kb]) put(place, path, content);
      }
      // Whoever looks at a file again finds what its blob should have been. Both look at all: by times alone it would depend
      // on how soon after a file the index was written.
      const before = Date.now() / 1000 - 3600;
      for (const place of [own, site.kb]) for (const path of all) utimesSync(join(place, path), before, before);
      native(own, 'add', '-A');
      await syncOnce(worldOf(site));
      expect(native(site.kb, 'ls-tree', '-r', 'HEAD')).toBe(
        native(own, 'ls-tree', '-r', native(own, 'write-tree').trim()),
      );
      expectClean();
      pull();

      // What another device pushes, with other attributes, arrives alike.
      native(maker, 'pull', '-q', '--ff-only', site.remote, 'main');
      const second = new Map(
        PATHS.filter(() => pick([true, false])).map((path) => [path, contentFor(path, pick, true)]),
      );
      second.set('.gitattributes', Buffer.from(attributesFile(pick)));
      second.set('late/new.md', contentFor('late/new.md', pick, true));
      commitRaw(site, maker, second);
      await syncOnce(worldOf(site), { direction: 'pull' });
      pull();
      expect(native(site.kb, 'rev-parse', 'HEAD')).toBe(native(follower, 'rev-parse', 'HEAD'));
      const changed = native(follower, 'diff', '--name-only', '-z', 'HEAD~1', 'HEAD').split('\0').filter(Boolean);
      expect(filesOf(site.kb, changed)).toEqual(filesOf(follower, changed));
      expectClean();

      // With nothing to go by but contents, both see the same files as changed.
      for (const path of native(site.kb, 'ls-files', '-z').split('\0').filter(Boolean))
        lutimesSync(join(site.kb, path), 1, seed);
      const seen = await withKb(worldOf(site), (kb) =>
        scanLocalEdits(kb, GitIndex.read(kb.surroundings.disk, kb.gitDir), kb.refs.head().oid).map(({ path }) => path),
      );
      const status = native(site.kb, 'status', '--porcelain', '-z').split('\0').filter(Boolean);
      expect(seen).toEqual(status.map((line) => line.slice(3)).sort());
      expectSound(site.kb);
    },
    60_000,
  );

  async function siteWith(files: Readonly<Record<string, string>>, config = ''): Promise<Site> {
    const site = siteAt(makeTemporaryDirectory());
    put(site.home, '.gitconfig', config);
    git(site.root, ['init', '-q', '--bare', 'remote.git']);
    const maker = join(site.root, 'maker');
    git(site.root, ['init', '-q', maker]);
    commitRaw(site, maker, new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)])));
    await clone(site, worldOf(site));
    return site;
  }
  const push = (site: Site, files: Readonly<Record<string, string>>): void =>
    commitRaw(
      site,
      join(site.root, 'maker'),
      new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)])),
    );
  const onDisk = (site: Site, path: string): string => readFileSync(join(site.kb, path), 'utf8');
  const committed = (site: Site, path: string): string => git(site.remote, ['show', `main:${path}`]);

  it('a note keeps the line ends that its file has on disk, and goes out with LF', async () => {
    const site = await siteWith({ '.gitattributes': '*.md text eol=crlf\n', 'log.md': 'one\n' });
    await note(worldOf(site), { target: { kind: 'append', path: 'log.md' }, text: 'two' });
    await note(worldOf(site), { target: { kind: 'new', path: 'new.md' }, text: 'a\r\nb\r\n', frontmatter: false });
    expect(onDisk(site, 'log.md')).toMatch(/^one\r\n- \d\d:\d\d two\r\n$/);
    expect(committed(site, 'log.md')).not.toContain('\r');
    expect(committed(site, 'new.md')).toBe('a\nb\n');
    expect(onDisk(site, 'new.md')).toBe('a\r\nb\r\n');
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
  });

  it('merges normalized blobs, and keeps the line ends on disk', async () => {
    const site = await siteWith({ '.gitattributes': '*.md text eol=crlf\n', 'log.md': '1\n2\n3\n4\n5\n' });
    git(join(site.root, 'maker'), ['status']);
    push(site, { 'log.md': '1\n2\n3\n4\nfive\n' });
    put(site.kb, 'log.md', 'one\r\n2\r\n3\r\n4\r\n5\r\n');
    await syncOnce(worldOf(site));
    expect(committed(site, 'log.md')).toBe('one\n2\n3\n4\nfive\n');
    expect(onDisk(site, 'log.md')).toBe('one\r\n2\r\n3\r\n4\r\nfive\r\n');
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
  });

  it.each([
    ['merge=union', 'a\nremote\nlocal\nz\n'],
    ['merge=binary', undefined],
    ['-merge', undefined],
    ['binary', undefined],
  ])('a file with %s', async (attribute, expected) => {
    const site = await siteWith({
      '.gitattributes': `*.log ${attribute}\n`,
      'x.log': 'a\nz\n',
      'y.log': '1\n2\n3\n4\n5\n',
    });
    push(site, expected === undefined ? { 'y.log': 'one\n2\n3\n4\n5\n' } : { 'x.log': 'a\nremote\nz\n' });
    if (expected === undefined) put(site.kb, 'y.log', '1\n2\n3\n4\nfive\n');
    else put(site.kb, 'x.log', 'a\nlocal\nz\n');
    const outcome = await syncOnce(worldOf(site)).then(
      () => 'merged',
      (error: unknown) => (error as { details: { conflicts: { reason: string }[] } }).details.conflicts[0]?.reason,
    );
    expect(outcome).toBe(expected === undefined ? 'binary' : 'merged');
    if (expected !== undefined) expect(onDisk(site, 'x.log')).toBe(expected);
  });

  it('runs no program that a merge attribute stands for, and says so', async () => {
    const config = '[merge "mine"]\ndriver = touch /tmp/kb-must-not-run; true\n';
    const site = await siteWith({ '.gitattributes': '*.log merge=mine\n', 'x.log': '1\n2\n3\n4\n5\n' }, config);
    push(site, { 'x.log': 'one\n2\n3\n4\n5\n' });
    put(site.kb, 'x.log', '1\n2\n3\n4\nfive\n');
    const told: string[] = [];
    await syncOnce(worldOf(site, { report: (event) => event.kind === 'warning' && told.push(event.text) }));
    expect(onDisk(site, 'x.log')).toBe('one\n2\n3\n4\nfive\n');
    expect(told.filter((text) => text.includes('merge.mine.driver'))).toHaveLength(1);
  });

  it('leaves a file alone whose filter is a program, and refuses an edit of it', async () => {
    const config = '[filter "rot"]\nclean = tr a-z b-za\nsmudge = tr b-za a-z\n';
    const site = await siteWith({ '.gitattributes': '*.sec filter=rot\n', 'x.sec': 'secret\n', 'a.md': 'a\n' }, config);
    expect(onDisk(site, 'x.sec')).toBe('secret\n');
    push(site, { 'x.sec': 'changed\n' });
    await syncOnce(worldOf(site));
    expect(onDisk(site, 'x.sec')).toBe('changed\n');
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
    put(site.kb, 'x.sec', 'mine\n');
    await expect(syncOnce(worldOf(site))).rejects.toMatchObject({ code: 'E_UNSAFE_STATE', details: { path: 'x.sec' } });
    expect(onDisk(site, 'x.sec')).toBe('mine\n');
    await expect(
      note(worldOf(site), { target: { kind: 'append', path: 'x.sec' }, text: 'more' }),
    ).rejects.toMatchObject({ code: 'E_UNSAFE_STATE' });
    expect(committed(site, 'x.sec')).toBe('changed\n');
  });

  it('commits nothing that would come back with other line ends under core.safecrlf=true', async () => {
    const site = await siteWith({ 'a.md': 'a\n' }, '[core]\nautocrlf = input\nsafecrlf = true\n');
    put(site.kb, 'a.md', 'a\r\nb\r\n');
    await expect(syncOnce(worldOf(site))).rejects.toMatchObject({ code: 'E_UNSAFE_STATE', details: { path: 'a.md' } });
    expect(committed(site, 'a.md')).toBe('a\n');
  });
});
