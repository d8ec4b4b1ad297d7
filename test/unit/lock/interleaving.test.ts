import { existsSync, writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LOCK_NAME, LockPaths, SIDE_NAME } from '../../../src/lock/layout.js';
import { encodeOwner } from '../../../src/lock/owner.js';
import { takeLockAway } from '../../../src/lock/lock.js';
import { worlds, type Actor, type World } from '../../support/lock-actor.js';
import { fates, leftIn, madeUpOwner, makeKb, plantLock } from '../../support/lock-fixtures.js';

// Every order of disk calls that matters is tried, one after the other, in one process: nothing here depends on
// luck or on time. Each test says how many schedules it went through, so that none can silently become empty.

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })); // heartbeats of the killed
afterEach(() => void vi.useRealTimers());

const STARTS: ReadonlyArray<[string, (world: World) => void]> = [
  ['a free lock', () => undefined],
  ['a dead owner’s lock', (world) => plantDead(world)],
  ['a dead owner’s lock and a ticket of a dead contender', (world) => plantTicket(plantDead(world), 'exe', 0)],
  [
    'a dead owner’s lock and tickets of two dead contenders',
    (world) => {
      plantTicket(plantDead(world), 'exe', 0);
      plantTicket(world, 'foe', 1);
    },
  ],
];

function plantDead(world: World): World {
  world.dead.add('dan');
  plantLock(world.directory, madeUpOwner('dan'));
  return world;
}

function plantTicket(world: World, maker: string, number: number): void {
  const { side, inSide } = new LockPaths(world.directory);
  world.dead.add(maker);
  mkdirSync(side, { recursive: true });
  const path = inSide.call({ side }, `ticket_${madeUpOwner('dan').id}_${number}`);
  writeFileSync(path, encodeOwner(madeUpOwner(maker)));
}

/** How many disk calls, and steps among them, an undisturbed run of `work` takes. */
function lengthOf(
  makeWorld: () => World,
  start: (world: World) => void,
  work: (actor: Actor) => void,
): { calls: number; steps: number } {
  const world = makeWorld();
  start(world);
  const actor = world.actor('ann');
  work(actor);
  const { calls, steps } = actor;
  world.end();
  return { calls, steps };
}

/** All pairs of steps, or the close ones and every eleventh of the rest. */
function* pairs(steps: number, isWhole: boolean, least: (first: number) => number): Generator<[number, number]> {
  for (let first = 1; first <= steps; first++) {
    for (let second = least(first); second <= steps; second++) {
      const isClose = Math.abs(second - first) <= 1;
      if (isWhole || isClose || (first * 3 + second) % 11 === 0) yield [first, second];
    }
  }
}

describe.each(STARTS)('from %s', (title, start) => {
  const isWhole = title === 'a dead owner’s lock' || process.env['KB_LOCK_SCHEDULES'] === 'all';

  it('two contenders at any step: one holds', () => {
    const makeWorld = worlds(makeKb());
    const { steps } = lengthOf(makeWorld, start, (ann) => ann.persist());
    for (let at = 1; at <= steps; at++) {
      const world = makeWorld();
      start(world);
      const [ann, bob] = [world.actor('ann'), world.actor('bob')];
      ann.interruptions.set(at, () => void bob.insist());
      ann.look();
      const first = [ann, bob].find((actor) => actor.stillHolds());
      if (first === undefined) bob.persist();
      expect([at, world.overlaps, [ann, bob].filter((actor) => actor.stillHolds()).length]).toEqual([at, [], 1]);
      const [holder, other] = ann.stillHolds() ? [ann, bob] : [bob, ann];
      holder.release();
      other.persist();
      expect([at, world.overlaps]).toEqual([at, []]);
      world.end();
      expect([at, leftIn(world.directory)]).toEqual([at, []]);
    }
    expect(steps).toBeGreaterThan(8);
  });

  it('three contenders, one interrupted at any two steps: one holds at any time, also when one gives back', () => {
    const makeWorld = worlds(makeKb());
    const { steps } = lengthOf(makeWorld, start, (ann) => ann.persist());
    let schedules = 0;
    for (const [first, second] of pairs(steps, isWhole, (step) => step + 1)) {
      for (const variant of ['bob stays', 'bob gives back', 'bob stood first']) {
        const world = makeWorld();
        start(world);
        const [ann, bob, cid] = [world.actor('ann'), world.actor('bob'), world.actor('cid')];
        ann.interruptions.set(first, () => {
          bob.insist();
          if (variant === 'bob gives back') bob.release();
        });
        ann.interruptions.set(second, () => void cid.insist());
        if (variant === 'bob stood first') bob.join();
        ann.look();
        ann.look();
        expect([first, second, variant, world.overlaps]).toEqual([first, second, variant, []]);
        for (const actor of [bob, cid, ann]) if (world.inside.has(actor.user)) expect(actor.stillHolds()).toBe(true);
        world.end();
        schedules++;
      }
    }
    expect(schedules).toBeGreaterThan(steps);
  });

  it('three contenders, each interrupting the one before at any step: one holds', () => {
    const makeWorld = worlds(makeKb());
    const { steps } = lengthOf(makeWorld, start, (ann) => ann.persist());
    for (const [outer, inner] of pairs(steps, isWhole, () => 1)) {
      const world = makeWorld();
      start(world);
      const [ann, bob, cid] = [world.actor('ann'), world.actor('bob'), world.actor('cid')];
      ann.interruptions.set(outer, () => void bob.insist());
      bob.interruptions.set(inner, () => void cid.insist());
      ann.look();
      expect([outer, inner, world.overlaps]).toEqual([outer, inner, []]);
      for (const actor of [bob, cid, ann]) if (world.inside.has(actor.user)) expect(actor.stillHolds()).toBe(true);
      world.end();
    }
  });

  it('a crash at any step, waiting, taking, holding or giving back, is mended by the next contender', () => {
    const makeWorld = worlds(makeKb());
    const whole = (ann: Actor): void => {
      ann.persist();
      ann.release();
      ann.giveUp();
    };
    const { calls } = lengthOf(makeWorld, start, whole);
    for (let at = 1; at <= calls; at++) {
      const world = makeWorld();
      start(world);
      const [ann, bob] = [world.actor('ann'), world.actor('bob')];
      ann.killAtCall(at);
      ann.look();
      ann.release();
      ann.giveUp();
      world.dead.add('ann');
      const since = world.clock.nowMs;
      bob.persist();
      // Proved dead: no waiting for graces or staleness. (One grace where the crash left a place without a record.)
      expect(world.clock.nowMs - since).toBeLessThanOrEqual(1500);
      expect([at, bob.stillHolds(), world.overlaps]).toEqual([at, true, []]);
      world.end();
      expect([at, leftIn(world.directory)]).toEqual([at, []]);
    }
  });

  it('two contenders, one killed at any step while the other was let in at any earlier one: the third gets in', () => {
    const makeWorld = worlds(makeKb());
    const { steps } = lengthOf(makeWorld, start, (ann) => ann.persist());
    for (const [first, killed] of pairs(steps, isWhole, (step) => step + 1)) {
      const world = makeWorld();
      start(world);
      const [ann, bob, cid] = [world.actor('ann'), world.actor('bob'), world.actor('cid')];
      ann.interruptions.set(first, () => void bob.insist());
      ann.killAtStep(killed);
      ann.look();
      world.dead.add('ann');
      world.inside.delete('ann');
      if (bob.stillHolds()) bob.release();
      cid.persist();
      expect([first, killed, world.overlaps]).toEqual([first, killed, []]);
      cid.release();
      bob.persist();
      expect([first, killed, world.overlaps]).toEqual([first, killed, []]);
      world.end();
      expect([first, killed, leftIn(world.directory)]).toEqual([first, killed, []]);
    }
  });
});

describe('a waiter that stopped', () => {
  it.each([
    ['before its first look', 0],
    ['after it', 1],
  ])('%s and goes on at any step of being passed over: one holds, with its record', (_title, looks) => {
    const makeWorld = worlds(makeKb());
    const run = (at: number): { world: World; steps: number; dee: Actor } => {
      const world = makeWorld();
      const [cid, dee, ann] = [world.actor('cid'), world.actor('dee'), world.actor('ann')];
      cid.look();
      dee.join();
      for (let look = 0; look < looks; look++) dee.look(); // waits, then stops
      cid.release();
      ann.interruptions.set(at, () => void dee.look());
      ann.insist();
      return { world, steps: ann.steps, dee };
    };
    const { steps } = run(0);
    let wasLetIn = 0;
    for (let at = 1; at <= steps; at++) {
      const { world, dee } = run(at);
      expect([at, world.overlaps]).toEqual([at, []]);
      if (world.inside.has('dee')) wasLetIn++;
      if (world.inside.has('dee')) expect([at, dee.stillHolds()]).toEqual([at, true]);
      world.end();
      expect([at, leftIn(world.directory)]).toEqual([at, []]);
    }
    expect(wasLetIn).toBeGreaterThan(3);
  });
});

describe('a lock that another program makes with plain mkdir', () => {
  it('at any step is respected, but for the one instant between the last look and the rename', () => {
    const makeWorld = worlds(makeKb());
    const { steps } = lengthOf(
      makeWorld,
      () => undefined,
      (ann) => ann.persist(),
    );
    let both = 0;
    for (let at = 1; at <= steps; at++) {
      const world = makeWorld();
      const ann = world.actor('ann');
      const theirs: string[] = [];
      ann.interruptions.set(at, () => {
        if (existsSync(join(world.directory, LOCK_NAME))) return;
        mkdirSync(join(world.directory, LOCK_NAME));
        theirs.push(LOCK_NAME);
      });
      if (ann.look() && theirs.length > 0) both++;
      world.end();
    }
    expect(both).toBe(1);
  });
});

describe('giving back', () => {
  it('at any step while the lock is taken away by force and taken by the next: the next keeps it', () => {
    const makeWorld = worlds(makeKb());
    const run = (at: number): { world: World; steps: number; bob: Actor } => {
      const world = makeWorld();
      const [ann, bob] = [world.actor('ann'), world.actor('bob')];
      ann.persist();
      const before = ann.steps;
      ann.interruptions.set(before + at, () => {
        takeLockAway(world.directory, undefined, { clock: world.clock, liveness: fates({}) });
        world.inside.delete('ann'); // she is told by assertHeld
        bob.persist();
      });
      ann.release();
      return { world, steps: ann.steps - before, bob };
    };
    const { steps } = run(0);
    for (let at = 1; at <= steps; at++) {
      const { world, bob } = run(at);
      expect([at, bob.stillHolds()]).toEqual([at, true]);
      world.end();
      expect([at, leftIn(world.directory)]).toEqual([at, []]);
    }
    expect(steps).toBeGreaterThan(5);
  });
});

describe('the side folder', () => {
  it('is gone when nobody needs it', () => {
    const world = worlds(makeKb())();
    const ann = world.actor('ann');
    ann.persist();
    expect(leftIn(world.directory)).toContain(LOCK_NAME);
    world.end();
    expect(existsSync(join(world.directory, SIDE_NAME))).toBe(false);
  });
});
