import { spawn, spawnSync } from 'node:child_process';
import { existsSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { expectNativeGitAgrees, filesOnRemote } from '../support/agree.js';
import { kbEnvironment, kbOk } from '../support/kb.js';
import { makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pjson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name: string; files: string[] };

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program of somebody who uses the library. */
function node(
  cwd: string,
  args: readonly string[],
  onOutput: (pid: number, text: string) => void = () => undefined,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, env: kbEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString('utf8');
      if (child.pid !== undefined) onOutput(child.pid, stdout);
    });
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

describe.skipIf(!nativeGit.available)('the library as it is published (needs native git)', () => {
  /** A package that has the library installed: what is published of it, and nothing else. */
  let consumer: string;
  let place: string;
  let kb: string;
  let remote: string;

  beforeAll(() => {
    consumer = makeTemporaryDirectory();
    const installed = join(consumer, 'node_modules', pjson.name);
    mkdirSync(installed, { recursive: true });
    for (const name of ['package.json', ...pjson.files])
      cpSync(join(root, name), join(installed, name), { recursive: true });
    cpSync(join(root, 'examples'), consumer, { recursive: true });
    writeFileSync(join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  });

  beforeEach(async () => {
    place = makeTemporaryDirectory();
    [kb, remote] = [join(place, 'kb'), join(place, 'remote.git')];
    await kbOk(place, ['init', 'kb', '--remote', 'remote.git']);
    await kbOk(kb, ['note', '--path', 'a.md', 'a']);
  });

  describe('the example', () => {
    it.each([
      ['in a package that installed it', () => consumer],
      ['in the repository', () => join(root, 'examples')],
    ])('runs %s', async (_where, where) => {
      const { length } = readdirSync(where()).filter((name) => name.endsWith('.mjs'));
      expect(length).toBe(1); // another example needs a test of its own
      const program = join(where(), 'index-notes.mjs');
      expect(await node(kb, [program])).toEqual({
        code: 0,
        signal: null,
        stdout: 'index.md: edited, shared\n',
        stderr: '',
      });
      expect(filesOnRemote(remote).get('index.md')).toBe('# Index\n\n- [[a]]\n');
      expect((await node(place, [program, 'kb'])).stdout).toBe('index.md: unchanged, shared\n');
      expectNativeGitAgrees(kb, remote);
    });

    it('several at once take turns, with commands among them', async () => {
      const program = join(consumer, 'index-notes.mjs');
      await Promise.all([
        ...['b', 'c', 'd'].map((name) => kbOk(kb, ['note', '--path', `${name}.md`, name])),
        ...[1, 2, 3].map(async () => expect(await node(kb, [program])).toMatchObject({ code: 0, stderr: '' })),
      ]);
      await node(kb, [program]);
      expect(filesOnRemote(remote).get('index.md')).toBe('# Index\n\n- [[a]]\n- [[b]]\n- [[c]]\n- [[d]]\n');
      expectNativeGitAgrees(kb, remote);
    });

    it('ends with the exit code of what went wrong', async () => {
      const run = await node(place, [join(consumer, 'index-notes.mjs'), 'nowhere']);
      expect([run.code, run.stdout]).toEqual([8, '']);
      expect(run.stderr).toContain('no KB at');
    });
  });

  /** A program of the consumer, with the library as `lib` and the KB as `kb`. */
  function program(...lines: string[]): string {
    const file = join(consumer, `program-${readdirSync(consumer).length}.mjs`);
    const header = `import * as lib from '${pjson.name}';\nconst kb = await lib.KnowledgeBase.open(${JSON.stringify(kb)});\n`;
    writeFileSync(file, header + lines.join('\n'));
    return file;
  }

  it('leaves the process as it is: no handler, no output, no variable, no hold on its end', async () => {
    const run = await node(place, [
      program(
        'const { emit, reallyExit } = process;',
        'const state = () => JSON.stringify([process.eventNames().map(String).sort(), process.env, process.exitCode]);',
        'const before = state();',
        "await kb.note('x'); await kb.edit('a.md', (text) => text + 'y'); await kb.withLock(() => kb.sync()); await kb.status();",
        "await kb.edit('../a.md', () => 'x').catch(() => undefined);",
        'console.log(state() === before || state(), process.emit === emit && process.reallyExit === reallyExit);',
        'console.log(process.getActiveResourcesInfo().filter((name) => /TCP|Timeout|FSReq/.test(name)).join());',
      ),
    ]);
    expect(run).toEqual({ code: 0, signal: null, stdout: 'true true\n\n', stderr: '' });
  });

  it('a program that is killed while it has the lock keeps nobody waiting', async () => {
    const holder = program(
      "await kb.withLock(() => { console.log('held'); return new Promise((resolve) => setTimeout(resolve, 60_000)); });",
    );
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      expect(await node(place, [holder], (pid) => process.kill(pid, signal))).toMatchObject({ code: null, signal });
      await kbOk(kb, ['note', 'after', '--lock-timeout', '5s']);
    }
    expectNativeGitAgrees(kb, remote);
  });

  it('gives the lock back when the program exits in the middle', async () => {
    const run = await node(place, [program('await kb.withLock(() => process.exit(7));')]);
    expect([run.code, existsSync(join(kb, '.kb_operations.lock'))]).toEqual([7, false]);
  });

  it('kb that a program starts inside of its lock joins it', async () => {
    const child = `[${JSON.stringify(join(root, 'bin/run.js'))}, 'note', 'by the child', '--lock-timeout', '2s', '--kb', held.root]`;
    const run = await node(place, [
      program(
        "import { execFileSync } from 'node:child_process';",
        'await kb.withLock((held) => {',
        `  execFileSync(process.execPath, ${child}, { env: { ...process.env, KB_LOCK_TOKEN: held.token } });`,
        '});',
      ),
    ]);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect([...filesOnRemote(remote).keys()].filter((name) => name.includes('by-the-child'))).toHaveLength(1);
  });

  it('says in its types what a program may rely on', () => {
    writeFileSync(
      join(consumer, 'use.ts'),
      readFileSync(join(root, 'test/types/library.ts'), 'utf8').replaceAll('../../src/index.js', pjson.name),
    );
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess'];
    const options = ['--noEmit', ...strict, '--module', 'NodeNext', '--target', 'ES2022', '--types', 'node'];
    const types = ['--typeRoots', join(root, 'node_modules/@types')];
    const result = spawnSync(process.execPath, [tsc, ...options, ...types, 'use.ts'], {
      cwd: consumer,
      encoding: 'utf8',
    });
    expect(result).toMatchObject({ stdout: '', status: 0 });
  });
});
