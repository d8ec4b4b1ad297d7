import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../../src/disk/disk.js';
import { isKbError } from '../../../../src/errors.js';
import { asRefName, branchRef, type Oid } from '../../../../src/git/ids.js';
import { Refs } from '../../../../src/git/refs/refs.js';

const OLD = '1'.repeat(40) as Oid;
const NEW = '2'.repeat(40) as Oid;
const MAIN = branchRef('main');
const WHO = 'A <a@a> 1700000000 +0000';

let gitDir: string;

function makeRepository(): void {
  gitDir = mkdtempSync(join(tmpdir(), 'kb-test-'));
  mkdirSync(join(gitDir, 'refs/heads'), { recursive: true });
  writeFileSync(join(gitDir, 'HEAD'), 'ref: refs/heads/main\n');
  writeFileSync(join(gitDir, 'refs/heads/main'), `${OLD}\n`);
  writeFileSync(
    join(gitDir, 'packed-refs'),
    `# pack-refs with: peeled fully-peeled sorted \n${OLD} refs/heads/main\n${OLD} refs/tags/v1\n^${NEW}\n`,
  );
}

beforeEach(makeRepository);
afterEach(() => rmSync(gitDir, { recursive: true, force: true }));

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

describe('a disk that fails at any step', () => {
  it.each([
    ['a write', NEW, false],
    ['a write, killed', NEW, true],
    ['a delete', null, false],
    ['a delete, killed', null, true],
  ])('of %s leaves the old value or the new one', (_what, to, killed) => {
    let steps = 0;
    for (let at = 1; ; at += 1) {
      rmSync(gitDir, { recursive: true });
      makeRepository();
      const { disk, calls } = failingDisk(at, killed);
      let failed = false;
      try {
        Refs.open(disk, gitDir, { lockWaitMs: 0 }).update({ name: MAIN, to, expected: OLD, message: 'm', who: WHO });
      } catch (error) {
        failed = true;
        if (!killed) expect(isKbError(error, 'E_STORAGE'), String(error)).toBe(true);
      }
      const refs = Refs.open(nodeDisk, gitDir);
      const now = refs.resolve(MAIN) ?? null;
      expect([OLD, to]).toContain(now);
      if (!failed) expect(now).toBe(to);
      expect(refs.resolve(asRefName('refs/tags/v1'))).toBe(OLD);
      expect(refs.head().branch).toBe(MAIN);
      if (!killed && failed && at < calls() - 3)
        for (const name of ['HEAD', 'refs/heads/main', 'packed-refs'])
          expect(existsSync(join(gitDir, `${name}.lock`)), `${name} at ${String(at)}`).toBe(false);
      if (calls() < at) break;
      steps = at;
    }
    expect(steps).toBeGreaterThan(20);
  });
});

describe('packed-refs', () => {
  it('whose last line is cut off is E_CORRUPT', () => {
    writeFileSync(join(gitDir, 'packed-refs'), `${OLD} refs/heads/x`);
    expect(() => Refs.open(nodeDisk, gitDir).list('refs/')).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });

  it('with a line that is no ref is E_CORRUPT', () => {
    writeFileSync(join(gitDir, 'packed-refs'), 'what is this\n');
    expect(() => Refs.open(nodeDisk, gitDir).list('refs/')).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });

  it('names that could become paths elsewhere are passed over', () => {
    writeFileSync(join(gitDir, 'packed-refs'), `${OLD} refs/../../evil\n${OLD} refs/heads/fine\n`);
    expect([...Refs.open(nodeDisk, gitDir).list('refs/').keys()]).toEqual(['refs/heads/fine', MAIN]);
  });

  it('a name that ends like another is not taken for it', () => {
    writeFileSync(join(gitDir, 'packed-refs'), `${OLD} refs/heads/x refs/heads/y\n${NEW} refs/heads/y\n`);
    expect(Refs.open(nodeDisk, gitDir).resolve(branchRef('y'))).toBe(NEW);
  });

  it('a loose symref to nothing hides the packed value of its name', () => {
    writeFileSync(join(gitDir, 'refs/heads/main'), 'ref: refs/heads/none\n');
    expect([...Refs.open(nodeDisk, gitDir).list('refs/heads/').keys()]).toEqual([]);
  });

  it('keeps every other byte when a ref is deleted', () => {
    const refs = Refs.open(nodeDisk, gitDir);
    refs.update({ name: MAIN, to: null, message: 'm', who: WHO });
    expect(readFileSync(join(gitDir, 'packed-refs'), 'utf8')).toBe(
      `# pack-refs with: peeled fully-peeled sorted \n${OLD} refs/tags/v1\n^${NEW}\n`,
    );
  });
});

describe('the log', () => {
  it('is one line whatever message and name hold', () => {
    Refs.open(nodeDisk, gitDir).update({ name: MAIN, to: NEW, message: 'a\nb\0\tc', who: 'A\n<a@a> 1 +0000' });
    expect(readFileSync(join(gitDir, 'logs/HEAD'), 'utf8')).toBe(`${OLD} ${NEW} A <a@a> 1 +0000\ta b c\n`);
  });

  it('with another log in its way is refused before the ref moves', () => {
    mkdirSync(join(gitDir, 'logs/refs'), { recursive: true });
    writeFileSync(join(gitDir, 'logs/refs/heads'), 'not a folder');
    const refs = Refs.open(nodeDisk, gitDir);
    expect(() => refs.update({ name: MAIN, to: NEW, message: 'm', who: WHO })).toThrow(
      expect.objectContaining({ code: 'E_UNSAFE_STATE' }),
    );
    expect(refs.resolve(MAIN)).toBe(OLD);
  });
});

it('HEAD that is missing is E_CORRUPT', () => {
  rmSync(join(gitDir, 'HEAD'));
  expect(() => Refs.open(nodeDisk, gitDir).head()).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
});
