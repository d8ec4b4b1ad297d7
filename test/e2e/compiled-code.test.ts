import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { kbOk } from '../support/kb.js';
import { makeTemporaryDirectory } from '../support/native-git.js';

/*
 * bin/run.js keeps what V8 compiled. Invariant: what is damaged is never run, whatever is damaged of it. (V8 itself does
 * not look: of twenty flipped bits it finds one.)
 */

describe('the compiled code that is kept', () => {
  let place: string;
  let env: Record<string, string>;
  let folder: string;

  beforeEach(async () => {
    place = makeTemporaryDirectory();
    env = { HOME: place, XDG_CACHE_HOME: join(place, 'cache') };
    mkdirSync(join(place, 'cache'));
    folder = join(place, 'cache/kb/compiled');
    await kbOk(place, ['init', 'kb'], { env });
    await write();
  });

  let notes = 0;
  const write = async (): Promise<void> => {
    notes += 1;
    await kbOk(join(place, 'kb'), ['note', 'x', '--path', `${notes}.md`], { env });
  };
  const kept = (): string[] => readdirSync(folder).filter((name) => name.includes('-note-'));

  it('is one file for each program that the command consists of', () => {
    expect(kept().map((name) => /-note-(\w+)\.bin$/.exec(name)?.[1])).toEqual(['ask', 'note']);
  });

  it.each(['ask', 'note'])('is made anew where one bit of %s has changed, wherever it is', async (program) => {
    const file = join(folder, kept().find((name) => name.endsWith(`-${program}.bin`)) ?? '');
    for (const part of [0, 0.001, 0.25, 0.499, 0.5, 0.75, 0.9999]) {
      const bytes = readFileSync(file);
      const at = Math.floor(bytes.length * part);
      bytes[at] = (bytes[at] ?? 0) ^ 0x10;
      writeFileSync(file, bytes);
      await write();
      const after = readFileSync(file);
      expect(after.subarray(0, after.length / 2).equals(after.subarray(after.length / 2))).toBe(true);
    }
  });

  it.each([0, 1, 7, 8, 4096, 100_001])('is made anew where only %i bytes of it are left', async (length) => {
    const file = join(folder, kept()[1] ?? '');
    const { length: whole } = readFileSync(file);
    truncateSync(file, length);
    await write();
    expect(readFileSync(file).length).toBeGreaterThan(whole / 2);
  });

  it('is kept in a folder for caches that is not there yet, which is made for nobody else', async () => {
    const cache = join(place, 'not/yet');
    env = { HOME: place, XDG_CACHE_HOME: cache };
    await write();
    expect(readdirSync(join(cache, 'kb/compiled'))).not.toEqual([]);
    expect(statSync(cache).mode & 0o777).toBe(0o700);
  });

  it('makes no home', async () => {
    const home = join(place, 'nobody');
    env = { HOME: home };
    await write();
    expect(existsSync(home)).toBe(false);
  });

  it('is not looked for where nothing is kept: the command runs all the same', async () => {
    env = { HOME: place, XDG_CACHE_HOME: '/dev/null' };
    await write();
  });
});
