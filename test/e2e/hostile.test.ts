import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { kb, kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

/** A bare repository whose one commit has a tree that no honest git would write. */
function plant(remote: string, entries: readonly { mode: string; name: string | Buffer; oid: string }[]): void {
  const tree = Buffer.concat(
    entries.flatMap(({ mode, name, oid }) => [
      Buffer.from(`${mode} `),
      Buffer.from(name),
      Buffer.of(0),
      Buffer.from(oid, 'hex'),
    ]),
  );
  const oid = git(remote, ['hash-object', '-t', 'tree', '-w', '--literally', '--stdin'], { input: tree }).trim();
  const commit = git(remote, ['commit-tree', '-m', 'planted', oid]).trim();
  git(remote, ['update-ref', 'refs/heads/main', commit]);
}

describe.skipIf(!nativeGit.available)('a hostile remote (needs native git)', () => {
  const root = makeTemporaryDirectory();
  const remote = join(root, 'remote.git');
  let blob: string;
  let hookTree: string;
  let link: string;

  beforeAll(() => {
    git(root, ['init', '--quiet', '--bare', 'remote.git']);
    blob = git(remote, ['hash-object', '-w', '--stdin'], { input: '#!/bin/sh\ntouch /tmp/owned\n' }).trim();
    link = git(remote, ['hash-object', '-w', '--stdin'], { input: '../outside' }).trim();
    const script = Buffer.concat([Buffer.from('100755 post-checkout\0'), Buffer.from(blob, 'hex')]);
    hookTree = git(remote, ['hash-object', '-t', 'tree', '-w', '--literally', '--stdin'], { input: script }).trim();
  });

  it.each<[string, () => Parameters<typeof plant>[1]]>([
    ['.git', () => [{ mode: '40000', name: '.git', oid: hookTree }]],
    ['.GIT', () => [{ mode: '40000', name: '.GIT', oid: hookTree }]],
    ['git~1', () => [{ mode: '40000', name: 'git~1', oid: hookTree }]],
    ['.git with an invisible character', () => [{ mode: '40000', name: '.g\u200cit', oid: hookTree }]],
    ['.git. with a trailing dot', () => [{ mode: '40000', name: '.git.', oid: hookTree }]],
    ['.git with a trailing space', () => [{ mode: '40000', name: '.git ', oid: hookTree }]],
    ['.git as an NTFS stream', () => [{ mode: '40000', name: '.git::$INDEX_ALLOCATION', oid: hookTree }]],
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
    const run = await kb(place, ['clone', remote, 'clone', '--json']);
    expect([7, 13]).toContain(run.code);
    expect(run.json()).toMatchObject({ ok: false });
    expect(readdirSync(place)).toEqual([]);
    expect(existsSync(join(root, 'outside'))).toBe(false);
  });

  it('a link is made as a link and never written through', async () => {
    plant(remote, [{ mode: '120000', name: 'a', oid: link }]);
    const place = makeTemporaryDirectory();
    await kbOk(place, ['clone', remote, 'clone']);
    // Now the remote puts a folder where the link was: it must replace the link, not go through it.
    plant(remote, [{ mode: '40000', name: 'a', oid: hookTree }]);
    await kbOk(join(place, 'clone'), ['sync']);
    expect(readdirSync(place)).toEqual(['clone']);
    expect(readdirSync(join(place, 'clone', 'a'))).toEqual(['post-checkout']);
  });
});
