import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { lockSync } from 'proper-lockfile';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { Contender, type Held } from '../../src/lock/contender.js';
import { LockPaths } from '../../src/lock/layout.js';
import type { Liveness } from '../../src/lock/liveness.js';
import { FakeClock, madeUpOwner } from './lock-fixtures.js';

/** Thrown at the step where an actor is killed, and by everything it tries on the disk from then on. */
export class Killed extends Error {}

/**
 * The world of one schedule: a directory, a clock, who is dead, who holds the lock. Contenders act in one process,
 * one disk call at a time, so that every order of their calls can be tried.
 */
export class World {
  readonly clock = new FakeClock();
  readonly dead = new Set<string>();
  /** Everybody inside the critical section now, and every time there was more than one. */
  readonly inside = new Set<string>();
  readonly overlaps: string[] = [];
  private readonly actors: Actor[] = [];

  constructor(readonly directory: string) {
    mkdirSync(directory, { recursive: true });
  }

  actor(user: string): Actor {
    const actor = new Actor(this, user);
    this.actors.push(actor);
    return actor;
  }

  end(): void {
    for (const actor of this.actors) actor.giveUp();
  }
}

/** Calls on names that others see too; between two of these nobody can tell in which order things happened. */
const SHARED = new Set(['mkdirSync', 'renameSync', 'linkSync', 'unlinkSync', 'rmdirSync', 'readdirSync', 'lstatSync']);

export class Actor {
  /** Disk calls made so far. */
  calls = 0;
  /** Of these, the ones on shared names. */
  steps = 0;
  /** What happens ahead of the n-th step (1 is the first). */
  readonly interruptions = new Map<number, () => void>();
  private killedAtCall = 0;
  private held: Held | undefined;
  private readonly contender: Contender;
  private isKilled = false;
  private hasJoined = false;

  constructor(
    private readonly world: World,
    readonly user: string,
  ) {
    const liveness = (owner: { user: string }): Liveness => (world.dead.has(owner.user) ? 'dead' : 'alive');
    const deps = {
      disk: this.disk(),
      clock: world.clock,
      random: () => 0,
      liveness,
      heartbeatMs: 5000,
      staleAfterMs: 120_000,
    };
    this.contender = new Contender(deps, new LockPaths(world.directory), lockSync, madeUpOwner(user));
  }

  /** Gets into the line without a look. */
  join(): void {
    this.contender.join();
    this.hasJoined = true;
  }

  /** One look at the lock; enters the critical section if it gets it. */
  look(): boolean {
    if (this.held !== undefined) return true;
    try {
      if (!this.hasJoined) this.join();
      const result = this.contender.look();
      if (!('directory' in result)) return false;
      this.held = result;
    } catch (error) {
      if (this.isKilled) return false;
      throw error;
    }
    this.world.inside.add(this.user);
    if (this.world.inside.size > 1) this.world.overlaps.push([...this.world.inside].join('+'));
    return true;
  }

  /** Looks for 2 s, long enough to pass over those ahead who do not move. */
  insist(): boolean {
    for (let look = 0; look < 4; look++) {
      if (this.look()) return true;
      this.world.clock.nowMs += 600;
    }
    return false;
  }

  /** Looks, letting time go by, until the lock is got. */
  persist(): void {
    for (let look = 0; look < 100; look++) {
      if (this.look()) return;
      this.world.clock.nowMs += 300;
    }
    throw new Error(`${this.user} never got the lock`);
  }

  /** Leaves the critical section and gives the lock back. */
  release(): void {
    const { held } = this;
    this.held = undefined;
    this.world.inside.delete(this.user);
    try {
      held?.release();
    } catch (error) {
      if (!this.isKilled) throw error;
    }
  }

  stillHolds(): boolean {
    try {
      this.held?.directory.assertHeld();
      return this.held !== undefined;
    } catch {
      return false;
    }
  }

  killAtStep(step: number): void {
    this.interruptions.set(step, () => this.kill());
  }

  killAtCall(call: number): void {
    this.killedAtCall = call;
  }

  private kill(): void {
    this.isKilled = true;
    this.world.dead.add(this.user);
    this.world.inside.delete(this.user);
    throw new Killed();
  }

  giveUp(): void {
    if (this.isKilled) return;
    this.release();
    this.contender.leave();
  }

  private disk(): Disk {
    return new Proxy(nodeDisk, {
      get: (target, name: keyof Disk) => {
        const call = target[name] as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => {
          if (this.isKilled) throw new Killed();
          if (++this.calls === this.killedAtCall) this.kill();
          if (SHARED.has(name)) this.interruptions.get(++this.steps)?.();
          return name === 'fsyncSync' ? undefined : call(...args); // no power is cut here: spare the disk
        };
      },
    });
  }
}

/** As many fresh worlds as a test needs below one directory. */
export function worlds(root: string): () => World {
  let count = 0;
  return () => new World(join(root, String(count++)));
}
