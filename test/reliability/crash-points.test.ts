import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pointsOf, problemsOfAll, SCENARIOS, Sweep, type Scenario } from '../support/crash-sweep.js';
import { makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/** Every point; with KB_RELIABILITY=0.1 every tenth. */
const stride = Math.max(1, Math.round(1 / Number(process.env['KB_RELIABILITY'] ?? '1')));

const table = SCENARIOS.map((scenario): [string, Scenario] => [scenario.name, scenario]);

describe.skipIf(!nativeGit.available)('every single change goes wrong once (needs native git)', () => {
  it.each(table)('killed during %s', async (_name, scenario) => {
    const sweep = await Sweep.prepare(scenario, join(makeTemporaryDirectory(), 'sweep'));
    const points = pointsOf(await sweep.countChanges(), 1, stride);
    const problems = await problemsOfAll(points.map((at) => () => sweep.kill(at, at % 2 === 0)));
    expect(problems).toEqual([]);
  });

  it.each(table)('no space during %s', async (_name, scenario) => {
    const sweep = await Sweep.prepare(scenario, join(makeTemporaryDirectory(), 'sweep'));
    const points = pointsOf(await sweep.countChanges(), 1, stride);
    const attempts = points.flatMap((at) => [
      () => sweep.fail({ kind: 'error', at, errno: 'ENOSPC' }),
      () => sweep.fail({ kind: 'full', at }),
    ]);
    expect(await problemsOfAll(attempts)).toEqual([]);
  });
});
