import { describe, expect, it } from 'vitest';
import { LARGEST_TEXT_BYTES } from '../../../src/merge/content-kind.js';
import { mergeText } from '../../../src/merge/merge-text.js';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const LATIN1_E_ACUTE = '\xe9';

interface Case {
  readonly name: string;
  readonly base: string | undefined;
  readonly ours: string;
  readonly theirs: string;
  /** The merged text, or why there is a conflict. */
  readonly expected: string | { readonly reason: 'overlap' | 'binary' | 'encoding' };
}

const cases: Case[] = [
  {
    name: 'far apart',
    base: 'a\nb\nc\nd\ne\n',
    ours: 'A\nb\nc\nd\ne\n',
    theirs: 'a\nb\nc\nd\nE\n',
    expected: 'A\nb\nc\nd\nE\n',
  },
  { name: 'one line between', base: 'a\nb\nc\n', ours: 'A\nb\nc\n', theirs: 'a\nb\nC\n', expected: 'A\nb\nC\n' },
  {
    name: 'neighbouring lines',
    base: 'a\nb\nc\nd\n',
    ours: 'a\nB\nc\nd\n',
    theirs: 'a\nb\nC\nd\n',
    expected: { reason: 'overlap' },
  },
  { name: 'the same line', base: 'a\nb\nc\n', ours: 'a\n1\nc\n', theirs: 'a\n2\nc\n', expected: { reason: 'overlap' } },
  {
    name: 'the same change once',
    base: 'a\nb\nc\n',
    ours: 'a\n1\nc\n',
    theirs: 'a\n1\nc\nd\ne\n',
    expected: 'a\n1\nc\nd\ne\n',
  },
  {
    name: 'the same change and one more each',
    base: 'a\nb\nc\nd\ne\nf\n',
    ours: 'x\na\nb\nC\nd\ne\nf\n',
    theirs: 'a\nb\nC\nd\ne\nf\ny\n',
    expected: 'x\na\nb\nC\nd\ne\nf\ny\n',
  },
  {
    name: 'the same replacement and an append',
    base: 'a\nb\nc\nd\n',
    ours: 'a\nx\ny\nd\n',
    theirs: 'a\nx\ny\nd\nz\n',
    expected: 'a\nx\ny\nd\nz\n',
  },
  {
    name: 'two places, two contradictions',
    base: 'a\nb\nc\nd\ne\n',
    ours: '1\nb\nc\nd\n2\n',
    theirs: '3\nb\nc\nd\n4\n',
    expected: { reason: 'overlap' },
  },
  {
    name: 'delete against edit',
    base: 'a\nb\nc\n',
    ours: 'a\nc\n',
    theirs: 'a\nB\nc\n',
    expected: { reason: 'overlap' },
  },
  { name: 'both delete it', base: 'a\nb\nc\nd\n', ours: 'a\nc\nd\n', theirs: 'a\nc\nD\n', expected: 'a\nc\nD\n' },
  { name: 'two appends', base: 'a\n', ours: 'a\nb\n', theirs: 'a\nc\n', expected: { reason: 'overlap' } },
  {
    name: 'CRLF is kept',
    base: 'a\r\nb\r\nc\r\n',
    ours: 'A\r\nb\r\nc\r\n',
    theirs: 'a\r\nb\r\nC\r\n',
    expected: 'A\r\nb\r\nC\r\n',
  },
  {
    name: 'mixed endings are kept',
    base: 'a\r\nb\nc\rd\n',
    ours: 'A\r\nb\nc\rd\n',
    theirs: 'a\r\nb\nc\rd\ne',
    expected: 'A\r\nb\nc\rd\ne',
  },
  {
    name: 'CRLF is a change of the line',
    base: 'a\nb\nc\n',
    ours: 'a\r\nb\nc\n',
    theirs: 'A\nb\nc\n',
    expected: { reason: 'overlap' },
  },
  { name: 'no last newline is kept', base: 'a\nb\nc', ours: 'A\nb\nc', theirs: 'a\nb\nc', expected: 'A\nb\nc' },
  { name: 'last newline added by one', base: 'a\nb\nc', ours: 'a\nb\nc\n', theirs: 'A\nb\nc', expected: 'A\nb\nc\n' },
  {
    name: 'last newline added against edit of the line',
    base: 'a\nb',
    ours: 'a\nb\n',
    theirs: 'a\nB',
    expected: { reason: 'overlap' },
  },
  {
    name: 'byte order mark is kept',
    base: '\xef\xbb\xbfa\nb\nc\n',
    ours: '\xef\xbb\xbfa\nb\nC\n',
    theirs: '\xef\xbb\xbfA\nb\nc\n',
    expected: '\xef\xbb\xbfA\nb\nC\n',
  },
  { name: 'emptied by both', base: 'a\n', ours: '', theirs: '', expected: '' },
  { name: 'emptied by one', base: 'a\n', ours: '', theirs: 'a\n', expected: '' },
  { name: 'emptied against edit', base: 'a\n', ours: '', theirs: 'b\n', expected: { reason: 'overlap' } },
  { name: 'both added the same', base: undefined, ours: 'a\n', theirs: 'a\n', expected: 'a\n' },
  { name: 'both added something else', base: undefined, ours: 'a\n', theirs: 'b\n', expected: { reason: 'overlap' } },
  {
    name: 'both added, only the middle differs',
    base: undefined,
    ours: 'a\n1\nb\n2\nc\n',
    theirs: 'a\n3\nb\n4\nc\n',
    expected: { reason: 'overlap' },
  },
  { name: 'one added an empty file', base: undefined, ours: '', theirs: 'b\n', expected: 'b\n' },
  {
    name: 'Latin-1',
    base: 'a\nb\nc\n',
    ours: `${LATIN1_E_ACUTE}\nb\nc\n`,
    theirs: 'a\nb\nC\n',
    expected: `${LATIN1_E_ACUTE}\nb\nC\n`,
  },
  {
    name: 'Latin-1 on the line that both changed',
    base: `${LATIN1_E_ACUTE}\n`,
    ours: `${LATIN1_E_ACUTE}a\n`,
    theirs: `${LATIN1_E_ACUTE}b\n`,
    expected: { reason: 'overlap' },
  },
  {
    name: 'UTF-8 and Latin-1',
    base: 'a\nb\nc\n',
    ours: `${LATIN1_E_ACUTE}\nb\nc\n`,
    theirs: 'a\nb\n\xc3\xa9\n',
    expected: { reason: 'encoding' },
  },
  {
    name: 'a NUL far behind in text of an unknown encoding',
    base: `${'x'.repeat(8000)}\0${LATIN1_E_ACUTE}\na\nb\nc\n`,
    ours: `${'x'.repeat(8000)}\0${LATIN1_E_ACUTE}\nA\nb\nc\n`,
    theirs: `${'x'.repeat(8000)}\0${LATIN1_E_ACUTE}\na\nb\nC\n`,
    expected: { reason: 'binary' },
  },
  {
    name: 'Latin-1 only in the base',
    base: `${LATIN1_E_ACUTE}\nb\nc\n`,
    ours: 'a\nb\nc\n',
    theirs: 'a\nb\nC\n',
    expected: 'a\nb\nC\n',
  },
  { name: 'NUL', base: 'a\nb\nc\n', ours: 'a\0\nb\nc\n', theirs: 'a\nb\nC\n', expected: { reason: 'binary' } },
  { name: 'a binary file that one side left alone', base: '\0a', ours: '\0a', theirs: '\0b', expected: '\0b' },
  { name: 'a binary file that both made the same', base: '\0a', ours: '\0b', theirs: '\0b', expected: '\0b' },
];

describe('mergeText', () => {
  for (const { name, base, ours, theirs, expected } of cases) {
    it(name, () => {
      for (const [left, right] of [
        [ours, theirs],
        [theirs, ours],
      ] as const) {
        const result = mergeText(base === undefined ? undefined : bytes(base), bytes(left), bytes(right));
        if (typeof expected === 'string') {
          expect(result.kind === 'merged' ? result.data.toString('latin1') : result).toBe(expected);
        } else {
          expect(result).toMatchObject({ kind: 'conflict', ...expected });
        }
      }
    });
  }

  it('takes what both sides deleted in different steps as one deletion', () => {
    // git-merge-file reports an empty conflict when both sides deleted the same lines by different hunks
    expect(mergeText(bytes('a\nb\n'), bytes(''), bytes(''))).toEqual({ kind: 'merged', data: bytes('') });
  });

  it('looks for NUL where git does: a later one is text', () => {
    const long = `${'x'.repeat(8000)}\0\n`;
    const result = mergeText(bytes(`${long}a\nb\nc\n`), bytes(`${long}A\nb\nc\n`), bytes(`${long}a\nb\nC\n`));
    expect(result).toEqual({ kind: 'merged', data: bytes(`${long}A\nb\nC\n`) });
  });

  it('refuses files that are too large to be text', () => {
    const huge = Buffer.alloc(LARGEST_TEXT_BYTES + 1, 'a\n');
    expect(mergeText(bytes('a\n'), huge, bytes('b\n'))).toMatchObject({ kind: 'conflict', reason: 'binary' });
  });

  it('gets through 100,000 equal lines with edits on both sides', () => {
    const base = Array.from({ length: 100_000 }, () => 'same\n');
    const edit = (at: number, text: string): Buffer =>
      bytes([...base.slice(0, at), text, ...base.slice(at + 1)].join(''));
    const result = mergeText(bytes(base.join('')), edit(20_000, 'ours\n'), edit(80_000, 'theirs\n'));
    const expected = [...base];
    expected[20_000] = 'ours\n';
    expected[80_000] = 'theirs\n';
    expect(result.kind === 'merged' && result.data.equals(bytes(expected.join('')))).toBe(true);
  });

  it('ends on long files whose lines are the same few in another order', () => {
    const shuffled = (seed: number): Buffer => {
      let state = seed;
      const lines = Array.from({ length: 20_000 }, () => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
        return `${(state >> 16) % 40}\n`;
      });
      return bytes(lines.join(''));
    };
    expect(mergeText(shuffled(1), shuffled(2), shuffled(3))).toMatchObject({ kind: 'conflict', reason: 'overlap' });
  });
});
