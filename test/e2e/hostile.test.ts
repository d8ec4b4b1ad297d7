import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasGitHttpBackend, startGitServer, type GitServer } from '../support/http-backend.js';
import { kb, kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/** A bare repository whose one commit has a tree that no honest git would write. */
function plant(
  remote: string,
  entries: readonly { mode: string; name: string | Buffer; oid: string }[],
  parent?: string,
): void {
  const tree = Buffer.concat(
    entries.flatMap(({ mode, name, oid }) => [
      Buffer.from(`${mode} `),
      Buffer.from(name),
      Buffer.of(0),
      Buffer.from(oid, 'hex'),
    ]),
  );
  const oid = git(remote, ['hash-object', '-t', 'tree', '-w', '--literally', '--stdin'], { input: tree }).trim();
  const commit = git(remote, [
    'commit-tree',
    ...(parent === undefined ? [] : ['-p', parent]),
    '-m',
    'planted',
    oid,
  ]).trim();
  git(remote, ['update-ref', 'refs/heads/main', commit]);
}

/** What a person sees of a KB: its files, its branch, and whether native git finds it sound and clean. */
function stateOf(clone: string): unknown {
  git(clone, ['fsck', '--strict']);
  return [readdirSync(clone).sort(), git(clone, ['rev-parse', 'HEAD']), git(clone, ['status', '--porcelain'])];
}

const CARRIERS = nativeGit.available && hasGitHttpBackend() ? (['a path', 'http'] as const) : (['a path'] as const);

describe.skipIf(!nativeGit.available).each(CARRIERS)('a hostile remote by %s (needs native git)', (carrier) => {
  const root = makeTemporaryDirectory();
  const remote = join(root, 'remote.git');
  let server: GitServer | undefined;
  let url = remote;
  let blob: string;
  let hookTree: string;
  let link: string;

  beforeAll(async () => {
    if (carrier === 'http') {
      server = await startGitServer({ root });
      url = `${server.url}/remote.git`;
    }
    git(root, ['init', '--quiet', '--bare', 'remote.git']);
    blob = git(remote, ['hash-object', '-w', '--stdin'], { input: '#!/bin/sh\ntouch /tmp/owned\n' }).trim();
    link = git(remote, ['hash-object', '-w', '--stdin'], { input: '../outside' }).trim();
    const script = Buffer.concat([Buffer.from('100755 post-checkout\0'), Buffer.from(blob, 'hex')]);
    hookTree = git(remote, ['hash-object', '-t', 'tree', '-w', '--literally', '--stdin'], { input: script }).trim();
  });

  afterAll(() => server?.close());

  it.each<[string, () => Parameters<typeof plant>[1]]>([
    ['.git', () => [{ mode: '40000', name: '.git', oid: hookTree }]],
    ['.GIT', () => [{ mode: '40000', name: '.GIT', oid: hookTree }]],
    ['git~1', () => [{ mode: '40000', name: 'git~1', oid: hookTree }]],
    ['.git with an invisible character', () => [{ mode: '40000', name: '.g\u200cit', oid: hookTree }]],
    ['.git. with a trailing dot', () => [{ mode: '40000', name: '.git.', oid: hookTree }]],
    ['.git with a trailing space', () => [{ mode: '40000', name: '.git ', oid: hookTree }]],
    ['.git as an NTFS stream', () => [{ mode: '40000', name: '.git::$INDEX_ALLOCATION', oid: hookTree }]],
    ['.git behind a backslash', () => [{ mode: '40000', name: 'a\\.git', oid: hookTree }]],
    ['a link for .gitmodules', () => [{ mode: '120000', name: '.gitmodules', oid: link }]],
    ['a link for .gitmodules, disguised', () => [{ mode: '120000', name: 'GITMOD~1', oid: link }]],
    ['an absolute path', () => [{ mode: '100644', name: '/tmp/kb-planted', oid: blob }]],
    ['..', () => [{ mode: '40000', name: '..', oid: hookTree }]],
    ['a name with a slash', () => [{ mode: '100644', name: '../escape', oid: blob }]],
    ['the lock', () => [{ mode: '40000', name: '.kb_operations.lock', oid: hookTree }]],
    [
      'a link and a folder of one name',
      () => [
        { mode: '120000', name: 'a', oid: link },
        { mode: '40000', name: 'a', oid: hookTree },
      ],
    ],
  ])('that plants %s is refused, and nothing is written', async (_, entries) => {
    plant(remote, entries());
    const place = makeTemporaryDirectory();
    const run = await kb(place, ['clone', url, 'clone', '--json']);
    expect([7, 13]).toContain(run.code);
    expect(run.json()).toMatchObject({ ok: false });
    expect(readdirSync(place)).toEqual([]);
    expect(existsSync(join(root, 'outside'))).toBe(false);

    // The same by a pull: a KB that was fine stays as it was.
    plant(remote, [{ mode: '100644', name: 'fine.md', oid: blob }]);
    await kbOk(place, ['clone', url, 'clone']);
    const before = stateOf(join(place, 'clone'));
    const parent = git(remote, ['rev-parse', 'main']).trim();
    plant(remote, entries(), parent);
    const pulled = await kb(join(place, 'clone'), ['sync', '--json']);
    expect([7, 13]).toContain(pulled.code);
    expect(pulled.json()).toMatchObject({ ok: false });
    expect(stateOf(join(place, 'clone'))).toEqual(before);
    expect(readdirSync(place)).toEqual(['clone']);
    expect(existsSync('/tmp/kb-planted')).toBe(false);
  });

  it('a link is made as a link and never written through', async () => {
    plant(remote, [{ mode: '120000', name: 'a', oid: link }]);
    const place = makeTemporaryDirectory();
    await kbOk(place, ['clone', url, 'clone']);
    // Now the remote puts a folder where the link was: it must replace the link, not go through it.
    plant(remote, [{ mode: '40000', name: 'a', oid: hookTree }]);
    await kbOk(join(place, 'clone'), ['sync']);
    expect(readdirSync(place)).toEqual(['clone']);
    expect(readdirSync(join(place, 'clone', 'a'))).toEqual(['post-checkout']);
  });
});
