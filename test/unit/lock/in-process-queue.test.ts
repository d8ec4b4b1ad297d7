import { statSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InProcessQueue, type Turn } from '../../../src/lock/in-process-queue.js';
import { LOCK_NAME, takeLockAway, withLock } from '../../../src/lock/lock.js';
import { makeKb } from '../../support/lock-fixtures.js';

const KB = '/kb';

/** Whether the promise has resolved by the time that everything under way is done. */
async function hasResolved(promise: Promise<void>): Promise<boolean> {
  let isDone = false;
  void promise.then(() => (isDone = true));
  await new Promise(setImmediate);
  return isDone;
}

function places(turns: readonly Turn[]): number[] {
  return turns.map((turn) => turn.place());
}

function come(turns: readonly Turn[]): boolean[] {
  return turns.map((turn) => turn.hasCome());
}

describe('two holders of one process, one after the other', () => {
  it('do not stop each other’s heartbeat', async () => {
    const directory = makeKb();
    const waiter = { enqueue: () => undefined, answer: () => undefined };
    const hold = (operation: string, body: () => Promise<void>): Promise<void> =>
      withLock({ directory, operation, timeoutMs: 60_000 }, body, { heartbeatMs: 1000 }, waiter);
    let endFirst!: () => void;
    const end = new Promise<void>((resolve) => (endFirst = resolve));
    let first: Promise<void> | undefined;
    await new Promise<void>((hasStarted) => {
      first = hold('first', async () => {
        hasStarted();
        await end;
      });
    });
    const second = hold('second', async () => {
      endFirst();
      await first;
      const beatOf = (): number => statSync(join(directory, LOCK_NAME)).mtimeMs;
      const before = beatOf();
      for (let waited = 0; waited < 5000 && beatOf() === before; waited += 50)
        await new Promise((resolve) => setTimeout(resolve, 50));
      expect(beatOf()).not.toBe(before);
    });
    takeLockAway(directory, undefined);
    await second;
  });
});

describe('callers of one process', () => {
  it('that go alone take turns, first come, first served', async () => {
    const queue = new InProcessQueue();
    const turns = [1, 2, 3].map(() => queue.join(KB, false));
    const [first, second, third] = turns as [Turn, Turn, Turn];
    expect([places(turns), come(turns)]).toEqual([
      [1, 2, 3],
      [true, false, false],
    ]);
    expect(await hasResolved(second.came)).toBe(false);
    first.leave();
    expect(await hasResolved(second.came)).toBe(true);
    expect(come([second, third])).toEqual([true, false]);
  });

  it('that share a turn go on together, up to the first that goes alone', () => {
    const queue = new InProcessQueue();
    const turns = [true, true, false, true].map((isShared) => queue.join(KB, isShared));
    expect(come(turns)).toEqual([true, true, false, false]);
    turns[0]?.leave();
    expect(come(turns.slice(1))).toEqual([true, false, false]);
    turns[1]?.leave();
    expect(come(turns.slice(2))).toEqual([true, false]);
    turns[2]?.leave();
    expect(come(turns.slice(3))).toEqual([true]);
  });

  it('of different KBs do not wait for each other', () => {
    const queue = new InProcessQueue();
    expect(come(['/one', '/two'].map((kb) => queue.join(kb, false)))).toEqual([true, true]);
  });

  it('that give up before their turn let those behind them move up', () => {
    const queue = new InProcessQueue();
    const turns = [1, 2, 3].map(() => queue.join(KB, false));
    turns[1]?.leave();
    expect(places([turns[0] as Turn, turns[2] as Turn])).toEqual([1, 2]);
    turns[0]?.leave();
    expect(turns[2]?.hasCome()).toBe(true);
  });

  it('start anew when all have left', () => {
    const queue = new InProcessQueue();
    queue.join(KB, false).leave();
    expect(queue.join(KB, false).hasCome()).toBe(true);
  });

  it('keep to the rule whatever the order in which they come and leave', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('join' as const), isShared: fc.boolean() }),
      fc.record({ kind: fc.constant('leave' as const), which: fc.nat(9) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const queue = new InProcessQueue();
        const line: { turn: Turn; isShared: boolean }[] = [];
        for (const action of steps) {
          if (action.kind === 'join') line.push({ turn: queue.join(KB, action.isShared), isShared: action.isShared });
          else line.splice(action.which % Math.max(1, line.length), 1)[0]?.turn.leave();
          const firstAlone = line.findIndex(({ isShared }) => !isShared);
          const wanted = line.map((_, at) => at === 0 || firstAlone < 0 || at < firstAlone);
          const turns = line.map(({ turn }) => turn);
          expect(come(turns)).toEqual(wanted);
          expect(places(turns)).toEqual(line.map((_, at) => at + 1));
          const started = await Promise.all(turns.map((turn) => hasResolved(turn.came)));
          wanted.forEach((isTurn, at) => expect(started[at]).toBe(isTurn));
        }
      }),
    );
  });
});
