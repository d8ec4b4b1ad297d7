import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { readStatus } from '../../src/kb/status.js';
import { unlock, type UnlockResult } from '../../src/kb/unlock.js';
import { withLock } from '../../src/lock/lock.js';
import { SimulatedProcess } from '../support/crash-processes.js';
import { siteAt, startKb, withKb, type Site } from '../support/crash-site.js';
import { makeTemporaryDirectory } from '../support/native-git.js';

/** No process of the machine has these pids: who asks the machine itself finds all of them dead. */
describe('a lock, judged by the processes that the surroundings show', () => {
  let site: Site;
  beforeEach(async () => {
    site = siteAt(join(makeTemporaryDirectory(), 'unlock'));
    mkdirSync(site.root);
    await startKb(site);
  });

  const unlockFrom = ({ world }: SimulatedProcess): Promise<UnlockResult> =>
    withKb(world, (kb) => unlock(kb, { force: false }));

  it('of a living holder is left alone, of one that was killed it is removed', async () => {
    const holder = new SimulatedProcess(site, 'holder');
    const other = new SimulatedProcess(site, 'other');
    const { disk, identity, cwd } = holder.world;
    const isStale = async (): Promise<boolean> =>
      (await withKb(other.world, (kb) => readStatus(kb, { fetch: false }))).lock.stale;
    let hasKilled: (() => void) | undefined;
    const killed = new Promise<void>((resolve) => (hasKilled = resolve));
    let isHeld: (() => void) | undefined;
    const locked = new Promise<void>((resolve) => (isHeld = resolve));
    const held = withLock(
      { directory: cwd, operation: 'test', timeoutMs: 5_000 },
      () => {
        isHeld?.();
        return killed;
      },
      { disk, identity },
    );
    await locked;
    await expect(unlockFrom(other)).rejects.toMatchObject({ code: 'E_LOCK_TIMEOUT' });
    expect(await isStale()).toBe(false);
    holder.kill();
    expect(await isStale()).toBe(true);
    expect(await unlockFrom(other)).toMatchObject({ removed: true, holder: { pid: identity.pid } });
    expect(await unlockFrom(other)).toMatchObject({ removed: false });
    hasKilled?.();
    await held.catch(() => undefined); // its disk is dead
    other.end();
  });
});
