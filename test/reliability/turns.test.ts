import { describe, expect, it } from 'vitest';
import { createBareRepository, hasGitHttpBackend, startGitServer } from '../support/http-backend.js';
import { makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { openSsh, startSshd } from '../support/sshd.js';
import { takeTurns } from '../support/turns.js';

/** 200 of each side; KB_RELIABILITY=0.1: 20. */
const turns = Math.ceil(200 * Number(process.env['KB_RELIABILITY'] ?? '1'));
/** KB_SEED=$RANDOM for other turns. */
const seed = Number(process.env['KB_SEED'] ?? '20261126');

describe.skipIf(!nativeGit.available)('native git and kb take turns for long (needs native git)', () => {
  it('at a remote in a directory', async () => {
    const remote = createBareRepository(makeTemporaryDirectory(), 'kb.git');
    expect((await takeTurns({ url: remote, remote, seed, turns })).length).toBeGreaterThan(turns);
  });

  it.skipIf(!hasGitHttpBackend())('over http (needs git http-backend)', async () => {
    const root = makeTemporaryDirectory();
    const remote = createBareRepository(root, 'kb.git');
    const server = await startGitServer({ root });
    try {
      await takeTurns({ url: `${server.url}/kb.git`, remote, seed: seed + 1, turns });
    } finally {
      await server.close();
    }
  });

  it.skipIf(!openSsh.available)('over ssh (needs sshd)', async () => {
    const remote = createBareRepository(makeTemporaryDirectory(), 'kb.git');
    const sshd = await startSshd();
    try {
      await takeTurns({ url: sshd.url(remote), remote, seed: seed + 2, turns, env: { GIT_SSH: sshd.program } });
    } finally {
      await sshd.close();
    }
  });
});
