import { describe, expect, it } from 'vitest';
import { type KbError, redact } from '../../../src/errors.js';
import { describeCredentials, findCredentials } from '../../../src/remote/credentials.js';
import { parseRemoteUrl } from '../../../src/remote/url.js';

function find(
  url: string,
  env: NodeJS.ProcessEnv,
  insecure = false,
): { sent: string | undefined; source: string | undefined } {
  const found = findCredentials(parseRemoteUrl(url, { cwd: '/', insecure: true }), env, insecure);
  const encoded = found.authorization?.replace(/^Basic /, '');
  return { sent: encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString(), source: found.source };
}

const all = {
  KB_GIT_AUTH_TOKEN: 'kb-token-1',
  GITHUB_TOKEN: 'hub-token-1',
  GH_TOKEN: 'gh-token-1',
  GITHUB_USERNAME: 'ann',
};

describe('findCredentials', () => {
  it.each<[string, string, NodeJS.ProcessEnv, string | undefined, string | undefined]>([
    ['the URL wins', 'https://bob:pass-word@github.com/a/b', all, 'bob:pass-word', 'the URL'],
    ['then KB_GIT_AUTH_TOKEN, for any host', 'https://host.example/a', all, 'ann:kb-token-1', 'KB_GIT_AUTH_TOKEN'],
    ['the name in the URL goes with it', 'https://bob@host.example/a', all, 'bob:kb-token-1', 'KB_GIT_AUTH_TOKEN'],
    [
      'default name',
      'https://host.example/a',
      { KB_GIT_AUTH_TOKEN: 'kb-token-1' },
      'x-access-token:kb-token-1',
      'KB_GIT_AUTH_TOKEN',
    ],
    [
      'GITHUB_TOKEN for github.com',
      'https://github.com/a/b',
      { GITHUB_TOKEN: 'hub-token-1', GH_TOKEN: 'gh-token-1' },
      'x-access-token:hub-token-1',
      'GITHUB_TOKEN',
    ],
    [
      'then GH_TOKEN',
      'https://github.com/a/b',
      { GITHUB_TOKEN: '', GH_TOKEN: 'gh-token-1' },
      'x-access-token:gh-token-1',
      'GH_TOKEN',
    ],
    [
      'not for another host',
      'https://gitlab.com/a/b',
      { GITHUB_TOKEN: 'hub-token-1', GH_TOKEN: 'gh-token-1' },
      undefined,
      undefined,
    ],
    [
      'not for a host that only looks like it',
      'https://github.com.evil.example/a',
      { GITHUB_TOKEN: 'hub-token-1' },
      undefined,
      undefined,
    ],
    ['not for another port of it', 'https://github.com:8443/a', { GITHUB_TOKEN: 'hub-token-1' }, undefined, undefined],
    [
      'the server that CI names',
      'https://git.corp.example/a',
      { GITHUB_TOKEN: 'hub-token-1', GITHUB_SERVER_URL: 'https://git.corp.example' },
      'x-access-token:hub-token-1',
      'GITHUB_TOKEN',
    ],
    [
      'a broken GITHUB_SERVER_URL',
      'https://git.corp.example/a',
      { GITHUB_TOKEN: 'hub-token-1', GITHUB_SERVER_URL: 'nonsense' },
      undefined,
      undefined,
    ],
    ['loopback', 'http://127.0.0.1:9/a', { GITHUB_TOKEN: 'hub-token-1' }, 'x-access-token:hub-token-1', 'GITHUB_TOKEN'],
    [
      'white space around a token',
      'https://host.example/a',
      { KB_GIT_AUTH_TOKEN: ' kb-token-1\n' },
      'x-access-token:kb-token-1',
      'KB_GIT_AUTH_TOKEN',
    ],
    ['a token as the name alone', 'https://some-token@host.example/a', {}, 'some-token:', 'the URL'],
    ['none', 'https://host.example/a', {}, undefined, undefined],
  ])('%s', (_title, url, env, sent, source) => {
    expect(find(url, env)).toEqual({ sent, source });
  });

  it('refuses to send any over plain http to another machine', () => {
    for (const [url, env] of [
      ['http://host.example/a', { KB_GIT_AUTH_TOKEN: 'kb-token-1' }],
      ['http://bob:pass-word@host.example/a', {}],
    ] as const) {
      expect(() => find(url, env)).toThrow(expect.objectContaining({ code: 'E_AUTH' }) as KbError);
      expect(find(url, env, true).sent).toBeDefined();
    }
  });

  it('plain http without credentials is fine', () => {
    expect(find('http://host.example/a', {}).sent).toBeUndefined();
  });

  it('refuses a token with a line break inside, without showing it', () => {
    const attempt = (): unknown => find('https://host.example/a', { KB_GIT_AUTH_TOKEN: 'first-half\nsecond-half' });
    expect(attempt).toThrow(/KB_GIT_AUTH_TOKEN holds a line break/);
    expect(attempt).not.toThrow(/half/);
  });

  it('makes every form of the secret unprintable', () => {
    find('https://host.example/a', { KB_GIT_AUTH_TOKEN: 'very-secret-token' });
    const header = Buffer.from('x-access-token:very-secret-token').toString('base64');
    const shown = redact(`very-secret-token ${header}`);
    expect(shown).not.toContain('secret');
    expect(Buffer.from(shown.split(' ')[1] ?? '', 'base64').toString()).not.toContain('secret');
  });

  it('names the sources, never the values', () => {
    const none = findCredentials(parseRemoteUrl('https://github.com/a', { cwd: '/' }), {}, false);
    expect(describeCredentials(none)).toBe(
      'no credentials were found (looked at the URL, KB_GIT_AUTH_TOKEN, GITHUB_TOKEN, GH_TOKEN)',
    );
    const one = findCredentials(
      parseRemoteUrl('https://github.com/a', { cwd: '/' }),
      { GH_TOKEN: 'gh-token-1' },
      false,
    );
    expect(describeCredentials(one)).toBe('credentials from GH_TOKEN were sent');
  });
});
