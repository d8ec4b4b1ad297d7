import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { distinctPoints, everyNth, problemsOfAll } from '../support/crash-points.js';
import { QUEUE_SCENARIOS } from '../support/crash-queue-scenarios.js';
import { RUN_SCENARIOS } from '../support/crash-run-scenarios.js';
import { SCENARIOS, type Scenario } from '../support/crash-scenarios.js';
import { Sweep } from '../support/crash-sweep.js';
import { makeDirectoryInMemory, nativeGit } from '../support/native-git.js';

/** Every point; with KB_RELIABILITY=0.1 every tenth. */
const stride = Math.max(1, Math.round(1 / Number(process.env['KB_RELIABILITY'] ?? '1')));

const every = [...SCENARIOS, ...QUEUE_SCENARIOS, ...RUN_SCENARIOS];

describe.skipIf(!nativeGit.available)('every single change goes wrong once (needs native git)', () => {
  it.each(every.map((scenario): [string, Scenario] => [scenario.name, scenario]))(
    'killed during %s',
    async (_name, scenario) => {
      const sweep = await Sweep.prepare(scenario, join(makeDirectoryInMemory(), 'sweep'));
      const { calls } = await sweep.observe();
      const attempts = everyNth(distinctPoints(calls), stride).map(
        (at) => () => sweep.kill({ kind: 'kill', at, torn: at % 2 === 0 }),
      );
      expect(await problemsOfAll(attempts)).toEqual([]);
    },
  );
});
