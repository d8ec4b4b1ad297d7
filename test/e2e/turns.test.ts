import { describe, expect, it } from 'vitest';
import { createBareRepository, hasGitHttpBackend, startGitServer } from '../support/http-backend.js';
import { makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { openSsh, startSshd } from '../support/sshd.js';
import { takeTurns } from '../support/turns.js';

/** A sample; the whole is test/reliability/turns.test.ts. */
const TURNS = 10;
/** Each takes some ten connections, of half a second. */
const TURNS_BY_SSH = 3;

describe.skipIf(!nativeGit.available)('native git and kb take turns and agree on every tree (needs native git)', () => {
  it('at a remote in a directory', async () => {
    const remote = createBareRepository(makeTemporaryDirectory(), 'kb.git');
    expect((await takeTurns({ url: remote, remote, seed: 20_261_126, turns: TURNS })).length).toBeGreaterThan(TURNS);
  });

  it.skipIf(!hasGitHttpBackend())('over http (needs git http-backend)', async () => {
    const root = makeTemporaryDirectory();
    const remote = createBareRepository(root, 'kb.git');
    const server = await startGitServer({ root });
    try {
      await takeTurns({ url: `${server.url}/kb.git`, remote, seed: 4711, turns: TURNS });
    } finally {
      await server.close();
    }
  });

  it.skipIf(!openSsh.available)('over ssh (needs sshd)', async () => {
    const remote = createBareRepository(makeTemporaryDirectory(), 'kb.git');
    const sshd = await startSshd();
    try {
      await takeTurns({
        url: sshd.url(remote),
        remote,
        seed: 4712,
        turns: TURNS_BY_SSH,
        env: { GIT_SSH: sshd.program },
      });
    } finally {
      await sshd.close();
    }
  });
});
