import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { LockFile } from '../../../src/disk/lock-file.js';
import { lockFilesIn, lockMarksOf, sweepDeadLocks, type LockMarks } from '../../../src/disk/lock-marks.js';
import { FailingDisk, Killed } from '../../support/failing-disk.js';
import { watchedDisk } from '../../support/lock-fixtures.js';

let gitDir: string;
let dead: LockMarks;
let alive: LockMarks;

const isDead = (word: string): boolean => word === 'dead';

beforeEach(() => {
  gitDir = mkdtempSync(join(tmpdir(), 'kb-marks-'));
  for (const folder of ['refs/heads/team', 'refs/remotes/origin', 'objects', 'logs/refs']) {
    mkdirSync(join(gitDir, folder), { recursive: true });
  }
  dead = lockMarksOf(gitDir, () => 'dead');
  alive = lockMarksOf(gitDir, () => 'alive');
});

afterEach(() => rmSync(gitDir, { recursive: true }));

function at(name: string): string {
  return join(gitDir, name);
}

function marks(): string[] {
  return existsSync(dead.directory) ? readdirSync(dead.directory) : [];
}

/** The lock of a process that is killed while it holds it. */
function abandon(target: string, by: LockMarks): void {
  LockFile.acquire(nodeDisk, at(target), { marks: by, waitMs: 0 }).close(false);
}

describe('a lock file with a mark', () => {
  it('is one file under two names while it is held', () => {
    const lock = LockFile.acquire(nodeDisk, at('index'), { marks: alive });
    const [mark = ''] = marks();
    expect(mark).toMatch(/^alive~[0-9a-f]{16}$/);
    expect(statSync(join(alive.directory, mark)).ino).toBe(statSync(at('index.lock')).ino);
    lock.release();
  });

  it.each(['commit', 'release'] as const)('leaves neither behind after %s', (end) => {
    const lock = LockFile.acquire(nodeDisk, at('index'), { marks: alive });
    lock.write(Buffer.from('new'));
    lock[end]();
    expect([existsSync(at('index.lock')), marks()]).toEqual([false, []]);
    expect(existsSync(at('index'))).toBe(end === 'commit');
  });

  it('leaves no mark when somebody else holds the lock', () => {
    writeFileSync(at('index.lock'), '');
    expect(() => LockFile.acquire(nodeDisk, at('index'), { marks: alive, waitMs: 0 })).toThrow(/another git command/);
    expect(marks()).toEqual([]);
  });

  it('at no moment of its life is there a lock file without a mark', () => {
    const lone: string[] = [];
    const disk = watchedDisk((call, path) => {
      if (existsSync(at('index.lock')) && marks().length === 0) lone.push(`${call} ${String(path)}`);
    });
    for (const end of ['commit', 'release'] as const) LockFile.acquire(disk, at('index'), { marks: alive })[end]();
    expect(lone).toEqual([]);
  });

  it.each(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])('works without one where hard links give %s', (code) => {
    const disk: Disk = {
      ...nodeDisk,
      linkSync: () => {
        throw Object.assign(new Error(code), { code });
      },
    };
    const lock = LockFile.acquire(disk, at('index'), { marks: alive });
    expect(marks()).toEqual([]);
    expect(() => LockFile.acquire(disk, at('index'), { marks: alive, waitMs: 0 })).toThrow(/another git command/);
    lock.write(Buffer.from('new'));
    lock.commit();
    expect(readFileSync(at('index'), 'utf8')).toBe('new');
    expect(marks()).toEqual([]);
  });

  it('leaves no mark when the link fails for another reason', () => {
    const disk: Disk = {
      ...nodeDisk,
      linkSync: () => {
        throw Object.assign(new Error('EIO'), { code: 'EIO' });
      },
    };
    expect(() => LockFile.acquire(disk, at('index'), { marks: alive })).toThrow(
      expect.objectContaining({ code: 'E_STORAGE' }),
    );
    expect([existsSync(at('index.lock')), marks()]).toEqual([false, []]);
  });
});

describe('sweepDeadLocks', () => {
  it.each([
    'index',
    'HEAD',
    'shallow',
    'packed-refs',
    'config',
    'refs/heads/main',
    'refs/heads/team/ann',
    'refs/remotes/origin/main',
  ])('removes the lock of a dead process on %s, and its mark', (target) => {
    writeFileSync(at(target), 'old');
    abandon(target, dead);
    expect(sweepDeadLocks(nodeDisk, gitDir, isDead, 'sweeper')).toEqual([`${target}.lock`]);
    expect([existsSync(at(`${target}.lock`)), marks()]).toEqual([false, []]);
    expect(readFileSync(at(target), 'utf8')).toBe('old');
  });

  it('leaves the lock of a living process', () => {
    abandon('index', alive);
    abandon('HEAD', dead);
    expect(sweepDeadLocks(nodeDisk, gitDir, isDead, 'sweeper')).toEqual(['HEAD.lock']);
    expect(existsSync(at('index.lock'))).toBe(true);
    expect(marks()).toHaveLength(1);
  });

  it("leaves a lock without a mark, which is native git's", () => {
    writeFileSync(at('index.lock'), '');
    abandon('HEAD', dead);
    expect(sweepDeadLocks(nodeDisk, gitDir, isDead, 'sweeper')).toEqual(['HEAD.lock']);
    expect(existsSync(at('index.lock'))).toBe(true);
  });

  it('leaves a lock of native git that took the place of a dead one', () => {
    abandon('index', dead);
    rmSync(at('index.lock'));
    writeFileSync(at('index.lock'), 'of native git');
    expect(sweepDeadLocks(nodeDisk, gitDir, isDead, 'sweeper')).toEqual([]);
    expect(readFileSync(at('index.lock'), 'utf8')).toBe('of native git');
    expect(marks()).toEqual([]);
  });

  it('leaves the index that was renamed into place before the process died', () => {
    abandon('index', dead);
    writeFileSync(at('index.lock'), 'index');
    rmSync(at('index'), { force: true });
    linkSync(at('index.lock'), at('index'));
    rmSync(at('index.lock'));
    expect(sweepDeadLocks(nodeDisk, gitDir, isDead, 'sweeper')).toEqual([]);
    expect(readFileSync(at('index'), 'utf8')).toBe('index');
    expect(marks()).toEqual([]);
  });

  it('removes a mark whose lock was never made', () => {
    mkdirSync(dead.directory, { recursive: true });
    writeFileSync(join(dead.directory, 'dead~0123456789abcdef'), '');
    expect(sweepDeadLocks(nodeDisk, gitDir, isDead, 'sweeper')).toEqual([]);
    expect(marks()).toEqual([]);
  });

  it('passes over what is no mark', () => {
    mkdirSync(dead.directory, { recursive: true });
    for (const name of ['', '~', 'dead', 'deadish~1', 'x~dead', 'alive~1~2']) {
      if (name !== '') writeFileSync(join(dead.directory, name), '');
    }
    const asked: string[] = [];
    sweepDeadLocks(
      nodeDisk,
      gitDir,
      (word) => {
        asked.push(word);
        return false;
      },
      'sweeper',
    );
    expect(asked).toContain('alive~1');
    expect(marks()).toHaveLength(5);
  });

  it('finds nothing in a repository where kb never was', () => {
    expect(sweepDeadLocks(nodeDisk, gitDir, () => true, 'sweeper')).toEqual([]);
  });

  it('removes several locks of one process and of several', () => {
    const other = lockMarksOf(gitDir, () => 'dead too');
    abandon('index', dead);
    abandon('refs/heads/main', dead);
    abandon('HEAD', other);
    const removed = sweepDeadLocks(nodeDisk, gitDir, (word) => word.startsWith('dead'), 'sweeper');
    expect(removed.sort()).toEqual(['HEAD.lock', 'index.lock', 'refs/heads/main.lock']);
    expect(marks()).toEqual([]);
  });

  it('clears the way whichever change the process was killed at', () => {
    let calls = 1;
    for (let isDone = false; !isDone; calls += 1) {
      const failing = new FailingDisk({ kind: 'kill', at: calls });
      try {
        const lock = LockFile.acquire(failing.disk, at('index'), { marks: dead });
        lock.write(Buffer.from(`new ${calls}`));
        lock.commit();
        isDone = true;
      } catch (error) {
        expect(error).toBeInstanceOf(Killed);
      }
      sweepDeadLocks(nodeDisk, gitDir, isDead, 'sweeper');
      expect([calls, existsSync(at('index.lock')), marks()]).toEqual([calls, false, []]);
    }
    expect(calls).toBeGreaterThan(6);
  });

  it('does not take away a lock that was got while two were sweeping', () => {
    abandon('index', dead);
    let isOther = false;
    let held: LockFile | undefined;
    const disk = watchedDisk((call, path) => {
      if (isOther || call !== 'unlinkSync' || path !== at('index.lock')) return;
      // Just before this one removes the lock, another one has swept it and a third has got it.
      isOther = true;
      sweepDeadLocks(nodeDisk, gitDir, isDead, 'sweeper');
      if (!existsSync(at('index.lock'))) held = LockFile.acquire(nodeDisk, at('index'), { marks: alive });
    });
    sweepDeadLocks(disk, gitDir, isDead, 'sweeper');
    if (held !== undefined) expect(existsSync(at('index.lock'))).toBe(true);
    expect(isOther).toBe(true);
  });
});

describe('lockFilesIn', () => {
  it('names the lock files of git, and nothing else', () => {
    const locks = ['HEAD.lock', 'index.lock', 'refs/heads/main.lock', 'refs/heads/team/ann.lock'];
    for (const name of [...locks, 'index', 'refs/heads/main', 'refs/heads/unlock', 'objects/x.lock'])
      writeFileSync(at(name), '');
    expect(lockFilesIn(nodeDisk, gitDir).sort()).toEqual(locks);
  });
});
