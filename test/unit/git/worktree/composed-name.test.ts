import { describe, expect, it } from 'vitest';
import { composedName } from '../../../../src/git/worktree/composed-name.js';

describe('composedName', () => {
  it.each([
    ['plain ASCII', 'inbox.md', 'inbox.md'],
    ['a letter and its mark', 'a\u0308.md', '\u00e4.md'],
    ['two marks', 'e\u0302\u0301', '\u1ebf'],
    ['Korean', '\u1112\u1161\u11ab', '\ud55c'],
    ['what is composed already', '\u00e4.md', '\u00e4.md'],
    ['a byte that is no UTF-8', 'a\u0308\udcff', '\u00e4\udcff'],
    // a Mac's volume leaves these as they are, so git does too
    ['the sign for angstrom', '\u212b e\u0301', '\u212b \u00e9'],
    ['a sign that is no letter with a mark', '=\u0338', '=\u0338'],
    ['compatibility ideographs', '\uf900\u{2f800}', '\uf900\u{2f800}'],
  ])('%s', (_what, name, expected) => {
    expect(composedName(name)).toBe(expected);
  });
});
