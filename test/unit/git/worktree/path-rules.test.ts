import { describe, expect, it } from 'vitest';
import { namesLock, namesTemporaryFile, pathProblem } from '../../../../src/git/worktree/path-rules.js';

const linux = { platform: 'linux' };
const windows = { platform: 'win32' };

describe('pathProblem', () => {
  it.each([
    ['empty', ''],
    ['absolute', '/etc/passwd'],
    ['parent', '..'],
    ['parent at the beginning', '../x'],
    ['parent in the middle', 'a/../b'],
    ['parent at the end', 'a/..'],
    ['current folder', './a'],
    ['parent with a space that Windows drops', 'a/.. /b'],
    ['three dots', '.../b'],
    ['empty part', 'a//b'],
    ['slash at the end', 'a/'],
    ['parent with a zero-width space', 'a/.\u200b./b'],
    ['current folder that looks empty', '\u200b./b'],
    ['.git', '.git'],
    ['in .git', '.git/config'],
    ['nested .git', 'a/.git/hooks/post-checkout'],
    ['case', '.GIT/config'],
    ['mixed case', 'a/.Git'],
    ['zero-width non-joiner', '.g\u200cit/config'],
    ['right-to-left mark', '.git\u200f'],
    ['byte order mark', '\ufeff.git/config'],
    ['combining grapheme joiner', '.gi\u034ft'],
    ['dot at the end', '.git./config'],
    ['spaces at the end', '.git  /config'],
    ['dots and spaces at the end', '.git. . .'],
    ['stream', '.git::$INDEX_ALLOCATION/config'],
    ['named stream', '.git:x'],
    ['stream after a dot', '.git.:x/y'],
    ['short name', 'git~1'],
    ['short name, case', 'GIT~1/config'],
    ['short name, any number', 'git~7'],
    ['short name with a dot', '.git~1'],
    ['short name, disguised', 'git~1 .::$DATA'],
    ['backslash', 'a\\b'],
    ['backslash to the parent', '..\\..\\x'],
    ['backslash into .git', '.git\\config'],
    ['drive letter', 'C:/Windows'],
    ['NUL', 'a\0b'],
    ["kb's lock", '.kb_operations.lock'],
    ["in kb's lock", '.kb_operations.lock/owner.json'],
    ["kb's lock, case", '.KB_Operations.LOCK'],
    ["kb's lock, Kelvin sign", '.\u212ab_operations.lock'],
    ["kb's lock, long s", '.kb_operation\u017f.lock/x'],
    ["kb's lock, zero-width", '.kb\u200b_operations.lock'],
    ["kb's lock, dots and spaces", '.kb_operations.lock. .'],
    ["kb's lock, stream", '.kb_operations.lock::$INDEX_ALLOCATION'],
    ["kb's lock, short name", 'KB_OPE~1.LOC'],
    ["beside kb's lock", '.kb_operations.lock.ticket'],
    ["kb's temporary files", 'a/.kb_tmp_note_1_abc'],
    ["a clone's stage", '.kb_clone_0123456789ab/complete.json'],
    ["kb's temporary files, case", '.KB_TMP_lock/x'],
  ])('refuses everywhere: %s', (_name, path) => {
    expect(pathProblem(path, linux)).toEqual(expect.any(String));
    expect(pathProblem(path, windows)).toEqual(expect.any(String));
  });

  it.each([
    ['device', 'NUL'],
    ['device with an extension', 'docs/con.md'],
    ['device with a space', 'aux .txt'],
    ['numbered device', 'com1'],
    ['superscript device', 'a/lpt\u00b9.md'],
    ['console', 'CONIN$'],
    ['device in a folder name', 'prn/a.md'],
    ['colon', 'Q: what is it.md'],
    ['star', 'a*b'],
    ['question mark', 'why?.md'],
    ['quotes', '"a".md'],
    ['angle bracket', 'a<b'],
    ['pipe', 'a|b'],
    ['line break', 'a\nb'],
    ['escape', 'a\u001b[31m'],
    ['dot at the end', 'etc.'],
    ['space at the end', 'a /b'],
  ])('refuses on Windows only: %s', (_name, path) => {
    expect(pathProblem(path, windows)).toEqual(expect.any(String));
    expect(pathProblem(path, linux)).toBeUndefined();
  });

  it.each([
    'a.md',
    'inbox/2026-01-02-note.md',
    '.gitignore',
    '.gitattributes',
    '.gitmodules',
    'a/.gitkeep',
    '.github/workflows/x.yml',
    '.obsidian/app.json',
    'git',
    'git~',
    'git~10',
    'a.git',
    'x.git/y',
    '..a',
    'a..b',
    '.a',
    '日記/今日.md',
    'Größe.md',
    'e\u0301.md',
    'قائمة.md',
    '👩\u200d🔬.md',
    'a b/c d.md',
    '.kb',
    '.kb_operations',
    'sub/.kb_operations.lock',
    'kb_operations.lock',
    'console.md',
    'auxiliary/a',
    'nullable',
    'com10',
    '~',
    '~/a',
    'a~1',
    '-rf',
    'caf\udce9',
  ])('lets an ordinary name through: %s', (path) => {
    expect(pathProblem(path, linux)).toBeUndefined();
    expect(pathProblem(path, windows)).toBeUndefined();
  });

  it.each([
    '.gitmodules',
    'a/.gitmodules',
    '.GITMODULES',
    'gitmod~1',
    'GI7EBA~1',
    '.gitmodules::$DATA',
    '.git\u200cmodules',
  ])('refuses %s as a link, not as a file', (path) => {
    expect(pathProblem(path, { ...linux, mode: 0o120000 })).toEqual(expect.any(String));
    expect(pathProblem(path, { ...linux, mode: 0o100644 })).toBeUndefined();
  });
});

describe('namesLock', () => {
  it.each([
    ['.kb_operations.lock', true],
    ['.kb_operations.lock/x', true],
    ['.Kb_Operations.Lock', true],
    ['kb_ope~1', true],
    ['sub/.kb_operations.lock', false],
    ['.kb_operations', false],
    ['note.md', false],
  ])('%s: %s', (path, expected) => {
    expect(namesLock(path)).toBe(expected);
  });
});

it('knows its temporary files', () => {
  expect(namesTemporaryFile('.kb_tmp_note_1_abc')).toBe(true);
  expect(namesTemporaryFile('kb_tmp')).toBe(false);
});
