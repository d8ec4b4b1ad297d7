import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeText } from '../../../src/merge/merge-text.js';
import { gitEnvironment, makeTemporaryDirectory, nativeGit } from '../../support/native-git.js';

/** One edit of a text: replace `remove` lines at `at` by `insert`. */
interface Edit {
  readonly at: number;
  readonly remove: number;
  readonly insert: readonly string[];
}

const line = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 'c', 'd', '', '}') },
  { weight: 2, arbitrary: fc.constantFrom('x\r', 'é', '- list') },
  { weight: 2, arbitrary: fc.string({ minLength: 1, maxLength: 3, unit: fc.constantFrom('p', 'q', 'r', 's') }) },
);
const lines = (least: number, most: number): fc.Arbitrary<string[]> =>
  fc.array(line, { minLength: least, maxLength: most });
const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.nat({ max: 1000 }),
  remove: fc.nat({ max: 3 }),
  insert: lines(0, 3),
});

function applyEdits(base: readonly string[], edits: readonly Edit[]): string[] {
  const result = [...base];
  for (const { at, remove, insert } of edits) result.splice(at % (result.length + 1), remove, ...insert);
  return result;
}

function toBytes(text: readonly string[], endsWithNewline: boolean): Buffer {
  return Buffer.from(text.join('\n') + (endsWithNewline && text.length > 0 ? '\n' : ''));
}

/** Base and two edited versions; the two share some edits, so that equal changes on both sides are common. */
function threeVersions(least: number, most: number, edits: number): fc.Arbitrary<readonly [Buffer, Buffer, Buffer]> {
  const someEdits = fc.array(edit, { maxLength: edits });
  return fc
    .record({
      base: lines(least, most),
      shared: fc.array(edit, { maxLength: 1 }),
      ours: someEdits,
      theirs: someEdits,
      newlines: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
    })
    .map(({ base, shared, ours, theirs, newlines }) => [
      toBytes(base, newlines[0]),
      toBytes(applyEdits(base, [...shared, ...ours]), newlines[1] || newlines[0]),
      toBytes(applyEdits(base, [...shared, ...theirs]), newlines[2] || newlines[0]),
    ]);
}

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
