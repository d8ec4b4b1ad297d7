import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Oid } from '../../../src/git/ids.js';
import { hashObject, type GitObject, type ObjectSource } from '../../../src/git/objects/object.js';
import { diffTrees, type TreeChange } from '../../../src/git/objects/tree-diff.js';
import { ObjectStore } from '../../../src/git/objects/store.js';
import type { RepoPath } from '../../../src/git/paths.js';
import { nodeDisk } from '../../../src/disk/disk.js';
import { countChanges, describeChanges, type CountedChange } from '../../../src/kb/changes.js';
import { git, makeTemporaryDirectory, nativeGit } from '../../support/native-git.js';

const leaf = { mode: 0o100644, oid: '1'.repeat(40) as Oid } as const;
const path = 'a.md' as RepoPath;

it.each<[string, TreeChange]>([
  ['added', { path, after: leaf }],
  ['modified', { path, before: leaf, after: leaf }],
  ['deleted', { path, before: leaf }],
])('describeChanges: %s', (kind, change) => {
  expect(describeChanges([change])).toEqual([{ path, kind }]);
});

type Files = Readonly<Record<string, string | Buffer>>;

/** What `countChanges` tells of the way from one set of files to another. */
function counted(before: Files, after: Files, mode: (path: string) => 0o100644 | 0o120000 = () => 0o100644): string[] {
  const objects = new Map<Oid, GitObject>();
  const source = { read: (oid: Oid) => objects.get(oid) } as unknown as ObjectSource;
  const side = (files: Files, name: string): { mode: 0o100644 | 0o120000; oid: Oid } | undefined => {
    const content = files[name];
    if (content === undefined) return undefined;
    const data = Buffer.from(content);
    const oid = hashObject('blob', data);
    objects.set(oid, { type: 'blob', data });
    return { mode: mode(name), oid };
  };
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const changes = names.flatMap((name): TreeChange[] => {
    const [old, now] = [side(before, name), side(after, name)];
    if (old?.oid === now?.oid) return [];
    return [{ path: name as RepoPath, ...(old && { before: old }), ...(now && { after: now }) }];
  });
  return countChanges(source, changes).map(shown);
}

function shown({ path: name, kind, from, added, deleted }: CountedChange): string {
  return `${kind} ${from === undefined ? '' : `${from} → `}${name} +${added ?? '?'} −${deleted ?? '?'}`;
}

const TEN = Array.from({ length: 10 }, (_, line) => `line ${line}\n`).join('');

describe('countChanges', () => {
  it.each<[string, Files, Files, string[]]>([
    ['a new file', {}, { a: 'x\ny\n' }, ['added a +2 −0']],
    ['a last line without its end is a line', {}, { a: 'x\ny' }, ['added a +2 −0']],
    ['a file that went', { a: 'x\ny\n' }, {}, ['deleted a +0 −2']],
    ['a changed line', { a: TEN }, { a: TEN.replace('line 3', 'LINE 3') }, ['modified a +1 −1']],
    ['an empty file', {}, { a: '' }, ['added a +0 −0']],
    ['no text', { a: 'x\n' }, { a: Buffer.from([0, 1, 2]) }, ['modified a +? −?']],
    ['text in another encoding has lines too', {}, { a: Buffer.from([0xe9, 0x0a]) }, ['added a +1 −0']],
    ['a file under a new name', { a: TEN }, { b: TEN }, ['renamed a → b +0 −0']],
    ['one that changed a little', { a: TEN }, { b: `${TEN}more\n` }, ['renamed a → b +1 −0']],
    ['one that changed too much', { a: TEN }, { b: 'else\n' }, ['deleted a +0 −10', 'added b +1 −0']],
    [
      'its place in the list is that of the new name',
      { a: TEN, c: '' },
      { b: TEN },
      ['renamed a → b +0 −0', 'deleted c +0 −0'],
    ],
    [
      'the same name in another folder goes first',
      { 'x/n': TEN, 'y/m': TEN },
      { 'z/m': TEN },
      ['deleted x/n +0 −10', 'renamed y/m → z/m +0 −0'],
    ],
    ['one old file has one new name', { a: TEN }, { b: TEN, c: TEN }, ['renamed a → b +0 −0', 'added c +10 −0']],
    [
      'the most alike are one',
      { a: TEN, b: `${TEN}b\n` },
      { c: `${TEN}b\nb\n` },
      ['deleted a +0 −10', 'renamed b → c +1 −0'],
    ],
    ['a copy is no rename', { a: TEN }, { a: TEN, b: TEN }, ['added b +10 −0']],
  ])('%s', (_, before, after, expected) => {
    expect(counted(before, after)).toEqual(expected);
  });

  it('takes no file for a renamed link', () => {
    const mode = (name: string): 0o100644 | 0o120000 => (name === 'a' ? 0o120000 : 0o100644);
    expect(counted({ a: TEN }, { b: TEN }, mode)).toEqual(['deleted a +0 −10', 'added b +10 −0']);
  });

  it('does not compare hundreds of files with hundreds, but finds those with the same content', () => {
    const many = (folder: string, ending: string): Files =>
      Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`${folder}/${at}`, `${TEN}${at}\n${ending}`]));
    const lines = counted({ ...many('old', ''), same: 'same\n' }, { ...many('new', 'more\n'), other: 'same\n' });
    expect(lines.filter((line) => line.startsWith('renamed'))).toEqual(['renamed same → other +0 −0']);
  });

  it.skipIf(!nativeGit.available)('counts as git diff --numstat does (needs native git)', () => {
    const repository = makeTemporaryDirectory();
    git(repository, ['init', '-q']);
    const line = fc.constantFrom('a\n', 'b\n', 'c\n', 'd\n', '\n', 'e');
    const text = fc.array(line, { maxLength: 30 }).map((lines) => lines.join(''));
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 20 }), (files) => {
        const objects = ObjectStore.open(nodeDisk, `${repository}/.git`);
        const tree = (side: 0 | 1): Oid => {
          const entries = files.map((pair, at) => `100644 blob ${blob(repository, pair[side])}\tf${at}\n`);
          return git(repository, ['mktree'], { input: entries.join('') }).trim() as Oid;
        };
        const [before, after] = [tree(0), tree(1)];
        const wanted = git(repository, ['diff', '--numstat', '--no-indent-heuristic', before, after]);
        const found = countChanges(objects, diffTrees(objects, before, after));
        objects.close();
        expect(found.map((one) => `${one.added}\t${one.deleted}\t${one.path}\n`).sort()).toEqual(
          wanted
            .split(/(?<=\n)/)
            .filter((one) => one !== '')
            .sort(),
        );
      }),
      { numRuns: 15 },
    );
  });
});

function blob(repository: string, content: string): string {
  return git(repository, ['hash-object', '-w', '--stdin'], { input: content }).trim();
}
