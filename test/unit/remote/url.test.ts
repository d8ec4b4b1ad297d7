import { describe, expect, it } from 'vitest';
import { KbError, redact } from '../../../src/errors.js';
import { parseRemoteUrl } from '../../../src/remote/url.js';

const cwd = '/home/ann';

function errorOf(text: string, insecure = false): KbError {
  try {
    parseRemoteUrl(text, { cwd, insecure });
  } catch (error) {
    if (error instanceof KbError) return error;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

describe('parseRemoteUrl', () => {
  it.each([
    ['https://github.com/ann/notes.git', 'http', 'https://github.com/ann/notes.git', 'notes'],
    ['https://github.com/ann/notes/', 'http', 'https://github.com/ann/notes', 'notes'],
    ['HTTPS://GitHub.com:443/ann/My%20Notes', 'http', 'https://github.com/ann/My%20Notes', 'My-Notes'],
    ['http://127.0.0.1:8080/kb.git', 'http', 'http://127.0.0.1:8080/kb.git', 'kb'],
    ['https://host', 'http', 'https://host', 'host'],
    ['https://[::1]:8443/a/b.git', 'http', 'https://[::1]:8443/a/b.git', 'b'],
    ['file:///srv/git/kb.git', 'local', '/srv/git/kb.git', 'kb'],
    ['file://localhost/srv/my%20kb', 'local', '/srv/my kb', 'my-kb'],
    ['file:///srv/100%', 'local', '/srv/100%', '100%'],
    ['/srv/git/kb.git/', 'local', '/srv/git/kb.git', 'kb'],
    ['../shared/kb', 'local', '/home/shared/kb', 'kb'],
    ['repo/.git', 'local', '/home/ann/repo/.git', 'repo'],
    ['./with:colon', 'local', '/home/ann/with:colon', 'with:colon'],
    ['/srv/...', 'local', '/srv/...', 'kb'],
    ['/', 'local', '/', 'kb'],
  ])('%s', (text, kind, href, suggestedDirectory) => {
    expect(parseRemoteUrl(text, { cwd })).toMatchObject({ kind, href, suggestedDirectory });
  });

  it('takes the credentials out of the address', () => {
    const url = parseRemoteUrl('https://ann:p%40ss%2Fword-7@host.example/kb.git', { cwd });
    expect(url).toMatchObject({
      href: 'https://host.example/kb.git',
      display: 'https://host.example/kb.git',
      credentials: { username: 'ann', password: 'p@ss/word-7' },
    });
    expect(redact('it was p@ss/word-7 or p%40ss%2Fword-7')).toBe('it was *** or ***');
  });

  it('treats a long user name without a password as the secret that it probably is', () => {
    parseRemoteUrl('https://abcdefghij0123456789xyz@host.example/kb.git', { cwd });
    expect(redact('abcdefghij0123456789xyz')).toBe('***');
  });

  it.each([
    ['ssh://git@host/team/kb.git', { user: 'git', host: 'host', path: '/team/kb.git' }, 'kb'],
    ['git+ssh://host:2222/kb/', { host: 'host', port: 2222, path: '/kb/' }, 'kb'],
    ['git@github.com:ann/notes.git', { user: 'git', host: 'github.com', path: 'ann/notes.git' }, 'notes'],
    ['host:~', { host: 'host', path: '~' }, '~'],
  ])('%s leads to ssh', (text, ssh, suggestedDirectory) => {
    expect(parseRemoteUrl(text, { cwd })).toEqual({ kind: 'ssh', href: text, ssh, display: text, suggestedDirectory });
  });

  it.each(['ssh://-oProxyCommand=id/x', 'ssh://ann@-oProxyCommand=id/x', 'host:-x', 'ssh://ann:secret-pw@host/x'])(
    '%s: nothing that ssh could take for an option, and no password',
    (text) => {
      const error = errorOf(text);
      expect(error.code).toBe('E_USAGE');
      expect(error.message + error.hint).not.toContain('secret-pw');
    },
  );

  it.each([
    '',
    '-u./x',
    '--upload-pack=id',
    'ext::sh -c id',
    'git://host/kb',
    'ftp://host/kb',
    'javascript://x',
    'https://',
    'https://host:99999/x',
    'https://host/kb?x=1',
    'https://host/kb#x',
    'https://-host/kb',
    'https://host/a%0d%0aHost:x',
    'https://host/a\r\nHost: x',
    'https://host/a\0b',
    '/srv/a\nb',
    'file://otherhost/srv/kb',
    'file://kb',
    'file:///a%00b',
  ])('%j is refused', (text) => {
    expect(errorOf(text).code).toBe('E_USAGE');
  });

  it.each([
    'http://ann:secret-pw@host.example/kb',
    'http://ann@host.example/kb',
    'http://a:secret-pw@localhost.evil.example/kb',
    'http://a:secret-pw@127.0.0.1.evil.example/kb',
  ])('credentials in the clear over a network: %s', (text) => {
    const error = errorOf(text);
    expect(error.code).toBe('E_AUTH');
    expect(error.message + error.hint).not.toContain('secret-pw');
  });

  it.each([
    'http://ann:pw12@127.0.0.1:8080/kb',
    'http://ann:pw12@localhost/kb',
    'http://ann:pw12@[::1]/kb',
    'http://ann:pw12@127.9.9.9/kb',
  ])('loopback may carry them: %s', (text) => {
    expect(parseRemoteUrl(text, { cwd }).credentials).toEqual({ username: 'ann', password: 'pw12' });
  });

  it('--insecure allows them', () => {
    expect(parseRemoteUrl('http://ann:pw12@host.example/kb', { cwd, insecure: true }).credentials?.username).toBe(
      'ann',
    );
  });

  it.each([
    'https://ann:topsecret@host:99999/x',
    'ssh://ann:topsecret@host/x',
    'https://ann:top/topsecret@host\u0007/x',
    '-x://ann:topsecret@h',
  ])('a message never shows the password: %j', (text) => {
    const error = errorOf(text);
    expect(`${error.message} ${error.hint}`).not.toContain('topsecret');
  });

  it('shows control characters instead of obeying them', () => {
    // eslint-disable-next-line no-control-regex -- what must not come out
    expect(errorOf('https://host/\u001b[2J').message).not.toMatch(/[\u0000-\u001f]/);
  });
});
