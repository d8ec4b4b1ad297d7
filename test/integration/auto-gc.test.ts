import { existsSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { collectGarbageIfDue } from '../../src/kb/auto-gc.js';
import { isGcDue } from '../../src/kb/gc-due.js';
import { loosePath, makeManyPacks, packNames, withKbAt } from '../support/gc-site.js';
import { git, nativeGit } from '../support/native-git.js';

function due(root: string, env: Readonly<Record<string, string>> = {}): Promise<boolean> {
  return withKbAt(root, (kb) => {
    const world = { ...kb.surroundings, env: { ...kb.surroundings.env, ...env } };
    return Promise.resolve(isGcDue({ ...kb, surroundings: world }));
  });
}

function allow(root: string): string {
  git(root, ['config', '--unset', 'gc.auto']);
  return root;
}

/** As many files in the folder that is counted as 6700 loose objects would have, and one more. */
function fill(root: string, count: number): void {
  const folder = join(root, '.git/objects/17');
  mkdirSync(folder, { recursive: true });
  for (let number = 0; number < count; number += 1)
    writeFileSync(join(folder, number.toString(16).padStart(38, '0')), '');
}

describe.skipIf(!nativeGit.available)('the gc that kb starts by itself (needs native git)', () => {
  it('is due as with git: over 6700 loose objects, or over 50 packs', async () => {
    const root = allow(makeManyPacks());
    rmSync(join(root, '.git/objects/17'), { recursive: true, force: true });
    fill(root, 27);
    expect(await due(root)).toBe(false);
    fill(root, 28);
    expect(await due(root)).toBe(true);
    git(root, ['config', 'gc.auto', '7000']);
    expect(await due(root)).toBe(false);
    git(root, ['config', 'gc.autoPackLimit', '3']);
    expect(await due(root)).toBe(false);
    git(root, ['config', 'gc.autoPackLimit', '2']);
    expect(await due(root)).toBe(true);
    const [kept = ''] = packNames(root, '.pack');
    writeFileSync(join(root, '.git/objects/pack', kept.replace('.pack', '.keep')), '');
    expect(await due(root)).toBe(false);
  });

  it('is never due in CI, inside a run, or where it is turned off', async () => {
    const root = allow(makeManyPacks());
    git(root, ['config', 'gc.autoPackLimit', '2']);
    expect(await due(root)).toBe(true);
    expect(await due(root, { CI: 'false' })).toBe(true);
    for (const env of [{ CI: 'true' }, { KB_NO_AUTO_GC: '1' }, { KB_LOCK_TOKEN: 'a' }])
      expect(await due(root, env)).toBe(false);
    for (const setting of ['gc.auto=0', 'gc.autoDetach=false', 'gc.autoPackLimit=0']) {
      const [name = '', value = ''] = setting.split('=');
      git(root, ['config', name, value]);
      expect(await due(root)).toBe(false);
      git(root, ['config', '--unset', name]);
      git(root, ['config', 'gc.autoPackLimit', '2']);
    }
  });

  it('is done once, and not again after each note when it failed', async () => {
    const root = allow(makeManyPacks());
    git(root, ['config', 'gc.autoPackLimit', '2']);
    const record = join(root, '.git/kb/auto-gc.json');
    const missing = loosePath(root, git(root, ['rev-parse', 'HEAD^{tree}']).trim());
    git(root, ['cat-file', 'tree', 'HEAD^{tree}']);
    rmSync(missing);
    await withKbAt(root, (kb) => expect(collectGarbageIfDue(kb)).rejects.toMatchObject({ code: 'E_CORRUPT' }));
    expect(existsSync(record)).toBe(true);
    expect(await due(root)).toBe(false);
    const yesterday = Date.now() / 1000 - 25 * 3600;
    utimesSync(record, yesterday, yesterday);
    expect(await due(root)).toBe(true);
    git(root, ['read-tree', 'HEAD~1']);
    git(root, ['reset', '-q', '--soft', 'HEAD~1']);
    git(root, ['reflog', 'expire', '--expire=now', '--all']);
    rmSync(join(root, '.git/ORIG_HEAD'), { force: true });
    expect(await withKbAt(root, collectGarbageIfDue)).toMatchObject({ after: { packs: 1 } });
    expect(existsSync(record)).toBe(false);
    expect(await withKbAt(root, collectGarbageIfDue)).toBe(undefined);
  });

  it('leaves the work to a gc that is under way', async () => {
    const root = allow(makeManyPacks());
    git(root, ['config', 'gc.autoPackLimit', '2']);
    writeFileSync(join(root, '.git/gc.pid'), `${process.pid} ${hostname()}`);
    expect(await withKbAt(root, collectGarbageIfDue)).toBe(undefined);
    expect(packNames(root, '.pack')).toHaveLength(3);
    expect(await due(root)).toBe(true);
  });
});
