import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeUnion } from '../../../src/merge/merge-union.js';
import { gitEnvironment, makeTemporaryDirectory, nativeGit } from '../../support/native-git.js';
import { threeVersions } from '../../support/three-versions.js';

describe.skipIf(!nativeGit.available)('mergeUnion against git merge-file --union (needs native git)', () => {
  const directory = makeTemporaryDirectory();

  function gitUnion(base: Buffer, ours: Buffer, theirs: Buffer): Buffer {
    for (const [name, data] of Object.entries({ base, ours, theirs })) writeFileSync(join(directory, name), data);
    const args = ['merge-file', '-p', '--quiet', '--union', 'ours', 'base', 'theirs'];
    return spawnSync('git', args, { cwd: directory, env: gitEnvironment() }).stdout;
  }

  it('gives the same bytes for any three versions', () => {
    fc.assert(
      fc.property(threeVersions(0, 12, 3), ([base, ours, theirs]) => {
        const merged = mergeUnion(base, ours, theirs);
        expect(merged.kind === 'merged' ? merged.data.toString() : merged.reason).toBe(
          gitUnion(base, ours, theirs).toString(),
        );
      }),
      { numRuns: 400, seed: 5 },
    );
  });
});
