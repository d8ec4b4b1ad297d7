import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { isKbError } from '../../../../src/errors.js';
import type { Kb } from '../../../../src/kb/open.js';
import { parseRateLimit, StartLog } from '../../../../src/kb/run/rate-limit.js';
import { surroundings, systemClock } from '../../../../src/kb/surroundings.js';
import { makeKb, madeUpProcess } from '../../../support/lock-fixtures.js';

describe('parseRateLimit', () => {
  it.each([
    ['5/1h', 5, 3_600_000],
    ['1/500ms', 1, 500],
    [' 10000/90 ', 10_000, 90_000],
  ])('%j', (text, runs, withinMs) => {
    expect(parseRateLimit(text)).toEqual({ runs, withinMs });
  });

  it.each(['', '5', '/1h', '0/1h', '-1/1h', '10001/1h', '5/', '5/soon', '1.5/1h'])('refuses %j', (text) => {
    expect(() => parseRateLimit(text)).toThrow(expect.toSatisfy((error) => isKbError(error, 'E_USAGE')) as Error);
  });
});

describe('StartLog', () => {
  let gitDir: string;
  let nowMs: number;
  beforeEach(() => {
    gitDir = join(makeKb(), '.git');
    nowMs = 1_800_000_000_000;
  });

  function logOf(user = 'ann'): StartLog {
    const world = surroundings({ identity: madeUpProcess(user), clock: { ...systemClock, wall: () => nowMs } });
    return new StartLog({ gitDir, surroundings: world } as unknown as Kb);
  }

  const LIMIT = { runs: 2, withinMs: 1000 };

  /** How long to wait; 0: not at all. */
  function waitOf(log: StartLog, limit = LIMIT): unknown {
    try {
      log.requireRoom(limit);
      return 0;
    } catch (error) {
      return isKbError(error, 'E_LOCK_TIMEOUT') ? error.details['retryAfterMs'] : error;
    }
  }

  it('has room until so many were started, and again when the first of them is old enough', () => {
    const log = logOf();
    log.record(LIMIT);
    nowMs += 400;
    expect(waitOf(log)).toBe(0);
    log.record(LIMIT);
    nowMs += 100;
    expect([waitOf(log), waitOf(log, { runs: 3, withinMs: 1000 })]).toEqual([500, 0]);
    nowMs += 500;
    expect(waitOf(log)).toBe(0);
  });

  it('counts for each user', () => {
    logOf('ann').record({ runs: 1, withinMs: 1000 });
    expect([
      waitOf(logOf('ann'), { runs: 1, withinMs: 1000 }),
      waitOf(logOf('ben'), { runs: 1, withinMs: 1000 }),
    ]).toEqual([1000, 0]);
  });

  it('takes no user name for a path', () => {
    logOf('../../x/.y').record(LIMIT);
    expect(readdirSync(join(gitDir, 'kb/rate'))).toEqual(['user-..%2F..%2Fx%2F.y.json']);
  });

  it('is not blocked by starts in the future: the clock was set back', () => {
    const log = logOf();
    nowMs += 1_000_000;
    log.record(LIMIT);
    log.record(LIMIT);
    nowMs -= 1_000_000;
    expect(waitOf(log)).toBe(0);
  });

  it.each([
    '',
    '{',
    '[]',
    '{"version":2,"starts":[1]}',
    '{"version":1,"starts":"x"}',
    '{"version":1,"starts":[null,"x"]}',
  ])('starts anew when the file holds %j', (content) => {
    const file = join(gitDir, 'kb/rate/user-ann.json');
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    const log = logOf();
    expect(waitOf(log)).toBe(0);
    log.record(LIMIT);
    log.record(LIMIT);
    expect(waitOf(log)).toBe(1000);
  });

  it('keeps no more starts than a limit can ask for', () => {
    const log = logOf();
    for (let start = 0; start < 150; start += 1) log.record(LIMIT);
    const { starts } = JSON.parse(readFileSync(join(gitDir, 'kb/rate/user-ann.json'), 'utf8')) as { starts: number[] };
    expect(starts).toHaveLength(100);
  });
});
