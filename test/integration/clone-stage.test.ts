import { mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync, type PathLike } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { cloneKb } from '../../src/kb/clone.js';
import { surroundings } from '../../src/kb/surroundings.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/** The real disk, on which no stage can be made. */
const full: Disk = {
  ...nodeDisk,
  mkdirSync: ((path: PathLike, options?: object) => {
    if (String(path).includes('.kb_clone_'))
      throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
    return nodeDisk.mkdirSync(path, options);
  }) as typeof nodeDisk.mkdirSync,
};

describe('a clone whose stage cannot be made while its first question is under way', () => {
  let server: Server;

  beforeAll(async () => {
    server = createServer(() => undefined); // never answers
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it('says so, and leaves nothing behind', async () => {
    const directory = makeTemporaryDirectory();
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/kb.git`;
    await expect(
      cloneKb(surroundings({ env: {}, disk: full }), {
        url,
        directory: join(directory, 'kb'),
        depth: 1,
        timeout: '60s',
        insecure: false,
      }),
    ).rejects.toMatchObject({ code: 'E_STORAGE' });
    expect(readdirSync(directory)).toEqual([]);
  });
});

/** A repository with a file above and one in a folder, both with names in Latin-1. */
function makeSource(): string {
  const source = makeTemporaryDirectory();
  git(source, ['init', '--quiet', '--initial-branch', 'main']);
  mkdirSync(join(source, 'folder'));
  writeFileSync(Buffer.from(join(source, 'caf\xe9.md'), 'latin1'), 'above\n');
  writeFileSync(Buffer.from(join(source, 'folder', 'th\xe9.md'), 'latin1'), 'below\n');
  writeFileSync(join(source, 'folder', 'plain.md'), 'plain\n');
  git(source, ['add', '--all']);
  git(source, ['commit', '--quiet', '--message', 'names']);
  return source;
}

const isLinux = process.platform === 'linux';

describe.skipIf(!nativeGit.available || !isLinux)(
  'a clone moved up from its stage (needs native git and Linux)',
  () => {
    const clone = (url: string, directory: string, disk: Disk = nodeDisk): ReturnType<typeof cloneKb> =>
      cloneKb(surroundings({ env: {}, disk }), { url, directory, depth: 'full', timeout: '60s', insecure: false });
    const renaming = (rename: (from: PathLike, to: PathLike) => void): Disk => ({
      ...nodeDisk,
      renameSync: rename,
    });

    it('keeps names that are not UTF-8', async () => {
      const [source, directory] = [makeSource(), join(makeTemporaryDirectory(), 'kb')];
      await expect(clone(source, directory)).resolves.toMatchObject({ status: 'cloned', fileCount: 3 });
      expect(git(directory, ['status', '--porcelain'])).toBe('');
      expect(readdirSync(directory).filter((name) => name.startsWith('.kb_'))).toEqual([]);
    });

    it('leaves nothing of such names behind where it fails', async () => {
      const [source, directory] = [makeSource(), makeTemporaryDirectory()];
      const noKb = renaming((from, to) => {
        if (String(to).endsWith('/.git')) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO', errno: -5 });
        nodeDisk.renameSync(from, to);
      });
      await expect(clone(source, directory, noKb)).rejects.toMatchObject({ code: 'E_STORAGE' });
      expect(readdirSync(directory)).toEqual([]);
    });

    it('has an index that says of no file that it has to be read again', async () => {
      const [source, directory] = [makeSource(), join(makeTemporaryDirectory(), 'kb')];
      // All files are as young as the index: what happens to those that are written in its last instant.
      const old = renaming((from, to) => {
        nodeDisk.renameSync(from, to);
        if (String(to).endsWith('/index')) utimesSync(to, 1e9, 1e9);
      });
      await clone(source, directory, old);
      expect(git(directory, ['ls-files', '--debug'])).not.toMatch(/size: 0/);
      expect(git(directory, ['diff-files'])).toBe('');
    });

    it('is finished by the next one also where the kill came while the empty stage was removed', async () => {
      const [source, directory] = [makeSource(), join(makeTemporaryDirectory(), 'kb')];
      await clone(source, directory);
      const stage = join(directory, '.kb_clone_0123456789ab');
      mkdirSync(stage); // its folder `tree` is gone already
      writeFileSync(join(stage, 'complete.json'), JSON.stringify({ version: 1, traits: {} }));
      await expect(clone(source, directory)).resolves.toMatchObject({ status: 'already_cloned' });
      expect(readdirSync(directory).filter((name) => name.startsWith('.kb_'))).toEqual([]);
    });
  },
);

describe.skipIf(process.platform === 'win32')('a clone into a link that leads nowhere (needs symbolic links)', () => {
  it('is refused, and names the link', async () => {
    const directory = makeTemporaryDirectory();
    const url = join(directory, 'remote.git');
    symlinkSync('nowhere', join(directory, 'kb'));
    mkdirSync(url);
    await expect(
      cloneKb(surroundings({ env: {} }), {
        url,
        directory: join(directory, 'kb'),
        depth: 1,
        timeout: '60s',
        insecure: false,
      }),
    ).rejects.toMatchObject({ code: 'E_NO_KB', message: expect.stringContaining('link that leads nowhere') as string });
    expect(readdirSync(directory).sort()).toEqual(['kb', 'remote.git']);
  });
});
