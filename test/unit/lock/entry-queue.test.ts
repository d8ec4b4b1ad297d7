import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../src/disk/disk.js';
import { ENTRY_LIMIT, EntryQueue, type QueuedEntry } from '../../../src/lock/entry-queue.js';
import type { PlaceName } from '../../../src/lock/lock.js';
import { FailingDisk, Killed } from '../../support/failing-disk.js';

const made: string[] = [];
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true });
});

const ME = '10.1.aaaaaaaaaaaaaaaa';
const place = (number: number, id = 'a'): PlaceName =>
  `${String(number).padStart(9, '0')}_${id.repeat(32)}` as PlaceName;
const HOLDER = 'b'.repeat(32);
const OTHER = 'c'.repeat(32);

function makeQueue(disk = nodeDisk): { queue: EntryQueue; directory: string } {
  const root = mkdtempSync(join(tmpdir(), 'kb-queue-'));
  made.push(root);
  mkdirSync(join(root, '.git'));
  const directory = join(root, '.git', 'kb', 'queue');
  return { queue: new EntryQueue(disk, directory, ME), directory };
}

function only(entries: readonly QueuedEntry[]): QueuedEntry {
  expect(entries).toHaveLength(1);
  return entries[0] as QueuedEntry;
}

describe('an entry', () => {
  it('is waiting, then claimed, then gone, and each name says so', () => {
    const { queue } = makeQueue();
    queue.enqueue(place(1), Buffer.from('text'));
    expect(queue.stateOf(place(1))).toBe('waiting');
    const claimed = queue.claim(only(queue.look().waiting), HOLDER);
    expect(claimed).toMatchObject({ place: place(1), claimer: HOLDER });
    expect(queue.look()).toMatchObject({ waiting: [], claimed: [{ claimer: HOLDER }] });
    expect(queue.stateOf(place(1))).toBe('claimed');
    expect(queue.read(claimed as QueuedEntry)?.toString()).toBe('text');
    expect(queue.remove(claimed as QueuedEntry)).toBe(true);
    expect(queue.stateOf(place(1))).toBe('settled');
  });

  it('is served in the order of places', () => {
    const { queue } = makeQueue();
    for (const number of [10, 2, 1]) queue.enqueue(place(number), Buffer.from(String(number)));
    expect(queue.look().waiting.map((entry) => queue.read(entry)?.toString())).toEqual(['1', '2', '10']);
  });

  it('can be withdrawn as long as nobody has claimed it', () => {
    const { queue } = makeQueue();
    queue.enqueue(place(1), Buffer.from(''));
    const entry = only(queue.look().waiting);
    expect(queue.withdraw(place(1))).toBe(true);
    expect(queue.claim(entry, HOLDER)).toBeUndefined();

    queue.enqueue(place(2), Buffer.from(''));
    expect(queue.claim(only(queue.look().waiting), HOLDER)).toBeDefined();
    expect(queue.withdraw(place(2))).toBe(false);
  });

  it('goes back into the queue when its holder releases it', () => {
    const { queue } = makeQueue();
    queue.enqueue(place(1), Buffer.from(''));
    queue.release(queue.claim(only(queue.look().waiting), HOLDER) as QueuedEntry);
    expect(queue.stateOf(place(1))).toBe('waiting');
    expect(queue.withdraw(place(1))).toBe(true);
  });

  it('belongs to one of two holders: the one whose lock was taken away can remove it no more', () => {
    const { queue } = makeQueue();
    queue.enqueue(place(1), Buffer.from(''));
    const before = queue.claim(only(queue.look().waiting), HOLDER) as QueuedEntry;
    const after = queue.claim(only(queue.look().claimed), OTHER) as QueuedEntry;
    expect(queue.remove(before)).toBe(false);
    queue.release(before);
    expect(queue.stateOf(place(1))).toBe('claimed');
    expect(queue.remove(after)).toBe(true);
  });

  it('is whole or not there, wherever its writer is killed', () => {
    for (let at = 1, isDone = false; !isDone; at += 1) {
      const { directory } = makeQueue();
      mkdirSync(directory, { recursive: true });
      const failing = new FailingDisk({ kind: 'kill', at, torn: true });
      try {
        new EntryQueue(failing.disk, directory, ME).enqueue(place(1), Buffer.from('whole'));
        isDone = true;
      } catch (error) {
        expect(error).toBeInstanceOf(Killed);
      }
      const queue = new EntryQueue(nodeDisk, directory, ME);
      for (const entry of queue.look().waiting) expect(queue.read(entry)?.toString()).toBe('whole');
      queue.sweep((word) => word === ME, 0);
      expect(readdirSync(directory).filter((name) => !name.endsWith('.entry'))).toEqual([]);
    }
  });

  it('that cannot be written leaves nothing', () => {
    const { directory } = makeQueue();
    mkdirSync(directory, { recursive: true });
    const full = new FailingDisk({ kind: 'full', at: 2 });
    expect(() => new EntryQueue(full.disk, directory, ME).enqueue(place(1), Buffer.from('x'))).toThrow('ENOSPC');
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('files that are nobody’s', () => {
  it.each(['note.txt', '1_a.entry', `${place(1)}.claimed`, `${place(1)}.short.claimed`, 'x.plan', 'x.acks', '..entry'])(
    'named %s are not looked at and not removed',
    (name) => {
      const { queue, directory } = makeQueue();
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, name), 'x');
      expect(queue.look()).toEqual({ waiting: [], claimed: [], plans: [], acks: [], hasTemporaries: false });
      queue.sweep(() => true, Number.MAX_SAFE_INTEGER);
      expect(existsSync(join(directory, name))).toBe(true);
    },
  );

  it('are not read when they are links, folders or too large', () => {
    const { queue, directory } = makeQueue();
    mkdirSync(join(directory, `${place(1)}.entry`), { recursive: true });
    symlinkSync('/etc/hostname', join(directory, `${place(2)}.entry`));
    writeFileSync(join(directory, `${place(3)}.entry`), '');
    truncateSync(join(directory, `${place(3)}.entry`), ENTRY_LIMIT + 1);
    expect(queue.look().waiting.map((entry) => queue.read(entry))).toEqual([undefined, undefined, undefined]);
  });
});

describe('acks', () => {
  const ack = (waiter: string, value: unknown = 'done'): { waiter: string; value: unknown } => ({ waiter, value });

  it('are found by the place of their entry, in whichever file', () => {
    const { queue } = makeQueue();
    queue.acknowledge(HOLDER, new Map([[place(1), ack(ME, 1)]]));
    queue.acknowledge(HOLDER, new Map([[place(2), ack(ME, { two: 2 })]]));
    expect(queue.findAck(place(1))?.value).toBe(1);
    expect(queue.findAck(place(2))?.value).toEqual({ two: 2 });
    expect(queue.findAck(place(3))).toBeUndefined();
    expect(queue.acknowledged()).toEqual(new Set([place(1), place(2)]));
  });

  it('are kept while one of their waiters may live, or for a day where that is not known', () => {
    const { queue } = makeQueue();
    const isKept = (): boolean => queue.acknowledged().has(place(7));
    const acks = new Map([
      [place(7), ack('dead')],
      [place(8), ack('alive')],
    ]);
    queue.acknowledge(HOLDER, acks);
    const now = Date.now();
    queue.sweep((word) => word === 'dead', now);
    expect(isKept()).toBe(true);
    queue.sweep((word) => word === 'dead', now - 3_600_000); // the clock was set back
    expect(isKept()).toBe(true);
    queue.sweep((word) => word === 'dead', now + 25 * 3_600_000);
    expect(isKept()).toBe(false);
    queue.acknowledge(HOLDER, new Map([[place(7), ack('dead')]]));
    queue.sweep((word) => word === 'dead', now);
    expect(queue.look().acks).toEqual([]);
  });

  it('are not kept for a living process that has read them', () => {
    const { queue } = makeQueue();
    queue.acknowledge(HOLDER, new Map([[place(3), ack('alive')]]));
    queue.sweep(() => false, Date.now());
    expect(queue.findAck(place(3))).toBeDefined();
    queue.sweep(() => false, Date.now());
    expect(queue.look().acks).toEqual([]);
  });

  it.each(['', '{', 'null', '{"acks":null}', '{"acks":{"x":1}}', '[]'])('damaged as %j answer nobody', (text) => {
    const { queue, directory } = makeQueue();
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `${HOLDER}_00000000.acks`), text);
    expect(queue.findAck(place(1))).toBeUndefined();
    expect(queue.acknowledged().has(place(1))).toBe(false);
  });
});

describe('plans', () => {
  it('are one a holder, and replaced whole', () => {
    const { queue } = makeQueue();
    queue.writePlan(HOLDER, 'one');
    queue.writePlan(HOLDER, 'two');
    queue.writePlan(OTHER, 'other');
    expect([...queue.look().plans].sort()).toEqual([HOLDER, OTHER]);
    expect(queue.readPlan(HOLDER)?.toString()).toBe('two');
    queue.removePlan(HOLDER);
    queue.removePlan(HOLDER);
    expect(queue.look().plans).toEqual([OTHER]);
  });
});
