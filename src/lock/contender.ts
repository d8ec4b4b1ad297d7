import { join } from 'node:path';
import type { lockSync } from 'proper-lockfile';
import type { Disk } from '../disk/disk.js';
import { isErrno } from '../disk/durable.js';
import type { LockClock } from './clock.js';
import { HeldDirectory } from './held-directory.js';
import { lookAtLock, type LockPaths, type LockSight } from './layout.js';
import { Place, readLine, readWaiter, sweepLeftovers, sweepWaiter, type PlaceName, type Waiter } from './line.js';
import type { LivenessProbe } from './liveness.js';
import { Observer } from './observer.js';
import type { OwnerRecord } from './owner.js';
import { removeLock } from './removal.js';
import { listSide, removeSideIfEmpty } from './side.js';

/** Whoever lets a free lock go by for so long, ms, is passed over: dead on another host, stopped, or swamped. */
const GRACE_MS = 1000;
/** A holder is judged when first seen and then this often, ms: a kill is noticed soon, polling stays cheap. */
const JUDGE_EVERY_MS = 250;
/** Pauses between looks, ms: the first in line looks this often, those behind it less. */
const FIRST_PAUSE_MS = 2;
const PAUSE_PER_PLACE_MS = 20;
const LONGEST_PAUSE_MS = 400;

export interface ContenderDependencies {
  readonly disk: Disk;
  readonly clock: LockClock;
  readonly random: () => number;
  readonly liveness: LivenessProbe;
  readonly heartbeatMs: number;
  readonly staleAfterMs: number;
}

/** What a look that did not end in holding the lock found. */
export interface Waiting {
  /** The holder; undefined while the lock is free (others are first) or its owner is unknown. */
  readonly owner: OwnerRecord | undefined;
  /** 1: next. */
  readonly place: number;
  readonly pauseMs: number;
}

export interface Held {
  readonly directory: HeldDirectory;
  /** Gives the lock back and stops the heartbeat. @throws the file system's errors */
  readonly release: () => void;
}

/** One process's attempt at the lock: joins the line, then looks again and again. Each look is synchronous. */
export class Contender {
  private readonly place: Place;
  private readonly observer: Observer;
  private looks = 0;
  private judged: { key: string; atMs: number } | undefined;
  private leader: { name: string; sinceMs: number } | undefined;

  constructor(
    private readonly deps: ContenderDependencies,
    private readonly paths: LockPaths,
    private readonly lock: typeof lockSync,
    private readonly record: OwnerRecord,
  ) {
    this.place = new Place(deps.disk, paths, record);
    this.observer = new Observer(deps.liveness, deps.clock, deps.staleAfterMs);
  }

  /** @throws KbError E_NO_KB, E_UNSAFE_STATE; the file system's errors */
  join(): void {
    this.place.join();
  }

  /** This waiter's name in the line: `readLine` sorts by it. */
  get placeName(): PlaceName {
    return this.place.placeName;
  }

  /** Also after an error. Never fails. */
  leave(): void {
    this.place.leave();
  }

  /** @throws KbError E_UNSAFE_STATE; the file system's errors */
  look(): Held | Waiting {
    const { disk } = this.deps;
    this.looks++;
    const names = listSide(disk, this.paths);
    if (!names.includes(this.place.name)) this.place.join(); // somebody took us for dead
    const ahead = readLine(names).filter((waiter) => waiter.name < this.place.name);
    const sight = lookAtLock(disk, this.paths);
    if (sight !== undefined) {
      this.leader = undefined;
      if (!this.isStale(sight) || !this.removeStale(sight)) {
        return this.waiting(sight.owner, ahead.length);
      }
    }
    const held = this.isFirst(ahead) ? this.take(names) : undefined;
    return held ?? this.waiting(undefined, ahead.length);
  }

  private readonly isDead = (subject: string, owner: OwnerRecord | undefined, trace: string): boolean =>
    this.observer.isDead(subject, owner, trace);

  private isStale(sight: LockSight): boolean {
    const nowMs = this.deps.clock.monotonicMs();
    if (this.judged?.key === sight.key && nowMs - this.judged.atMs < JUDGE_EVERY_MS) return false;
    this.judged = { key: sight.key, atMs: nowMs };
    return this.isDead('lock', sight.owner, sight.trace);
  }

  private removeStale(sight: LockSight): boolean {
    try {
      return removeLock(this.deps.disk, this.paths, this.place, sight, this.isDead);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return false; // our own place was swept: the next look joins again
      throw error;
    }
  }

  /**
   * Lets those ahead go first, but never for ever: the dead are swept at once, one who lets a free lock go by is
   * swept after a grace. So no state of the line, whoever wrote it, blocks a free lock.
   * Broken by: test/unit/lock/line.test.ts "a free lock is never blocked by the line".
   */
  private isFirst(ahead: Waiter[]): boolean {
    const { disk, clock, liveness } = this.deps;
    for (const waiter of ahead) {
      const owner = readWaiter(disk, this.paths, waiter);
      const nowMs = clock.monotonicMs();
      if (this.leader?.name !== waiter.name) this.leader = { name: waiter.name, sinceMs: nowMs };
      const isGone = owner !== undefined && liveness(owner) === 'dead';
      if (!isGone && nowMs - this.leader.sinceMs < GRACE_MS) return false;
      sweepWaiter(disk, this.paths, waiter);
    }
    return true;
  }

  private take(names: readonly string[]): Held | undefined {
    const { disk, clock, heartbeatMs } = this.deps;
    const directory = new HeldDirectory(disk, this.paths, this.place, clock, heartbeatMs);
    let giveBack: () => void;
    try {
      // `since` is when the lock was got, not when waiting began.
      if (this.looks > 1) this.place.rewrite({ ...this.record, since: new Date(clock.wallMs()).toISOString() });
      // proper-lockfile knows its locks by this name: two of one process, one of them lost, must not share it.
      giveBack = this.lock(join(this.paths.directory, directory.id), {
        lockfilePath: this.paths.lock,
        fs: directory.fileSystem,
        realpath: false, // there is no such file
        retries: 0,
        stale: Infinity, // proper-lockfile's own way to take over lets several in: never
        update: heartbeatMs,
        onCompromised: directory.markLost, // the default throws out of a timer
      });
    } catch (error) {
      // ELOCKED: another was faster. ENOENT: we were swept since the list was read.
      if (isErrno(error, 'ELOCKED', 'ENOENT')) return undefined;
      throw error;
    }
    sweepLeftovers(disk, this.paths, names, directory.id);
    return { directory, release: () => this.release(directory, giveBack) };
  }

  private release(directory: HeldDirectory, giveBack: () => void): void {
    try {
      directory.release();
    } finally {
      stopHeartbeat(giveBack);
      removeSideIfEmpty(this.deps.disk, this.paths);
    }
  }

  private waiting(owner: OwnerRecord | undefined, ahead: number): Waiting {
    const pause = Math.min(
      FIRST_PAUSE_MS * 2 ** Math.min(this.looks, 10),
      PAUSE_PER_PLACE_MS * (ahead + 1),
      LONGEST_PAUSE_MS,
    );
    return { owner, place: ahead + 1, pauseMs: pause * (0.75 + this.deps.random() / 2) };
  }
}

/** proper-lockfile's release, called when the directory is gone already: what it still does is clear its timer. */
function stopHeartbeat(giveBack: () => void): void {
  try {
    giveBack();
  } catch (error) {
    // Both say that there is no timer any more: the lock was found lost before.
    if (!isErrno(error, 'ERELEASED', 'ENOTACQUIRED')) throw error;
  }
}
