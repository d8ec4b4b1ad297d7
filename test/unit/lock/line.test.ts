import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { LOCK_NAME, LockPaths, OWNER_FILE, SIDE_NAME } from '../../../src/lock/layout.js';
import { Place, readLine, readWaiter, sweepLeftovers } from '../../../src/lock/line.js';
import { encodeOwner, type OwnerRecord } from '../../../src/lock/owner.js';
import { worlds, type World } from '../../support/lock-actor.js';
import { leftIn, madeUpOwner, makeKb } from '../../support/lock-fixtures.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

function plantWaiter(world: World, number: string, record: OwnerRecord | string): void {
  const id = typeof record === 'string' ? 'f'.repeat(32) : record.id;
  const path = join(world.directory, SIDE_NAME, `wait_${number}_${id}`);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, OWNER_FILE), typeof record === 'string' ? record : encodeOwner(record));
}

describe('the line', () => {
  it('is first come, first served', () => {
    const world = worlds(makeKb())();
    const names = ['ann', 'zoe', 'bob', 'yan', 'cid', 'xis'];
    const actors = names.map((name) => world.actor(name));
    for (const actor of actors) actor.look(); // ann gets it, the others queue in this order
    const order = ['ann'];
    for (let served = 0; served < names.length - 1; served++) {
      actors[served]?.release();
      // Everybody looks, the last first: those who may not yet, do not.
      for (const actor of actors.slice(served + 1).reverse()) if (actor.look()) order.push(actor.user);
    }
    expect(order).toEqual(names);
    expect(world.overlaps).toEqual([]);
    world.end();
    expect(leftIn(world.directory)).toEqual([]);
  });

  it('lets a newcomer stand behind those who wait, also when the lock is free at that moment', () => {
    const world = worlds(makeKb())();
    const [ann, bob, cid] = [world.actor('ann'), world.actor('bob'), world.actor('cid')];
    ann.look();
    bob.look();
    ann.release();
    expect(cid.look()).toBe(false);
    expect(bob.look()).toBe(true);
    world.end();
  });

  it.each<[string, (world: World) => void, number]>([
    [
      'a dead waiter',
      (world) => {
        world.dead.add('dan');
        plantWaiter(world, '000000001', madeUpOwner('dan'));
      },
      0,
    ],
    ['a living waiter that never looks', (world) => plantWaiter(world, '000000001', madeUpOwner('eve')), 1000],
    ['a waiter without a record', (world) => plantWaiter(world, '000000001', ''), 1000],
    ['a forged first number', (world) => plantWaiter(world, '000000000', madeUpOwner('eve')), 1000],
    ['a forged last number', (world) => plantWaiter(world, '999999999', madeUpOwner('zoe')), 1000],
    ['foreign names', (world) => mkdirSync(join(world.directory, SIDE_NAME, 'wait_1_x'), { recursive: true }), 0],
  ])('a free lock is never blocked by the line: %s', (_title, plant, atMostMs) => {
    const world = worlds(makeKb())();
    plant(world);
    const ann = world.actor('ann');
    const startMs = world.clock.nowMs;
    while (!ann.look() && world.clock.nowMs < startMs + 10_000) world.clock.nowMs += 100;
    expect(ann.stillHolds()).toBe(true);
    expect(world.clock.nowMs - startMs).toBeLessThanOrEqual(atMostMs);
    world.end();
  });

  it('gives a living waiter that was swept its old place again', () => {
    const world = worlds(makeKb())();
    const [ann, bob, cid, dee] = ['ann', 'bob', 'cid', 'dee'].map((name) => world.actor(name));
    for (const actor of [ann, bob, cid, dee]) actor?.look();
    ann?.release();
    for (let look = 0; look < 12 && cid?.look() !== true; look++) world.clock.nowMs += 100; // bob is stopped
    expect(cid?.stillHolds()).toBe(true);
    expect(bob?.look()).toBe(false);
    cid?.release();
    expect(dee?.look()).toBe(false);
    expect(bob?.look()).toBe(true);
    world.end();
    expect(leftIn(world.directory)).toEqual([]);
  });

  it('a place that is swept while it is made comes into the line whole or not at all', () => {
    const directory = makeKb();
    const paths = new LockPaths(directory);
    let steps = 0;
    const moveOnce = (from: string, to: string): void => {
      steps += 1;
      if (steps === 2 && existsSync(from)) nodeDisk.renameSync(from, to);
    };
    const joining = new Proxy(nodeDisk, {
      get: (target, call: keyof Disk): unknown => {
        if (call !== 'renameSync') return target[call];
        return (from: string, to: string): void => {
          if (basename(to).startsWith('wait_') && steps === 0) {
            steps = 1;
            // The holder has just removed the record, or what it took for it, when the joiner moves its place.
            const sweeping = new Proxy(nodeDisk, {
              get: (under, name: keyof Disk): unknown =>
                name === 'unlinkSync' ? (path: string) => (under.unlinkSync(path), moveOnce(from, to)) : under[name],
            });
            sweepLeftovers(sweeping, paths, [basename(from)], '0'.repeat(32));
            if (existsSync(to)) return;
          }
          target.renameSync(from, to);
        };
      },
    });
    const place = new Place(joining, paths, madeUpOwner('7'));
    place.join();
    expect(steps).toBe(2);
    expect(readWaiter(nodeDisk, paths, { name: place.name, place: place.placeName, number: 1 })).toBeDefined();
    place.leave();
    expect(leftIn(directory)).toEqual([]);
  });

  it('reads only names that it made', () => {
    const id = 'a'.repeat(32);
    const names = [
      `wait_000000010_${id}`,
      `wait_000000002_${id}`,
      'wait_1_x',
      'gone_1',
      `wait_000000003_../x`,
      LOCK_NAME,
    ];
    expect(readLine(names).map((waiter) => waiter.number)).toEqual([2, 10]);
  });
});
