import { describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { currentProcess, type ProcessIdentity } from '../../../src/lock/owner.js';
import { deadWordProbe, processWord } from '../../../src/lock/process-word.js';
import { madeUpProcess } from '../../support/lock-fixtures.js';

const me = madeUpProcess('ann');
const isLinux = process.platform === 'linux';

/** A /proc on which exactly these processes run, by pid, with their start times. */
function procWith(running: Readonly<Record<number, string>>): Disk {
  const readFileSync = ((path: string) => {
    if (path === '/proc/self/mountinfo') return '22 1 0:20 / /proc rw - proc proc rw';
    const startTime = running[Number(/^\/proc\/(\d+)\/stat$/.exec(path)?.[1])];
    if (startTime === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    return `1 (kb) S ${'0 '.repeat(18)}${startTime} 0`;
  }) as typeof nodeDisk.readFileSync;
  return { ...nodeDisk, readFileSync };
}

describe('processWord', () => {
  it('is a short file name without the separator of marks', () => {
    for (const identity of [me, currentProcess(nodeDisk), { ...me, host: 'a/b~c d', bootId: '~', startTime: '' }]) {
      expect(processWord(identity)).toMatch(/^[1-9]\d*\.(\d+|-)\.[0-9a-f]{16}$/);
    }
  });

  it.each<[string, Partial<ProcessIdentity>, boolean]>([
    ['pid', { pid: 7 }, false],
    ['start time', { startTime: '9' }, false],
    ['host', { host: 'other' }, false],
    ['boot', { bootId: 'other' }, false],
    ['pid namespace', { pidNamespace: 'other' }, false],
    ['user', { user: 'bob' }, true],
  ])('with another %s', (_what, change, isSame) => {
    expect(processWord({ ...me, ...change }) === processWord(me)).toBe(isSame);
  });

  it('does not mix up where one part ends and the next begins', () => {
    expect(processWord({ ...me, host: 'ab', bootId: 'c' })).not.toBe(processWord({ ...me, host: 'a', bootId: 'bc' }));
  });
});

describe.skipIf(!isLinux)('deadWordProbe (needs the Linux probe)', () => {
  const word = (over: Partial<ProcessIdentity> = {}): string =>
    processWord({ ...me, pid: 77, startTime: '5', ...over });

  it.each<[string, Record<number, string>, string, boolean]>([
    ['runs', { 77: '5' }, word(), false],
    ['is gone', {}, word(), true],
    ['has left its pid to another', { 77: '6' }, word(), true],
    ['has no start time, its pid is in use', { 77: '6' }, word({ startTime: '' }), false],
    ['has no start time, its pid is free', {}, word({ startTime: '' }), true],
    ['is of another host', {}, word({ host: 'other' }), false],
    ['is of another boot', {}, word({ bootId: 'other' }), false],
    ['is of another pid namespace', {}, word({ pidNamespace: 'other' }), false],
  ])('a process that %s', (_what, running, name, isDead) => {
    expect(deadWordProbe(procWith(running), me)(name)).toBe(isDead);
  });

  it.each([
    '',
    '.',
    '..',
    'dead',
    '77',
    '77.5',
    `0.5.${word().slice(-16)}`,
    `-1.5.${word().slice(-16)}`,
    `${word()}x`,
    ` ${word()}`,
    `77.5.${'0'.repeat(16)}`,
    `99999999999.5.${word().slice(-16)}`,
  ])('says nothing of %j', (name) => {
    expect(deadWordProbe(procWith({}), me)(name)).toBe(false);
  });

  it('knows this very process, and one that had its pid before', () => {
    const self = currentProcess(nodeDisk);
    const probe = deadWordProbe(nodeDisk, self);
    expect([probe(processWord(self)), probe(processWord({ ...self, startTime: '1' }))]).toEqual([false, true]);
  });
});
