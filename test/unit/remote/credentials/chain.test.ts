import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../../src/disk/disk.js';
import { redact } from '../../../../src/errors.js';
import { type ChainOptions, CredentialChain } from '../../../../src/remote/credentials/chain.js';
import { parseRemoteUrl } from '../../../../src/remote/url.js';

function chain(url: string, env: NodeJS.ProcessEnv, options: Partial<ChainOptions> = {}): CredentialChain {
  return new CredentialChain(parseRemoteUrl(url, { cwd: '/', insecure: true }), {
    disk: nodeDisk,
    env,
    home: '/nonexistent',
    timeoutMs: 1000,
    ...options,
  });
}

function decode(authorization: string | undefined): string | undefined {
  const encoded = authorization?.replace(/^Basic /, '');
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString();
}

/** What goes out with the first request, and from where. */
async function find(
  url: string,
  env: NodeJS.ProcessEnv,
  options: Partial<ChainOptions> = {},
): Promise<{ sent: string | undefined; source: string | undefined }> {
  const credentials = chain(url, env, options);
  const sent = decode(await credentials.authorization());
  return { sent, source: /credentials from (.*) were sent/.exec(credentials.describe())?.[1] };
}

/** All that is sent to a host that refuses everything. */
async function sentInVain(credentials: CredentialChain): Promise<(string | undefined)[]> {
  const sent = [decode(await credentials.authorization())];
  while (await credentials.refused([])) sent.push(decode(await credentials.authorization()));
  return sent;
}

const all = {
  KB_GIT_AUTH_TOKEN: 'kb-token-1',
  GITHUB_TOKEN: 'hub-token-1',
  GH_TOKEN: 'gh-token-1',
  GITHUB_USERNAME: 'ann',
};

describe('the credentials of the first request', () => {
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
    [
      'GitHub with data residency',
      'https://acme.ghe.com/a',
      { GH_TOKEN: 'gh-token-1' },
      'x-access-token:gh-token-1',
      'GH_TOKEN',
    ],
    [
      'GITLAB_TOKEN for gitlab.com',
      'https://gitlab.com/a/b',
      { ...all, KB_GIT_AUTH_TOKEN: '', GITLAB_TOKEN: 'lab-token-1' },
      'oauth2:lab-token-1',
      'GITLAB_TOKEN',
    ],
    [
      'and for the server that CI names',
      'https://git.corp.example:8443/a',
      { GITLAB_TOKEN: 'lab-token-1', CI_SERVER_HOST: 'git.corp.example', CI_SERVER_PORT: '8443' },
      'oauth2:lab-token-1',
      'GITLAB_TOKEN',
    ],
    [
      'and no other port of it',
      'https://git.corp.example:8443/a',
      { GITLAB_TOKEN: 'lab-token-1', CI_SERVER_HOST: 'git.corp.example' },
      undefined,
      undefined,
    ],
    ['not for GitHub', 'https://github.com/a/b', { GITLAB_TOKEN: 'lab-token-1' }, undefined, undefined],
    [
      'what GitLab wants as a name',
      'https://gitlab.com/a/b',
      { KB_GIT_AUTH_TOKEN: 'kb-token-1', GITHUB_USERNAME: 'ann' },
      'oauth2:kb-token-1',
      'KB_GIT_AUTH_TOKEN',
    ],
    [
      'what Bitbucket wants',
      'https://bitbucket.org/a/b',
      { KB_GIT_AUTH_TOKEN: 'kb-token-1' },
      'x-token-auth:kb-token-1',
      'KB_GIT_AUTH_TOKEN',
    ],
    [
      'KB_GIT_USERNAME everywhere',
      'https://bitbucket.org/a/b',
      { KB_GIT_AUTH_TOKEN: 'kb-token-1', KB_GIT_USERNAME: 'ann' },
      'ann:kb-token-1',
      'KB_GIT_AUTH_TOKEN',
    ],
  ])('%s', async (_title, url, env, sent, source) => {
    expect(await find(url, env)).toEqual({ sent, source });
  });

  it('KB_GIT_AUTH_TOKEN is for the host that KB_GIT_REPO_URL names, and no other', async () => {
    const env = { KB_GIT_AUTH_TOKEN: 'kb-token-1', KB_GIT_PASSWORD_FILE: '/no/such/file' };
    expect(await find('https://host.example/a', env, { tokenHost: 'host.example' })).toMatchObject({
      source: 'KB_GIT_AUTH_TOKEN',
    });
    expect(await find('https://other.example/a', env, { tokenHost: 'host.example' })).toEqual({
      sent: undefined,
      source: undefined,
    });
  });

  it('each source in its turn, when the one before is refused', async () => {
    const credentials = chain('https://bob:pass-word@127.0.0.1/a', { ...all, GITLAB_TOKEN: 'lab-token-1' });
    expect(await sentInVain(credentials)).toEqual([
      'bob:pass-word',
      'bob:kb-token-1',
      'bob:hub-token-1',
      'bob:gh-token-1',
      'bob:lab-token-1',
    ]);
    expect(credentials.describe()).toBe(
      'credentials from the URL, KB_GIT_AUTH_TOKEN, GITHUB_TOKEN, GH_TOKEN, GITLAB_TOKEN were refused, and no others ' +
        'found (looked at the URL, KB_GIT_AUTH_TOKEN, GITHUB_TOKEN, GH_TOKEN, GITLAB_TOKEN, credential.helper, ' +
        '~/.netrc, a GitHub App, the terminal (there is none))',
    );
  });

  it('refuses to send any over plain http to another machine', async () => {
    for (const [url, env] of [
      ['http://host.example/a', { KB_GIT_AUTH_TOKEN: 'kb-token-1' }],
      ['http://bob:pass-word@host.example/a', {}],
    ] as const) {
      await expect(find(url, env)).rejects.toMatchObject({ code: 'E_AUTH' });
      expect((await find(url, env, { insecure: true })).sent).toBeDefined();
    }
  });

  it('plain http without credentials is fine, and helpers are not asked for it', async () => {
    const credentials = chain('http://host.example/a', {});
    expect(await sentInVain(credentials)).toEqual([undefined]);
    expect(credentials.describe()).toContain('in the clear');
  });

  it('refuses a token with a line break inside, without showing it', async () => {
    await expect(
      find('https://host.example/a', { KB_GIT_AUTH_TOKEN: 'first-half\nsecond-half' }),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/^(?!.*half)KB_GIT_AUTH_TOKEN holds a line break/) as string,
    });
  });

  it('makes every form of the secret unprintable', async () => {
    await find('https://host.example/a', { KB_GIT_AUTH_TOKEN: 'very-secret-token' });
    const header = Buffer.from('x-access-token:very-secret-token').toString('base64');
    const shown = redact(`very-secret-token ${header}`);
    expect(shown).not.toContain('secret');
    expect(Buffer.from(shown.split(' ')[1] ?? '', 'base64').toString()).not.toContain('secret');
  });

  it('names the sources, never the values', async () => {
    const none = chain('https://github.com/a', {});
    await none.authorization();
    expect(none.describe()).toBe(
      'no credentials were found (looked at the URL, KB_GIT_AUTH_TOKEN, GITHUB_TOKEN, GH_TOKEN)',
    );
    const one = chain('https://github.com/a', { GH_TOKEN: 'gh-token-1' });
    await one.authorization();
    expect(one.describe()).toBe('credentials from GH_TOKEN were sent');
  });
});
