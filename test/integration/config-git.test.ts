import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GitConfig, setGitConfig } from '../../src/config/git-config.js';
import { isKbError } from '../../src/errors.js';
import { nodeDisk } from '../../src/disk/disk.js';
import { git, makeTemporaryDirectory, NATIVE_SETTINGS, nativeGit } from '../support/native-git.js';

/** A home, a repository in it and the files of the case; `%ROOT%` in a file is the directory of all of them. */
function layOut(files: Readonly<Record<string, string>>): { root: string; env: Record<string, string> } {
  const root = makeTemporaryDirectory();
  git(root, ['init', '-q', 'work/repo']);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text.replaceAll('%ROOT%', root));
  }
  return { root, env: { HOME: root, XDG_CONFIG_HOME: join(root, 'xdg') } };
}

function ours(
  root: string,
  env: Record<string, string>,
  branch = 'main',
): { key: string; value: string | undefined; source: string }[] {
  const config = GitConfig.load({
    disk: nodeDisk,
    gitDir: join(root, 'work/repo/.git'),
    env: { GIT_CONFIG_NOSYSTEM: '1', ...env },
    home: root,
    branch,
  });
  return [...config.entries()];
}

const SET_BY_TESTS = new Set(NATIVE_SETTINGS.map((setting) => setting.replace(/=.*/, '').toLowerCase()));

/** Native git's view, without what all tests set by `-c`; origins made absolute. */
function native(
  root: string,
  env: Record<string, string>,
): { key: string; value: string | undefined; source: string }[] {
  const cwd = join(root, 'work/repo');
  const fields = git(cwd, ['config', '--list', '--show-origin', '--includes', '-z'], { env }).split('\0').slice(0, -1);
  const entries = [];
  for (let n = 0; n < fields.length; n += 2) {
    const [key = '', ...value] = (fields[n + 1] ?? '').split('\n');
    const origin = (fields[n] ?? '').replace(/^file:/, '');
    const source = origin.startsWith('command line')
      ? 'GIT_CONFIG_COUNT'
      : origin.startsWith('/')
        ? origin
        : join(cwd, origin);
    if (!SET_BY_TESTS.has(key)) entries.push({ key, value: value.length === 0 ? undefined : value.join('\n'), source });
  }
  return entries;
}

function byKey<T extends { key: string }>(entries: T[]): Record<string, T[]> {
  const groups: Record<string, T[]> = {};
  for (const entry of entries) (groups[entry.key] ??= []).push(entry);
  return groups;
}

const LOCAL = 'work/repo/.git/config';

const CASES: Record<string, { files: Record<string, string>; env?: Record<string, string> }> = {
  'quotes, escapes and comments': {
    files: {
      [LOCAL]: [
        '# comment',
        '[User] ; comment after a header',
        '\tname = "Ann \\"A\\" Lee" # comment',
        '\temail = ann@example.org;comment',
        '  path = C:\\\\dir\\tnext\\nline\\b',
        '  mixed = plain "quoted # no ; comment" plain',
        '  blanks = "  kept  "   ',
        '  trailing = value \t ',
        '  empty =',
        '  emptyquoted = ""',
        '  emptycomment = # nothing',
        '  lonely',
        '  lonelyblank   ',
        '  CamelCase = Ünïcode 日本',
        'same = 1',
        'same = 2',
      ].join('\n'),
    },
  },
  'continuation lines': {
    files: {
      [LOCAL]: '[a]\n\tb = one \\\n  two \\\n three\n\tc = \\\nnext\n\td = x\\\n\n\te = "in \\\nquotes"\n\tf = last\\',
    },
  },
  'windows line ends and a byte order mark': {
    files: { [LOCAL]: '\ufeff[a]\r\n\tb = one\r\n\tc = two \\\r\n three\r\n\td\r\n\te = "lone\rreturn"\r\n' },
  },
  'sections and subsections': {
    files: {
      [LOCAL]:
        '[a "B.c D"] x=1\n[A.Sub] Y=2\n[a "quo\\"te\\\\back\\slash"]\nz=3\n[a-b.c "d"]k=v\n[e]f=1[g]\nh=2\n[i]\n[j] k = 1\n[remote "origin"]\n\turl = u\n[REMOTE "origin"]\n\turl = v\n[remote "ORIGIN"]\n\turl = w',
    },
  },
  'no line break at the end, empty sections, keys above the first section': {
    files: { [LOCAL]: 'alone = 1\n[x]\n[z]\nk = v' },
  },
  'system, global, XDG and repository files': {
    files: {
      '.gitconfig': '[user]\nname = home\n',
      'xdg/git/config': '[user]\nname = xdg\nemail = x@x\n',
      [LOCAL]: '[user]\nname = repo\n',
    },
  },
  'GIT_CONFIG_GLOBAL instead of the home': {
    files: {
      '.gitconfig': '[user]\nname = home\n',
      other: '[user]\nname = other\n',
      [LOCAL]: '[core]\nbare = false\n',
    },
    env: { GIT_CONFIG_GLOBAL: '%ROOT%/other' },
  },
  GIT_CONFIG_SYSTEM: {
    files: { system: '[user]\nname = system\n', [LOCAL]: '' },
    env: { GIT_CONFIG_NOSYSTEM: 'false', GIT_CONFIG_SYSTEM: '%ROOT%/system' },
  },
  'an empty GIT_CONFIG_GLOBAL': {
    files: { '.gitconfig': '[user]\nname = home\n', [LOCAL]: '[a]\nb=1' },
    env: { GIT_CONFIG_GLOBAL: '' },
  },
  GIT_CONFIG_COUNT: {
    files: { [LOCAL]: '[user]\nname = repo\n', extra: '[extra]\non = 1\n' },
    env: {
      GIT_CONFIG_COUNT: '3',
      GIT_CONFIG_KEY_0: 'User.Name',
      GIT_CONFIG_VALUE_0: ' from env # all',
      GIT_CONFIG_KEY_1: 'url.https://A.b/.insteadOf',
      GIT_CONFIG_VALUE_1: '',
      GIT_CONFIG_KEY_2: 'include.path',
      GIT_CONFIG_VALUE_2: '%ROOT%/extra',
    },
  },
  'includes: relative, absolute, home, missing, nested': {
    files: {
      '.gitconfig':
        '[include]\n path = inc/one\n path = ~/inc/two\n path = gone\n path = %ROOT%/inc/three\n[after]\n x = 1\n',
      'inc/one': '[one]\n a = 1\n[include]\n path = deeper/four\n[after]\n x = 0\n',
      'inc/deeper/four': '[four]\n a = 1\n',
      'inc/two': '[two]\na=1\n',
      'inc/three': '[three]\na=1\n',
      [LOCAL]: '[include]\n path = ../../../inc/three\n',
    },
  },
  'includeIf gitdir': {
    files: {
      '.gitconfig': [
        ['gitdir:~/work/', 'yes1'],
        ['gitdir:work/', 'yes2'],
        ['gitdir:repo/.git', 'yes3'],
        ['gitdir:%ROOT%/work/**', 'yes4'],
        ['gitdir:%ROOT%/work', 'no1'],
        ['gitdir:./work/', 'yes5'],
        ['gitdir:~/WORK/', 'no2'],
        ['gitdir/i:~/WORK/', 'yes6'],
        ['gitdir:**/r?po/**', 'yes7'],
        ['gitdir:**/r[a-f]po/.git', 'yes8'],
        ['gitdir:*/repo/.git', 'yes9?'],
        ['gitdir:%ROOT%/*/.git', 'no3'],
        ['gitdir:**/r[!a-f]po/.git', 'no4'],
        ['gitdir:r\\epo/', 'yes10'],
        ['gitdir:[', 'no5'],
        ['gitdir:', 'yes11'],
      ]
        .map(([condition, file]) => `[includeIf "${condition?.replaceAll('\\', '\\\\')}"]\n path = inc/${file}\n`)
        .join(''),
      ...Object.fromEntries(
        [
          'yes1',
          'yes2',
          'yes3',
          'yes4',
          'yes5',
          'yes6',
          'yes7',
          'yes8',
          'yes9?',
          'yes10',
          'no1',
          'no2',
          'no3',
          'no4',
          'no5',
          'yes11',
        ].map((name) => [`inc/${name}`, `[hit]\n ${name.replace('?', '')} = 1\n`]),
      ),
      [LOCAL]: '',
    },
  },
  'includeIf onbranch and unknown conditions': {
    files: {
      '.gitconfig':
        '[includeIf "onbranch:main"]\npath=a\n[includeIf "onbranch:ma*"]\npath=b\n[includeIf "onbranch:feature/"]\npath=c\n[includeIf "onbranch:**"]\npath=d\n[includeIf "moon:full"]\npath=e\n[includeif "ONBRANCH:main"]\npath=e\n',
      a: '[hit]\na=1',
      b: '[hit]\nb=1',
      c: '[hit]\nc=1',
      d: '[hit]\nd=1',
      e: '[hit]\ne=1',
      [LOCAL]: '',
    },
  },
  'includeIf hasconfig, the URL standing in a later file': {
    files: {
      '.gitconfig':
        '[includeIf "hasconfig:remote.*.url:https://example.org/**"]\npath=a\n[includeIf "hasconfig:remote.*.url:https://other/**"]\npath=b\n',
      a: '[user]\nname = Work',
      b: '[hit]\nb=1',
      [LOCAL]: '[remote "origin"]\n url = https://example.org/team/kb.git\n',
    },
  },
};

describe.skipIf(!nativeGit.available)('GitConfig agrees with `git config --list --includes` (needs native git)', () => {
  it.each(Object.entries(CASES))('%s', (_, { files, env = {} }) => {
    const { root, env: base } = layOut(files);
    const whole = {
      ...base,
      ...Object.fromEntries(Object.entries(env).map(([key, value]) => [key, value.replaceAll('%ROOT%', root)])),
    };
    const expected = native(root, whole);
    expect(expected.length).toBeGreaterThan(0);
    expect(byKey(ours(root, whole))).toEqual(byKey(expected));
  });

  it('finds a gitdir condition through a symlink, by either name', () => {
    const { root, env } = layOut({
      a: '[hit]\na=1',
      b: '[hit]\nb=1',
      '.gitconfig': '[includeIf "gitdir:~/link/"]\npath=a\n[includeIf "gitdir:~/work/"]\npath=b\n',
      [LOCAL]: '',
    });
    symlinkSync(join(root, 'work'), join(root, 'link'));
    const config = GitConfig.load({
      disk: nodeDisk,
      gitDir: join(root, 'link/repo/.git'),
      env: { GIT_CONFIG_NOSYSTEM: '1', ...env },
      home: root,
    });
    expect([config.get('hit.a'), config.get('hit.b')]).toEqual(['1', '1']);
  });

  it.each([
    ['an unknown escape', '[a]\nb = \\q\n'],
    ['an open quote', '[a]\nb = "open\n'],
    ['an empty section name', '[]\nb = 1\n'],
    ['an include without a value', '[include]\npath\n'],
    ['a broken header', '[a\nb = 1\n'],
    ['a header without its quotes closed', '[a "b]\n'],
    ['text after a subsection', '[a "b" c]\n'],
    ['a key with an underscore', '[a]\nb_c = 1\n'],
    ['a comment after a lone key', '[a]\nb # c\n'],
    ['a line that begins with a digit', '[a]\n1b = 1\n'],
    ['a file that includes itself', '[include]\npath = config\n'],
  ])('refuses what git refuses: %s', (_, text) => {
    const { root, env } = layOut({ [LOCAL]: text });
    expect(() => git(join(root, 'work/repo'), ['config', '--list', '--includes'], { env })).toThrow();
    expect(() => ours(root, env)).toThrow(expect.toSatisfy((error: unknown) => isKbError(error, 'E_USAGE')));
  });

  it('reads any value that it wrote as native git reads it', { timeout: 60_000 }, () => {
    const { root, env } = layOut({ [LOCAL]: '[core]\n\tbare = false # stays\n' });
    const file = join(root, LOCAL);
    const values = fc.sample(
      fc.string({ unit: 'binary', maxLength: 30 }).filter((text) => !text.includes('\0') && !/\p{Cs}/u.test(text)),
      { numRuns: 60, seed: 7 },
    );
    const special = [
      '',
      ' ',
      '"',
      '\\',
      'a;b',
      'a#b',
      ' a ',
      'a\nb',
      'a\tb',
      'a\rb',
      '\r',
      'C:\\dir\\',
      '"quoted"',
      'ünï',
      'x\\',
    ];
    const wanted = new Map([...values, ...special].map((value, n) => [`case.k${n}`, value]));
    setGitConfig(nodeDisk, file, wanted);
    expect(readFileSync(file, 'utf8')).toContain('\tbare = false # stays\n');
    const seen = byKey(native(root, env));
    const read = byKey(ours(root, env));
    for (const [key, value] of wanted) {
      expect([key, seen[key]?.[0]?.value]).toEqual([key, value]);
      expect([key, read[key]?.[0]?.value]).toEqual([key, value]);
    }
  });

  it('edits a file in any state so that native git sees the new value and all others as before', () => {
    const shapes = [
      '',
      '\n',
      '[a]',
      '[a]\n',
      '[a] x = 1',
      '[a] x = 1 ; c',
      '[b]\ny = 2\n[a]\n\tx = "1" # c\n\n[c]\n',
      '[a][b]\ny=2\n',
      '[A "s"]\n',
      '[a]\r\n\tz = 1\r\n',
      '[a]\nb\n',
      '[a]\nb = long \\\n value # c\n',
      '[a]\nb=1\n',
      '[a.s]\nq=1\n',
      '; only a comment',
      '[a]\nb = \n',
      '[a]\nx = open \\\n',
      '[a]\nx = open\\',
      '[a]\nx = back\\\\',
    ];
    for (const shape of shapes) {
      for (const key of ['a.b', 'a.s.b', 'a.S.b', 'new.key']) {
        const { root, env } = layOut({ [LOCAL]: shape });
        const before = native(root, env).filter((entry) => entry.key !== key);
        setGitConfig(nodeDisk, join(root, LOCAL), new Map([[key, 'set; here']]));
        const after = native(root, env);
        expect([shape, key, after.filter((entry) => entry.key !== key)]).toEqual([shape, key, before]);
        expect([shape, key, after.filter((entry) => entry.key === key).map((entry) => entry.value)]).toEqual([
          shape,
          key,
          ['set; here'],
        ]);
      }
    }
  }, 120_000);
});
