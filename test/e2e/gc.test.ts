import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { kbOk } from '../support/kb.js';
import { fsck, makeManyPacks, packNames } from '../support/gc-site.js';
import { git, nativeGit } from '../support/native-git.js';

describe.skipIf(!nativeGit.available)('kb gc (needs native git as the oracle)', () => {
  it('says in a line, or as JSON, what it did', async () => {
    const root = makeManyPacks();
    const dry = await kbOk(root, ['gc', '--dry-run']);
    expect(dry.stdout).toMatch(/^3 packs and \d+ loose objects, .*; would remove nothing\n$/);
    const run = await kbOk(root, ['gc', '--json']);
    expect(run.json()).toEqual({
      ok: true,
      dryRun: false,
      before: { packs: 3, looseObjects: expect.any(Number) as number, bytes: expect.any(Number) as number },
      after: { packs: 1, looseObjects: 0, bytes: expect.any(Number) as number },
      removed: { temporary: 0, backupRefs: 0, stashRefs: 0 },
      prunedObjects: 0,
      durationMs: expect.any(Number) as number,
    });
    const again = await kbOk(root, ['gc']);
    expect(again.stdout).toMatch(/^1 pack and 0 loose objects, .* → 1 pack and 0 loose objects, /);
    expect((await kbOk(root, ['gc', '--auto', '--json'])).json()).toEqual({ ok: true, due: false });
    expect(fsck(root)).toBe('');
  });

  it('starts by itself after a note, in the background, when there are many packs', async () => {
    const root = makeManyPacks();
    git(root, ['config', '--unset', 'gc.auto']);
    git(root, ['config', 'gc.autoPackLimit', '2']);
    await kbOk(root, ['note', 'not in CI'], { env: { CI: 'true' } });
    expect(existsSync(join(root, '.git/kb/auto-gc.json'))).toBe(false);
    expect(packNames(root, '.pack')).toHaveLength(3);
    await kbOk(root, ['note', 'hello']);
    // Its record is removed when it has succeeded: nothing runs after that.
    const isOver = (): boolean =>
      packNames(root, '.pack').length === 1 &&
      !readdirSync(join(root, '.git/kb')).includes('auto-gc.json') &&
      !existsSync(join(root, '.git/gc.pid'));
    await expect.poll(isOver, { timeout: 60_000, interval: 50 }).toBe(true);
    expect(fsck(root)).toBe('');
    expect(git(root, ['status', '--porcelain'])).toBe('');
  });
});
