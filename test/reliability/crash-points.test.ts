import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Network } from '../support/crash-network.js';
import { pointsOf, problemsOfAll, turningPoints } from '../support/crash-points.js';
import { QUEUE_SCENARIOS } from '../support/crash-queue-scenarios.js';
import { RUN_SCENARIOS } from '../support/crash-run-scenarios.js';
import { SCENARIOS, type Scenario } from '../support/crash-scenarios.js';
import { Sweep } from '../support/crash-sweep.js';
import { hasGitHttpBackend } from '../support/http-backend.js';
import { makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/** Every point; with KB_RELIABILITY=0.1 every tenth. */
const stride = Math.max(1, Math.round(1 / Number(process.env['KB_RELIABILITY'] ?? '1')));
/** Of the places at which something changes for good, so many are followed by a second kill at each change after it. */
const SECOND_KILLS_AFTER = 3;

const table = (scenarios: readonly Scenario[]): [string, Scenario][] =>
  scenarios.map((scenario) => [scenario.name, scenario]);
/** Those that are left out: see "known and not mended" in test/integration/crash-points.test.ts. */
const every = [...SCENARIOS, ...QUEUE_SCENARIOS, ...RUN_SCENARIOS];
const all = every.filter(({ notMended }) => notMended?.killed === undefined);
const allOnFullDisk = every.filter(({ notMended }) => notMended?.noSpace === undefined);

describe.skipIf(!nativeGit.available)('every single change goes wrong once (needs native git)', () => {
  it.each(table(all))('killed during %s', async (_name, scenario) => {
    const sweep = await Sweep.prepare(scenario, join(makeTemporaryDirectory(), 'sweep'));
    const points = pointsOf(await sweep.countChanges(), 1, stride);
    const attempts = points.map((at) => () => sweep.kill({ kind: 'kill', at, torn: at % 2 === 0 }));
    expect(withoutKnown(await problemsOfAll(attempts))).toEqual([]);
  });

  it.each(table(all))('killed during %s, then at each change while that is mended', async (_name, scenario) => {
    const sweep = await Sweep.prepare(scenario, join(makeTemporaryDirectory(), 'sweep'));
    const turns = turningPoints((await sweep.observe()).calls);
    const every = Math.max(1, Math.floor(turns.length / SECOND_KILLS_AFTER));
    const firsts = turns.filter((_turn, at) => at % every === every - 1);
    const attempts = firsts.map((at) => () => sweep.killTwice(at, stride));
    expect(withoutKnown(await problemsOfAll(attempts))).toEqual([]);
  });

  it.each(table(allOnFullDisk))('no space during %s', async (_name, scenario) => {
    const sweep = await Sweep.prepare(scenario, join(makeTemporaryDirectory(), 'sweep'));
    const points = pointsOf(await sweep.countChanges(), 1, stride);
    const attempts = points.flatMap((at) => [
      () => sweep.fail({ kind: 'error', at, errno: 'ENOSPC' }),
      () => sweep.fail({ kind: 'full', at }),
    ]);
    expect(await problemsOfAll(attempts)).toEqual([]);
  });
});

/** See "the list of KBs" in test/integration/crash-points.test.ts. */
function withoutKnown(problems: readonly string[]): string[] {
  return problems.filter((problem) => !problem.includes('the list of KBs is being written by another kb'));
}

describe.skipIf(!hasGitHttpBackend())('over http (needs native git with http-backend)', () => {
  const overHttp = table(all.filter(({ onlyByPath }) => onlyByPath !== true));

  async function withNetwork(scenario: Scenario, work: (sweep: Sweep) => Promise<void>): Promise<void> {
    const directory = join(makeTemporaryDirectory(), 'sweep');
    const network = await Network.start(join(directory, 'live'));
    try {
      await work(await Sweep.prepare(scenario, directory, network));
    } finally {
      await network.close();
    }
  }

  it.each(overHttp)('killed at each request of %s', (_name, scenario) =>
    withNetwork(scenario, async (sweep) => {
      const { requests } = await sweep.observe();
      const attempts = Array.from({ length: requests }, (_, at) => at + 1).flatMap((at) => [
        () => sweep.kill({ kind: 'request', at, when: 'before' }),
        () => sweep.kill({ kind: 'request', at, when: 'after' }),
      ]);
      expect(await problemsOfAll(attempts)).toEqual([]);
    }),
  );

  it.each(overHttp)('killed where something changes for good during %s', (_name, scenario) =>
    withNetwork(scenario, async (sweep) => {
      const turns = turningPoints((await sweep.observe()).calls).filter((_turn, at) => at % stride === 0);
      const attempts = turns.map((at) => () => sweep.kill({ kind: 'kill', at }));
      expect(await problemsOfAll(attempts)).toEqual([]);
    }),
  );
});
