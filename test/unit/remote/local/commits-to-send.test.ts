import { describe, expect, it } from 'vitest';
import type { Oid } from '../../../../src/git/ids.js';
import type { GitObject, ObjectSource } from '../../../../src/git/objects/object.js';
import { commitsToSend, type HistoryRequest } from '../../../../src/remote/local/commits-to-send.js';

/** A history drawn by names: the id of a commit is its letter, repeated. */
class DrawnHistory implements ObjectSource {
  readonly readCommits: string[] = [];
  private readonly objects = new Map<Oid, GitObject>();

  /** @param commits `name: parents @date`, such as `d: b c @5`; without a date the line number is the date */
  constructor(commits: string) {
    for (const [line, text] of commits.trim().split('\n').entries()) {
      const [, name = '', parents = '', date] = /^\s*(\w): ?([a-z ]*?) ?(?:@(\d+))?$/.exec(text) ?? [];
      const when = `A <a@b> ${date ?? line + 1} +0000`;
      const headers = [
        `tree ${id('t')}`,
        ...parents
          .split(' ')
          .filter((parent) => parent !== '')
          .map((parent) => `parent ${id(parent)}`),
      ];
      this.objects.set(id(name), {
        type: 'commit',
        data: Buffer.from(`${headers.join('\n')}\nauthor ${when}\ncommitter ${when}\n\n`),
      });
    }
  }

  find(oid: Oid): GitObject | undefined {
    this.readCommits.push(nameOf(oid));
    return this.objects.get(oid);
  }

  has(oid: Oid): boolean {
    return this.objects.has(oid);
  }

  read(oid: Oid): GitObject {
    const object = this.find(oid);
    if (object === undefined) throw new Error(`no commit ${nameOf(oid)}`);
    return object;
  }
}

function id(name: string): Oid {
  return name.charCodeAt(0).toString(16).repeat(20) as Oid;
}

function nameOf(oid: Oid): string {
  return String.fromCharCode(Number.parseInt(oid.slice(0, 2), 16));
}

const ids = (names: string): Oid[] => names.split('').map(id);
const names = (oids: Iterable<Oid>): string => [...oids].map(nameOf).sort().join('');

const LINE = 'a:\nb: a\nc: b\nd: c\ne: d';
const DIAMOND = 'a:\nb: a\nc: a\nd: b c\ne: d';

interface Case {
  readonly name: string;
  readonly history: string;
  readonly wants: string;
  readonly haves?: string;
  readonly receiverShallow?: string;
  readonly sourceShallow?: string;
  readonly depth?: HistoryRequest['depth'];
  readonly deepenBy?: number;
  readonly sent: string;
  readonly shallow?: string;
  readonly unshallow?: string;
}

const cases: Case[] = [
  { name: 'everything', history: LINE, wants: 'e', sent: 'abcde' },
  { name: 'nothing', history: LINE, wants: 'e', haves: 'e', sent: '' },
  { name: 'an ancestor of what is there', history: LINE, wants: 'b', haves: 'e', sent: '' },
  { name: 'what is new', history: LINE, wants: 'e', haves: 'c', sent: 'de' },
  { name: 'both sides of a merge', history: DIAMOND, wants: 'e', haves: 'b', sent: 'cde' },
  { name: 'a side branch', history: 'a:\nb: a\nc: b\nd: b', wants: 'd', haves: 'c', sent: 'd' },
  { name: 'two wants', history: 'a:\nb: a\nc: b\nd: b', wants: 'cd', haves: 'a', sent: 'bcd' },
  { name: 'a have with a date in the future', history: 'a: @1\nb: a @99\nc: b @3', wants: 'c', haves: 'b', sent: 'c' },
  { name: 'a want with a date in the past', history: 'a: @10\nb: a @20\nc: b @1', wants: 'c', haves: 'b', sent: 'c' },
  { name: 'depth 1', history: LINE, wants: 'e', depth: 1, sent: 'e', shallow: 'e' },
  { name: 'depth 3', history: LINE, wants: 'e', depth: 3, sent: 'cde', shallow: 'c' },
  { name: 'depth beyond the root', history: LINE, wants: 'e', depth: 9, sent: 'abcde' },
  { name: 'depth that ends at the root', history: LINE, wants: 'e', depth: 5, sent: 'abcde' },
  {
    name: 'depth through a merge counts the shortest way',
    history: 'a:\nb: a\nc: b\nd: a c',
    wants: 'd',
    depth: 2,
    sent: 'acd',
    shallow: 'c',
  },
  { name: 'a shallow clone goes on', history: LINE, wants: 'e', haves: 'c', receiverShallow: 'c', sent: 'de' },
  {
    name: 'a shallow clone goes on at depth 1',
    history: LINE,
    wants: 'e',
    haves: 'c',
    receiverShallow: 'c',
    depth: 1,
    sent: 'e',
    shallow: 'e',
  },
  {
    name: 'deepen by two',
    history: LINE,
    wants: 'e',
    haves: 'e',
    receiverShallow: 'e',
    depth: 3,
    sent: 'cd',
    shallow: 'c',
    unshallow: 'e',
  },
  {
    name: 'two more below where history ends',
    history: LINE,
    wants: 'e',
    haves: 'e',
    receiverShallow: 'd',
    deepenBy: 2,
    sent: 'bc',
    shallow: 'b',
    unshallow: 'd',
  },
  {
    name: 'more than there is below where history ends',
    history: LINE,
    wants: 'e',
    haves: 'e',
    receiverShallow: 'd',
    deepenBy: 3,
    sent: 'abc',
    unshallow: 'd',
  },
  {
    name: 'one more below each end, also of a branch that is not asked for',
    history: 'a:\nb: a\nc: b\nd: b\ne: d',
    wants: 'e',
    haves: 'ec',
    receiverShallow: 'ce',
    deepenBy: 1,
    sent: 'bd',
    shallow: 'bd',
    unshallow: 'ce',
  },
  {
    name: 'deepen beyond the root',
    history: LINE,
    wants: 'e',
    haves: 'e',
    receiverShallow: 'e',
    depth: 9,
    sent: 'abcd',
    unshallow: 'e',
  },
  {
    name: 'deepen and new commits',
    history: LINE,
    wants: 'e',
    haves: 'd',
    receiverShallow: 'd',
    depth: 3,
    sent: 'ce',
    shallow: 'c',
    unshallow: 'd',
  },
  {
    name: 'make it whole',
    history: LINE,
    wants: 'e',
    haves: 'd',
    receiverShallow: 'd',
    depth: 'full',
    sent: 'abce',
    unshallow: 'd',
  },
  {
    name: 'make it whole, two boundaries',
    history: DIAMOND,
    wants: 'e',
    haves: 'e',
    receiverShallow: 'bc',
    depth: 'full',
    sent: 'a',
    unshallow: 'bc',
  },
  {
    name: 'make branches whole that are not wanted now',
    history: LINE,
    wants: 'a',
    haves: 'd',
    receiverShallow: 'd',
    depth: 'full',
    sent: 'abc',
    unshallow: 'd',
  },
  { name: 'make a whole one shallow', history: LINE, wants: 'e', haves: 'e', depth: 1, sent: '', shallow: 'e' },
  {
    name: 'from a shallow source',
    history: 'c: b\nd: c\ne: d',
    wants: 'e',
    sourceShallow: 'c',
    sent: 'cde',
    shallow: 'c',
  },
  {
    name: 'from a shallow source, boundary known',
    history: 'c: b\nd: c\ne: d',
    wants: 'e',
    haves: 'd',
    receiverShallow: 'c',
    sourceShallow: 'c',
    sent: 'e',
  },
  {
    name: 'make it as whole as a shallow source is',
    history: 'c: b\nd: c\ne: d',
    wants: 'e',
    haves: 'e',
    receiverShallow: 'e',
    sourceShallow: 'c',
    depth: 'full',
    sent: 'cd',
    shallow: 'c',
    unshallow: 'e',
  },
];

describe('commitsToSend', () => {
  for (const test of cases) {
    it(test.name, () => {
      const answer = commitsToSend(new DrawnHistory(test.history), {
        wants: ids(test.wants),
        haves: ids(test.haves ?? ''),
        receiverShallow: new Set(ids(test.receiverShallow ?? '')),
        sourceShallow: new Set(ids(test.sourceShallow ?? '')),
        depth: test.depth,
        deepenBy: test.deepenBy,
      });
      expect({
        sent: names(answer.commits),
        shallow: names(answer.shallow),
        unshallow: names(answer.unshallow),
      }).toEqual({
        sent: test.sent,
        shallow: test.shallow ?? '',
        unshallow: test.unshallow ?? '',
      });
    });
  }

  it('reads the new commits and their edge, not the history below', () => {
    const history = new DrawnHistory(LINE);
    const none = new Set<Oid>();
    commitsToSend(history, { wants: ids('e'), haves: ids('d'), receiverShallow: none, sourceShallow: none });
    expect(history.readCommits.sort()).toEqual(['d', 'e']);
  });
});
