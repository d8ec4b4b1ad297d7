import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { git, gitEnvironment, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const KB_WORKERS = 3;
const KB_STEPS = 40;
const NATIVE_WORKERS = 2;
const NATIVE_STEPS = 12;

/** Moves the branch to each of the given commits in turn, from whatever it holds by then. */
const KB_MOVES_REF = `
import { nodeDisk } from '../../src/disk/disk.js';
import { Refs } from '../../src/git/refs/refs.js';
const [gitDir, ...commits] = process.argv.slice(2);
const refs = Refs.open(nodeDisk, gitDir);
for (const to of commits) {
  for (;;) {
    try {
      refs.update({ name: 'refs/heads/main', to, expected: refs.resolve('refs/heads/main'), message: 'kb', who: 'K <k@k> 1700000000 +0000' });
      break;
    } catch (error) {
      if (error.code !== 'E_UNSAFE_STATE') throw error;
    }
  }
}`;

/** The same as native git does it; its update-ref fails when somebody else was first. */
const NATIVE_MOVES_REF = `
for to in "$@"; do
  until git update-ref -m native refs/heads/main "$to" "$(git rev-parse refs/heads/main)" 2>/dev/null; do :; done
done`;

const KB_ADDS = `
import { nodeDisk } from '../../src/disk/disk.js';
import { updateIndex } from '../../src/git/index/index-file.js';
const [gitDir, oid, ...paths] = process.argv.slice(2);
const stat = { ctimeNs: 0n, mtimeNs: 0n, dev: 0, ino: 0, uid: 0, gid: 0, size: 0 };
for (const path of paths) {
  for (;;) {
    try {
      updateIndex(nodeDisk, gitDir, () => ({ changes: new Map([[path, { mode: 0o100644, oid, stat }]]) }));
      break;
    } catch (error) {
      if (error.code !== 'E_UNSAFE_STATE') throw error;
    }
  }
}`;

const NATIVE_ADDS = `
for path in "$@"; do
  echo "$path" > "$path"
  until git add -- "$path" 2>/dev/null; do :; done
done`;

/** Bundles a worker once, so that each of its processes starts as fast as kb itself. */
function bundle(source: string): string {
  const outfile = join(makeTemporaryDirectory(), 'worker.mjs');
  const resolveDir = fileURLToPath(new URL('.', import.meta.url));
  buildSync({
    stdin: { contents: source, resolveDir, loader: 'ts' },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
  return outfile;
}

function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: gitEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${command} exited with ${String(code)}: ${stderr}`));
    });
  });
}

const native = (script: string, args: readonly string[], cwd: string): Promise<void> =>
  run('sh', ['-c', script, 'sh', ...args], cwd);

/** The items in order, so many for each worker. */
function deal<Item>(items: readonly Item[]): { kb: Item[][]; native: Item[][] } {
  const kb = Array.from({ length: KB_WORKERS }, (_, at) => items.slice(at * KB_STEPS, (at + 1) * KB_STEPS));
  const rest = items.slice(KB_WORKERS * KB_STEPS);
  return {
    kb,
    native: Array.from({ length: NATIVE_WORKERS }, (_, at) => rest.slice(at * NATIVE_STEPS, (at + 1) * NATIVE_STEPS)),
  };
}

const TOTAL = KB_WORKERS * KB_STEPS + NATIVE_WORKERS * NATIVE_STEPS;

describe.skipIf(!nativeGit.available)('kb and native git at the same files at once (needs git)', () => {
  it('no update of a ref is lost: each starts from the one before', async () => {
    const root = makeTemporaryDirectory();
    git(root, ['init', '-q']);
    const stream = Array.from(
      { length: TOTAL + 1 },
      (_, at) =>
        `commit refs/pool/c\nmark :${String(at + 1)}\ncommitter A <a@a> ${String(1_700_000_000 + at)} +0000\ndata 0\n`,
    );
    const marks = join(makeTemporaryDirectory(), 'marks');
    git(root, ['fast-import', '--quiet', `--export-marks=${marks}`], { input: stream.join('') });
    const [start = '', ...commits] = readFileSync(marks, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '');
    git(root, ['update-ref', '-m', 'start', 'refs/heads/main', start]);

    const worker = bundle(KB_MOVES_REF);
    const shares = deal(commits);
    await Promise.all([
      ...shares.kb.map((own) => run(process.execPath, [worker, join(root, '.git'), ...own], root)),
      ...shares.native.map((own) => native(NATIVE_MOVES_REF, own, root)),
    ]);

    for (const log of ['HEAD', 'refs/heads/main']) {
      const lines = readFileSync(join(root, '.git/logs', log), 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.split(' '));
      expect(lines.slice(1).map(([before]) => before)).toEqual(lines.slice(0, -1).map(([, after]) => after));
      expect(
        lines
          .slice(1)
          .map(([, after]) => after)
          .sort(),
      ).toEqual([...commits].sort());
      expect(lines.at(-1)?.[1]).toBe(git(root, ['rev-parse', 'main']).trim());
    }
    git(root, ['fsck', '--strict']);
  });

  it('no entry of the index is lost', async () => {
    const root = makeTemporaryDirectory();
    git(root, ['init', '-q']);
    writeFileSync(join(root, 'seed'), 'seed\n');
    git(root, ['add', 'seed']);
    const oid = git(root, ['rev-parse', ':seed']).trim();
    const paths = Array.from(
      { length: TOTAL },
      (_, at) => `note-${String((at * 7919) % TOTAL).padStart(4, '0')}-${String(at)}.md`,
    );

    const worker = bundle(KB_ADDS);
    const shares = deal(paths);
    await Promise.all([
      ...shares.kb.map((own) => run(process.execPath, [worker, join(root, '.git'), oid, ...own], root)),
      ...shares.native.map((own) => native(NATIVE_ADDS, own, root)),
    ]);

    expect(git(root, ['ls-files']).split('\n').filter(Boolean)).toEqual([...paths, 'seed'].sort());
    expect(existsSync(join(root, '.git/index.lock'))).toBe(false);
    git(root, ['fsck', '--strict']);
  });
});
