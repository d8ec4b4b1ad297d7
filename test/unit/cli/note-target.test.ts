import { expect, it } from 'vitest';
import { readNoteTarget, type TargetFlags } from '../../../src/cli/note-target.js';

it.each<[Partial<TargetFlags>, object]>([
  [{}, { kind: 'new' }],
  [{ title: 'T' }, { kind: 'new', title: 'T' }],
  [{ path: 'a.md' }, { kind: 'new', path: 'a.md' }],
  [
    { dir: 'd', name: 'n' },
    { kind: 'new', dir: 'd', name: 'n' },
  ],
  [{ title: '' }, { kind: 'new', title: '' }],
  [{ append: 'a.md' }, { kind: 'append', path: 'a.md' }],
  [{ daily: true }, { kind: 'daily' }],
  [{ replace: 'a.md' }, { kind: 'replace', path: 'a.md' }],
  [
    { replace: 'a.md', 'if-match': 'abcd' },
    { kind: 'replace', path: 'a.md', ifMatch: 'abcd' },
  ],
  // an empty value is a wrong path for later, never "not given"
  [{ append: '' }, { kind: 'append', path: '' }],
  [
    { replace: '', 'if-match': '' },
    { kind: 'replace', path: '', ifMatch: '' },
  ],
])('readNoteTarget(%j)', (flags, target) => {
  expect(readNoteTarget({ daily: false, ...flags })).toEqual(target);
});
