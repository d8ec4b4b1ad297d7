import { describe, expect, it } from 'vitest';
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
});
