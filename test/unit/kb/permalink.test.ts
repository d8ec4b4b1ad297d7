import { describe, expect, it } from 'vitest';
import { isPermalinkForm } from '../../../src/config/permalink-form.js';
import type { Oid } from '../../../src/git/ids.js';
import { permalink } from '../../../src/kb/permalink.js';

const commit = 'c0ffee'.padEnd(40, '0') as Oid;

describe('permalink', () => {
  it.each([
    ['https://github.com/ann/notes.git', `https://github.com/ann/notes/blob/${commit}/inbox/a.md`],
    ['https://github.com/ann/notes', `https://github.com/ann/notes/blob/${commit}/inbox/a.md`],
    ['https://github.com/ann/notes.git/', `https://github.com/ann/notes/blob/${commit}/inbox/a.md`],
    ['https://www.github.com/ann/notes', `https://www.github.com/ann/notes/blob/${commit}/inbox/a.md`],
    ['https://github.example.com/ann/notes.git', `https://github.example.com/ann/notes/blob/${commit}/inbox/a.md`],
    ['https://gitlab.com/group/sub/notes.git', `https://gitlab.com/group/sub/notes/-/blob/${commit}/inbox/a.md`],
    ['https://gitlab.example.com:8443/g/n.git', `https://gitlab.example.com:8443/g/n/-/blob/${commit}/inbox/a.md`],
    ['https://codeberg.org/ann/notes.git', `https://codeberg.org/ann/notes/src/commit/${commit}/inbox/a.md`],
    ['http://gitea.lan:3000/ann/notes.git', `http://gitea.lan:3000/ann/notes/src/commit/${commit}/inbox/a.md`],
    ['https://bitbucket.org/ann/notes.git', `https://bitbucket.org/ann/notes/src/${commit}/inbox/a.md`],
    [
      'https://bitbucket.example.com/scm/team/notes.git',
      `https://bitbucket.example.com/projects/team/repos/notes/browse/inbox/a.md?at=${commit}`,
    ],
    [
      'https://code.example.com:8443/git/scm/~ann/notes.git',
      `https://code.example.com:8443/git/users/ann/repos/notes/browse/inbox/a.md?at=${commit}`,
    ],
    [
      'ssh://git@code.example.com:7999/team/notes.git',
      `https://code.example.com/projects/team/repos/notes/browse/inbox/a.md?at=${commit}`,
    ],
    ['https://git.sr.ht/~ann/notes', `https://git.sr.ht/~ann/notes/tree/${commit}/item/inbox/a.md`],
    ['git@github.com:ann/notes.git', `https://github.com/ann/notes/blob/${commit}/inbox/a.md`],
    ['github.com:/ann/notes.git', `https://github.com/ann/notes/blob/${commit}/inbox/a.md`],
    ['ssh://git@ssh.github.com:443/ann/notes.git', `https://github.com/ann/notes/blob/${commit}/inbox/a.md`],
    ['ssh://git@gitlab.example.com:2222/g/sub/n.git', `https://gitlab.example.com/g/sub/n/-/blob/${commit}/inbox/a.md`],
    ['git+ssh://git@codeberg.org/ann/notes', `https://codeberg.org/ann/notes/src/commit/${commit}/inbox/a.md`],
    ['git@git.sr.ht:~ann/notes', `https://git.sr.ht/~ann/notes/tree/${commit}/item/inbox/a.md`],
    ['git@bitbucket.org:ann/notes.git', `https://bitbucket.org/ann/notes/src/${commit}/inbox/a.md`],
  ])('%s', (remote, link) => {
    expect(permalink(remote, commit, 'inbox/a.md')).toBe(link);
  });

  it.each([
    'https://example.com/ann/notes.git',
    'https://notgithub.com/ann/notes.git',
    'https://mygitlab.com/ann/notes',
    'http://localhost:3000/notes.git',
    '/srv/notes.git',
    'file:///srv/github.com/notes.git',
    'https://',
    '',
    'work:notes.git',
    'ext::sh -c github.com:a/b',
    'ssh://github.com',
  ])('knows no page for %j', (remote) => {
    expect(permalink(remote, commit, 'a.md')).toBeNull();
  });

  it.each([
    ['a b.md', 'a%20b.md'],
    ['ä/ö.md', '%C3%A4/%C3%B6.md'],
    ['100%.md', '100%25.md'],
    ['what?#.md', 'what%3F%23.md'],
  ])('writes the path %j so that a browser reads it back', (path, encoded) => {
    expect(permalink('https://github.com/a/b', commit, path)).toBe(`https://github.com/a/b/blob/${commit}/${encoded}`);
  });

  it('never repeats credentials', () => {
    expect(permalink('https://ann:secret@github.com/a/b', commit, 'x.md')).toBe(
      `https://github.com/a/b/blob/${commit}/x.md`,
    );
  });

  it.each([
    ['https://github.com/a/b', 'x.md', `https://github.com/a/b/blob/${commit}/x.md?plain=1#L3-L5`, '#L3'],
    ['https://github.com/a/b', 'x.py', `https://github.com/a/b/blob/${commit}/x.py#L3-L5`, '#L3'],
    ['https://gitlab.com/a/b', 'x.md', `https://gitlab.com/a/b/-/blob/${commit}/x.md?plain=1#L3-5`, '#L3'],
    [
      'https://codeberg.org/a/b',
      'x.md',
      `https://codeberg.org/a/b/src/commit/${commit}/x.md?display=source#L3-L5`,
      '#L3',
    ],
    ['https://bitbucket.org/a/b', 'x.md', `https://bitbucket.org/a/b/src/${commit}/x.md#lines-3:5`, '#lines-3'],
    ['https://h.example/scm/a/b', 'x.md', `https://h.example/projects/a/repos/b/browse/x.md?at=${commit}#3-5`, '#3'],
    ['https://git.sr.ht/~a/b', 'x.md', `https://git.sr.ht/~a/b/tree/${commit}/item/x.md#L3-5`, '#L3'],
  ])('%s, lines of %s', (remote, path, link, anchorOfOne) => {
    expect(permalink(remote, commit, path, { lines: { first: 3, last: 5 } })).toBe(link);
    expect(permalink(remote, commit, path, { lines: { first: 3, last: 3 } })).toBe(link.replace(/#.*/, anchorOfOne));
  });

  it('takes the form of a setting: a kind of host, an address, or none', () => {
    const form = 'https://view.example/{repo}/at/{commit}/{path}#L{line}-L{end}';
    const lines = { first: 3, last: 5 };
    const at = (remote: string, options: object): string | null => permalink(remote, commit, 'a b/ö.md', options);
    expect(at('git@code.example.com:team/no tes.git', { form: 'gitlab' })).toBe(
      `https://code.example.com/team/no%20tes/-/blob/${commit}/a%20b/%C3%B6.md`,
    );
    expect(at('git@code.example.com:team/notes.git', { form, lines })).toBe(
      `https://view.example/team/notes/at/${commit}/a%20b/%C3%B6.md#L3-L5`,
    );
    expect(at('https://ann:secret@code.example.com/team/notes', { form })).toBe(
      `https://view.example/team/notes/at/${commit}/a%20b/%C3%B6.md`,
    );
    expect(at('/srv/notes.git', { form })).toBeNull();
    expect(at('/srv/notes.git', { form: 'https://view.example/{commit}/{path}' })).toBe(
      `https://view.example/${commit}/a%20b/%C3%B6.md`,
    );
    expect(at('https://github.com/a/b', { form: 'https://view.example/{commit}/{path}', lines })).toBeNull();
    expect(at('https://github.com/a/b', { form: 'none' })).toBeNull();
  });

  it('a name in the remote or the path cannot reach out of its place', () => {
    const form = 'https://view.example/{repo}/{path}?id={commit}';
    expect(permalink('https://h.example/a%2F..%2Fb/{path}', commit, '$&{commit}?x#y', { form })).toBeNull();
    expect(permalink('https://h.example/a/$&', commit, '$&{commit}?x#y', { form })).toBe(
      `https://view.example/a/%24%26/%24%26%7Bcommit%7D%3Fx%23y?id=${commit}`,
    );
  });

  it('a name that is no UTF-8 is linked by its bytes', () => {
    expect(permalink('https://github.com/a/b', commit, '\udce9t\udce9.md')).toBe(
      `https://github.com/a/b/blob/${commit}/%E9t%E9.md`,
    );
  });
});

describe('the setting permalink', () => {
  it.each([
    'gitlab',
    'none',
    'https://host/{repo}/blob/{commit}/{path}',
    'http://host:3000/x/{commit}?file={path}#L{line}',
    'https://{host}/{repo}/-/blob/{commit}/{path}#L{line}-{end}',
  ])('can be %s', (text) => {
    expect(isPermalinkForm(text)).toBe(true);
  });

  it.each([
    'GitLab CE',
    '',
    'javascript:alert(1)//{commit}{path}',
    'file:///{commit}/{path}',
    'https://host/{path}',
    'https://host/{commit}',
    'https://ann:pw@host/{commit}/{path}',
    'https://host/{commit}/{path}/{token}',
    'https://host/{commit}/{path}{',
    'https://host/{line}/{commit}/{path}',
    'https://host/{commit}/{path} x',
    'https://host/\u202e{commit}/{path}',
    'https://ho st/{commit}/{path}',
    'https:///{commit}/{path}',
  ])('cannot be %j', (text) => {
    expect(isPermalinkForm(text)).toBe(false);
  });
});
