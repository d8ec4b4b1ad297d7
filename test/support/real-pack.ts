import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateRepository } from '../../bench/generate.js';
import type { Oid } from '../../src/git/ids.js';
import { makeTemporaryDirectory, git } from './native-git.js';

/** The pack that native git makes of a commit of 1,200 notes: so many files are written by a second thread too. */
export async function makeRealPack(): Promise<{ readonly tip: Oid; readonly pack: Buffer; readonly tree: string }> {
  const bare = join(makeTemporaryDirectory(), 'notes.git');
  mkdirSync(bare);
  await generateRepository(bare, 1200, 3);
  git(bare, ['repack', '-q', '-a', '-d', '-f']);
  const packs = join(bare, 'objects/pack');
  const name = readdirSync(packs).find((file) => file.endsWith('.pack')) as string;
  const [tip, tree] = ['main', 'main^{tree}'].map((what) => git(bare, ['rev-parse', what]).trim()) as [Oid, string];
  return { tip, tree, pack: readFileSync(join(packs, name)) };
}

/** Whether native git finds the clone to be of that tree, with every file as it must be. */
export function isCloneOf(tree: string): (directory: string) => boolean {
  return (directory) => {
    git(directory, ['fsck', '--strict']);
    const head = git(directory, ['rev-parse', 'HEAD^{tree}']).trim();
    return head === tree && git(directory, ['status', '--porcelain']) === '';
  };
}
