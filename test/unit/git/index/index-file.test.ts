import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../../src/disk/disk.js';
import { isKbError } from '../../../../src/errors.js';
import type { Oid } from '../../../../src/git/ids.js';
import { GitIndex, IndexLock, updateIndex, type NewEntry } from '../../../../src/git/index/index-file.js';
import type { RepoPath } from '../../../../src/git/paths.js';

const STAT = {
  ctimeNs: 1_600_000_000_000_000_007n,
  mtimeNs: 1_600_000_000_123_456_789n,
  dev: 1,
  ino: 2,
  uid: 3,
  gid: 4,
  size: 5,
};
const entry = (digit: string, more: Partial<NewEntry> = {}): NewEntry => ({
  mode: 0o100644,
  oid: digit.repeat(40) as Oid,
  stat: STAT,
  ...more,
});
const changes = (record: Record<string, NewEntry | null>): Map<RepoPath, NewEntry | null> =>
  new Map(Object.entries(record)) as unknown as Map<RepoPath, NewEntry | null>;

let gitDir: string;
const indexPath = (): string => join(gitDir, 'index');

beforeEach(() => {
  gitDir = mkdtempSync(join(tmpdir(), 'kb-test-'));
});
afterEach(() => rmSync(gitDir, { recursive: true, force: true }));

function update(record: Record<string, NewEntry | null>, disk: Disk = nodeDisk): void {
  updateIndex(disk, gitDir, () => ({ changes: changes(record) }));
}

function listed(): string[] {
  return [...GitIndex.read(nodeDisk, gitDir).entries()].map((item) => `${item.path} ${item.oid[0] ?? ''}`);
}

/** Writes the checksum anew, as a program that made the damage on purpose would. */
function seal(bytes: Buffer): Buffer {
  const end = bytes.length - 20;
  createHash('sha1').update(bytes.subarray(0, end)).digest().copy(bytes, end);
  return bytes;
}

describe('a new index', () => {
  it('is empty where there is no file', () => {
    const index = GitIndex.read(nodeDisk, gitDir);
    expect([
      index.entryCount,
      index.cachedRootTree,
      index.get('a' as RepoPath),
      index.hasUnder('' as RepoPath),
      index.unmergedPaths(),
    ]).toEqual([0, undefined, undefined, false, []]);
  });

  it('holds what was put in, in order of bytes', () => {
    update({
      'b/c': entry('2'),
      a: entry('1'),
      'b.md': entry('3'),
      'b-': entry('4'),
      '\u{1f600}': entry('5'),
      '\uffee': entry('6'),
    });
    expect(listed()).toEqual(['a 1', 'b- 4', 'b.md 3', 'b/c 2', '\uffee 6', '\u{1f600} 5']);
    expect(GitIndex.read(nodeDisk, gitDir).get('b.md' as RepoPath)).toMatchObject({
      mode: 0o100644,
      stage: 0,
      stat: STAT,
      assumeValid: false,
      skipWorktree: false,
      intentToAdd: false,
    });
  });

  it.each([
    [
      'over 32 bits',
      { ...STAT, dev: 2 ** 40 + 1, ino: 2 ** 52 + 2, size: 2 ** 33 + 9 },
      { ...STAT, dev: 1, ino: 2, size: 9 },
    ],
    ['before 1970', { ...STAT, mtimeNs: -1n }, { ...STAT, mtimeNs: 0xffff_ffffn * 1_000_000_000n + 999_999_999n }],
  ])('stores a stat in 32 bits and knows it again: %s', (_what, given, stored) => {
    update({ a: entry('1', { stat: given }) });
    const index = GitIndex.read(nodeDisk, gitDir);
    const read = index.get('a' as RepoPath);
    expect(read?.stat).toEqual(stored);
    const isPast = given.mtimeNs > 0n;
    expect(read && index.isUnchanged(read, given, { ctime: true, fileMode: true })).toBe(isPast);
  });
});

describe('the lock', () => {
  it('names the file when somebody else holds it, waits no longer than told, and never removes it', () => {
    writeFileSync(join(gitDir, 'index.lock'), '');
    let now = 0;
    const timing = { now: () => now, random: () => 1, sleep: (ms: number) => void (now += ms) };
    expect(() => IndexLock.acquire(nodeDisk, gitDir, { lockWaitMs: 250, timing })).toThrow(
      expect.objectContaining({
        code: 'E_UNSAFE_STATE',
        retryable: true,
        message: expect.stringContaining('index.lock') as string,
      }),
    );
    expect(now).toBe(250);
    expect(existsSync(join(gitDir, 'index.lock'))).toBe(true);
  });

  it('is taken as soon as it is free', () => {
    writeFileSync(join(gitDir, 'index.lock'), '');
    const timing = { now: () => 0, random: () => 0, sleep: () => rmSync(join(gitDir, 'index.lock')) };
    IndexLock.acquire(nodeDisk, gitDir, { timing }).release();
    expect(readdirSync(gitDir)).toEqual([]);
  });

  it.each([
    [
      'work that throws',
      () =>
        updateIndex(nodeDisk, gitDir, () => {
          throw new Error('stop');
        }),
    ],
    [
      'a fence that throws',
      () =>
        updateIndex(nodeDisk, gitDir, () => ({ changes: changes({ z: entry('9') }) }), {
          fence: () => {
            throw new Error('stop');
          },
        }),
    ],
  ])('is given back and the index is as it was after %s', (_what, act) => {
    update({ a: entry('1') });
    const before = readFileSync(indexPath());
    expect(act).toThrow('stop');
    expect(readFileSync(indexPath())).toEqual(before);
    expect(readdirSync(gitDir)).toEqual(['index']);
  });

  it.each([undefined, { changes: changes({}) }])(
    'is given back without a write when there is nothing to change',
    (result) => {
      update({ a: entry('1') });
      const before = readFileSync(indexPath());
      updateIndex(nodeDisk, gitDir, () => result);
      expect(readFileSync(indexPath())).toEqual(before);
      expect(readdirSync(gitDir)).toEqual(['index']);
    },
  );
});

describe('a disk that fails', () => {
  /** Fails the given call and, when the process is killed there, all after it. */
  function failingDisk(at: number, killed: boolean): { disk: Disk; calls: () => number } {
    let calls = 0;
    const disk = new Proxy(nodeDisk, {
      get(target, name) {
        const original = Reflect.get(target, name) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => {
          calls += 1;
          if (calls === at || (killed && calls > at)) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
          return original.apply(target, args);
        };
      },
    });
    return { disk, calls: () => calls };
  }

  it.each([false, true])('at any step leaves the old index or the new one (killed there: %s)', (killed) => {
    let steps = 0;
    for (let at = 1; ; at += 1) {
      rmSync(gitDir, { recursive: true });
      gitDir = mkdtempSync(join(tmpdir(), 'kb-test-'));
      update({ a: entry('1') });
      const { disk, calls } = failingDisk(at, killed);
      let failed = false;
      try {
        update({ b: entry('2') }, disk);
      } catch (error) {
        failed = true;
        if (!killed) expect(isKbError(error, 'E_STORAGE')).toBe(true);
      }
      expect([['a 1'], ['a 1', 'b 2']]).toContainEqual(listed());
      if (!failed) expect(listed()).toEqual(['a 1', 'b 2']);
      // A killed process leaves its lock; one that goes on cleans up, except where the removal itself failed.
      if (!killed && at < calls()) expect(existsSync(join(gitDir, 'index.lock'))).toBe(false);
      if (calls() < at) break;
      steps = at;
    }
    expect(steps).toBeGreaterThan(8);
  });
});

describe('a damaged index', () => {
  const sample = (): Buffer => {
    update({ 'a/b': entry('1'), 'a/c': entry('2'), z: entry('3') });
    return readFileSync(indexPath());
  };

  it('cut off anywhere is E_CORRUPT', () => {
    const whole = sample();
    for (let length = 0; length < whole.length; length += 1) {
      writeFileSync(indexPath(), seal(Buffer.from(whole.subarray(0, Math.max(length, 20)))));
      expect(() => GitIndex.read(nodeDisk, gitDir), `${String(length)} bytes`).toThrow(
        expect.objectContaining({ code: 'E_CORRUPT' }),
      );
    }
  });

  it('with any bit changed is never written back with a right checksum', () => {
    const whole = sample();
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 7 }), (at, bit) => {
        const bytes = Buffer.from(whole);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        writeFileSync(indexPath(), bytes);
        expect(() => update({ new: entry('4') })).toThrow(
          expect.objectContaining({ code: expect.stringMatching(/^E_(CORRUPT|UNSAFE_STATE)$/) as string }),
        );
        expect(readFileSync(indexPath())).toEqual(bytes);
      }),
      { numRuns: 300 },
    );
    expect(readdirSync(gitDir)).toEqual(['index']);
  });

  it('with any two neighbours exchanged is E_CORRUPT, wherever their names begin to differ', () => {
    const name = fc
      .array(fc.constantFrom('a', 'b', 'z', '-', '.', 'ä'), { minLength: 1, maxLength: 14 })
      .map((letters) => `folder-${letters.join('')}`);
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 2, maxLength: 6 }), fc.nat(), fc.nat(1), (names, where, kept) => {
        rmSync(gitDir, { recursive: true });
        gitDir = mkdtempSync(join(tmpdir(), 'kb-test-'));
        update(
          Object.fromEntries(names.map((path, at) => [path, entry('1', { skipWorktree: kept === 1 && at % 2 === 0 })])),
        );
        expect(listed()).toHaveLength(names.length);
        const bytes = readFileSync(indexPath());
        const starts = [12];
        for (const at of starts) {
          if (starts.length > names.length) break;
          const fixed = ((bytes[at + 60] ?? 0) & 0x40) === 0 ? 62 : 64;
          starts.push(at + ((fixed + (bytes.readUInt16BE(at + 60) & 0xfff) + 8) & ~7));
        }
        const [a = 0, b = 0, end = 0] = starts.slice(where % (names.length - 1));
        const swapped = [bytes.subarray(0, a), bytes.subarray(b, end), bytes.subarray(a, b), bytes.subarray(end)];
        writeFileSync(indexPath(), seal(Buffer.concat(swapped)));
        expect(() => GitIndex.read(nodeDisk, gitDir)).toThrow('out of order');
      }),
    );
  });

  it('with random bytes inside and a right checksum ends in a typed error or a reading, never otherwise', () => {
    const whole = sample();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 21), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (edits) => {
          const bytes = Buffer.from(whole);
          for (const [at, value] of edits) bytes[at] = value;
          writeFileSync(indexPath(), seal(bytes));
          try {
            for (const item of GitIndex.read(nodeDisk, gitDir).entries())
              expect(item.oid + item.path + String(item.stat.mtimeNs)).toBeTruthy();
          } catch (error) {
            expect(isKbError(error, 'E_CORRUPT') || isKbError(error, 'E_UNSAFE_STATE')).toBe(true);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it.each([
    ['out of order', (bytes: Buffer) => bytes.write('b/b', 12 + 62, 'latin1')],
    ['a name twice', (bytes: Buffer) => bytes.write('a/c', 12 + 62, 'latin1')],
    ['a huge count', (bytes: Buffer) => bytes.writeUInt32BE(0xffff_ffff, 8)],
  ])('%s is E_CORRUPT', (_what, damage) => {
    const bytes = sample();
    damage(bytes);
    writeFileSync(indexPath(), seal(bytes));
    expect(() => GitIndex.read(nodeDisk, gitDir)).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });

  it.each([
    ['a version of the future', (bytes: Buffer) => bytes.writeUInt32BE(5, 4)],
    ['a mandatory extension', (bytes: Buffer) => bytes.write('abcd', bytes.length - 28, 'latin1')],
  ])('%s is refused as E_UNSAFE_STATE', (_what, damage) => {
    const extended = Buffer.concat([sample().subarray(0, -20), Buffer.from('ABCD\0\0\0\0'), Buffer.alloc(20)]);
    damage(extended);
    writeFileSync(indexPath(), seal(extended));
    expect(() => GitIndex.read(nodeDisk, gitDir)).toThrow(expect.objectContaining({ code: 'E_UNSAFE_STATE' }));
  });

  it('an unknown optional extension is read over, and dropped by a change', () => {
    const extended = Buffer.concat([sample().subarray(0, -20), Buffer.from('ABCD\0\0\0\x01x'), Buffer.alloc(20)]);
    writeFileSync(indexPath(), seal(extended));
    update({ b: entry('4') });
    expect(listed()).toEqual(['a/b 1', 'a/c 2', 'b 4', 'z 3']);
    expect(readFileSync(indexPath()).includes('ABCD')).toBe(false);
  });
});
