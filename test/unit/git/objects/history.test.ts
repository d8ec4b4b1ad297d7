import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../../src/disk/disk.js';
import { EMPTY_TREE, type Oid } from '../../../../src/git/ids.js';
import { serializeCommit } from '../../../../src/git/objects/commit.js';
import {
  commitsSince,
  isAncestor,
  meetingOf,
  mergeBases,
  moveShallow,
  readShallow,
  writeShallow,
} from '../../../../src/git/objects/history.js';
import { makeTemporaryDirectory } from '../../../support/native-git.js';
import { MemoryObjects } from './memory-objects.js';

/** Lines such as `c: a b` (a commit and its parents); `@-500` shifts its clock by seconds. */
function graph(text: string): {
  source: MemoryObjects;
  ids: Record<string, Oid>;
  names: (oids: Iterable<Oid>) => string;
} {
  const source = new MemoryObjects();
  const ids: Record<string, Oid> = {};
  let timestamp = 1_700_000_000;
  for (const line of text.trim().split('\n')) {
    const [, name = '', parents = '', shift = '0'] = /^\s*(\w+):([ \w]*)(?:@(-?\d+))?/.exec(line) ?? [];
    timestamp += 60;
    const who = { name: 'A', email: 'a@b', timestamp: timestamp + Number(shift), timezone: '+0000' };
    const data = {
      tree: EMPTY_TREE,
      author: who,
      committer: who,
      message: `${name}\n`,
      parents: parents
        .split(' ')
        .filter(Boolean)
        .map((parent) => ids[parent] as Oid),
    };
    ids[name] = source.add('commit', serializeCommit(data));
  }
  const names = (oids: Iterable<Oid>): string =>
    [...oids].map((oid) => Object.keys(ids).find((name) => ids[name] === oid)).join(' ');
  return { source, ids, names };
}

const none = new Set<Oid>();
const at = (ids: Record<string, Oid>, name: string): Oid => ids[name] as Oid;

const LINEAR = 'a:\nb: a\nc: b\nd: c\ne: d';
const FORK = 'a:\nb: a\nc: b\nx: b\ny: x\nm: c y';
const CROSS = 'a:\nb: a\nc: a\nd: b c\ne: c b';
const SKEWED = 'a:\nb: a @90000\nc: b @-90000\nd: c\nx: b @-200000\ny: x';
const UNRELATED = 'a:\nb: a\nx:\ny: x';

describe('mergeBases and isAncestor', () => {
  it.each([
    [LINEAR, 'e', 'c', 'c'],
    [LINEAR, 'c', 'e', 'c'],
    [LINEAR, 'c', 'c', 'c'],
    [FORK, 'c', 'y', 'b'],
    [FORK, 'm', 'y', 'y'],
    [CROSS, 'd', 'e', 'b c'],
    [SKEWED, 'd', 'y', 'b'],
    [SKEWED, 'd', 'b', 'b'],
    [UNRELATED, 'b', 'y', ''],
  ])('%j: %s and %s meet in %j', (text, a, b, expected) => {
    const { source, ids, names } = graph(text);
    expect(
      names(mergeBases(source, at(ids, a), at(ids, b), none))
        .split(' ')
        .sort()
        .join(' '),
    ).toBe(expected);
    expect(isAncestor(source, at(ids, b), at(ids, a), none)).toBe(expected === b);
  });

  it('end where a shallow clone ends', () => {
    const { source, ids } = graph(FORK);
    source.objects.delete(at(ids, 'a'));
    source.objects.delete(at(ids, 'b'));
    const shallow = new Set([at(ids, 'c'), at(ids, 'x')]);
    expect(mergeBases(source, at(ids, 'c'), at(ids, 'y'), shallow)).toEqual([]);
    expect(isAncestor(source, at(ids, 'x'), at(ids, 'm'), shallow)).toBe(true);
    expect(isAncestor(source, at(ids, 'c'), at(ids, 'y'), shallow)).toBe(false);
    expect(() => mergeBases(source, at(ids, 'c'), at(ids, 'y'), none)).toThrow(
      expect.objectContaining({ code: 'E_CORRUPT' }),
    );
  });
});

describe('meetingOf, where history ends too early', () => {
  const openEnds = (text: string, a: string, b: string, shallow: string): string => {
    const { source, ids, names } = graph(text);
    const meeting = meetingOf(source, at(ids, a), at(ids, b), new Set(shallow.split(' ').map((name) => at(ids, name))));
    return meeting.openEnds.map(({ commit, of }) => `${names([commit])} of ${of}`).join(', ');
  };

  it.each([
    ['neither side reaches the other', FORK, 'c', 'y', 'c x', 'x of b, c of a'],
    ['one side ends, the other is whole', FORK, 'c', 'y', 'c', 'c of a'],
    ['a base is there, and a better one may lie behind an end', 'a:\nb: a\nm: a b\ny: b', 'm', 'y', 'y', 'y of b'],
    ['they meet where history ends', FORK, 'c', 'y', 'b', ''],
    ['they meet before it ends', FORK, 'c', 'y', 'a', ''],
    ['they meet before it ends, by clocks that are wrong', 'a:\nb: a\nc: b @9000\nd: c @9000\nx: c', 'd', 'x', 'b', ''],
    ['one holds the other', LINEAR, 'e', 'c', 'c', ''],
    ['one holds the other, through a merge beside an end', FORK, 'm', 'y', 'c', ''],
    ['it ends at a root: nothing is missing', UNRELATED, 'b', 'y', 'a x', ''],
  ])('%s', (_what, text, a, b, shallow, expected) => {
    expect(openEnds(text, a, b, shallow)).toBe(expected);
  });
});

describe('commitsSince', () => {
  it.each([
    [LINEAR, undefined, 'e', 'a b c d e', false],
    [LINEAR, 'c', 'e', 'd e', false],
    [LINEAR, 'e', 'c', '', false],
    [LINEAR, 'e', 'e', '', false],
    [FORK, 'c', 'y', 'x y', false],
    [FORK, 'b', 'm', 'c x y m', true],
    [FORK, 'y', 'm', 'c m', true],
    [SKEWED, 'd', 'y', 'x y', false],
    [UNRELATED, 'b', 'y', 'x y', false],
  ])('%j: since %s up to %s: %j', (text, base, tip, expected, hasMerges) => {
    const { source, ids, names } = graph(text);
    const range = commitsSince(source, base === undefined ? undefined : at(ids, base), at(ids, tip), none);
    expect([names(range.commits), range.hasMerges]).toEqual([expected, hasMerges]);
  });

  it('walks a history deeper than the stack', () => {
    const { source, ids } = graph(
      Array.from({ length: 20_000 }, (_, index) => (index === 0 ? 'n0:' : `n${index}: n${index - 1}`)).join('\n'),
    );
    expect(commitsSince(source, at(ids, 'n5'), at(ids, 'n19999'), none).commits).toHaveLength(19_994);
  });
});

describe('the list of shallow commits', () => {
  const [one, two] = ['1'.repeat(40) as Oid, '2'.repeat(40) as Oid];

  it('is read back, and gone when empty', () => {
    const gitDir = makeTemporaryDirectory();
    expect(readShallow(nodeDisk, gitDir)).toEqual(new Set());
    writeShallow(nodeDisk, gitDir, new Set([two, one]));
    expect(readFileSync(join(gitDir, 'shallow'), 'utf8')).toBe(`${one}\n${two}\n`);
    expect(readShallow(nodeDisk, gitDir)).toEqual(new Set([one, two]));
    writeShallow(nodeDisk, gitDir, new Set());
    expect(existsSync(join(gitDir, 'shallow'))).toBe(false);
    expect(existsSync(join(gitDir, 'shallow.lock'))).toBe(false);
  });

  it('is changed as it is when the lock is ours', () => {
    const gitDir = makeTemporaryDirectory();
    writeShallow(nodeDisk, gitDir, new Set([one]));
    moveShallow(nodeDisk, gitDir, { shallow: [two], unshallow: [one] });
    expect(readShallow(nodeDisk, gitDir)).toEqual(new Set([two]));
    moveShallow(nodeDisk, gitDir, { shallow: [], unshallow: [two, one] });
    expect(existsSync(join(gitDir, 'shallow'))).toBe(false);
  });

  it('respects the lock of another git', () => {
    const gitDir = makeTemporaryDirectory();
    writeFileSync(join(gitDir, 'shallow.lock'), '');
    expect(() => writeShallow(nodeDisk, gitDir, new Set([one]))).toThrow(
      expect.objectContaining({ code: 'E_UNSAFE_STATE' }),
    );
    expect(existsSync(join(gitDir, 'shallow.lock'))).toBe(true);
  });

  it('refuses what is no id', () => {
    const gitDir = makeTemporaryDirectory();
    writeFileSync(join(gitDir, 'shallow'), 'main\n');
    expect(() => readShallow(nodeDisk, gitDir)).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });
});
