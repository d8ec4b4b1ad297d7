import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Network } from '../support/crash-network.js';
import { distinctPoints, everyNth, problemsOfAll, thinnedInObjects, turningPoints } from '../support/crash-points.js';
import { QUEUE_SCENARIOS } from '../support/crash-queue-scenarios.js';
import { RUN_SCENARIOS } from '../support/crash-run-scenarios.js';
import { SCENARIOS, type Scenario } from '../support/crash-scenarios.js';
import { Sweep } from '../support/crash-sweep.js';
import { hasGitHttpBackend } from '../support/http-backend.js';
import { makeDirectoryInMemory, nativeGit } from '../support/native-git.js';

/** With KB_RELIABILITY=0.1 a tenth of the points; with 8 the disk also fails at every change. */
const scale = Number(process.env['KB_RELIABILITY'] ?? '1');
const stride = Math.max(1, Math.round(1 / scale));
/** Over http only what happens around the requests differs: so many of the turning points are passed over there. */
const HTTP_STRIDE = 3;
/** A failing disk is swept by so many points at a time: most of it is what a kill leaves. */
const NO_SPACE_STRIDE = Math.max(1, Math.round(8 / scale));
/** Of the next command's writing of objects, so many points are passed over. */
const OBJECT_STRIDE = 7;

const table = (scenarios: readonly Scenario[]): [string, Scenario][] =>
  scenarios.map((scenario) => [scenario.name, scenario]);
const all = [...SCENARIOS, ...QUEUE_SCENARIOS, ...RUN_SCENARIOS];

describe.skipIf(!nativeGit.available)('what comes after a kill goes wrong, too (needs native git)', () => {
  it.each(table(all))('killed during %s, then at each change while that is mended', async (_name, scenario) => {
    const sweep = await Sweep.prepare(scenario, join(makeDirectoryInMemory(), 'sweep'));
    const turns = turningPoints((await sweep.observe()).calls);
    // One of them, in each scenario at another stage: what two scenarios leave at the same stage is much the same.
    const stage = 0.3 + 0.6 * (((all.indexOf(scenario) * 7) % 10) / 10);
    const first = turns[Math.floor(turns.length * stage)] ?? 1;
    const seconds = (calls: readonly string[]): number[] =>
      everyNth(thinnedInObjects(distinctPoints(calls), calls, OBJECT_STRIDE), stride);
    expect(await problemsOfAll([() => sweep.killTwice(first, seconds)])).toEqual([]);
  });
});

describe.skipIf(!nativeGit.available)('the disk fails (needs native git)', () => {
  it.each(table(all))('no space during %s', async (_name, scenario) => {
    const sweep = await Sweep.prepare(scenario, join(makeDirectoryInMemory(), 'sweep'));
    const { calls } = await sweep.observe();
    const points = everyNth(
      calls.map((_call, at) => at + 1),
      NO_SPACE_STRIDE,
      1 + (all.indexOf(scenario) % NO_SPACE_STRIDE),
    );
    const attempts = points.flatMap((at) => [
      () => sweep.fail({ kind: 'error', at, errno: at % 2 === 0 ? 'ENOSPC' : 'EIO' }),
      () => sweep.fail({ kind: 'full', at }),
    ]);
    expect(await problemsOfAll(attempts)).toEqual([]);
  });
});

describe.skipIf(!hasGitHttpBackend())('over http (needs native git with http-backend)', () => {
  const overHttp = table(all.filter(({ onlyByPath }) => onlyByPath !== true));

  async function withNetwork(scenario: Scenario, work: (sweep: Sweep) => Promise<void>): Promise<void> {
    const directory = join(makeDirectoryInMemory(), 'sweep');
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
      const turns = everyNth(turningPoints((await sweep.observe()).calls), HTTP_STRIDE * stride);
      const attempts = turns.map((at) => () => sweep.kill({ kind: 'kill', at }));
      expect(await problemsOfAll(attempts)).toEqual([]);
    }),
  );
});
