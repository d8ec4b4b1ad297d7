import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

it.skipIf(!nativeGit.available)('native git has packed what it packs by itself when it ends (needs native git)', () => {
  const root = makeTemporaryDirectory();
  git(root, ['init', '-q']);
  git(root, ['config', 'gc.auto', '1']);
  const names = Array.from({ length: 1500 }, (_, at) => `note-${at}.md`);
  for (const name of names) writeFileSync(join(root, name), name);
  git(root, ['add', '.']);
  git(root, ['commit', '-q', '-m', 'notes']); // starts the gc that packs them
  expect(git(root, ['count-objects']).trim()).toBe('0 objects, 0 kilobytes');
});
