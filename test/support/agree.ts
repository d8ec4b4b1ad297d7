import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { git, makeTemporaryDirectory } from './native-git.js';

/** Native git finds nothing wrong in the KB, sees no change, and the KB holds exactly what the remote holds. */
export function expectNativeGitAgrees(directory: string, remote?: string): void {
  expectSound(directory);
  expect(git(directory, ['status', '--porcelain'])).toBe('');
  if (remote === undefined) return;
  expectSound(remote);
  expect(git(directory, ['rev-parse', 'HEAD'])).toBe(git(remote, ['rev-parse', branchOf(directory)]));
}

/** `git fsck --strict` exits 0 and names nothing but unreachable leftovers. */
export function expectSound(repository: string): void {
  const report = git(repository, ['fsck', '--strict', '--full', '--no-progress']);
  expect(
    report
      .split('\n')
      .filter(
        (line) =>
          line !== '' &&
          !/^(dangling|notice: HEAD points to an unborn branch|notice: No default references)/.test(line),
      ),
  ).toEqual([]);
}

/** The files that a fresh native clone of the remote has, with their bytes. */
export function filesOnRemote(remote: string): Map<string, string> {
  const clone = join(makeTemporaryDirectory(), 'clone');
  git('/', ['clone', '--quiet', remote, clone]);
  const names = git(clone, ['ls-files', '-z'])
    .split('\0')
    .filter((name) => name !== '');
  return new Map(names.map((name) => [name, readFileSync(join(clone, name), 'utf8')]));
}

function branchOf(directory: string): string {
  return git(directory, ['symbolic-ref', 'HEAD']).trim();
}
