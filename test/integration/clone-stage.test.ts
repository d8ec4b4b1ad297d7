import { readdirSync, type PathLike } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { cloneKb } from '../../src/kb/clone.js';
import { surroundings } from '../../src/kb/surroundings.js';
import { makeTemporaryDirectory } from '../support/native-git.js';

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
