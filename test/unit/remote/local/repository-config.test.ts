import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../../src/disk/disk.js';
import { RepositoryConfig } from '../../../../src/remote/local/repository-config.js';
import { git, makeTemporaryDirectory, nativeGit } from '../../../support/native-git.js';

function configOf(text: string, others: Record<string, string> = {}): RepositoryConfig {
  const directory = makeTemporaryDirectory();
  writeFileSync(join(directory, 'config'), text);
  for (const [name, content] of Object.entries(others)) writeFileSync(join(directory, name), content);
  return RepositoryConfig.read(nodeDisk, directory);
}

const TEXT = `\ufeff# comment
[core]
	bare = true ; comment
	hooksPath = "my hooks" # comment
	Flag
[receive] denyCurrentBranch = ignore
[remote "Name \\"x\\""]
	url = a \\
b
	other = a\\tb\\\\c  d\t
[core]
	bare = no
`;

describe('RepositoryConfig', () => {
  it('reads sections, quotes, escapes, comments and continued lines; the last value wins', () => {
    const config = configOf(TEXT);
    expect(config.getBoolean('core.bare')).toBe(false);
    expect(config.get('core.hookspath')).toBe('my hooks');
    expect(config.getBoolean('core.flag')).toBe(true);
    expect(config.get('receive.denycurrentbranch')).toBe('ignore');
    expect(config.get('remote.Name "x".url')).toBe('a b');
    expect(config.get('remote.Name "x".other')).toBe('a\tb\\c  d');
    expect(config.get('core.none')).toBeUndefined();
    expect([...config.under('receive.')]).toEqual([['receive.denycurrentbranch', 'ignore']]);
  });

  it.skipIf(!nativeGit.available)('agrees with native git (needs native git)', () => {
    const directory = makeTemporaryDirectory();
    writeFileSync(join(directory, 'config'), TEXT);
    for (const [key, value] of RepositoryConfig.read(nodeDisk, directory).under('')) {
      if (key === 'core.flag') continue; // git prints a key without value as empty
      expect(git(directory, ['config', '--file', 'config', '--get', key])).toBe(`${value}\n`);
    }
  });

  it('follows includes, in their place', () => {
    const config = configOf('[core]\n\tbare = true\n[include]\n\tpath = more\n[receive]\n\tx = after\n', {
      more: '[core]\n\tbare = false\n[receive]\n\tx = before\n',
    });
    expect(config.getBoolean('core.bare')).toBe(false);
    expect(config.get('receive.x')).toBe('after');
  });

  for (const [name, text] of [
    ['a file that includes itself', '[include]\n\tpath = config\n'],
    ['a key without section', 'bare = true\n'],
    ['an open quote', '[core]\n\tx = "abc\n'],
    ['a bad escape', '[core]\n\tx = a\\qb\n'],
    ['a broken header', '[core\n\tx = 1\n'],
  ] as const) {
    it(`refuses ${name}`, () => {
      expect(() => configOf(text)).toThrow(expect.objectContaining({ code: 'E_UNSAFE_STATE' }));
    });
  }

  it('refuses a boolean that is none', () => {
    expect(() => configOf('[core]\n\tbare = perhaps\n').getBoolean('core.bare')).toThrow(
      expect.objectContaining({ code: 'E_UNSAFE_STATE' }),
    );
  });

  it('has no values where there is no file', () => {
    expect(RepositoryConfig.read(nodeDisk, makeTemporaryDirectory()).get('core.bare')).toBeUndefined();
  });
});
