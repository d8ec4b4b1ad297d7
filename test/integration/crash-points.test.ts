import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import { writePack } from '../../src/git/objects/pack-writer.js';
import { StagedObjects } from '../../src/git/objects/staged.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import { unlock } from '../../src/kb/unlock.js';
import { Network, type Verdict } from '../support/crash-network.js';
import { distinctPoints, everyNth, pointsOf, problemsOfAll, turningPoints } from '../support/crash-points.js';
import { QUEUE_SCENARIOS } from '../support/crash-queue-scenarios.js';
import { runOnce, RUN_SCENARIOS } from '../support/crash-run-scenarios.js';
import { SCENARIOS, type Scenario } from '../support/crash-scenarios.js';
import { setRemoteUrl, siteAt, startKb, withKb } from '../support/crash-site.js';
import { Stage, until } from '../support/crash-stage.js';
import { Sweep } from '../support/crash-sweep.js';
import { FailingDisk, Killed } from '../support/failing-disk.js';
import { hasGitHttpBackend } from '../support/http-backend.js';
import { git, makeDirectoryInMemory, nativeGit } from '../support/native-git.js';

/** This quick form takes every so many points; test/reliability/crash-points.test.ts takes each. */
const STRIDE = 79;
/** An attempt with many processes costs several times as much. */
const CROWD_STRIDE = 149;

const everyScenario = [...SCENARIOS, ...QUEUE_SCENARIOS, ...RUN_SCENARIOS];

const withFirst = (scenarios: readonly Scenario[], stride: number): [string, Scenario, number][] =>
  scenarios.map((scenario, at) => [scenario.name, scenario, 1 + ((at * 11) % stride)]);

const alone = withFirst(SCENARIOS, STRIDE);
const crowded = withFirst([...QUEUE_SCENARIOS, ...RUN_SCENARIOS], CROWD_STRIDE);

const named = (...names: readonly string[]): [string, Scenario][] =>
  names.map((name) => {
    const scenario = everyScenario.find((one) => one.name === name);
    if (scenario === undefined) throw new Error(`there is no scenario "${name}"`);
    return [name, scenario];
  });

describe.skipIf(!nativeGit.available)('one change goes wrong (needs native git)', () => {
  it.each(alone)(
    'killed, or the disk full, during %s: the next command mends it, no edit is lost or doubled',
    async (_name, scenario, first) => {
      const sweep = await Sweep.prepare(scenario, join(makeDirectoryInMemory(), 'sweep'));
      const { calls } = await sweep.observe();
      const kills = everyNth(distinctPoints(calls), STRIDE, first).map(
        (at) => () => sweep.kill({ kind: 'kill', at, torn: at % 2 === 0 }),
      );
      const failures = pointsOf(calls.length, first, 3 * STRIDE).flatMap((at) => [
        () => sweep.fail({ kind: 'error', at, errno: at % 2 === 0 ? 'ENOSPC' : 'EIO' }),
        () => sweep.fail({ kind: 'full', at }),
      ]);
      expect(await problemsOfAll([...kills, ...failures])).toEqual([]);
    },
  );

  it.each(crowded)(
    'killed during %s: everybody gets an answer, no edit is lost or doubled',
    async (_name, scenario, first) => {
      const sweep = await Sweep.prepare(scenario, join(makeDirectoryInMemory(), 'sweep'));
      const points = everyNth(distinctPoints((await sweep.observe()).calls), CROWD_STRIDE, first);
      const problems = await problemsOfAll(
        points.map((at) => () => sweep.kill({ kind: 'kill', at, torn: at % 2 === 0 })),
      );
      expect(problems).toEqual([]);
    },
  );

  // Claims, plan, answers and the order in which they come and go.
  it('killed wherever the queue changes, with living writers right behind: everybody gets an answer', async () => {
    const [[, scenario]] = named('a note, with three living writers right behind it') as [[string, Scenario]];
    const sweep = await Sweep.prepare(scenario, join(makeDirectoryInMemory(), 'sweep'));
    const { calls } = await sweep.observe();
    const points = calls.flatMap((call, at) => (/^(rename|unlink)Sync .*\/kb\/queue\//.test(call) ? [at + 1] : []));
    expect(points.length).toBeGreaterThan(6);
    expect(await problemsOfAll(points.map((at) => () => sweep.kill({ kind: 'kill', at })))).toEqual([]);
  });

  // Where it matters most: its push has landed, its notes have no answer yet.
  it.each(named('a note, with appends of three dead writers to the same file', 'a run, the remote has moved'))(
    'killed during %s, then again while that is mended: the command after mends it all',
    async (_name, scenario) => {
      const sweep = await Sweep.prepare(scenario, join(makeDirectoryInMemory(), 'sweep'));
      const { calls } = await sweep.observe();
      const landed = calls.findIndex((call) => /^renameSync .*remote\.git\/refs\/heads\/main/.test(call)) + 2;
      const next = turningPoints(calls).find((at) => at > landed) ?? landed;
      expect(await sweep.killTwice(next, (seconds) => everyNth(distinctPoints(seconds), 29))).toEqual([]);
    },
  );

  it('unlock judges by the processes that it is shown', async () => {
    const stage = await stageOf({ name: 'nothing', prepare: ({ site }) => startKb(site), act: async () => undefined });
    await stage.whileHeld(async () => {
      const { world } = stage.start('unlocker');
      await expect(withKb(world, (kb) => unlock(kb, { force: false }))).rejects.toMatchObject({
        code: 'E_LOCK_TIMEOUT',
      });
    });
  });

  // Who never runs native git keeps them; they stand in nobody's way.
  it('git prune removes the objects and packs that a killed process was writing', () => {
    const gitDir = makeDirectoryInMemory();
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

describe.skipIf(!nativeGit.available)('what the sweep has found (needs native git)', () => {
  it('killed while it writes the list of KBs, init works again at once', async () => {
    const [[, scenario]] = named('init with a new remote') as [[string, Scenario]];
    const sweep = await Sweep.prepare(scenario, join(makeDirectoryInMemory(), 'sweep'));
    const { calls } = await sweep.observe();
    const at = calls.findIndex((call) => /^renameSync .*registry\.json\.lock /.test(call)) + 1;
    expect(await sweep.kill({ kind: 'kill', at })).toEqual([]);
  });

  it('answers that cannot be written leave their plan in place', async () => {
    const [[, scenario]] = named('a batch of which the remote refuses one') as [[string, Scenario]];
    const sweep = await Sweep.prepare(scenario, join(makeDirectoryInMemory(), 'sweep'));
    const { calls } = await sweep.observe();
    const at = calls.findIndex((call) => /^openSync .*\/\.kb_tmp_[0-9a-f]{32}_[0-9a-f]{7}_/.test(call)) + 1;
    expect(await sweep.fail({ kind: 'error', at, errno: 'ENOSPC' })).toEqual([]);
  });

  it('a queue that cannot be taken over is E_STORAGE', async () => {
    const [[, scenario]] = named(
      'a note after a holder who was killed with its push landed and a batch in its hands',
    ) as [[string, Scenario]];
    const sweep = await Sweep.prepare(scenario, join(makeDirectoryInMemory(), 'sweep'));
    const { calls } = await sweep.observe();
    const at = calls.findIndex((call) => /^renameSync .*\.claimed .*\.claimed$/.test(call)) + 1;
    expect(await sweep.fail({ kind: 'error', at, errno: 'EACCES' })).toEqual([]);
  });
});

async function stageOf({ prepare }: Scenario): Promise<Stage> {
  const site = siteAt(join(makeDirectoryInMemory(), 'site'));
  mkdirSync(site.root);
  const stage = new Stage(site);
  await prepare(stage);
  return stage;
}

describe.skipIf(!hasGitHttpBackend())('a run that hangs (needs native git with http-backend)', () => {
  it('is in nobody’s way once its lock was taken away', async () => {
    const root = join(makeDirectoryInMemory(), 'site');
    mkdirSync(root);
    const network = await Network.start(root);
    const stage = new Stage(siteAt(root), network);
    try {
      await startKb(stage.site);
      setRemoteUrl(stage.site, stage.url);
      const hanging = stage.start('hanging');
      let isPushing = false;
      let goOn = (): void => undefined;
      network.watcher = {
        before: async ({ from, path }): Promise<Verdict> => {
          if (from === 'hanging' && path.endsWith('git-receive-pack') && !path.includes('?')) {
            isPushing = true;
            await new Promise<void>((resolve) => (goOn = resolve));
          }
          return 'pass';
        },
      };
      const first = runOnce(hanging.world, 'echo first > first.md').catch(() => undefined);
      await until('it hangs', () => isPushing);
      await withKb(stage.start('unlocker').world, (kb) => unlock(kb, { force: true }));
      const { world } = stage.start('next');
      try {
        await runOnce({ ...world, env: { ...world.env, KB_LOCK_TIMEOUT: '2s' } }, 'echo second > second.md');
      } finally {
        goOn();
        await first;
      }
    } finally {
      await network.close();
    }
  });
});

describe.skipIf(!hasGitHttpBackend())('killed at each request (needs native git with http-backend)', () => {
  it.each(
    named(
      'a new note, the remote has moved',
      'a sync that merges',
      'a clone',
      'a note, with new notes of three dead writers, the remote has moved',
      'a note, with three living writers right behind it',
      'a run, the remote has moved',
    ),
  )('of %s: before the server sees it, and when the server is done and nobody knows', async (_name, scenario) => {
    const directory = join(makeDirectoryInMemory(), 'sweep');
    const network = await Network.start(join(directory, 'live'));
    try {
      const sweep = await Sweep.prepare(scenario, directory, network);
      const { requests } = await sweep.observe();
      const attempts = Array.from({ length: requests }, (_, at) => at + 1).flatMap((at) => [
        () => sweep.kill({ kind: 'request', at, when: 'before' }),
        () => sweep.kill({ kind: 'request', at, when: 'after' }),
      ]);
      expect(attempts.length).toBeGreaterThan(2);
      expect(await problemsOfAll(attempts)).toEqual([]);
    } finally {
      await network.close();
    }
  });
});
