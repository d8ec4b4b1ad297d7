import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectNativeGitAgrees, expectSound, filesOnRemote } from '../support/agree.js';
import { createBareRepository, startGitServer, type GitServer } from '../support/http-backend.js';
import { kb, kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const PROCESSES_PER_CLONE = 16;
const NOTES_PER_PROCESS = 5;

describe.skipIf(!nativeGit.available)('many writers at once (needs native git)', () => {
  const place = makeTemporaryDirectory();
  let server: GitServer;
  let remote: string;

  beforeAll(async () => {
    remote = createBareRepository(place, 'kb.git');
    server = await startGitServer({ root: place });
  });
  afterAll(() => server.close());

  it('lands each of 160 notes of 32 processes on two clones exactly once', async () => {
    await kbOk(place, ['clone', `${server.url}/kb.git`, 'one']);
    await kbOk(join(place, 'one'), ['note', 'the first note']);
    await kbOk(place, ['clone', `${server.url}/kb.git`, 'two']);
    const wanted: string[] = [];
    const failures: string[] = [];
    const writer = async (clone: string, process: number): Promise<void> => {
      for (let note = 1; note <= NOTES_PER_PROCESS; note += 1) {
        const text = `note ${note} of process ${process} in clone ${clone}`;
        wanted.push(text);
        const run = await kb(join(place, clone), ['note', text]);
        if (run.code !== 0) failures.push(`${text}: exit ${run.code}: ${run.stderr}`);
      }
    };
    const processes = ['one', 'two'].flatMap((clone) =>
      Array.from({ length: PROCESSES_PER_CLONE }, (_, number) => writer(clone, number + 1)),
    );
    await Promise.all(processes);
    expect(failures).toEqual([]);

    const contents = [...filesOnRemote(remote).values()];
    const counts = wanted.map((text) => contents.filter((content) => content.includes(`${text}\n`)).length);
    expect(counts.filter((count) => count !== 1)).toEqual([]);
    expect(contents.filter((content) => /^(<<<<<<<|>>>>>>>)/m.test(content))).toEqual([]);
    expectSound(remote);
    // One commit a note, and no other.
    expect(Number(git(remote, ['rev-list', '--count', 'main']))).toBe(wanted.length + 1);
    for (const clone of ['one', 'two']) {
      await kbOk(join(place, clone), ['sync']);
      expectNativeGitAgrees(join(place, clone), remote);
    }
  });
});
