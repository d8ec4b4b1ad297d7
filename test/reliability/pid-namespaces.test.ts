import { lstatSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { LOCK_NAME, withLock } from '../../src/lock/lock.js';
import type { Scene } from '../support/lock-contender.js';
import { leftIn, makeKb } from '../support/lock-fixtures.js';
import {
  bundleContender,
  machineMs,
  overlapsOf,
  readSteps,
  sectionsOf,
  temporaryDirectory,
  type Section,
} from '../support/lock-processes.js';
import { canMake, CONTAINERS, HOSTS, Side, type Place } from '../support/namespaces.js';

const HOUR = 3_600_000;
/** KB_RELIABILITY=3 runs three times as long. */
const scale = Number(process.env['KB_RELIABILITY'] ?? '1');
const ROUNDS = Math.max(1, Math.round(10 * scale));
const MEMBERS = 4;
const STORM_MS = 1500;
const KILL_EVERY_MS = 200;
/** The slow rule, shrunk: in kb itself 5 s and 120 s. A heart that beats so often never stands still for so long. */
const HEARTBEAT_MS = 100;
const STALE_AFTER_MS = 1500;
const LONGEST_WAIT_MS = 60_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One KB that two sides share, and the log of both. */
class Shared {
  readonly kb = makeKb();
  private readonly outside = temporaryDirectory();
  private readonly log = join(this.outside.path, 'log');
  private readonly sides: Side[] = [];

  constructor(
    private readonly script: string,
    private readonly place: Place,
    private readonly locker: 'kb' | 'any-pid',
  ) {
    writeFileSync(this.log, '');
    onTestFinished(async () => {
      for (const side of this.sides) await side.kill();
      this.outside.remove();
    });
  }

  start(who: string): Side {
    const scene: Scene = {
      log: this.log,
      who,
      holdMs: 10,
      restMs: 50,
      deathChance: 0.03,
      order: this.orderFor(who),
      longMs: 2 * LONGEST_WAIT_MS,
      wallClockJumps: true,
      heartbeatMs: HEARTBEAT_MS,
      staleAfterMs: STALE_AFTER_MS,
    };
    const side = new Side(this.place, scene, this.script, this.locker, this.kb, MEMBERS);
    this.sides.push(side);
    return side;
  }

  /** The next of that side who gets the lock keeps it until it is killed. */
  orderLongSection(side: Side): void {
    writeFileSync(this.orderFor(side.who), '');
  }

  sections(): Section[] {
    return sectionsOf(readSteps(this.log));
  }

  count(event: string): number {
    return readSteps(this.log).filter((step) => step.event === event).length;
  }

  async until<T>(what: string, find: (sections: Section[]) => T | undefined): Promise<T> {
    const end = machineMs() + LONGEST_WAIT_MS;
    for (;;) {
      const found = find(this.sections());
      if (found !== undefined) return found;
      if (this.said().length > 0 || machineMs() > end) {
        throw new Error(`no ${what} came: ${this.said().join('; ')}`);
      }
      await pause(50);
    }
  }

  /** Watches the lock's modification time, which its holder takes from its wall clock, for `ms`. */
  async watchBeats(ms: number): Promise<{ spreadMs: number; lastAfterMs: number }> {
    const beats: number[] = [];
    let [lookMs, lastAfterMs] = [0, 0];
    for (const end = machineMs() + ms; machineMs() < end; await pause(20)) {
      const nowMs = machineMs();
      const beat = lstatSync(join(this.kb, LOCK_NAME), { throwIfNoEntry: false })?.mtimeMs ?? 0;
      if (beat !== beats.at(-1)) lastAfterMs = lookMs; // it came between that look and this one
      lookMs = nowMs;
      beats.push(beat);
    }
    return { spreadMs: Math.max(...beats) - Math.min(...beats), lastAfterMs };
  }

  said(): string[] {
    return this.sides.flatMap((side) => side.said);
  }

  private orderFor(who: string): string {
    return join(this.outside.path, `order-${who}`);
  }
}

async function storm(sides: readonly Side[]): Promise<void> {
  const end = machineMs() + STORM_MS;
  for (let turn = 0; machineMs() < end; turn++) {
    await pause(KILL_EVERY_MS * 2 * Math.random());
    sides[turn % sides.length]!.killOne();
  }
}

let script = '';
beforeAll(async () => {
  const work = temporaryDirectory();
  script = await bundleContender(work.path);
  return work.remove;
});

describe.each([CONTAINERS, HOSTS].map((place) => [place.name, place] as const))(
  'two %s that share a KB',
  (_name, place) => {
    describe.skipIf(!canMake(place))('at length (needs unshare and the right to use it)', () => {
      it('never have two inside, whatever their clocks say and whoever is killed', { timeout: HOUR }, async () => {
        const shared = new Shared(script, place, 'kb');
        let [living, doomed] = [shared.start('a0'), shared.start('b0')];
        const spreads: number[] = [];
        const waits: number[] = [];
        for (let round = 1; round <= ROUNDS; round++) {
          for (const side of [living, doomed]) {
            await shared.until(`section of ${side.who}`, (all) => all.find(({ who }) => side.owns(who)));
          }
          await storm([living, doomed]);
          // One whose clock jumps holds the lock for longer than a heart may stand still, then its whole side is
          // gone: nobody is left who could prove its death.
          shared.orderLongSection(doomed);
          const isFinal = (section: Section): boolean => section.isLong && doomed.owns(section.who);
          const final = await shared.until(`long section of ${doomed.who}`, (all) => all.find(isFinal));
          const beats = await shared.watchBeats(1.5 * STALE_AFTER_MS);
          await doomed.kill();
          const next = await shared.until('successor', (all) => all.find(({ gotMs }) => gotMs > final.gotMs));
          spreads.push(beats.spreadMs);
          waits.push(next.gotMs - beats.lastAfterMs);
          [living, doomed] = [shared.start(`${doomed.who[0] ?? ''}${round}`), living];
        }
        await Promise.all([living.end(), doomed.end()]);
        const sections = shared.sections();
        const [deaths, lost] = [shared.count('killed'), shared.count('lost')];
        const overlaps = overlapsOf(sections);
        console.log(
          `two ${place.name}: ${sections.length} sections, ${deaths} kills (${ROUNDS} of a whole side), ` +
            `${overlaps.length} overlaps, ${lost} lost; followed a side that had gone ${waits.map(Math.round).join(', ')} ms after its last beat`,
        );
        expect({ overlaps, lost, said: shared.said() }).toEqual({ overlaps: [], lost: 0, said: [] });
        expect(Math.min(...spreads)).toBeGreaterThan(HOUR / 2); // the clocks did jump
        expect(Math.min(...waits)).toBeGreaterThanOrEqual(STALE_AFTER_MS); // nobody said dead without a proof
        const request = { directory: shared.kb, operation: 'last', timeoutMs: LONGEST_WAIT_MS };
        await withLock(request, () => Promise.resolve(), { staleAfterMs: STALE_AFTER_MS });
        expect(leftIn(shared.kb)).toEqual([]);
      });

      it('are seen to have two inside when each judges the other’s pids by its own /proc (the seeded bug)', async () => {
        const shared = new Shared(script, place, 'any-pid');
        shared.start('a');
        shared.start('b');
        await shared.until('overlap', (all) => overlapsOf(all)[0]);
      });
    });
  },
);
