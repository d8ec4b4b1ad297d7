import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { hasGitHttpBackend } from '../support/http-backend.js';
import { makeTemporaryDirectory } from '../support/native-git.js';
import { runStorm } from '../support/storm.js';

/** KB_RELIABILITY=1: 2,000 kills, some ten minutes; 0.1: a sample of less than one. */
const scale = Number(process.env['KB_RELIABILITY'] ?? '1');
/** KB_SEED=$RANDOM for another storm. */
const seed = Number(process.env['KB_SEED'] ?? '20261120');
/** KB_STORM_PROGRAM: another program than the one built here; KB_STORM_REPORT: where the result goes as JSON;
 * KB_STORM_PLACE: an empty directory, to be looked at afterwards. */
const atRoot = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

it.skipIf(process.platform !== 'linux' || !hasGitHttpBackend())(
  'a storm of kills, pauses and faults loses no edit and applies none twice (needs Linux and git http-backend)',
  async () => {
    const result = await runStorm({
      program: process.env['KB_STORM_PROGRAM'] ?? atRoot('bin/run.js'),
      place: process.env['KB_STORM_PLACE'] ?? makeTemporaryDirectory(),
      seed,
      kills: Math.ceil((scale < 1 ? 1500 : 2000) * scale),
      clones: 5,
      writersPerClone: 4,
      withRun: existsSync(atRoot('src/commands/run.ts')),
    });
    console.log(result.summary);
    const report = process.env['KB_STORM_REPORT'];
    if (report !== undefined) writeFileSync(report, JSON.stringify(result));
    expect(result.problems).toEqual([]);
  },
);
