import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeText } from '../../../src/merge/merge-text.js';
import { gitEnvironment, makeTemporaryDirectory, nativeGit } from '../../support/native-git.js';
import { threeVersions } from '../../support/three-versions.js';

describe.skipIf(!nativeGit.available)('mergeText against git merge-file (needs native git)', () => {
  const directory = makeTemporaryDirectory();

  function gitMerge(base: Buffer, ours: Buffer, theirs: Buffer): { clean: boolean; data: Buffer } {
    const files = [ours, base, theirs].map((data, index) => {
      const path = join(directory, `file${index}`);
      writeFileSync(path, data);
      return path;
    });
    const run = spawnSync('git', ['merge-file', '-p', '-q', ...files], { cwd: directory, env: gitEnvironment() });
    if (run.status === null || run.status > 127) throw new Error(`git merge-file failed: ${run.stderr.toString()}`);
    return { clean: run.status === 0, data: run.stdout };
  }

  /** The only conflict of git's that kb may answer: both sides deleted the same lines, in which git shows nothing. */
  function isOnlyEmptyConflicts(merged: Buffer): boolean {
    return !/^<{7}.*\n(?!={7}\n>{7})/m.test(merged.toString('latin1'));
  }

  function agrees([base, ours, theirs]: readonly [Buffer, Buffer, Buffer]): void {
    const expected = gitMerge(base, ours, theirs);
    const actual = mergeText(base, ours, theirs);
    if (expected.clean) expect(actual).toEqual({ kind: 'merged', data: expected.data });
    else if (!isOnlyEmptyConflicts(expected.data))
      expect(actual).toMatchObject({ kind: 'conflict', reason: 'overlap' });
  }

  it('agrees on short texts of few different lines', () => {
    fc.assert(fc.property(threeVersions(0, 12, 2), agrees), { numRuns: Number(process.env['KB_TEST_RUNS'] ?? 300) });
  });

  it('agrees on longer texts with several edits', () => {
    fc.assert(fc.property(threeVersions(20, 120, 6), agrees), { numRuns: Number(process.env['KB_TEST_RUNS'] ?? 150) });
  });
});
