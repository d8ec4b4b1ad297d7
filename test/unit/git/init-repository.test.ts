import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Disk } from '../../../src/disk/disk.js';
import { nodeDisk } from '../../../src/disk/disk.js';
import { initRepository, probeVolume } from '../../../src/git/init-repository.js';
import { git, makeTemporaryDirectory, nativeGit } from '../../support/native-git.js';
import { foldingDisk } from './worktree/folding-disk.js';

/** A disk that stops working at the n-th step that changes something, as a crash would stop it. */
function diskThatStopsAt(step: number): Disk {
  let done = 0;
  const changing = [
    'openSync',
    'writeSync',
    'fsyncSync',
    'mkdirSync',
    'renameSync',
    'symlinkSync',
    'chmodSync',
    'unlinkSync',
  ];
  return new Proxy(fs, {
    get(target, name: keyof typeof fs) {
      const call = target[name];
      if (!changing.includes(name)) return call;
      return (...parameters: never[]): unknown => {
        if (++done > step) throw new Error('crash');
        return (call as (...all: never[]) => unknown)(...parameters);
      };
    },
  });
}

describe('initRepository', () => {
  it('writes what git expects and nothing else', () => {
    const gitDir = join(makeTemporaryDirectory(), '.git');
    initRepository(nodeDisk, gitDir, { bare: false, branch: 'main' });
    expect(readFileSync(join(gitDir, 'HEAD'), 'utf8')).toBe('ref: refs/heads/main\n');
    expect(readdirSync(gitDir).sort()).toEqual(['HEAD', 'config', 'info', 'objects', 'refs']);
    expect(readFileSync(join(gitDir, 'info/exclude'), 'utf8')).toContain(
      '\n.kb_operations.lock\n.kb_clone_*\n.kb_tmp_*\n',
    );
  });

  it('refuses to make a repository over one, and a bad branch name, and changes nothing', () => {
    const gitDir = join(makeTemporaryDirectory(), '.git');
    expect(() => initRepository(nodeDisk, gitDir, { bare: false, branch: 'a..b' })).toThrow(
      expect.objectContaining({ code: 'E_USAGE' }),
    );
    expect(existsSync(gitDir)).toBe(false);
    initRepository(nodeDisk, gitDir, { bare: false, branch: 'main' });
    expect(() => initRepository(nodeDisk, gitDir, { bare: false, branch: 'other' })).toThrow(
      expect.objectContaining({ code: 'E_UNSAFE_STATE' }),
    );
    expect(readFileSync(join(gitDir, 'HEAD'), 'utf8')).toBe('ref: refs/heads/main\n');
  });

  it('says E_STORAGE where nothing can be written', () => {
    const directory = makeTemporaryDirectory();
    const refusing = {
      ...fs,
      mkdirSync: () => {
        throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
      },
    } as unknown as Disk;
    expect(() => initRepository(refusing, join(directory, '.git'), { bare: false, branch: 'main' })).toThrow(
      expect.objectContaining({ code: 'E_STORAGE' }),
    );
  });

  it('leaves no repository or a whole one wherever it is stopped, and the same call mends it', () => {
    let stoppedBefore = 0;
    for (let step = 0; step < 200; step++) {
      const gitDir = join(makeTemporaryDirectory(), '.git');
      try {
        initRepository(diskThatStopsAt(step), gitDir, { bare: false, branch: 'main' });
        break;
      } catch {
        if (!existsSync(join(gitDir, 'HEAD'))) {
          stoppedBefore++;
          initRepository(nodeDisk, gitDir, { bare: false, branch: 'main' });
        }
        for (const path of [
          'HEAD',
          'config',
          'info/exclude',
          'objects/pack',
          'objects/info',
          'refs/heads',
          'refs/tags',
        ]) {
          expect(existsSync(join(gitDir, path)), `stopped at step ${step}: ${path}`).toBe(true);
        }
      }
    }
    expect(stoppedBefore).toBeGreaterThan(10);
  });

  describe.skipIf(!nativeGit.available)('with native git (needs native git)', () => {
    for (const bare of [false, true]) {
      it(`has the configuration of git init (bare: ${bare}) and works`, () => {
        const root = makeTemporaryDirectory();
        const [ours, theirs] = ['ours', 'theirs'].map((name) => join(root, name));
        mkdirSync(ours as string);
        initRepository(nodeDisk, bare ? (ours as string) : join(ours as string, '.git'), { bare, branch: 'main' });
        git(root, ['init', '-q', ...(bare ? ['--bare'] : []), theirs as string]);
        const settings = (directory: string | undefined): string[] =>
          git(directory as string, ['config', '--local', '--list'])
            .split('\n')
            .sort();
        expect(settings(ours)).toEqual(settings(theirs));
        expect(git(ours as string, ['fsck', '--strict'])).toBe('');
        if (bare) return;
        mkdirSync(join(ours as string, '.kb_operations.lock'));
        writeFileSync(join(ours as string, '.kb_operations.lock/owner.json'), '{}');
        writeFileSync(join(ours as string, 'note.md'), 'text\n');
        expect(git(ours as string, ['status', '--porcelain', '--untracked-files=all'])).toBe('?? note.md\n');
      });
    }
  });
});

describe('probeVolume', () => {
  it('leaves nothing behind', () => {
    const directory = makeTemporaryDirectory();
    probeVolume(nodeDisk, directory);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('finds a volume without symlinks, executable bits and case', () => {
    const directory = makeTemporaryDirectory();
    const folding = {
      ...fs,
      symlinkSync: (...parameters: Parameters<typeof fs.symlinkSync>) => {
        throw Object.assign(new Error(`EPERM ${String(parameters[1])}`), { code: 'EPERM' });
      },
      chmodSync: () => undefined,
      lstatSync: (path: string) =>
        fs.lstatSync(
          join(
            directory,
            fs
              .readdirSync(directory)
              .find((name) => name.toLowerCase() === (path.split('/').pop() ?? '').toLowerCase()) ?? 'none',
          ),
        ),
    } as unknown as Disk;
    expect(probeVolume(folding, directory)).toEqual({
      fileMode: false,
      symlinks: false,
      ignoreCase: true,
      precomposeUnicode: false,
    });
  });

  it('has names composed on a Mac only, where the volume takes both spellings for one file', () => {
    const directory = makeTemporaryDirectory();
    const folding = foldingDisk(directory);
    const on = (platform: NodeJS.Platform, disk: Disk): boolean =>
      probeVolume(disk, directory, platform).precomposeUnicode;
    expect([on('darwin', folding), on('linux', folding), on('darwin', nodeDisk)]).toEqual([true, false, false]);
  });
});
