import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Network } from '../support/crash-network.js';
import { hasGitHttpBackend } from '../support/http-backend.js';
import { histories, KNOWN_HISTORIES, type Step } from '../support/model-commands.js';
import { ModelTemplate, playHistory } from '../support/model-world.js';
import { makeTemporaryDirectory } from '../support/native-git.js';

/** With KB_RELIABILITY=0.1 a tenth. */
const runs = Math.max(1, Math.round(500 * Number(process.env['KB_RELIABILITY'] ?? '1')));

describe.skipIf(!hasGitHttpBackend())('a KB with many processes (needs native git with http-backend)', () => {
  let network: Network;
  let template: ModelTemplate;
  beforeAll(async () => {
    const directory = join(makeTemporaryDirectory(), 'model');
    mkdirSync(directory);
    network = await Network.start(join(directory, 'live'));
    template = await ModelTemplate.make(directory, network);
  });
  afterAll(() => network.close());

  it(`keeps what it promised in ${runs} histories of up to 40 steps`, async () => {
    await fc.assert(
      fc.asyncProperty(histories(40), async (steps) => {
        expect(await playHistory(template, steps)).toEqual([]);
      }),
      {
        numRuns: runs + KNOWN_HISTORIES.length,
        examples: KNOWN_HISTORIES.map((steps): [Step[]] => [steps]),
        // The search for a smaller failing history ends before the test is ended: then nobody would see any.
        interruptAfterTimeLimit: 3_000_000,
        markInterruptAsFailure: true,
      },
    );
  });
});
