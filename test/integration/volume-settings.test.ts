import {
  chmodSync,
  existsSync,
  writeFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { expectSound } from '../support/agree.js';
import { clone, pushFromElsewhere, siteAt, syncOnce, worldOf, write, type Site } from '../support/crash-site.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { runScript } from '../support/run-site.js';

/** What lies in a work tree: type, executable bit and content of each file. */
function filesIn(root: string, folder = ''): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(join(root, folder))) {
    const path = folder === '' ? name : `${folder}/${name}`;
    if (path === '.git' || name.startsWith('.kb_')) continue;
    const stats = lstatSync(join(root, path));
    if (stats.isDirectory()) Object.assign(found, filesIn(root, path));
    else if (stats.isSymbolicLink()) found[path] = `→ ${readlinkSync(join(root, path))}`;
    else found[path] = `${(stats.mode & 0o100) === 0 ? '' : 'x '}${readFileSync(join(root, path), 'utf8')}`;
  }
  return found;
}

interface Case {
  readonly what: string;
  /** Lines of `git config`, set in the KB and in the clone that native git works in. */
  readonly settings: readonly string[];
  /** What both start from, besides the files of `first`. */
  readonly first?: (work: string) => void;
  /** Done in both after the settings are set; then both commit all. */
  readonly edit: (work: string) => void;
  /** Pushed by somebody whose volume can do all; both pull it. */
  readonly pushed?: (work: string) => void;
}

const chmod = (work: string, path: string, mode: number): void => chmodSync(join(work, path), mode);
const link = (work: string, path: string, target: string): void => {
  rmSync(join(work, path), { force: true });
  symlinkSync(target, join(work, path));
};
const file = (work: string, path: string, content: string): void => {
  rmSync(join(work, path), { force: true });
  write(work, { [path]: content });
};

const NO_BITS = ['core.filemode=false'];
const NO_LINKS = ['core.symlinks=false'];
const NO_CASE = ['core.ignorecase=true'];

const CASES: readonly Case[] = [
  {
    what: 'bits on disk say nothing: of new files, of edited ones, of ones that are executable in git',
    settings: NO_BITS,
    edit: (work) => {
      write(work, { 'new.sh': 'new\n', 'plain.md': 'edited\n', 'run.sh': 'edited\n' });
      for (const path of ['new.sh', 'plain.md', 'note.md']) chmod(work, path, 0o755);
      chmod(work, 'run.sh', 0o644);
    },
    pushed: (work) => {
      write(work, { 'plain.md': 'theirs\n', 'run.sh': 'theirs\n', 'late.sh': 'late\n' });
      for (const path of ['late.sh', 'note.md']) chmod(work, path, 0o755);
      chmod(work, 'run.sh', 0o644);
    },
  },
  {
    what: 'a bit that git add --chmod has set is committed',
    settings: NO_BITS,
    edit: (work) => {
      write(work, { 'new.sh': 'new\n' });
      git(work, ['add', 'new.sh']);
      git(work, ['update-index', '--chmod=+x', 'new.sh', 'plain.md']);
      git(work, ['update-index', '--chmod=-x', 'run.sh']);
    },
    pushed: (work) => chmod(work, 'plain.md', 0o644),
  },
  {
    what: 'a link in the place of an executable file, and a file in the place of a link',
    settings: NO_BITS,
    edit: (work) => {
      link(work, 'run.sh', 'plain.md');
      file(work, 'link', 'a file\n');
      chmod(work, 'link', 0o755);
    },
    pushed: (work) => {
      file(work, 'run.sh', 'again\n');
      chmod(work, 'run.sh', 0o755);
      link(work, 'link', 'note.md');
    },
  },
  {
    what: 'a file in the place of a link is that link, edited',
    settings: NO_LINKS,
    edit: (work) => {
      file(work, 'link', 'elsewhere.md');
      file(work, 'other-link', 'note.md');
      file(work, 'new-link', 'plain.md');
    },
    pushed: (work) => {
      link(work, 'link', 'run.sh');
      link(work, 'late-link', 'plain.md');
      link(work, 'plain.md', 'note.md');
    },
  },
  {
    what: 'links become files with a line end that is converted, and back',
    settings: [...NO_LINKS, 'core.autocrlf=true'],
    edit: (work) => {
      file(work, 'link', 'two\r\nlines\r\n');
      file(work, 'crlf.md', 'a\r\nb\r\n');
    },
    pushed: (work) => link(work, 'other-link', 'target\nwith a line end\n'),
  },
  {
    what: 'links that lie there as links although git is told that there are none',
    settings: NO_LINKS,
    edit: (work) => {
      link(work, 'new-link', 'plain.md');
      link(work, 'link', 'note.md');
    },
    pushed: (work) => link(work, 'link', 'run.sh'),
  },
  {
    what: 'neither bits nor links',
    settings: [...NO_BITS, ...NO_LINKS],
    edit: (work) => {
      file(work, 'link', 'elsewhere.md');
      chmod(work, 'link', 0o755);
      file(work, 'run.sh', 'edited\n');
    },
    pushed: (work) => {
      link(work, 'run.sh', 'plain.md');
      file(work, 'link', 'a program\n');
      chmod(work, 'link', 0o755);
    },
  },
  {
    what: 'edits, new files and deletions are the same as where case counts',
    settings: NO_CASE,
    edit: (work) => {
      write(work, { 'plain.md': 'edited\n', 'New.md': 'new\n', 'Deep/new.md': 'new\n', 'note.md': null });
    },
    pushed: (work) => {
      write(work, { 'plain.md': 'theirs\n', 'Deep/Er/late.md': 'late\n', 'Other.md': null });
    },
  },
  {
    what: 'ignore rules and attributes go by any case',
    settings: NO_CASE,
    first: (work) => {
      write(work, { '.gitignore': '*.TMP\nbuild/\n', '.gitattributes': '*.TXT text eol=crlf\n', 'a.txt': 'a\n' });
    },
    edit: (work) => {
      write(work, { 'x.tmp': 'x\n', 'Build/y.md': 'y\n', 'b.Txt': 'b\r\n', 'a.txt': 'more\r\n' });
    },
    pushed: (work) => {
      write(work, { 'c.TXT': 'c\n', 'a.txt': 'theirs\r\n' });
    },
  },
  {
    what: 'a name in another case where the volume keeps cases apart',
    settings: NO_CASE,
    edit: (work) => renameSync(join(work, 'Other.md'), join(work, 'other.md')),
  },
  {
    what: 'others rename a file and a folder to another case',
    settings: NO_CASE,
    edit: (work) => {
      write(work, { 'plain.md': 'edited\n' });
    },
    pushed: (work) => {
      renameSync(join(work, 'Other.md'), join(work, 'OTHER.md'));
      renameSync(join(work, 'Deep'), join(work, 'deep'));
    },
  },
  {
    what: 'decomposed names stay what they are where a Mac wrote the settings',
    settings: ['core.precomposeunicode=true'],
    first: (work) => {
      write(work, { 'e\u0301.md': 'decomposed\n' });
    },
    edit: (work) => {
      write(work, { 'u\u0308/o\u0308.md': 'new\n', '\u00fc.md': 'composed\n', 'e\u0301.md': 'edited\n' });
    },
    pushed: (work) => {
      write(work, { 'a\u0308.md': 'late\n', 'e\u0301.md': 'theirs\n' });
    },
  },
];

describe.skipIf(!nativeGit.available)('what the volume can do, by the settings (needs native git)', () => {
  async function start(first?: (work: string) => void): Promise<{ site: Site; twin: string }> {
    const site = siteAt(join(makeTemporaryDirectory(), 'site'));
    mkdirSync(site.home, { recursive: true });
    git(site.root, ['init', '-q', '--bare', 'remote.git']);
    const maker = join(site.root, 'maker');
    git(site.root, ['init', '-q', maker]);
    write(maker, { 'plain.md': 'plain\n', 'note.md': 'note\n', 'run.sh': 'run\n' });
    write(maker, { 'Other.md': 'other\n', 'Deep/Er/three.md': 'three\n' });
    chmod(maker, 'run.sh', 0o755);
    link(maker, 'link', 'plain.md');
    link(maker, 'other-link', 'Deep');
    first?.(maker);
    git(maker, ['add', '-A']);
    git(maker, ['commit', '-q', '-m', 'Start']);
    git(maker, ['push', '-q', site.remote, 'HEAD:main']);
    const twin = join(site.root, 'twin');
    git(site.root, ['clone', '-q', site.remote, twin]);
    return { site, twin };
  }

  const treeOf = (work: string): string => git(work, ['ls-tree', '-r', 'HEAD']);
  const status = (work: string): string => git(work, ['status', '--porcelain', '--untracked-files=all']);
  const set = (work: string, settings: readonly string[]): void => {
    for (const setting of settings) git(work, ['config', ...setting.split('=')]);
  };

  for (const by of ['kb sync', 'kb run'] as const) {
    describe(by, () => {
      it.each(CASES)('$what', async ({ settings, first, edit, pushed }) => {
        const { site, twin } = await start(first);
        await clone(site, worldOf(site));
        for (const work of [site.kb, twin]) set(work, settings);
        edit(twin);
        git(twin, ['add', '-A']);
        git(twin, ['commit', '-q', '-m', 'Edited']);
        if (by === 'kb sync') {
          edit(site.kb);
          expect(status(site.kb)).not.toBe('');
          await syncOnce(worldOf(site));
        } else {
          const [go, done] = [join(site.root, 'go'), join(site.root, 'done')];
          const running = runScript(site, `: > '${go}'; until [ -e '${done}' ]; do sleep 0.02; done`);
          await vi.waitUntil(() => existsSync(go), { timeout: 10_000 });
          edit(site.kb);
          writeFileSync(done, '');
          await running;
        }
        expect(treeOf(site.kb)).toBe(treeOf(twin));
        expect(status(site.kb)).toBe(status(twin));
        expect(filesIn(site.kb)).toEqual(filesIn(twin));
        if (pushed !== undefined) {
          pushFromElsewhere(site, pushed);
          git(twin, ['fetch', '-q']);
          git(twin, ['reset', '-q', '--keep', 'origin/main']);
          await syncOnce(worldOf(site), { direction: 'pull' });
          expect(treeOf(site.kb)).toBe(treeOf(twin));
          expect(git(site.kb, ['ls-files', '--stage'])).toBe(git(twin, ['ls-files', '--stage']));
          expect(filesIn(site.kb)).toEqual(filesIn(twin));
          expect(status(site.kb)).toBe(status(twin));
        }
        expectSound(site.kb);
      });
    });
  }

  it('a clone where no links can be made has files in their place, as the clone of native git', async () => {
    const { site, twin } = await start();
    rmSync(twin, { recursive: true });
    git(site.root, ['clone', '-q', '-c', 'core.symlinks=false', site.remote, twin]);
    const disk: Disk = new Proxy(nodeDisk, {
      get: (target, name: keyof Disk): unknown =>
        name !== 'symlinkSync'
          ? target[name]
          : () => {
              throw Object.assign(new Error('EPERM'), { code: 'EPERM', syscall: 'symlink' });
            },
    });
    await clone(site, worldOf(site, { disk }));
    expect(git(site.kb, ['config', 'core.symlinks']).trim()).toBe('false');
    expect(filesIn(site.kb)).toEqual(filesIn(twin));
    expect([status(site.kb), status(twin)]).toEqual(['', '']);
    file(site.kb, 'link', 'note.md');
    await syncOnce(worldOf(site, { disk }));
    expect(git(site.remote, ['ls-tree', 'main', 'link'])).toMatch(/^120000 /);
    expect(git(site.remote, ['show', 'main:link'])).toBe('note.md');
    expectSound(site.kb);
  });
});
