import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect } from 'vitest';
import { Network } from './crash-network.js';
import { histories, KNOWN_HISTORIES, type Step } from './model-commands.js';
import { ModelTemplate, playHistory } from './model-world.js';
import { makeTemporaryDirectory } from './native-git.js';

export interface ModelCheck {
  /** Random histories, besides the known ones. */
  readonly runs: number;
  /** The longest has so many. */
  readonly steps: number;
  /** The search for a smaller failing history ends before the test is ended: then nobody would see any. ms. */
  readonly limitMs: number;
}

/** Makes a KB ready for the tests of a `describe`. @returns plays histories and expects that each keeps what it promised */
export function modelChecker(): (check: ModelCheck) => Promise<void> {
  let network: Network;
  let template: ModelTemplate;
  beforeAll(async () => {
    const directory = join(makeTemporaryDirectory(), 'model');
    mkdirSync(directory);
    network = await Network.start(join(directory, 'live'));
    template = await ModelTemplate.make(directory, network);
  });
  afterAll(() => network.close());
  return ({ runs, steps, limitMs }) =>
    fc.assert(
      fc.asyncProperty(histories(steps), async (history) => {
        expect(await playHistory(template, history)).toEqual([]);
      }),
      {
        numRuns: runs + KNOWN_HISTORIES.length,
        examples: KNOWN_HISTORIES.map((known): [Step[]] => [known]),
        interruptAfterTimeLimit: limitMs,
        markInterruptAsFailure: true,
      },
    );
}
