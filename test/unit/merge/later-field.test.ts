import { describe, expect, it } from 'vitest';
import { mergeFile } from '../../../src/merge/merge-file.js';

function merge(
  base: string,
  ours: string,
  theirs: string,
  path = 'note.md',
): { text: string; rules: string[] } | string {
  const [b, o, t] = [base, ours, theirs].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer];
  const merged = mergeFile({ base: b, ours: o, theirs: t, path });
  return merged.kind === 'merged' ? { text: merged.data.toString(), rules: [...merged.rules] } : 'conflict';
}

describe('a field in a line of its own', () => {
  it.each([
    ['**Version**: `1.3.9`', '**Version**: `1.3.11`', '**Version**: `1.3.10`', 'ours', 'newest-version'],
    ['- App version: v2.1', '- App version: v2.2', '- App version: v2.10', 'theirs', 'newest-version'],
    ['Last updated: 2026-11-01', 'Last updated: 2026-11-20', 'Last updated: 2026-11-24', 'theirs', 'newest-date'],
    [
      '*Last reviewed: 2026-11-01*',
      '*Last reviewed: 2026-11-20*',
      '*Last reviewed: 2026-11-03*',
      'ours',
      'newest-date',
    ],
  ])('%s: the later one of two is taken, and said', (was, mine, their, side, rule) => {
    const note = (line: string): string => `# Course\n\n${line}\n\nText.\n`;
    const text = note(side === 'ours' ? mine : their);
    expect(merge(note(was), note(mine), note(their))).toEqual({ text, rules: [rule] });
  });

  it('beside a line that one side changed is decided by itself', () => {
    const [was, mine, their] = ['Version: 1.0\nby Ann\n', 'Version: 1.1\nby Ann and Bo\n', 'Version: 1.2\nby Ann\n'];
    expect(merge(was, mine, their)).toMatchObject({ text: 'Version: 1.2\nby Ann and Bo\n' });
  });

  it.each([
    ['a version that one side took back', 'Version: 1.3', 'Version: 1.2', 'Version: 1.4'],
    ['a number that is no version', 'Price: 12.50', 'Price: 12.90', 'Price: 13.10'],
    ['three numbers that nothing calls a version', 'Call: 1.2.3', 'Call: 1.2.4', 'Call: 1.2.5'],
    ['a day that is no last time', 'Due: 2026-11-01', 'Due: 2026-11-20', 'Due: 2026-11-24'],
    ['a last time that one side set back', 'Last seen: 2026-11-10', 'Last seen: 2026-11-01', 'Last seen: 2026-11-24'],
    ['a field that was reworded as well', 'Version: 1.3', 'Version: 1.4', 'App version: 1.5'],
    [
      'a version in a sentence',
      'It runs on version 1.3 now.',
      'It runs on version 1.4 now.',
      'It runs on version 1.5 now.',
    ],
  ])('%s is a conflict', (_what, was, mine, their) => {
    expect(merge(`${was}\n`, `${mine}\n`, `${their}\n`)).toBe('conflict');
  });

  it('is code in a block of code', () => {
    const code = (line: string): string => `Text.\n\n\`\`\`yaml\n${line}\n\`\`\`\n`;
    expect(merge(code('version: 1.3'), code('version: 1.4'), code('version: 1.5'))).toBe('conflict');
  });
});

describe('the larger of two edits of one line', () => {
  it('is seen in a run of code, too', () => {
    const [was, mine, their] = ['`ip route show`\n', '`ip {{[r|route]}} show`\n', '`ip {{[r|route]}} {{[s|show]}}`\n'];
    expect(merge(was, mine, their)).toEqual({ text: their, rules: ['superset'] });
    expect(merge(was, their, mine)).toEqual({ text: their, rules: ['superset'] });
  });

  it('is none where each changed another word of it', () => {
    expect(merge('`ip route show`\n', '`ip -4 route show`\n', '`ip route list`\n')).toBe('conflict');
  });
});
