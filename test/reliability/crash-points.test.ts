import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pointsOf, problemsOfAll, SCENARIOS, Sweep } from '../support/crash-sweep.js';
import { makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

describe.skipIf(!nativeGit.available)('every single change goes wrong once (needs native git)', () => {
  it.each(SCENARIOS)('killed during $name', async (scenario) => {
    const sweep = await Sweep.prepare(scenario, join(makeTemporaryDirectory(), 'sweep'));
    const points = pointsOf(await sweep.countChanges(), 1, 1);
    const problems = await problemsOfAll(points.map((at) => () => sweep.kill(at, at % 2 === 0)));
    expect(problems).toEqual([]);
  });

  it.each(SCENARIOS)('no space during $name', async (scenario) => {
    const sweep = await Sweep.prepare(scenario, join(makeTemporaryDirectory(), 'sweep'));
    const points = pointsOf(await sweep.countChanges(), 1, 1);
    const attempts = points.flatMap((at) => [
      () => sweep.fail({ kind: 'error', at, errno: 'ENOSPC' }),
      () => sweep.fail({ kind: 'full', at }),
    ]);
    expect(await problemsOfAll(attempts)).toEqual([]);
  });
});
