import { describe, expect, it } from 'vitest';
import { destinationOf, parseSshAddress } from '../../../../src/remote/ssh/address.js';

describe('parseSshAddress', () => {
  // What native git makes of each (GIT_SSH with a program that prints its arguments) is test/integration/ssh-oracle.test.ts.
  it.each([
    ['ssh://git@host/kb.git', { user: 'git', host: 'host', path: '/kb.git' }],
    ['ssh://host:2222/a/b', { host: 'host', port: 2222, path: '/a/b' }],
    ['SSH://host:/a', { host: 'host', path: '/a' }],
    ['git+ssh://host/a', { host: 'host', path: '/a' }],
    ['ssh://[::1]:2222/a', { host: '::1', port: 2222, path: '/a' }],
    ['ssh://ann@[fe80::1%25eth0]/a', { user: 'ann', host: 'fe80::1%25eth0', path: '/a' }],
    ['ssh://host/~ann/kb.git', { host: 'host', path: '~ann/kb.git' }],
    ['ssh://host/my%20kb', { host: 'host', path: '/my kb' }],
    ['ssh://host/100%', { host: 'host', path: '/100%' }],
    ['ssh://ann@example.org@host/a', { user: 'ann@example.org', host: 'host', path: '/a' }],
    ['git@github.com:ann/notes.git', { user: 'git', host: 'github.com', path: 'ann/notes.git' }],
    ['host:path/to/kb', { host: 'host', path: 'path/to/kb' }],
    ['host:/srv/kb', { host: 'host', path: '/srv/kb' }],
    ['host:~/kb', { host: 'host', path: '~/kb' }],
    ['host:a%20b', { host: 'host', path: 'a%20b' }],
    ['host:a:b', { host: 'host', path: 'a:b' }],
    ['[::1]:kb', { host: '::1', path: 'kb' }],
    ['ann@[::1]:kb', { user: 'ann', host: '::1', path: 'kb' }],
    ['[host:2222]:kb', { host: 'host', port: 2222, path: 'kb' }],
    ['[ann@host:2222]:kb', { user: 'ann', host: 'host', port: 2222, path: 'kb' }],
    ['ann@[host:2222]:kb', { user: 'ann', host: 'host', port: 2222, path: 'kb' }],
    ["host:it's; rm -rf $HOME `id`", { host: 'host', path: "it's; rm -rf $HOME `id`" }],
  ])('%s', (text, address) => {
    expect(parseSshAddress(text)).toEqual(address);
  });

  it.each([
    'ssh://-oProxyCommand=id/x',
    'ssh://ann@-oProxyCommand=id/x',
    'ssh://-oProxyCommand=id@host/x',
    'ssh://%2doProxyCommand=id/x',
    '-oProxyCommand=id:x',
    'ann@-oProxyCommand=id:x',
    '[-oProxyCommand=id]:x',
    'ssh://host/',
    'ssh://host',
    'ssh:///x',
    'host:',
    ':x',
    'host:-x',
    'host:--upload-pack=id',
    'ssh://host:0/x',
    'ssh://host:65536/x',
    'ssh://host:22x/x',
    'ssh://ann:secret@host/x',
    'ssh://@host/x',
    'ssh://a%20b@host/x',
    'ssh://$(id)@host/x',
    "ssh://a'b@host/x",
    'ssh://a;b@host/x',
    'ssh://`id`@host/x',
    'ssh://ho;st/x',
    'ssh://ho$(id)st/x',
    'ssh://ho%0ast/x',
    'ssh://ho%20st/x',
    'ssh://host/a%0ab',
    'ssh://host/a%0db',
    'ssh://host/a%00b',
    'ssh://a%0ab@host/x',
    'host:a\nb',
    'host:a\0b',
    'ho st:x',
  ])('%j is none', (text) => {
    expect(typeof parseSshAddress(text)).toBe('string');
  });

  it('is given to ssh as one word', () => {
    expect(destinationOf({ user: 'ann', host: 'host', path: '/x' })).toBe('ann@host');
    expect(destinationOf({ host: '::1', path: '/x' })).toBe('::1');
  });
});
