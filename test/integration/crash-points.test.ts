import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import { writePack } from '../../src/git/objects/pack-writer.js';
import { StagedObjects } from '../../src/git/objects/staged.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import { pointsOf, problemsOfAll, SCENARIOS, Sweep, type Scenario } from '../support/crash-sweep.js';
import { FailingDisk, Killed } from '../support/failing-disk.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

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

  // Who never runs native git keeps them; they stand in nobody's way.
  it('git prune removes the objects and packs that a killed process was writing', () => {
    const gitDir = makeTemporaryDirectory();
    git(gitDir, ['init', '-q', '--bare']);
    const unfinished = (): string[] =>
      readdirSync(join(gitDir, 'objects'), { recursive: true, encoding: 'utf8' }).filter((name) =>
        name.includes('tmp_'),
      );
    const killAll = (work: (store: ObjectStore) => void): void => {
      for (let at = 1, isDone = false; !isDone; at += 1) {
        const store = ObjectStore.open(new FailingDisk({ kind: 'kill', at, torn: true }).disk, gitDir);
        try {
          work(store);
          isDone = true;
        } catch (error) {
          expect(error).toBeInstanceOf(Killed);
        }
      }
    };
    const blob = Buffer.from('content');
    const source = new StagedObjects(ObjectStore.open(nodeDisk, gitDir));
    const pack = [...writePack(source, [source.add('blob', Buffer.from('packed'))])];
    killAll((store) => void store.writeLoose('blob', blob));
    killAll((store) => {
      const receiver = store.receivePack({ keepLooseUnder: 0 });
      for (const chunk of pack) receiver.write(chunk);
      receiver.finish();
    });
    expect(unfinished().length).toBeGreaterThan(3);
    git(gitDir, ['prune', '--expire=now']);
    expect(unfinished()).toEqual([]);
    expect(git(gitDir, ['fsck', '--strict', '--no-dangling'])).toBe('');
  });
});
