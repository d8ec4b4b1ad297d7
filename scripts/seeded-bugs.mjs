/**
 * Does the storm (test/reliability/storm.test.ts) see what it is there for? Builds the program with one bug each, in
 * a temporary directory, and lets the storm loose on it: the storm has to fail, and in a way that the bug explains.
 * Exit code 1 when a bug goes unseen, or when the program without a bug fails too.
 *
 *   --only NAME   this bug alone, without the program as it is
 *   --check       only whether every bug can still be put in: no storm
 *   --storms N    so many storms of other seeds before a bug counts as unseen (default 4)
 *   KB_RELIABILITY, KB_SEED   as for the storm; default 0.1 and its own
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
/** What a copy to build from does without. */
const LEFT_OUT = /^(?:\.git|dist|node_modules|coverage|bench\/results)(?:\/|$)/;

/** Half of the bytes, and a while later the rest: what every program does that writes in place. */
const TORN = (data) => `const whole = ${data};
      writeFully(disk, descriptor, whole.subarray(0, whole.length / 2));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      writeFully(disk, descriptor, whole.subarray(whole.length / 2));`;

/** Each change: a text that stands in the file exactly once, and what takes its place. */
const BUGS = [
  {
    name: 'plain-lock',
    what: 'proper-lockfile as it comes, with its own takeover of stale locks',
    shows: /exactly once|at most once|sound for git|clean for git|made up|one whole edit|ended with (?!5 )/,
    changes: [
      {
        file: 'src/lock/lock.ts',
        from: '  const turn = queue.join(paths.directory',
        to: `  const plain = (await import('proper-lockfile')).default;
  const release = await plain.lock(paths.directory, {
    lockfilePath: paths.lock,
    realpath: false,
    stale: 2000,
    update: 1000,
    retries: { retries: 100_000, factor: 1, minTimeout: 5, maxTimeout: 25 },
    onCompromised: () => undefined,
  });
  if (release !== undefined) {
    try {
      const lost = new AbortController().signal;
      return await body({ id: randomBytes(16).toString('hex'), waitedMs: 0, assertHeld: () => undefined, lost });
    } finally {
      await release().catch(() => undefined);
    }
  }
  const turn = queue.join(paths.directory`,
      },
    ],
  },
  {
    name: 'in-place',
    what: 'files and objects written in place, torn by a kill',
    shows: /sound for git|ended with 13|clean for git/,
    changes: [
      {
        file: 'src/disk/durable.ts',
        from: 'const temporary = join(options.temporaryDirectory ?? dirname(path), temporaryName(basename(path)));',
        to: 'const temporary = path;',
      },
      {
        file: 'src/disk/durable.ts',
        from: "const descriptor = disk.openSync(temporary, 'wx', options.mode ?? 0o666);",
        to: "const descriptor = disk.openSync(temporary, 'w', options.mode ?? 0o666);",
      },
      {
        file: 'src/disk/durable.ts',
        from: "writeFully(disk, descriptor, typeof data === 'string' ? Buffer.from(data) : data);",
        to: TORN("typeof data === 'string' ? Buffer.from(data) : data"),
      },
      {
        file: 'src/git/objects/loose.ts',
        from: "const temporary = `${directory}/tmp_obj_kb${randomBytes(8).toString('hex')}`;",
        to: 'const temporary = path;\n    const { disk } = this;',
      },
      {
        file: 'src/git/objects/loose.ts',
        from: "return this.disk.openSync(path, 'wx', 0o444);",
        to: "return this.disk.openSync(path, 'w', 0o644);",
      },
      {
        file: 'src/git/objects/loose.ts',
        from: 'writeFully(this.disk, descriptor, deflateSync(content, { level: 1 }));',
        to: TORN('deflateSync(content, { level: 1 })'),
      },
    ],
  },
  {
    name: 'no-record',
    what: 'no record of what a holder pushes for others: the next one does it again',
    shows: /exactly once|at most once|used exactly once/,
    changes: [
      {
        file: 'src/kb/batch.ts',
        from: 'this.queue.writePlan(this.hold.id, encodePushRecords(this.own));',
        to: '',
      },
    ],
  },
  {
    name: 'no-ack',
    what: 'no ack: a waiter whose entry is gone does its edit itself',
    shows: /exactly once|at most once/,
    changes: [
      {
        file: 'src/lock/entry-queue.ts',
        from: 'writeFileAtomic(this.disk, file, JSON.stringify({ format: 1, acks: Object.fromEntries(acks) }));',
        to: 'if (acks.size < 0) writeFileAtomic(this.disk, file, holder);',
      },
      {
        file: 'src/kb/submit-note.ts',
        from: "if (answer === undefined) throw outcomeUnknown('its answer is gone', undefined);",
        to: `if (answer === undefined) {
      this.forget();
      return undefined;
    }`,
      },
    ],
  },
];

const only = flag('--only');
const storms = Number(flag('--storms') ?? '4');
const firstSeed = Number(process.env['KB_SEED'] ?? '20261120');
const chosen = only === undefined ? BUGS : BUGS.filter(({ name }) => name === only);
if (chosen.length === 0) throw new Error(`there is no bug '${only}', only ${BUGS.map(({ name }) => name).join(', ')}`);

let failures = 0;
if (process.argv.includes('--check')) {
  for (const { changes } of BUGS) for (const change of changes) withChange(root, change);
  process.exit(0);
}
if (only === undefined) {
  const problems = withProgram([], (program) => storm(program, firstSeed));
  report(problems.length === 0, 'as it is', problems.length === 0 ? ['nothing breaks'] : problems);
}
for (const { name, what, shows, changes } of chosen) {
  const seen = withProgram(changes, (program) => {
    for (let seed = firstSeed; seed < firstSeed + storms; seed += 1) {
      const problems = storm(program, seed).filter((problem) => shows.test(problem));
      if (problems.length > 0) return problems;
    }
    return [];
  });
  report(seen.length > 0, `${name} (${what})`, seen.length > 0 ? seen : [`not seen in ${storms} storms`]);
}
process.exitCode = failures > 0 ? 1 : 0;

function report(isRight, title, lines) {
  if (!isRight) failures += 1;
  process.stdout.write(`${isRight ? 'ok  ' : 'FAIL'} ${title}\n`);
  for (const line of lines) process.stdout.write(`     ${line.replace(/\s+/g, ' ').slice(0, 300)}\n`);
}

/** @returns the invariants that broke */
function storm(program, seed) {
  const directory = mkdtempSync(join(tmpdir(), 'kb-seeded-bugs-'));
  const file = join(directory, 'report.json');
  try {
    const args = [vitest, 'run', '--project', 'reliability', 'test/reliability/storm.test.ts'];
    const env = {
      KB_RELIABILITY: '0.1',
      ...process.env,
      KB_SEED: String(seed),
      KB_STORM_PROGRAM: program,
      KB_STORM_REPORT: file,
    };
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, env, encoding: 'utf8' });
    try {
      const { summary, problems } = JSON.parse(readFileSync(file, 'utf8'));
      process.stdout.write(`     ${summary}\n`);
      return problems;
    } catch {
      throw new Error(`the storm did not come to its end:\n${stdout}\n${stderr}`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Builds a copy of this checkout with the changes made, and removes it when `use` is done with it. */
function withProgram(changes, use) {
  const copy = realpathSync(mkdtempSync(join(tmpdir(), 'kb-seeded-bugs-')));
  try {
    cpSync(root, copy, { recursive: true, filter: (path) => !LEFT_OUT.test(relative(root, path)) });
    symlinkSync(realpathSync(join(root, 'node_modules')), join(copy, 'node_modules'));
    for (const change of changes) writeFileSync(join(copy, change.file), withChange(copy, change));
    const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/build.mjs'], {
      cwd: copy,
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`the program with the bug cannot be built:\n${stdout}${stderr}`);
    return use(join(copy, 'bin/run.js'));
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** @returns the file's text with the change. A bug that has no place any more would be "seen" by nobody. */
function withChange(directory, { file, from, to }) {
  const pieces = readFileSync(join(directory, file), 'utf8').split(from);
  if (pieces.length !== 2) throw new Error(`${file} has ${pieces.length - 1} times, not once:\n${from}`);
  return pieces.join(to);
}

function flag(name) {
  const at = process.argv.indexOf(name);
  return at === -1 ? undefined : process.argv[at + 1];
}
