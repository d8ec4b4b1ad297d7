import { describe, expect, it } from 'vitest';
import { tellMerged } from '../../../src/cli/tell-merged.js';

describe('tellMerged', () => {
  const told = (rules: readonly string[], isVerbose: boolean, from?: string): string[] => {
    const lines: string[] = [];
    const terminal = { line: (_level: string, text: string) => lines.push(text) };
    tellMerged(terminal, [{ path: 'a.md', rules, ...(from === undefined ? {} : { from }) }], isVerbose);
    return lines;
  };

  it('names the rules when it is asked to say more', () => {
    expect(told(['words', 'list-items'], true)).toEqual(['a.md: merged by words, list-items']);
    expect(told(['words'], false)).toEqual([]);
    expect(told([], true)).toEqual([]);
  });

  it('always says where one of two values was chosen', () => {
    const date = 'a.md: of two dates of the last change the newer one was taken (newest-date)';
    expect(told(['front-matter', 'newest-date'], false)).toEqual([date]);
    expect(told(['newest-date'], true)).toEqual(['a.md: merged by newest-date', date]);
  });

  it('always says what is called otherwise now', () => {
    expect(told(['renamed'], false, 'old.md')).toEqual(['old.md is called a.md now, with what others did to it']);
  });

  it('knows no rule that only looks like one', () => {
    expect(told(['toString'], false)).toEqual([]);
  });
});
