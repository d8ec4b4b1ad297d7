import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pointsOf, problemsOfAll, SCENARIOS, Sweep, type Scenario } from '../support/crash-sweep.js';
import { makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/** This quick form takes every so many points; test/reliability/crash-points.test.ts takes each. */
const STRIDE = 23;

const table = SCENARIOS.map((scenario, at): [string, Scenario, number] => [
  scenario.name,
  scenario,
  1 + ((at * 5) % STRIDE),
]);

describe.skipIf(!nativeGit.available)('one change goes wrong (needs native git)', () => {
  it.each(table)(
    'killed during %s: the next command mends it, no edit is lost or doubled',
    async (_name, scenario, first) => {
      const sweep = await Sweep.prepare(scenario, join(makeTemporaryDirectory(), 'sweep'));
      const points = pointsOf(await sweep.countChanges(), first, STRIDE);
      const problems = await problemsOfAll(points.map((at) => () => sweep.kill(at, at % 2 === 0)));
      expect(problems).toEqual([]);
    },
  );

  it.each(table)(
    'no space during %s: E_STORAGE, nothing changed, the next command works',
    async (_name, scenario, first) => {
      const sweep = await Sweep.prepare(scenario, join(makeTemporaryDirectory(), 'sweep'));
      const points = pointsOf(await sweep.countChanges(), first, 3 * STRIDE);
      const attempts = points.flatMap((at) => [
        () => sweep.fail({ kind: 'error', at, errno: at % 2 === 0 ? 'ENOSPC' : 'EIO' }),
        () => sweep.fail({ kind: 'full', at }),
      ]);
      expect(await problemsOfAll(attempts)).toEqual([]);
    },
  );
});
