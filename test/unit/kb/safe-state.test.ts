import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../src/disk/disk.js';
import type { Kb } from '../../../src/kb/open.js';
import { requireFreeIndex } from '../../../src/kb/safe-state.js';
import { makeTemporaryDirectory } from '../../support/native-git.js';

describe("native git's lock on the index", () => {
  let gitDir: string;
  let now: number;
  const lock = (): string => join(gitDir, 'index.lock');
  const kb = (): Kb => ({ gitDir, surroundings: { disk: nodeDisk } }) as Kb;
  /** @param afterMs when whoever holds the lock gives it back */
  const timing = (afterMs = Infinity): Parameters<typeof requireFreeIndex>[1] => ({
    now: () => now,
    sleep: (ms) => {
      now += ms;
      if (now >= afterMs) rmSync(lock(), { force: true });
    },
  });

  beforeEach(() => {
    gitDir = makeTemporaryDirectory();
    now = 5000;
  });

  it('is not waited for where nobody has it', () => {
    requireFreeIndex(kb(), timing());
    expect(now).toBe(5000);
  });

  it('is waited for while a git status of an editor has it', () => {
    writeFileSync(lock(), '');
    requireFreeIndex(kb(), timing(5400));
    expect(now).toBeLessThan(5500);
  });

  it('ends the command where it is held for longer, and is left', () => {
    writeFileSync(lock(), '');
    expect(() => requireFreeIndex(kb(), timing())).toThrow('another git process holds');
    expect(now).toBeGreaterThanOrEqual(6000);
    expect(now).toBeLessThan(6100);
    expect(existsSync(lock())).toBe(true);
  });
});
