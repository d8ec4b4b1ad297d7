import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { kb, kbOk, type KbRun } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { canMount, Volume } from '../support/volume.js';

const MIB = 1024 * 1024;

describe.skipIf(!nativeGit.available || !canMount)(
  'cloning onto a small volume (needs native git, Linux and root)',
  () => {
    const root = makeTemporaryDirectory();
    let volume: Volume | undefined;

    /** A bare repository `NAME.git` with these files. */
    function remote(name: string, files: Readonly<Record<string, Buffer | string>>): string {
      const work = join(root, name);
      mkdirSync(work);
      git(work, ['init', '--quiet']);
      for (const [path, content] of Object.entries(files)) writeFileSync(join(work, path), content);
      git(work, ['add', '.']);
      git(work, ['commit', '--quiet', '-m', 'all']);
      git(root, ['clone', '--quiet', '--bare', name, `${name}.git`]);
      return join(root, `${name}.git`);
    }

    function mounted(options: string): Volume {
      return (volume = new Volume(options));
    }

    function expectStopped(run: KbRun, message: RegExp): void {
      expect(run.json()).toMatchObject({
        ok: false,
        error: { code: 'E_STORAGE', exitCode: 9, message: expect.stringMatching(message) as string },
      });
      expect(run.code).toBe(9);
    }

    beforeAll(() => {
      remote('small', { 'a.md': 'a', 'b.md': 'b' });
      remote('twenty', { 'video.bin': randomBytes(20 * MIB) });
      // Compresses to nothing: only what its head declares tells how large the file will be.
      remote('zeros', { 'zeros.bin': Buffer.alloc(60 * MIB) });
      remote('many', Object.fromEntries(Array.from({ length: 300 }, (_, number) => [`${number}.md`, `${number}`])));
    });
    afterEach(() => volume?.unmount());

    it('into the mount point itself, which stays mounted; a second time does nothing', async () => {
      const { path } = mounted('size=8m');
      mkdirSync(join(path, 'lost+found'));
      await kbOk(root, ['clone', 'small.git', path]);
      expect(volume?.isMounted).toBe(true);
      expect(readdirSync(path).sort()).toEqual(['.git', 'a.md', 'b.md', 'lost+found']);
      const again = await kbOk(root, ['clone', 'small.git', path, '--json']);
      expect(again.json()).toMatchObject({ status: 'already_cloned' });
    });

    it('stops while the pack comes in, and leaves the mount point empty', async () => {
      const { path } = mounted('size=16m');
      const run = await kb(root, ['clone', '--depth', 'full', 'twenty.git', path, '--json']);
      expectStopped(run, /stopped before the volume was full/);
      expect(volume?.isMounted).toBe(true);
      expect(readdirSync(path)).toEqual([]);
      expect(statfsSync(path).bfree * statfsSync(path).bsize).toBeGreaterThan(15 * MIB);
    });

    it('stops as soon as the pack declares more than fits', async () => {
      const { path } = mounted('size=32m');
      expectStopped(await kb(root, ['clone', 'zeros.git', path, '--json']), /60 MiB more are needed/);
      expect(readdirSync(path)).toEqual([]);
    });

    it('stops before the first file is written when the files do not fit', async () => {
      const { path } = mounted('size=36m');
      const run = await kb(root, ['clone', '--depth', 'full', 'twenty.git', path, '--json', '--verbose']);
      expectStopped(run, /20 MiB more are needed/);
      expect(run.stderr).not.toContain('checking out');
      expect(readdirSync(path)).toEqual([]);
    });

    it('stops when the volume has no room for so many files', async () => {
      const { path } = mounted('size=8m,nr_inodes=200');
      expectStopped(
        await kb(root, ['clone', 'many.git', path, '--json']),
        /room for \d+ more files, and 300 are needed/,
      );
      expect(readdirSync(path)).toEqual([]);
    });

    it('begins nothing where less is free than must stay free, and makes no directory', async () => {
      const { path } = mounted('size=8m');
      writeFileSync(join(path, 'ballast'), Buffer.alloc(7.5 * MIB));
      expectStopped(await kb(root, ['clone', 'small.git', join(path, 'a/b'), '--json']), /0\.5 MiB are free/);
      expect(readdirSync(path)).toEqual(['ballast']);
    });

    it('warns where less will be free than 3 times the size of the repository', async () => {
      const { path } = mounted('size=64m');
      const run = await kbOk(root, ['clone', 'twenty.git', path, '--json']);
      expect(run.json()['warnings']).toEqual([expect.stringMatching(/less free than 3 times the repository's size/)]);
      volume?.unmount();
      const wide = mounted('size=200m');
      expect((await kbOk(root, ['clone', 'twenty.git', wide.path, '--json'])).json()).not.toHaveProperty('warnings');
    });
  },
);
