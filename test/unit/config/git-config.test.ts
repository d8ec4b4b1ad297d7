import {
  chmodSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  existsSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { setValue } from '../../../src/config/git-config-edit.js';
import { parseGitConfig } from '../../../src/config/git-config-syntax.js';
import { GitConfig, parseGitBoolean, setGitConfig } from '../../../src/config/git-config.js';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { isKbError, type ErrorCode } from '../../../src/errors.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kb-git-config-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const withCode = (code: ErrorCode): unknown => expect.toSatisfy((error: unknown) => isKbError(error, code));

function load(local: string, env: Record<string, string> = {}): GitConfig {
  writeFileSync(join(root, 'config'), local);
  return GitConfig.load({
    disk: nodeDisk,
    gitDir: root,
    env: { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null', ...env },
    home: root,
  });
}

describe('GitConfig', () => {
  it('folds section and name, never the subsection', () => {
    const config = load('[Core]\nFileMode = false\n[remote "Origin"]\nURL = u\n');
    expect([config.get('CORE.filemode'), config.get('remote.Origin.url'), config.get('remote.origin.url')]).toEqual([
      'false',
      'u',
      undefined,
    ]);
    expect(config.source('core.filemode')).toBe(join(root, 'config'));
    expect(config.source('core.other')).toBeUndefined();
  });

  it('gives all values in order, the last one first in rank', () => {
    const config = load('[a]\nb = 1\nb\nb = 3\n');
    expect([config.getAll('a.b'), config.get('a.b')]).toEqual([['1', 'true', '3'], '3']);
  });

  it.each([
    ['b', true],
    ['b = yes', true],
    ['b = On', true],
    ['b = 1', true],
    ['b = -2k', true],
    ['b =', false],
    ['b = no', false],
    ['b = OFF', false],
    ['b = 0', false],
    ['c = 1', undefined],
  ])('getBoolean of %j', (line, expected) => {
    const config = load(`[a]\n${line}\n`);
    expect(config.getBoolean('a.b', true)).toBe(expected ?? true);
    expect(config.getBoolean('a.b', false)).toBe(expected ?? false);
  });

  it('refuses what is no boolean, naming the file', () => {
    expect(() => load('[a]\nb = perhaps\n').getBoolean('a.b', true)).toThrow(withCode('E_USAGE'));
    expect(parseGitBoolean('perhaps')).toBeUndefined();
  });

  it('names file and line of a mistake', () => {
    expect(() => load('[a]\nb = 1\n\nc = \\x\n')).toThrow(/bad line 4 in the git configuration .*config/);
  });

  it('refuses includes in a circle and includes without end', () => {
    expect(() => load('[include]\npath = config\n')).toThrow(/more than 10 deep/);
    for (let n = 0; n < 9; n++) writeFileSync(join(root, `f${n}`), `[include]\npath = f${n + 1}\n`.repeat(4));
    writeFileSync(join(root, 'f9'), '[a]\nb = 1\n');
    expect(() => load('[include]\npath = f1\n')).toThrow(/more than 1000 files/);
  });

  it.each([
    [{ GIT_CONFIG_COUNT: 'x' }],
    [{ GIT_CONFIG_COUNT: '-1' }],
    [{ GIT_CONFIG_COUNT: '1' }],
    [{ GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'nodot', GIT_CONFIG_VALUE_0: '' }],
    [{ GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'include.path', GIT_CONFIG_VALUE_0: 'relative' }],
  ])('refuses %j', (env) => {
    expect(() => load('', env)).toThrow(withCode('E_USAGE'));
  });

  it('refuses a folder in the place of the file, and passes storage errors on as such', () => {
    expect(() =>
      GitConfig.load({ disk: nodeDisk, env: { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: root }, home: '' }),
    ).toThrow(withCode('E_USAGE'));
    const disk = {
      ...nodeDisk,
      readFileSync: () => {
        throw Object.assign(new Error('denied'), { code: 'EACCES', path: '/x' });
      },
    } as unknown as Disk;
    expect(() => GitConfig.load({ disk, env: {}, home: '/h' })).toThrow(withCode('E_STORAGE'));
  });
});

describe('setGitConfig', () => {
  it.each([
    [
      'replaces in place, keeping the comment',
      '[a]\n\tb = old ; why\n\tc = 1\n',
      'a.b',
      'new',
      '[a]\n\tb = new ; why\n\tc = 1\n',
    ],
    ['replaces without blanks', '[a]\nb=old\n', 'a.b', 'new', '[a]\nb= new\n'],
    ['replaces a quoted value', '[a]\nb = "o;ld"  # c\n', 'a.b', 'n#w', '[a]\nb = "n#w"  # c\n'],
    ['gives a value to a lone key', '[a]\n\tb\n', 'a.b', '1', '[a]\n\tb = 1\n'],
    ['adds to the section', '[a]\n\tb = 1\n\n[c]\n\td = 2\n', 'a.e', 'x', '[a]\n\tb = 1\n\te = x\n\n[c]\n\td = 2\n'],
    ['adds to the last section of the name', '[a]\nb=1\n[c]\n[a]\n', 'a.e', 'x', '[a]\nb=1\n[c]\n[a]\n\te = x\n'],
    ['adds a section', '[a]\nb = 1', 'remote.my "r".url', 'u', '[a]\nb = 1\n[remote "my \\"r\\""]\n\turl = u\n'],
    ['writes a file that is not there', undefined, 'user.name', 'Ann', '[user]\n\tname = Ann\n'],
    ['keeps windows line ends', '[a]\r\n\tb = 1\r\n', 'a.c', 'x', '[a]\r\n\tb = 1\r\n\tc = x\r\n'],
    ['keeps the spelling of the key', '', 'remote.o.pushURL', 'x', '[remote "o"]\n\tpushURL = x\n'],
    ['keeps bytes that are not UTF-8', '[a]\n\tb = caf\xe9\n', 'a.c', 'é', '[a]\n\tb = caf\xe9\n\tc = \xc3\xa9\n'],
  ])('%s', (_, before, key, value, after) => {
    const file = join(root, 'config');
    if (before !== undefined) writeFileSync(file, before, 'latin1');
    setGitConfig(nodeDisk, file, new Map([[key, value]]));
    expect(readFileSync(file, 'latin1')).toBe(after);
    expect(readdirSync(root)).toEqual(['config']);
  });

  it('what is set is read back, and nothing else changes, whatever the file', () => {
    const line = fc.constantFrom(
      '[a]',
      '[a "s"]',
      '[b] c = 1',
      '\tb = 1',
      'b',
      'd = "x;y" # z',
      '# b = 2',
      '',
      '\te = one \\',
      '  two',
      '[c][d]',
      'f = \\"',
    );
    const key = fc.constantFrom('a.q', 'a.s.q', 'b.q', 'new.q', 'new.s u b.q');
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 12 }),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        key,
        fc.string({ unit: 'binary', maxLength: 20 }),
        (lines, eol, ends, name, value) => {
          fc.pre(!value.includes('\0') && !/\p{Cs}/u.test(value));
          const before = `[start]${eol}${lines.join(eol)}${ends ? eol : ''}`;
          const items = (text: string) =>
            parseGitConfig(text, 'f').flatMap((section) => section.items.map((item) => [item.key, item.value]));
          let old: (string | undefined)[][];
          try {
            old = items(before);
          } catch {
            return fc.pre(false);
          }
          const after = setValue(before, name, value, 'f');
          expect(items(after).filter(([one]) => one !== name)).toEqual(old);
          expect(items(after).filter(([one]) => one === name)).toEqual([[name, value]]);
          const again = setValue(after, name, 'other', 'f');
          expect(setValue(again, name, value, 'f')).toBe(after);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('refuses several values, bad keys and NUL, and leaves the file alone', () => {
    const file = join(root, 'config');
    writeFileSync(file, '[a]\nb = 1\nb = 2\n');
    for (const [key, value] of [
      ['a.b', 'x'],
      ['a', 'x'],
      ['a.1b', 'x'],
      ['a_b.c', 'x'],
      ['a.s\nt.c', 'x'],
      ['a.c', 'x\0y'],
    ] as const) {
      expect(() => setGitConfig(nodeDisk, file, new Map([[key, value]]))).toThrow(withCode('E_USAGE'));
    }
    expect(readFileSync(file, 'utf8')).toBe('[a]\nb = 1\nb = 2\n');
    expect(readdirSync(root)).toEqual(['config']);
  });

  it("respects another program's lock, and does not remove it", () => {
    writeFileSync(join(root, 'config.lock'), 'theirs');
    expect(() => setGitConfig(nodeDisk, join(root, 'config'), new Map([['a.b', 'c']]))).toThrow(
      withCode('E_UNSAFE_STATE'),
    );
    expect(readFileSync(join(root, 'config.lock'), 'utf8')).toBe('theirs');
    expect(existsSync(join(root, 'config'))).toBe(false);
  });

  it('keeps permissions and writes through a symlink', () => {
    writeFileSync(join(root, 'real'), '[a]\n');
    chmodSync(join(root, 'real'), 0o600);
    symlinkSync('real', join(root, 'config'));
    setGitConfig(nodeDisk, join(root, 'config'), new Map([['a.b', 'c']]));
    expect(readFileSync(join(root, 'real'), 'utf8')).toBe('[a]\n\tb = c\n');
    expect(statSync(join(root, 'real')).mode & 0o777).toBe(0o600);
    expect(readdirSync(root).sort()).toEqual(['config', 'real']);
  });

  it('leaves the old file and no lock behind when the disk is full', () => {
    const file = join(root, 'config');
    writeFileSync(file, '[a]\n');
    const disk = {
      ...nodeDisk,
      fsyncSync: () => {
        throw Object.assign(new Error('full'), { code: 'ENOSPC' });
      },
    } as unknown as Disk;
    expect(() => setGitConfig(disk, file, new Map([['a.b', 'c']]))).toThrow(withCode('E_STORAGE'));
    expect(readFileSync(file, 'utf8')).toBe('[a]\n');
    expect(readdirSync(root)).toEqual(['config']);
  });
});
