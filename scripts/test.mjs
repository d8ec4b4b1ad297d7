/**
 * `npm test`: every check and every level of tests, one after the other, all of them even when one fails.
 * Prints each failure and each skipped test, and as its last line `N passed, N failed` over everything (a
 * check that is no vitest level counts as one). Exit code 1 when anything failed, or was skipped without its
 * title saying what it needs: "… (needs native git)".
 *
 *   --levels unit,e2e   only these vitest levels, no checks (used for another version of Node)
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const REASON = /\((needs|only|not) [^)]+\)/;

const levelsFlag = process.argv.indexOf('--levels');
const levels = levelsFlag === -1 ? ['unit', 'integration', 'e2e'] : process.argv[levelsFlag + 1].split(',');
const checks =
  levelsFlag === -1
    ? {
        build: ['scripts/build.mjs'],
        types: [bin('typescript', 'bin/tsc'), '-p', '.'],
        'lint and dependency rule': [bin('eslint', 'bin/eslint.js'), '.'],
        format: [bin('prettier', 'bin/prettier.cjs'), '--check', '.'],
        'generated files': ['scripts/generated.mjs', 'check'],
      }
    : { build: ['scripts/build.mjs'] };

const total = { passed: 0, failed: 0 };
const failures = [];
const skips = [];

for (const [name, command] of Object.entries(checks)) {
  const started = performance.now();
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  count(status === 0 ? 1 : 0, status === 0 ? 0 : 1);
  if (status !== 0) failures.push(`check: ${name}`);
  say(`${status === 0 ? 'ok  ' : 'FAIL'} ${name} (${Math.round(performance.now() - started)} ms)`);
}
for (const level of levels) runLevel(level);

say('');
for (const { title, reason } of skips) say(`skipped: ${title}${reason ? '' : '  <- no reason in the title'}`);
for (const failure of failures) say(`FAILED: ${failure}`);
say(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;

function runLevel(level) {
  const directory = mkdtempSync(join(tmpdir(), 'kb-results-'));
  const results = join(directory, 'results.json');
  try {
    const args = [
      'run',
      '--project',
      level,
      ...oneByOne(level),
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${results}`,
    ];
    const { status } = spawnSync(process.execPath, [bin('vitest', 'vitest.mjs'), ...args], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    countLevel(level, status, readFileSync(results, 'utf8'));
  } catch (error) {
    count(0, 1);
    failures.push(`${level}: vitest gave no results: ${error.message}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** These load the machine on purpose, and some measure who waits how long: side by side they would measure each other. */
function oneByOne(level) {
  return level === 'reliability' ? ['--no-file-parallelism'] : [];
}

function countLevel(level, status, json) {
  const failedBefore = total.failed;
  let tests = 0;
  for (const file of JSON.parse(json).testResults) {
    const where = `${level}: ${relative(root, file.name)}`;
    // A file that cannot even be loaded has no tests that could fail.
    if (file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed')) {
      count(0, 1);
      failures.push(`${where}: ${String(file.message).split('\n')[0]}`);
    }
    for (const test of file.assertionResults) {
      tests += 1;
      const title = `${where}: ${test.fullName.trim()}`;
      if (test.status === 'passed') count(1, 0);
      else if (test.status === 'failed') {
        count(0, 1);
        failures.push(title);
      } else {
        const reason = REASON.test(title);
        skips.push({ title, reason });
        if (!reason) {
          count(0, 1);
          failures.push(`${title}: skipped without a reason`);
        }
      }
    }
  }
  if (tests === 0) {
    count(0, 1);
    failures.push(`${level}: there is not one test`);
  } else if (status !== 0 && total.failed === failedBefore) {
    count(0, 1); // an unhandled error outside of any test
    failures.push(`${level}: vitest exited with ${status}`);
  }
}

function count(passed, failed) {
  total.passed += passed;
  total.failed += failed;
}

function bin(name, path) {
  return join(dirname(require.resolve(`${name}/package.json`)), path);
}

function say(line) {
  process.stdout.write(`${line}\n`);
}
