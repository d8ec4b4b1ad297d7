import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateRepository } from '../../bench/generate.js';
import { startGitServer, type GitServer } from '../support/http-backend.js';
import { kb } from '../support/kb.js';
import { makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const FILES = 10_000;

type Phase = 'receiving' | 'checking out';

interface Event {
  readonly event: string;
  readonly phase?: string;
}

describe.skipIf(!nativeGit.available)('a clone that is interrupted (needs native git)', () => {
  let server: GitServer;

  beforeAll(async () => {
    const root = makeTemporaryDirectory();
    mkdirSync(join(root, 'many.git'));
    await generateRepository(join(root, 'many.git'), FILES, 1);
    server = await startGitServer({ root });
  });
  afterAll(() => server.close());

  /** Presses Ctrl-C as soon as the clone's record names the phase. */
  async function interruptedIn(phase: Phase, directory: string, target: string): Promise<Event[]> {
    const record = join(directory, target, '.kb_clone_progress.json');
    // Of one commit the files are written while they are received; of a history after that.
    const depth = phase === 'receiving' ? '1' : 'full';
    const args = ['clone', `${server.url}/many.git`, target, '--depth', depth, '--json', '--verbose'];
    const run = await kb(directory, args, {
      onStart: (pid) => {
        const look = setInterval(() => {
          try {
            if ((JSON.parse(readFileSync(record, 'utf8')) as { phase: string }).phase !== phase) return;
          } catch {
            return;
          }
          clearInterval(look);
          process.kill(pid, 'SIGINT');
        }, 5);
      },
    });
    expect(run.json()).toMatchObject({ error: { code: 'E_INTERRUPTED', exitCode: 130 } });
    expect(run.code).toBe(130);
    return run.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Event);
  }

  it.each(['receiving', 'checking out'] as const)(
    'while it is %s ends there, and leaves the directory as it was',
    async (phase) => {
      const root = makeTemporaryDirectory();
      mkdirSync(join(root, 'empty'));
      for (const target of ['empty', 'none/at/all']) {
        const events = await interruptedIn(phase, root, target);
        // Between the look at the record and the signal the next phase may begin, but no KB comes of it any more.
        expect(events).toContainEqual(expect.objectContaining({ event: 'progress', phase }));
      }
      expect(readdirSync(join(root, 'empty'))).toEqual([]);
      expect(existsSync(join(root, 'none'))).toBe(false);
    },
  );
});
