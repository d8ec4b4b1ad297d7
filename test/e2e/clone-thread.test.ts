import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateRepository } from '../../bench/generate.js';
import { breakThread, type Broken } from '../support/broken-thread.js';
import { startGitServer, type GitServer } from '../support/http-backend.js';
import { kb, kbEnvironment, type KbRun } from '../support/kb.js';
import { makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const library = new URL('../../dist/index.js', import.meta.url);

/** Long before a clone's own time is over, and longer than any machine needs. */
const PROMPTLY_MS = 60_000;

describe.skipIf(!nativeGit.available || availableParallelism() < 2)(
  'a clone whose writing thread fails (needs native git, two processors)',
  () => {
    let server: GitServer;

    beforeAll(async () => {
      const root = makeTemporaryDirectory();
      mkdirSync(join(root, 'many.git'));
      await generateRepository(join(root, 'many.git'), 5000, 1);
      server = await startGitServer({ root });
    });
    afterAll(() => server.close());

    function preload(how: Broken): string {
      const file = join(makeTemporaryDirectory(), 'break-thread.cjs');
      writeFileSync(file, breakThread(how));
      return `--require=${file}`;
    }

    /** @param onWriting called when some files are there, with the process id */
    function clone(how: Broken, root: string, more: string[] = [], onWriting?: (pid: number) => void): Promise<KbRun> {
      mkdirSync(join(root, 'target'));
      return kb(root, ['clone', `${server.url}/many.git`, 'target', '--json', ...more], {
        env: { NODE_OPTIONS: preload(how) },
        onStart: (pid) => {
          if (onWriting === undefined) return;
          const look = setInterval(() => {
            try {
              const record = readFileSync(join(root, 'target/.kb_clone_progress.json'), 'utf8');
              if ((JSON.parse(record) as { phase: string }).phase !== 'checking out') return;
            } catch {
              return;
            }
            clearInterval(look);
            onWriting(pid);
          }, 5);
        },
      });
    }

    const ENDS = [
      ['ends', 'E_INTERNAL'],
      ['dies', 'E_INTERNAL'],
      ['runs out of memory', 'E_INTERNAL'],
      ['finds the disk full', 'E_STORAGE'],
    ] as const;

    it.each(ENDS)('it %s: %s at once, and the directory is clean', { timeout: PROMPTLY_MS }, async (how, code) => {
      const root = makeTemporaryDirectory();
      const run = await clone(how, root);
      expect(run.json()).toMatchObject({ ok: false, error: { code } });
      expect(readdirSync(join(root, 'target'))).toEqual([]);
    });

    it.each(ENDS)('the same by the library: it %s: %s', { timeout: PROMPTLY_MS }, async (how, code) => {
      const root = makeTemporaryDirectory();
      mkdirSync(join(root, 'target'));
      const program = `
        import { cloneKb, surroundings } from ${JSON.stringify(fileURLToPath(library))};
        const request = { depth: 1, timeout: '300s', insecure: false };
        cloneKb(surroundings(), { ...request, url: process.argv[1], directory: process.argv[2] }).then(
          () => console.log('cloned'),
          (error) => console.log(error.code));`;
      const args = [preload(how), '--input-type=module', '-e', program, `${server.url}/many.git`, join(root, 'target')];
      const child = spawn(process.execPath, args, { cwd: root, env: kbEnvironment() });
      const [stdout] = await Promise.all([text(child.stdout), once(child, 'close')]);
      expect(stdout).toBe(`${code}\n`);
      expect(readdirSync(join(root, 'target'))).toEqual([]);
    });

    it('it hangs: Ctrl-C ends the clone', { timeout: PROMPTLY_MS }, async () => {
      const root = makeTemporaryDirectory();
      const run = await clone('hangs', root, [], (pid) => process.kill(pid, 'SIGINT'));
      expect(run.json()).toMatchObject({ error: { code: 'E_INTERRUPTED' } });
      expect(run.code).toBe(130);
      expect(readdirSync(join(root, 'target'))).toEqual([]);
    });

    it('it hangs: the time of the clone ends', { timeout: PROMPTLY_MS }, async () => {
      const root = makeTemporaryDirectory();
      const run = await clone('hangs', root, ['--timeout', '6s']);
      expect(run.json()).toMatchObject({ error: { message: expect.stringContaining('longer than 6 s') as string } });
      expect(readdirSync(join(root, 'target'))).toEqual([]);
    });
  },
);
