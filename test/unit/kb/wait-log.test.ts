import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import type { Oid } from '../../../src/git/ids.js';
import type { RepoPath } from '../../../src/git/paths.js';
import { initKb } from '../../../src/kb/init.js';
import { openKbAt, type Kb } from '../../../src/kb/open.js';
import { surroundings, systemClock } from '../../../src/kb/surroundings.js';
import { isContended, readWaits, recordHold, recordRide } from '../../../src/kb/wait-log.js';
import { FailingDisk } from '../../support/failing-disk.js';
import { madeUpProcess } from '../../support/lock-fixtures.js';

const made: string[] = [];
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true });
});

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

async function makeKb(disk: Disk = nodeDisk): Promise<{ kb: Kb; log: string }> {
  const root = mkdtempSync(join(tmpdir(), 'kb-waits-'));
  made.push(root);
  const world = surroundings({ env: { HOME: root, GIT_CONFIG_NOSYSTEM: '1' }, cwd: root });
  const { dir } = await initKb(world, { directory: join(root, 'kb'), branch: 'main' });
  const clock = { ...systemClock, wall: () => NOW };
  const kb = await openKbAt({ ...world, disk, clock, identity: madeUpProcess('ann') }, dir, {});
  kb.objects.close();
  return { kb, log: join(dir, '.git', 'kb', 'waits.jsonl') };
}

const hold = { operation: 'sync', waitedMs: 12.4, heldMs: 99.6, served: 3 };
const kept = {
  kind: 'kept',
  path: 'a.md' as RepoPath,
  commit: 'a'.repeat(40) as Oid,
  change: 'added',
  branch: 'main',
  landed: true,
  batch: 7,
} as const;

describe('the log of waits', () => {
  it('has a line for each hold and each note that was taken along, the oldest first', async () => {
    const { kb } = await makeKb();
    recordHold(kb, hold);
    recordRide(kb, kept, 500.2);
    const common = { at: '2026-01-02T03:04:05.000Z', user: 'ann', pid: 4_000_000 };
    expect(readWaits(kb)).toEqual([
      { ...common, operation: 'sync', waitedMs: 12, heldMs: 100, batch: 3 },
      { ...common, operation: 'note', waitedMs: 500, heldMs: null, batch: 7 },
    ]);
  });

  it('is empty where nothing was ever written', async () => {
    const { kb } = await makeKb();
    expect(readWaits(kb)).toEqual([]);
  });

  it('never grows beyond two files of 256 KiB, and keeps what is newest', async () => {
    const { kb, log } = await makeKb();
    const line = `${JSON.stringify({ operation: 'old' })}\n`;
    const nearlyFull = line.repeat(Math.floor((256 * 1024) / line.length));
    mkdirSync(join(log, '..'), { recursive: true });
    for (let round = 1; round <= 3; round += 1) {
      writeFileSync(log, nearlyFull);
      recordHold(kb, { ...hold, served: round });
      expect(existsSync(log)).toBe(false);
      expect(readWaits(kb).at(-1)?.batch).toBe(round);
      recordHold(kb, { ...hold, served: round + 100 });
      expect(readWaits(kb).at(-1)?.batch).toBe(round + 100);
      expect(readWaits(kb).filter(({ operation }) => operation === 'sync')).toHaveLength(2);
    }
    const files = readdirSync(join(log, '..')).filter((name) => name.startsWith('waits'));
    expect(files.sort()).toEqual(['waits.jsonl', 'waits.jsonl.1']);
    for (const name of files) expect(statSync(join(log, '..', name)).size).toBeLessThan(257 * 1024);
  });

  it('is read as far as it is whole: what is damaged is left out', async () => {
    const { kb, log } = await makeKb();
    recordHold(kb, hold);
    const [line] = readFileSync(log, 'utf8').split('\n');
    writeFileSync(log, `${(line ?? '').slice(5)}\n\n{"torn": tru\n${line ?? ''}\n${(line ?? '').slice(0, 20)}`);
    expect(readWaits(kb)).toHaveLength(1);
  });

  it.each([
    ['a full disk', () => new FailingDisk({ kind: 'full', at: 1 }).disk],
    ['a disk that may only be read', () => new FailingDisk({ kind: 'error', at: 2, errno: 'EACCES' }).disk],
    ['a disk with errors', () => new FailingDisk({ kind: 'error', at: 3, errno: 'EIO' }).disk],
  ])('is left out without a word on %s', async (_what, makeDisk) => {
    const { kb } = await makeKb();
    const failing: Kb = { ...kb, surroundings: { ...kb.surroundings, disk: makeDisk() } };
    expect(() => recordHold(failing, hold)).not.toThrow();
    expect(() => recordRide(failing, kept, 1)).not.toThrow();
  });

  it('is no file: it is left out, too', async () => {
    const { kb, log } = await makeKb();
    mkdirSync(log, { recursive: true });
    expect(() => recordHold(kb, hold)).not.toThrow();
  });

  it('keeps the lines of those who write at the same time whole', async () => {
    const { kb } = await makeKb();
    const calls: unknown[][] = [];
    const writeSync = ((...args: unknown[]) => {
      calls.push(args);
      return (nodeDisk.writeSync as (...all: unknown[]) => number)(...args);
    }) as Disk['writeSync'];
    recordHold({ ...kb, surroundings: { ...kb.surroundings, disk: { ...nodeDisk, writeSync } } }, hold);
    expect(calls).toHaveLength(1);
  });
});

describe('whether a KB has many writers just now', () => {
  const LATELY = 5000;
  const alone = { operation: 'note', waitedMs: 1, heldMs: 90, served: 1 };

  async function afterHolds(holds: readonly (typeof alone)[], ageMs = 0): Promise<boolean> {
    const { kb, log } = await makeKb();
    for (const one of holds) recordHold(kb, one);
    if (holds.length > 0) utimesSync(log, new Date(NOW - ageMs), new Date(NOW - ageMs));
    return isContended(kb, LATELY);
  }

  it('is told by the last record', async () => {
    expect(await afterHolds([])).toBe(false);
    expect(await afterHolds([alone])).toBe(false);
    expect(await afterHolds([alone, { ...alone, waitedMs: 400 }])).toBe(true);
    expect(await afterHolds([alone, { ...alone, served: 2 }])).toBe(true);
    expect(await afterHolds([{ ...alone, served: 2 }, alone])).toBe(false);
    const { kb, log } = await makeKb();
    recordRide(kb, kept, 3);
    utimesSync(log, new Date(NOW), new Date(NOW));
    expect(isContended(kb, LATELY)).toBe(true);
  });

  it('is forgotten after a while, and by a clock that was set back', async () => {
    expect(await afterHolds([{ ...alone, served: 9 }], LATELY - 1)).toBe(true);
    expect(await afterHolds([{ ...alone, served: 9 }], LATELY + 1)).toBe(false);
    expect(await afterHolds([{ ...alone, served: 9 }], -LATELY - 1)).toBe(false);
  });

  it('is not told by a log that is damaged, cut off, or longer than a record', async () => {
    const { kb, log } = await makeKb();
    recordHold(kb, { ...alone, served: 3 });
    writeFileSync(log, readFileSync(log).subarray(0, 40));
    utimesSync(log, new Date(NOW), new Date(NOW));
    expect(isContended(kb, LATELY)).toBe(false);
    writeFileSync(log, `${'x'.repeat(5000)}\n`);
    for (let count = 0; count < 20; count += 1) recordHold(kb, { ...alone, served: 2 });
    utimesSync(log, new Date(NOW), new Date(NOW));
    expect(isContended(kb, LATELY)).toBe(true);
  });
});
