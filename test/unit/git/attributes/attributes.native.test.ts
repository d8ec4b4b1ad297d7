import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../../src/disk/disk.js';
import { AttributeLookup, readAttributesFile } from '../../../../src/git/attributes/attributes.js';
import { parseAttributes } from '../../../../src/git/attributes/parse.js';
import { decodePath, type RepoPath } from '../../../../src/git/paths.js';
import { git, gitBuffer, makeTemporaryDirectory, nativeGit } from '../../../support/native-git.js';

const withGit = nativeGit.available ? '' : ' (skipped: no native git)';

/** A generator that gives the same numbers for the same seed. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const PATTERNS = [
  '*', '*.md', '*.txt', 'a.md', '/a.md', 'sub/*.md', 'sub/', 'sub/**', '**/b.txt', '**/deep/*', 'sub/deep/b.txt',
  'A.MD', '[ab].md', 'a?md', '"a b.md"', '"\\303\\244.md"', '"a\\tb"', 'ä.md', '\\!x.md', '!x.md', '\\#c.md', '#c.md',
  '"#c.md"', '"broken', '"bad\\q"', '*.[!m]*', 'deep', '.gitattributes', '"', '""', '/', '[attr]', 'x*y', '"a.md "',
]; // prettier-ignore
const WORDS = [
  'text', '-text', '!text', 'text=auto', 'text=', 'text=a=b', 'eol=lf', 'eol=crlf', 'crlf', '-crlf', 'crlf=input', 'binary', '-binary', '!binary',
  'merge=union', '-merge', 'filter=lfs', 'ident', '-diff', 'diff=markdown', 'one', '-one', '!one', 'two', 'one=1', 'bad!name', '-', '-one=2', 'working-tree-encoding=UTF-16', 'x.y-z_1', 'tëxt',
]; // prettier-ignore
const LINES = [
  '[attr]one two -text', '[attr]two one eol=lf', '[attr]binary text', '[attr]text eol=crlf', '[attr]-bad x', '[attr] one x', '"[attr]two" ident', '', '   ', '# comment', ' \t*.md text',
  'long '.repeat(420), '*.md\ttext\teol=lf', '\0*.md text', '*.md text\0 eol=lf',
]; // prettier-ignore
const PATHS = [
  'a.md', 'b.md', 'c.txt', 'sub/a.md', 'sub/b.txt', 'sub/deep/b.txt', 'sub/deep/a.md', 'deep/x', 'a b.md', 'ä.md', '!x.md', '#c.md', 'a\tb', '.gitattributes', 'x/y', 'xay', 'A.md', '"broken', 'a.md ',
] as RepoPath[]; // prettier-ignore

function fileOf(pick: (below: number) => number): string {
  const lines: string[] = [];
  for (let count = pick(7); count > 0; count -= 1) {
    if (pick(4) === 0) lines.push(LINES[pick(LINES.length)] ?? '');
    else {
      const words = Array.from({ length: 1 + pick(3) }, () => WORDS[pick(WORDS.length)] ?? '');
      lines.push([PATTERNS[pick(PATTERNS.length)] ?? '', ...words].join(pick(6) === 0 ? '  ' : ' '));
    }
  }
  const end = pick(5) === 0 ? '\r\n' : '\n';
  return (pick(8) === 0 ? '\ufeff' : '') + lines.join(end) + (pick(4) === 0 ? '' : end);
}

function nativeAttributes(repository: string, ignoreCase: boolean, file: string): Map<string, string[]> {
  const args = ['-c', `core.ignorecase=${ignoreCase}`, '-c', `core.attributesFile=${file}`];
  const printed = gitBuffer(repository, [...args, 'check-attr', '-z', '--stdin', '--all'], {
    input: PATHS.join('\0'),
    env: { GIT_ATTR_NOSYSTEM: '1' },
  });
  const fields = decodePath(printed).split('\0');
  const found = new Map<string, string[]>();
  for (let at = 0; at + 2 < fields.length; at += 3) {
    const [path = '', name = '', value = ''] = fields.slice(at, at + 3);
    found.set(path, [...(found.get(path) ?? []), `${name}=${value}`].sort());
  }
  return found;
}

function ownAttributes(repository: string, ignoreCase: boolean, file: string): Map<string, string[]> {
  const lookup = new AttributeLookup(
    nodeDisk,
    { files: [file], gitDir: join(repository, '.git') },
    ignoreCase,
    (path) => {
      const content = readAttributesFile(nodeDisk, join(repository, path), 'no links');
      return content === undefined ? undefined : { content, isBlob: false };
    },
  );
  const found = new Map<string, string[]>();
  for (const path of PATHS) {
    const lines = [...lookup.of(path)].flatMap(([name, state]) => {
      if (state === null) return [];
      const value = state === true ? 'set' : state === false ? 'unset' : decodePath(Buffer.from(state, 'latin1'));
      return [`${name}=${value}`];
    });
    if (lines.length > 0) found.set(path, lines.sort());
  }
  return found;
}

function write(repository: string, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(repository, name)), { recursive: true });
    writeFileSync(join(repository, name), content);
  }
}

describe.skipIf(!nativeGit.available)(`attributes${withGit}`, () => {
  it('agrees with git check-attr on random files in all places', () => {
    const repository = makeTemporaryDirectory();
    git(repository, ['init', '--quiet']);
    let told = 0;
    for (let seed = 1; seed <= 150; seed += 1) {
      const pick = chance(seed);
      const files = {
        '.gitattributes': fileOf(pick),
        'sub/.gitattributes': fileOf(pick),
        'sub/deep/.gitattributes': fileOf(pick),
        '.git/info/attributes': pick(2) === 0 ? '' : fileOf(pick),
        '.git/user': fileOf(pick),
      };
      write(repository, files);
      const ignoreCase = pick(3) === 0;
      const file = join(repository, '.git/user');
      const native = nativeAttributes(repository, ignoreCase, file);
      told += native.size;
      expect({ seed, files, of: ownAttributes(repository, ignoreCase, file) }).toEqual({ seed, files, of: native });
    }
    expect(told).toBeGreaterThan(1000);
  }, 120_000);

  it('does not follow a link in the place of .gitattributes', () => {
    const repository = makeTemporaryDirectory();
    git(repository, ['init', '--quiet']);
    write(repository, { elsewhere: '* text\n', 'sub/x': '' });
    symlinkSync('elsewhere', join(repository, '.gitattributes'));
    const file = join(repository, '.git/user');
    expect(nativeAttributes(repository, false, file)).toEqual(new Map());
    expect(ownAttributes(repository, false, file)).toEqual(new Map());
  });
});

describe('an attributes file', () => {
  const kind = { macros: true, ignoreCase: false, isBlob: false };

  it('keeps a line of 2047 bytes and passes a longer one over', () => {
    const line = (bytes: number): Buffer => Buffer.from(`* ${'a'.repeat(bytes - 2)}`);
    expect(parseAttributes(line(2047), kind)).toHaveLength(1);
    expect(parseAttributes(line(2048), kind)).toHaveLength(0);
  });

  it('does not hang on macros that name each other', () => {
    const lookup = new AttributeLookup(nodeDisk, { files: [], gitDir: '/nowhere' }, false, () => ({
      content: Buffer.from('[attr]one two\n[attr]two one\n* one\n'),
      isBlob: true,
    }));
    expect([...lookup.of('a' as RepoPath)]).toEqual([
      ['one', true],
      ['two', true],
    ]);
  });
});
