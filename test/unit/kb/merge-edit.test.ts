import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FileMode } from '../../../src/git/objects/tree.js';
import { mergeFile } from '../../../src/merge/merge-file.js';
import { mergeEdit, type FileVersion } from '../../../src/kb/merge-edit.js';

const REGULAR: FileMode = 0o100644;
const EXECUTABLE: FileMode = 0o100755;
const LINK: FileMode = 0o120000;

const file = (text: string, mode: FileMode = REGULAR): FileVersion => ({ data: Buffer.from(text, 'latin1'), mode });
const merge = (opened: FileVersion | undefined, edited: string, theirs: FileVersion | undefined): unknown => {
  const merged = mergeEdit(opened, Buffer.from(edited, 'latin1'), theirs, 'note.md', mergeFile);
  return merged.kind === 'put' ? { ...merged, data: merged.data.toString('latin1') } : merged;
};

describe('mergeEdit', () => {
  it.each([
    ['nobody else was there', file('a\n'), 'b\n', file('a\n'), { data: 'b\n', mode: REGULAR, how: 'alone' }],
    ['a new file', undefined, 'b\n', undefined, { data: 'b\n', mode: REGULAR, how: 'alone' }],
    [
      'others changed other lines',
      file('1\n2\n3\n'),
      'one\n2\n3\n',
      file('1\n2\nthree\n'),
      { data: 'one\n2\nthree\n', mode: REGULAR, how: 'merged' },
    ],
    [
      'others deleted it',
      file('a\n', EXECUTABLE),
      'b\n',
      undefined,
      { data: 'b\n', mode: EXECUTABLE, how: 'restored' },
    ],
    [
      'others made it executable',
      file('a\n'),
      'b\n',
      file('a\n', EXECUTABLE),
      { data: 'b\n', mode: EXECUTABLE, how: 'alone' },
    ],
    [
      'no text, and nobody else was there',
      file('\0\xff'),
      '\0\xfe',
      file('\0\xff'),
      { data: '\0\xfe', mode: REGULAR, how: 'alone' },
    ],
    ['it became empty', file('a\n'), '', file('a\n'), { data: '', mode: REGULAR, how: 'alone' }],
  ])('puts the edit where %s', (_what, opened, edited, theirs, expected) => {
    expect(merge(opened, edited, theirs)).toEqual({ kind: 'put', rules: [], ...expected });
  });

  it.each([
    ['others wrote the same', file('a\n'), 'b\n', file('b\n')],
    ['others made the same new file', undefined, 'b\n', file('b\n')],
    ["others' change holds it", file('1\n2\n3\n'), 'one\n2\n3\n', file('one\n2\nthree\n')],
  ])('adds nothing where %s', (_what, opened, edited, theirs) => {
    expect(merge(opened, edited, theirs)).toEqual({ kind: 'nothing' });
  });

  it.each([
    ['overlap', file('a\n'), 'b\n', file('c\n')],
    ['overlap', undefined, 'the plan of today: b\n', file('the plan of today: c\n')],
    ['binary', file('\0a'), '\0b', file('\0c')],
    ['encoding', file('\xe9\n'), '\xe8\n', file('\xe7\n')],
    ['type', file('a\n'), 'b\n', file('elsewhere', LINK)],
  ] as const)('leaves %s to a person', (reason, opened, edited, theirs) => {
    expect(merge(opened, edited, theirs)).toEqual({ kind: 'conflict', reason });
  });

  it('puts two appends one behind the other, the one that is there first', () => {
    expect(merge(file('- a\n'), '- a\n- mine\n', file('- a\n- theirs\n'))).toEqual({
      kind: 'put',
      data: '- a\n- theirs\n- mine\n',
      mode: REGULAR,
      how: 'merged',
      rules: ['list-items'],
    });
  });

  it('keeps both sides where they changed lines far apart, and neither is lost where it settles at all', () => {
    const line = fc.constantFrom('a', 'b', 'c', 'd');
    const lines = fc.array(line, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(lines, lines, lines, (base, ours, theirs) => {
        const text = (part: readonly string[]): string => part.map((each) => `${each}\n`).join('');
        const merged = mergeEdit(file(text(base)), Buffer.from(text(ours)), file(text(theirs)), 'note.md', mergeFile);
        const same = (one: readonly string[], other: readonly string[]): boolean => text(one) === text(other);
        if (same(base, theirs) && !same(ours, theirs))
          expect(merged).toMatchObject({ kind: 'put', how: 'alone', data: Buffer.from(text(ours)) });
        if (same(ours, theirs) || same(base, ours)) expect(merged).toEqual({ kind: 'nothing' });
        // what is put differs from what is there: no empty commits
        if (merged.kind === 'put') expect(merged.data.toString()).not.toBe(text(theirs));
      }),
    );
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (mine, other) => {
        const clean = (part: string): string => part.replace(/[\r\n\0]/g, '_');
        const base = Array.from({ length: 9 }, (_, at) => `line ${at}`);
        const text = (change: Record<number, string>): string =>
          base.map((each, at) => `${change[at] ?? each}\n`).join('');
        const merged = mergeEdit(
          { data: Buffer.from(text({})), mode: REGULAR },
          Buffer.from(text({ 1: clean(mine) })),
          { data: Buffer.from(text({ 7: clean(other) })), mode: REGULAR },
          'note.md',
          mergeFile,
        );
        expect(merged).toMatchObject({ kind: 'put', how: 'merged' });
        if (merged.kind === 'put') expect(merged.data.toString()).toBe(text({ 1: clean(mine), 7: clean(other) }));
      }),
    );
  });
});
