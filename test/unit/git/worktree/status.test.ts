import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, type Stats } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../../src/disk/disk.js';
import { type FileStat, updateIndex } from '../../../../src/git/index/index-file.js';
import type { RepoPath } from '../../../../src/git/paths.js';
import { UNKNOWN_STAT } from '../../../../src/git/worktree/modes.js';
import { scanChanges } from '../../../../src/git/worktree/status.js';
import { foldingDisk } from './folding-disk.js';
import { WorktreeFolder } from './worktree-folder.js';

function scan(folder: WorktreeFolder): string[] {
  return scanChanges(folder.worktree, folder.index(), { objects: folder.objects }).map(
    ({ path, kind }) => `${kind} ${path}`,
  );
}

// What native git says of ordinary work trees is the oracle in test/integration/git-worktree-status.test.ts.
describe('scanChanges', () => {
  it('takes a tracked file for itself in another case where the volume folds names', () => {
    const folder = new WorktreeFolder({ ignoreCase: true }, foldingDisk);
    folder.commit({ 'Docs/A.md': folder.leaf('1') });
    renameSync(folder.at('Docs/A.md'), folder.at('Docs/a.md'));
    renameSync(folder.at('Docs'), folder.at('docs'));
    expect(scan(folder)).toEqual([]);
    folder.write('docs/b.md', 'x');
    expect(scan(folder)).toEqual(['added docs/b.md']);
  });

  it('composes the names that the volume gives back decomposed', () => {
    const decomposed = (name: string | Buffer): string | Buffer =>
      typeof name === 'string' ? name.normalize('NFD') : Buffer.from(name.toString('utf8').normalize('NFD'));
    const decomposing = (root: string): Disk => ({
      ...foldingDisk(root),
      readdirSync: ((path: string, options: { withFileTypes: true }) =>
        nodeDisk
          .readdirSync(path, options)
          .map((entry) => Object.assign(entry, { name: decomposed(entry.name) }))) as Disk['readdirSync'],
    });
    const folder = new WorktreeFolder({ precomposeUnicode: true }, decomposing);
    folder.commit({ 'm\u00fcll/\u00e9.md': folder.leaf('1') });
    folder.write('m\u00fcll/\u00fc.md', 'x');
    expect(scan(folder)).toEqual(['added m\u00fcll/\u00fc.md']);
    // a name that looks like one that is no UTF-8 keeps none of the others from being composed
    folder.write('m\u00fcll/\ufffd.md', 'x');
    expect(scan(folder)).toEqual(['added m\u00fcll/\u00fc.md', 'added m\u00fcll/\ufffd.md']);
  });

  it('ignores the executable bit and the kind of links where the volume has none', () => {
    const folder = new WorktreeFolder({ fileMode: false, symlinks: false });
    folder.commit({ 'a.md': folder.leaf('1'), run: folder.leaf('1', 0o100755), link: folder.leaf('a.md', 0o120000) });
    chmodSync(folder.at('a.md'), 0o755);
    expect(scan(folder)).toEqual([]);
    folder.write('link', 'elsewhere');
    expect(scan(folder)).toEqual(['modified link']);
  });

  it('reads no file whose stat data says that it is unchanged', () => {
    const opened: string[] = [];
    const folder = new WorktreeFolder({}, () => ({
      ...nodeDisk,
      openSync: (path, ...rest) => (opened.push(String(path)), nodeDisk.openSync(path, ...rest)),
    }));
    folder.commit({ 'a.md': folder.leaf('1'), 'b.md': folder.leaf('1') });
    const index = folder.index();
    const old = (name: string): { stat: FileStat } => index.get(name as RepoPath) ?? { stat: UNKNOWN_STAT };
    // an index that is newer than the files by more than a clock's step
    updateIndex(nodeDisk, folder.gitDir, () => ({
      changes: new Map(
        ['a.md', 'b.md'].map((name) => [name as RepoPath, { ...folder.leaf('1'), stat: old(name).stat }]),
      ),
    }));
    nodeDisk.utimesSync(`${folder.gitDir}/index`, new Date(Date.now() + 5000), new Date(Date.now() + 5000));
    opened.length = 0;
    expect(scan(folder)).toEqual([]);
    expect(opened).toEqual([]);
    nodeDisk.utimesSync(folder.at('b.md'), 1, 1);
    expect(scan(folder)).toEqual([]);
    expect(opened).toEqual([folder.at('b.md')]);
  });

  it('reads a file that looks as recorded where the index is not newer than it: the clock may have stood still', () => {
    const clock: { frozen?: { numbers: object; exact: object } } = {};
    const folder = new WorktreeFolder({}, (root) => ({
      ...nodeDisk,
      lstatSync: ((path: string, options?: { bigint?: boolean }) =>
        path !== `${root}/a.md` || clock.frozen === undefined
          ? nodeDisk.lstatSync(path, options)
          : options?.bigint === true
            ? clock.frozen.exact
            : clock.frozen.numbers) as Disk['lstatSync'],
    }));
    folder.commit({ 'a.md': folder.leaf('1') });
    const file = folder.at('a.md');
    const recorded = { numbers: nodeDisk.lstatSync(file), exact: nodeDisk.lstatSync(file, { bigint: true }) };
    folder.write('a.md', '2');
    clock.frozen = recorded;
    const { mtimeMs } = recorded.numbers;
    nodeDisk.utimesSync(`${folder.gitDir}/index`, mtimeMs / 1000 + 1, mtimeMs / 1000 + 1);
    expect(scan(folder)).toEqual([]);
    nodeDisk.utimesSync(`${folder.gitDir}/index`, mtimeMs / 1000 - 1, mtimeMs / 1000 - 1);
    expect(scan(folder)).toEqual(['modified a.md']);
  });

  it('looks with exact numbers where ids do not fit into a double, or ctime means nothing', () => {
    const asked: boolean[] = [];
    const watching =
      (over: Partial<Stats>) =>
      (root: string): Disk => ({
        ...nodeDisk,
        lstatSync: ((path: string, options?: { bigint?: boolean }) => {
          if (/\.md$/.test(path)) asked.push(options?.bigint === true);
          const stats = nodeDisk.lstatSync(path, options) as object | undefined;
          const isOverlaid = stats !== undefined && path.startsWith(root) && options?.bigint !== true;
          return isOverlaid ? Object.assign(stats, over) : stats;
        }) as Disk['lstatSync'],
      });
    const tree = (folder: WorktreeFolder): WorktreeFolder =>
      folder.commit({ 'a.md': folder.leaf('1'), 'b.md': folder.leaf('1') });
    const large = tree(new WorktreeFolder({}, watching({ ino: 2 ** 60 })));
    asked.length = 0;
    expect(scan(large)).toEqual([]);
    expect(asked).toEqual([false, true, true]);
    const careless = tree(new WorktreeFolder({ trustCtime: false }, watching({})));
    asked.length = 0;
    expect(scan(careless)).toEqual([]);
    expect(asked).toEqual([true, true]);
  });

  it('shows a file that was kept although git moved on', () => {
    const folder = new WorktreeFolder();
    folder.commit({ 'a.md': folder.leaf('1') }).write('a.md', 'mine');
    const entries = folder.worktree.apply(folder.to({ 'a.md': folder.leaf('2') }), folder.objects, {
      keepOthers: true,
    });
    updateIndex(nodeDisk, folder.gitDir, () => ({ changes: entries }));
    expect(scan(folder)).toEqual(['modified a.md']);
  });

  it('does not look into a tracked folder that became a link', () => {
    const folder = new WorktreeFolder();
    folder.commit({ 'a/b.md': folder.leaf('1') });
    renameSync(folder.at('a'), folder.at('elsewhere'));
    folder.link('a', 'elsewhere');
    expect(scan(folder)).toEqual(['added a', 'deleted a/b.md', 'added elsewhere/b.md']);
  });

  it.skipIf(process.getuid?.() === 0)('passes over a folder that must not be read, as git does (not as root)', () => {
    const folder = new WorktreeFolder().commit({}).write('closed/x', '1').write('open/y', '1');
    chmodSync(folder.at('closed'), 0);
    expect(scan(folder)).toEqual(['added open/y']);
    chmodSync(folder.at('closed'), 0o755);
  });

  it('finds nothing in a KB without files', () => {
    const folder = new WorktreeFolder();
    mkdirSync(folder.at('empty/folder'), { recursive: true });
    expect(scan(folder)).toEqual([]);
    rmSync(folder.at('empty'), { recursive: true });
    expect(readdirSync(folder.root)).toEqual(['.git']);
  });
});
