import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { GitConfig } from '../../src/config/git-config.js';
import { remoteAddresses } from '../../src/config/git-instead-of.js';
import { matchedValues } from '../../src/config/git-url-match.js';
import { nodeDisk } from '../../src/disk/disk.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/** A user's configuration, as native git and as kb read it. */
function configure(text: string): { home: string; config: GitConfig; env: Record<string, string> } {
  const home = makeTemporaryDirectory();
  writeFileSync(join(home, '.gitconfig'), text);
  const env = { HOME: home, XDG_CONFIG_HOME: join(home, 'xdg') };
  return { home, env, config: GitConfig.load({ disk: nodeDisk, env: { ...env, GIT_CONFIG_NOSYSTEM: '1' }, home }) };
}

const PATTERNS = [
  '',
  'https://example.com',
  'https://example.com/',
  'HTTPS://EXAMPLE.com:443/team',
  'https://example.com/team/',
  'https://example.com/team/kb.git',
  'https://ann@example.com',
  'https://ann@example.com/team',
  'https://ann:pw@example.com/team',
  'https://*.example.com',
  'https://*.com',
  'https://git.example.com:8443',
  'https://git.example.com:08443/a',
  'https://example.com/te%61m',
  'https://example.com/x/../team',
  'https://example.com/../team',
  'http://example.com',
  'https://[::1]:8443',
  'example.com',
];

const URLS = [
  'https://example.com/team/kb.git',
  'https://example.com:443/team/kb.git/',
  'https://example.com/teams/kb.git',
  'https://example.com',
  'https://ann@example.com/team/kb.git',
  'https://bob@example.com/team/kb.git',
  'https://git.example.com/team/kb.git',
  'https://git.example.com:8443/a/b',
  'https://a.b.example.com/team',
  'http://example.com/team',
  'https://[::1]:8443/team',
  'https://example.com/t%65am/kb%2fx',
];

describe.skipIf(!nativeGit.available)('values by URL (native git is the oracle)', () => {
  // Every pair of sections, in both orders: which of two that fit counts depends on both.
  const cases = PATTERNS.flatMap((first) => PATTERNS.map((second) => [first, second] as const));

  it.each(URLS)('http.* for %s', (url) => {
    const section = (pattern: string, key: string, value: string): string =>
      `[http${pattern === '' ? '' : ` "${pattern}"`}]\n\t${key} = ${value}\n`;
    const { config, env, home } = configure(
      cases.map(([first, second], at) => section(first, `k${at}`, 'one') + section(second, `k${at}`, 'two')).join(''),
    );
    const native = git(home, ['config', '--get-urlmatch', 'http', url], { env, allowFailure: true });
    const values = new Map(
      native.split('\n').map((line) => line.replace(/^http\./, '').split(' ') as [string, string | undefined]),
    );
    for (const [at, [first, second]] of cases.entries()) {
      const ours = matchedValues(config, 'http', `k${at}`, url, 'closest').at(-1);
      expect([first, second, ours]).toEqual([first, second, values.get(`k${at}`)]);
    }
  });

  it.each(URLS)(
    'credential.* for %s',
    (url) => {
      for (const pattern of [
        ...PATTERNS,
        'https://',
        'git.example.com:8443',
        'ann@example.com',
        'example.com/team/kb.git',
      ]) {
        const { config, env, home } = configure(
          `[credential${pattern === '' ? '' : ` "${pattern}"`}]\n\thelper = "!f() { echo username=u; echo password=p; }; f"\n`,
        );
        const asked = git(home, ['credential', 'fill'], { env, input: `url=${url}\n\n`, allowFailure: true });
        const ours = matchedValues(config, 'credential', 'helper', url, 'every');
        expect([pattern, ours.length > 0]).toEqual([pattern, asked.includes('password=p')]);
      }
    },
    120_000,
  );
});

describe.skipIf(!nativeGit.available)('insteadOf and pushInsteadOf (native git is the oracle)', () => {
  it.each([
    ['longest wins', '[url "https://a/"]\ninsteadOf = gh:\n[url "https://b/"]\ninsteadOf = gh:team/\n', 'gh:team/kb'],
    ['the first of two', '[url "https://a/"]\ninsteadOf = gh:\n[url "https://b/"]\ninsteadOf = gh:\n', 'gh:team/kb'],
    ['only once', '[url "gh:x/"]\ninsteadOf = gh:\n', 'gh:team/kb'],
    ['push apart', '[url "ssh://git@h/"]\npushInsteadOf = https://h/\n', 'https://h/team/kb'],
    [
      'both',
      '[url "https://m/"]\ninsteadOf = https://h/\n[url "ssh://git@h/"]\npushInsteadOf = https://h/\n',
      'https://h/k',
    ],
    ['pushurl', '[url "ssh://git@h/"]\npushInsteadOf = https://h/\n', 'https://h/kb', 'https://h/push'],
    ['pushurl rewritten', '[url "ssh://git@h/"]\ninsteadOf = https://p/\n', 'https://h/kb', 'https://p/kb'],
    ['empty', '[url "https://h/"]\ninsteadOf =\n', 'team/kb'],
    ['none', '', 'https://h/kb'],
  ])('%s', (_, text, url, pushUrl?: string) => {
    const { config, env, home } = configure(text);
    git(home, ['init', '--quiet', 'repository'], { env });
    const directory = join(home, 'repository');
    git(directory, ['config', 'remote.origin.url', url], { env });
    if (pushUrl !== undefined) git(directory, ['config', 'remote.origin.pushurl', pushUrl], { env });
    const { fetch, push } = remoteAddresses(config, url, pushUrl);
    expect(fetch).toBe(git(directory, ['remote', 'get-url', 'origin'], { env }).trim());
    expect(push ?? fetch).toBe(git(directory, ['remote', 'get-url', '--push', 'origin'], { env }).trim());
  });
});
